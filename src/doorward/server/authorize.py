"""The authorization endpoint: checks the request, and is the only dispatcher of the steps a person goes through.

Until the client and its redirect URI are known to be right, everything that is wrong is a page. After that it is an
answer to the client, carrying `state` and always `iss`; it goes out by itself only to places that cannot be an
attacker's web site: this machine, or a client an operator vouches for.

Spec: OAuth 2.1 §4.1 (AUTHZ-01 … AUTHZ-14); RFC 9207 (ISS-01 … ISS-03); T50
"""

import re
from dataclasses import dataclass, field, replace
from typing import Literal

from doorward.core import audit
from doorward.core.interaction import Progress, next_step
from doorward.core.limits import AUTHORIZE_SESSION
from doorward.core.models import (
    AuditEvent,
    AuthorizationRequest,
    Client,
    Code,
    Grant,
    Interaction,
    Resource,
    Session,
    User,
)
from doorward.core.policy import asked_alias, select_resource, select_scopes
from doorward.core.secrets import CODE, FLOW, hash_secret, new_id, new_secret
from doorward.oauth.errors import (
    ACCESS_DENIED,
    TEMPORARILY_UNAVAILABLE,
    UNAUTHORIZED_CLIENT,
    UNSUPPORTED_RESPONSE_TYPE,
    OAuthError,
    invalid_request,
)
from doorward.oauth.forms import Form
from doorward.oauth.ids import GrantId, TokenHash
from doorward.oauth.pkce import parse_challenge
from doorward.oauth.redirects import RedirectKind, add_parameters, display_host, find_registered, redirect_kind
from doorward.storage.audit import record
from doorward.storage.clients import ensure_client, find_client
from doorward.storage.codes import add_code
from doorward.storage.database import Transaction
from doorward.storage.grants import add_grant
from doorward.storage.interactions import add_interaction, consume_interaction, find_interaction
from doorward.storage.throttles import spend

from .admission import check_admission, find_requesting_client
from .clients import DocumentRefused, UnknownClient, discover_client
from .context import Context
from .page_error import START_AGAIN, PageError
from .tenancy import ProjectView
from .too_many import TooManyRequests

INTERACTION_LIFE_MS = 600_000
UNUSED_LIFE_MS = 30 * 86_400_000
MAX_STATE_LENGTH = 4096
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")

Outcome = Literal["allowed", "denied", "error"]


@dataclass(frozen=True, slots=True)
class SignIn:
    """Nobody is signed in: sign in, then come back with the same request."""

    client: Client
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class Consent:
    """A person has to decide. `flow` names the stored request, and only works in the session it was made in."""

    flow: str
    client: Client
    resource: Resource
    request: AuthorizationRequest


@dataclass(frozen=True, slots=True)
class ReturnToClient:
    """The answer for the client. `automatic` is False where a person must choose to follow it."""

    target: str
    host: str
    kind: RedirectKind
    client_name: str
    outcome: Outcome
    automatic: bool
    error: OAuthError | None = field(default=None)


async def begin(
    context: Context,
    view: ProjectView,
    form: Form,
    signed_in: tuple[Session, User] | None,
    *,
    source: str,
    now: int,
) -> SignIn | Consent | ReturnToClient:
    """Check a request and say the next step. Looking at it any number of times changes nothing for the client.

    Raises `PageError`.
    """
    client = await find_requesting_client(context, view, form, source=source)
    redirect_uri = _find_redirect_uri(client, form)
    try:
        request = _parse_request(view, client, redirect_uri, form)
    except OAuthError as error:
        return _refuse(view, client, redirect_uri, form.get("state") if "state" not in form.repeated else None, error)
    if next_step(Progress(signed_in=signed_in is not None)) == "sign_in" or signed_in is None:
        return SignIn(client, redirect_uri)
    session, user = signed_in
    await check_admission(context, view, client, user, now=now)
    flow = new_secret(FLOW)
    interaction = Interaction(
        project_id=view.project.project_id,
        interaction_hash=hash_secret(flow),
        session_hash=session.session_hash,
        user_id=user.user_id,
        request=request,
        expires_at=now + INTERACTION_LIFE_MS,
    )
    wait = await context.database.write(_store_interaction, interaction, now)
    if wait:
        raise TooManyRequests(wait)
    resource = view.resource(request.resource_id)
    if resource is None:
        raise _gone()
    return Consent(flow, client, resource, request)


