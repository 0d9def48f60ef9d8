"""Minting: an operator's backend gets tokens for people whom it has authenticated itself.

The product's own face of token exchange, for those who have users already: a project key with `mint` in place of a
client's proof and a subject token, one rule for all that it may do, and an audit row for each. Not for browsers.

Spec: product.md, "mint for your own users"; TX-10; REG-07, T16, T44; threats, finding 7
"""

from dataclasses import dataclass, replace

from doorward.asgi import Request, Response
from doorward.core import audit
from doorward.core.limits import MINT_KEY
from doorward.core.minting import MAX_ID_LENGTH, MintRequest, is_ours, parse_mint
from doorward.core.models import AuditEvent, Authorization, Client, Grant, ProjectKey, Refused, Resource, User
from doorward.core.policy import asked_alias, is_approved_redirect, mint_scopes, select_resource
from doorward.core.secrets import new_id
from doorward.oauth.errors import (
    ACCESS_DENIED,
    INVALID_CLIENT,
    INVALID_DPOP_PROOF,
    INVALID_REQUEST,
    INVALID_TARGET,
    UNAUTHORIZED_CLIENT,
    OAuthError,
    invalid_request,
)
from doorward.oauth.forms import parse_json_object
from doorward.oauth.ids import GrantId, UserId
from doorward.oauth.scopes import Scopes
from doorward.storage.audit import record
from doorward.storage.clients import ensure_client, find_client, touch_client
from doorward.storage.database import Transaction
from doorward.storage.grants import add_grant
from doorward.storage.identities import link_identity
from doorward.storage.registrations import find_tombstone
from doorward.storage.throttles import spend
from doorward.storage.tokens import start_family
from doorward.storage.users import add_user, find_user

from .clients import resolve_client
from .context import Context
from .grants.authorization_code import build_family
from .grants.call import TokenCall
from .limiter import source_of
from .registration import authenticate_key, unauthorized
from .tenancy import ProjectView
from .token import MAX_AGENT_LENGTH, complete
from .too_many import TooManyRequests

NO_PASSWORD = "!"
"""No hash at all: no password matches it."""


@dataclass(frozen=True, slots=True)
class _Mint:
    """A request that its key may make, about a server and a client that are known."""

    request: MintRequest
    key: ProjectKey
    resource: Resource
    scope: Scopes


async def answer_mint(context: Context, view: ProjectView, request: Request) -> Response:
    """Give a backend tokens for its user: an access token and, for a client that refreshes, a refresh token."""
    body = await request.body()
    key = await authenticate_key(context, view, request, "mint")
    if key is None:
        raise unauthorized("Minting needs a project key that may mint.", presented=False)
    asked = parse_mint(parse_json_object(body, request.header("content-type"), code=INVALID_REQUEST))
    request.learn(client_id=asked.client_id[:MAX_ID_LENGTH])
    client = await resolve_client(context, view, asked.client_id)
    if client is None:
        raise OAuthError(INVALID_CLIENT, "The client is not known here; register it first.")
    _check_client(view, client)
    call = TokenCall(
        view=view,
        client=client,
        refresh_tokens=context.refresh_tokens,
        source=source_of(context, request),
        agent=request.header("user-agent")[:MAX_AGENT_LENGTH],
        now=request.now,
    )
    resource = _select_resource(view, key, asked)
    call.check_open(resource)
    mint = _Mint(asked, key, resource, mint_scopes(asked.scopes, resource))
    return await complete(context, request, call, _authorize, mint)


def _check_client(view: ProjectView, client: Client) -> None:
    """Whether the project lets the client ask at all; a backend vouches for its users and not for programs."""
    settings, places = view.project.settings, client.metadata.redirect_uris
    is_let_in = client.status == "active"
    if settings.registration_mode == "approved_redirects" and client.kind in ("sealed", "document"):
        is_let_in = is_let_in and all(is_approved_redirect(uri, settings.approved_redirects) for uri in places)
    if not is_let_in:
        raise _not_let_in()
    if client.metadata.dpop_bound_access_tokens:
        raise OAuthError(
            INVALID_DPOP_PROOF, "The client wants tokens that are bound to a key, which only it can prove."
        )


def _select_resource(view: ProjectView, key: ProjectKey, asked: MintRequest) -> Resource:
    """The server that is named, or the key's own, or the default; a key for one server mints for no other."""
    if key.resource_id is None:
        return select_resource((asked.resource,) if asked.resource else (), view.resources)
    own = view.resource(key.resource_id)
    if own is None or (asked.resource and select_resource((asked.resource,), view.resources) is not own):
        raise OAuthError(INVALID_TARGET, "This key mints for one server, and the request names another.")
    return own


