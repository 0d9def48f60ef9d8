"""What all tables and statements of the storage floor keep to: one winner and one tenant are then no accident."""

import importlib
import pkgutil
import re
from functools import cache

import pytest
from sqlalchemy import Table

import doorward.storage
from doorward.storage.schema import metadata
from doorward.storage.statements import Statement

# Each name here is a table that knows nothing of any project; a new one needs a reason as good as these have.
GLOBAL_TABLES = {
    "leases",  # which process runs the periodic jobs
    "schema_info",  # what the database file is
    "server_secrets",  # the server's own keys, under the master key
}
# Deleting these twice is the same as once: there is nothing in them to win.
WORTHLESS_TABLES = {"throttles"}
TENANT_TABLES = sorted(set(metadata.tables) - GLOBAL_TABLES)

# A sweep is the one thing that may cross projects, and the one deletion nobody waits for: it goes by time alone.
SWEEP = re.compile(
    r"^DELETE FROM (\w+) WHERE .*\b\1\.\w+_at <=? :|^DELETE FROM (audit_events|timeline_events) WHERE \2\.at <= :"
)


@cache
def list_statements() -> list[str]:
    """The SQL of every statement that any module of the floor names."""
    for module in pkgutil.walk_packages(doorward.storage.__path__, "doorward.storage."):
        if ".migrations" not in module.name:
            importlib.import_module(module.name)
    return sorted({" ".join(statement.compiled("sqlite").sql.split()) for statement in Statement.registry})


def get_target(sql: str) -> Table | None:
    """The table that a statement changes."""
    match = re.match(r"(?:UPDATE|DELETE FROM|INSERT INTO) (\w+)", sql)
    return metadata.tables[match[1]] if match else None


def get_condition(sql: str) -> str:
    return sql.partition(" WHERE ")[2].partition(" RETURNING ")[0]


def test_the_tables_and_statements_are_found() -> None:
    assert {"projects", "clients", "codes"} <= set(TENANT_TABLES)
    assert len(list_statements()) > len(TENANT_TABLES)


@pytest.mark.parametrize("name", TENANT_TABLES)
def test_a_tenants_table_starts_with_its_project(name: str) -> None:
    table = metadata.tables[name]
    assert next(iter(table.columns)).name == "project_id"
    assert next(iter(table.primary_key.columns)).name == "project_id"


def test_a_row_deleted_by_its_key_is_returned_to_the_one_who_deleted_it() -> None:
    # Read, then delete, hands one code to as many callers as read it in time.
    unanswered = [
        sql
        for sql in list_statements()
        if sql.startswith("DELETE") and " RETURNING " not in sql and not SWEEP.match(sql)
        for table in [get_target(sql)]
        if table is not None
        and table.name not in WORTHLESS_TABLES
        and all(f"{table.name}.{column.name} = :" in get_condition(sql) for column in table.primary_key)
    ]
    assert unanswered == []


@pytest.mark.parametrize(("column", "unspent"), [("used_at", "used_at IS NULL"), ("generation", "generation = :")])
def test_what_works_once_is_spent_by_one_conditional_statement(column: str, unspent: str) -> None:
    unconditional = [
        sql
        for sql in list_statements()
        for table in [get_target(sql)]
        if table is not None
        and re.search(rf"(?:SET|,) {column}=", sql.partition(" WHERE ")[0])
        and not (f"{table.name}.{unspent}" in get_condition(sql) and " RETURNING " in sql)
    ]
    assert unconditional == []


def test_every_statement_stays_inside_one_project() -> None:
    # `projects` itself is what a request's project is looked up in.
    unbounded = [
        sql
        for sql in list_statements()
        if re.search(rf"\b({'|'.join(sorted({*TENANT_TABLES} - {'projects'}))})\b", sql)
        and not re.search(r"project_id = :|^INSERT INTO \w+ \(project_id, ", sql)
        and not SWEEP.match(sql)
    ]
    assert unbounded == []
