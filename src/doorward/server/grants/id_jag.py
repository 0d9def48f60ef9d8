"""ID-JAG: an enterprise's identity provider says that a client may act for a person, without the person being asked.

What is given is what everybody allows: the issuer by the assertion, the operator by the trust, the client by its
request. It is a connection like any other, so the person sees it and can end it; then it stays ended for every further
assertion, until it is reopened. There is no refresh token: whether the person is still there is the issuer's to say.

Spec: draft-ietf-oauth-identity-assertion-authz-grant-04; MCP Enterprise-Managed Authorization (JAG-02 … JAG-17, C8,
C9, T37); complaint 33
"""

from dataclasses import replace

from doorward.core import audit
from doorward.core.models import AuditEvent, Authorization, Grant, Refused, Resource, User
from doorward.core.secrets import new_id
from doorward.core.trust import (
    TrustedIssuer,
    check_trust,
    select_asserted_resource,
    select_asserted_scopes,
)
from doorward.oauth.errors import UNAUTHORIZED_CLIENT, OAuthError
from doorward.oauth.grant_assertions import IdentityAssertion, check_identity_assertion
from doorward.oauth.ids import GrantId
from doorward.oauth.jwt import CAME_THROUGH_CLAIM, InvalidToken
from doorward.oauth.scopes import Scopes, union
from doorward.server.subjects import resolve_subject, settle_subject
from doorward.storage.asserted_grants import list_asserted_grants, widen_grant
from doorward.storage.audit import record
from doorward.storage.clients import ensure_client, find_client, touch_client
from doorward.storage.database import Transaction
from doorward.storage.grants import add_grant, find_live_grant
from doorward.storage.resources import list_resources

from .asserted import AssertionRequest, check_key, find_standing_trusts, judge_by_any, refuse, spend_assertion
from .call import TOUCH_EVERY_MS, TokenCall


async def authorize(tx: Transaction, call: TokenCall, request: AssertionRequest) -> Authorization | Refused:
    """Judge everything that could refuse the assertion first, then spend it; a refusal spends nothing."""
    signed, client = request.signed, call.client
    try:
        assertion = check_identity_assertion(
            signed.claims, issuer=call.view.issuer, client_id=client.client_id, now=call.now // 1000
        )

        def judge(trust: TrustedIssuer) -> tuple[Resource, str | None, Scopes]:
            check_trust(trust, signed.claims, assertion.issued_at)
            _check_presenter(call, trust, is_authenticated=request.is_authenticated)
            resource, alias = select_asserted_resource(
                trust, assertion.resources, request.resources, call.view.resources
            )
            return resource, alias, select_asserted_scopes(trust, client, resource, assertion.scope, request.scope)

        trust, (resource, alias, scope) = judge_by_any(await find_standing_trusts(tx, signed), judge)
        check_key(call, assertion)
        call.check_open(resource)
        resolved = await resolve_subject(tx, trust, assertion, call.now)
        connection = await _find_connection(tx, call, trust, resolved.user, resource)
        await spend_assertion(tx, trust, assertion)
    except (InvalidToken, OAuthError) as refused:
        return await refuse(tx, call, signed, audit.client_actor(client.client_id), refused)
    await settle_subject(tx, trust, assertion, resolved, password_hash=request.hash_of_nobody, now=call.now)
    grant = connection or _build_grant(call, trust, resolved.user, resource, alias, assertion)
    await _connect(tx, call, grant, scope, is_new=connection is None)
    await _record(tx, call, trust, assertion, grant, scope)
    return Authorization(
        subject=grant.user_id,
        client_id=grant.client_id,
        resource=resource,
        scope=scope,
        grant_id=grant.grant_id,
        alias=alias,
        auth_time=_milliseconds(assertion.auth_time),
        claims={CAME_THROUGH_CLAIM: [{"client_id": trust.trust_id, "aud": resource.uri}]},
        answer={"resource": resource.uri},
    )


