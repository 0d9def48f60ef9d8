"""Which clients are let in: the approval queue, suspension, ending everything of a client, and families.

Spec: product.md, features 4, 5, 13; complaints 1, 23
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from doorward.core import audit
from doorward.core.models import AuditEvent, Client, ClientStatus, Project
from doorward.core.policy import changed_members
from doorward.oauth.metadata import ClientMetadata
from doorward.oauth.redirects import display_host, redirect_kind
from doorward.storage.audit import record
from doorward.storage.clients import (
    list_clients,
    remove_client,
    set_client_status,
    update_client_metadata,
    void_client_grants,
)
from doorward.storage.database import Transaction
from doorward.storage.grants import count_live_grants
from doorward.storage.registrations import bury_client, lift_tombstone

from .operator import ActionRefused, Conflict, NotFound, Operator

MAX_LISTED = 10_000


@dataclass(frozen=True, slots=True)
class QueuedClient:
    """A client that waits: new, or with a document that changed where it matters."""

    client: Client
    changes: dict[str, tuple[Any, Any]]
    """What differs, as (before, after); everything is new when there is no before."""


@dataclass(frozen=True, slots=True)
class Family:
    """The same software, however many times and in however many ways it is known."""

    name: str
    redirects: tuple[str, ...]
    kinds: tuple[str, ...]
    clients: tuple[Client, ...]
    connections: int


async def list_queue(operator: Operator, project: Project) -> list[QueuedClient]:
    """What waits for approval, oldest first."""
    found = await operator.database.read(list_clients, project.project_id, at_most=MAX_LISTED)
    waiting = [client for client in found if client.status == "pending" or client.proposed is not None]
    return [QueuedClient(client, _differences(client)) for client in sorted(waiting, key=lambda c: c.created_at)]


async def approve(operator: Operator, client: Client) -> None:
    """Let a waiting client in, or take over what its document says now."""
    if client.status != "pending" and client.proposed is None:
        raise ActionRefused("This client does not wait for approval.")
    await operator.database.write(_approve, client, operator.actor, operator.clock())


async def deny(operator: Operator, client: Client) -> None:
    """Keep a waiting client out; a changed document is not taken over, and the client stays as it was."""
    if client.status != "pending" and client.proposed is None:
        raise ActionRefused("This client does not wait for approval.")
    await operator.database.write(_deny, client, operator.actor, operator.clock())


async def suspend(operator: Operator, client: Client) -> None:
    """Keep a client out; its tokens stop working at once, and work again when it is reactivated."""
    await _set_status(operator, client, "suspended", audit.CLIENT_SUSPENDED)


async def reactivate(operator: Operator, client: Client) -> None:
    """Let a suspended client back in."""
    await _set_status(operator, client, "active", audit.CLIENT_APPROVED)


async def reinstate(operator: Operator, project: Project, client_id: str) -> None:
    """Forget that a client was removed or denied, so that it may come back. Raises `ActionRefused`."""
    if not await operator.database.write(_reinstate, project, client_id, operator.actor, operator.clock()):
        raise NotFound(f"{client_id} was not removed.")


async def revoke_everything(operator: Operator, client: Client) -> None:
    """End every grant of a client, however many: one number on the client, nothing per token."""
    await operator.database.write(_revoke_everything, client, operator)


async def list_families(operator: Operator, project: Project) -> list[Family]:
    """The project's clients by the software they are, most connected first."""
    found = await operator.database.read(list_clients, project.project_id, at_most=MAX_LISTED)
    connections = Counter(dict(await operator.database.read(count_live_grants, project.project_id, operator.clock())))
    members: dict[tuple[str, tuple[str, ...]], list[Client]] = {}
    for client in found:
        members.setdefault(_family_key(client.metadata), []).append(client)
    families = [
        Family(
            name=clients[0].metadata.client_name or clients[0].metadata.host or clients[0].client_id,
            redirects=key[1],
            kinds=tuple(sorted({client.kind for client in clients})),
            clients=tuple(clients),
            connections=sum(connections[client.client_id] for client in clients),
        )
        for key, clients in members.items()
    ]
    return sorted(families, key=lambda family: (-family.connections, family.name))


