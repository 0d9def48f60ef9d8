"""A database that cannot serve says so, keeps nothing half-written, and serves again when it can (I6, I11)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import apsw
import pytest

from doorward.core.models import AuditEvent
from doorward.core.secrets import hash_secret
from doorward.oauth.ids import ProjectId
from doorward.storage.audit import list_events, record
from doorward.storage.clients import remove_client
from doorward.storage.codes import add_code
from doorward.storage.database import StorageUnavailable
from doorward.storage.executor_sqlite import SqliteDatabase
from tests.storage.conftest import open_sqlite
from tests.storage.rows import NOW, Tenant, add_tenant, make_code

SMALL = AuditEvent("test", "system", "")
PAGE_SIZE = 4096
HUGE = AuditEvent("test", "system", "x" * 2_000_000)


@dataclass
class Store:
    database: SqliteDatabase
    path: Path
    tenant: Tenant

    @property
    def project_id(self) -> ProjectId:
        return self.tenant.project_id

    async def count_events(self) -> int:
        return len(await self.database.read(list_events, self.project_id))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    path = tmp_path / "doorward.db"
    async with open_sqlite(path) as database:
        # Nobody here is going to let go while we wait.
        database._writer.set_busy_timeout(0)
        yield Store(database, path, await add_tenant(database))


async def test_a_full_database_refuses_and_keeps_nothing_of_what_it_refused_i6(store: Store) -> None:
    pages = store.database._writer.execute("PRAGMA page_count").get
    store.database._writer.execute(f"PRAGMA max_page_count={pages + 2}").fetchall()
    with pytest.raises(StorageUnavailable, match="FullError"):
        await store.database.write(record, store.project_id, HUGE, NOW)
    assert await store.count_events() == 0
    store.database._writer.execute("PRAGMA max_page_count=1000000").fetchall()
    await store.database.write(record, store.project_id, HUGE, NOW)
    assert await store.count_events() == 1


async def test_a_database_that_another_process_holds_refuses_writes_and_still_reads(store: Store) -> None:
    with closing(apsw.Connection(str(store.path))) as other:
        other.execute("BEGIN IMMEDIATE")
        outcomes = await asyncio.gather(
            *(store.database.write(record, store.project_id, SMALL, NOW) for _ in range(5)), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * 5
        assert await store.count_events() == 0
        other.execute("ROLLBACK")
    await store.database.write(record, store.project_id, SMALL, NOW)
    assert await store.count_events() == 1


async def test_a_row_whose_parent_vanished_meanwhile_is_refused_alone_i6(store: Store) -> None:
    await store.database.write(remove_client, store.project_id, store.tenant.client.client_id, NOW)
    orphan = store.database.write(add_code, make_code(store.tenant.project, hash_secret("orphan")))
    good = store.database.write(record, store.project_id, SMALL, NOW)
    outcomes = await asyncio.gather(orphan, good, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StorageUnavailable, type(None)]


async def test_a_damaged_database_is_unavailable_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "doorward.db"
    async with open_sqlite(path) as database:
        project_id = (await add_tenant(database)).project_id
        page = database.scalar("SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_audit_events_1'")
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE_SIZE)
        file.write(b"\x5a" * PAGE_SIZE)
    async with open_sqlite(path) as database:
        for refused in (
            lambda: database.read(list_events, project_id),
            lambda: database.write(record, project_id, SMALL, NOW),
        ):
            with pytest.raises(StorageUnavailable):
                await refused()


@pytest.mark.parametrize("content", [b"not a database at all" * 400, b"SQLite format 3\x00" + b"\xff" * 4080])
def test_a_file_that_is_no_database_cannot_be_opened(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "doorward.db"
    path.write_bytes(content)
    with pytest.raises(StorageUnavailable):
        SqliteDatabase(path)
    assert path.read_bytes() == content


def test_a_folder_in_the_place_of_the_file_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable):
        SqliteDatabase(tmp_path)
