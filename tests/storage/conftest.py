"""The contract of the storage floor runs over every executor. Another executor is another entry of `EXECUTORS`."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from pathlib import Path

import pytest

from doorward.storage.database import Database
from doorward.storage.executor_sqlite import SqliteDatabase
from doorward.storage.migrate import render_upgrade
from tests.storage.rows import Tenant, add_tenant


@cache
def _schema() -> str:
    """The migrations as one script, rendered once: what they make is the subject of test_migrations.py."""
    return render_upgrade(None, "sqlite")


@asynccontextmanager
async def open_sqlite(path: str | Path) -> AsyncIterator[SqliteDatabase]:
    """A database at this release's schema; a file that is there already is opened as it is."""
    is_new = not Path(path).exists()
    database = SqliteDatabase(path)
    try:
        if is_new:
            database.execute_script(_schema())
        yield database
    finally:
        await database.close()


EXECUTORS: dict[str, Callable[[Path], AbstractAsyncContextManager[Database]]] = {
    "sqlite file": lambda folder: open_sqlite(folder / "doorward.db"),
    "sqlite memory": lambda _: open_sqlite(":memory:"),
}


@pytest.fixture(params=EXECUTORS)
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database at this release's schema."""
    async with EXECUTORS[request.param](tmp_path) as opened:
        yield opened


@pytest.fixture
async def tenant(database: Database) -> Tenant:
    """A project with one of each thing that others hang off."""
    return await add_tenant(database)
