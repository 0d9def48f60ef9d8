"""The audit trail: every acknowledged change, searched a page at a time, and exported whole.

Spec: I7; product.md, feature 13
"""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from doorward.asgi import NO_STORE, Response, StreamedResponse
from doorward.manage import activity
from doorward.manage.activity import EventSearch, Place
from doorward.manage.operator import ActionRefused
from doorward.web.pages import ago

from .desk import PAGE_SIZE, BoardPage, Desk

_WORDS = ("action", "actor", "target")
_MAX_WORDS = 200
_MAX_DETAIL = 500


async def show_audit(desk: Desk) -> Response:
    """The newest events that the search finds, older than the place where the page before ended."""
    problem, wanted = "", EventSearch()
    try:
        wanted = _read_search(desk)
    except ActionRefused as refused:
        problem = str(refused)
    found = await activity.search(
        desk.operator, desk.project, wanted, older_than=_read_place(desk), at_most=PAGE_SIZE + 1
    )
    shown, last = found[:PAGE_SIZE], found[PAGE_SIZE - 1] if len(found) > PAGE_SIZE else None
    names = await _find_names(desk, [event.actor for event in shown] + [event.target for event in shown])
    return desk.render(
        "audit.html",
        "audit",
        events=[_describe(event, names, desk.now) for event in shown],
        older=f"{last.at}.{last.event_id}" if last else "",
        problem=problem,
        query={name: desk.given.get(name, "") for name in (*_WORDS, "since")},
    )


async def export_audit(desk: Desk) -> Response:
    """Everything that the search finds, one JSON object a line, newest first."""
    try:
        wanted = _read_search(desk)
    except ActionRefused:
        wanted = EventSearch()
    name = f"audit-{desk.project.slug}-{datetime.fromtimestamp(desk.now / 1000, UTC):%Y%m%d}.jsonl"
    headers = [
        ("content-type", "application/jsonl; charset=utf-8"),
        ("content-disposition", f'attachment; filename="{name}"'),
        ("x-content-type-options", "nosniff"),
        *NO_STORE,
    ]
    return desk.visit.finish(StreamedResponse(200, b"", headers, _write_lines(desk, wanted)))


async def _write_lines(desk: Desk, wanted: EventSearch) -> AsyncIterator[bytes]:
    async for events in activity.export(desk.operator, desk.project, wanted):
        lines = [json.dumps(activity.describe(event), ensure_ascii=False) for event in events]
        yield ("\n".join(lines) + "\n").encode()


def _read_search(desk: Desk) -> EventSearch:
    """What is looked for. Raises `ActionRefused` for a day that is none."""
    words = {name: desk.given.get(name, "").strip()[:_MAX_WORDS] for name in _WORDS}
    return EventSearch(**words, since=_read_day(desk.given.get("since", "")))


def _read_day(text: str) -> int:
    if not text:
        return 0
    try:
        return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        raise ActionRefused("Write the day as in 2026-01-31. Until then, every day is shown.") from None


def _read_place(desk: Desk) -> Place | None:
    at, _, event_id = desk.given.get("older", "").partition(".")
    return Place(int(at), event_id) if at.isascii() and at.isdigit() and len(at) < 16 else None


async def _find_names(desk: Desk, references: list[str]) -> dict[str, str]:
    """Names by what the trail calls people and apps: `user:…`, `client:…`."""
    of = {"user": set[str](), "client": set[str]()}
    for reference in references:
        kind, _, key = reference.partition(":")
        if kind in of:
            of[kind].add(key)
    return await activity.find_names(desk.operator, desk.project, users=of["user"], clients=of["client"])


def _describe(event: Any, names: dict[str, str], now: int) -> dict[str, Any]:
    return {
        "when": ago(event.at, now),
        "at": f"{datetime.fromtimestamp(event.at / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC",
        "action": event.action,
        "actor": event.actor,
        "actor_name": names.get(event.actor.partition(":")[2], ""),
        "target": event.target,
        "target_name": names.get(event.target.partition(":")[2], ""),
        "detail": [(name, _write(value)) for name, value in event.detail.items()],
    }


def _write(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:_MAX_DETAIL]


AUDIT_PAGE = BoardPage(show_audit)
EXPORT_PAGE = BoardPage(export_audit)
