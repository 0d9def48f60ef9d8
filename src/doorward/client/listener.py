"""A place on this machine where one authorization response arrives, for as long as a login runs.

On the address of this machine, not its name, so that nobody else can receive it. Spec: RFC 8252 §7.3, §8.3 (RDU-08)
"""

import contextlib
import re
from collections import deque
from collections.abc import AsyncIterator, Sequence

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.stapled import MultiListener

from .callback import (
    MAX_HEAD_BYTES,
    PATH,
    check_state,
    parse_request,
    render_elsewhere,
    render_foreign,
    render_malformed,
    render_received,
    without_body,
)

CONNECTION_SECONDS = 10.0
MAX_CONNECTIONS = 16
_HEAD_ENDS = b"\r\n\r\n"
_LINGER_BYTES = 64 * 1024
_OWN_REDIRECT = re.compile(rf"http://127\.0\.0\.1:([1-9][0-9]{{0,4}}){PATH}")


class LoopbackListener:
    """Waits for the one response whose state was asked for; every other request is answered and forgotten.

    Spec: AUTHZ-17, ISS-07, RDU-09; threat T36
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.redirect_uri = f"http://127.0.0.1:{port}{PATH}"
        self.foreign = 0
        """How many responses came that belonged to no request of ours."""
        self._state: str | None = None
        self._query: str | None = None
        self._arrived = anyio.Event()
        self._connections: deque[anyio.CancelScope] = deque()

    async def wait(self, state: str) -> str:
        """The query, undecoded, of the response with that `state`."""
        self._state = state
        await self._arrived.wait()
        return self._query or ""

    async def serve(self, stream: SocketStream) -> None:
        """Answer one connection, within hard limits; one too many ends the oldest, so that idle ones block nobody."""
        with anyio.move_on_after(CONNECTION_SECONDS) as scope:
            self._connections.append(scope)
            if len(self._connections) > MAX_CONNECTIONS:
                self._connections.popleft().cancel()
            try:
                async with stream:
                    with contextlib.suppress(OSError, anyio.EndOfStream, anyio.BrokenResourceError):
                        await self._answer(stream)
            finally:
                with contextlib.suppress(ValueError):
                    self._connections.remove(scope)

    async def _answer(self, stream: SocketStream) -> None:
        head = await _read_head(stream)
        answer, query = self._judge(head)
        try:
            await stream.send(answer)
            await stream.send_eof()
        finally:
            # Whoever sent the right answer is in, even if the browser did not stay for the page.
            if query is not None:
                self._query = query
                self._arrived.set()
        await _linger(stream)

    def _judge(self, head: bytes | None) -> tuple[bytes, str | None]:
        """What to answer, and the query that was waited for."""
        request = parse_request(head, port=self.port) if head is not None else None
        if request is None:
            return render_malformed(), None
        if request.path != PATH:
            answer, query = render_elsewhere(), None
        elif self._state is None or not check_state(request.query, self._state) or self._is_other(request.query):
            self.foreign += 1
            answer, query = render_foreign(), None
        else:
            answer, query = render_received(), request.query
        return (without_body(answer), None) if request.method == "HEAD" else (answer, query)

    def _is_other(self, query: str) -> bool:
        """The state is spent, and this is not the same page loaded again. Spec: AUTHZ-17"""
        return self._query is not None and query != self._query


@contextlib.asynccontextmanager
async def listen(ports: Sequence[int] = ()) -> AsyncIterator[LoopbackListener]:
    """A listener on the first of `ports` that is free, else on any, that is there while the context is open.

    What is raised inside comes out as it is, not in an exception group.
    """
    failure: BaseException | None = None
    async with _bound(ports) as sockets, anyio.create_task_group() as tasks:
        listener = LoopbackListener(sockets.extra(SocketAttribute.local_port))  # noqa: S610  # anyio's, not Django's
        tasks.start_soon(sockets.serve, listener.serve)
        try:
            yield listener
        except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001  # raised again below
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


def own_ports(redirect_uris: Sequence[str]) -> list[int]:
    """The ports of those redirect URIs that a listener here had. Spec: RDU-08"""
    found = (_OWN_REDIRECT.fullmatch(uri) for uri in redirect_uris)
    return [port for match in found if match and (port := int(match[1])) < 65536]


@contextlib.asynccontextmanager
async def _bound(ports: Sequence[int]) -> AsyncIterator[MultiListener[SocketStream]]:
    sockets = await _bind_first(ports)
    try:
        yield sockets
    finally:
        # Of two listeners that it closes, one stays open when it is interrupted.
        with anyio.CancelScope(shield=True):
            await sockets.aclose()


async def _bind_first(ports: Sequence[int]) -> MultiListener[SocketStream]:
    for port in ports:
        with contextlib.suppress(OSError):
            return await _bind(port)
    return await _bind(0)


async def _bind(port: int) -> MultiListener[SocketStream]:
    """Listen on 127.0.0.1, and on ::1 at the same port where that is possible. Raises `OSError`."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
    port = listener.extra(SocketAttribute.local_port)  # noqa: S610  # anyio's, not Django's
    with contextlib.suppress(OSError):
        second = await anyio.create_tcp_listener(local_host="::1", local_port=port)
        return MultiListener([second, listener])
    return listener


async def _read_head(stream: SocketStream) -> bytes | None:
    """Everything before the empty line, or None when there is too much of it."""
    head = b""
    while _HEAD_ENDS not in head:
        if len(head) > MAX_HEAD_BYTES:
            return None
        head += await stream.receive()
    head = head[: head.index(_HEAD_ENDS)]
    return head if len(head) <= MAX_HEAD_BYTES else None


async def _linger(stream: SocketStream) -> None:
    """Take what is still coming, so that closing does not make the system drop the answer."""
    received = 0
    while received < _LINGER_BYTES:
        received += len(await stream.receive())
