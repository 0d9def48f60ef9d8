"""Connections that an issuer's assertions gave: one row for a person, client and server, however many assertions.

One that somebody ended stays as the memory of that: no assertion brings the connection back, until it is reopened,
which forgets it. So nothing that was revoked ever lives again (I3).
"""

from dataclasses import dataclass

from sqlalchemy import bindparam, delete, select, update

from doorward.oauth.ids import ClientId, GrantId, ProjectId, ResourceId, UserId
from doorward.oauth.scopes import Scopes

from .database import Transaction
from .schema import clients, grants, resources
from .statements import Statement

KIND = "assertion"
_ENDED = (grants.c.kind == KIND, grants.c.revoked_at.is_not(None))
_OF_CONNECTION = Statement(
    select(grants.c.grant_id, grants.c.granted_by, grants.c.revoked_at)
    .where(
        grants.c.project_id == bindparam("project_id"),
        grants.c.user_id == bindparam("user_id"),
        grants.c.client_id == bindparam("client_id"),
        grants.c.resource_id == bindparam("resource_id"),
        grants.c.kind == KIND,
    )
    .order_by(grants.c.created_at.desc())
)
_WIDEN = Statement(
    update(grants)
    .where(grants.c.project_id == bindparam("of_project"), grants.c.grant_id == bindparam("of_grant"))
    .values(scope=bindparam("new_scope"), last_used_at=bindparam("now"))
)
_LIST_ENDED = Statement(
    select(
        grants.c.grant_id,
        grants.c.client_id,
        grants.c.resource_id,
        clients.c.metadata,
        resources.c.name,
        grants.c.revoked_at,
    )
    .join(clients, (clients.c.project_id == grants.c.project_id) & (clients.c.client_id == grants.c.client_id))
    .join(
        resources,
        (resources.c.project_id == grants.c.project_id) & (resources.c.resource_id == grants.c.resource_id),
    )
    .where(grants.c.project_id == bindparam("project_id"), grants.c.user_id == bindparam("user_id"), *_ENDED)
    .order_by(grants.c.revoked_at.desc(), grants.c.grant_id)
)
_REOPEN = Statement(
    delete(grants)
    .where(
        grants.c.project_id == bindparam("project_id"),
        grants.c.grant_id == bindparam("grant_id"),
        grants.c.user_id == bindparam("user_id"),
        *_ENDED,
    )
    .returning(grants.c.client_id)
)


@dataclass(frozen=True, slots=True)
class AssertedGrant:
    """A connection that an assertion gave; `trust_id` is whose."""

    grant_id: GrantId
    trust_id: str
    revoked_at: int | None


@dataclass(frozen=True, slots=True)
class EndedConnection:
    """A connection that was ended and stays so; the JSON column is left to the caller to read."""

    grant_id: GrantId
    client_id: ClientId
    resource_id: ResourceId
    client_metadata: str
    resource_name: str
    ended_at: int


async def list_asserted_grants(
    tx: Transaction, project_id: ProjectId, user_id: UserId, client_id: ClientId, resource_id: ResourceId
) -> list[AssertedGrant]:
    """What assertions gave one client on one server for a person, newest first, ended or not."""
    rows = await tx.all(
        _OF_CONNECTION, project_id=project_id, user_id=user_id, client_id=client_id, resource_id=resource_id
    )
    return [AssertedGrant(GrantId(grant_id), trust_id, revoked_at) for grant_id, trust_id, revoked_at in rows]


async def widen_grant(tx: Transaction, project_id: ProjectId, grant_id: GrantId, scope: Scopes, now: int) -> None:
    """Record what a connection has been given by now, and that it was used (I5)."""
    await tx.run(_WIDEN, of_project=project_id, of_grant=grant_id, new_scope=" ".join(scope), now=now)


async def list_ended_connections(tx: Transaction, project_id: ProjectId, user_id: UserId) -> list[EndedConnection]:
    """What no assertion brings back to a person, last ended first."""
    return [EndedConnection(*row) for row in await tx.all(_LIST_ENDED, project_id=project_id, user_id=user_id)]


async def reopen_connection(tx: Transaction, project_id: ProjectId, user_id: UserId, grant_id: str) -> ClientId | None:
    """Forget that a person's connection was ended; its client, or None when there was nothing to forget.

    Its own tokens stay ended, as their connection is gone: the next assertion makes a new one.
    """
    row = await tx.one(_REOPEN, project_id=project_id, user_id=user_id, grant_id=grant_id)
    return ClientId(row[0]) if row else None
