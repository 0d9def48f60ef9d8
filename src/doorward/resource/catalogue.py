"""Which tools a protected server has, kept so that nobody calls one that was never shown to them."""

import asyncio
import json
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn, Protocol, cast, get_args

import anyio
import anyio.to_thread

from doorward.oauth.tools import KnownTool, ListedTool, ToolKind, latest_version, merge_tools, parse_tools

Lister = Callable[[], Awaitable[Sequence[Any]]]
"""Asks the server for its tools: the members of `tools/list`, all pages of it, as JSON has them."""

LIST_SECONDS = 20
WATCH_SECONDS = 30
_MIN_PAUSE_SECONDS = 1.0
_RETRY_SECONDS = 1.0

_log = logging.getLogger("doorward.resource")


class ListRefused(Exception):  # noqa: N818  # the server's doing
    """The server gave no list of tools; the text is for the log."""


class CatalogueStore(Protocol):
    """Where the list of tools is kept, so that a restart makes no new tool an old one."""

    async def load(self) -> tuple[KnownTool, ...]:
        """What is known."""
        ...

    async def learn(self, listed: Sequence[ListedTool], now: int) -> tuple[KnownTool, ...]:
        """Merge a whole list that was read at `now`, in epoch milliseconds; what is known then."""
        ...


class MemoryStore:
    """Keeps the list as long as the process runs: after a restart, the tools found are the first list there was."""

    def __init__(self) -> None:
        self._known: tuple[KnownTool, ...] = ()

    async def load(self) -> tuple[KnownTool, ...]:
        """What is known."""
        return self._known

    async def learn(self, listed: Sequence[ListedTool], now: int) -> tuple[KnownTool, ...]:
        """Merge a whole list."""
        self._known = merge_tools(self._known, listed, now=now)
        return self._known


