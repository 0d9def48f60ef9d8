"""What happened: attempts to connect, changes that were made, and credentials that came back."""

from dataclasses import asdict
from typing import Any

from pydantic import Field

from doorward.core.timeline import Story, TimelineOutcome, TimelineStep
from doorward.manage import connections, incidents, timeline

from .paging import cut, page_of, parse_time_cursor
from .shapes import Answer, Page, Paging, Query, Time
from .table import Call, Operation


class StepAnswer(Answer):
    """One step of a client on its way in."""

    at: Time
    step: TimelineStep
    outcome: TimelineOutcome
    source: str = ""
    agent: str = ""
    reference: str = ""
    client_id: str = ""
    flow: str = ""
    grant_id: str = ""
    user_id: str = ""
    reason: str = ""


class StoryAnswer(Answer):
    """One attempt to connect, step by step."""

    client_id: str | None
    user_id: str | None
    began_at: Time
    verdict: str
    steps: list[StepAnswer]


class StoryPage(Page[StoryAnswer]):
    """Attempts to connect, newest first."""


class EventAnswer(Answer):
    """A change that was made."""

    at: Time
    event_id: str
    action: str
    actor: str
    target: str
    detail: dict[str, Any]


class EventPage(Page[EventAnswer]):
    """Changes, newest first."""


class EventList(Answer):
    """Incidents, newest first."""

    items: list[EventAnswer]


class TimelineQuery(Paging):
    """Whose attempts."""

    client_id: str = Field(default="", max_length=4096)
    user_id: str = Field(default="", max_length=2048)


class AuditQuery(Paging):
    """Which changes."""

    action: str = Field(default="", max_length=200)
    actor: str = Field(default="", max_length=4096)
    target: str = Field(default="", max_length=4096)


class IncidentQuery(Query):
    """How many incidents."""

    limit: int = Field(default=100, ge=1, le=1000)


def _story(story: Story) -> StoryAnswer:
    return StoryAnswer(**timeline.describe(story))


async def list_timeline(call: Call, query: TimelineQuery) -> StoryPage:
    found = await timeline.list_stories(
        call.operator, call.project, client_id=query.client_id, user_id=query.user_id, at_most=10_000
    )
    items, cursor = page_of(found, query, lambda story: (-story.events[-1].at, story.events[-1].reference))
    return StoryPage(items=[_story(story) for story in items], next_cursor=cursor)


async def show_story(call: Call) -> StoryAnswer:
    return _story(await timeline.find_story(call.operator, call.project, call.named["reference"]))


async def list_audit(call: Call, query: AuditQuery) -> EventPage:
    named = {"action": query.action, "actor": query.actor, "target": query.target}
    found = await connections.search_audit(
        call.operator,
        call.project,
        {name: value for name, value in named.items() if value},
        at_most=query.limit + 1,
        before=parse_time_cursor(query.cursor),
    )
    items, cursor = cut(found, query, lambda event: (event.at, event.event_id))
    return EventPage(items=[EventAnswer(**asdict(event)) for event in items], next_cursor=cursor)


async def list_incidents(call: Call, query: IncidentQuery) -> EventList:
    found = await incidents.list_recent(call.operator, call.project, at_most=query.limit)
    return EventList(items=[EventAnswer(**asdict(event)) for event in found])


OPERATIONS = (
    Operation(
        "GET",
        "/timeline",
        "listTimeline",
        "Attempts to connect of the last seven days",
        "timeline",
        list_timeline,
        StoryPage,
        query=TimelineQuery,
    ),
    Operation(
        "GET",
        "/timeline/{reference}",
        "showStory",
        "The attempt that a reference on a page or in an error belongs to",
        "timeline",
        show_story,
        StoryAnswer,
    ),
    Operation("GET", "/audit", "listAudit", "Changes that were made", "audit", list_audit, EventPage, query=AuditQuery),
    Operation(
        "GET",
        "/incidents",
        "listIncidents",
        "Credentials that came back after they were spent",
        "audit",
        list_incidents,
        EventList,
        query=IncidentQuery,
    ),
)
