"""Servers: what the door is for. Their scopes, tools, settings; adding, stopping and removing them."""

from dataclasses import replace
from typing import Any

from doorward.asgi import Response
from doorward.core.models import Resource, Scope, ScopeKind
from doorward.core.rotation import SIGNING_ALGORITHMS
from doorward.manage import connections, resources, revocations
from doorward.manage.operator import ActionRefused
from doorward.web.pages import ago

from .connecting import connect_commands
from .desk import Act, BoardPage, Desk, Done, Question
from .rows import describe_connection

_KINDS: tuple[ScopeKind, ...] = ("read", "write", "destructive")
SERVER = "/dashboard/server"
SERVERS = "/dashboard/servers"


async def show_servers(desk: Desk) -> Response:
    """Every server of the project, and a form for one more."""
    return desk.render("servers.html", "servers", servers=[_summarize(each, desk) for each in desk.view.resources])


async def show_server(desk: Desk) -> Response:
    """One server with everything that can be said of it."""
    resource = await _find(desk)
    found = await connections.list_everybodys(desk.operator, desk.project, of=("resource", resource.resource_id))
    seen = [each.app.grant.tools_at for each in found]
    settings = resource.settings
    stored = {
        "name": resource.name,
        "scopes": write_scopes(resource.scopes),
        "default_scopes": " ".join(resource.default_scopes),
        "aliases": "\n".join(settings.aliases),
        "budgets": "\n".join(settings.budgets),
        "access_token_seconds": str(settings.access_token_seconds),
        "token_format": settings.token_format,
        "token_alg": settings.token_alg,
    }
    typed = {**dict.fromkeys(stored, ""), **desk.shown.values} if desk.shown.failed == "change" else stored
    return desk.render(
        "server.html",
        "servers",
        server=_summarize(resource, desk),
        scopes=resource.scopes,
        settings=settings,
        typed=typed,
        dpop_required="dpop_required" in typed if desk.shown.failed == "change" else settings.dpop_required,
        algorithms=[(alg, alg) for alg in SIGNING_ALGORITHMS],
        project_seconds=desk.project.settings.access_token_seconds,
        tools=[_describe_tool(tool, resource, seen, desk.now) for tool in resource.tools],
        gone=sorted({t.name for s in resource.scopes for t in s.tools if not t.is_listed}),
        connections=[describe_connection(each, desk.now) for each in found[:10]],
        connected=len(found),
        overlaps=resources.find_overlaps(resource, [r for r in desk.view.resources if r != resource]),
        commands=connect_commands(resource),
    )


async def _add_server(desk: Desk) -> Done:
    """Register a server by its address."""
    given = desk.given
    scopes = read_scopes(given.get("scopes", ""))
    try:
        added = await resources.add(
            desk.operator, desk.project, given.get("uri", "").strip(), name=given.get("name", ""), scopes=scopes
        )
    except ActionRefused as refused:
        raise ActionRefused(str(refused), about=refused.about or "uri") from None
    return Done("The server is added. Connect an app to it next.", SERVER, {"id": added.resource_id})


async def _change_server(desk: Desk) -> Done:
    """Take over what the form says. Tools that the server told stay in the scopes that have the same names."""
    resource, given = await _find(desk), desk.given
    tools = {scope.name: scope.tools for scope in resource.scopes}
    scopes = tuple(replace(s, tools=tools.get(s.name, ())) for s in read_scopes(given.get("scopes", "")))
    settings = replace(
        resource.settings,
        token_format="opaque" if given.get("token_format", "") == "opaque" else "jwt",
        token_alg=given.get("token_alg", ""),
        access_token_seconds=_read_seconds(given.get("access_token_seconds", "0")),
        aliases=_lines(given.get("aliases", "")),
        budgets=_lines(given.get("budgets", "")),
        dpop_required="dpop_required" in given,
    )
    await resources.change(
        desk.operator,
        resource,
        name=given.get("name", "").strip()[:128] or resource.uri,
        scopes=scopes,
        default_scopes=tuple(given.get("default_scopes", "").split()),
        is_default=resource.is_default or "is_default" in given,
        settings=settings,
    )
    return Done("The server is changed.")


async def stop(desk: Desk) -> Done:
    """Let nothing for the server in, until it is resumed."""
    resource = await _find(desk)
    await revocations.stop_server(desk.operator, resource)
    return Done(f"{resource.name} is stopped. No call to it is let in.")


