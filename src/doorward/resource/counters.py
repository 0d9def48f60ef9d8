"""Counting calls: in this process, or in a store that processes share, and what happens while that is away."""

import heapq
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

MAX_COUNTERS = 100_000
RETRY_SECONDS = 5.0

_log = logging.getLogger("doorward.resource")


class CountersUnavailable(Exception):  # noqa: N818  # a state of the store, not of the call
    """The store cannot count now; the text is for the log."""


@dataclass(frozen=True, slots=True)
class Charge:
    """`cost` to be taken from one counter, of which `limit` may be used in each window of `seconds`.

    `key` names the counter in short printable ASCII that tells nothing about a person.
    """

    key: str
    cost: int
    limit: int
    seconds: int

    def counter_at(self, now: float) -> str:
        """The counter of the window that `now` lies in: each window has its own, so that nothing is ever reset."""
        return f"{self.key}:{int(now // self.seconds)}"

    def ends_at(self, now: float) -> int:
        """When that window ends, in epoch seconds."""
        return (int(now // self.seconds) + 1) * self.seconds


@dataclass(frozen=True, slots=True)
class Short:
    """Nothing was taken, since it was too much for at least one counter; `used` is what each of them stands at."""

    used: tuple[int, ...]


class Counters(Protocol):
    """Where is counted. Any number of callers may ask at once."""

    async def take(self, charges: Sequence[Charge], *, now: float) -> Short | None:
        """Take all charges, or none and say so, in one step that no other caller can see half of.

        `now` is in epoch seconds. Every charge has a key of its own. Raises `CountersUnavailable`, and nothing else.
        """
        ...

    async def aclose(self) -> None:
        """Let go of the store."""
        ...


class LocalCounters:
    """Counts in this process alone.

    Memory is bounded: when there are too many counters, a tenth of them goes, first those whose window ends soonest,
    and of one window the least used, so that a flood of new callers does not bring back what somebody has used up.
    """

    def __init__(self, *, limit: int = MAX_COUNTERS) -> None:
        self._limit = limit
        self._used: dict[str, tuple[int, int]] = {}
        self._swept_at = 0.0

    def __len__(self) -> int:
        return len(self._used)

    async def take(self, charges: Sequence[Charge], *, now: float) -> Short | None:
        """Take all charges or none; without a pause, so that no other caller comes between."""
        used = tuple(self._used.get(charge.counter_at(now), (0, 0))[1] for charge in charges)
        if any(have + charge.cost > charge.limit for have, charge in zip(used, charges, strict=True)):
            return Short(used)
        self.note(charges, now=now)
        return None

    def note(self, charges: Sequence[Charge], *, now: float) -> None:
        """Count what was granted elsewhere already."""
        for charge in charges:
            counter = charge.counter_at(now)
            have = self._used.get(counter, (0, 0))[1]
            self._used[counter] = (charge.ends_at(now), have + charge.cost)
        if len(self._used) > self._limit:
            self._make_room(now)

    async def aclose(self) -> None:
        """There is nothing to let go of."""

    def _make_room(self, now: float) -> None:
        self._used = {counter: entry for counter, entry in self._used.items() if entry[0] > now}
        excess = len(self._used) - self._limit
        if excess > 0:
            going = heapq.nsmallest(excess + self._limit // 10, self._used.items(), key=lambda item: item[1])
            for counter, _ in going:
                del self._used[counter]


class FallbackCounters:
    """Counts in a shared store, and goes on in this process while the store is away.

    What the store grants is noted here as well, so that an outage gives nobody back what they used through this
    process. During an outage each process grants up to the limit on its own: callers notice nothing, and a budget
    protects less instead of locking everybody out (T52). The store is asked again every few seconds by one caller, so
    that no call waits for it twice.
    """

    def __init__(self, shared: Counters, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._shared = shared
        self._local = LocalCounters()
        self._clock = clock
        self._away = False
        self._retry_at = 0.0

    async def take(self, charges: Sequence[Charge], *, now: float) -> Short | None:
        """Take all charges or none, from the store or else from what this process knows."""
        if self._is_away():
            return await self._local.take(charges, now=now)
        try:
            short = await self._shared.take(charges, now=now)
        except CountersUnavailable as error:
            self._retry_at = self._clock() + RETRY_SECONDS
            if not self._away:
                self._away = True
                _log.warning("Budgets are counted by this process alone, since their store is away: %s", error)
            return await self._local.take(charges, now=now)
        if self._away:
            self._away = False
            _log.info("Budgets are counted in their store again.")
        if short is None:
            self._local.note(charges, now=now)
        return short

    async def aclose(self) -> None:
        """Let go of the store."""
        await self._shared.aclose()

    def _is_away(self) -> bool:
        """Whether to count here; during an outage, False for the one caller who is to ask the store again."""
        now = self._clock()
        if not self._away:
            return False
        if now < self._retry_at:
            return True
        self._retry_at = now + RETRY_SECONDS
        return False
