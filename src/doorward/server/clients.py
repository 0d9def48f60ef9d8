"""client_id → Client: every way in which a client can be known, in one place.

A row in the database wins; then a sealed id speaks for itself; then, where an authorization request begins or a
device asks first, the URL of a metadata document is fetched. Token, revocation and introspection never fetch on
behalf of an unknown client, unless an issuer that the project trusts has signed that it may come (vouched_clients); one
whose device waits is known, although it has no row yet.

Spec: REG-02, REG-05; CIMD-05, CIMD-16, CIMD-23, CIMD-27; complaints 2, 3, 9
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from doorward.core import audit
from doorward.core.known_clients import find_known_document
from doorward.core.limits import DOCUMENT_SOURCE
from doorward.core.models import SELF_REGISTERED_GRANTS, AuditEvent, Client
from doorward.core.policy import changed_members, is_host_within
from doorward.core.sealing import is_sealed
from doorward.oauth.client_documents import check_document_url, is_document_url, parse_client_document
from doorward.oauth.errors import OAuthError
from doorward.oauth.ids import ClientId
from doorward.oauth.metadata import ClientMetadata, load_client_metadata
from doorward.settings import is_loopback_host
from doorward.storage.audit import record
from doorward.storage.clients import find_client, update_client_metadata
from doorward.storage.database import Transaction
from doorward.storage.device_codes import is_client_awaited
from doorward.storage.registrations import Tombstone, find_tombstone

from .context import Context
from .document_source import MAX_STALE_MS, DocumentUnavailable
from .limiter import spend_limit
from .tenancy import ProjectView

MAX_CLIENT_ID_LENGTH = 2048
IDLE_LIFE_MS = 180 * 86_400_000
Resolve = Callable[[Context, ProjectView, str], Awaitable[Client | None]]
"""The client of an id, or None where it is not known."""


@dataclass(frozen=True, slots=True)
class UnknownClient(Exception):  # noqa: N818  # a state, told to a person
    """No client has this id: what became of it, if anything is known."""

    tombstone: Tombstone | None = None
    is_foreign_seal: bool = False


class DocumentRefused(Exception):  # noqa: N818  # a decision, told to a person
    """The client's metadata document cannot be used: policy, fetch or content. `is_final` unless trying may help."""

    def __init__(self, reason: str, *, is_final: bool = True) -> None:
        super().__init__(reason)
        self.is_final = is_final


async def resolve_client(context: Context, view: ProjectView, client_id: str) -> Client | None:
    """The client of this project with this id, or None; nothing is fetched for one that is unknown.

    A registration that nobody used in its time is as good as unknown; what was used once stays until the sweeper,
    which spares clients with a live grant, removes it.
    """
    client = await _find_known(context, view, client_id)
    if client is None and is_document_url(client_id):
        return await _find_awaited(context, view, client_id)
    return client


async def discover_client(
    context: Context, view: ProjectView, client_id: str, *, source: str, is_named: bool = False
) -> Client:
    """The client of an authorization request, its document fetched when it is known by one.

    `is_named` says that an operator wrote its id down, so that it is no new one where no new ones are let in.

    Raises `UnknownClient` and `DocumentRefused`, and `TooManyRequests` for a source that asks for too many documents.
    """
    client = await _find_known(context, view, client_id)
    if client is None:
        buried = await context.database.read(find_tombstone, view.project.project_id, client_id[:MAX_CLIENT_ID_LENGTH])
        kept_out = buried is not None and buried.reason in ("removed", "denied")
        if kept_out or not is_document_url(client_id):
            raise UnknownClient(buried, is_sealed(client_id))
    if client is None or is_document_url(client_id):
        return await _read_document(context, view, client_id, client, source=source, is_named=is_named)
    return client


async def _find_known(context: Context, view: ProjectView, client_id: str) -> Client | None:
    """The client that has a row or speaks for itself."""
    if len(client_id) > MAX_CLIENT_ID_LENGTH:
        return None
    client = await context.database.read(find_client, view.project.project_id, client_id)
    if client is None:
        return await _unseal(context, view, client_id)
    is_unused = client.kind == "registered" and client.activated_at is None
    if is_unused and client.expires_at is not None and client.expires_at <= context.clock():
        return None
    return client


async def _find_awaited(context: Context, view: ProjectView, client_id: str) -> Client | None:
    """The client of a document whose device asks what was decided: until somebody lets it in, it has no row.

    Its document was fetched when the device came; it is fetched again only once that copy has run out.
    """
    if not await context.database.read(is_client_awaited, view.project.project_id, client_id, context.clock()):
        return None
    try:
        return await discover_client(context, view, client_id, source="")
    except (UnknownClient, DocumentRefused):
        return None


