"""Recording the timeline: beside every request, never in its way, and bounded whatever strangers do.

What anybody can cause without being anybody (reading metadata, registering) is held in memory, and stored only when
the same program goes on to something that matters or is refused: an open registration leaves no trace (complaint 1).
Refusals and successes have budgets of their own, for each source and for the project; what is over is counted.
"""

import asyncio
from collections import OrderedDict, deque

from doorward.core.timeline import TimelineEvent, TimelineOutcome, TimelineStep
from doorward.logs import log
from doorward.oauth.ids import ProjectId
from doorward.storage.database import Database, StorageUnavailable
from doorward.storage.timeline import add_timeline_events

FLUSH_SECONDS = 0.5
MAX_QUEUED = 5_000
MAX_HELD_PROGRAMS = 2_000
MAX_HELD_STEPS = 16
SOURCE_BURST, SOURCE_PERIOD_MS = 120, 5_000
PROJECT_BURST, PROJECT_PERIOD_MS = 2_000, 500
_QUIET_STEPS = frozenset({"challenge", "resource_metadata", "metadata", "register"})
_MAX_BUDGETS = 10_000

_Program = tuple[str, str, str]
"""(project, source, agent)"""


class Timeline:
    """Takes events as they happen and writes them in batches. One per process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue: deque[tuple[ProjectId, TimelineEvent]] = deque()
        self._held: OrderedDict[_Program, OrderedDict[tuple[str, str], TimelineEvent]] = OrderedDict()
        self._programs_of_clients: OrderedDict[tuple[str, str], _Program] = OrderedDict()
        self._budgets: OrderedDict[tuple[str, ...], int] = OrderedDict()
        self.dropped = 0
        """How many events were over a budget or could not be written."""

    def has_room(
        self, project_id: ProjectId, step: TimelineStep, outcome: TimelineOutcome, source: str, now: int
    ) -> bool:
        """Whether an event may be noted, counted against its budgets; asked before it is even put together."""
        if _is_quiet(step, outcome):
            return True
        kind = "ok" if outcome == "ok" else "refused"
        affordable = (
            len(self._queue) < MAX_QUEUED
            and self._spend((kind, project_id, source), now, SOURCE_BURST, SOURCE_PERIOD_MS)
            and self._spend((kind, project_id), now, PROJECT_BURST, PROJECT_PERIOD_MS)
        )
        self.dropped += not affordable
        return affordable

    def note(self, project_id: ProjectId, event: TimelineEvent) -> None:
        """Take one event that there is room for; never fails."""
        if _is_quiet(event.step, event.outcome):
            self._hold(project_id, event)
            return
        for held in self._release(project_id, event):
            self._queue.append((project_id, held))
        self._queue.append((project_id, event))

    async def flush(self) -> None:
        """Write what was taken so far. What cannot be written is dropped: a request never waits for its record."""
        batches: dict[ProjectId, list[TimelineEvent]] = {}
        while self._queue:
            project_id, event = self._queue.popleft()
            batches.setdefault(project_id, []).append(event)
        for project_id, events in batches.items():
            try:
                await self._database.write(add_timeline_events, project_id, events)
            except StorageUnavailable as error:
                self.dropped += len(events)
                log.warning("timeline events were lost", count=len(events), reason=str(error))

    async def run(self) -> None:
        """Write twice a second until cancelled, and once more then."""
        try:
            while True:
                await asyncio.sleep(FLUSH_SECONDS)
                await self.flush()
        finally:
            await self.flush()

    def _hold(self, project_id: ProjectId, event: TimelineEvent) -> None:
        """Keep a quiet step in memory, once for each program that repeats it."""
        program = (project_id, event.source, event.agent)
        steps = self._held.setdefault(program, OrderedDict())
        self._held.move_to_end(program)
        steps[event.step, event.client_id or ""] = event
        while len(steps) > MAX_HELD_STEPS:
            steps.popitem(last=False)
        if event.client_id is not None:
            self._programs_of_clients[project_id, event.client_id] = program
        while len(self._held) > MAX_HELD_PROGRAMS:
            self._held.popitem(last=False)
        while len(self._programs_of_clients) > MAX_HELD_PROGRAMS:
            self._programs_of_clients.popitem(last=False)

    def _release(self, project_id: ProjectId, event: TimelineEvent) -> list[TimelineEvent]:
        """The quiet steps that led to this one, of the same program or of the one that registered the client."""
        programs: set[_Program] = {(project_id, event.source, event.agent)}
        if event.client_id is not None:
            registered_by = self._programs_of_clients.pop((project_id, event.client_id), None)
            if registered_by is not None:
                programs.add(registered_by)
        return [step for program in programs for step in self._held.pop(program, {}).values()]

    def _spend(self, key: tuple[str, ...], now: int, burst: int, period_ms: int) -> bool:
        full_at = max(self._budgets.get(key, 0), now) + period_ms
        if full_at > now + burst * period_ms:
            self._budgets.move_to_end(key)  # what is spent is asked for, and must not be forgotten for others
            return False
        self._budgets[key] = full_at
        self._budgets.move_to_end(key)
        while len(self._budgets) > _MAX_BUDGETS:
            self._budgets.popitem(last=False)
        return True


def _is_quiet(step: TimelineStep, outcome: TimelineOutcome) -> bool:
    """Whether anybody can cause it without being anybody."""
    return step in _QUIET_STEPS and outcome == "ok"
