"""`SyncDoorwardClient`: `DoorwardClient` for programs that have no event loop."""

import os
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx2
from anyio.to_thread import run_sync
from mcp_types import (
    CallToolResult,
    GetPromptResult,
    Prompt,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    Tool,
)

from . import portal
from .asking import Welcome
from .connect import AuthOptions, DoorwardClient, McpOptions, Transport

T = TypeVar("T")


class SyncDoorwardClient:
    """A `DoorwardClient` whose methods block; any number of threads may use one at once.

    All of a process share one event loop in a thread of its own. Ctrl+C ends the call that waits, and what it waits
    for. After a fork the child connects for itself, and finds what is kept in the store.
    """

    def __init__(
        self,
        server_url: str,
        *,
        transport: Transport = "streamable-http",
        timeout: float | None = None,
        connect_timeout: float = 30.0,
        auth: httpx2.Auth | None = None,
        mcp_options: McpOptions | None = None,
        **options: Unpack[AuthOptions],
    ) -> None:
        """As of `DoorwardClient`; callbacks in `mcp_options` run on the shared loop and must not block it."""
        self._build = partial(
            DoorwardClient,
            server_url,
            transport=transport,
            timeout=timeout,
            connect_timeout=connect_timeout,
            auth=auth,
            mcp_options=mcp_options,
            **options,
        )
        self._client = self._build()
        self._process = os.getpid()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def server_url(self) -> str:
        """The server this is a client of."""
        return self._client.server_url

    @property
    def auth(self) -> httpx2.Auth:
        """What lets it in."""
        return self._in_this_process().auth

    def initialize(self) -> Welcome:
        """Connect, signing in if need be, and say what the server says of itself."""
        return self._run(self._in_this_process().initialize)

    def list_tools(self, *, timeout: float | None = None) -> list[Tool]:
        """Every tool, of all pages."""
        return self._run(self._in_this_process().list_tools, timeout=timeout)

    def call_tool(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        *,
        timeout: float | None = None,
        progress: Callable[[float, float | None, str | None], object] | None = None,
    ) -> CallToolResult:
        """What the tool answers. `progress` is called in a thread of its own."""

        async def report(done: float, total: float | None, message: str | None) -> None:
            assert progress is not None  # noqa: S101  # only then it is handed over
            await run_sync(progress, done, total, message)

        return self._run(
            self._in_this_process().call_tool,
            name,
            arguments,
            timeout=timeout,
            progress=None if progress is None else report,
        )

    def list_resources(self, *, timeout: float | None = None) -> list[Resource]:
        """Every resource, of all pages."""
        return self._run(self._in_this_process().list_resources, timeout=timeout)

    def list_resource_templates(self, *, timeout: float | None = None) -> list[ResourceTemplate]:
        """Every template of resources, of all pages."""
        return self._run(self._in_this_process().list_resource_templates, timeout=timeout)

    def read_resource(self, uri: str, *, timeout: float | None = None) -> ReadResourceResult:
        """The contents of a resource."""
        return self._run(self._in_this_process().read_resource, uri, timeout=timeout)

    def list_prompts(self, *, timeout: float | None = None) -> list[Prompt]:
        """Every prompt, of all pages."""
        return self._run(self._in_this_process().list_prompts, timeout=timeout)

    def get_prompt(
        self, name: str, arguments: dict[str, str] | None = None, *, timeout: float | None = None
    ) -> GetPromptResult:
        """A prompt, filled in."""
        return self._run(self._in_this_process().get_prompt, name, arguments, timeout=timeout)

    def ping(self, *, timeout: float | None = None) -> None:
        """Return once the server has answered."""
        self._run(self._in_this_process().ping, timeout=timeout)

    def reauthenticate(self) -> None:
        """Sign in anew, whatever is held."""
        self._run(self._in_this_process().reauthenticate)

    def close(self) -> None:
        """End the session; what was signed in stays so. A later call connects again."""
        self._run(self._in_this_process().close)

    def _in_this_process(self) -> DoorwardClient:
        if self._process != os.getpid():
            self._process, self._client = os.getpid(), self._build()
        return self._client

    def _run(self, method: Callable[..., Awaitable[T]], *args: Any, **options: Any) -> T:
        return portal.run(partial(method, *args, **options))
