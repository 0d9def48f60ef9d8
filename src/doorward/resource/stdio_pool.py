"""The processes of one command: started when somebody needs one, ended when nobody does, and never too many."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from mcp_types import CLIENT_CAPABILITIES_META_KEY, CLIENT_INFO_META_KEY, PROTOCOL_VERSION_META_KEY
from mcp_types.version import LATEST_MODERN_VERSION, MODERN_PROTOCOL_VERSIONS

from .stdio_connection import Launch, StdioConnection
from .stdio_messages import Json
from .stdio_process import ProcessGone
from .stdio_sessions import Place, Session

START_SECONDS = 60.0
"""How long a server may take to answer `initialize`: some fetch themselves first."""
PROBE_SECONDS = 8.0
"""How long it may take to show that it knows the newest revision: clients wait ten seconds for the answer."""
CLIENT_INFO = {"name": "doorward", "version": "1"}
BACKOFF_SECONDS = 1.0
"""How long the start after a second failure in a row waits; the one after a third waits twice as long, and so on."""
_FORGIVEN_AFTER_SECONDS = 30.0
_LONGEST_BACKOFF_SECONDS = 60.0
_PROBE_AGAIN_SECONDS = 600.0
_LONGEST_PAUSE_SECONDS = 30.0

_log = logging.getLogger("doorward.resource.stdio")


class Unavailable(Exception):  # noqa: N818  # it passes
    """No process can serve this now; `retry_after` is in seconds, None when trying again promises nothing."""

    def __init__(self, text: str, *, status: int, retry_after: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after = retry_after


class HandshakeRefused(Exception):  # noqa: N818  # the server's own answer
    """The server answered `initialize` with an error, which is `error`."""

    def __init__(self, error: Any) -> None:
        super().__init__("initialize was refused")
        self.error = error


class HandshakeOnly(Exception):  # noqa: N818  # a fact about the server
    """The server behind knows no revision without a handshake."""


@dataclass(eq=False, slots=True)
class _Seat:
    """Where the process of a place sits, and how it fared."""

    connection: StdioConnection | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    failures: int = 0
    not_before: float = 0.0


class ProcessPool:
    """Processes by place. Over `max_processes`, or `max_of_a_person`, the one that was idle longest goes.

    Nothing of one place reaches another. Which era the command speaks is found out once: a server decides it by the
    first request of its life, so no process ever gets requests of both.
    """

    def __init__(
        self,
        launch: Launch,
        *,
        sessions_at: Callable[[Place], list[Session]],
        idle_seconds: float,
        max_processes: int,
        max_of_a_person: int,
    ) -> None:
        self._launch = launch
        self._sessions_at = sessions_at
        self._idle_seconds = idle_seconds
        self._max = max_processes
        self._max_of_a_person = max_of_a_person
        self._seats: dict[Place, _Seat] = {}
        self._started: dict[StdioConnection, Place] = {}
        self._admission = asyncio.Lock()
        self._turns: WeakValueDictionary[tuple[str, str] | None, asyncio.Lock] = WeakValueDictionary()
        self._probing = asyncio.Lock()
        self._is_modern = False
        self._probe_again_at = 0.0
        self._ending: set[asyncio.Task[None]] = set()
        self._is_open = False
        self._has_failed = False

    @property
    def is_failing(self) -> bool:
        """Whether the last start failed, and nothing runs that started before."""
        return self._has_failed and not self._running()

    @property
    def processes(self) -> int:
        """How many processes there are, those that are just ending included."""
        return len(self._running())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """End idle processes while the context is open, and all of them at its end."""
        self._is_open = True
        caring = asyncio.create_task(self._end_idle())
        try:
            yield
        finally:
            self._is_open = False
            caring.cancel()
            async with self._admission:  # one that is just being started is stopped, too
                running = self._running()
            await asyncio.gather(caring, *(connection.stop() for connection in running), return_exceptions=True)
            await asyncio.gather(*self._ending, return_exceptions=True)

    def find(self, place: Place) -> StdioConnection | None:
        """The process of a place, if it runs."""
        seat = self._seats.get(place)
        connection = seat.connection if seat else None
        return None if connection is None or connection.is_closing else connection

    async def connect(self, place: Place, params: Json | None = None) -> StdioConnection:
        """The process of a place, started and initialized with `params` if it does not run.

        Raises `Unavailable`, `HandshakeRefused` and, for a place without handshake, `HandshakeOnly`. No other process
        takes the place of the returned one before the caller awaits something.
        """
        if place.handshake is None:
            await self._check_era(place)
        seat = self._seats.setdefault(place, _Seat())
        async with seat.lock:
            if (running := self.find(place)) is not None:
                return running
            connection = await self._start(place, seat)
            if params is not None:
                await self._initialize(connection, seat, params)
            return connection

    async def _check_era(self, place: Place) -> None:
        """Find out once whether the command speaks the newest revision, as a client of it would."""
        async with self._probing:
            if not self._is_modern and time.monotonic() >= self._probe_again_at:
                self._is_modern = await self._probe(place)
        if not self._is_modern:
            raise HandshakeOnly

    async def _probe(self, place: Place) -> bool:
        seat = self._seats.setdefault(place, _Seat())
        async with seat.lock:
            connection = await self._start(place, seat)
            meta = {
                PROTOCOL_VERSION_META_KEY: LATEST_MODERN_VERSION,
                CLIENT_INFO_META_KEY: CLIENT_INFO,
                CLIENT_CAPABILITIES_META_KEY: {},
            }
            try:
                answer = await connection.call("server/discover", {"_meta": meta}, within=PROBE_SECONDS)
            except ProcessGone:
                # Some servers end at once when they do not know a request; but this one may just have been slow.
                self._probe_again_at = time.monotonic() + _PROBE_AGAIN_SECONDS
                answer = {}
            else:
                self._probe_again_at = float("inf")
            result = answer.get("result")
            versions = result.get("supportedVersions") if isinstance(result, dict) else None
            if isinstance(versions, list) and set(MODERN_PROTOCOL_VERSIONS).intersection(map(str, versions)):
                self._has_failed = False
                return True
            connection.is_closing = True
            self._end_soon(connection.stop())
            return False

    async def _start(self, place: Place, seat: _Seat) -> StdioConnection:
        """A new process in the seat, which nobody else holds."""
        wait = seat.not_before - time.monotonic()
        if wait > 0:
            raise Unavailable("The server behind fails again and again.", status=503, retry_after=max(1, round(wait)))
        sessions = partial(self._sessions_at, place) if place.handshake is not None else None
        connection = StdioConnection(self._launch, sessions=sessions, is_shared=place.owner is None)
        # A person has one process at a time started, and waits alone for those that have to end for it.
        turn = self._turns.setdefault(_person_of(place), asyncio.Lock())
        async with turn:
            await self._make_room_of_person(place)
            return await self._start_in_turn(connection, place, seat)

    async def _start_in_turn(self, connection: StdioConnection, place: Place, seat: _Seat) -> StdioConnection:
        async with self._admission:
            if not self._is_open:
                raise Unavailable("The server is being stopped.", status=503, retry_after=5)
            await self._make_room()
            try:
                await connection.start(partial(self._note_failure, seat, connection))
            except ProcessGone as gone:
                self._has_failed = True
                self._note_failure(seat, connection, str(gone))
                raise Unavailable(str(gone), status=502) from None
            seat.connection = connection
            self._started[connection] = place
        return connection

    async def _initialize(self, connection: StdioConnection, seat: _Seat, params: Json) -> None:
        """Shake hands; a process with which that fails is ended."""
        try:
            connection.capabilities = dict(params.get("capabilities") or {})
            answer = await connection.call("initialize", params, within=START_SECONDS)
            if not isinstance(answer.get("result"), dict):
                raise HandshakeRefused(answer.get("error"))
            connection.initialized = answer["result"]
            self._has_failed = False
            await connection.notify("notifications/initialized")
        except BaseException as error:
            if not connection.is_closing:
                connection.is_closing = True
                self._note_failure(seat, connection, "initialize failed")
            self._end_soon(connection.stop())
            if isinstance(error, ProcessGone):
                self._has_failed = True
                raise Unavailable(str(error), status=502) from None
            raise

    async def _make_room_of_person(self, place: Place) -> None:
        """End what was idle longest of this person's, until one more may start."""
        person = _person_of(place)
        while person is not None:
            theirs = [other for other in self._running() if _person_of(self._started[other]) == person]
            if len(theirs) < self._max_of_a_person:
                return
            await _end_longest_idle(theirs)

    async def _make_room(self) -> None:
        """The same of all."""
        while len(running := self._running()) >= self._max:
            await _end_longest_idle(running)

    def _running(self) -> list[StdioConnection]:
        for connection in [connection for connection in self._started if connection.has_ended]:
            del self._started[connection]
        return list(self._started)

    def _note_failure(self, seat: _Seat, connection: StdioConnection, reason: str) -> None:
        """Wait before the next start, twice as long each time; the first failure after a good while is forgiven."""
        now = time.monotonic()
        seat.failures = 1 if now - connection.started_at > _FORGIVEN_AFTER_SECONDS else seat.failures + 1
        wait = (
            0.0 if seat.failures == 1 else min(_LONGEST_BACKOFF_SECONDS, BACKOFF_SECONDS * 2.0 ** (seat.failures - 2))
        )
        seat.not_before = now + wait
        _log.warning("A server behind failed (%s), %d in a row.", reason, seat.failures)

    async def _end_idle(self) -> None:
        """End processes that nobody used for a while, for as long as the pool is open."""
        while True:
            await asyncio.sleep(min(_LONGEST_PAUSE_SECONDS, self._idle_seconds / 4))
            now = time.monotonic()
            for place, seat in list(self._seats.items()):
                connection = seat.connection
                if connection is None or connection.has_ended:
                    if not seat.lock.locked() and now > seat.not_before + _FORGIVEN_AFTER_SECONDS:
                        del self._seats[place]
                elif (
                    not connection.is_busy
                    and not connection.is_closing
                    and now - connection.used_at > self._idle_seconds
                ):
                    connection.is_closing = True
                    self._end_soon(connection.stop())

    def _end_soon(self, stop: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(stop)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


async def _end_longest_idle(crowd: Iterable[StdioConnection]) -> None:
    """End one that nobody waits for. Raises `Unavailable` where there is none."""
    idle = [connection for connection in crowd if not connection.is_busy]
    if not idle:
        raise Unavailable("Too many servers are at work for others.", status=503, retry_after=5)
    await min(idle, key=lambda connection: connection.used_at).stop()


def _person_of(place: Place) -> tuple[str, str] | None:
    """Whose a place is, through whichever client; None for everybody's."""
    return None if place.owner is None else place.owner[:2]
