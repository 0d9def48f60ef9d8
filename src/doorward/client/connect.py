"""`DoorwardClient`: an MCP client that gets itself in, on the official MCP SDK.

Needs the MCP SDK (`pip install 'doorward[client]'`); most of `doorward.client` does not.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, TypedDict, TypeVar, Unpack

import httpx2
import mcp
from mcp.client import advertise
from mcp.client._transport import TransportStreams
from mcp.client.session import ElicitationFnT, ListRootsFnT, LoggingFnT, MessageHandlerFnT, SamplingFnT
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.dispatcher import ProgressFnT
from mcp_types import (
    CallToolResult,
    GetPromptResult,
    Implementation,
    Prompt,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    Tool,
)

import doorward
from doorward.oauth.jwt import SigningKey

from . import asking
from .agents import AgentGrant
from .asking import Welcome
from .auth import DoorwardAuth
from .channel import Attempt, McpChannel
from .connection import Connection, Opener
from .errors import ClientError
from .interaction import Interaction
from .storage import Store

Transport = Literal["streamable-http", "sse", "auto"]
T = TypeVar("T")
MAX_EVENT_BYTES = 64 * 1024 * 1024
SILENCE_SECONDS = 300.0


class AuthOptions(TypedDict, total=False):
    """What `DoorwardAuth` takes beside the address of the server."""

    client_name: str
    client_id: str | None
    client_secret: str | None
    issuer: str | None
    client_metadata_url: str | None
    redirect_port: int | None
    scopes: Sequence[str] | None
    account: str
    store: Store | None
    interaction: Interaction | None
    agent: AgentGrant | None
    signing_key: SigningKey | None
    dpop: bool


class McpOptions(TypedDict, total=False):
    """What the program answers to the server's own questions; options of `mcp.Client`."""

    sampling_callback: SamplingFnT | None
    elicitation_callback: ElicitationFnT | None
    list_roots_callback: ListRootsFnT | None
    logging_callback: LoggingFnT | None
    message_handler: MessageHandlerFnT | None
    mode: str


