"""The revocation feed: what ended, signed, for servers that verify tokens without asking. They wait here for the next.

Anybody may read it, like a revocation list of certificates: an entry is a digest that only a holder of the id can
recognise. It costs one signature for all who stand at the same place, and one look a moment for a whole project.

Spec: product.md, feature 7, complaint 22; I2, I3, I13; docs/adr/0016
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from doorward.oauth.ids import ProjectId
from doorward.oauth.revocations import (
    MAX_CURSOR_LENGTH,
    MAX_ENTRIES,
    RevocationDocument,
    RevocationEntry,
    digest_subject,
    sign_revocations,
)
from doorward.storage.database import Database, StorageUnavailable, Transaction
from doorward.storage.revocations import Revocation, find_newest_revocation, is_revocation_known, list_revocations

from .tenancy import ProjectView, Tenancy

LOOK_SECONDS = 0.05
"""How often the project's number is looked at while somebody waits: endings by other processes are seen as well."""
MAX_WAITING = 512
MAX_WAITING_OF_SOURCE = 64
"""Whoever comes on top is answered at once, and can ask again."""
MAX_DOCUMENTS = 64
REUSED_MS = 1000
"""How long the same document answers: no older than a follower that asks as often as it can may see."""
_BEGINNING = "0"


@dataclass(frozen=True, slots=True)
class _Page:
    """What follows a cursor. One that is not known here is read as if there were none."""

    after: str
    position: int
    is_full: bool
    rows: list[Revocation]
    has_more: bool

    @property
    def is_news(self) -> bool:
        return self.is_full or bool(self.rows)

    @property
    def cursor(self) -> str:
        if self.rows:
            return f"{self.rows[-1].seq}.{self.rows[-1].mark}"
        return self.after or _BEGINNING


@dataclass(slots=True)
class _Watch:
    """Those who wait for one project, by the number that each has seen, and the task that looks for them."""

    waiting: dict[asyncio.Future[None], int] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None


class Feed:
    """Signs documents, and holds the requests of those who wait for the next. One per process."""

    def __init__(self, database: Database, tenancy: Tenancy, clock: Callable[[], int]) -> None:
        self._database = database
        self._tenancy = tenancy
        self._clock = clock
        self._watches: dict[ProjectId, _Watch] = {}
        self._waiting: Counter[str] = Counter()
        self._is_closed = False
        self._signed: OrderedDict[tuple[str, ...], tuple[int, bytes]] = OrderedDict()

    async def read(self, view: ProjectView, cursor: str, *, wait_seconds: int, source: str) -> bytes:
        """The signed document of what follows `cursor`, now or within `wait_seconds`. Raises `StorageUnavailable`."""
        project = view.project
        page = await self._database.read(_read_page, project.project_id, cursor)
        if wait_seconds and not page.is_news and self._admits(source):
            await self._wait(project.project_id, page.position, wait_seconds, source)
            page = await self._database.read(_read_page, project.project_id, cursor)
            view = await self._tenancy.find(project.slug) or view  # its keys may have been replaced meanwhile
        return self._sign(view, page)

    def close(self) -> None:
        """Answer everybody who waits, and let nobody wait any more: the server is about to end."""
        self._is_closed = True
        for watch in self._watches.values():
            _wake(watch, None)

    def _admits(self, source: str) -> bool:
        full = self._waiting.total() >= MAX_WAITING or self._waiting[source] >= MAX_WAITING_OF_SOURCE
        return not self._is_closed and not full

    async def _wait(self, project_id: ProjectId, seen: int, wait_seconds: int, source: str) -> None:
        """Return when the project's number is another one, or the time is over."""
        watch = self._watches.setdefault(project_id, _Watch())
        changed = asyncio.get_running_loop().create_future()
        watch.waiting[changed] = seen
        self._waiting[source] += 1
        if watch.task is None or watch.task.done():
            watch.task = asyncio.create_task(self._look(project_id, watch))
        try:
            await asyncio.wait({changed}, timeout=wait_seconds)
        finally:
            changed.cancel()
            watch.waiting.pop(changed, None)
            self._waiting[source] -= 1
            if not self._waiting[source]:
                del self._waiting[source]

    async def _look(self, project_id: ProjectId, watch: _Watch) -> None:
        """Look at the number for all who wait, as long as somebody does."""
        while watch.waiting:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                newest = await self._database.read(find_newest_revocation, project_id)
            except StorageUnavailable:
                newest = None  # each of them finds out by itself, and is told to come back
            if any(seen != newest for seen in watch.waiting.values()):
                self._tenancy.forget()  # a key that was just withdrawn must not sign the news of it
                _wake(watch, newest)
        if self._watches.get(project_id) is watch:
            del self._watches[project_id]

    def _sign(self, view: ProjectView, page: _Page) -> bytes:
        """The document as bytes, the same for all who stand at the same place at about the same time."""
        now, key = self._clock(), view.signer("ES256")
        name = (view.project.project_id, page.after, page.cursor, key.kid, *(["full"] if page.is_full else []))
        signed_at, body = self._signed.get(name, (0, b""))
        if body and 0 <= now - signed_at < REUSED_MS:
            return body
        document = RevocationDocument(
            issued_at=now // 1000,
            after=page.after,
            cursor=page.cursor,
            is_full=page.is_full,
            has_more=page.has_more,
            entries=tuple(_build_entry(row) for row in page.rows if row.expires_at > now),
        )
        body = sign_revocations(document, view.issuer, key).encode("ascii")
        self._signed[name] = now, body
        self._signed.move_to_end(name)
        if len(self._signed) > MAX_DOCUMENTS:
            self._signed.popitem(last=False)
        return body


def _wake(watch: _Watch, newest: int | None) -> None:
    """Let those go on who have seen another number than the newest."""
    for changed, seen in watch.waiting.items():
        if seen != newest and not changed.done():
            changed.set_result(None)


def _build_entry(row: Revocation) -> RevocationEntry:
    digest = digest_subject(row.kind, row.subject)
    return RevocationEntry(digest, row.state, at=row.void_before // 1000, until=-(-row.expires_at // 1000))


async def _read_page(tx: Transaction, project_id: ProjectId, cursor: str) -> _Page:
    seq, mark = _parse_cursor(cursor)
    is_known = seq == 0 or (seq is not None and await is_revocation_known(tx, project_id, seq, mark))
    position = seq if is_known and seq is not None else 0
    rows = await list_revocations(tx, project_id, position, at_most=MAX_ENTRIES + 1)
    return _Page(
        after=cursor if is_known else "",
        position=position,
        is_full=not is_known,
        rows=rows[:MAX_ENTRIES],
        has_more=len(rows) > MAX_ENTRIES,
    )


def _parse_cursor(cursor: str) -> tuple[int | None, str]:
    """(number, mark) of a cursor of ours; no number for anything else. Before the first announcement it is `0`."""
    if cursor == _BEGINNING:
        return 0, ""
    number, _, mark = cursor.partition(".")
    is_ours = len(cursor) <= MAX_CURSOR_LENGTH and number.isascii() and number.isdigit() and len(number) <= 18
    return (int(number), mark) if is_ours and mark and number.lstrip("0") == number else (None, "")