async def decide(
    context: Context, view: ProjectView, flow: str, session: Session, *, allow: bool, now: int
) -> ReturnToClient:
    """Spend the stored request: a code for `allow`, `access_denied` otherwise. Raises `PageError` when it is over.

    Spec: CON-04, CON-06 (I1)
    """
    waiting = await context.database.read(
        find_interaction, view.project.project_id, hash_secret(flow), session.session_hash, now
    )
    if waiting is None:
        raise _over()
    try:
        client = await discover_client(context, view, waiting.request.client_id, source="")
    except (UnknownClient, DocumentRefused):
        raise _gone() from None
    if find_registered(client.metadata.redirect_uris, waiting.request.redirect_uri) is None:
        raise _gone()  # its document changed meanwhile: nothing goes to a place it does not name any more (T6)
    code = new_secret(CODE)
    interaction = await context.database.write(
        _decide, view, client, hash_secret(flow), session, code if allow else None, now
    )
    if interaction is None:
        raise _over()
    request = interaction.request
    if not allow:
        error = OAuthError(ACCESS_DENIED, "The person declined.")
        return _refuse(view, client, request.redirect_uri, request.state, error, outcome="denied")
    return _answer(view, client, request.redirect_uri, request.state, {"code": code}, outcome="allowed")


def _find_redirect_uri(client: Client, form: Form) -> str:
    """The redirect URI to answer to. Spec: RDU-02, RDU-07"""
    registered = client.metadata.redirect_uris
    requested = form.get("redirect_uri")
    if "redirect_uri" in form.repeated:
        raise PageError("This link is malformed", "It names two places to return to.", START_AGAIN)
    if requested is None:
        if len(registered) == 1:
            return registered[0]
        raise PageError("This link is incomplete", "It does not say where to return to.", START_AGAIN)
    if find_registered(registered, requested) is None:
        raise PageError(
            "This app asked to return to a place it is not registered for",
            f"It asked for {requested[:200]}. Registered: {', '.join(registered)[:600]}.",
            (
                "If you did not expect this, close the page: someone may be trying to misuse the app's name.",
                "Otherwise remove this server in the app and add it again.",
            ),
        )
    return requested


def _parse_request(view: ProjectView, client: Client, redirect_uri: str, form: Form) -> AuthorizationRequest:
    """Everything that is answered to the client when it is wrong. Spec: AUTHZ-02, AUTHZ-03, AUTHZ-11"""
    if form.repeated:
        raise invalid_request("A parameter is repeated.")
    state = form.get("state")
    if state is not None and len(state.encode()) > MAX_STATE_LENGTH:
        raise invalid_request(f"The state is longer than {MAX_STATE_LENGTH} bytes.")
    response_type = form.require("response_type")
    if response_type != "code":
        raise OAuthError(UNSUPPORTED_RESPONSE_TYPE, "The only supported response_type is code.")
    if form.get("response_mode", "query") != "query":
        raise invalid_request("The only supported response_mode is query.")
    if "authorization_code" not in client.metadata.grant_types:
        raise OAuthError(UNAUTHORIZED_CLIENT, "The client is not registered for the authorization code grant.")
    if "request" in form or "request_uri" in form:
        raise invalid_request("Request objects are not supported.")
    challenge = parse_challenge(form.get("code_challenge"), form.get("code_challenge_method"))
    resource = select_resource(form.resources, view.resources)
    if resource.stopped_at is not None or view.project.stopped_at is not None:
        raise OAuthError(TEMPORARILY_UNAVAILABLE, "An administrator has stopped this server for now.")
    scope, dropped = select_scopes(form.get("scope"), resource, client)
    return AuthorizationRequest(
        client_id=client.client_id,
        redirect_uri=redirect_uri,
        state=state,
        code_challenge=challenge,
        resource_id=resource.resource_id,
        scope=scope,
        dropped=dropped,
        redirect_uri_sent="redirect_uri" in form,
        alias=asked_alias(form.resources, resource),
        dpop_jkt=_parse_thumbprint(form.get("dpop_jkt")),
    )


def _parse_thumbprint(text: str | None) -> str | None:
    """The key that the code is to be bound to. Spec: RFC 9449 §10"""
    if text is not None and not _THUMBPRINT.fullmatch(text):
        raise invalid_request("The dpop_jkt must be a SHA-256 thumbprint in base64url.")
    return text


