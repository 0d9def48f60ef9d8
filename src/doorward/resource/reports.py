"""Telling the authorization server what this side saw of its clients: invitations, refusals and first calls.

The operator's timeline then shows both sides of the door in one story. Reports are a favour: they are sent in batches
beside the requests, are bounded in memory, and are dropped when the server cannot be reached.

Spec: product.md, feature 1
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Literal, Protocol, Self

import httpx2

from .issuer import check_url, new_http_client

FLUSH_SECONDS = 1.0
MAX_QUEUED = 500
MAX_BATCH = 100
REPEAT_SECONDS = 60
_MAX_REMEMBERED = 5_000

_log = logging.getLogger("doorward.resource")


@dataclass(frozen=True, slots=True)
class Report:
    """What was seen of one request. Never the token itself; `at` is epoch milliseconds."""

    step: Literal["challenge", "call"]
    outcome: Literal["ok", "refused", "failed"]
    source: str
    agent: str
    reason: str = ""
    client_id: str | None = None
    grant_id: str | None = None
    user_id: str | None = None


class Reporter(Protocol):
    """Takes reports; must return at once and never raise."""

    def report(self, report: Report) -> None:
        """Take one report."""
        ...


class Repeats:
    """Lets each report through once a minute, so that a busy client is one line and not a thousand."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: OrderedDict[Report, float] = OrderedDict()

    def is_new(self, report: Report) -> bool:
        """Whether the same was not reported within the last minute."""
        now = self._clock()
        if now < self._seen.get(report, 0.0):
            return False
        self._seen[report] = now + REPEAT_SECONDS
        self._seen.move_to_end(report)
        while len(self._seen) > _MAX_REMEMBERED:
            self._seen.popitem(last=False)
        return True


class TimelineReporter:
    """Sends reports to a Doorward server, with a project key that may introspect.

    Use it as an async context manager around the app's life, or call `start` and `aclose`; without either, reports
    wait until `send` is awaited.
    """

    def __init__(
        self,
        *,
        issuer: str,
        key: str,
        http_client: httpx2.AsyncClient | None = None,
        insecure_http: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_url(issuer, "issuer", insecure_http=insecure_http)
        self._url = f"{issuer}/api/oauth/timeline"
        self._headers = {"authorization": f"Bearer {key}"}
        self._own_client = None if http_client is not None else new_http_client()
        self._client = http_client or self._own_client
        self._clock = clock
        self._queue: list[dict[str, object]] = []
        self._repeats = Repeats()
        self._task: asyncio.Task[None] | None = None

    def report(self, report: Report) -> None:
        """Take one report; beyond a few hundred that wait, the newest are dropped."""
        if len(self._queue) < MAX_QUEUED and self._repeats.is_new(report):
            members = {name: value for name, value in asdict(report).items() if value}
            self._queue.append({"at": int(self._clock() * 1000), **members})

    async def send(self) -> None:
        """Send what waits. What cannot be delivered is dropped, and said in the log."""
        while self._queue:
            batch, self._queue = self._queue[:MAX_BATCH], self._queue[MAX_BATCH:]
            try:
                answer = await self._post({"events": batch})
            except httpx2.HTTPError as error:
                _log.warning("%d timeline reports were lost: %s", len(batch), type(error).__name__)
                return
            if answer.status_code != 200:
                _log.warning("%d timeline reports were refused with %d", len(batch), answer.status_code)

    def start(self) -> None:
        """Send about once a second from now on, in the running event loop."""
        self._task = self._task or asyncio.create_task(self._run())

    async def aclose(self) -> None:
        """Send what waits, then stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self.send()
        if self._own_client is not None:
            await self._own_client.aclose()

    async def _post(self, document: dict[str, object]) -> httpx2.Response:
        assert self._client is not None  # noqa: S101  # one of the two was given
        return await self._client.post(self._url, json=document, headers=self._headers)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.send()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