async def _authorize(tx: Transaction, call: TokenCall, mint: _Mint) -> Authorization | Refused:
    """Settle who the person is, and give the client a connection of its own to what it was minted for."""
    project_id = call.view.project.project_id
    if wait := await spend(tx, project_id, MINT_KEY, mint.key.key_id, call.now):
        return Refused(TooManyRequests(wait))
    stored = await find_client(tx, project_id, call.client.client_id)
    if stored is not None and stored.status != "active":
        return Refused(_not_let_in())
    if stored is None and (refused := await _judge_new_client(tx, call)):
        return refused
    user = await _find_person(tx, call, mint)
    if isinstance(user, Refused):
        return user
    if stored is None:
        await ensure_client(tx, replace(call.client, expires_at=call.client_expires_at))
    await touch_client(tx, project_id, call.client.client_id, call.now, call.client_expires_at)
    return await _grant(tx, call, mint, user)


async def _judge_new_client(tx: Transaction, call: TokenCall) -> Refused | None:
    """Why a client without a row may not get one: it had one a moment ago, or an operator decides about new ones."""
    is_gone = await find_tombstone(tx, call.client.project_id, call.client.client_id) is not None
    if is_gone or call.client.kind != "sealed":
        return Refused(OAuthError(INVALID_CLIENT, "The client was removed."))
    if call.view.project.settings.registration_mode == "approval":
        return Refused(_not_let_in())
    return None


async def _find_person(tx: Transaction, call: TokenCall, mint: _Mint) -> User | Refused:
    """The person of this name, who is made when there is none: without an address, so that nobody signs in as them."""
    project_id, subject = call.view.project.project_id, mint.request.subject
    user = await find_user(tx, project_id, subject)
    if user is not None and not user.enabled:
        return Refused(OAuthError(ACCESS_DENIED, "An administrator has disabled this person.", status=403))
    if user is not None:
        return user
    if is_ours(subject) or await find_client(tx, project_id, subject) is not None:
        return Refused(invalid_request("The subject could be mistaken for an id of this server, and nobody has it."))
    user = User(project_id, UserId(subject), "", "", "member", True, call.now, None)
    await add_user(tx, user, f"minted {subject}", NO_PASSWORD)
    await link_identity(tx, project_id, call.view.issuer, subject, user.user_id, call.now)
    event = AuditEvent(audit.USER_ADDED, _actor(mint), audit.user_actor(subject), {"role": user.role})
    await record(tx, project_id, event, call.now)
    return user


async def _grant(tx: Transaction, call: TokenCall, mint: _Mint, user: User) -> Authorization:
    asked, resource = mint.request, mint.resource
    grant = Grant(
        project_id=call.view.project.project_id,
        grant_id=GrantId(new_id("grt")),
        user_id=user.user_id,
        client_id=call.client.client_id,
        resource_id=resource.resource_id,
        scope=mint.scope,
        redirect_uri="",
        created_at=call.now,
        last_used_at=call.now,
        kind="mint",
        device_label=mint.key.name,
        granted_by=mint.key.key_id,
        alias=asked_alias((asked.resource,) if asked.resource else (), resource),
        tools_at=resource.tools_version,
    )
    await add_grant(tx, grant)
    family = None
    # A refreshed token would say nothing any more of who may act, so a restricted one is not refreshed.
    if asked.may_act is None and "refresh_token" in call.client.metadata.grant_types:
        family = build_family(call, grant)
        await start_family(tx, family)
    detail = {
        "source": call.source,
        "agent": call.agent,
        "client": grant.client_id,
        "subject": grant.user_id,
        "resource": grant.resource_id,
        "scope": " ".join(grant.scope),
    }
    await record(tx, grant.project_id, AuditEvent(audit.TOKEN_MINTED, _actor(mint), grant.grant_id, detail), call.now)
    return Authorization(
        subject=grant.user_id,
        client_id=grant.client_id,
        resource=resource,
        scope=grant.scope,
        grant_id=grant.grant_id,
        family=family,
        alias=grant.alias,
        claims={"may_act": asked.may_act} if asked.may_act else {},
    )


def _not_let_in() -> OAuthError:
    return OAuthError(UNAUTHORIZED_CLIENT, "An administrator has not let this client in, or has suspended it.")


def _actor(mint: _Mint) -> str:
    return audit.key_actor(mint.key.key_id)