class FileStore:
    """Keeps the list in a JSON file, for one process."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    async def load(self) -> tuple[KnownTool, ...]:
        """What is known. Raises `ValueError` for a file that is not such a list: it is not silently begun anew."""
        return await anyio.to_thread.run_sync(self._read)

    def check(self) -> None:
        """Raise `ValueError` for a file that is no such list, before anything is served."""
        self._read()

    async def learn(self, listed: Sequence[ListedTool], now: int) -> tuple[KnownTool, ...]:
        """Merge a whole list."""
        return await anyio.to_thread.run_sync(self._merge, tuple(listed), now)

    async def keep(self, known: Sequence[KnownTool]) -> None:
        """Keep what was merged elsewhere."""
        await anyio.to_thread.run_sync(self._write, tuple(known))

    def _merge(self, listed: tuple[ListedTool, ...], now: int) -> tuple[KnownTool, ...]:
        before = self._read()
        known = merge_tools(before, listed, now=now)
        if known != before:
            self._write(known)
        return known

    def _write(self, known: tuple[KnownTool, ...]) -> None:
        beside = self._path.with_name(f"{self._path.name}.new")
        with beside.open("w", encoding="utf-8") as file:
            json.dump([asdict(entry) for entry in known], file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())  # an empty file after a crash would keep everybody out
        beside.replace(self._path)

    def _read(self) -> tuple[KnownTool, ...]:
        try:
            text = self._path.read_text("utf-8")
        except FileNotFoundError:
            return ()
        try:
            return _parse_known(json.loads(text))
        except (ValueError, RecursionError):
            raise ValueError(f"{self._path} is not a list of tools.") from None


def _parse_known(entries: Any) -> tuple[KnownTool, ...]:
    """What `FileStore` wrote, which is never nothing. Raises `ValueError`."""
    if not isinstance(entries, list) or not entries:
        raise ValueError("not a list")
    return tuple(map(_parse_entry, entries))


def _parse_entry(entry: Any) -> KnownTool:
    match entry:
        case {
            "tool": {"name": str(name), "title": str(title), "kind": str(kind), "digest": str(digest)},
            "since": int(since),
            "is_listed": bool(is_listed),
        } if kind in get_args(ToolKind) and not isinstance(since, bool) and since >= 0:
            return KnownTool(ListedTool(name, title, cast("ToolKind", kind), digest), since, is_listed=is_listed)
    raise ValueError("not a tool")


class ToolCatalogue:
    """The tools of one server, read from the server itself, each with the version of the list it appeared in.

    `lister` asks the server, which the log calls `name`; without a `store` the list is forgotten with the process. One
    list is read at a time, and at most one a second, however many callers want to know and whatever the server answers.
    """

    def __init__(
        self,
        lister: Lister,
        *,
        name: str = "the server",
        store: CatalogueStore | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lister = lister
        self._name = name
        self._store = store or MemoryStore()
        self._clock = clock
        self._monotonic = monotonic
        self._tools: dict[str, KnownTool] = {}
        self._version = 0
        self._tried_at: float | None = None
        self._is_read = False
        self._is_current = False
        self._is_silent = False
        self._reading = anyio.Lock()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_read(self) -> bool:
        """Whether the server has told its tools at least once, now or in an earlier life."""
        return self._is_read or bool(self._tools)

    @property
    def version(self) -> int:
        """The version of the list; see `KnownTool.since`."""
        return self._version

    @property
    def tools(self) -> tuple[KnownTool, ...]:
        """The tools that are on the list."""
        return tuple(entry for entry in self._tools.values() if entry.is_listed)

    def get(self, name: str) -> KnownTool | None:
        """A tool on the list as it was last read."""
        entry = self._tools.get(name)
        return entry if entry is not None and entry.is_listed else None

    def is_news(self, listed: Iterable[ListedTool]) -> bool:
        """Whether a list that went by tells of a tool that is not known, or not as it is told."""
        return any((entry := self.get(tool.name)) is None or entry.tool.digest != tool.digest for tool in listed)

    def note_list(self, members: Sequence[Any]) -> None:
        """Read the list again, soon, if one that went by tells of something new."""
        if self.is_news(parse_tools(members)) and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._read_again(), name="list of tools")

    async def keep_current(self, *, seconds: float = WATCH_SECONDS) -> NoReturn:
        """Read the list now and then, until cancelled: what changes is held back even when nobody lists it."""
        while True:
            was_told = await self.refresh()
            # A server that starts with us may need a moment.
            await anyio.sleep(seconds if was_told or self.is_read else _RETRY_SECONDS)

    async def find(self, name: str) -> KnownTool | None:
        """A tool; one that is not known is asked for before it is called unknown."""
        entry = self.get(name)
        if entry is None:
            await self.refresh()
            entry = self.get(name)
        return entry

    async def load(self) -> None:
        """Take over what the store knows, without asking the server."""
        self._take(await self._store.load())

    async def refresh(self) -> bool:
        """Read the list from the server; False when the server did not tell it, and the old one stays."""
        wanted_at = self._monotonic()
        async with self._reading:
            if self._tried_at is None or wanted_at - self._tried_at >= _MIN_PAUSE_SECONDS:
                self._tried_at = self._monotonic()
                try:
                    self._is_current = await self._read()
                except asyncio.CancelledError:
                    self._tried_at = None  # whoever waits must not take it for an answer
                    raise
            return self._is_current  # as read now, a moment ago, or while this one waited

    async def _read(self) -> bool:
        try:
            with anyio.fail_after(LIST_SECONDS):
                listed = parse_tools(await self._lister())
        except Exception as error:  # noqa: BLE001  # whatever a server does wrong, the old list stays
            self._note_silence(_explain(error))
            return False
        if self._is_silent:
            self._is_silent = False
            _log.info("The tools of %s can be read again.", self._name)
        try:
            self._take(await self._store.learn(listed, int(self._clock() * 1000)))
        except Exception as error:  # noqa: BLE001  # a list that is not kept must not count: a restart would forget it
            _log.error("The list of tools cannot be kept, so the old one stays: %s", _explain(error))
            return False
        self._is_read = True
        return True

    def _note_silence(self, cause: str) -> None:
        """Tell once that the server went away, however often it is asked again."""
        if not self._is_silent:
            meanwhile = "the tools stay as they were" if self.is_read else "none is open until it answers"
            _log.warning("Cannot read the tools of %s (%s); %s. Trying again.", self._name, cause, meanwhile)
        self._is_silent = True

    async def _read_again(self) -> None:
        # A timer may wake too early, and then nothing would be read.
        while (pause := self._pause()) > 0:  # noqa: ASYNC110  # it waits for time to pass, and nobody sets an event
            await anyio.sleep(pause)
        await self.refresh()

    def _pause(self) -> float:
        """How long until the list may be read again, in seconds."""
        return 0.0 if self._tried_at is None else _MIN_PAUSE_SECONDS - (self._monotonic() - self._tried_at)

    def _take(self, known: Sequence[KnownTool]) -> None:
        self._tools = {entry.tool.name: entry for entry in known}
        self._version = latest_version(known)


def _explain(error: BaseException) -> str:
    """The first cause that says something, in plain words where it has any: clients wrap theirs in groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    if isinstance(error, ListRefused):
        return str(error).rstrip(".")[:300]
    return f"{type(error).__name__}: {error}"[:300]
