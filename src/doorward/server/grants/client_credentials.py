"""The client credentials grant: a client that an operator added speaks for itself.

There is no person and no consent: what it may have is what the operator wrote down for it, or the server's default
scopes. Its tokens hang off the client, so suspending it, or revoking everything of it, ends them at once.

Spec: OAuth 2.1 §4.2 (CC-01 … CC-06); RFC 9068 §2.2
"""

from dataclasses import dataclass

from doorward.core import audit
from doorward.core.models import CLIENT_CREDENTIALS, AuditEvent, Authorization, Client, Refused, Resource
from doorward.core.policy import asked_alias, narrow_scopes, select_resource
from doorward.oauth.errors import INVALID_SCOPE, UNAUTHORIZED_CLIENT, OAuthError
from doorward.oauth.forms import Form
from doorward.oauth.scopes import Scopes, narrow
from doorward.storage.audit import record
from doorward.storage.clients import touch_client
from doorward.storage.database import Transaction

from .call import TokenCall

GRANT_TYPE = CLIENT_CREDENTIALS


@dataclass(frozen=True, slots=True)
class ClientCredentialsRequest:
    """The grant's parameters."""

    scope: str | None
    resources: tuple[str, ...]


def parse(form: Form) -> ClientCredentialsRequest:
    """Read the parameters."""
    return ClientCredentialsRequest(form.get("scope"), form.resources)


async def authorize(tx: Transaction, call: TokenCall, request: ClientCredentialsRequest) -> Authorization | Refused:
    """Give an authenticated client what its operator allows it. No refresh token: it can always ask again (CC-04)."""
    client = call.client
    if client.is_public or client.kind != "manual":
        return Refused(OAuthError(UNAUTHORIZED_CLIENT, "Only clients that an operator added, with credentials."))
    try:
        resource = select_resource(request.resources, call.view.resources)
        call.check_open(resource)
        scope = narrow_scopes(request.scope, allowed_scopes(client, resource))
    except OAuthError as error:
        return Refused(error)
    if call.is_first_use_in_a_while:
        await touch_client(tx, client.project_id, client.client_id, call.now, call.client_expires_at)
    detail = {"source": call.source, "agent": call.agent, "resource": resource.resource_id, "scope": " ".join(scope)}
    actor = audit.client_actor(client.client_id)
    await record(tx, client.project_id, AuditEvent(audit.CLIENT_TOKEN_ISSUED, actor, actor, detail), call.now)
    return Authorization(
        subject=client.client_id,
        client_id=client.client_id,
        resource=resource,
        scope=scope,
        alias=asked_alias(request.resources, resource),
    )


def allowed_scopes(client: Client, resource: Resource) -> Scopes:
    """What the operator wrote down for the client, of what the server has; where nothing was, the default scopes.

    Raises `invalid_scope` when what was written down holds nothing of this server: its defaults are then not meant.
    """
    if not client.metadata.scope:
        return resource.default_scopes
    allowed = narrow(client.metadata.scope, resource.known_scopes)
    if not allowed:
        raise OAuthError(INVALID_SCOPE, "The operator allows this client nothing on this server.")
    return allowed
