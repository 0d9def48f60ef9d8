"""Dynamic client registration: in five modes, sealed where nothing has to be stored.

A public client gets a sealed id and leaves no trace until somebody consents. A confidential one is stored, within
limits and quotas. The answer tells everything that was registered.

Spec: RFC 7591 (DCR-01 … DCR-22); clients.md §3.2; core/sealing
"""

from dataclasses import dataclass, replace
from typing import Any

from doorward.asgi import Request, Response, json_response
from doorward.core import audit
from doorward.core.limits import REGISTER_HOST, REGISTER_KEY, REGISTER_PROJECT, REGISTER_SOURCE, Limit
from doorward.core.models import SELF_REGISTERED_GRANTS, AuditEvent, Client, ProjectKey
from doorward.core.policy import build_fingerprint
from doorward.core.secrets import (
    CLIENT_SECRET,
    INITIAL_ACCESS_TOKEN,
    REGISTRATION_TOKEN,
    derive_secret,
    hash_secret,
    is_well_formed,
    new_id,
    new_secret,
)
from doorward.oauth.bearer import build_challenge, parse_bearer
from doorward.oauth.errors import ACCESS_DENIED, INVALID_TOKEN, OAuthError
from doorward.oauth.forms import parse_json_object
from doorward.oauth.ids import ClientId, TokenHash
from doorward.oauth.metadata import SECRET_AUTH_METHODS, ClientMetadata, parse_client_metadata
from doorward.oauth.redirects import display_host, redirect_kind
from doorward.oauth.scopes import OFFLINE_ACCESS, Scopes, narrow, union
from doorward.storage.audit import record
from doorward.storage.clients import add_client, count_clients
from doorward.storage.database import Transaction
from doorward.storage.keys import find_project_key
from doorward.storage.registrations import consume_initial_access_token
from doorward.storage.superseding import supersede_clients
from doorward.storage.throttles import spend

from .context import Context
from .limiter import source_of
from .redirect_rules import keep_redirects
from .software import apply_software_statement
from .tenancy import ProjectView
from .too_many import TooManyRequests

MAX_CLIENTS = 10_000
QUOTA_WAIT_MS = 3_600_000
UNUSED_LIFE_MS = 30 * 86_400_000
LOGIN_TAKES_MS = 3_600_000
"""How long a registration stays that nobody used, after a later one of the same program."""
_RECEIPT = "registration"


@dataclass(frozen=True, slots=True)
class Registrant:
    """On whose authority a registration comes: a project key, an initial access token, or nobody's."""

    source: str
    key: ProjectKey | None = None
    initial_token: TokenHash | None = None

    @property
    def is_trusted(self) -> bool:
        return self.key is not None or self.initial_token is not None

    @property
    def actor(self) -> str:
        if self.key is not None:
            return audit.key_actor(self.key.key_id)
        return "initial-access-token" if self.initial_token is not None else f"source:{self.source}"


async def answer_register(context: Context, view: ProjectView, request: Request) -> Response:
    """Register a client and answer 201 with everything that was registered."""
    registrant = await _identify(context, view, request)
    _check_mode(view, registrant)
    members = parse_json_object(await request.body(), request.header("content-type"))
    members, verified_by = await apply_software_statement(context, view, members, now=request.now)
    is_vouched_for = registrant.is_trusted or verified_by is not None
    members, told = keep_redirects(view, members, is_vouched_for=is_vouched_for)
    metadata = parse_registration(view, members)
    sealed = None
    if metadata.token_endpoint_auth_method == "none" and _may_seal(view, registrant, verified_by):
        sealed = context.sealer.seal(view.project.project_id, metadata.document(), now=request.now)
    if sealed is not None:
        if registrant.initial_token is not None:
            await _spend_initial_token(context, view, registrant.initial_token, request.now)
        token = registration_token(context, sealed)
        request.learn(client_id=sealed)
        answer = build_registration(view, sealed, metadata, issued_at=request.now, registration_token=token)
        return json_response(answer | told, status=201)
    if verified_by is not None:
        told["software_statement"] = members["software_statement"]
    return await _register_stored(context, view, request, registrant, metadata, verified_by, told=told)


