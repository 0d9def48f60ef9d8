"""What a follower of a revocation feed knows to have ended.

It only ever learns: what was revoked stays so until no token of it can be alive, whatever a later document leaves
out. A database that was put back from a backup has forgotten revocations, and must not undo them here (I3).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from doorward.oauth.revocations import RevocationEntry

MAX_KNOWN = 200_000
"""About 40 MB. Beyond it the oldest are forgotten first, and with them every token that is no younger."""


@dataclass(slots=True)
class _Ending:
    """What became of one subject. Times are epoch seconds; `void_at` is the last second whose tokens are over."""

    void_at: int = -1
    is_held: bool = False
    switched_at: int = -1
    held_until: int = 0
    until: int = 0


class Endings:
    """Endings by digest, bounded in number and by time."""

    def __init__(self) -> None:
        self._known: dict[str, _Ending] = {}
        self._forgotten_at = -1

    def __len__(self) -> int:
        return len(self._known)

    def learn(self, entries: Iterable[RevocationEntry], *, from_beginning: bool, now: float) -> int:
        """Add what a document tells; how many endings had to be forgotten early, because there are too many.

        `from_beginning`: it repeats what was said before, so an older hold or lifting of one is not the last word.
        """
        for entry in entries:
            if entry.until > now:
                self._learn(entry, from_beginning=from_beginning)
        while (oldest := next(iter(self._known.items()), None)) and oldest[1].until <= now:
            del self._known[oldest[0]]
        excess = max(0, len(self._known) - MAX_KNOWN)
        for _ in range(excess):
            ending = self._known.pop(next(iter(self._known)))
            self._forgotten_at = max(self._forgotten_at, ending.void_at, ending.switched_at)
        return excess

    def is_before_memory(self, issued_at: int) -> bool:
        """Whether a token is so old that what was forgotten early may have ended it: then it counts as ended (I3)."""
        return issued_at <= self._forgotten_at

    def is_over(self, digest: str) -> bool:
        """Whether a subject ended for good, whenever the token was issued: a single token, a grant, a key."""
        ending = self._known.get(digest)
        return ending is not None and ending.void_at >= 0

    def has_ended(self, digest: str, issued_at: int, now: float) -> bool:
        """Whether a token that was issued then is over with this subject, or is not let in for now.

        One that was issued in the very second of the end is over: its time knows no smaller part.
        """
        ending = self._known.get(digest)
        if ending is None:
            return False
        return issued_at <= ending.void_at or (ending.is_held and now < ending.held_until)

    def _learn(self, entry: RevocationEntry, *, from_beginning: bool) -> None:
        ending = self._known.pop(entry.digest, None) or _Ending()
        self._known[entry.digest] = ending  # at the end: those that lapse first stay in front
        ending.until = max(ending.until, entry.until)
        if entry.state == "void":
            ending.void_at = max(ending.void_at, entry.at)
        elif not from_beginning or entry.at >= ending.switched_at:
            ending.is_held = entry.state == "hold"
            ending.switched_at = entry.at
            ending.held_until = entry.until
