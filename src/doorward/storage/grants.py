"""Grants: one consent is one connection, and every token hangs off one. Revoking it is one statement."""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import and_, bindparam, delete, exists, func, or_, select, update

from doorward.core.models import Grant, GrantKind
from doorward.oauth.ids import ClientId, GrantId, ProjectId, ResourceId, UserId

from .database import Row, Transaction
from .revocations import announce
from .schema import clients, codes, grants, projects, refresh_families, resources, trusted_issuers, users
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
    grants.c.kind,
    grants.c.device_label,
    grants.c.device_id,
    grants.c.auth_time,
    grants.c.granted_by,
    grants.c.alias,
    grants.c.tools_at,
    grants.c.expires_at,
)
_SAME_PROJECT_USER = (users.c.project_id == grants.c.project_id) & (users.c.user_id == grants.c.user_id)
_SAME_PROJECT_CLIENT = (clients.c.project_id == grants.c.project_id) & (clients.c.client_id == grants.c.client_id)
_SAME_PROJECT_RESOURCE = (resources.c.project_id == grants.c.project_id) & (
    resources.c.resource_id == grants.c.resource_id
)
# "Revoke everything of" a client, a person, a server, a trusted issuer or a whole project is one number on it, never a
# row per grant. What an issuer's assertions gave also ends with the trust in it.
_NOT_VOID = (
    grants.c.created_at > clients.c.void_before,
    grants.c.created_at > users.c.void_before,
    grants.c.created_at > resources.c.void_before,
    grants.c.created_at > projects.c.void_before,
    or_(
        grants.c.kind != "assertion",
        exists().where(
            trusted_issuers.c.project_id == grants.c.project_id,
            trusted_issuers.c.trust_id == grants.c.granted_by,
            trusted_issuers.c.void_before < grants.c.created_at,
        ),
    ),
)
# Beside what somebody ended: what a person gave for a time only, once that is up.
_NOT_OVER = or_(grants.c.expires_at.is_(None), grants.c.expires_at > bindparam("now"))
_INSERT = Statement(insert_row(grants))
_NOT_ENDED = (
    select(*_COLUMNS)
    .join(users, _SAME_PROJECT_USER)
    .join(clients, _SAME_PROJECT_CLIENT)
    .join(resources, _SAME_PROJECT_RESOURCE)
    .join(projects, projects.c.project_id == grants.c.project_id)
    .where(grants.c.project_id == bindparam("project_id"), grants.c.revoked_at.is_(None), *_NOT_VOID)
)
_STANDS = _NOT_ENDED.where(
    grants.c.grant_id == bindparam("grant_id"), clients.c.status == "active", users.c.enabled == 1
)
_LAST_DECIDED = Statement(
    _NOT_ENDED.where(
        grants.c.user_id == bindparam("user_id"),
        grants.c.client_id == bindparam("client_id"),
        grants.c.resource_id == bindparam("resource_id"),
        grants.c.kind.in_((bindparam("on_page"), bindparam("on_device_page"))),
        _NOT_OVER,
    )
    .order_by(grants.c.created_at.desc(), grants.c.grant_id.desc())
    .limit(bindparam("at_most"))
)
_FIND_STANDING = Statement(_STANDS)
_FIND_LIVE = Statement(_STANDS.where(resources.c.stopped_at.is_(None), projects.c.stopped_at.is_(None)))
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
    select(*_COLUMNS, clients.c.metadata, resources.c.name, resources.c.scopes, resources.c.settings)
    .join(users, _SAME_PROJECT_USER)
    .join(clients, _SAME_PROJECT_CLIENT)
    .join(resources, _SAME_PROJECT_RESOURCE)
    .join(projects, projects.c.project_id == grants.c.project_id)
    .where(
        grants.c.project_id == bindparam("project_id"),
        grants.c.user_id == bindparam("user_id"),
        grants.c.revoked_at.is_(None),
        grants.c.last_used_at.is_not(None),
        _NOT_OVER,
        *_NOT_VOID,
    )
    .order_by(grants.c.created_at.desc())
)
_OF_PROJECT = (
    select(
        *_COLUMNS,
        clients.c.metadata,
        resources.c.name,
        resources.c.scopes,
        resources.c.settings,
        users.c.email,
        users.c.name.label("person"),
    )
    .join(users, _SAME_PROJECT_USER)
    .join(clients, _SAME_PROJECT_CLIENT)
    .join(resources, _SAME_PROJECT_RESOURCE)
    .join(projects, projects.c.project_id == grants.c.project_id)
    .where(
        grants.c.project_id == bindparam("project_id"),
        grants.c.revoked_at.is_(None),
        grants.c.last_used_at.is_not(None),
        _NOT_OVER,
        *_NOT_VOID,
    )
    .order_by(grants.c.created_at.desc(), grants.c.grant_id.desc())
    .limit(bindparam("at_most"))
)
_CONNECTIONS_OF: dict[str, Statement] = {
    "": Statement(_OF_PROJECT),
    "client": Statement(_OF_PROJECT.where(grants.c.client_id == bindparam("of"))),
    "user": Statement(_OF_PROJECT.where(grants.c.user_id == bindparam("of"))),
    "resource": Statement(_OF_PROJECT.where(grants.c.resource_id == bindparam("of"))),
}
_COUNT_LIVE = Statement(
    select(grants.c.client_id, func.count())
    .join(users, _SAME_PROJECT_USER)
    .join(clients, _SAME_PROJECT_CLIENT)
    .join(resources, _SAME_PROJECT_RESOURCE)
    .join(projects, projects.c.project_id == grants.c.project_id)
    .where(
        grants.c.project_id == bindparam("project_id"),
        grants.c.revoked_at.is_(None),
        grants.c.last_used_at.is_not(None),
        _NOT_OVER,
        *_NOT_VOID,
    )
    .group_by(grants.c.client_id)
)
_SWEEP = Statement(
    delete(grants).where(
        grants.c.created_at <= bindparam("created_before"),
        or_(
            grants.c.kind != "assertion",
            and_(grants.c.revoked_at.is_(None), grants.c.last_used_at <= bindparam("unused_since")),
        ),
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
    resource_settings: str


@dataclass(frozen=True, slots=True)
class PersonsConnection:
    """A live grant with whose it is, for those who see everybody's."""

    connection: Connection
    email: str
    person: str


ConnectionsOf = Literal["", "client", "user", "resource"]


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
        kind=grant.kind,
        device_label=grant.device_label,
        device_id=grant.device_id,
        auth_time=grant.auth_time,
        granted_by=grant.granted_by,
        alias=grant.alias,
        tools_at=grant.tools_at,
        expires_at=grant.expires_at,
    )


async def find_live_grant(
    tx: Transaction, project_id: ProjectId, grant_id: str, *, even_stopped: bool = False
) -> Grant | None:
    """A grant that was not ended, by itself or with its client, person, server or project, all of them let in (T43).

    Whether the time it was given for is up, is for `Grant.is_over` to say: its tokens end with it by themselves.
    `even_stopped` finds it while an administrator has stopped its server or project, too: a stop can be taken back.
    """
    statement = _FIND_STANDING if even_stopped else _FIND_LIVE
    row = await tx.one(statement, project_id=project_id, grant_id=grant_id)
    return _load(row) if row else None


async def find_last_decided(
    tx: Transaction, project_id: ProjectId, user_id: UserId, client_id: ClientId, resource_id: ResourceId, now: int
) -> Grant | None:
    """The newest grant that this person themselves gave this client on this server, and that has not ended."""
    kinds: dict[str, GrantKind] = {"on_page": "consent", "on_device_page": "device"}
    of = {"project_id": project_id, "user_id": user_id, "client_id": client_id, "resource_id": resource_id}
    row = await tx.one(_LAST_DECIDED, **of, **kinds, now=now, at_most=1)
    return _load(row) if row else None


async def touch_grant(tx: Transaction, project_id: ProjectId, grant_id: GrantId, now: int) -> None:
    """Record a use."""
    await tx.run(_TOUCH, of_project=project_id, of_grant=grant_id, now=now)


async def revoke_grant(tx: Transaction, project_id: ProjectId, grant_id: GrantId, now: int) -> bool:
    """End a grant and with it every token, and announce it; True for the call that ended it."""
    if await tx.one(_REVOKE, of_project=project_id, of_grant=grant_id, now=now) is None:
        return False
    await announce(tx, project_id, "grant", grant_id, "void", now, now)
    return True


async def revoke_own_grant(
    tx: Transaction, project_id: ProjectId, user_id: UserId, grant_id: str, now: int
) -> ClientId | None:
    """End a grant of this person and announce it; its client, or None when they had no such live grant."""
    row = await tx.one(_REVOKE_OWN, of_project=project_id, of_grant=grant_id, of_user=user_id, now=now)
    if row is None:
        return None
    await announce(tx, project_id, "grant", grant_id, "void", now, now)
    return ClientId(row[0])


async def list_connections(tx: Transaction, project_id: ProjectId, user_id: UserId, now: int) -> list[Connection]:
    """A person's live grants that were used at least once, newest first."""
    rows = await tx.all(_CONNECTIONS, project_id=project_id, user_id=user_id, now=now)
    split = len(_COLUMNS)
    return [Connection(_load(row[:split]), *row[split:]) for row in rows]


async def list_everybodys_connections(
    tx: Transaction, project_id: ProjectId, of: tuple[ConnectionsOf, str] = ("", ""), *, now: int, at_most: int = 1000
) -> list[PersonsConnection]:
    """The newest live grants of a project that were used at least once; of one client, person or server if named."""
    what, key = of
    named = {"of": key} if what else {}
    rows = await tx.all(_CONNECTIONS_OF[what], project_id=project_id, now=now, at_most=at_most, **named)
    split = len(_COLUMNS)
    return [PersonsConnection(Connection(_load(row[:split]), *row[split:-2]), row[-2], row[-1]) for row in rows]


async def count_live_grants(tx: Transaction, project_id: ProjectId, now: int) -> list[tuple[str, int]]:
    """(client_id, how many connections) of every client that has any."""
    return [(client_id, int(count)) for client_id, count in await tx.all(_COUNT_LIVE, project_id=project_id, now=now)]


async def sweep_grants(tx: Transaction, created_before: int, *, unused_since: int = 0) -> int:
    """Forget grants that neither a code nor a refresh family hangs off any more, of every project.

    `created_before` leaves the youngest alone: an access token may outlive the code it came from. Nothing ever hangs
    off what assertions gave: that is forgotten when it was not used since `unused_since`, and when somebody ended it,
    not at all, since forgetting would let the next assertion bring it back.
    """
    return await tx.run(_SWEEP, created_before=created_before, unused_since=unused_since)


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
        kind,
        device_label,
        device_id,
        auth_time,
        granted_by,
        alias,
        tools_at,
        expires_at,
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
        kind=kind,
        device_label=device_label,
        device_id=device_id,
        auth_time=auth_time,
        granted_by=granted_by,
        alias=alias,
        tools_at=tools_at,
        expires_at=expires_at,
    )