async def authenticate_key(context: Context, view: ProjectView, request: Request, capability: str) -> ProjectKey | None:
    """The project key a request carries, or None when it carries no bearer credentials.

    A key that is unknown, revoked, of another project or without the capability is 401, in the words of RFC 6750
    and never as a registration error.

    Spec: RFC 7591 §3.2.2 (DCR-07, T16)
    """
    secret = parse_bearer(request.headers("authorization"))
    if secret is None:
        return None
    key = await context.database.read(find_project_key, view.project.project_id, hash_secret(secret), request.now)
    if key is None or capability not in key.capabilities:
        raise unauthorized(f"The bearer secret may not {capability} here.", presented=True)
    return key


def parse_registration(view: ProjectView, members: dict[str, Any]) -> ClientMetadata:
    """What is registered of what a client says.

    One that holds a secret and did not say how it sends it may send it either way: Copilot Studio is given the
    default of the RFC and uses the other.
    """
    offered = [grant for grant in SELF_REGISTERED_GRANTS if grant in view.grant_types]
    metadata = parse_client_metadata(members, supported_grants=offered)
    if metadata.token_endpoint_auth_method in SECRET_AUTH_METHODS and not members.get("token_endpoint_auth_method"):
        metadata = replace(metadata, auth_methods=SECRET_AUTH_METHODS)
    return metadata.with_scope(registered_scope(view, metadata.scope))


def unauthorized(description: str, *, presented: bool) -> OAuthError:
    """401 with a Bearer challenge; its error is named only when credentials were presented. Spec: RFC 6750 §3.1"""
    challenge = build_challenge(
        error=INVALID_TOKEN if presented else None, description=description if presented else None
    )
    return OAuthError(INVALID_TOKEN, description, status=401, headers={"www-authenticate": challenge})


def registered_scope(view: ProjectView, asked: Scopes) -> Scopes:
    """The known part of what was asked, or the defaults: clients rebuild themselves from this answer."""
    known = union(*(resource.known_scopes for resource in view.resources), (OFFLINE_ACCESS,))
    defaults = union(*(resource.default_scopes for resource in view.resources))
    return narrow(asked, known) or defaults


def registration_token(context: Context, client_id: ClientId) -> str:
    """The token that manages a sealed registration: derived, so that nothing is stored for it either."""
    return derive_secret(context.form_key, REGISTRATION_TOKEN, f"{_RECEIPT}:{client_id}")


