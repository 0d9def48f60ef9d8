"""Rate limit buckets shared by every process of a deployment: one row and one statement each."""

from sqlalchemy import BigInteger, bindparam, case, delete, select, update

from doorward.core.limits import Limit
from doorward.oauth.ids import ProjectId

from .database import Transaction
from .schema import throttles
from .statements import Statement

_now = bindparam("now", type_=BigInteger)
_period = bindparam("period", type_=BigInteger)
_window = bindparam("window", type_=BigInteger)
_RUNS_FROM = case((throttles.c.full_at > _now, throttles.c.full_at), else_=_now)
_SPEND = Statement(
    lambda insert: (
        insert(throttles)
        .values(
            project_id=bindparam("project_id"),
            bucket=bindparam("bucket"),
            full_at=_now + _period,
        )
        .on_conflict_do_update(
            index_elements=[throttles.c.project_id, throttles.c.bucket],
            set_={"full_at": _RUNS_FROM + _period},
            where=_RUNS_FROM + _period <= _now + _window,
        )
        .returning(throttles.c.full_at)
    )
)
_REFUND = Statement(
    update(throttles)
    .where(throttles.c.project_id == bindparam("of_project"), throttles.c.bucket == bindparam("of_bucket"))
    .values(full_at=throttles.c.full_at - _period)
)
_FULL_AT = Statement(
    select(throttles.c.full_at).where(
        throttles.c.project_id == bindparam("project_id"), throttles.c.bucket == bindparam("bucket")
    )
)
_RESET = Statement(
    delete(throttles).where(
        throttles.c.project_id == bindparam("project_id"), throttles.c.bucket == bindparam("bucket")
    )
)
_SWEEP = Statement(delete(throttles).where(throttles.c.full_at <= _now))


def bucket_name(limit: Limit, subject: str) -> str:
    """The row that counts `subject` against `limit`."""
    return f"{limit.name}:{subject}"


async def spend(tx: Transaction, project_id: ProjectId, limit: Limit, subject: str, now: int) -> int:
    """Count one event; 0 when it is within the limit, else the milliseconds until one would be."""
    bucket = bucket_name(limit, subject)
    row = await tx.one(
        _SPEND, project_id=project_id, bucket=bucket, now=now, period=limit.period_ms, window=limit.window_ms
    )
    return 0 if row is not None else await _wait(tx, project_id, limit, bucket, now)


async def is_spent(tx: Transaction, project_id: ProjectId, limit: Limit, subject: str, now: int) -> int:
    """What `spend` would answer, without counting."""
    return await _wait(tx, project_id, limit, bucket_name(limit, subject), now)


async def refund(tx: Transaction, project_id: ProjectId, limit: Limit, subject: str) -> None:
    """Take back one event that was just counted and turned out to be none.

    Counting first holds the bucket, so that tries made at once cannot all look before the first is counted.
    """
    await tx.run(_REFUND, of_project=project_id, of_bucket=bucket_name(limit, subject), period=limit.period_ms)


async def reset(tx: Transaction, project_id: ProjectId, limit: Limit, subject: str) -> None:
    """Forget what was counted."""
    await tx.run(_RESET, project_id=project_id, bucket=bucket_name(limit, subject))


async def sweep_throttles(tx: Transaction, now: int) -> int:
    """Forget buckets that are empty again, of every project."""
    return await tx.run(_SWEEP, now=now)


async def _wait(tx: Transaction, project_id: ProjectId, limit: Limit, bucket: str, now: int) -> int:
    row = await tx.one(_FULL_AT, project_id=project_id, bucket=bucket)
    return max(0, int(row[0]) + limit.period_ms - limit.window_ms - now) if row else 0