async def _unseal(context: Context, view: ProjectView, client_id: str) -> Client | None:
    """The client that a sealed id of ours carries, unless it was deleted by whoever registered it."""
    unsealed = context.sealer.unseal(view.project.project_id, client_id)
    if unsealed is None:
        return None
    if await context.database.read(find_tombstone, view.project.project_id, client_id) is not None:
        return None
    return Client(
        project_id=view.project.project_id,
        client_id=ClientId(client_id),
        kind="sealed",
        metadata=load_client_metadata(unsealed.metadata),
        secret_hash=None,
        created_at=unsealed.issued_at,
        activated_at=None,
        last_used_at=None,
        expires_at=None,
    )


async def _read_document(
    context: Context, view: ProjectView, client_id: str, stored: Client | None, *, source: str, is_named: bool
) -> Client:
    """The client of a document as fresh as it can be had; a copy that was good before outlives a failed fetch."""
    _check_document_policy(context, view, client_id)
    if stored is None and not is_named and view.project.settings.registration_mode == "closed":
        raise DocumentRefused("This server takes no new apps; ask its operator for a client.")
    now = context.clock()
    if stored is not None and stored.fresh_until is not None and now < stored.fresh_until:
        return stored
    if stored is None and source:  # empty where a person decides on what was fetched a moment ago
        await spend_limit(context, view.project.project_id, DOCUMENT_SOURCE, source, now)
    try:
        document = await context.documents.get(client_id, source=source)
        metadata = parse_client_document(client_id, document.body, supported_grants=SELF_REGISTERED_GRANTS)
        fresh_until = document.fresh_until
    except DocumentUnavailable as unavailable:
        return _stand_in(view, client_id, stored, unavailable, now=now)
    except OAuthError as error:
        context.documents.forget(client_id)  # what is wrong is never kept (CIMD-15)
        raise DocumentRefused(error.description) from None
    if stored is None:
        return _build_client(view, client_id, metadata, now=now, fresh_until=fresh_until)
    if fresh_until > now:
        return await context.database.write(_refresh_stored, view, stored, metadata, fresh_until, now)
    return stored


def _stand_in(
    view: ProjectView, client_id: str, stored: Client | None, unavailable: DocumentUnavailable, *, now: int
) -> Client:
    """The client as it was last seen, or as its makers were known to publish it, while its host does not answer."""
    if unavailable.is_final:
        raise DocumentRefused(str(unavailable))
    if stored is not None and now < (stored.fresh_until or 0) + MAX_STALE_MS:
        return stored
    pinned = find_known_document(client_id)
    if pinned is None:
        raise DocumentRefused(str(unavailable), is_final=False)
    if stored is not None:
        return replace(stored, metadata=pinned)
    return _build_client(view, client_id, pinned, now=now, fresh_until=now)


def _check_document_policy(context: Context, view: ProjectView, client_id: str) -> None:
    """Whether this project takes documents from there at all; asked before anything is fetched. Spec: CIMD-23"""
    settings = view.project.settings
    if not settings.documents:
        raise DocumentRefused("This server does not accept apps that are known by a metadata document.")
    try:
        check_document_url(client_id)
    except OAuthError as error:
        raise DocumentRefused(error.description) from None
    host = (urlsplit(client_id).hostname or "").lower()
    if is_host_within(host, settings.blocked_hosts):
        raise DocumentRefused(f"Apps from {host} are not accepted here.")
    if settings.document_hosts and not is_host_within(host, settings.document_hosts):
        raise DocumentRefused(f"Apps from {host} are not accepted here; the operator has not listed them.")
    issuer_host = urlsplit(context.settings.public_url).hostname or ""
    if is_loopback_host(host) and not (settings.development or is_loopback_host(issuer_host)):
        raise DocumentRefused("Documents on this machine are for development only, and this project is not marked so.")


def _build_client(view: ProjectView, client_id: str, metadata: ClientMetadata, *, now: int, fresh_until: int) -> Client:
    return Client(
        project_id=view.project.project_id,
        client_id=ClientId(client_id),
        kind="document",
        metadata=metadata,
        secret_hash=None,
        created_at=now,
        activated_at=None,
        last_used_at=None,
        expires_at=None,
        fresh_until=fresh_until,
    )


async def _refresh_stored(
    tx: Transaction, view: ProjectView, stored: Client, metadata: ClientMetadata, fresh_until: int, now: int
) -> Client:
    """Take over what a document says now; where an operator approves clients, what matters waits for them."""
    changed = changed_members(stored.metadata, metadata)
    waits = bool(changed) and view.project.settings.registration_mode == "approval"
    kept = stored.metadata if waits else metadata
    proposed = metadata if waits else None
    await update_client_metadata(tx, stored, kept, proposed=proposed, fresh_until=fresh_until)
    if changed and (not waits or stored.proposed != proposed):
        event = AuditEvent(
            audit.CLIENT_CHANGED,
            audit.client_actor(stored.client_id),
            audit.client_actor(stored.client_id),
            {"changed": list(changed), "waits": waits},
        )
        await record(tx, stored.project_id, event, now)
    return replace(stored, metadata=kept, proposed=proposed, fresh_until=fresh_until)
