"""The list of tools as a guard keeps it: read once for many, never forgotten, and never begun anew by accident."""

import asyncio
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from doorward.oauth.tools import KnownTool, ListedTool, latest_version, parse_tools
from doorward.resource.catalogue import LIST_SECONDS, CatalogueStore, FileStore, ListRefused, MemoryStore, ToolCatalogue
from tests.resource.world import Clock
from tests.waiting import until


def build_tools(*names: str, **more: Any) -> list[dict[str, Any]]:
    return [{"name": name, **more} for name in names]


class Server:
    """Tells its tools when it is let, and counts how often it was asked."""

    def __init__(self, *names: str) -> None:
        self.tools: Any = build_tools(*names)
        self.asked = 0
        self.error: Exception | None = None
        self.answers = anyio.Event()
        self.answers.set()

    async def __call__(self) -> Sequence[Any]:
        self.asked += 1
        await self.answers.wait()
        if self.error is not None:
            raise self.error
        return self.tools


class World:
    """A catalogue whose two clocks stand still until they are told to go on."""

    def __init__(self, *names: str, store: CatalogueStore | None = None) -> None:
        self.server = Server(*names)
        self.clock = Clock()
        self.catalogue = ToolCatalogue(self.server, store=store, clock=self.clock, monotonic=self.clock)

    async def refresh(self, *names: str, seconds: float = 1, **more: Any) -> bool:
        self.clock.now += seconds
        self.server.tools = build_tools(*names, **more)
        return await self.catalogue.refresh()

    def listed(self) -> dict[str, int]:
        return {entry.tool.name: entry.since for entry in self.catalogue.tools}


async def test_a_catalogue_knows_nothing_before_it_was_read() -> None:
    world = World("book")
    assert (world.catalogue.is_read, world.catalogue.version, world.catalogue.tools) == (False, 0, ())
    assert world.catalogue.get("book") is None
    assert await world.catalogue.refresh()
    assert (world.catalogue.is_read, world.listed()) == (True, {"book": 0})


async def test_what_is_new_has_the_time_of_its_reading_for_a_version() -> None:
    world = World("book")
    await world.catalogue.refresh()
    await world.refresh("book", "burn")
    version = int(world.clock.now * 1000)
    assert (world.listed(), world.catalogue.version) == ({"book": 0, "burn": version}, version)
    await world.refresh("book")
    assert (world.listed(), world.catalogue.version, world.catalogue.get("burn")) == ({"book": 0}, version, None)


async def test_fifty_callers_read_one_list() -> None:
    world = World("book")
    world.server.answers = anyio.Event()
    found: list[KnownTool | None] = []

    async def find() -> None:
        found.append(await world.catalogue.find("book"))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(find)
            await anyio.wait_all_tasks_blocked()
            world.server.answers.set()
    assert (world.server.asked, len(found), found.count(world.catalogue.get("book"))) == (1, 50, 50)


async def test_fifty_callers_wait_for_one_failure_and_not_for_fifty() -> None:
    world = World()
    world.server.error, world.server.answers = OSError("down"), anyio.Event()
    told: list[bool] = []

    async def refresh() -> None:
        told.append(await world.catalogue.refresh())

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(refresh)
            await anyio.wait_all_tasks_blocked()
            world.clock.now += LIST_SECONDS  # they have all waited that long for the first
            world.server.answers.set()
    assert (world.server.asked, told) == (1, [False] * 50)


async def test_the_list_is_read_once_a_second_at_most() -> None:
    world = World("book")
    for seconds, asked in ((0, 1), (0.25, 1), (0.5, 1), (0.25, 2), (0.75, 2), (5, 3)):
        world.clock.now += seconds
        assert await world.catalogue.refresh()
        assert world.server.asked == asked
    world.server.error = OSError("down")
    for seconds, asked in ((1, 4), (0.5, 4), (0.5, 5)):
        world.clock.now += seconds
        assert not await world.catalogue.refresh()
        assert world.server.asked == asked


async def test_a_caller_that_leaves_takes_nobodys_answer_along() -> None:
    world = World("book")
    world.server.answers = anyio.Event()
    told: list[bool] = []

    async def refresh() -> None:
        told.append(await world.catalogue.refresh())

    with anyio.fail_after(10):
        async with anyio.create_task_group() as others:
            with anyio.CancelScope() as first:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(world.catalogue.refresh)
                    await anyio.wait_all_tasks_blocked()
                    for _ in range(3):
                        others.start_soon(refresh)
                    await anyio.wait_all_tasks_blocked()
                    first.cancel()
            await anyio.wait_all_tasks_blocked()
            world.server.answers.set()
    assert (world.server.asked, told, world.listed()) == (2, [True] * 3, {"book": 0})


