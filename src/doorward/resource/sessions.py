"""Whose MCP session is whose."""

import re
import time
from collections import OrderedDict
from collections.abc import Callable

from .principal import Identity

MAX_SESSIONS = 10_000
MAX_SESSIONS_OF_A_PERSON = 200
MAX_SESSION_ID_LENGTH = 256
_IDLE_SECONDS = 24 * 3600.0
_SESSION_ID = re.compile(rf"[\x21-\x7e]{{1,{MAX_SESSION_ID_LENGTH}}}")


def is_session_id(text: str) -> bool:
    """Whether a server can have given out such an id: others could be taken for one of them by whoever trims text.

    Spec: MCP Transports, Session Management
    """
    return _SESSION_ID.fullmatch(text) is not None


class SessionOwners:
    """Remembers for which principal each session id was first seen to work, so that it works for nobody else.

    A session id is a handle and no credential: with a token of their own, anybody who learns it would otherwise read
    and write in another person's session (T13). An id is bound when the app answers it without an error, be it new or
    from before a restart. Memory is bounded overall and per person, so that one person cannot push out the bindings
    of others; idle bindings go after a day.

    Spec: MCP Security Best Practices, State Handle Hijacking (STA-01, STA-02)
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Oldest use first, so that what expires or is pushed out is always in front.
        self._owners: OrderedDict[str, tuple[Identity, float]] = OrderedDict()
        self._of_person: dict[tuple[str, str], OrderedDict[str, None]] = {}

    def __len__(self) -> int:
        return len(self._owners)

    def admits(self, session_id: str, identity: Identity) -> bool:
        """Whether `identity` may use the session; a session that nobody is bound to is the app's to judge."""
        self._drop_expired()
        owner = self._owners.get(session_id)
        return owner is None or owner[0] == identity

    def bind(self, session_id: str, identity: Identity) -> None:
        """Bind a session that just worked; one that is already bound stays with its owner."""
        if len(session_id) > MAX_SESSION_ID_LENGTH or not self.admits(session_id, identity):
            return
        self.forget(session_id)
        theirs = self._of_person.setdefault(identity[:2], OrderedDict())
        if len(theirs) >= MAX_SESSIONS_OF_A_PERSON:
            self.forget(next(iter(theirs)))
        elif len(self._owners) >= MAX_SESSIONS:
            self.forget(next(iter(self._owners)))
        self._owners[session_id] = (identity, self._clock() + _IDLE_SECONDS)
        self._of_person.setdefault(identity[:2], theirs)[session_id] = None

    def forget(self, session_id: str) -> None:
        """Drop the binding of a session that has ended."""
        owner = self._owners.pop(session_id, None)
        if owner is None:
            return
        theirs = self._of_person[owner[0][:2]]
        del theirs[session_id]
        if not theirs:
            del self._of_person[owner[0][:2]]

    def _drop_expired(self) -> None:
        now = self._clock()
        while self._owners:
            session_id = next(iter(self._owners))
            if now < self._owners[session_id][1]:
                return
            self.forget(session_id)