def _refuse(
    view: ProjectView,
    client: Client,
    redirect_uri: str,
    state: str | None,
    error: OAuthError,
    outcome: Outcome = "error",
) -> ReturnToClient:
    return _answer(view, client, redirect_uri, state, error.body(), outcome=outcome, error=error)


def _answer(
    view: ProjectView,
    client: Client,
    redirect_uri: str,
    state: str | None,
    parameters: dict[str, str],
    *,
    outcome: Outcome,
    error: OAuthError | None = None,
) -> ReturnToClient:
    """Build the answer; `iss` is in every one. Spec: ISS-01 … ISS-03, AUTHZ-12"""
    kind = redirect_kind(redirect_uri)
    if state is not None:
        parameters = {**parameters, "state": state}
    return ReturnToClient(
        target=add_parameters(redirect_uri, {**parameters, "iss": view.issuer}),
        host=display_host(redirect_uri),
        kind=kind,
        client_name=client.metadata.client_name or display_host(redirect_uri),
        outcome=outcome,
        automatic=outcome == "allowed" or client.is_verified or kind == "loopback",
        error=error,
    )


async def _store_interaction(tx: Transaction, interaction: Interaction, now: int) -> int:
    """Store the request; the milliseconds to wait when this browser has opened too many."""
    session = interaction.session_hash.hex()[:32]
    wait = await spend(tx, interaction.project_id, AUTHORIZE_SESSION, session, now)
    if not wait:
        await add_interaction(tx, interaction, now)
    return wait


async def _decide(
    tx: Transaction,
    view: ProjectView,
    client: Client,
    interaction_hash: TokenHash,
    session: Session,
    code: str | None,
    now: int,
) -> Interaction | None:
    """Consume the request and write what follows from the decision, in one transaction."""
    project_id = view.project.project_id
    interaction = await consume_interaction(tx, project_id, interaction_hash, session.session_hash, now)
    if interaction is None:
        return None
    request = interaction.request
    if view.resource(request.resource_id) is None or not await _is_still_admitted(
        tx, view, client, allow=code is not None, now=now
    ):
        return None  # removed or suspended while the person was deciding
    grant_id = GrantId(new_id("grt"))
    if code is not None:
        await add_grant(
            tx,
            Grant(
                project_id=project_id,
                grant_id=grant_id,
                user_id=interaction.user_id,
                client_id=request.client_id,
                resource_id=request.resource_id,
                scope=request.scope,
                redirect_uri=request.redirect_uri,
                created_at=now,
                auth_time=session.created_at,
                alias=request.alias,
            ),
        )
        await add_code(tx, _build_code(view, request, grant_id, code, now))
    await record(
        tx,
        project_id,
        AuditEvent(
            audit.CONSENT_ALLOWED if code is not None else audit.CONSENT_DENIED,
            audit.user_actor(interaction.user_id),
            audit.client_actor(request.client_id),
            {"resource": request.resource_id, "scope": " ".join(request.scope), "grant": grant_id if code else None},
        ),
        now,
    )
    return interaction


async def _is_still_admitted(tx: Transaction, view: ProjectView, client: Client, *, allow: bool, now: int) -> bool:
    """Whether the client may have a grant; one that spoke for itself so far gets its row with an Allow, not before."""
    stored = await find_client(tx, client.project_id, client.client_id)
    if stored is not None:
        return stored.status == "active"
    if client.kind not in ("sealed", "document") or view.project.settings.registration_mode == "approval":
        return False  # removed, or the project began to approve clients, while the person was deciding
    if allow:
        await ensure_client(tx, replace(client, expires_at=now + UNUSED_LIFE_MS))
    return True


def _build_code(view: ProjectView, request: AuthorizationRequest, grant_id: GrantId, code: str, now: int) -> Code:
    return Code(
        project_id=view.project.project_id,
        code_hash=hash_secret(code),
        grant_id=grant_id,
        client_id=request.client_id,
        redirect_uri=request.redirect_uri,
        redirect_uri_sent=request.redirect_uri_sent,
        code_challenge=request.code_challenge,
        expires_at=now + view.project.settings.code_seconds * 1000,
        dpop_jkt=request.dpop_jkt,
    )


def _over() -> PageError:
    return PageError(
        "This request is over",
        "It was answered already, waited too long, or was opened in another browser.",
        START_AGAIN,
    )


def _gone() -> PageError:
    return PageError("This request is over", "The app or the server it was for was removed meanwhile.", START_AGAIN)
