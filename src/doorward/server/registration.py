"""Dynamic client registration: open, or with the project's registration secret.

Spec: RFC 7591 (DCR-01 … DCR-22); clients.md §3.2
"""

from doorward.asgi import Request, Response, json_response
from doorward.core import audit
from doorward.core.limits import REGISTER_KEY, REGISTER_PROJECT, REGISTER_SOURCE, Limit
from doorward.core.models import AuditEvent, Client, ProjectKey
from doorward.core.secrets import CLIENT_SECRET, hash_secret, new_id, new_secret
from doorward.oauth.bearer import build_challenge, parse_bearer
from doorward.oauth.errors import ACCESS_DENIED, INVALID_TOKEN, OAuthError
from doorward.oauth.forms import parse_json_object
from doorward.oauth.ids import ClientId
from doorward.oauth.metadata import ClientMetadata, parse_client_metadata
from doorward.oauth.redirects import display_host
from doorward.oauth.scopes import OFFLINE_ACCESS, Scopes, narrow, union
from doorward.storage.audit import record
from doorward.storage.clients import add_client, count_clients
from doorward.storage.database import Transaction
from doorward.storage.keys import find_project_key
from doorward.storage.throttles import spend

from .context import Context
from .documents import GRANT_TYPES
from .limiter import TooManyRequests, source_of
from .tenancy import ProjectView

MAX_CLIENTS = 10_000
QUOTA_WAIT_MS = 3_600_000
UNUSED_LIFE_MS = 30 * 86_400_000
IDLE_LIFE_MS = 180 * 86_400_000


async def answer_register(context: Context, view: ProjectView, request: Request) -> Response:
    """Register a client and answer 201 with everything that was registered."""
    key = await authenticate_key(context, view, request, "register")
    _check_mode(view, key)
    members = parse_json_object(await request.body(), request.header("content-type"))
    metadata = parse_client_metadata(members, supported_grants=GRANT_TYPES)
    metadata = metadata.with_scope(_registered_scope(view, metadata.scope))
    client, secret = _build_client(view, metadata, request.now)
    source = source_of(context, request)
    actor = audit.key_actor(key.key_id) if key else f"source:{source}"
    limits: list[tuple[Limit, str]] = (
        [(REGISTER_KEY, key.key_id)] if key else [(REGISTER_SOURCE, source), (REGISTER_PROJECT, "all")]
    )
    wait = await context.database.write(_store, client, actor, limits, request.now)
    if wait:
        raise TooManyRequests(wait)
    return json_response(_registration(client, secret), status=201)


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


def unauthorized(description: str, *, presented: bool) -> OAuthError:
    """401 with a Bearer challenge; its error is named only when credentials were presented. Spec: RFC 6750 §3.1"""
    challenge = build_challenge(
        error=INVALID_TOKEN if presented else None, description=description if presented else None
    )
    return OAuthError(INVALID_TOKEN, description, status=401, headers={"www-authenticate": challenge})


def _check_mode(view: ProjectView, key: ProjectKey | None) -> None:
    mode = view.project.settings.registration_mode
    if mode == "closed":
        raise OAuthError(ACCESS_DENIED, "Registration is closed here; ask the operator for a client.", status=403)
    if mode == "protected" and key is None:
        raise unauthorized(
            "Registration here needs the project's registration secret as a bearer token.", presented=False
        )


def _registered_scope(view: ProjectView, asked: Scopes) -> Scopes:
    """The known part of what was asked, or the defaults: clients rebuild themselves from this answer."""
    known = union(*(resource.scope_names for resource in view.resources), (OFFLINE_ACCESS,))
    defaults = union(*(resource.default_scopes for resource in view.resources))
    return narrow(asked, known) or defaults


def _build_client(view: ProjectView, metadata: ClientMetadata, now: int) -> tuple[Client, str | None]:
    secret = None if metadata.token_endpoint_auth_method == "none" else new_secret(CLIENT_SECRET)
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
    )
    return client, secret


async def _store(tx: Transaction, client: Client, actor: str, limits: list[tuple[Limit, str]], now: int) -> int:
    """Store the client unless a limit or the project's quota is spent; the milliseconds to wait then."""
    for limit, subject in limits:
        if wait := await spend(tx, client.project_id, limit, subject, now):
            return wait
    if await count_clients(tx, client.project_id) >= MAX_CLIENTS:
        return QUOTA_WAIT_MS
    await add_client(tx, client)
    detail = {
        "name": client.metadata.client_name,
        "redirects": [display_host(uri) for uri in client.metadata.redirect_uris],
    }
    event = AuditEvent(audit.CLIENT_REGISTERED, actor, audit.client_actor(client.client_id), detail)
    await record(tx, client.project_id, event, now)
    return 0


def _registration(client: Client, secret: str | None) -> dict[str, object]:
    """The answer: all registered metadata, no null anywhere. Spec: RFC 7591 §3.2.1 (DCR-05)"""
    answer: dict[str, object] = {"client_id": client.client_id, "client_id_issued_at": client.created_at // 1000}
    if secret is not None:
        answer |= {"client_secret": secret, "client_secret_expires_at": 0}
    return answer | client.metadata.document()