class DoorwardClient:
    """A client of one MCP server, protected or not; connects at the first call, and again whenever it has to.

    What keeps it out is raised by the call that met it: `LoginRequired`, `AccessDenied` and every other `ClientError`;
    `ServerUnreachable` and `ServerRefused` for the server itself; `mcp.MCPError` for what the server answers;
    `TimeoutError` after `timeout` seconds, in which the time of a sign-in does not count.

    A lost session and a restarted server are connected to anew. A call that may have been seen by the server is
    repeated only where it changes nothing. Lives on one asyncio event loop, whose tasks may all use it at once.
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
        """`auth` stands in place of a `DoorwardAuth` made from `options`; `timeout` is for calls that name none."""
        self.server_url = server_url
        self.auth = DoorwardAuth(server_url, **options) if auth is None else auth
        self.transport: Transport = transport
        self.connect_timeout = connect_timeout
        self._name = options.get("client_name", "Doorward client")
        agent = options.get("agent")
        self._extension = None if agent is None else agent.extension
        self._timeout = timeout
        self._mcp_options: McpOptions = {} if mcp_options is None else mcp_options
        self._connection: Connection | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def initialize(self) -> Welcome:
        """Connect, signing in if need be, and say what the server says of itself."""
        return await self._ask(asking.read_welcome)

    async def list_tools(self, *, timeout: float | None = None) -> list[Tool]:  # noqa: ASYNC109  # see `_ask`
        """Every tool, of all pages."""
        return await self._ask(asking.list_tools, timeout)

    async def call_tool(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # see `_ask`
        progress: ProgressFnT | None = None,
    ) -> CallToolResult:
        """What the tool answers; `is_error` on it tells a tool that failed. No server sees the call twice.

        `progress` is awaited with (progress, total, message).
        """

        async def call(client: mcp.Client) -> CallToolResult:
            return await client.call_tool(name, arguments, progress_callback=progress)

        return await self._ask(call, timeout, repeatable=False)

    async def list_resources(self, *, timeout: float | None = None) -> list[Resource]:  # noqa: ASYNC109  # see `_ask`
        """Every resource, of all pages."""
        return await self._ask(asking.list_resources, timeout)

    async def list_resource_templates(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # see `_ask`
    ) -> list[ResourceTemplate]:
        """Every template of resources, of all pages."""
        return await self._ask(asking.list_templates, timeout)

    async def read_resource(
        self,
        uri: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # see `_ask`
    ) -> ReadResourceResult:
        """The contents of a resource."""
        return await self._ask(lambda client: client.read_resource(uri), timeout)

    async def list_prompts(self, *, timeout: float | None = None) -> list[Prompt]:  # noqa: ASYNC109  # see `_ask`
        """Every prompt, of all pages."""
        return await self._ask(asking.list_prompts, timeout)

    async def get_prompt(
        self,
        name: str,
        arguments: dict[str, str] | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # see `_ask`
    ) -> GetPromptResult:
        """A prompt, filled in."""
        return await self._ask(lambda client: client.get_prompt(name, arguments), timeout)

    async def ping(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109  # see `_ask`
        """Return once the server has answered. Revisions without `ping` are asked what the server is."""
        await self._ask(asking.ping, timeout)

    async def reauthenticate(self) -> None:
        """Sign in anew, whatever is held. Calls that follow are made as whoever signed in, in a new session."""
        if not isinstance(self.auth, DoorwardAuth):
            raise ClientError("These credentials came as auth=…: what made them has to renew them.")
        await self.auth.session.login()
        if self._connection is not None:
            self._connection.retire()

    async def close(self) -> None:
        """End the session, and calls under way; what was signed in stays so. A later call connects again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def streams(self, on_lost_message: Callable[[Exception], None]) -> AbstractAsyncContextManager[TransportStreams]:
        """The message streams of the SDK's transport, for programs that carry messages rather than make them.

        `on_lost_message` is called for one that nobody will answer, on the older transport.
        """
        return self._open_streams(self._transports()[0], on_lost_message)

    async def _ask(
        self,
        ask: Callable[[mcp.Client], Awaitable[T]],
        timeout: float | None = None,  # noqa: ASYNC109  # the SDK's would run on while a person signs in
        *,
        repeatable: bool = True,
    ) -> T:
        timeout = self._timeout if timeout is None else timeout
        attempt = Attempt()
        try:
            return await self._connect().call(ask, attempt, timeout)
        except Exception:
            # In a lost session the server did nothing, whatever was asked.
            if not (attempt.session_lost or (attempt.broken and repeatable)):
                raise
        return await self._connect().call(ask, Attempt(), timeout)

    def _connect(self) -> Connection:
        if self._connection is None or self._connection.over:
            openers: list[Opener] = [partial(self._open, transport) for transport in self._transports()]
            self._connection = Connection(openers, patience=self.connect_timeout)
        return self._connection

    def _transports(self) -> tuple[Transport, ...]:
        return ("streamable-http", "sse") if self.transport == "auto" else (self.transport,)

    @asynccontextmanager
    async def _open(
        self, transport: Transport, on_lost_message: Callable[[Exception], None]
    ) -> AsyncIterator[mcp.Client]:
        options: McpOptions = {**self._mcp_options}
        if transport == "sse":
            options["mode"] = "legacy"  # it is older than the question which one to speak
        info = Implementation(name=self._name, version=doorward.__version__)
        streams = self._open_streams(transport, on_lost_message)
        extensions = [advertise(self._extension)] if self._extension is not None else []
        async with mcp.Client(streams, client_info=info, extensions=extensions, **options) as client:
            yield client

    @asynccontextmanager
    async def _open_streams(
        self, transport: Transport, on_lost_message: Callable[[Exception], None]
    ) -> AsyncIterator[TransportStreams]:
        timeout = httpx2.Timeout(self.connect_timeout, read=SILENCE_SECONDS)
        if transport == "sse":
            channel = McpChannel(self.auth, timeout, on_lost_message)
            async with sse_client(self.server_url, httpx_client_factory=lambda *_, **__: channel) as streams:
                yield streams
            return
        async with (
            McpChannel(self.auth, timeout) as channel,
            streamable_http_client(self.server_url, http_client=channel, max_sse_event_size=MAX_EVENT_BYTES) as streams,
        ):
            yield streams
