"""Every statement of the server is good SQL on both databases, and no value is ever part of its text."""

import importlib
import pkgutil
import re

import pytest
from sqlalchemy import column, select, table

import doorward.storage
from doorward.storage.statements import Dialect, Statement
from tests.storage.rows import unlisted

for _module in pkgutil.iter_modules(doorward.storage.__path__, "doorward.storage."):
    importlib.import_module(_module.name)


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_every_statement_compiles_for_both_databases(dialect: Dialect) -> None:
    assert len(Statement.registry) > 60
    for statement in Statement.registry:
        compiled = statement.compiled(dialect)
        assert compiled.sql.startswith(("SELECT ", "INSERT ", "UPDATE ", "DELETE "))
        assert set(compiled.constants) <= set(compiled.names)


def test_a_verb_gives_both_databases_the_same_parameters() -> None:
    for statement in Statement.registry:
        lite, big = statement.compiled("sqlite"), statement.compiled("postgresql")
        assert set(lite.names) - set(lite.constants) == set(big.names) - set(big.constants)


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_every_value_is_bound_and_none_is_text(dialect: Dialect) -> None:
    for statement in Statement.registry:
        assert "'" not in statement.compiled(dialect).sql


def test_postgresql_numbers_its_parameters_in_the_order_of_their_names() -> None:
    for statement in Statement.registry:
        compiled = statement.compiled("postgresql")
        used = {int(number) for number in re.findall(r"\$(\d+)", compiled.sql)}
        assert used == set(range(1, len(compiled.names) + 1))


def test_a_statement_is_compiled_once() -> None:
    statement = unlisted(select(column("x")).select_from(table("t")))
    assert statement.compiled("sqlite") is statement.compiled("sqlite")


def test_a_fixed_value_travels_as_a_parameter_too() -> None:
    compiled = unlisted(select(column("x")).where(column("x") == "secret")).compiled("sqlite")
    assert "secret" not in compiled.sql
    assert list(compiled.constants.values()) == ["secret"]
