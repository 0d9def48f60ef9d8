"""Events of the timeline, as they were seen."""

import itertools
import os
from collections.abc import Sequence

from sqlalchemy import bindparam, delete, func, select

from doorward.core.timeline import TimelineEvent
from doorward.oauth.ids import ProjectId

from .database import Row, Transaction
from .schema import timeline_events
from .statements import Statement, insert_row

_COLUMNS = (
    timeline_events.c.at,
    timeline_events.c.step,
    timeline_events.c.outcome,
    timeline_events.c.source,
    timeline_events.c.agent,
    timeline_events.c.reference,
    timeline_events.c.client_id,
    timeline_events.c.flow,
    timeline_events.c.grant_id,
    timeline_events.c.user_id,
    timeline_events.c.reason,
)
# Keeps what one process saw within a millisecond in its order.
_order = itertools.count()
_INSERT = Statement(insert_row(timeline_events))
_NEWEST = (
    select(*_COLUMNS)
    .where(timeline_events.c.project_id == bindparam("project_id"), timeline_events.c.at > bindparam("after"))
    .order_by(timeline_events.c.at.desc(), timeline_events.c.event_id.desc())
    .limit(bindparam("at_most"))
)
_LIST = Statement(_NEWEST)
_FIND_REFERENCE = Statement(
    select(timeline_events.c.at).where(
        timeline_events.c.project_id == bindparam("project_id"), timeline_events.c.reference == bindparam("reference")
    )
)
_recent = (
    select((timeline_events.c.at // bindparam("day_ms")).label("day"))
    .where(
        timeline_events.c.project_id == bindparam("project_id"),
        timeline_events.c.at >= bindparam("since"),
        timeline_events.c.outcome != bindparam("good"),
    )
    .order_by(timeline_events.c.at.desc())
    .limit(bindparam("at_most"))
    .subquery()
)
_REFUSALS_BY_DAY = Statement(select(_recent.c.day, func.count()).group_by(_recent.c.day))
_SWEEP = Statement(delete(timeline_events).where(timeline_events.c.at <= bindparam("before")))


async def add_timeline_events(tx: Transaction, project_id: ProjectId, events: Sequence[TimelineEvent]) -> None:
    """Store events, many at once."""
    for event in events:
        await tx.run(
            _INSERT,
            project_id=project_id,
            at=event.at,
            event_id=f"{next(_order):012x}{os.urandom(8).hex()}",
            step=event.step,
            outcome=event.outcome,
            reference=event.reference,
            client_id=event.client_id,
            flow=event.flow,
            grant_id=event.grant_id,
            user_id=event.user_id,
            source=event.source,
            agent=event.agent,
            reason=event.reason,
        )


async def list_timeline_events(
    tx: Transaction, project_id: ProjectId, *, after: int, at_most: int = 5000
) -> list[TimelineEvent]:
    """The newest events of a project, in the order they happened."""
    rows = await tx.all(_LIST, project_id=project_id, after=after, at_most=at_most)
    return [_load(row) for row in reversed(rows)]


async def find_reference_time(tx: Transaction, project_id: ProjectId, reference: str) -> int | None:
    """When the request was made whose answer carried this reference."""
    row = await tx.one(_FIND_REFERENCE, project_id=project_id, reference=reference)
    return int(row[0]) if row else None


async def count_refusals_by_day(
    tx: Transaction, project_id: ProjectId, *, since: int, day_ms: int, at_most: int = 200_000
) -> list[tuple[int, int]]:
    """(day since 1970, how many steps were refused or failed), of the newest `at_most` of them."""
    rows = await tx.all(_REFUSALS_BY_DAY, project_id=project_id, since=since, day_ms=day_ms, good="ok", at_most=at_most)
    return [(int(day), int(count)) for day, count in rows]


async def sweep_timeline(tx: Transaction, before: int) -> int:
    """Forget events older than the timeline is kept, of every project."""
    return await tx.run(_SWEEP, before=before)


def _load(row: Row) -> TimelineEvent:
    at, step, outcome, source, agent, reference, client_id, flow, grant_id, user_id, reason = row
    return TimelineEvent(at, step, outcome, source, agent, reference, client_id, flow, grant_id, user_id, reason)
