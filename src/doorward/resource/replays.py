"""Which DPoP proofs were used already."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from doorward.oauth.dpop import DpopProof

MAX_PROOFS = 400_000
MAX_PROOFS_OF_A_KEY = 100_000


class Claim(Enum):
    """How it ended when a proof was claimed."""

    CLAIMED = "claimed"
    REPLAYED = "replayed"
    FULL = "full"


@dataclass(slots=True)
class _Second:
    """What is forgotten together."""

    digests: list[bytes] = field(default_factory=list)
    keys: Counter[str] = field(default_factory=Counter)


class UsedProofs:
    """Lets each proof through once, and remembers it for longer than it would be accepted.

    Nothing is ever pushed out before its time: a memory that makes room by forgetting can be flooded until it forgets
    the proof that is to be played again (T35). When there is no room a new proof is refused instead, first those of
    the key that has used up its own share. Sizes are for what one process can verify in the time: about 110 bytes for
    each proof, 45 MB in all.

    Time is that of `clock`, which a change of the wall clock does not move. Memory is this process's own.

    Spec: RFC 9449 §11.1 (DPOP-09)
    """

    def __init__(
        self,
        *,
        limit: int = MAX_PROOFS,
        limit_of_a_key: int = MAX_PROOFS_OF_A_KEY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit
        self._limit_of_a_key = limit_of_a_key
        self._clock = clock
        self._used: set[bytes] = set()
        self._of_key: Counter[str] = Counter()
        self._seconds: dict[int, _Second] = {}
        self._swept_at = 0

    def __len__(self) -> int:
        return len(self._used)

    def claim(self, proof: DpopProof, *, now: int) -> Claim:
        """Use a proof that holds at `now`, in epoch seconds; of any number of callers one wins."""
        second = int(self._clock())
        self._forget_until(second)
        # The thumbprint has one length, so that no other key and jti make the same text.
        digest = hashlib.sha256(f"{proof.jkt}{proof.jti}".encode()).digest()[:16]
        if digest in self._used:
            return Claim.REPLAYED
        if len(self._used) >= self._limit or self._of_key[proof.jkt] >= self._limit_of_a_key:
            return Claim.FULL
        until = self._seconds.setdefault(second + max(proof.replay_until - now, 0) + 1, _Second())
        until.digests.append(digest)
        until.keys[proof.jkt] += 1
        self._used.add(digest)
        self._of_key[proof.jkt] += 1
        return Claim.CLAIMED

    def _forget_until(self, second: int) -> None:
        if second == self._swept_at:
            return
        self._swept_at = second
        for until in [known for known in self._seconds if known <= second]:
            gone = self._seconds.pop(until)
            self._used.difference_update(gone.digests)
            for key, count in gone.keys.items():
                self._of_key[key] -= count
                if self._of_key[key] <= 0:
                    del self._of_key[key]
