"""Refresh token families, and access tokens that were revoked before their time."""

from sqlalchemy import bindparam, delete, or_, select, update

from doorward.core.models import RefreshFamily
from doorward.oauth.ids import ClientId, FamilyId, GrantId, ProjectId

from .database import Row, Transaction
from .revocations import announce
from .schema import refresh_families, revoked_tokens
from .statements import Statement, insert_row

_families = refresh_families.c
_COLUMNS = (
    _families.project_id,
    _families.family_id,
    _families.grant_id,
    _families.client_id,
    _families.salt,
    _families.policy,
    _families.generation,
    _families.rotated_at,
    _families.previous_rotated_at,
    _families.idle_expires_at,
    _families.absolute_expires_at,
    _families.revoked_at,
    _families.dpop_jkt,
    _families.last_source,
    _families.last_agent,
)
_INSERT = Statement(insert_row(refresh_families))
_FIND = Statement(
    select(*_COLUMNS).where(
        _families.project_id == bindparam("project_id"), _families.family_id == bindparam("family_id")
    )
)
_ROTATE = Statement(
    update(refresh_families)
    .where(
        _families.project_id == bindparam("of_project"),
        _families.family_id == bindparam("of_family"),
        _families.generation == bindparam("from_generation"),
        _families.revoked_at.is_(None),
    )
    .values(
        generation=_families.generation + 1,
        previous_rotated_at=_families.rotated_at,
        rotated_at=bindparam("now"),
        idle_expires_at=bindparam("new_idle_expires_at"),
        last_source=bindparam("source"),
        last_agent=bindparam("agent"),
    )
    .returning(*_COLUMNS)
)
_REVOKE = Statement(
    update(refresh_families)
    .where(
        _families.project_id == bindparam("of_project"),
        _families.family_id == bindparam("of_family"),
        _families.revoked_at.is_(None),
    )
    .values(revoked_at=bindparam("now"))
    .returning(_families.grant_id)
)
_SWEEP = Statement(
    delete(refresh_families).where(
        or_(
            _families.idle_expires_at <= bindparam("now"),
            _families.absolute_expires_at <= bindparam("now"),
            _families.revoked_at <= bindparam("revoked_before"),
        )
    )
)
_REVOKE_TOKEN = Statement(
    lambda insert: (
        insert(revoked_tokens)
        .values({column.name: bindparam(column.name) for column in revoked_tokens.columns})
        .on_conflict_do_nothing()
        .returning(revoked_tokens.c.jti)
    )
)
_IS_REVOKED = Statement(
    select(revoked_tokens.c.jti).where(
        revoked_tokens.c.project_id == bindparam("project_id"), revoked_tokens.c.jti == bindparam("jti")
    )
)
_SWEEP_REVOKED = Statement(delete(revoked_tokens).where(revoked_tokens.c.expires_at <= bindparam("now")))


async def start_family(tx: Transaction, family: RefreshFamily) -> None:
    """Store the lineage of a grant's refresh tokens, at its first generation."""
    await tx.run(
        _INSERT,
        project_id=family.project_id,
        family_id=family.family_id,
        grant_id=family.grant_id,
        client_id=family.client_id,
        salt=family.salt,
        policy=family.policy,
        generation=family.generation,
        rotated_at=family.rotated_at,
        previous_rotated_at=family.previous_rotated_at,
        idle_expires_at=family.idle_expires_at,
        absolute_expires_at=family.absolute_expires_at,
        revoked_at=family.revoked_at,
        dpop_jkt=family.dpop_jkt,
        last_source=family.last_source,
        last_agent=family.last_agent,
    )


async def find_family(tx: Transaction, project_id: ProjectId, family_id: FamilyId) -> RefreshFamily | None:
    """A lineage, live or not."""
    row = await tx.one(_FIND, project_id=project_id, family_id=family_id)
    return _load(row) if row else None


async def rotate_family(
    tx: Transaction,
    project_id: ProjectId,
    family_id: FamilyId,
    from_generation: int,
    *,
    now: int,
    idle_expires_at: int,
    source: str = "",
    agent: str = "",
) -> RefreshFamily | None:
    """Step a lineage one generation on; None when another caller did it first (I4, RT-10).

    `source` and `agent` are who presented the token, to be named should it come back.
    """
    row = await tx.one(
        _ROTATE,
        of_project=project_id,
        of_family=family_id,
        from_generation=from_generation,
        now=now,
        new_idle_expires_at=idle_expires_at,
        source=source,
        agent=agent,
    )
    return _load(row) if row else None


async def revoke_family(tx: Transaction, project_id: ProjectId, family_id: FamilyId, now: int) -> bool:
    """End a lineage; True for the call that ended it."""
    return await tx.one(_REVOKE, of_project=project_id, of_family=family_id, now=now) is not None


async def revoke_access_token(tx: Transaction, project_id: ProjectId, jti: str, expires_at: int, now: int) -> bool:
    """Remember until its expiry that one access token is void, and announce it; True for the call that made it so."""
    if await tx.one(_REVOKE_TOKEN, project_id=project_id, jti=jti, expires_at=expires_at) is None:
        return False
    await announce(tx, project_id, "jti", jti, "void", now, now)
    return True


async def is_access_token_revoked(tx: Transaction, project_id: ProjectId, jti: str) -> bool:
    """Whether one access token was made void by itself; its grant may end it too."""
    return await tx.one(_IS_REVOKED, project_id=project_id, jti=jti) is not None


async def sweep_tokens(tx: Transaction, now: int, *, revoked_before: int) -> int:
    """Forget lineages that are over and void tokens that have expired, of every project."""
    swept = await tx.run(_SWEEP, now=now, revoked_before=revoked_before)
    return swept + await tx.run(_SWEEP_REVOKED, now=now)


def _load(row: Row) -> RefreshFamily:
    (
        project_id,
        family_id,
        grant_id,
        client_id,
        salt,
        policy,
        generation,
        rotated_at,
        previous_rotated_at,
        idle_expires_at,
        absolute_expires_at,
        revoked_at,
        dpop_jkt,
        last_source,
        last_agent,
    ) = row
    return RefreshFamily(
        project_id=ProjectId(project_id),
        family_id=FamilyId(family_id),
        grant_id=GrantId(grant_id),
        client_id=ClientId(client_id),
        salt=salt,
        policy=policy,
        generation=generation,
        rotated_at=rotated_at,
        previous_rotated_at=previous_rotated_at,
        idle_expires_at=idle_expires_at,
        absolute_expires_at=absolute_expires_at,
        revoked_at=revoked_at,
        dpop_jkt=dpop_jkt,
        last_source=last_source,
        last_agent=last_agent,
    )
