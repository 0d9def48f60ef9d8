"""Documents of strangers, fetched as rarely and as carefully as can be.

One fetch of a URL at a time, whoever waits for it; HTTP caching within our own bounds; limits for each host and for
everything; and the last good copy when a host does not answer. Failures are not cached: a limit keeps a broken host
from being asked too often, and the last failure is told meanwhile.

Spec: CIMD-05, CIMD-12 … CIMD-15; security defaults, CIMD fetch; complaint 9
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from doorward.fetch import Fetched, FetchFailed, FetchRefused, GuardedFetcher

MIN_FRESH_MS = 300_000
MAX_FRESH_MS = 86_400_000
DEFAULT_FRESH_MS = 3_600_000
MAX_STALE_MS = 7 * 86_400_000
MAX_KEPT = 1000
HOST_BURST = 10
HOST_BURST_OF_ALL = 60
HOST_PERIOD_MS = 6_000
MAX_AT_ONCE = 32
TURN_SECONDS = 2
_MAX_AGE = re.compile(r"(?:^|,)\s*max-age\s*=\s*\"?(\d{1,9})")
T = TypeVar("T")
_JSON_TYPE = re.compile(r"application/(?:json|[a-z0-9.-]+\+json)\s*(?:;|$)", re.IGNORECASE)


class DocumentUnavailable(Exception):  # noqa: N818  # tells a person what to do, and a client to come back
    """No usable copy can be had now. `is_final` when trying again cannot help."""

    def __init__(self, reason: str, *, is_final: bool) -> None:
        super().__init__(reason)
        self.is_final = is_final


@dataclass(frozen=True, slots=True)
class Document:
    """A body as it was fetched; times in epoch milliseconds."""

    body: bytes
    fetched_at: int
    fresh_until: int


class DocumentSource:
    """Fetches and keeps documents by URL. One per process; what must last is in the database."""

    def __init__(self, fetcher: GuardedFetcher, clock: Callable[[], int], *, max_bytes: int) -> None:
        self.fetcher = fetcher
        self._clock = clock
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, Document] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[Document]] = {}
        self._host_budgets: OrderedDict[str, int] = OrderedDict()
        self._failures: OrderedDict[str, str] = OrderedDict()
        self._at_once = asyncio.Semaphore(MAX_AT_ONCE)

    async def get(self, url: str, *, source: str = "", refetch: bool = False, max_bytes: int | None = None) -> Document:
        """The document, fresh or as fresh as it can be had. Raises `DocumentUnavailable`.

        `source` is who caused it, and bounds what one stranger can spend of a host; `refetch` asks again although a
        copy is fresh, as for a key that is not in it; `max_bytes` allows for another size than a document has.
        """
        kept = self._kept.get(url)
        if kept is not None and self._clock() < kept.fresh_until and not refetch:
            return kept
        try:
            return await self._fetch_once(url, source, max_bytes or self._max_bytes)
        except DocumentUnavailable:
            if kept is not None and self._clock() < kept.fetched_at + MAX_STALE_MS:
                return kept
            raise

    def forget(self, url: str) -> None:
        """Keep no copy: what was fetched turned out to be of no use."""
        self._kept.pop(url, None)

    async def _fetch_once(self, url: str, source: str, max_bytes: int) -> Document:
        """Join the fetch that is under way, or start it; a waiter that goes away does not stop it for the others."""
        task = self._under_way.get(url)
        if task is None:
            self._spend(url, source)
            task = self._under_way[url] = asyncio.create_task(self._fetch(url, max_bytes))
            task.add_done_callback(lambda _: self._under_way.pop(url, None))
        return await asyncio.shield(task)

    async def _fetch(self, url: str, max_bytes: int) -> Document:
        try:
            fetched = await self._fetch_in_turn(url, max_bytes)
            if fetched.status != 200:
                raise FetchFailed(f"It answered {fetched.status} instead of 200.")
            if not _JSON_TYPE.match(fetched.headers.get("content-type", "")):
                raise FetchFailed("It is not JSON by its content type.")
        except FetchRefused as refused:
            raise DocumentUnavailable(str(refused), is_final=True) from None
        except FetchFailed as failed:
            _keep(self._failures, url, str(failed))
            raise DocumentUnavailable(str(failed), is_final=False) from None
        now = self._clock()
        document = Document(fetched.body, now, now + _fresh_ms(fetched.headers.get("cache-control", "")))
        _keep(self._kept, url, document)
        self._failures.pop(url, None)
        return document

    async def _fetch_in_turn(self, url: str, max_bytes: int) -> Fetched:
        """Fetch when there is a place for it; slow hosts of others make nobody wait for long."""
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self._at_once.acquire()
        except TimeoutError:
            raise FetchFailed("Too many documents are being fetched.") from None
        try:
            return await self.fetcher.get(url, max_bytes=max_bytes)
        finally:
            self._at_once.release()

    def _spend(self, url: str, source: str) -> None:
        """Count a fetch against its host, for its source and for all. Raises `DocumentUnavailable` when too soon."""
        parts, now = urlsplit(url), self._clock()
        host = f"{(parts.hostname or '').rstrip('.')}:{parts.port or 443}"
        for key, burst in ((f"{source}@{host}", HOST_BURST), (host, HOST_BURST_OF_ALL)):
            full_at = max(self._host_budgets.get(key, 0), now) + HOST_PERIOD_MS * HOST_BURST // burst
            if full_at > now + HOST_BURST * HOST_PERIOD_MS:
                reason = self._failures.get(url, "It was asked for too often.")
                raise DocumentUnavailable(f"{reason} It is not asked again just now.", is_final=False)
            _keep(self._host_budgets, key, full_at)


def _fresh_ms(cache_control: str) -> int:
    """How long an answer may be used, by its own word within our bounds."""
    lowered = cache_control.lower()
    if "no-store" in lowered or "no-cache" in lowered:
        return MIN_FRESH_MS
    found = _MAX_AGE.search(lowered)
    wanted = int(found.group(1)) * 1000 if found else DEFAULT_FRESH_MS
    return min(max(wanted, MIN_FRESH_MS), MAX_FRESH_MS)


def _keep(kept: "OrderedDict[str, T]", key: str, value: T) -> None:
    """Remember the newest, forget the oldest: strangers choose the keys, so their number is bounded (I13)."""
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > MAX_KEPT:
        kept.popitem(last=False)