class Odd(Exception):  # noqa: N818  # any error there may be
    pass


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError("refused"), "OSError: refused"),
        (TimeoutError(), "no answer in time"),
        (ListRefused("It is away."), "It is away"),
        (ExceptionGroup("all", [ExceptionGroup("of", [Odd("x")])]), "Odd: x"),
    ],
    ids=str,
)
async def test_a_server_that_does_not_tell_its_tools_keeps_the_old_list(
    error: Exception, cause: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World("book")
    await world.catalogue.refresh()
    world.server.error = error
    assert not await world.refresh("other")
    assert (world.listed(), world.catalogue.is_read) == ({"book": 0}, True)
    assert await world.catalogue.find("other") is None
    assert caplog.messages == [
        f"Cannot read the tools of the server ({cause}); the tools stay as they were. Trying again."
    ]


async def test_a_server_that_is_away_is_told_of_once_and_once_when_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "doorward.resource")
    world = World("book")
    for _ in range(2):
        world.server.error = ListRefused("It is away.")
        for _ in range(3):
            assert not await world.refresh("book")
        world.server.error = None
        for _ in range(3):
            assert await world.refresh("book")
    away, back = "Cannot read the tools of the server (It is away); ", "The tools of the server can be read again."
    assert caplog.messages == [
        f"{away}none is open until it answers. Trying again.",
        back,
        f"{away}the tools stay as they were. Trying again.",
        back,
    ]


async def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doorward.resource.catalogue.LIST_SECONDS", 0.01)
    world = World("book")
    world.server.answers = anyio.Event()
    with anyio.fail_after(10):
        assert not await world.catalogue.refresh()
    assert not world.catalogue.is_read


@pytest.mark.parametrize("told", [None, 7, "book", {}, [None], [{"name": 1}]])
async def test_a_server_that_tells_nonsense_has_no_tools(told: Any) -> None:
    world = World("book")
    await world.catalogue.refresh()
    world.server.tools = told
    world.clock.now += 1
    assert await world.catalogue.refresh()
    assert (world.listed(), world.catalogue.is_read) == ({}, True)
    await world.refresh("book", "burn")
    assert world.listed() == {"book": 0, "burn": int(world.clock.now * 1000)}


async def test_a_tool_that_is_not_known_is_asked_for_before_it_is_called_unknown() -> None:
    world = World("book")
    await world.catalogue.refresh()
    world.server.tools = build_tools("book", "burn")
    world.clock.now += 1
    assert await world.catalogue.find("book") is not None
    assert world.server.asked == 1
    found = await world.catalogue.find("burn")
    assert (found is not None, world.server.asked) == (True, 2)
    assert await world.catalogue.find("bury") is None


async def test_a_list_that_goes_by_with_news_is_read_once() -> None:
    world = World("book")
    await world.catalogue.refresh()
    world.clock.now += 5
    world.catalogue.note_list(build_tools("book"))
    await anyio.wait_all_tasks_blocked()
    assert world.server.asked == 1
    world.server.tools = build_tools("book", "burn")
    world.server.answers = anyio.Event()
    for _ in range(20):
        world.catalogue.note_list(build_tools("book", "burn"))
        await anyio.wait_all_tasks_blocked()
    world.server.answers.set()
    await until(lambda: _is_listed(world, "burn"), seconds=5)
    assert world.server.asked == 2
    world.catalogue.note_list(build_tools("book", "burn"))
    await anyio.wait_all_tasks_blocked()
    assert world.server.asked == 2


@pytest.mark.parametrize(
    ("listed", "is_news"),
    [
        (build_tools("book"), False),
        ([], False),
        (build_tools("burn"), True),
        (build_tools("book", description="Burns the house down."), True),
        (build_tools("book", icons=[]), False),
        ([None, {"name": 7}], False),
    ],
)
async def test_news_are_tools_that_are_not_as_they_are_known(listed: list[Any], *, is_news: bool) -> None:
    world = World("book")
    await world.catalogue.refresh()
    assert world.catalogue.is_news(parse_tools(listed)) is is_news


async def test_news_a_moment_after_a_reading_are_read_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doorward.resource.catalogue._MIN_PAUSE_SECONDS", 0.01)
    server = Server("book")
    catalogue = ToolCatalogue(server)
    await catalogue.refresh()
    server.tools = build_tools("book", "burn")
    catalogue.note_list(server.tools)
    with anyio.fail_after(5):
        while catalogue.get("burn") is None:  # noqa: ASYNC110  # the reading is a task of the catalogue's own
            await anyio.sleep(0.001)
    assert server.asked == 2


async def test_a_list_is_kept_current_until_cancelled_whatever_the_server_does() -> None:
    server = Server("book")
    catalogue = ToolCatalogue(server, monotonic=iter(range(0, 10_000, 2)).__next__)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: catalogue.keep_current(seconds=0.001))
            await _until_asked(server, 3)
            server.error = OSError("down")
            await _until_asked(server, 3)
            server.error, server.tools = None, build_tools("book", "burn")
            await _until_asked(server, 2)
            tasks.cancel_scope.cancel()
    assert catalogue.get("burn") is not None


async def _until_asked(server: Server, times: int) -> None:
    goal = server.asked + times
    while server.asked < goal:  # noqa: ASYNC110  # the server is asked by a task of the catalogue's own
        await anyio.sleep(0.001)


