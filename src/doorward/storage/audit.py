"""The audit trail: appended in the transaction of the change it tells of, never changed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Text, and_, bindparam, delete, func, or_, select

from doorward.core.audit import COUNTED, INCIDENTS
from doorward.core.models import AuditEvent
from doorward.core.secrets import new_id
from doorward.oauth.ids import ProjectId

from .database import Row, Transaction
from .schema import audit_events
from .statements import Statement, insert_row

END_OF_TIME = 2**62
_encode = json.JSONEncoder(ensure_ascii=False).encode
_INSERT = Statement(insert_row(audit_events))
_NEWEST = (
    select(
        audit_events.c.at,
        audit_events.c.event_id,
        audit_events.c.action,
        audit_events.c.actor,
        audit_events.c.target,
        audit_events.c.detail,
    )
    .where(audit_events.c.project_id == bindparam("project_id"))
    .order_by(audit_events.c.at.desc(), audit_events.c.event_id.desc())
    .limit(bindparam("at_most"))
)
_LIST = Statement(_NEWEST)
_LIST_INCIDENTS = Statement(_NEWEST.where(or_(*(audit_events.c.action == action for action in INCIDENTS))))
_FIND = Statement(
    _NEWEST.where(
        *(
            or_(bindparam(f"no_{column.name}", type_=BigInteger) == 1, column == bindparam(f"the_{column.name}"))
            for column in (audit_events.c.action, audit_events.c.actor, audit_events.c.target)
        ),
        or_(
            audit_events.c.at < bindparam("before_at", type_=BigInteger),
            and_(audit_events.c.at == bindparam("before_at"), audit_events.c.event_id < bindparam("before_id")),
        ),
    )
)


def _holds(column: ColumnElement[str], name: str) -> ColumnElement[bool]:
    """Whether a column holds the words given as `name`, if any are; without LIKE, whose patterns differ by database."""
    words = bindparam(name, type_=Text)
    lower = func.lower(column)
    return or_(words == bindparam("nothing", type_=Text), func.replace(lower, words, bindparam("nothing")) != lower)


_SEARCH = Statement(
    _NEWEST.where(
        _holds(audit_events.c.action, "action"),
        _holds(audit_events.c.actor, "actor"),
        _holds(audit_events.c.target, "target"),
        audit_events.c.at >= bindparam("since"),
        or_(
            audit_events.c.at < bindparam("older_at"),
            and_(audit_events.c.at == bindparam("older_at"), audit_events.c.event_id < bindparam("older_id")),
        ),
    )
)
_recent = (
    select((audit_events.c.at // bindparam("day_ms")).label("day"), audit_events.c.action)
    .where(
        audit_events.c.project_id == bindparam("project_id"),
        audit_events.c.at >= bindparam("since"),
        or_(*(audit_events.c.action == action for action in COUNTED)),
    )
    .order_by(audit_events.c.at.desc())
    .limit(bindparam("at_most"))
    .subquery()
)
_BY_DAY = Statement(select(_recent.c.day, _recent.c.action, func.count()).group_by(_recent.c.day, _recent.c.action))
_SWEEP = Statement(delete(audit_events).where(audit_events.c.at <= bindparam("before")))


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event as it was written."""

    at: int
    event_id: str
    action: str
    actor: str
    target: str
    detail: dict[str, Any]


async def record(tx: Transaction, project_id: ProjectId, event: AuditEvent, now: int) -> None:
    """Append an event (I7)."""
    await tx.run(
        _INSERT,
        project_id=project_id,
        at=now,
        event_id=new_id("evt"),
        action=event.action,
        actor=event.actor,
        target=event.target,
        detail=_encode(event.detail) if event.detail else "{}",
    )


async def list_events(tx: Transaction, project_id: ProjectId, *, at_most: int = 100) -> list[RecordedEvent]:
    """The newest events of a project."""
    return [_load(row) for row in await tx.all(_LIST, project_id=project_id, at_most=at_most)]


async def find_events(
    tx: Transaction,
    project_id: ProjectId,
    *,
    only: Mapping[str, str],
    before: tuple[int, str] | None = None,
    at_most: int,
) -> list[RecordedEvent]:
    """The newest events of a project before a time and id; `only` those with this action, actor or target."""
    at, event_id = before or (END_OF_TIME, "")
    chosen: dict[str, Any] = {}
    for name in ("action", "actor", "target"):
        chosen |= {f"no_{name}": int(name not in only), f"the_{name}": only.get(name, "")}
    rows = await tx.all(_FIND, project_id=project_id, before_at=at, before_id=event_id, at_most=at_most, **chosen)
    return [_load(row) for row in rows]


async def list_incidents(tx: Transaction, project_id: ProjectId, *, at_most: int = 100) -> list[RecordedEvent]:
    """The newest events that look like somebody holds what is not theirs."""
    return [_load(row) for row in await tx.all(_LIST_INCIDENTS, project_id=project_id, at_most=at_most)]


@dataclass(frozen=True, slots=True)
class EventSearch:
    """What is looked for: words within action, actor and target, and a time from `since` on. Empty words are any."""

    action: str = ""
    actor: str = ""
    target: str = ""
    since: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of events begins: after the event of this time and id."""

    at: int
    event_id: str = ""


ANYTHING = EventSearch()
NEWEST = Place(2**62)


async def search_events(
    tx: Transaction,
    project_id: ProjectId,
    search: EventSearch = ANYTHING,
    older_than: Place = NEWEST,
    *,
    at_most: int = 100,
) -> list[RecordedEvent]:
    """The newest events that a search finds, older than a place."""
    rows = await tx.all(
        _SEARCH,
        project_id=project_id,
        action=search.action.lower(),
        actor=search.actor.lower(),
        target=search.target.lower(),
        nothing="",
        since=search.since,
        older_at=older_than.at,
        older_id=older_than.event_id,
        at_most=at_most,
    )
    return [_load(row) for row in rows]


async def count_events_by_day(
    tx: Transaction, project_id: ProjectId, *, since: int, day_ms: int, at_most: int = 200_000
) -> list[tuple[int, str, int]]:
    """(day since 1970, action, how many) of what charts count, of the newest `at_most` events."""
    rows = await tx.all(_BY_DAY, project_id=project_id, since=since, day_ms=day_ms, at_most=at_most)
    return [(int(day), str(action), int(count)) for day, action, count in rows]


async def sweep_audit(tx: Transaction, before: int) -> int:
    """Forget events older than the trail is kept, of every project."""
    return await tx.run(_SWEEP, before=before)


def _load(row: Row) -> RecordedEvent:
    at, event_id, action, actor, target, detail = row
    return RecordedEvent(at, event_id, action, actor, target, json.loads(detail))
