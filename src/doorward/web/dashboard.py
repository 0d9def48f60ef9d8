"""The operator's page, and the front door for people who open the issuer in a browser."""

from typing import Any

from doorward.asgi import Request, Response, redirect
from doorward.core import audit
from doorward.core.models import Client, Resource
from doorward.manage import clients, connections, users
from doorward.server.context import Context
from doorward.server.page_error import PageError
from doorward.server.tenancy import ProjectView

from .account import operator_of
from .pages import ago
from .visit import open_visit

_STAFF = frozenset({"owner", "admin", "auditor"})


async def show_home(context: Context, view: ProjectView, request: Request) -> Response:
    """What this address is, and where to sign in."""
    visit = await open_visit(context, view, request)
    return visit.render("home.html")


async def show_dashboard(context: Context, view: ProjectView, request: Request) -> Response:
    """Servers, apps, people and events of the project, and how to connect a client."""
    visit = await open_visit(context, view, request)
    if visit.user is None:
        return visit.finish(redirect(f"{view.project.path}/login?next={view.project.path}/dashboard"))
    if visit.user.role not in _STAFF:
        raise PageError("This page is for administrators", "Your account page shows what you let in.", status=403)
    operator = operator_of(visit, audit.user_actor(visit.user.user_id))
    found = await clients.list_all(operator, view.project)
    events = await connections.recent_events(operator, view.project)
    people = await users.list_all(operator, view.project)
    return visit.render(
        "dashboard.html",
        issuer=view.issuer,
        resources=[
            {"name": resource.name, "uri": resource.uri, "scopes": list(resource.scope_names)}
            for resource in view.resources
        ],
        connect_commands=_connect_commands(view.resources),
        clients=[_describe(client, request.now) for client in found],
        people=len(people),
        events=[
            {"at": ago(event.at, request.now), "action": event.action, "actor": event.actor, "target": event.target}
            for event in events
        ],
    )


def _connect_commands(resources: tuple[Resource, ...]) -> list[dict[str, str]]:
    if not resources:
        return []
    resource = next((resource for resource in resources if resource.is_default), resources[0])
    name = "".join(c if c.isalnum() else "-" for c in resource.name.lower()).strip("-") or "server"
    return [
        {"label": "Claude Code", "command": f"claude mcp add --transport http {name} {resource.uri}"},
        {"label": "VS Code, Cursor and other apps: paste the address", "command": resource.uri},
        {"label": "A terminal with Doorward installed", "command": f"python -m doorward.demo.connect {resource.uri}"},
    ]


def _describe(client: Client, now: int) -> dict[str, Any]:
    host = client.metadata.host
    return {
        "name": client.metadata.client_name or host or client.client_id,
        "kind": "pre-registered" if client.is_verified else "self-registered",
        "host": host,
        "created": ago(client.created_at, now),
        "last_used": ago(client.last_used_at, now),
    }
