"""Asking a server of 2024-11-05 for its tools: it takes messages at one URL and answers them on a stream."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import anyio

from .asgi import ASGIApp, Message, Scope

LEGACY_VERSION = "2024-11-05"
_WAIT_SECONDS = 5.0
_MAX_PAGES = 50
_MAX_EVENT_SIZE = 8 * 1024 * 1024

BuildScope = Callable[[str, bytes, Mapping[str, str]], Scope]
"""The ASGI scope of a request of our own: its method, its body, and headers beside the usual ones."""


class NoLegacyServer(Exception):  # noqa: N818  # the server's doing
    """The server does not speak that transport, or told no tools on it; the text is for the log."""


async def list_legacy_tools(app: ASGIApp, build_scope: BuildScope, client: Mapping[str, str]) -> list[Any]:
    """The members of `tools/list`, all pages of it. Raises `NoLegacyServer`. Spec: MCP 2024-11-05, HTTP with SSE"""
    async with _converse(app, build_scope) as server:
        parameters = {"protocolVersion": LEGACY_VERSION, "capabilities": {}, "clientInfo": dict(client)}
        result = await server.ask(1, "initialize", parameters)
        await server.tell({"jsonrpc": "2.0", "method": "notifications/initialized"})
        capabilities = result.get("capabilities")
        if isinstance(capabilities, Mapping) and "tools" not in capabilities:
            return []
        tools: list[Any] = []
        cursor: dict[str, Any] = {}
        for page in range(_MAX_PAGES):
            result = await server.ask(page + 2, "tools/list", cursor)
            members = result.get("tools")
            if not isinstance(members, list):
                raise NoLegacyServer("tools/list was answered without a list of tools")
            tools += members
            if not result.get("nextCursor"):
                return tools
            cursor = {"cursor": result["nextCursor"]}
        raise NoLegacyServer(f"the list of tools has more than {_MAX_PAGES} pages")


class _Conversation:
    """One stream of a server, and the messages that are sent for it."""

    def __init__(self, app: ASGIApp, build_scope: BuildScope) -> None:
        self._app = app
        self._build_scope = build_scope
        self._scope = build_scope("GET", b"", {})
        self._held = b""
        self._endpoint: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._answers: dict[Any, asyncio.Future[Any]] = {}

    async def listen(self) -> None:
        """Take what comes on the stream, until it ends."""
        try:
            await self._app(self._scope, _once(b""), self._take)
            raise NoLegacyServer("the stream ended")
        except Exception as error:  # noqa: BLE001  # told to whoever waits
            reason = str(error) if isinstance(error, NoLegacyServer) else f"{type(error).__name__}: {error}"
            for waiting in (self._endpoint, *self._answers.values()):
                if not waiting.done():
                    waiting.set_exception(NoLegacyServer(reason))
                    waiting.exception()  # known, even if nobody waits any more

    async def begin(self) -> None:
        """Wait for the URL that takes messages."""
        url = urlsplit(urljoin(self._scope["path"], await _soon(self._endpoint)))
        place = {"path": unquote(url.path), "raw_path": url.path.encode(), "query_string": url.query.encode()}
        self._place = place

    async def ask(self, request_id: int, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """The result of a request."""
        answer = self._answers[request_id] = asyncio.get_running_loop().create_future()
        await self.tell({"jsonrpc": "2.0", "id": request_id, "method": method, "params": parameters})
        message = await _soon(answer)
        result = message.get("result")
        if not isinstance(result, dict):
            raise NoLegacyServer(f"{method} was answered without a result")
        return result

    async def tell(self, message: dict[str, Any]) -> None:
        """Send one message."""
        body = json.dumps(message).encode()
        status = 0

        async def take(sent: Message) -> None:
            nonlocal status
            status = sent.get("status", status)

        await self._app({**self._build_scope("POST", body, {}), **self._place}, _once(body), take)
        if not 200 <= status < 300:
            raise NoLegacyServer(f"{message['method']} was answered with status {status}")

    async def _take(self, sent: Message) -> None:
        if sent["type"] == "http.response.start":
            headers = {name.lower(): value for name, value in sent.get("headers", ())}
            if sent["status"] != 200 or not headers.get(b"content-type", b"").startswith(b"text/event-stream"):
                raise NoLegacyServer(f"there is no stream, but status {sent['status']}")
            return
        # A lone \r ends a line, too, but nobody writes it; \r\n may come in two parts.
        *events, self._held = (self._held + sent.get("body", b"")).replace(b"\r\n", b"\n").split(b"\n\n")
        if len(self._held) > _MAX_EVENT_SIZE:
            raise NoLegacyServer("an event is too long")
        for event in events:
            self._read(event.decode("utf-8", "replace").split("\n"))

    def _read(self, lines: list[str]) -> None:
        kinds = [line[6:].strip() for line in lines if line.startswith("event:")]
        data = "\n".join(line[5:].removeprefix(" ") for line in lines if line.startswith("data:"))
        if kinds == ["endpoint"] and not self._endpoint.done():
            self._endpoint.set_result(data)
            return
        try:
            message = json.loads(data) if data else None
        except (ValueError, RecursionError):
            return
        waiting = self._answers.get(message.get("id")) if isinstance(message, dict) else None
        if waiting is not None and not waiting.done():
            waiting.set_result(message)


@asynccontextmanager
async def _converse(app: ASGIApp, build_scope: BuildScope) -> AsyncIterator[_Conversation]:
    """A conversation for as long as the context is open."""
    conversation = _Conversation(app, build_scope)
    listening = asyncio.create_task(conversation.listen(), name="stream of a server that tells its tools")
    try:
        await conversation.begin()
        yield conversation
    finally:
        listening.cancel()
        await asyncio.wait([listening])


async def _soon(waited: asyncio.Future[Any]) -> Any:
    try:
        async with asyncio.timeout(_WAIT_SECONDS):
            return await waited
    except TimeoutError:
        raise NoLegacyServer("nothing came on the stream in time") from None


def _once(body: bytes) -> Callable[[], Any]:
    """A `receive` with a whole body, and a client that stays."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if not messages:
            await anyio.sleep_forever()
        return messages.pop()

    return receive
