"""As much of ASGI as a guard in front of an app needs: reading headers, and answering in the app's stead."""

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any

import anyio

BODY_SECONDS = 30.0
"""How long a client may take to send a whole body."""
SHORT_BODY = 64 * 1024
"""Bytes that are read in a millisecond, and that every open connection may hold."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]


class Request:
    """The head of an HTTP request, without its body."""

    __slots__ = ("method", "path", "scope")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]

    def values(self, name: str) -> list[str]:
        """Every value of a header, one for each time it was sent; `name` is in lower case."""
        wanted = name.encode("ascii")
        return [value.decode("latin-1") for key, value in self.scope["headers"] if key.lower() == wanted]

    def spellings(self, name: str) -> list[str]:
        """The values of a header and of those that some reader takes for it: CGI makes hyphens of underscores (T46)."""
        wanted = name.encode("ascii")
        return [
            value.decode("latin-1") for key, value in self.scope["headers"] if key.lower().replace(b"_", b"-") == wanted
        ]

    def value(self, name: str) -> str:
        """The one value of a header, or the empty string when it is absent or was sent more than once."""
        values = self.values(name)
        return values[0] if len(values) == 1 else ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response, small enough to be built in one go."""

    status: int
    headers: tuple[Header, ...] = ()
    body: bytes = b""

    async def send(self, request: Request, send: Send, *, more: Iterable[Header] = ()) -> None:
        """Answer `request`; a HEAD gets the headers alone."""
        headers = [*self.headers, *more]
        if self.status != 204:
            headers.append((b"content-length", str(len(self.body)).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        body = b"" if request.method == "HEAD" else self.body
        await send({"type": "http.response.body", "body": body})


class Refused(Exception):  # noqa: N818  # carries an answer up; not every one is an error
    """The request goes no further; `answer` says why, and `reason` more of it to the operator than to the caller."""

    def __init__(self, answer: Answer, reason: str = "") -> None:
        super().__init__(answer.status)
        self.answer = answer
        self.reason = reason


class Disconnected(Exception):  # noqa: N818  # the other end's doing
    """The body ended before it was complete: the client went away, or its framing cannot be read."""


def media_types(headers: Iterable[Header]) -> bytes:
    """All that an answer says of its media type, in lower case: clients differ in what they look at."""
    return b",".join(value for name, value in headers if name.lower() == b"content-type").lower()


def build_header(name: str, value: str) -> Header:
    """A header as ASGI wants it."""
    return name.lower().encode("ascii"), value.encode("latin-1")


def build_json(status: int, document: dict[str, Any], *headers: Header) -> Answer:
    """An answer with a JSON body."""
    body = json.dumps(document, separators=(",", ":")).encode()
    return Answer(status, (build_header("content-type", "application/json"), *headers), body)


def build_rpc_error(
    status: int, code: int, message: str, request_id: str | int | None, *headers: Header, data: Any = None
) -> Answer:
    """An answer that a client gives to whoever made the call. Spec: JSON-RPC 2.0 §5.1"""
    error = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return build_json(status, {"jsonrpc": "2.0", "id": request_id, "error": error}, *headers)


def build_text(status: int, text: str, *headers: Header) -> Answer:
    """An answer with one line for the person who looks."""
    return Answer(status, (build_header("content-type", "text/plain; charset=utf-8"), *headers), f"{text}\n".encode())


async def read_body(
    request: Request, receive: Receive, *, limit: int, when_long: Callable[[], object] | None = None
) -> bytes | None:
    """The whole body, or None as soon as it is known to be longer than `limit` bytes.

    `when_long` is called once when more than `SHORT_BODY` bytes of it came. Raises `Disconnected`, and `Refused` for a
    body whose end two servers on its way could see in different places, or that is not here within `BODY_SECONDS`.

    Spec: RFC 9112 §6.1, §6.3 (T47, T48)
    """
    codings = request.values("transfer-encoding")
    if codings and (request.values("content-length") or [coding.lower() for coding in codings] != ["chunked"]):
        raise Refused(build_text(400, "Send a Content-Length or Transfer-Encoding: chunked, and one of them."))
    declared = request.value("content-length")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > limit:
        return None
    try:
        with anyio.fail_after(BODY_SECONDS):
            return await _read_pieces(receive, limit, when_long)
    except TimeoutError:
        raise Refused(build_text(408, f"A body must be here within {BODY_SECONDS:g} seconds.")) from None


async def _read_pieces(receive: Receive, limit: int, when_long: Callable[[], object] | None) -> bytes | None:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        body += message.get("body", b"")
        if len(body) > limit:
            return None
        if len(body) > SHORT_BODY and when_long is not None:
            when_long()
            when_long = None
        if not message.get("more_body", False):
            return bytes(body)


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives `body`, byte for byte, and after it no more body but only the client's leaving."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        if messages:
            return messages.pop()
        while (message := await receive())["type"] == "http.request":
            pass
        return message

    return receive_again


async def refuse_websocket(receive: Receive, send: Send) -> None:
    """Close a WebSocket before it opens: MCP has none, and nothing here would check its messages."""
    message = await receive()
    if message["type"] == "websocket.connect":
        await send({"type": "websocket.close", "code": 1008})
