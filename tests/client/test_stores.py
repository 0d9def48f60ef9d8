"""What a client keeps is there again, and has one lock for threads and processes."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from doorward.client.keeping import Keeping
from doorward.client.records import dump_connection, load_connection
from doorward.client.storage import Unlock, connection_name, server_name
from doorward.client.stores import FileStore, MemoryStore
from tests.client.store_programs import NAME, ROUNDS, THREADS, run_together, start
from tests.client.stored import KINDS, LASTING, make_connection, make_store
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("ring")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept"


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_saved_last_is_loaded_whole(kind: str, folder: Path) -> None:
    store = make_store(kind, folder)
    connection = make_connection("https://issuer.example")
    store.save(NAME, {"value": "first", "only here": 1})
    store.save(NAME, dump_connection(connection))
    kept = store.load(NAME)
    assert kept is not None
    assert load_connection(kept) == connection


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_kept_under_a_name_before_and_after(kind: str, folder: Path) -> None:
    store = make_store(kind, folder)
    store.delete(NAME)
    assert (store.load(NAME), store.names()) == (None, [])
    store.save(NAME, {})
    assert (store.load(NAME), store.names()) == ({}, [NAME])
    store.delete(NAME)
    assert (store.load(NAME), store.names()) == (None, [])


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_of_what_was_loaded_changes_nothing_that_is_kept(kind: str, folder: Path) -> None:
    store = make_store(kind, folder)
    given: dict[str, Any] = {"list": [1]}
    store.save(NAME, given)
    given["list"].append(2)
    (store.load(NAME) or {})["list"].append(3)
    assert store.load(NAME) == {"list": [1]}


@pytest.mark.parametrize("kind", KINDS)
def test_what_one_issuer_gave_is_kept_under_it_and_found_under_no_other_cred_01_cred_02(
    kind: str, folder: Path
) -> None:
    store = make_store(kind, folder)
    one, other = "https://one.example", "https://other.example"
    resource = "https://server.example/mcp"
    store.save(connection_name(one, resource, "app"), dump_connection(make_connection(one)))
    for elsewhere in (
        connection_name(other, resource, "app"),
        connection_name(one + "/", resource, "app"),
        connection_name(one, resource + "/", "app"),
        connection_name(one, resource, "App"),
    ):
        assert store.load(elsewhere) is None
        store.save(elsewhere, dump_connection(make_connection(other, "another")))
    kept = store.load(connection_name(one, resource, "app"))
    assert kept is not None
    assert load_connection(kept) == make_connection(one)
    assert len(store.names()) == 5


@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_has_one_holder_and_is_free_again_after(kind: str, folder: Path) -> None:
    store = make_store(kind, folder)
    unlock = store.try_lock(NAME)
    assert unlock is not None
    assert store.try_lock(NAME) is None
    other = store.try_lock(NAME + " 2")
    assert other is not None
    unlock()
    second = store.try_lock(NAME)
    assert second is not None
    unlock()
    assert store.try_lock(NAME) is None, "a second call of the first holder took the lock from the second"


@pytest.mark.parametrize("kind", KINDS)
def test_any_thread_may_let_go_of_a_lock(kind: str, folder: Path) -> None:
    store = make_store(kind, folder)
    taken = store.try_lock(NAME)
    assert taken is not None
    seen: list[object] = []

    def look_and_let_go() -> None:
        seen.append(store.try_lock(NAME))
        taken()

    thread = threading.Thread(target=look_and_let_go)
    thread.start()
    thread.join()
    assert seen == [None]
    assert store.try_lock(NAME) is not None


@pytest.mark.parametrize("kind", KINDS)
async def test_who_is_cancelled_while_they_get_a_lock_leaves_none_behind(kind: str, folder: Path) -> None:
    store = make_store(kind, folder)
    entered, gate = threading.Event(), threading.Event()

    class Slow(MemoryStore):
        def try_lock(self, name: str) -> Unlock | None:
            unlock = store.try_lock(name)
            entered.set()
            assert gate.wait(60)
            return unlock

    async def wait_for_it() -> None:
        async with Keeping(Slow(), "https://server.example/mcp", "client").alone():
            raise AssertionError("it was cancelled before")

    waiting = asyncio.create_task(wait_for_it())
    assert await asyncio.to_thread(entered.wait, 60)
    name = server_name("https://server.example/mcp", "client")
    assert store.try_lock(name) is None
    waiting.cancel()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    async def is_free() -> bool:
        return store.try_lock(name) is not None

    await until(is_free)


@pytest.mark.parametrize("kind", KINDS)
def test_threads_of_one_store_never_hold_a_lock_together(kind: str, folder: Path) -> None:
    store = make_store(kind, folder)
    holders: list[int] = []
    together: list[int] = []
    deadline = time.monotonic() + 120

    def work() -> None:
        for _ in range(20):
            while (unlock := store.try_lock(NAME)) is None:
                assert time.monotonic() < deadline
                time.sleep(0.0005)
            holders.append(1)
            together.append(len(holders))
            holders.pop()
            unlock()

    run_together([work] * THREADS)
    assert together == [1] * 20 * THREADS


@pytest.mark.parametrize("kind", LASTING)
def test_what_was_saved_is_there_for_the_next_program(kind: str, folder: Path) -> None:
    make_store(kind, folder).save(NAME, {"value": "kept"})
    again = make_store(kind, folder)
    assert again.load(NAME) == {"value": "kept"}
    assert again.names() == [NAME]


@pytest.mark.parametrize("kind", LASTING)
def test_of_sixteen_threads_in_two_processes_none_loses_what_another_wrote(kind: str, folder: Path) -> None:
    counter = folder.parent / "counter"
    counter.write_text("0")
    programs = [start("count", kind, folder, counter) for _ in range(2)]
    for program in programs:
        program.communicate(timeout=150)
    assert [program.returncode for program in programs] == [0, 0]
    expected = 2 * THREADS * ROUNDS
    assert int(counter.read_text()) == expected
    assert make_store(kind, folder).load(NAME) == {"count": expected}


def test_a_lock_dies_with_its_process(folder: Path) -> None:
    store = FileStore(folder)
    program = start("hold", "file", folder)
    assert program.stdout is not None
    assert program.stdout.readline() == "held\n"
    assert store.try_lock(NAME) is None
    program.kill()
    program.communicate(timeout=30)
    assert store.try_lock(NAME) is not None


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_program_that_is_killed_while_it_saves_leaves_the_former_value(folder: Path, call: str) -> None:
    store = FileStore(folder)
    store.save(NAME, {"value": "first"})
    program = start("die", folder, call)
    program.communicate(timeout=60)
    assert program.returncode == -9
    left = [path.name for path in folder.iterdir() if path.name.endswith(".new")]
    assert len(left) == 1, "it was killed too early or too late"
    assert FileStore(folder).load(NAME) == {"value": "first"}
    assert FileStore(folder).names() == [NAME]
    store.save(NAME, {"value": "third"})
    assert store.load(NAME) == {"value": "third"}
    assert not list(folder.glob("*.new"))


def test_forgetting_a_name_forgets_what_a_killed_program_left_of_it(folder: Path) -> None:
    store = FileStore(folder)
    store.save(NAME, {"value": "first"})
    start("die", folder, "replace").communicate(timeout=60)
    store.delete(NAME)
    assert sorted(path.name for path in folder.iterdir()) == ["key", "locks"]
