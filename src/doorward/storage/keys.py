"""Signing keys of a project, and the keys of its operator's own backends."""

from dataclasses import dataclass

from sqlalchemy import bindparam, delete, or_, select, update

from doorward.core.models import Capability, ProjectKey
from doorward.oauth.ids import KeyId, ProjectId, ResourceId, TokenHash

from .database import Row, Transaction
from .schema import project_keys, signing_keys
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
_INSERT_SIGNING = Statement(insert_row(signing_keys))
_SIGNING = Statement(
    select(
        signing_keys.c.kid,
        signing_keys.c.alg,
        signing_keys.c.public_jwk,
        signing_keys.c.private_ciphertext,
        signing_keys.c.created_at,
        signing_keys.c.signs_from,
        signing_keys.c.removed_at,
    )
    .where(
        signing_keys.c.project_id == bindparam("project_id"),
        or_(signing_keys.c.removed_at.is_(None), signing_keys.c.removed_at > bindparam("now")),
    )
    .order_by(signing_keys.c.signs_from, signing_keys.c.kid)
)
_RETIRE_SIGNING = Statement(
    update(signing_keys)
    .where(
        signing_keys.c.project_id == bindparam("of_project"),
        signing_keys.c.removed_at.is_(None),
        signing_keys.c.kid != bindparam("except_kid"),
    )
    .values(removed_at=bindparam("new_removed_at"))
)
_SWEEP_SIGNING = Statement(delete(signing_keys).where(signing_keys.c.removed_at <= bindparam("now")))
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


@dataclass(frozen=True, slots=True)
class StoredSigningKey:
    """A signing key as stored; the private part stays encrypted until a key ring needs it."""

    kid: str
    alg: str
    public_jwk: str
    private_ciphertext: bytes
    created_at: int
    signs_from: int
    removed_at: int | None


async def add_signing_key(tx: Transaction, project_id: ProjectId, key: StoredSigningKey) -> None:
    """Store a signing key; it is published at once and signs from `signs_from` on."""
    await tx.run(
        _INSERT_SIGNING,
        project_id=project_id,
        kid=key.kid,
        alg=key.alg,
        public_jwk=key.public_jwk,
        private_ciphertext=key.private_ciphertext,
        created_at=key.created_at,
        signs_from=key.signs_from,
        removed_at=key.removed_at,
    )


async def list_signing_keys(tx: Transaction, project_id: ProjectId, now: int) -> list[StoredSigningKey]:
    """The published signing keys of a project, the next signer last."""
    return [StoredSigningKey(*row) for row in await tx.all(_SIGNING, project_id=project_id, now=now)]


async def retire_other_signing_keys(tx: Transaction, project_id: ProjectId, kid: str, removed_at: int) -> None:
    """Set when the other keys of a project leave its JWKS, once `kid` signs and their last tokens have expired."""
    await tx.run(_RETIRE_SIGNING, of_project=project_id, except_kid=kid, new_removed_at=removed_at)


async def sweep_signing_keys(tx: Transaction, now: int) -> int:
    """Destroy keys that were removed from their JWKS, of every project."""
    return await tx.run(_SWEEP_SIGNING, now=now)


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
