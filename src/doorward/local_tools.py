"""The tools of a server that is protected in this very process, kept where its consent page finds them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import anyio

from doorward.app import Mounted
from doorward.asgi import Receive, Send
from doorward.asgi import Scope as Connection
from doorward.core import audit
from doorward.core.models import Resource
from doorward.core.tools import known_tools
from doorward.manage import resources, tools
from doorward.manage.operator import Operator, get_project
from doorward.mounting import protect_in_process
from doorward.oauth.tools import KnownTool, ListedTool
from doorward.resource import PRINCIPAL
from doorward.resource.asgi import ASGIApp
from doorward.resource.catalogue import CatalogueStore, ToolCatalogue
from doorward.resource.lister import AppLister
from doorward.server.context import Context

FIRST_LIST_SECONDS = 10
"""How long a start waits for the list of tools."""


class LocalTools:
    """A `CatalogueStore` in the database of this very server.

    `scopes` are those of single tools, as the guard has them; others have the scope of their kind. Several processes
    over one database agree on every version: the list is merged where it is stored.

    Spec: product.md, Resources, scopes, tools; feature 8
    """

    def __init__(self, context: Context, resource: Resource, scopes: Mapping[str, Sequence[str]] | None = None) -> None:
        actor = audit.resource_actor(resource.resource_id)
        self._operator = Operator(context.database, context.vault, context.clock, actor)
        self._resource = resource
        self._scopes = scopes or {}
        self._tenancy = context.tenancy
        self._known: tuple[KnownTool, ...] = ()

    async def load(self) -> tuple[KnownTool, ...]:
        """What is known. Raises `ActionRefused` when the resource was removed."""
        project = await get_project(self._operator)
        return known_tools((await resources.get(self._operator, project, self._resource.resource_id)).scopes)

    async def learn(self, listed: Sequence[ListedTool], now: int) -> tuple[KnownTool, ...]:
        """Merge a whole list. Raises `ActionRefused` when the resource was removed."""
        changed = await tools.learn(self._operator, self._resource, tuple(listed), self._scopes, now=now)
        known = known_tools(changed.scopes)
        if known != self._known:
            self._tenancy.forget()  # the next consent page shows what the guard holds back
            self._known = known
        return known


class WithTools:
    """A guarded app whose list of tools is kept current as long as it runs."""

    def __init__(self, guarded: Mounted, app: ASGIApp, catalogue: ToolCatalogue) -> None:
        self._guarded = guarded
        self._app = app
        self._catalogue = catalogue

    @property
    def is_busy(self) -> bool:
        """Whether the app answers a call, where it can tell calls from streams."""
        return bool(getattr(self._app, "is_busy", False))

    async def check(self) -> bool:
        """Whether what is behind can be reached, where the app stands for something elsewhere."""
        check = getattr(self._app, "check", None)
        return check is None or bool(await check())

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        await self._guarded(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Run the app, and read its tools: before anybody is let in, for the first consent page, and now and then."""
        await self._catalogue.load()
        async with self._guarded.lifespan():
            with anyio.move_on_after(FIRST_LIST_SECONDS):
                await self._catalogue.refresh()
            reading = asyncio.create_task(self._catalogue.keep_current())
            try:
                yield
            finally:
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reading


def protect_with_tools(
    context: Context,
    resource: Resource,
    app: ASGIApp,
    *,
    tools: Mapping[str, Sequence[str]] | None = None,
    **options: Any,
) -> Mounted:
    """`app` behind a guard that knows its tools and holds new ones back, beside its own authorization server.

    Every tool that `tools` does not list is opened by the scope of its kind. `options` are those of `ProtectMCP`.
    """
    catalogue = build_catalogue(app, urlsplit(resource.uri).path or "/", LocalTools(context, resource, tools))
    guarded = protect_in_process(context, resource.uri, app, catalogue=catalogue, tools=tools, **options)
    return WithTools(guarded, app, catalogue)


def build_catalogue(app: ASGIApp, path: str, store: CatalogueStore) -> ToolCatalogue:
    """The tools of an app that serves MCP at `path`, kept in a store."""
    name = getattr(app, "described", path)
    return ToolCatalogue(AppLister(app, path=path, principal_key=PRINCIPAL), name=name, store=store)
