"""The MCP sessions that clients hold at a server behind, which itself knows of none."""

import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .principal import Identity
from .stdio_messages import Json, RequestId
from .stdio_streams import Outbox

MAX_SESSIONS = 2_000
MAX_SESSIONS_OF_A_PERSON = 50
_IDLE_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Place:
    """Which process serves a request: the one of this caller that was opened in this way.

    `owner` is None for a process that everybody shares. `handshake` is a digest of what the client said of itself in
    `initialize`: clients that can do different things never share a process, since a server asks its one client for
    what that client can do. It is None for revisions without a handshake.
    """

    owner: Identity | None
    handshake: str | None


@dataclass(eq=False, slots=True)
class Exchange:
    """A client's request between its arrival here and its answer; the request itself is not kept.

    `number` is its id at the server behind, `request_id` the client's; `token` is the client's progress token.
    """

    number: int
    request_id: RequestId
    method: str
    outbox: Outbox
    session: "Session | None" = None
    token: RequestId | None = None
    uri: str = ""
    wants_logs: bool = False


@dataclass(eq=False, slots=True)
class Session:
    """One client's session. `outbox` is its own stream, for what belongs to none of its requests."""

    session_id: str
    identity: Identity
    place: Place
    params: Json
    version: str
    used_at: float
    outbox: Outbox = field(default_factory=Outbox)
    is_listening: bool = False
    subscriptions: set[str] = field(default_factory=set)
    exchanges: dict[int, Exchange] = field(default_factory=dict)

    @property
    def rank(self) -> tuple[int, bool, float]:
        """How likely it is that a question of the server is for this session, in comparison with others."""
        return max(self.exchanges, default=0), self.is_listening, self.used_at

    async def put(self, message: Json, *, patience: float) -> bool:
        """Send a message on the stream of the newest request that takes it, else on the session's own stream."""
        for exchange in reversed(self.exchanges.values()):
            if exchange.outbox.takes_all and not exchange.outbox.is_closed:
                return await exchange.outbox.put(message, patience=patience)
        return await self.outbox.put(message, patience=patience if self.is_listening else 0)

    def listen(self) -> Outbox:
        """A new stream for the session, in place of the one before, whose reader may be long gone."""
        before, self.outbox = self.outbox, Outbox()
        self.outbox.take_over(before)
        self.is_listening = True
        return self.outbox

    def unlisten(self, outbox: Outbox, *, now: float) -> None:
        """The reader of this stream has left; what it did not read waits for the next."""
        if self.outbox is outbox:
            self.listen()
            self.is_listening = False
            self.used_at = now


class Sessions:
    """All sessions, bounded overall and for each person; `on_end` is told of each that is pushed out or expires.

    Spec: MCP Streamable HTTP, Session Management (LEG-06, LEG-08, STA-01, STA-02)
    """

    def __init__(self, *, on_end: Callable[[Session], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._on_end = on_end
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._of_place: dict[Place, dict[str, Session]] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, identity: Identity, place: Place, params: Json, version: str) -> Session:
        """A new session with an id that nobody can guess."""
        theirs = [session for session in self._sessions.values() if session.identity[:2] == identity[:2]]
        if len(theirs) >= MAX_SESSIONS_OF_A_PERSON:
            self.end(_longest_idle(theirs))
        elif len(self._sessions) >= MAX_SESSIONS:
            self.end(_longest_idle(self._sessions.values()))
        session = Session(secrets.token_urlsafe(24), identity, place, params, version, self._clock())
        self._sessions[session.session_id] = session
        self._of_place.setdefault(place, {})[session.session_id] = session
        return session

    def find(self, session_id: str, identity: Identity) -> Session | None:
        """The session of that id, if it is this caller's."""
        session = self._sessions.get(session_id)
        if session is None or session.identity != identity:
            return None
        session.used_at = self._clock()
        return session

    def at(self, place: Place) -> list[Session]:
        """The sessions that one process serves."""
        return list(self._of_place.get(place, {}).values())

    def end(self, session: Session) -> None:
        """End a session."""
        if self._sessions.pop(session.session_id, None) is None:
            return
        there = self._of_place[session.place]
        del there[session.session_id]
        if not there:
            del self._of_place[session.place]
        self._on_end(session)

    def end_idle(self) -> None:
        """End the sessions that nobody came back to for a day."""
        now = self._clock()
        for session in list(self._sessions.values()):
            if not session.is_listening and not session.exchanges and now - session.used_at > _IDLE_SECONDS:
                self.end(session)

    def end_all(self) -> None:
        """End every session."""
        for session in list(self._sessions.values()):
            self.end(session)


def _longest_idle(sessions: Iterable[Session]) -> Session:
    return min(sessions, key=lambda session: (session.is_listening or bool(session.exchanges), session.used_at))
