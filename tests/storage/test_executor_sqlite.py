"""What only the SQLite executor promises: group commit, durability, one writer however many processes."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from doorward.core.models import AuditEvent
from doorward.oauth.ids import ProjectId
from doorward.storage.audit import list_events, record
from doorward.storage.database import StorageUnavailable, Transaction
from doorward.storage.executor_sqlite import MAX_GROUP, SqliteDatabase
from tests.storage.conftest import open_sqlite
from tests.storage.rows import NOW, add_tenant

EVENT = AuditEvent("test", "system", "")
WITHIN_SECONDS = 20


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    async with open_sqlite(tmp_path / "doorward.db") as opened:
        yield opened


@pytest.fixture
async def project_id(store: SqliteDatabase) -> ProjectId:
    return (await add_tenant(store)).project_id


@contextmanager
def counted_commits(store: SqliteDatabase) -> Iterator[list[int]]:
    """How many transactions were committed meanwhile."""
    seen = [0]

    def on_commit() -> bool:
        seen[0] += 1
        return False

    store._writer.set_commit_hook(on_commit)
    yield seen
    store._writer.set_commit_hook(None)


class Gate:
    """A verb that keeps the writer busy until it is let go, so that what is asked meanwhile shares one commit."""

    def __init__(self, store: SqliteDatabase) -> None:
        self._entered, self._open = threading.Event(), threading.Event()
        self._holding = asyncio.ensure_future(store.write(self._hold))

    async def _hold(self, _: Transaction) -> None:
        self._entered.set()
        assert self._open.wait(WITHIN_SECONDS)

    async def reached(self) -> None:
        assert await asyncio.to_thread(self._entered.wait, WITHIN_SECONDS)

    async def let_go(self) -> None:
        self._open.set()
        await self._holding


async def accepted(store: SqliteDatabase, jobs: int) -> None:
    """Until the writer's queue holds so many jobs."""
    with anyio.fail_after(WITHIN_SECONDS):
        while store._queue.qsize() < jobs:
            await anyio.lowlevel.checkpoint()


async def count_events(store: SqliteDatabase, project_id: ProjectId) -> int:
    return len(await store.read(list_events, project_id, at_most=10_000))


async def test_writes_that_arrive_together_share_one_commit(store: SqliteDatabase, project_id: ProjectId) -> None:
    gate = Gate(store)
    await gate.reached()
    writes = [asyncio.ensure_future(store.write(record, project_id, EVENT, NOW)) for _ in range(100)]
    await accepted(store, 100)
    with counted_commits(store) as commits:
        await gate.let_go()
        await asyncio.gather(*writes)
    assert commits == [2]
    assert await count_events(store, project_id) == 100


async def test_a_group_is_bounded(store: SqliteDatabase, project_id: ProjectId) -> None:
    gate = Gate(store)
    await gate.reached()
    writes = [asyncio.ensure_future(store.write(record, project_id, EVENT, NOW)) for _ in range(MAX_GROUP + 1)]
    await accepted(store, MAX_GROUP + 1)
    with counted_commits(store) as commits:
        await gate.let_go()
        await asyncio.gather(*writes)
    assert commits == [3]


async def test_a_verb_that_fails_takes_nobody_of_its_group_with_it(
    store: SqliteDatabase, project_id: ProjectId
) -> None:
    async def fail(tx: Transaction) -> None:
        await record(tx, project_id, EVENT, NOW)
        raise KeyError("mine alone")

    gate = Gate(store)
    await gate.reached()
    good = [asyncio.ensure_future(store.write(record, project_id, EVENT, NOW + n)) for n in range(5)]
    bad = asyncio.ensure_future(store.write(fail))
    good += [asyncio.ensure_future(store.write(record, project_id, EVENT, NOW + n)) for n in range(5)]
    await accepted(store, 11)
    await gate.let_go()
    await asyncio.gather(*good)
    with pytest.raises(KeyError, match="mine alone"):
        await bad
    assert await count_events(store, project_id) == 10


async def test_a_verb_that_waits_for_anything_else_is_refused_and_leaves_nothing(
    store: SqliteDatabase, project_id: ProjectId
) -> None:
    async def wait(tx: Transaction) -> None:
        await record(tx, project_id, EVENT, NOW)
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="awaited something other than its transaction"):
        await store.write(wait)
    assert await count_events(store, project_id) == 0
    await store.write(record, project_id, EVENT, NOW)
    assert await count_events(store, project_id) == 1


async def test_a_waiter_that_went_away_harms_nobody(store: SqliteDatabase, project_id: ProjectId) -> None:
    gate = Gate(store)
    await gate.reached()
    gone = asyncio.ensure_future(store.write(record, project_id, EVENT, NOW))
    stays = asyncio.ensure_future(store.write(record, project_id, EVENT, NOW))
    await accepted(store, 2)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    await gate.let_go()
    await stays
    assert await count_events(store, project_id) == 2


async def test_closing_finishes_what_was_accepted_and_refuses_what_comes_after_i2(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "doorward.db") as store:
        project_id = (await add_tenant(store)).project_id
        gate = Gate(store)
        await gate.reached()
        writes = [asyncio.ensure_future(store.write(record, project_id, EVENT, NOW)) for _ in range(50)]
        await accepted(store, 50)
        closing = asyncio.ensure_future(store.close())
        await accepted(store, 51)
        with pytest.raises(StorageUnavailable):
            await store.write(record, project_id, EVENT, NOW)
        await gate.let_go()
        await asyncio.gather(*writes, closing)
        for refused in (store.write, store.read):
            with pytest.raises(StorageUnavailable):
                await refused(list_events, project_id)
        await store.close()
    async with open_sqlite(tmp_path / "doorward.db") as again:
        assert await count_events(again, project_id) == 50


async def test_a_write_that_returned_is_seen_by_the_next_read(store: SqliteDatabase, project_id: ProjectId) -> None:
    for number in range(1, 50):
        await store.write(record, project_id, EVENT, NOW)
        assert await count_events(store, project_id) == number


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("trusted_schema", 0)],
)
async def test_both_connections_are_durable_and_strict(store: SqliteDatabase, pragma: str, value: object) -> None:
    assert store._reader is not None
    for connection in (store._writer, store._reader._connection):
        assert connection.execute(f"PRAGMA {pragma}").get == value


async def test_a_database_in_memory_reads_through_its_writer() -> None:
    async with open_sqlite(":memory:") as store:
        tenant = await add_tenant(store)
        await store.write(record, tenant.project_id, EVENT, NOW)
        assert len(await store.read(list_events, tenant.project_id)) == 1