async def resume(desk: Desk) -> Done:
    """Take the stop back."""
    resource = await _find(desk)
    await revocations.resume_server(desk.operator, resource)
    return Done(f"{resource.name} is open again.")


async def _revoke(desk: Desk) -> Done:
    """End every connection to the server."""
    resource = await _find(desk)
    await revocations.revoke_resource(desk.operator, resource)
    return Done(f"Every connection to {resource.name} is over.")


async def _remove(desk: Desk) -> Done:
    """Forget the server."""
    resource = await _find(desk)
    await resources.remove(desk.operator, resource)
    return Done(f"{resource.name} is removed.", SERVERS, {})


async def ask_stop(desk: Desk) -> Question:
    """What stopping a server means."""
    resource = await _find(desk)
    return Question(
        f"Stop {resource.name}?",
        (
            "Every call to it is refused from now on, whoever makes it.",
            "No app can be let in, and no token for it is given.",
            "Nothing is lost: once you resume it, connected apps go on where they were.",
        ),
        "Stop the server",
        f"{SERVER}?id={resource.resource_id}",
        "care",
    )


async def _ask_revoke(desk: Desk) -> Question:
    resource = await _find(desk)
    found = await connections.list_everybodys(desk.operator, desk.project, of=("resource", resource.resource_id))
    return Question(
        f"End every connection to {resource.name}?",
        (
            f"{count(len(found), 'connection')} and every token for this server end at once.",
            "People have to let their apps in again. This cannot be taken back.",
        ),
        "End all connections",
        f"{SERVER}?id={resource.resource_id}",
    )


async def _ask_remove(desk: Desk) -> Question:
    resource = await _find(desk)
    return Question(
        f"Remove {resource.name}?",
        (
            "Every connection and token for it ends at once.",
            "Its scopes, settings and what is known of its tools are forgotten. This cannot be taken back.",
        ),
        "Remove the server",
        f"{SERVER}?id={resource.resource_id}",
    )


def read_scopes(text: str) -> tuple[Scope, ...]:
    """Scopes as they are typed, one a line: name, kind, and the words that people see. Raises `ActionRefused`."""
    scopes = []
    for line in _lines(text):
        name, kind, title = [*line.split(None, 2), "", ""][:3]
        found = next((each for each in _KINDS if each == kind), None)
        if found is None:
            example = f"{name} read Look things up"
            raise ActionRefused(f"“{line[:80]}” needs its kind after the name, as in “{example[:80]}”.", about="scopes")
        scopes.append(Scope(name, title.strip()[:128] or name, kind=found))
    return tuple(scopes)


def write_scopes(scopes: tuple[Scope, ...]) -> str:
    """The same, as `read_scopes` reads it."""
    return "\n".join(f"{scope.name} {scope.kind} {scope.title}" for scope in scopes)


def count(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


async def _find(desk: Desk) -> Resource:
    return await resources.get(desk.operator, desk.project, desk.given.get("id", ""))


def _summarize(resource: Resource, desk: Desk) -> dict[str, Any]:
    return {
        "id": resource.resource_id,
        "name": resource.name,
        "uri": resource.uri,
        "scopes": list(resource.scope_names),
        "tools": len(resource.tools),
        "is_default": resource.is_default,
        "stopped": ago(resource.stopped_at, desk.now),
    }


def _describe_tool(tool: Any, resource: Resource, seen: list[int], now: int) -> dict[str, Any]:
    """A tool with who has not been shown it yet as it is: their calls to it are held back until they were."""
    return {
        "name": tool.name,
        "title": tool.title,
        "kind": tool.kind,
        "scopes": [scope.name for scope in resource.scopes if any(t.name == tool.name for t in scope.tools)],
        "since": ago(tool.since, now) if tool.since else None,
        "held_back": sum(1 for tools_at in seen if tools_at < tool.since),
        "is_told": bool(tool.digest),
    }


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _read_seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise ActionRefused("Give a number of seconds, or 0 for what the project has.", about="access_token_seconds")
    return int(text)


SERVERS_PAGE = BoardPage(show_servers, {"add": Act(_add_server)})
SERVER_PAGE = BoardPage(
    show_server,
    {
        "change": Act(_change_server),
        "stop": Act(stop, ask=ask_stop),
        "resume": Act(resume),
        "revoke": Act(_revoke, ask=_ask_revoke),
        "remove": Act(_remove, ask=_ask_remove),
    },
)
