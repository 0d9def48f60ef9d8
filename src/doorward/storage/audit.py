"""The audit trail: appended in the transaction of the change it tells of, never changed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, and_, bindparam, delete, or_, select

from doorward.core.audit import INCIDENTS
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
_SEARCH = Statement(
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


async def search_events(
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
    rows = await tx.all(_SEARCH, project_id=project_id, before_at=at, before_id=event_id, at_most=at_most, **chosen)
    return [_load(row) for row in rows]


async def list_incidents(tx: Transaction, project_id: ProjectId, *, at_most: int = 100) -> list[RecordedEvent]:
    """The newest events that look like somebody holds what is not theirs."""
    return [_load(row) for row in await tx.all(_LIST_INCIDENTS, project_id=project_id, at_most=at_most)]


async def sweep_audit(tx: Transaction, before: int) -> int:
    """Forget events older than the trail is kept, of every project."""
    return await tx.run(_SWEEP, before=before)


def _load(row: Row) -> RecordedEvent:
    at, event_id, action, actor, target, detail = row
    return RecordedEvent(at, event_id, action, actor, target, json.loads(detail))
