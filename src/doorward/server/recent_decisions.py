"""A decision that arrives twice is answered twice, and taken once.

A person who clicks twice on a slow machine sends the form twice, and their browser shows the second answer alone: it
has to be the first one's, or the app that waits gets none. Kept in this process and for seconds only: somewhere else,
or later, the page says that the request is over.

Spec: CON-04 (I1)
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from doorward.oauth.ids import ProjectId, TokenHash

from .authorization_answer import ReturnToClient

REPEATED_WITHIN_MS = 10_000
MAX_KEPT = 1000
DecisionKey = tuple[ProjectId, TokenHash, TokenHash, str]
"""(project, hash of the request's id, hash of the session, choice): nobody else's browser has both hashes."""


class RecentDecisions:
    """The answers of the last seconds, and those on their way."""

    def __init__(self) -> None:
        self._kept: dict[DecisionKey, tuple[int, asyncio.Task[ReturnToClient]]] = {}

    async def once(
        self, key: DecisionKey, decide: Callable[[], Coroutine[Any, Any, ReturnToClient]], now: int
    ) -> ReturnToClient:
        """What the first caller with `key` got; only it runs `decide`, to the end, whoever stops waiting for it.

        `now` is in epoch milliseconds. What `decide` raises is raised to those who wait, and not kept.
        """
        self._forget(now)
        if key not in self._kept:
            if len(self._kept) >= MAX_KEPT:
                return await decide()
            task = asyncio.create_task(decide())
            task.add_done_callback(lambda done: self._drop_failed(key, done))
            self._kept[key] = (now, task)
        return await asyncio.shield(self._kept[key][1])

    def _forget(self, now: int) -> None:
        # In order of their time, so the first that is young enough ends the search.
        while self._kept:
            key, (at, _) = next(iter(self._kept.items()))
            if now - at < REPEATED_WITHIN_MS:
                return
            del self._kept[key]

    def _drop_failed(self, key: DecisionKey, done: asyncio.Task[ReturnToClient]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._kept.pop(key, None)