def describe_family(family: Family) -> dict[str, Any]:
    """A family as operators see it."""
    return {
        "name": family.name,
        "redirects": list(family.redirects),
        "kinds": list(family.kinds),
        "clients": [client.client_id for client in family.clients],
        "connections": family.connections,
    }


def describe_queued(queued: QueuedClient) -> dict[str, Any]:
    """A waiting client as operators see it, with what is new about it."""
    return {
        "client_id": queued.client.client_id,
        "client_name": queued.client.metadata.client_name,
        "kind": queued.client.kind,
        "waits_as": "new" if queued.client.status == "pending" else "changed",
        "created_at": queued.client.created_at,
        "changes": {name: {"before": before, "after": after} for name, (before, after) in queued.changes.items()},
    }


def _differences(client: Client) -> dict[str, tuple[Any, Any]]:
    if client.proposed is None:
        return {name: (None, value) for name, value in client.metadata.document().items()}
    names = changed_members(client.metadata, client.proposed)
    pairs = {name: (getattr(client.metadata, name), getattr(client.proposed, name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _family_key(metadata: ClientMetadata) -> tuple[str, tuple[str, ...]]:
    """Name without what an installation adds to it, and where codes go without the port of the day.

    `Claude Code (my server)` on port 51234 and `Claude Code` on 3118 are one.
    """
    name = re.sub(r"\s*\([^)]*\)\s*$", "", metadata.client_name or "").casefold().strip()
    shapes = {"loopback" if redirect_kind(uri) == "loopback" else display_host(uri) for uri in metadata.redirect_uris}
    return name, tuple(sorted(shapes))


async def _set_status(operator: Operator, client: Client, status: ClientStatus, action: str) -> None:
    if client.status == status:
        raise Conflict(f"This client is {status} already.")
    await operator.database.write(_store_status, client, status, action, operator.actor, operator.clock())


async def _store_status(
    tx: Transaction, client: Client, status: ClientStatus, action: str, actor: str, now: int
) -> None:
    if await set_client_status(tx, client.project_id, client.client_id, status, now):
        await record(tx, client.project_id, AuditEvent(action, actor, audit.client_actor(client.client_id)), now)


async def _approve(tx: Transaction, client: Client, actor: str, now: int) -> None:
    metadata = client.proposed or client.metadata
    if await update_client_metadata(tx, client, metadata, admit=True, fresh_until=client.fresh_until):
        detail = {"name": metadata.client_name, "changed": client.proposed is not None}
        event = AuditEvent(audit.CLIENT_APPROVED, actor, audit.client_actor(client.client_id), detail)
        await record(tx, client.project_id, event, now)


async def _deny(tx: Transaction, client: Client, actor: str, now: int) -> None:
    if client.status == "pending":
        await remove_client(tx, client.project_id, client.client_id, now)
        await bury_client(tx, client.project_id, client.client_id, "denied", now)
    else:
        await update_client_metadata(tx, client, client.metadata, fresh_until=client.fresh_until)
    event = AuditEvent(audit.CLIENT_DENIED, actor, audit.client_actor(client.client_id))
    await record(tx, client.project_id, event, now)


async def _reinstate(tx: Transaction, project: Project, client_id: str, actor: str, now: int) -> bool:
    if not await lift_tombstone(tx, project.project_id, client_id):
        return False
    event = AuditEvent(audit.CLIENT_REINSTATED, actor, audit.client_actor(client_id))
    await record(tx, project.project_id, event, now)
    return True


async def _revoke_everything(tx: Transaction, client: Client, operator: Operator) -> None:
    now = operator.clock()  # in the transaction: nothing committed before it carries a later time
    if await void_client_grants(tx, client.project_id, client.client_id, now):
        event = AuditEvent(audit.CLIENT_GRANTS_REVOKED, operator.actor, audit.client_actor(client.client_id))
        await record(tx, client.project_id, event, now)
