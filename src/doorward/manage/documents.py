"""Apps known by a metadata document that an operator lets in before anybody comes with them."""

from doorward.core import audit
from doorward.core.known_clients import find_known_document
from doorward.core.models import ADMINISTRATOR, GRANT_TYPES, AuditEvent, Client, Project
from doorward.fetch import FetchFailed, FetchRefused, GuardedFetcher
from doorward.oauth.client_documents import check_document_url, parse_client_document
from doorward.oauth.errors import OAuthError
from doorward.oauth.ids import ClientId
from doorward.oauth.metadata import ClientMetadata
from doorward.storage.audit import record
from doorward.storage.clients import ensure_client
from doorward.storage.database import Transaction
from doorward.storage.registrations import lift_tombstone

from .operator import ActionRefused, Conflict, Operator


async def add_document(
    operator: Operator, project: Project, client_id: str, fetcher: GuardedFetcher, *, max_bytes: int
) -> Client:
    """Let an app in by the URL of its document, in every mode, and vouch for it. Raises `ActionRefused`.

    It is fetched with the guard that strangers' documents are fetched with; a known one that does not answer is taken
    as its makers were known to publish it. The server reads it anew when somebody comes with it.

    Spec: REG-04; CIMD draft-02 §7.2
    """
    metadata = await _read(client_id, fetcher, max_bytes=max_bytes)
    now = operator.clock()
    client = Client(
        project_id=project.project_id,
        client_id=ClientId(client_id),
        kind="document",
        metadata=metadata,
        secret_hash=None,
        created_at=now,
        activated_at=None,
        last_used_at=None,
        expires_at=None,
        verified_by=ADMINISTRATOR,
        fresh_until=now,
    )
    if not await operator.database.write(_add, client, operator.actor, now):
        raise Conflict(f"{client_id} is known here already; approve, suspend or remove it instead.")
    return client


async def _read(client_id: str, fetcher: GuardedFetcher, *, max_bytes: int) -> ClientMetadata:
    try:
        check_document_url(client_id)
        fetched = await fetcher.get(client_id, max_bytes=max_bytes)
        if fetched.status != 200:
            raise FetchFailed(f"It answered {fetched.status} instead of 200.")
        return parse_client_document(client_id, fetched.body, supported_grants=GRANT_TYPES)
    except OAuthError as error:
        raise ActionRefused(error.description) from None
    except FetchRefused as refused:
        raise ActionRefused(str(refused)) from None
    except FetchFailed as failed:
        pinned = find_known_document(client_id)
        if pinned is None:
            raise ActionRefused(str(failed)) from None
        return pinned


async def _add(tx: Transaction, client: Client, actor: str, now: int) -> bool:
    if not await ensure_client(tx, client):
        return False
    await lift_tombstone(tx, client.project_id, client.client_id)
    event = AuditEvent(audit.CLIENT_ADDED, actor, client.client_id, {"name": client.metadata.client_name})
    await record(tx, client.project_id, event, now)
    return True
