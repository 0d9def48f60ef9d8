"""Migrations lead to the very schema that the statements are written against."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import Inspector

import doorward.storage.migrations
from doorward.storage.executor_sqlite import SqliteDatabase
from doorward.storage.migrate import FRESH, UnknownSchema, current_revision, migrate, render_upgrade
from doorward.storage.migrations import HEAD
from doorward.storage.opening import open_store
from doorward.storage.schema import metadata
from doorward.storage.statements import Dialect
from tests.storage.rows import NOW, add_tenant, dump

VERSIONS = "alembic_version"


@pytest.fixture
def migrated(tmp_path: Path) -> Iterator[Inspector]:
    """What the migrations make."""
    path = tmp_path / "migrated.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(render_upgrade(None, "sqlite"))
    engine = create_engine(f"sqlite:///{path}")
    yield inspect(engine)
    engine.dispose()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Inspector]:
    """What the schema says."""
    engine = create_engine(f"sqlite:///{tmp_path / 'fresh.db'}")
    metadata.create_all(engine)
    yield inspect(engine)
    engine.dispose()


def test_both_have_the_same_tables(migrated: Inspector, fresh: Inspector) -> None:
    assert sorted({*migrated.get_table_names()} - {VERSIONS}) == sorted(fresh.get_table_names())


@pytest.mark.parametrize("name", sorted(metadata.tables))
def test_a_migrated_table_is_the_one_in_the_schema(migrated: Inspector, fresh: Inspector, name: str) -> None:
    def describe(found: Inspector) -> dict[str, Any]:
        columns = found.get_columns(name)
        return {
            "columns": [(column["name"], str(column["type"]), column["nullable"]) for column in columns],
            "defaults": [column["default"] for column in columns],
            "primary key": found.get_pk_constraint(name),
            "foreign keys": sorted(found.get_foreign_keys(name), key=str),
            "indexes": sorted(found.get_indexes(name), key=str),
        }

    assert describe(migrated) == describe(fresh)


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_the_migrations_are_written_for_both_databases(dialect: Dialect) -> None:
    script = render_upgrade(None, dialect)
    for table in metadata.sorted_tables:
        assert f"CREATE TABLE {table.name} (" in script
        assert all(f"INDEX {index.name} ON {table.name}" in script for index in table.indexes)


def test_the_newest_migration_is_the_one_this_release_expects() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(doorward.storage.migrations.__file__).parent))
    script = ScriptDirectory.from_config(config)
    assert script.get_heads() == [HEAD]
    assert script.get_bases() == ["0001"]


async def test_an_empty_database_is_migrated_once(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "doorward.db")
    try:
        assert current_revision(database) is None
        assert migrate(database)
        assert current_revision(database) == HEAD
        assert not migrate(database)
    finally:
        await database.close()


async def test_a_migration_that_fails_leaves_the_old_schema_whole(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "doorward.db")
    try:
        broken = render_upgrade(None, "sqlite").replace("CREATE TABLE audit_events", "CREATE TABEL audit_events")
        with pytest.raises(Exception, match="TABEL"):
            database.execute_script(broken)
        assert database.scalar("SELECT count(*) FROM sqlite_master") == 0
        assert migrate(database)
    finally:
        await database.close()


async def test_a_database_of_a_newer_release_is_refused_and_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    store = await open_store(folder, now=NOW)
    tenant = await add_tenant(store.database)
    before = await dump(store.database, tenant.project_id)
    store.database.execute_script("UPDATE alembic_version SET version_num = '9999'")
    await store.database.close()
    with pytest.raises(UnknownSchema, match="9999"):
        await open_store(folder, now=NOW)
    database = SqliteDatabase(folder / "doorward.db")
    try:
        assert current_revision(database) == "9999"
        assert await dump(database, tenant.project_id) == before
    finally:
        await database.close()


def test_what_an_empty_folder_is_made_of_is_what_the_migrations_render_to() -> None:
    """After a new migration: write `render_upgrade(None, "sqlite")` to the file anew."""
    assert FRESH.read_text(encoding="utf-8") == render_upgrade(None, "sqlite")
