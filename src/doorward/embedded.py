"""The whole authorization server inside the process of a Python MCP server: one program, one data folder.

    server = MCPServer("notes")                     # or FastMCP("notes"), or any ASGI app
    app = embed(server, scopes=["notes:read"])      # for uvicorn, granian or another
    serve(app)                                      # or without one of those

Sign-in, consent, tokens and the dashboard are at the root of the origin, the MCP server at `path`. Settings are those
of `doorward up` (`DOORWARD_…`), and so is the data folder: commands of `doorward admin` work beside it.

Needs the `server` extra, and `mcp` or `fastmcp` for their servers.
"""

import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import structlog

from doorward.app import Doorward, check_mount
from doorward.asgi import Receive, Scope, Send
from doorward.core.models import Scope as ResourceScope
from doorward.core.models import ScopeKind, Tool
from doorward.core.tools import GROUPS
from doorward.local_tools import protect_with_tools
from doorward.logs import configure_logs
from doorward.manage.operator import ActionRefused
from doorward.mounting import protect_in_process
from doorward.oauth.scopes import READ_TOOLS, WRITE_TOOLS, union
from doorward.resource.asgi import ASGIApp
from doorward.settings import EX_CONFIG, Settings
from doorward.starting import Opened, Stopped, opened, read_settings, register


@dataclass(frozen=True, slots=True)
class Protected:
    """An MCP server as it is to be protected; see `embed` for what the fields mean."""

    server: Any
    path: str
    scopes: tuple[str, ...]
    tools: Mapping[str, Sequence[str]] | None
    name: str
    options: Mapping[str, Any]

    @property
    def tells_tools_by_hints(self) -> bool:
        """Whether nothing was said of scopes, so that the tools' own hints decide."""
        return not self.scopes and self.tools is None


