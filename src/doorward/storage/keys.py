"""Project keys: secrets of an operator's own backends."""

from sqlalchemy import bindparam, or_, select, update

from doorward.core.models import Capability, ProjectKey
from doorward.oauth.ids import KeyId, ProjectId, ResourceId, TokenHash

from .database import Row, Transaction
from .schema import project_keys
from .statements import Statement, insert_row

_COLUMNS = (
    project_keys.c.project_id,
    project_keys.c.key_id,
    project_keys.c.name,
    project_keys.c.capabilities,
    project_keys.c.resource_id,
    project_keys.c.created_at,
    project_keys.c.expires_at,
    project_keys.c.last_used_at,
    project_keys.c.revoked_at,
)
_INSERT = Statement(insert_row(project_keys))
_BY_HASH = Statement(
    select(*_COLUMNS).where(
        project_keys.c.project_id == bindparam("project_id"),
        project_keys.c.secret_hash == bindparam("secret_hash"),
        project_keys.c.revoked_at.is_(None),
        or_(project_keys.c.expires_at.is_(None), project_keys.c.expires_at > bindparam("now")),
    )
)
_LIST = Statement(
    select(*_COLUMNS)
    .where(project_keys.c.project_id == bindparam("project_id"))
    .order_by(project_keys.c.created_at, project_keys.c.key_id)
)
_REVOKE = Statement(
    update(project_keys)
    .where(
        project_keys.c.project_id == bindparam("of_project"),
        project_keys.c.key_id == bindparam("of_key"),
        project_keys.c.revoked_at.is_(None),
    )
    .values(revoked_at=bindparam("now"))
    .returning(project_keys.c.key_id)
)


async def add_project_key(tx: Transaction, key: ProjectKey, secret_hash: TokenHash) -> None:
    """Store a project key by the hash of its secret."""
    await tx.run(
        _INSERT,
        project_id=key.project_id,
        key_id=key.key_id,
        name=key.name,
        capabilities=" ".join(key.capabilities),
        secret_hash=secret_hash,
        resource_id=key.resource_id,
        created_at=key.created_at,
        expires_at=key.expires_at,
        last_used_at=key.last_used_at,
        revoked_at=key.revoked_at,
    )


async def find_project_key(
    tx: Transaction, project_id: ProjectId, secret_hash: TokenHash, now: int
) -> ProjectKey | None:
    """The live key of a project with this secret."""
    row = await tx.one(_BY_HASH, project_id=project_id, secret_hash=secret_hash, now=now)
    return _load(row) if row else None


async def list_project_keys(tx: Transaction, project_id: ProjectId) -> list[ProjectKey]:
    """The keys of a project, revoked ones too."""
    return [_load(row) for row in await tx.all(_LIST, project_id=project_id)]


async def revoke_project_key(tx: Transaction, project_id: ProjectId, key_id: str, now: int) -> bool:
    """End a key; True for the call that ended it."""
    return await tx.one(_REVOKE, of_project=project_id, of_key=key_id, now=now) is not None


def _load(row: Row) -> ProjectKey:
    project_id, key_id, name, capabilities, resource_id, created_at, expires_at, last_used_at, revoked_at = row
    held: tuple[Capability, ...] = tuple(capabilities.split())
    return ProjectKey(
        project_id=ProjectId(project_id),
        key_id=KeyId(key_id),
        name=name,
        capabilities=held,
        resource_id=ResourceId(resource_id) if resource_id else None,
        created_at=created_at,
        expires_at=expires_at,
        last_used_at=last_used_at,
        revoked_at=revoked_at,
    )
