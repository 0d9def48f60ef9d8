"""The timeline: attempts to connect as stories, each with how far it came, why not further, and what helps."""

from collections.abc import Sequence
from typing import Any

from doorward.asgi import Response
from doorward.core.timeline import Story
from doorward.manage import activity, timeline
from doorward.manage.operator import ActionRefused

from .desk import BoardPage, Desk
from .rows import describe_story

_MAX_STORIES = 1000


async def show_timeline(desk: Desk) -> Response:
    """The newest stories, of one app or person where one is named, or the one that a reference belongs to."""
    reference = desk.given.get("reference", "").strip()
    problem = ""
    if reference:
        try:
            found = [await timeline.find_story(desk.operator, desk.project, reference)]
        except ActionRefused as refused:
            found, problem = [], str(refused)
    else:
        found = await timeline.list_stories(
            desk.operator,
            desk.project,
            client_id=desk.given.get("client", ""),
            user_id=desk.given.get("person", ""),
            at_most=_MAX_STORIES,
        )
        if desk.given.get("only", "") == "stopped":
            found = [story for story in found if story.events[-1].outcome != "ok"]
    chosen = desk.slice(found)
    return desk.render(
        "timeline.html",
        "timeline",
        stories=await describe_stories(desk, chosen.items),
        slice=chosen,
        reference_asked=reference,
        problem=problem,
        query={name: desk.given.get(name, "") for name in ("client", "person", "only")},
    )


async def describe_stories(desk: Desk, stories: Sequence[Story]) -> list[dict[str, Any]]:
    """Stories as rows, with the names of the apps and people in them."""
    names = await activity.find_names(
        desk.operator,
        desk.project,
        users={story.user_id for story in stories if story.user_id},
        clients={story.client_id for story in stories if story.client_id},
    )
    return [describe_story(story, names, desk.now) for story in stories]


TIMELINE_PAGE = BoardPage(show_timeline)
