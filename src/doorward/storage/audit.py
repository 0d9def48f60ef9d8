"""The audit trail: appended in the transaction of the change it tells of, never changed."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, or_, select

from doorward.core.audit import INCIDENTS
from doorward.core.models import AuditEvent
from doorward.core.secrets import new_id
from doorward.oauth.ids import ProjectId

from .database import Row, Transaction
from .schema import audit_events
from .statements import Statement, insert_row

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


async def list_incidents(tx: Transaction, project_id: ProjectId, *, at_most: int = 100) -> list[RecordedEvent]:
    """The newest events that look like somebody holds what is not theirs."""
    return [_load(row) for row in await tx.all(_LIST_INCIDENTS, project_id=project_id, at_most=at_most)]


async def sweep_audit(tx: Transaction, before: int) -> int:
    """Forget events older than the trail is kept, of every project."""
    return await tx.run(_SWEEP, before=before)


def _load(row: Row) -> RecordedEvent:
    at, event_id, action, actor, target, detail = row
    return RecordedEvent(at, event_id, action, actor, target, json.loads(detail))
