"""The client's side of an exchange through the proxy: its body, and its leaving."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from .asgi import Disconnected, Receive, Request
from .principal import Principal


class Body:
    """What the client sends: whole when it came in one message, else as it comes.

    `is_broken` once it turned out to end before it was complete, `is_answered` once the answer to it has begun.
    """

    def __init__(self, receive: Receive, first: bytes, *, more: bool) -> None:
        self._receive = receive
        self._first = first
        self.is_whole = not more
        self.is_broken = False
        self.is_answered = False
        self.read = asyncio.Event()
        if self.is_whole:
            self.read.set()

    def content(self) -> bytes | AsyncIterator[bytes] | None:
        """The body to send on; None when there is none."""
        return (self._first or None) if self.is_whole else self._stream()

    async def _stream(self) -> AsyncIterator[bytes]:
        if self._first:
            yield self._first
        more = True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                self.is_broken = True
                if self.is_answered:
                    self.read.set()  # nothing more will come but the leaving
                raise Disconnected
            more = message.get("more_body", False)
            if not more:
                self.read.set()
            if message.get("body"):
                yield message["body"]


@dataclass(frozen=True, slots=True, eq=False)
class Exchange:
    """One request on its way."""

    request: Request
    principal: Principal
    body: Body

    @property
    def is_stream(self) -> bool:
        """Whether the answer may have no end of its own: it then waits for nobody when the process stops."""
        return self.request.method == "GET"


async def read_body(receive: Receive) -> Body:
    """The body as far as it is here. Raises `Disconnected`."""
    message = await receive()
    if message["type"] != "http.request":
        raise Disconnected
    return Body(receive, message.get("body", b""), more=message.get("more_body", False))


class UntilGone:
    """A context that is left at once when the client goes away, whatever is awaited inside it.

    Servers tell of the leaving only to somebody who asks, and only once the body was read. Left in that way, the
    context ends without an error: there is nobody to answer.
    """

    def __init__(self, receive: Receive, body: Body) -> None:
        self._receive = receive
        self._body = body
        self._is_gone = False

    async def __aenter__(self) -> Self:
        """Begin to listen."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("There is no task to end.")
        self._task = task
        self._cancelling = task.cancelling()
        self._watcher = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Stop listening; swallow the cancellation that is our own, and no other."""
        self._watcher.cancel()
        if not self._is_gone:
            return False
        return self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError

    async def _watch(self) -> None:
        await self._body.read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._is_gone = True
        self._task.cancel()