def _check_presenter(call: TokenCall, trust: TrustedIssuer, *, is_authenticated: bool) -> None:
    """Whether this client may present the issuer's assertions at all.

    Where the project does not let everybody in, a client that spoke for itself so far has to be named by the trust,
    or let in by somebody before. Raises `InvalidToken` and `unauthorized_client`. Spec: JAG-03, JAG-17
    """
    client, policy = call.client, trust.policy
    if policy.clients and client.client_id not in policy.clients:
        raise InvalidToken("the client is not one that the trust names")
    if not (is_authenticated or policy.public_clients):
        raise OAuthError(UNAUTHORIZED_CLIENT, "Only a client that authenticates may present this assertion.")
    is_new = client.kind in ("sealed", "document") and client.activated_at is None and not client.is_verified
    mode = call.view.project.settings.registration_mode
    if is_new and mode != "open" and client.client_id not in policy.clients:
        raise OAuthError(UNAUTHORIZED_CLIENT, "An administrator has not let this client in.")


async def _find_connection(
    tx: Transaction, call: TokenCall, trust: TrustedIssuer, user: User, resource: Resource
) -> Grant | None:
    """The connection that the assertion goes on with, or None for a new one.

    Raises `InvalidToken` where somebody ended it: an issuer that goes on asserting does not undo that (CON-05).
    """
    client = call.client
    stored = await find_client(tx, client.project_id, client.client_id)
    if (stored is None and client.kind not in ("sealed", "document")) or (stored and stored.status != "active"):
        raise OAuthError(UNAUTHORIZED_CLIENT, "The client was removed or suspended at this moment.")
    held = await list_asserted_grants(tx, user.project_id, user.user_id, client.client_id, resource.resource_id)
    if any(grant.revoked_at is not None for grant in held):
        raise InvalidToken("this connection was ended, and not reopened since")
    newest = next((grant for grant in held if grant.trust_id == trust.trust_id), None)
    found = await find_live_grant(tx, user.project_id, newest.grant_id, even_stopped=True) if newest else None
    if found is None and resource.resource_id not in [r.resource_id for r in await list_resources(tx, user.project_id)]:
        raise InvalidToken("the MCP server was removed at this moment")
    return found


def _build_grant(
    call: TokenCall,
    trust: TrustedIssuer,
    user: User,
    resource: Resource,
    alias: str | None,
    assertion: IdentityAssertion,
) -> Grant:
    return Grant(
        project_id=user.project_id,
        grant_id=GrantId(new_id("grt")),
        user_id=user.user_id,
        client_id=call.client.client_id,
        resource_id=resource.resource_id,
        scope=(),
        redirect_uri="",
        created_at=call.now,
        kind="assertion",
        auth_time=_milliseconds(assertion.auth_time),
        granted_by=trust.trust_id,
        alias=alias,
    )


async def _connect(tx: Transaction, call: TokenCall, grant: Grant, scope: Scopes, *, is_new: bool) -> None:
    """Write down what the connection has been given by now, so that its person sees all of it."""
    given = union(grant.scope, scope)
    if is_new:
        await ensure_client(tx, replace(call.client, expires_at=call.client_expires_at))
        await add_grant(tx, replace(grant, scope=given, last_used_at=call.now))
    elif given == grant.scope and grant.last_used_at is not None and call.now - grant.last_used_at <= TOUCH_EVERY_MS:
        return
    else:
        await widen_grant(tx, grant.project_id, grant.grant_id, given, call.now)
    await touch_client(tx, grant.project_id, grant.client_id, call.now, call.client_expires_at)


async def _record(
    tx: Transaction, call: TokenCall, trust: TrustedIssuer, assertion: IdentityAssertion, grant: Grant, scope: Scopes
) -> None:
    detail = {
        "source": call.source,
        "agent": call.agent,
        "trust": trust.trust_id,
        "issuer": assertion.issuer,
        "subject": assertion.subject,
        "resource": grant.resource_id,
        "scope": " ".join(scope),
    }
    event = AuditEvent(audit.ASSERTION_ACCEPTED, audit.client_actor(grant.client_id), grant.grant_id, detail)
    await record(tx, grant.project_id, event, call.now)


def _milliseconds(seconds: int | None) -> int | None:
    return seconds * 1000 if seconds is not None else None
