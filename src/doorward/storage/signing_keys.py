"""Signing keys of a project: of each algorithm one newest, which nothing has replaced, and those on their way out."""

from dataclasses import dataclass

from sqlalchemy import bindparam, delete, exists, insert, or_, select, update

from doorward.oauth.ids import ProjectId

from .database import Transaction
from .revocations import KEPT_MS, announce
from .schema import signing_keys
from .statements import Statement, insert_row

_keys = signing_keys.c
_IS_PUBLISHED = or_(_keys.removed_at.is_(None), _keys.removed_at > bindparam("now"))
_INSERT = Statement(insert_row(signing_keys))
_INSERT_FIRST = Statement(
    insert(signing_keys)
    .from_select(
        [column.name for column in signing_keys.columns],
        select(*(bindparam(column.name, type_=column.type) for column in signing_keys.columns)).where(
            ~exists().where(
                _keys.project_id == bindparam("project_id"), _keys.alg == bindparam("alg"), _keys.removed_at.is_(None)
            )
        ),
    )
    .returning(_keys.kid)
)
_PUBLISHED = Statement(
    select(
        _keys.kid,
        _keys.alg,
        _keys.public_jwk,
        _keys.private_ciphertext,
        _keys.created_at,
        _keys.signs_from,
        _keys.removed_at,
    )
    .where(_keys.project_id == bindparam("project_id"), _IS_PUBLISHED)
    .order_by(_keys.signs_from, _keys.kid)
)
_RETIRE = Statement(
    update(signing_keys)
    .where(
        _keys.project_id == bindparam("of_project"),
        _keys.alg == bindparam("of_alg"),
        _keys.removed_at.is_(None),
        _keys.created_at <= bindparam("made_before"),
    )
    .values(removed_at=bindparam("new_removed_at"))
    .returning(_keys.kid)
)
_REMOVE = Statement(
    update(signing_keys)
    .where(_keys.project_id == bindparam("of_project"), _keys.alg == bindparam("of_alg"), _IS_PUBLISHED)
    .values(removed_at=bindparam("now"))
    .returning(_keys.kid)
)
_REPLACE_PRIVATE = Statement(
    update(signing_keys)
    .where(_keys.project_id == bindparam("of_project"), _keys.kid == bindparam("of_kid"))
    .values(private_ciphertext=bindparam("new_ciphertext"))
)
_SWEEP = Statement(delete(signing_keys).where(_keys.removed_at <= bindparam("now")))


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
    await tx.run(_INSERT, project_id=project_id, **_values(key))


async def add_first_signing_key(tx: Transaction, project_id: ProjectId, key: StoredSigningKey) -> bool:
    """Store a signing key unless its algorithm has one that stays; True for the call that stored one.

    The caller holds the project, so that two of them do not both find none.
    """
    return await tx.one(_INSERT_FIRST, project_id=project_id, **_values(key)) is not None


async def list_signing_keys(tx: Transaction, project_id: ProjectId, now: int) -> list[StoredSigningKey]:
    """The published signing keys of a project, the next signer last."""
    return [StoredSigningKey(*row) for row in await tx.all(_PUBLISHED, project_id=project_id, now=now)]


async def retire_signing_keys(
    tx: Transaction, project_id: ProjectId, alg: str, removed_at: int, *, made_before: int
) -> list[str]:
    """Set when the newest key of an algorithm leaves the JWKS, if it was made up to `made_before`; which one that was.

    Only one of those who see it due is answered with it, and goes on to put another in its place.
    """
    rows = await tx.all(_RETIRE, of_project=project_id, of_alg=alg, new_removed_at=removed_at, made_before=made_before)
    return [kid for (kid,) in rows]


async def remove_signing_keys(tx: Transaction, project_id: ProjectId, alg: str, now: int) -> list[str]:
    """Take every key of an algorithm out of the JWKS now, and with them what they signed; which ones those were.

    It is announced, since whoever verifies offline reads the JWKS every few minutes only; of tokens from later on, too,
    since whoever has the key writes what time they like into them.
    """
    removed = [kid for (kid,) in await tx.all(_REMOVE, of_project=project_id, of_alg=alg, now=now)]
    for kid in removed:
        await announce(tx, project_id, "key", kid, "void", now + KEPT_MS, now)
    return removed


async def replace_private_part(tx: Transaction, project_id: ProjectId, kid: str, ciphertext: bytes) -> int:
    """Store the same private part under another master key; how many there were."""
    return await tx.run(_REPLACE_PRIVATE, of_project=project_id, of_kid=kid, new_ciphertext=ciphertext)


async def sweep_signing_keys(tx: Transaction, now: int) -> int:
    """Destroy keys that were removed from their JWKS, of every project."""
    return await tx.run(_SWEEP, now=now)


def _values(key: StoredSigningKey) -> dict[str, object]:
    return {
        "kid": key.kid,
        "alg": key.alg,
        "public_jwk": key.public_jwk,
        "private_ciphertext": key.private_ciphertext,
        "created_at": key.created_at,
        "signs_from": key.signs_from,
        "removed_at": key.removed_at,
    }
