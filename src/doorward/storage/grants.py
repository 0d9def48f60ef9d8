"""Grants: one consent is one connection, and every token hangs off one. Revoking it is one statement."""

from dataclasses import dataclass

from sqlalchemy import bindparam, delete, exists, func, select, update

from doorward.core.models import Grant
from doorward.oauth.ids import ClientId, GrantId, ProjectId, ResourceId, UserId

from .database import Row, Transaction
from .schema import clients, codes, grants, refresh_families, resources, users
from .statements import Statement, insert_row

_COLUMNS = (
    grants.c.project_id,
    grants.c.grant_id,
    grants.c.user_id,
    grants.c.client_id,
    grants.c.resource_id,
    grants.c.scope,
    grants.c.redirect_uri,
    grants.c.created_at,
    grants.c.last_used_at,
    grants.c.revoked_at,
)
_SAME_PROJECT_USER = (users.c.project_id == grants.c.project_id) & (users.c.user_id == grants.c.user_id)
_SAME_PROJECT_CLIENT = (clients.c.project_id == grants.c.project_id) & (clients.c.client_id == grants.c.client_id)
_SAME_PROJECT_RESOURCE = (resources.c.project_id == grants.c.project_id) & (
    resources.c.resource_id == grants.c.resource_id
)
_INSERT = Statement(insert_row(grants))
_FIND_LIVE = Statement(
    select(*_COLUMNS)
    .join(users, _SAME_PROJECT_USER)
    .join(clients, _SAME_PROJECT_CLIENT)
    .where(
        grants.c.project_id == bindparam("project_id"),
        grants.c.grant_id == bindparam("grant_id"),
        grants.c.revoked_at.is_(None),
        grants.c.created_at > clients.c.void_before,
        clients.c.status == "active",
        users.c.enabled == 1,
    )
)
_REVOKE = Statement(
    update(grants)
    .where(
        grants.c.project_id == bindparam("of_project"),
        grants.c.grant_id == bindparam("of_grant"),
        grants.c.revoked_at.is_(None),
    )
    .values(revoked_at=bindparam("now"))
    .returning(grants.c.user_id)
)
_REVOKE_OWN = Statement(
    update(grants)
    .where(
        grants.c.project_id == bindparam("of_project"),
        grants.c.grant_id == bindparam("of_grant"),
        grants.c.user_id == bindparam("of_user"),
        grants.c.revoked_at.is_(None),
    )
    .values(revoked_at=bindparam("now"))
    .returning(grants.c.client_id)
)
_TOUCH = Statement(
    update(grants)
    .where(grants.c.project_id == bindparam("of_project"), grants.c.grant_id == bindparam("of_grant"))
    .values(last_used_at=bindparam("now"))
)
_CONNECTIONS = Statement(
    select(*_COLUMNS, clients.c.metadata, resources.c.name, resources.c.scopes)
    .join(clients, _SAME_PROJECT_CLIENT)
    .join(resources, _SAME_PROJECT_RESOURCE)
    .where(
        grants.c.project_id == bindparam("project_id"),
        grants.c.user_id == bindparam("user_id"),
        grants.c.revoked_at.is_(None),
        grants.c.last_used_at.is_not(None),
        grants.c.created_at > clients.c.void_before,
    )
    .order_by(grants.c.created_at.desc())
)
_COUNT_LIVE = Statement(
    select(grants.c.client_id, func.count())
    .join(clients, _SAME_PROJECT_CLIENT)
    .where(
        grants.c.project_id == bindparam("project_id"),
        grants.c.revoked_at.is_(None),
        grants.c.last_used_at.is_not(None),
        grants.c.created_at > clients.c.void_before,
    )
    .group_by(grants.c.client_id)
)
_SWEEP = Statement(
    delete(grants).where(
        grants.c.created_at <= bindparam("created_before"),
        ~exists().where(codes.c.project_id == grants.c.project_id, codes.c.grant_id == grants.c.grant_id),
        ~exists().where(
            refresh_families.c.project_id == grants.c.project_id, refresh_families.c.grant_id == grants.c.grant_id
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Connection:
    """A live grant with what its owner recognises it by; the JSON columns are left to the caller to read."""

    grant: Grant
    client_metadata: str
    resource_name: str
    resource_scopes: str


async def add_grant(tx: Transaction, grant: Grant) -> None:
    """Store a consent."""
    await tx.run(
        _INSERT,
        project_id=grant.project_id,
        grant_id=grant.grant_id,
        user_id=grant.user_id,
        client_id=grant.client_id,
        resource_id=grant.resource_id,
        scope=" ".join(grant.scope),
        redirect_uri=grant.redirect_uri,
        created_at=grant.created_at,
        last_used_at=grant.last_used_at,
        revoked_at=grant.revoked_at,
    )


async def find_live_grant(tx: Transaction, project_id: ProjectId, grant_id: str) -> Grant | None:
    """A grant that is not revoked, by itself or with its client, and whose person may still sign in (T43)."""
    row = await tx.one(_FIND_LIVE, project_id=project_id, grant_id=grant_id)
    return _load(row) if row else None


async def touch_grant(tx: Transaction, project_id: ProjectId, grant_id: GrantId, now: int) -> None:
    """Record a use."""
    await tx.run(_TOUCH, of_project=project_id, of_grant=grant_id, now=now)


async def revoke_grant(tx: Transaction, project_id: ProjectId, grant_id: GrantId, now: int) -> bool:
    """End a grant and with it every token; True for the call that ended it."""
    return await tx.one(_REVOKE, of_project=project_id, of_grant=grant_id, now=now) is not None


async def revoke_own_grant(
    tx: Transaction, project_id: ProjectId, user_id: UserId, grant_id: str, now: int
) -> ClientId | None:
    """End a grant of this person; its client, or None when there was no such live grant of theirs."""
    row = await tx.one(_REVOKE_OWN, of_project=project_id, of_grant=grant_id, of_user=user_id, now=now)
    return ClientId(row[0]) if row else None


async def list_connections(tx: Transaction, project_id: ProjectId, user_id: UserId) -> list[Connection]:
    """A person's live grants that were used at least once, newest first."""
    rows = await tx.all(_CONNECTIONS, project_id=project_id, user_id=user_id)
    split = len(_COLUMNS)
    return [Connection(_load(row[:split]), *row[split:]) for row in rows]


async def count_live_grants(tx: Transaction, project_id: ProjectId) -> list[tuple[str, int]]:
    """(client_id, how many connections) of every client that has any."""
    return [(client_id, int(count)) for client_id, count in await tx.all(_COUNT_LIVE, project_id=project_id)]


async def sweep_grants(tx: Transaction, created_before: int) -> int:
    """Forget grants that neither a code nor a refresh family hangs off any more, of every project.

    `created_before` leaves the youngest alone: an access token may outlive the code it came from.
    """
    return await tx.run(_SWEEP, created_before=created_before)


def _load(row: Row) -> Grant:
    (
        project_id,
        grant_id,
        user_id,
        client_id,
        resource_id,
        scope,
        redirect_uri,
        created_at,
        last_used_at,
        revoked_at,
    ) = row
    return Grant(
        project_id=ProjectId(project_id),
        grant_id=GrantId(grant_id),
        user_id=UserId(user_id),
        client_id=ClientId(client_id),
        resource_id=ResourceId(resource_id),
        scope=tuple(scope.split()),
        redirect_uri=redirect_uri,
        created_at=created_at,
        last_used_at=last_used_at,
        revoked_at=revoked_at,
    )
