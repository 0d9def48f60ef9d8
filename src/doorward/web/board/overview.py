"""The first page: what to do next, what is wrong, and how much there is."""

from typing import Any

from doorward.asgi import Response
from doorward.manage import admission, connections, timeline, users
from doorward.web.pages import ago

from .connecting import connect_commands
from .desk import BoardPage, Desk
from .stories import describe_stories

_FAILURES = 5
_MAX_COUNTED = 1000


async def show_overview(desk: Desk) -> Response:
    """Where the project stands, at a look."""
    operator, project, servers = desk.operator, desk.project, desk.view.resources
    families = await admission.list_families(operator, project)
    known = [client for family in families for client in family.clients]
    people = await users.list_all(operator, project)
    linked = await connections.list_everybodys(operator, project, at_most=_MAX_COUNTED)
    stories = await timeline.list_stories(operator, project, at_most=200)
    failures = [story for story in stories if story.events[-1].outcome != "ok"][:_FAILURES]
    has_called = any(event.step == "call" for story in stories for event in story.events)
    told = any(tool.digest for resource in servers for tool in resource.tools)
    default = next((resource for resource in servers if resource.is_default), next(iter(servers), None))
    return desk.render(
        "overview.html",
        "overview",
        issuer=desk.view.issuer,
        counts={
            "servers": len(servers),
            "apps": len(families),
            "people": len(people),
            "connections": f"{_MAX_COUNTED}+" if len(linked) >= _MAX_COUNTED else len(linked),
        },
        waiting=sum(1 for client in known if client.status == "pending" or client.proposed is not None),
        stopped=ago(project.stopped_at, desk.now),
        stopped_servers=[resource.name for resource in servers if resource.stopped_at is not None],
        steps=_steps(has_server=bool(servers), is_guarded=told or has_called or bool(linked), has_app=bool(linked)),
        origin="/".join(default.uri.split("/")[:3]) if default else "",
        connect_commands=connect_commands(default) if default else [],
        failures=await describe_stories(desk, failures),
        recent=len(stories),
    )


def _steps(*, has_server: bool, is_guarded: bool, has_app: bool) -> list[dict[str, Any]]:
    """The way from an empty project to a connected app; nothing when it was walked to its end."""
    steps = [
        {"key": "server", "done": has_server},
        {"key": "guard", "done": has_server and is_guarded},
        {"key": "app", "done": has_app},
    ]
    if all(step["done"] for step in steps):
        return []
    following = next(step for step in steps if not step["done"])
    return [{**step, "is_next": step is following} for step in steps]


OVERVIEW_PAGE = BoardPage(show_overview)