def build_registration(
    view: ProjectView,
    client_id: ClientId,
    metadata: ClientMetadata,
    *,
    issued_at: int,
    registration_token: str | None,
    secret: str | None = None,
    secret_expires_at: int | None = None,
) -> dict[str, Any]:
    """The answer of registering and managing: all registered metadata, no null anywhere.

    Spec: RFC 7591 §3.2.1 (DCR-05); RFC 7592 §3 (DCM-08)
    """
    answer: dict[str, Any] = {"client_id": client_id, "client_id_issued_at": issued_at // 1000}
    if secret is not None:
        answer |= {"client_secret": secret, "client_secret_expires_at": (secret_expires_at or 0) // 1000}
    if registration_token is not None:
        answer |= {
            "registration_client_uri": f"{view.issuer}/api/oauth/register/{client_id}",
            "registration_access_token": registration_token,
        }
    return answer | (replace(metadata, auth_methods=()) if metadata.auth_methods else metadata).document()


async def _identify(context: Context, view: ProjectView, request: Request) -> Registrant:
    source = source_of(context, request)
    presented = parse_bearer(request.headers("authorization"))
    if presented is not None and is_well_formed(presented, INITIAL_ACCESS_TOKEN):
        return Registrant(source, initial_token=hash_secret(presented))
    return Registrant(source, key=await authenticate_key(context, view, request, "register"))


def _check_mode(view: ProjectView, registrant: Registrant) -> None:
    mode = view.project.settings.registration_mode
    if mode == "closed":
        raise OAuthError(ACCESS_DENIED, "Registration is closed here; ask the operator for a client.", status=403)
    if mode == "protected" and not registrant.is_trusted:
        raise unauthorized(
            "Registration here needs the project's registration secret or an initial access token.", presented=False
        )


def _may_seal(view: ProjectView, registrant: Registrant, verified_by: str | None) -> bool:
    """Whether the id may carry everything that has to be known of the client later.

    Who vouched for it does not travel in a sealed id, and two modes ask for that again when it is used.
    """
    asks_again = view.project.settings.registration_mode in ("approved_redirects", "approval")
    return verified_by is None and not (registrant.is_trusted and asks_again)


async def _register_stored(
    context: Context,
    view: ProjectView,
    request: Request,
    registrant: Registrant,
    metadata: ClientMetadata,
    verified_by: str | None,
    *,
    told: dict[str, Any],
) -> Response:
    """Store the client, in the transaction that spends what allowed it."""
    settings, now = view.project.settings, request.now
    secret = None if metadata.token_endpoint_auth_method == "none" else new_secret(CLIENT_SECRET)
    token = new_secret(REGISTRATION_TOKEN)
    secret_life_ms = settings.client_secret_seconds * 1000
    waits = settings.registration_mode == "approval" and not registrant.is_trusted and verified_by is None
    client = Client(
        project_id=view.project.project_id,
        client_id=ClientId(new_id("mcl")),
        kind="registered",
        metadata=metadata,
        secret_hash=hash_secret(secret) if secret else None,
        created_at=now,
        activated_at=None,
        last_used_at=None,
        expires_at=now + UNUSED_LIFE_MS,
        status="pending" if waits else "active",
        secret_expires_at=now + secret_life_ms if secret and secret_life_ms else None,
        registration_token_hash=hash_secret(token),
        verified_by=verified_by,
        fingerprint=None
        if waits or registrant.is_trusted
        else build_fingerprint(metadata, source=registrant.source, verified_by=verified_by),
    )
    wait = await context.database.write(_store, client, registrant, now)
    if wait is None:
        raise _spent_token()
    if wait:
        raise TooManyRequests(wait)
    request.learn(client_id=client.client_id)
    answer = build_registration(
        view,
        client.client_id,
        metadata,
        issued_at=now,
        registration_token=token,
        secret=secret,
        secret_expires_at=client.secret_expires_at,
    )
    return json_response(answer | told, status=201)


def _limits(registrant: Registrant, client: Client) -> list[tuple[Limit, str]]:
    if registrant.key is not None:
        return [(REGISTER_KEY, registrant.key.key_id)]
    if registrant.initial_token is not None:
        return []
    hosts = {display_host(uri) for uri in client.metadata.redirect_uris if redirect_kind(uri) == "https"}
    return [
        (REGISTER_SOURCE, registrant.source),
        (REGISTER_PROJECT, "all"),
        *((REGISTER_HOST, host) for host in sorted(hosts)),
    ]


async def _store(tx: Transaction, client: Client, registrant: Registrant, now: int) -> int | None:
    """Store the client in the place of those it supersedes.

    0 when done, milliseconds to wait when a limit is spent, None for a spent token.
    """
    for limit, subject in _limits(registrant, client):  # first: a flood is to cost no more than this
        if wait := await spend(tx, client.project_id, limit, subject, now):
            return wait
    if await count_clients(tx, client.project_id) >= MAX_CLIENTS:
        return QUOTA_WAIT_MS
    token = registrant.initial_token
    if token is not None and await consume_initial_access_token(tx, client.project_id, token, now) is None:
        return None
    superseded = 0
    if client.fingerprint is not None:
        superseded = await supersede_clients(tx, client.project_id, client.fingerprint, now - LOGIN_TAKES_MS)
    await add_client(tx, client)
    detail = {
        "name": client.metadata.client_name,
        "redirects": [display_host(uri) for uri in client.metadata.redirect_uris],
        "status": client.status,
        **({"superseded": superseded} if superseded else {}),
    }
    event = AuditEvent(audit.CLIENT_REGISTERED, registrant.actor, audit.client_actor(client.client_id), detail)
    await record(tx, client.project_id, event, now)
    return 0


async def _spend_initial_token(context: Context, view: ProjectView, token_hash: TokenHash, now: int) -> None:
    spent = await context.database.write(consume_initial_access_token, view.project.project_id, token_hash, now)
    if spent is None:
        raise _spent_token()


def _spent_token() -> OAuthError:
    return unauthorized("The initial access token was used up, has expired, or is not of this project.", presented=True)
