"""What waits to be sent to one client over one HTTP response, and how it is sent."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from .asgi import Answer, Header, Receive, Request, Send, build_header
from .stdio_messages import Json, encode

MAX_WAITING = 64
MAX_WAITING_SIZE = 256 * 1024
"""Messages, and bytes of them, that wait for one client to read before whoever brings more has to wait, too."""
COMMIT_SECONDS = 5.0
"""How long an answer may take to become plain JSON with a status of its own; what takes longer is a stream."""
PING_SECONDS = 15.0
"""A stream that is silent for as long gets a comment, so that no proxy on the way takes it for dead."""
_STREAM = (
    build_header("content-type", "text/event-stream"),
    build_header("cache-control", "no-cache, no-transform"),
    build_header("x-accel-buffering", "no"),
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message for a client; `status` is what an answer would have as a response of its own."""

    data: bytes
    is_answer: bool = False
    status: int = 200


class Outbox:
    """The messages for one stream, bounded; closed when all `answers` that it was opened for are in it.

    An answer is always taken, and never lost. Anything else waits for room, if whoever brings it has the patience.
    """

    def __init__(self, *, answers: int | None = None, takes_all: bool = True) -> None:
        self.takes_all = takes_all
        """Whether it can carry anything beside answers: a client that wants plain JSON gets no more."""
        self.is_closed = False
        self.is_abandoned = False
        self._answers_due = answers
        self._waiting: deque[Waiting] = deque()
        self._size = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def put(self, message: Json, *, patience: float) -> bool:
        """Add a message as soon as there is room; False if there was none for `patience` seconds, or never will be."""
        if not self._room.is_set() and patience > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._room.wait(), patience)
        if self.is_closed or not self.takes_all or not self._room.is_set():
            return False
        self._add(Waiting(encode(message)))
        return True

    def answer(self, message: Json, *, status: int = 200) -> None:
        """Add an answer."""
        if self.is_closed:
            return
        self._add(Waiting(encode(message), is_answer=True, status=status))
        if self._answers_due is not None:
            self._answers_due -= 1
            if self._answers_due <= 0:
                self.close()

    def close(self) -> Sequence[Waiting]:
        """Nothing more is added; what waits is returned, and can still be taken."""
        self.is_closed = True
        self._arrived.set()
        self._room.set()
        return tuple(self._waiting)

    def abandon(self) -> None:
        """Nobody takes anything from here any more."""
        self.is_abandoned = True
        self.close()

    def take_over(self, other: "Outbox") -> None:
        """Begin with what nobody took from another one."""
        for message in other.close():
            self._add(message)

    async def take(self, *, within: float) -> Waiting | None:
        """The next message, or None if none came in time. Raises `EOFError` at the end."""
        if not self._waiting and not self.is_closed:  # what is waiting needs no timer
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), within)
        if self.is_abandoned or (self.is_closed and not self._waiting):
            raise EOFError
        if not self._waiting:
            return None
        message = self._waiting.popleft()
        self._size -= len(message.data)
        self._note()
        return message

    def _add(self, message: Waiting) -> None:
        self._waiting.append(message)
        self._size += len(message.data)
        self._note()

    def _note(self) -> None:
        if self._waiting or self.is_closed:
            self._arrived.set()
        else:
            self._arrived.clear()
        if self.is_closed or (len(self._waiting) < MAX_WAITING and self._size < MAX_WAITING_SIZE):
            self._room.set()
        else:
            self._room.clear()


@asynccontextmanager
async def noticing_the_end(receive: Receive, outbox: Outbox) -> AsyncIterator[None]:
    """Abandon the outbox as soon as the client leaves."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        outbox.abandon()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def send_answers(
    request: Request, send: Send, outbox: Outbox, *, as_json: bool, as_list: bool, headers: Iterable[Header] = ()
) -> None:
    """Send what an outbox gets until its answers are in: as plain JSON when there is no more than that, else as events.

    `as_json` says whether the client takes plain JSON at all. One that takes nothing else gets it whatever time it
    needs; a batch (`as_list`) is streamed to everybody who takes a stream.

    Spec: MCP Streamable HTTP, Sending Messages to the Server
    """
    if not outbox.takes_all:
        await _send_json(request, send, outbox, as_list=as_list, headers=headers)
        return
    first: Waiting | None = None
    if as_json and not as_list:
        with contextlib.suppress(EOFError):
            first = await outbox.take(within=COMMIT_SECONDS)
    if first is not None and first.is_answer:
        await Answer(first.status, (*_json_headers(), *headers), first.data).send(request, send)
        return
    if not outbox.is_abandoned:
        await send_events(send, outbox, headers=headers, first=first)


async def send_events(
    send: Send, outbox: Outbox, *, headers: Iterable[Header] = (), first: Waiting | None = None
) -> None:
    """Send what an outbox gets as server-sent events, each when it comes, until the outbox is closed.

    Spec: MCP Streamable HTTP, Receiving Messages (TRN-11)
    """
    await send({"type": "http.response.start", "status": 200, "headers": [*_STREAM, *headers]})
    # Sent at once, so that the headers are on their way before the first event is.
    await send({"type": "http.response.body", "body": _event(first) if first else b": \n\n", "more_body": True})
    with contextlib.suppress(EOFError):
        while True:
            message = await outbox.take(within=PING_SECONDS)
            body = _event(message) if message else b": \n\n"
            await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_json(request: Request, send: Send, outbox: Outbox, *, as_list: bool, headers: Iterable[Header]) -> None:
    answers: list[Waiting] = []
    with contextlib.suppress(EOFError):
        while True:
            message = await outbox.take(within=PING_SECONDS)
            answers += [message] if message else []
    if as_list:
        body = b"[" + b",".join(answer.data for answer in answers) + b"]"
        await Answer(200, (*_json_headers(), *headers), body).send(request, send)
    elif answers:
        await Answer(answers[0].status, (*_json_headers(), *headers), answers[0].data).send(request, send)


def _json_headers() -> tuple[Header, ...]:
    return (build_header("content-type", "application/json"),)


def _event(message: Waiting) -> bytes:
    return b"event: message\ndata: " + message.data + b"\n\n"