class Embedded:
    """The ASGI app that `embed` makes. What it needs is opened when its lifespan starts, and closed when that ends.

    Inside another app, whose lifespan is the one that the server runs, enter `running` around that app's own.
    """

    def __init__(self, settings: Settings, protected: Protected) -> None:
        self.issuer = settings.public_url
        self.resource = f"{settings.public_url}{protected.path}"
        self.settings = settings
        self.protected = protected
        self._app: Doorward | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._run_lifespan(receive, send)
        elif self._app is None:
            raise RuntimeError("The lifespan of the embedded Doorward was not started; let the server run it.")
        else:
            await self._app(scope, receive, send)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open the data folder and serve, until the context is left. Raises `Stopped`, and what the server raises."""
        if not structlog.is_configured():
            configure_logs(self.settings.log)
        app, parts = await _compose(self.settings, self.protected)
        if parts.setup_link:
            sys.stderr.write(f"Open this once to make the first administrator: {parts.setup_link}\n")
        async with app.running():
            self._app = app
            try:
                yield
            finally:
                self._app = None
                app.wind_down()

    async def _run_lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self.running())
            except Exception as error:
                await send({"type": "lifespan.startup.failed", "message": f"doorward: {error}"})
                if isinstance(error, Stopped):
                    return
                raise
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


def embed(
    server: Any,
    *,
    url: str | None = None,
    path: str = "/mcp",
    data: Path | str | None = None,
    scopes: Iterable[str] = (),
    tools: Mapping[str, Sequence[str]] | None = None,
    name: str = "",
    **options: Any,
) -> Embedded:
    """`server`, protected at `path` of the origin `url`, and beside it the authorization server that lets people in.

    `server` is an `MCPServer` of the MCP SDK, a `FastMCP`, or an ASGI app that serves `path`. `scopes` is what its
    normal tools need, `tools` what single tools need instead. Without either, tools that say they only read need
    `tools:read` and others `tools:write`, and one that is new or changed waits until a person was shown it. What a
    tool of FastMCP asks for by its `auth` is known. `url` and `data` are the settings DOORWARD_ISSUER and
    DOORWARD_DATA. Further `options` are those of `ProtectMCP`.

    The server is registered as a resource of the default project at the first start, under `name`; scopes that appear
    later are added to it, and what operators changed stays. The link that makes the first administrator is written
    to standard error until there is one. Raises `Stopped` for settings that must not be started with, and
    `ValueError` for a `path` that the authorization server needs itself.
    """
    settings = read_settings({"issuer": url, "data": data, "port": _read_port(url)})
    return Embedded(settings, _parse_protected(server, path, scopes, tools, name, options))


def serve(app: Embedded) -> NoReturn:
    """Serve what `embed` made as `doorward up` serves, until SIGTERM or Ctrl-C, and end the process.

    Listens on DOORWARD_HOST and DOORWARD_PORT, or on the port of a plain http `url`. Prints the line
    `ready <issuer>` once it answers. Exit codes are those of `doorward up`.
    """
    import uvloop  # noqa: PLC0415  # `embed` works under any loop

    try:
        uvloop.run(_serve(app.settings, app.protected))
    except Stopped as stopped:
        sys.stderr.write(f"doorward: {stopped}\n")
        sys.exit(stopped.code)
    raise AssertionError("the process has ended")


async def _serve(settings: Settings, protected: Protected) -> NoReturn:
    from doorward.serving import check_port, leave, run_server  # noqa: PLC0415  # `embed` needs no server of ours

    configure_logs(settings.log)
    check_port(settings)
    app, parts = await _compose(settings, protected)
    leave(await run_server(app, settings, partial(_announce, settings, protected, parts.setup_link)))


def _announce(settings: Settings, protected: Protected, setup_link: str | None) -> None:
    issuer = settings.public_url
    dashboard = setup_link or f"{issuer}/dashboard"
    lines = ["", f"  MCP server   {issuer}{protected.path}", f"  issuer       {issuer}", f"  dashboard    {dashboard}"]
    if setup_link:
        lines.append("               Open it once to make the first administrator.")
    sys.stdout.write("\n".join([*lines, "", f"ready {issuer}", ""]))
    sys.stdout.flush()


async def _compose(settings: Settings, protected: Protected) -> tuple[Doorward, Opened]:
    """The authorization server with the protected one mounted; nothing of it runs yet."""
    resource = f"{settings.public_url}{protected.path}"
    async with opened(settings) as parts:
        app = _build_app(protected.server, protected.path)
        asked = await _list_tool_scopes(protected.server)
        tools = protected.tools or {}
        needed = {name: union(asked.get(name, ()), tools.get(name, ())) for name in (*asked, *tools)}
        scopes = _describe(protected.scopes, needed)
        if protected.tells_tools_by_hints:
            scopes = (*GROUPS, *scopes)
        try:
            kept = await register(parts.operator, parts.project, resource, name=protected.name, scopes=scopes)
        except ActionRefused as refused:
            raise Stopped(f"{resource}: {refused}", EX_CONFIG) from None
        options = {"name": protected.name or None, **protected.options}
        if protected.tells_tools_by_hints:
            options.setdefault("challenge_scopes", [READ_TOOLS, WRITE_TOOLS])
            mounted = protect_with_tools(parts.context, kept, app, tools=asked, **options)
        else:
            options.update(challenge_scopes=protected.scopes, tools=protected.tools)
            mounted = protect_in_process(parts.context, resource, app, **options)
        return Doorward(parts.context, {protected.path: mounted}), parts
    raise AssertionError("the store is open or an error was raised")


def _parse_protected(
    server: Any,
    path: str,
    scopes: Iterable[str],
    tools: Mapping[str, Sequence[str]] | None,
    name: str,
    options: Mapping[str, Any],
) -> Protected:
    check_mount(path)
    if isinstance(scopes, str):
        raise ValueError("scopes: give a list of scopes, not one string.")
    return Protected(server, path, tuple(scopes), tools, name or str(getattr(server, "name", "")), options)


def _build_app(server: Any, path: str) -> ASGIApp:
    """The ASGI app of a framework's server, knowing who calls; an ASGI app as it is."""
    if hasattr(server, "http_app"):
        from doorward.resource.fastmcp import build_app  # noqa: PLC0415  # needs the fastmcp extra

        return build_app(server, path)
    if hasattr(server, "streamable_http_app"):
        from doorward.resource.mcp import build_app as build_sdk_app  # noqa: PLC0415  # needs the mcp extra

        return build_sdk_app(server, path)
    app: ASGIApp = server
    return app


async def _list_tool_scopes(server: Any) -> Mapping[str, Sequence[str]]:
    """What single tools ask for by means of their framework."""
    if not hasattr(server, "http_app"):
        return {}
    from doorward.resource.fastmcp import list_tool_scopes  # noqa: PLC0415  # needs the fastmcp extra

    return await list_tool_scopes(server)


def _describe(scopes: Iterable[str], tools: Mapping[str, Sequence[str]]) -> tuple[ResourceScope, ...]:
    """Every scope that is asked for anywhere, each with the tools that it opens, in words for a consent page."""
    return tuple(
        ResourceScope(
            name=scope,
            title=scope,
            kind=_guess_kind(scope),
            tools=tuple(
                Tool(name=tool, title=tool, kind=_guess_kind(scope))
                for tool, needed in tools.items()
                if scope in needed
            ),
        )
        for scope in union(scopes, *tools.values())
    )


def _guess_kind(scope: str) -> ScopeKind:
    """What a scope's name says of itself decides how people are shown it."""
    lowered = scope.lower()
    return "destructive" if "delete" in lowered else "write" if "write" in lowered else "read"


def _read_port(url: str | None) -> int | None:
    """The port of a plain http address, which is where to listen; behind https there is a proxy."""
    parts = urlsplit(url or "")
    return parts.port if parts.scheme == "http" else None
