"""The connection timeline as operators read it: stories of attempts, newest first."""

from dataclasses import asdict
from typing import Any

from doorward.core.models import Project
from doorward.core.timeline import SAME_VISIT_MS, Story, build_stories
from doorward.storage.timeline import find_reference_time, list_timeline_events

from .operator import NotFound, Operator

DAY_MS = 86_400_000


async def list_stories(
    operator: Operator, project: Project, *, client_id: str = "", user_id: str = "", at_most: int = 20
) -> list[Story]:
    """The newest attempts to connect, of one client or person where one is named; the last seven days at most."""
    after = operator.clock() - 7 * DAY_MS
    events = await operator.database.read(list_timeline_events, project.project_id, after=after)
    stories = build_stories(events)
    chosen = [
        story
        for story in stories
        if (not client_id or any(event.client_id == client_id for event in story.events))
        and (not user_id or any(event.user_id == user_id for event in story.events))
    ]
    return chosen[:at_most]


async def find_story(operator: Operator, project: Project, reference: str) -> Story:
    """The attempt that a reference, as printed on an error, belongs to. Raises `ActionRefused`."""
    at = await operator.database.read(find_reference_time, project.project_id, reference.strip())
    if at is None:
        raise NotFound(f"There is no event {reference}; events are kept for seven days.")
    after = at - 6 * SAME_VISIT_MS
    events = await operator.database.read(list_timeline_events, project.project_id, after=after, at_most=50_000)
    for story in build_stories(events):
        if any(event.reference == reference.strip() for event in story.events):
            return story
    raise NotFound(f"There is no event {reference} any more.")


def describe(story: Story) -> dict[str, Any]:
    """A story as operators see it."""
    return {
        "client_id": story.client_id,
        "user_id": story.user_id,
        "began_at": story.events[0].at,
        "verdict": story.verdict,
        "steps": [
            {name: value for name, value in asdict(event).items() if value not in (None, "")} for event in story.events
        ],
    }