async def _is_listed(world: World, name: str) -> bool:
    return world.catalogue.get(name) is not None


async def test_a_file_outlives_the_process(tmp_path: Path) -> None:
    path = tmp_path / "tools.json"
    world = World("book", store=FileStore(path))
    await world.catalogue.refresh()
    await world.refresh("burn", title="Brennen 🔥", annotations={"destructiveHint": True})
    told = await FileStore(path).load()
    assert [(e.tool.name, e.tool.title, e.tool.kind, e.since, e.is_listed) for e in told] == [
        ("burn", "Brennen 🔥", "destructive", int(world.clock.now * 1000), True),
        ("book", "book", "write", 0, False),
    ]
    again = World("burn", store=FileStore(path))
    await again.catalogue.load()
    assert (again.server.asked, again.catalogue.is_read) == (0, True)
    assert (again.listed(), again.catalogue.version) == (world.listed(), world.catalogue.version)
    await again.refresh("book", "burn", "bury", seconds=3)
    assert again.listed()["bury"] == int(again.clock.now * 1000)
    assert again.listed()["book"] == 0


async def test_without_a_file_there_is_nothing_to_know(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "tools.json")
    assert await store.load() == ()
    assert await store.learn((), 1) == ()
    assert list(tmp_path.iterdir()) == []


GOOD = {"tool": {"name": "book", "title": "Book", "kind": "read", "digest": "x"}, "since": 5, "is_listed": True}


def change(**changes: Any) -> str:
    return json.dumps([GOOD, {**GOOD, **changes}])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "[" * 200_000,
        "{}",
        "[]",
        '""',
        "null",
        "0",
        '"book"',
        '{"tool": 1}',
        "[null]",
        "[[]]",
        "[{}]",
        change(tool=None),
        change(tool={}),
        change(tool={**GOOD["tool"], "name": 7}),  # type: ignore[dict-item]  # mypy takes the values for one type
        change(tool={**GOOD["tool"], "kind": "harmless"}),  # type: ignore[dict-item]  # the same
        change(since="5"),
        change(since=5.5),
        change(since=True),
        change(since=-1),
        change(since=None),
        change(is_listed=1),
        change(is_listed="no"),
    ],
)
async def test_a_broken_file_is_an_error_and_no_new_beginning(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tools.json"
    path.write_text(text, "utf-8")
    store = FileStore(path)
    with pytest.raises(ValueError, match=r"tools\.json is not a list of tools\."):
        await store.load()
    with pytest.raises(ValueError, match=r"tools\.json is not a list of tools\."):
        await store.learn([ListedTool("burn", "burn", "read", "y")], 7)
    assert path.read_text("utf-8") == text


async def test_a_file_that_cannot_be_written_leaves_the_old_list_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tools.json"
    world = World("book", store=FileStore(path))
    await world.catalogue.refresh()
    kept = path.read_bytes()
    (tmp_path / "tools.json.new").mkdir()
    assert not await world.refresh("book", "burn")
    assert (path.read_bytes(), world.listed()) == (kept, {"book": 0})
    assert await world.catalogue.find("burn") is None
    assert [r.levelno for r in caplog.records if "cannot be kept" in r.getMessage()] == [logging.ERROR]
    (tmp_path / "tools.json.new").rmdir()
    assert await world.refresh("book", "burn")
    assert world.listed()["burn"] > 0


async def test_a_reader_beside_finds_a_whole_file_at_any_time(tmp_path: Path) -> None:
    path = tmp_path / "tools.json"
    writer, reader = FileStore(path), FileStore(path)
    await writer.learn([ListedTool("0", "0", "read", "x")], 1)
    done = False

    async def write() -> None:
        nonlocal done
        for round_ in range(1, 12):
            await writer.learn([ListedTool(f"{round_}-{n}", "x" * 100, "read", "x") for n in range(50)], round_)
        done = True

    versions: list[int] = []
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            while not done:
                versions.append(latest_version(await reader.load()))
    assert versions == sorted(versions)
    assert list(tmp_path.iterdir()) == [path]


async def test_what_does_not_change_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "tools.json"
    store = FileStore(path)
    await store.learn([ListedTool("book", "book", "read", "x")], 1)
    written = path.stat()
    await store.learn([ListedTool("book", "book", "read", "x")], 9)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)


async def test_a_store_in_memory_tells_what_it_learned() -> None:
    store = MemoryStore()
    assert await store.load() == ()
    known = await store.learn([ListedTool("book", "book", "read", "x")], 1)
    assert known == (KnownTool(ListedTool("book", "book", "read", "x"), 0),) == await store.load()


async def test_a_reading_that_ends_badly_leaves_no_task_behind_unheard() -> None:
    world = World("book")
    await world.catalogue.refresh()
    world.clock.now += 5
    world.server.error = Odd("x")
    world.catalogue.note_list(build_tools("burn"))
    await anyio.wait_all_tasks_blocked()
    assert world.server.asked == 2
    assert [task for task in asyncio.all_tasks() if task.get_name() == "list of tools"] == []
