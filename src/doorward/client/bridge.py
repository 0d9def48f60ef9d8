"""A bridge for programs that speak MCP on standard streams alone: behind it is any server, protected or not.

Messages pass unchanged both ways, those of the server's own among them. What the bridge has to say to a person goes to
standard error; what a program has to know is the answer to its request.
"""

from dataclasses import dataclass, field
from typing import TypeGuard

import anyio
from mcp.client._transport import ReadStream, WriteStream
from mcp.server.stdio import stdio_server
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp_types import (
    CONNECTION_CLOSED,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
)

from .channel import Attempt
from .connect import DoorwardClient
from .connection import GOODBYE_SECONDS, find_innermost
from .mirror import Mirror

_BROKEN = "The connection to the MCP server ended before it answered. The next request connects again."


async def run_bridge(
    client: DoorwardClient, *, stdin: anyio.AsyncFile[str] | None = None, stdout: anyio.AsyncFile[str] | None = None
) -> None:
    """Carry messages between standard input and output and the server of `client`, until the input ends.

    The first message waits while a person signs in. Whatever keeps the client out is the JSON-RPC error of the request
    that met it, in words; the next request tries again. A session that the server has lost is begun anew with the
    program's own `initialize`, and the program does not notice.
    """
    async with stdio_server(stdin, stdout) as (from_host, to_host), from_host, to_host:
        await _Bridge(client, to_host).run(from_host)


@dataclass(slots=True)
class _Asked:
    """A request of the program that has no answer yet."""

    request: JSONRPCRequest
    attempt: Attempt
    is_repeated: bool = False


@dataclass(slots=True)
class _Handshake:
    """How the program began its session, to begin another with."""

    request: JSONRPCRequest | None = None
    notification: JSONRPCNotification | None = None
    is_under_way: bool = False
    waiting: list[JSONRPCMessage] = field(default_factory=list)
    """What is sent when it is over."""


