"""Idempotency keys: claimed in the transaction of the change they are for, so that it happens once or not at all."""

from dataclasses import dataclass

from sqlalchemy import BigInteger, bindparam, delete, null, select, update

from doorward.oauth.ids import ProjectId, TokenHash

from .database import Transaction
from .schema_admin import idempotency_keys
from .statements import Statement

_keys = idempotency_keys.c
_now = bindparam("now", type_=BigInteger)
_CLAIM = Statement(
    lambda insert: (
        insert(idempotency_keys)
        .values(
            project_id=bindparam("project_id"),
            key_hash=bindparam("key_hash"),
            request_hash=bindparam("request_hash"),
            answer=null(),
            expires_at=bindparam("expires_at", type_=BigInteger),
        )
        .on_conflict_do_update(
            index_elements=[_keys.project_id, _keys.key_hash],
            set_={
                "request_hash": bindparam("request_hash"),
                "answer": null(),
                "expires_at": bindparam("expires_at", type_=BigInteger),
            },
            where=_keys.expires_at <= _now,
        )
        .returning(_keys.expires_at)
    )
)
_FIND = Statement(
    select(_keys.request_hash, _keys.answer).where(
        _keys.project_id == bindparam("project_id"),
        _keys.key_hash == bindparam("key_hash"),
        _keys.expires_at > bindparam("now"),
    )
)
_THIS_KEY = (_keys.project_id == bindparam("of_project"), _keys.key_hash == bindparam("of_key"))
_KEEP = Statement(update(idempotency_keys).where(*_THIS_KEY).values(answer=bindparam("new_answer")))
_RELEASE = Statement(delete(idempotency_keys).where(*_THIS_KEY, _keys.answer.is_(None)).returning(_keys.expires_at))
_SWEEP = Statement(delete(idempotency_keys).where(_keys.expires_at <= bindparam("now")))


@dataclass(frozen=True, slots=True)
class ClaimedKey:
    """What a key stands for: the request it came with first and, once that was answered, the answer."""

    request_hash: TokenHash
    answer: str | None


async def claim_idempotency_key(
    tx: Transaction, project_id: ProjectId, key_hash: TokenHash, request_hash: TokenHash, *, now: int, until: int
) -> bool:
    """Take a key for a request; exactly one caller gets True until it expires (I1)."""
    row = await tx.one(
        _CLAIM, project_id=project_id, key_hash=key_hash, request_hash=request_hash, now=now, expires_at=until
    )
    return row is not None


async def find_idempotency_key(
    tx: Transaction, project_id: ProjectId, key_hash: TokenHash, now: int
) -> ClaimedKey | None:
    """What a key stands for, or None while it is free."""
    row = await tx.one(_FIND, project_id=project_id, key_hash=key_hash, now=now)
    return ClaimedKey(TokenHash(row[0]), row[1]) if row else None


async def keep_idempotent_answer(tx: Transaction, project_id: ProjectId, key_hash: TokenHash, answer: str) -> None:
    """Keep the answer that every replay gets; never a secret."""
    await tx.run(_KEEP, of_project=project_id, of_key=key_hash, new_answer=answer)


async def release_idempotency_key(tx: Transaction, project_id: ProjectId, key_hash: TokenHash) -> bool:
    """Give a key back whose request was refused; True for the call that did."""
    return await tx.one(_RELEASE, of_project=project_id, of_key=key_hash) is not None


async def sweep_idempotency_keys(tx: Transaction, now: int) -> int:
    """Forget keys that have expired, of every project."""
    return await tx.run(_SWEEP, now=now)
