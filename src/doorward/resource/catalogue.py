"""Which tools a protected server has, kept so that nobody calls one that was never shown to them."""

import asyncio
import json
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn, Protocol

import anyio
import anyio.to_thread

from .tools import KnownTool, ListedTool, latest_version, merge_tools, parse_tools

Lister = Callable[[], Awaitable[Sequence[Any]]]
"""Asks the server for its tools: the members of `tools/list`, all pages of it, as JSON has them."""

LIST_SECONDS = 20
WATCH_SECONDS = 30
_MIN_PAUSE_SECONDS = 1.0
_RETRY_SECONDS = 1.0

_log = logging.getLogger("doorward.resource")


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

    async def learn(self, listed: Sequence[ListedTool], now: int) -> tuple[KnownTool, ...]:
        """Merge a whole list."""
        return await anyio.to_thread.run_sync(self._merge, tuple(listed), now)

    def _merge(self, listed: tuple[ListedTool, ...], now: int) -> tuple[KnownTool, ...]:
        before = self._read()
        known = merge_tools(before, listed, now=now)
        if known != before:
            beside = self._path.with_name(f"{self._path.name}.new")
            beside.write_text(json.dumps([asdict(entry) for entry in known], ensure_ascii=False, indent=1), "utf-8")
            beside.replace(self._path)
        return known

    def _read(self) -> tuple[KnownTool, ...]:
        try:
            text = self._path.read_text("utf-8")
        except FileNotFoundError:
            return ()
        try:
            entries = json.loads(text)
            return tuple(KnownTool(**{**entry, "tool": ListedTool(**entry["tool"])}) for entry in entries)
        except (ValueError, TypeError, KeyError):
            raise ValueError(f"{self._path} is not a list of tools.") from None


class ToolCatalogue:
    """The tools of one server, read from the server itself, each with the version of the list it appeared in.

    `lister` asks the server; without a `store` the list is forgotten with the process. One list is read at a time,
    and at most one a second, however many callers want to know.
    """

    def __init__(
        self,
        lister: Lister,
        *,
        store: CatalogueStore | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._lister = lister
        self._store = store or MemoryStore()
        self._clock = clock
        self._tools: dict[str, KnownTool] = {}
        self._version = 0
        self._read_at: float | None = None
        self._reading = anyio.Lock()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_read(self) -> bool:
        """Whether the server has told its tools at least once, now or in an earlier life."""
        return self._read_at is not None or bool(self._tools)

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
        wanted_at = time.monotonic()
        async with self._reading:
            if self._read_at is not None and wanted_at - self._read_at < _MIN_PAUSE_SECONDS:
                return True  # read a moment ago, or while this one waited
            started_at = time.monotonic()
            try:
                with anyio.fail_after(LIST_SECONDS):
                    listed = parse_tools(await self._lister())
                known = await self._store.learn(listed, int(self._clock() * 1000))
            except Exception as error:  # noqa: BLE001  # whatever a server does wrong, the old list stays
                _log.warning("The server did not tell its tools: %s", _name(error))
                return False
            self._take(known)
            self._read_at = started_at
            return True

    async def _read_again(self) -> None:
        await self.refresh()

    def _take(self, known: Sequence[KnownTool]) -> None:
        self._tools = {entry.tool.name: entry for entry in known}
        self._version = latest_version(known)


def _name(error: BaseException) -> str:
    """The first cause that says something: clients wrap theirs in groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"[:300]
