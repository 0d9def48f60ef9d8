"""A request in, an answer out: the thin shell between ASGI and handlers.

Owns the caps on what is read, the headers that always go out, and nothing of any protocol. Handlers are
`async def handler(request) -> Response`; hot ones cost one object each way.

Spec: security defaults, HTTP limits (T47, T48)
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_json

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_LIMIT = 64 * 1024
BODY_SECONDS = 30
"""How long a body may take to arrive, so that slow senders cannot hold every connection."""
NO_STORE = (("cache-control", "no-store"), ("pragma", "no-cache"))


class BodyTooLarge(Exception):  # noqa: N818  # answered with 413, not a fault
    """The body is larger than the route accepts; the rest of it was not read."""


class BodyTooSlow(Exception):  # noqa: N818  # answered with 408, not a fault
    """The body was not all here in time."""


class Disconnected(Exception):  # noqa: N818  # the other end's doing
    """The body ended before it was complete: the peer went away, or its framing cannot be read."""


class Request:
    """One HTTP request. `path` is decoded and without the project's prefix; `now` is epoch milliseconds."""

    __slots__ = ("_headers", "body_limit", "learned", "now", "path", "receive", "reference", "scope")

    def __init__(self, scope: Scope, receive: Receive, *, path: str, now: int, reference: str) -> None:
        self.scope = scope
        self.receive = receive
        self.path = path
        self.now = now
        self.reference = reference
        self.body_limit = BODY_LIMIT
        self.learned: dict[str, str] = {}
        """What handling it brought to light, for the operator's timeline; never a secret."""
        self._headers: dict[str, list[str]] | None = None

    def learn(self, **facts: str | None) -> None:
        """Note whose request it turned out to be."""
        for name, value in facts.items():
            if value:
                self.learned[name] = value

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @property
    def query(self) -> bytes:
        return bytes(self.scope["query_string"])

    @property
    def peer(self) -> str:
        """The address of the other end of the connection, which may be a proxy."""
        client = self.scope.get("client")
        return str(client[0]) if client else ""

    def headers(self, name: str) -> list[str]:
        """Every value of a header, in order; `name` in lower case."""
        if self._headers is None:
            self._headers = {}
            for key, value in self.scope["headers"]:
                self._headers.setdefault(key.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        return self._headers.get(name, [])

    def header(self, name: str) -> str:
        """The first value of a header, or an empty string."""
        values = self.headers(name)
        return values[0] if values else ""

    @property
    def is_ambiguous(self) -> bool:
        """Whether two readers could disagree on where the request ends or whom it is for (T46, T47)."""
        coding = self.headers("transfer-encoding")
        return (
            len(self.headers("host")) > 1
            or len(self.headers("content-length")) > 1
            or (bool(coding) and [value.lower() for value in coding] != ["chunked"])
        )

    def cookies(self) -> dict[str, str]:
        """The request's cookies; malformed ones are as good as absent."""
        found: dict[str, str] = {}
        for line in self.headers("cookie"):
            for part in line.split(";"):
                name, separator, value = part.strip().partition("=")
                if separator and name not in found:
                    found[name] = value
        return found

    async def body(self) -> bytes:
        """The whole body.

        Raises `BodyTooLarge` as soon as it is over the route's limit, `BodyTooSlow` and `Disconnected`.
        """
        declared = self.header("content-length")
        if declared.isascii() and declared.isdigit() and (len(declared) > 18 or int(declared) > self.body_limit):
            raise BodyTooLarge
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await self._read_body()
        except TimeoutError:
            raise BodyTooSlow from None

    async def _read_body(self) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self.body_limit:
                raise BodyTooLarge
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)


@dataclass(slots=True)
class Response:
    """Status, body and headers; header names in lower case."""

    status: int = 200
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)

    def set(self, name: str, value: str) -> None:
        """Add a header."""
        self.headers.append((name, value))

    async def send(self, send: Send, *, head: bool = False) -> None:
        """Write the answer; with `head` everything but the body."""
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers]
        raw.append((b"content-length", str(len(self.body)).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        await send({"type": "http.response.body", "body": b"" if head else self.body})


@dataclass(slots=True)
class StreamedResponse(Response):
    """An answer too long to hold: its body comes piece by piece, and an error in the middle breaks it off."""

    pieces: AsyncIterator[bytes] | None = None

    async def send(self, send: Send, *, head: bool = False) -> None:
        """Write the answer as it is made; with `head` everything but the body."""
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers]
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        if self.pieces is not None and not head:
            async for piece in self.pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


Handler = Callable[[Request], Awaitable[Response]]


def json_response(
    members: Mapping[str, Any], *, status: int = 200, headers: Iterable[tuple[str, str]] = NO_STORE
) -> Response:
    """A JSON answer, by default one that nothing may store. Spec: TOK-04"""
    body = to_json(members)
    return Response(
        status, body, [("content-type", "application/json"), ("x-content-type-options", "nosniff"), *headers]
    )


def redirect(location: str, *, status: int = 303) -> Response:
    """A redirect that turns a POST into a GET. Spec: AUTHZ-07"""
    return Response(status, b"", [("location", location), *NO_STORE, ("referrer-policy", "no-referrer")])


def cookie(name: str, value: str, *, secure: bool, max_age: int | None = None, same_site: str = "Lax") -> str:
    """A `Set-Cookie` value that scripts cannot read and other sites cannot post. Spec: section 14, cookies"""
    parts = [f"{name}={value}", "Path=/", "HttpOnly", f"SameSite={same_site}"]
    if max_age is not None:
        parts.append(f"Max-Age={max_age}")
    if secure:
        parts.append("Secure")
    return "; ".join(parts)


class Lifespan:
    """ASGI's lifespan protocol around a context, which whoever runs the server can end, too.

    HTTP runtimes tell of the end only when no connection is left, and a stream may never end.
    """

    def __init__(self, context: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        self._context = context
        self._over = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()

    async def run(self, receive: Receive, send: Send) -> None:
        """Serve the connection of type `lifespan`."""
        await receive()
        self._ended.clear()
        try:
            async with self._context():
                await send({"type": "lifespan.startup.complete"})
                waiting = [asyncio.create_task(self._over.wait()), asyncio.ensure_future(receive())]
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in waiting:
                    task.cancel()
        finally:
            self._ended.set()
        await send({"type": "lifespan.shutdown.complete"})

    async def end(self, *, within: float) -> bool:
        """Leave the context, if it was entered; False when that takes more than so many seconds."""
        self._over.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), within)
        return self._ended.is_set()