class _Bridge:
    def __init__(self, client: DoorwardClient, to_host: WriteStream[SessionMessage]) -> None:
        self._client = client
        self._to_host = to_host
        self._asked: dict[RequestId, _Asked] = {}
        self._handshake = _Handshake()
        self._mirror = Mirror()
        self._to_serve, self._outbox = anyio.create_memory_object_stream[JSONRPCMessage](0)
        self._is_over = False

    async def run(self, from_host: ReadStream[SessionMessage | Exception]) -> None:
        """Until the program closes its end."""
        async with anyio.create_task_group() as tasks:
            served = anyio.Event()
            tasks.start_soon(self._serve, served)
            async with self._to_serve:
                async for item in from_host:
                    if isinstance(item, Exception):
                        continue  # no message of MCP: whoever wrote it cannot be answered
                    if isinstance(item.message, JSONRPCRequest):
                        self._asked[item.message.id] = _Asked(item.message, Attempt())
                    await self._to_serve.send(item.message)
            self._is_over = True
            with anyio.move_on_after(GOODBYE_SECONDS):
                await served.wait()
            tasks.cancel_scope.cancel()

    async def _serve(self, served: anyio.Event) -> None:
        """Hold the way to the server open from the first message on; after it broke, from the next one on."""
        async with self._outbox:
            async for first in self._outbox:
                failure = await self._hold_open(first)
                if self._is_over:
                    break
                await self._give_up(str(failure or "") or _BROKEN)
        served.set()

    async def _hold_open(self, first: JSONRPCMessage) -> Exception | None:
        """Carry messages until either end is closed, or the way breaks: then, why."""
        lost: list[Exception] = []
        with anyio.CancelScope() as scope:

            def lose(error: Exception) -> None:
                lost.append(error)
                scope.cancel()

            try:
                async with (
                    self._client.streams(lose) as (from_server, to_server),
                    anyio.create_task_group() as tasks,
                ):
                    tasks.start_soon(self._send_all, first, to_server, tasks.cancel_scope)
                    async for item in from_server:
                        if not isinstance(item, Exception):
                            await self._receive(item.message, to_server)
                    tasks.cancel_scope.cancel()
            except Exception as error:  # noqa: BLE001  # it is told to the program; the bridge stays for what comes next
                return find_innermost(error)
        return lost[0] if lost else None

    async def _send_all(
        self, first: JSONRPCMessage, to_server: WriteStream[SessionMessage], scope: anyio.CancelScope
    ) -> None:
        if self._handshake.request is not None and not _is_initialize(first):
            await self._begin_again(first, to_server)
        else:
            await self._send(first, to_server)
        async for message in self._outbox:
            await self._send(message, to_server)
        scope.cancel()

    async def _send(self, message: JSONRPCMessage, to_server: WriteStream[SessionMessage]) -> None:
        """Pass on what the program says, unless it was told already that nothing will come of it."""
        attempt = Attempt()
        if isinstance(message, JSONRPCRequest):
            asked = self._asked.get(message.id)
            if asked is None:
                return
            attempt = asked.attempt
        if _is_initialize(message):
            self._handshake = _Handshake(request=message)
        elif isinstance(message, JSONRPCNotification) and message.method == "notifications/initialized":
            self._handshake.notification = message
        if self._handshake.is_under_way:
            self._handshake.waiting.append(message)
            return
        await self._transmit(message, attempt, to_server)

    async def _transmit(
        self, message: JSONRPCMessage, attempt: Attempt, to_server: WriteStream[SessionMessage]
    ) -> None:
        metadata = ClientMessageMetadata(headers=self._mirror.headers(message))
        with attempt.under_way():
            await to_server.send(SessionMessage(message, metadata=metadata))

    async def _receive(self, message: JSONRPCMessage, to_server: WriteStream[SessionMessage]) -> None:
        """Pass on what the server says, but for what only says that it has lost the session."""
        if isinstance(message, JSONRPCResponse | JSONRPCError) and message.id is not None:
            begun = self._handshake.request
            if self._handshake.is_under_way and begun is not None and message.id == begun.id:
                await self._finish_handshake(begun, message, to_server)
                return
            asked = self._asked.pop(message.id, None)
            if isinstance(message, JSONRPCError) and begun is not None and message.id == begun.id:
                self._handshake = _Handshake()  # it came to nothing
            elif asked is not None and isinstance(message, JSONRPCResponse):
                self._mirror.learn(asked.request, message.result)
            elif asked is not None and asked.attempt.session_lost and not asked.is_repeated and begun is not None:
                self._asked[message.id] = _Asked(asked.request, Attempt(), is_repeated=True)
                await self._begin_again(asked.request, to_server)
                return
        await self._to_host.send(SessionMessage(message))

    async def _begin_again(self, message: JSONRPCMessage, to_server: WriteStream[SessionMessage]) -> None:
        """Begin a session as the program began its own, and send `message` in it."""
        handshake = self._handshake
        handshake.waiting.append(message)
        if not handshake.is_under_way and handshake.request is not None:
            handshake.is_under_way = True
            await self._transmit(handshake.request, Attempt(), to_server)

    async def _finish_handshake(
        self,
        begun: JSONRPCRequest,
        answer: JSONRPCResponse | JSONRPCError,
        to_server: WriteStream[SessionMessage],
    ) -> None:
        handshake = self._handshake
        waiting, handshake.waiting, handshake.is_under_way = handshake.waiting, [], False
        if isinstance(answer, JSONRPCError):
            await self._give_up(answer.error.message)
            return
        self._mirror.learn(begun, answer.result)
        if handshake.notification is not None:
            await self._transmit(handshake.notification, Attempt(), to_server)
        for message in waiting:
            await self._send(message, to_server)

    async def _give_up(self, text: str) -> None:
        """Answer everything that is open, in words."""
        self._handshake.waiting, self._handshake.is_under_way = [], False
        asked, self._asked = self._asked, {}
        for request_id in asked:
            error = ErrorData(code=CONNECTION_CLOSED, message=text)
            await self._to_host.send(SessionMessage(JSONRPCError(jsonrpc="2.0", id=request_id, error=error)))


def _is_initialize(message: JSONRPCMessage) -> TypeGuard[JSONRPCRequest]:
    return isinstance(message, JSONRPCRequest) and message.method == "initialize"
