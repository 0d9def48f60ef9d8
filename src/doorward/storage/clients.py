"""Clients that were registered or added; a client that holds a live grant is never removed by age."""

import json
from typing import Any

from sqlalchemy import bindparam, delete, exists, func, select, update

from doorward.core.models import Client
from doorward.oauth.ids import ClientId, ProjectId, TokenHash
from doorward.oauth.metadata import load_client_metadata

from .database import Row, Transaction
from .schema import clients, grants
from .statements import Statement, insert_row

_COLUMNS = (
    clients.c.project_id,
    clients.c.client_id,
    clients.c.kind,
    clients.c.metadata,
    clients.c.secret_hash,
    clients.c.created_at,
    clients.c.activated_at,
    clients.c.last_used_at,
    clients.c.expires_at,
)
_INSERT = Statement(insert_row(clients))
_FIND = Statement(
    select(*_COLUMNS).where(
        clients.c.project_id == bindparam("project_id"), clients.c.client_id == bindparam("client_id")
    )
)
_LIST = Statement(
    select(*_COLUMNS)
    .where(clients.c.project_id == bindparam("project_id"))
    .order_by(clients.c.created_at.desc(), clients.c.client_id)
    .limit(bindparam("at_most"))
)
_COUNT = Statement(select(func.count()).where(clients.c.project_id == bindparam("project_id")))
_DELETE = Statement(
    delete(clients)
    .where(clients.c.project_id == bindparam("project_id"), clients.c.client_id == bindparam("client_id"))
    .returning(clients.c.client_id)
)
_TOUCH = Statement(
    update(clients)
    .where(clients.c.project_id == bindparam("of_project"), clients.c.client_id == bindparam("of_client"))
    .values(
        activated_at=func.coalesce(clients.c.activated_at, bindparam("now")),
        last_used_at=bindparam("now"),
        expires_at=bindparam("new_expires_at"),
    )
)
_SWEEP = Statement(
    delete(clients).where(
        clients.c.expires_at.is_not(None),
        clients.c.expires_at <= bindparam("now"),
        ~exists().where(
            grants.c.project_id == clients.c.project_id,
            grants.c.client_id == clients.c.client_id,
            grants.c.revoked_at.is_(None),
        ),
    )
)


async def add_client(tx: Transaction, client: Client) -> None:
    """Store a new client. Its id is random, so it cannot be taken."""
    await tx.run(
        _INSERT,
        project_id=client.project_id,
        client_id=client.client_id,
        kind=client.kind,
        metadata=json.dumps(client.metadata.document(), ensure_ascii=False),
        secret_hash=client.secret_hash,
        created_at=client.created_at,
        activated_at=client.activated_at,
        last_used_at=client.last_used_at,
        expires_at=client.expires_at,
    )


async def find_client(tx: Transaction, project_id: ProjectId, client_id: str) -> Client | None:
    """The client of a project with this id."""
    row = await tx.one(_FIND, project_id=project_id, client_id=client_id)
    return _load(row) if row else None


async def list_clients(tx: Transaction, project_id: ProjectId, *, at_most: int = 200) -> list[Client]:
    """The newest clients of a project."""
    return [_load(row) for row in await tx.all(_LIST, project_id=project_id, at_most=at_most)]


async def count_clients(tx: Transaction, project_id: ProjectId) -> int:
    """How many clients a project holds, for its quota."""
    row = await tx.one(_COUNT, project_id=project_id)
    return int(row[0]) if row else 0


async def touch_client(
    tx: Transaction, project_id: ProjectId, client_id: ClientId, now: int, expires_at: int | None
) -> None:
    """Record a use: the first one activates the client, each one renews its life."""
    await tx.run(_TOUCH, of_project=project_id, of_client=client_id, now=now, new_expires_at=expires_at)


async def remove_client(tx: Transaction, project_id: ProjectId, client_id: ClientId) -> bool:
    """Remove a client with every grant it holds, and so every token."""
    return await tx.one(_DELETE, project_id=project_id, client_id=client_id) is not None


async def sweep_clients(tx: Transaction, now: int) -> int:
    """Remove expired clients without a live grant, of every project; returns how many."""
    return await tx.run(_SWEEP, now=now)


def _load(row: Row) -> Client:
    project_id, client_id, kind, metadata, secret_hash, created_at, activated_at, last_used_at, expires_at = row
    document: dict[str, Any] = json.loads(metadata)
    return Client(
        project_id=ProjectId(project_id),
        client_id=ClientId(client_id),
        kind=kind,
        metadata=load_client_metadata(document),
        secret_hash=TokenHash(secret_hash) if secret_hash is not None else None,
        created_at=created_at,
        activated_at=activated_at,
        last_used_at=last_used_at,
        expires_at=expires_at,
    )
