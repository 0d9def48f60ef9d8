"""The decision of a person: consumes the stored request and writes what follows, in one transaction.

Spec: CON-04, CON-06 (I1); AUTHZ-14
"""

from dataclasses import dataclass, replace

from doorward.core import audit
from doorward.core.models import AuditEvent, AuthorizationRequest, Client, Code, Grant, Interaction, Session
from doorward.core.secrets import CODE, hash_secret, new_id, new_secret
from doorward.oauth.errors import ACCESS_DENIED, OAuthError
from doorward.oauth.ids import GrantId, TokenHash
from doorward.oauth.redirects import find_registered
from doorward.oauth.scopes import Scopes, missing
from doorward.storage.audit import record
from doorward.storage.clients import ensure_client, find_client
from doorward.storage.codes import add_code
from doorward.storage.database import Transaction
from doorward.storage.grants import add_grant
from doorward.storage.interactions import consume_interaction, find_interaction
from doorward.storage.pushed_requests import consume_pushed_request

from .authorization_answer import ReturnToClient, build_answer, build_refusal
from .choice import Choice, scope_allowed
from .clients import DocumentRefused, UnknownClient, discover_client
from .context import Context
from .page_error import START_AGAIN, PageError, request_over
from .sessions import Device
from .tenancy import ProjectView

UNUSED_LIFE_MS = 30 * 86_400_000


@dataclass(frozen=True, slots=True)
class _Allowed:
    """The code to give, the connection it opens and when that ends, and the version of the tools that were seen."""

    code: str
    grant_id: GrantId
    scope: Scopes
    tools_at: int
    expires_at: int | None


async def decide(
    context: Context,
    view: ProjectView,
    flow: str,
    browser: tuple[Session, Device],
    *,
    choice: Choice,
    now: int,
) -> ReturnToClient:
    """Spend the stored request: `access_denied` for `deny`, else a code. Raises `PageError` when it is over.

    Spec: CON-04, CON-06 (I1)
    """
    waiting = await context.database.read(
        find_interaction, view.project.project_id, hash_secret(flow), browser[0].session_hash, now
    )
    if waiting is None:
        raise request_over()
    try:
        client = await discover_client(context, view, waiting.request.client_id, source="")
    except (UnknownClient, DocumentRefused):
        raise request_gone() from None
    if find_registered(client.metadata.redirect_uris, waiting.request.redirect_uri) is None:
        raise request_gone()  # its document changed meanwhile: nothing goes to a place it does not name any more (T6)
    allowed = None
    if not choice.is_denied:
        scope = scope_allowed(view.resource(waiting.request.resource_id), waiting.request.scope, choice)
        grant_id = GrantId(new_id("grt"))
        allowed = _Allowed(new_secret(CODE), grant_id, scope, choice.tools_at, choice.ends_at(now))
    interaction = await context.database.write(_decide, view, client, hash_secret(flow), browser, allowed, now)
    if interaction is None:
        raise request_over()
    request = interaction.request
    if allowed is None:
        error = OAuthError(ACCESS_DENIED, "The person declined.")
        return build_refusal(view, client, request.redirect_uri, request.state, error, outcome="denied")
    answer = build_answer(view, client, request.redirect_uri, request.state, {"code": allowed.code}, outcome="allowed")
    return replace(answer, grant_id=allowed.grant_id)


async def _decide(
    tx: Transaction,
    view: ProjectView,
    client: Client,
    interaction_hash: TokenHash,
    browser: tuple[Session, Device],
    allowed: _Allowed | None,
    now: int,
) -> Interaction | None:
    """Consume the request and write what follows from the decision, in one transaction.

    `allowed` is None when they declined.
    """
    project_id = view.project.project_id
    session, device = browser
    interaction = await consume_interaction(tx, project_id, interaction_hash, session.session_hash, now)
    if interaction is None:
        return None
    request = interaction.request
    if request.pushed is not None:
        pushed_hash = TokenHash(bytes.fromhex(request.pushed))
        if not await consume_pushed_request(tx, project_id, pushed_hash, now):
            return None  # decided on in another tab
    resource = view.resource(request.resource_id)
    if resource is None or not await is_still_admitted(tx, view, client, allow=allowed is not None, now=now):
        return None  # removed or suspended while the person was deciding
    if allowed is not None:
        await add_grant(
            tx,
            Grant(
                project_id=project_id,
                grant_id=allowed.grant_id,
                user_id=interaction.user_id,
                client_id=request.client_id,
                resource_id=request.resource_id,
                scope=allowed.scope,
                redirect_uri=request.redirect_uri,
                created_at=now,
                device_label=device.label,
                device_id=device.device_id,
                auth_time=session.created_at,
                alias=request.alias,
                tools_at=min(allowed.tools_at, resource.tools_version),
                expires_at=allowed.expires_at,
            ),
        )
        await add_code(tx, _build_code(view, request, allowed, now))
    await record(tx, project_id, _build_event(interaction, allowed), now)
    return interaction


def _build_event(interaction: Interaction, allowed: _Allowed | None) -> AuditEvent:
    """What the audit trail keeps: who decided, for which client, on what, and the connection it opened.

    `scope` is what was allowed, or declined; `not_allowed` what of the request a person who allowed less held back.
    """
    request = interaction.request
    scope = request.scope if allowed is None else allowed.scope
    return AuditEvent(
        audit.CONSENT_DENIED if allowed is None else audit.CONSENT_ALLOWED,
        audit.user_actor(interaction.user_id),
        audit.client_actor(request.client_id),
        {
            "resource": request.resource_id,
            "scope": " ".join(scope),
            "not_allowed": " ".join(missing(request.scope, scope)),
            "left_out": " ".join(request.dropped),
            "grant": allowed and allowed.grant_id,
            **({"expires_at": allowed.expires_at} if allowed and allowed.expires_at else {}),
        },
    )


async def is_still_admitted(tx: Transaction, view: ProjectView, client: Client, *, allow: bool, now: int) -> bool:
    """Whether the client may have a grant; one that spoke for itself so far gets its row with an Allow, not before."""
    stored = await find_client(tx, client.project_id, client.client_id)
    if stored is not None:
        return stored.status == "active"
    if client.kind not in ("sealed", "document") or view.project.settings.registration_mode == "approval":
        return False  # removed, or the project began to approve clients, while the person was deciding
    if allow:
        await ensure_client(tx, replace(client, expires_at=now + UNUSED_LIFE_MS))
    return True


def _build_code(view: ProjectView, request: AuthorizationRequest, allowed: _Allowed, now: int) -> Code:
    return Code(
        project_id=view.project.project_id,
        code_hash=hash_secret(allowed.code),
        grant_id=allowed.grant_id,
        client_id=request.client_id,
        redirect_uri=request.redirect_uri,
        redirect_uri_sent=request.redirect_uri_sent,
        code_challenge=request.code_challenge,
        expires_at=now + view.project.settings.code_seconds * 1000,
        dpop_jkt=request.dpop_jkt,
    )


def request_gone() -> PageError:
    """What the person decided on is no longer there."""
    return PageError("This request is over", "The app or the server it was for was removed meanwhile.", START_AGAIN)
