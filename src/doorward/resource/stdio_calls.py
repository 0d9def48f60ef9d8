"""Which requests are calls that somebody waits for, so that a stop can wait for them, too."""

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

from .principal import OURSELVES, Principal
from .stdio_messages import Posted

_LISTEN = "subscriptions/listen"


class Calls:
    """Counts the calls in flight; streams, which may have no end, and our own questions aside."""

    def __init__(self) -> None:
        self._count = 0
        self._none_left = asyncio.Event()
        self._none_left.set()

    def __bool__(self) -> bool:
        return self._count > 0

    @contextmanager
    def count(self, principal: Principal, posted: Posted) -> Iterator[None]:
        """Count what was posted until the context is left."""
        is_call = principal is not OURSELVES and any(request["method"] != _LISTEN for request in posted.requests)
        self._count += is_call
        if is_call:
            self._none_left.clear()
        try:
            yield
        finally:
            self._count -= is_call
            if not self._count:
                self._none_left.set()

    async def drained(self, *, within: float) -> None:
        """Return when none is left, or after so many seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._none_left.wait(), within)
