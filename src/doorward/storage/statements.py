"""SQL compiled once per dialect, from one SQLAlchemy expression.

A verb names its statement at module level; an executor asks for the text and the order of its parameters. Literals
in an expression travel as bound values too, so no value ever becomes part of SQL text.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from sqlalchemy import BigInteger, Case, ClauseElement, Column, Table, bindparam, case, insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

Dialect = Literal["sqlite", "postgresql"]

_DIALECTS: dict[Dialect, Any] = {
    "sqlite": sqlite.dialect(paramstyle="named"),
    "postgresql": postgresql.dialect(paramstyle="numeric_dollar"),  # type: ignore[no-untyped-call]
}


@dataclass(frozen=True, slots=True)
class Compiled:
    """SQL text of one dialect; `names` is the order of positional parameters, `constants` those with fixed values."""

    sql: str
    names: tuple[str, ...]
    constants: dict[str, Any]


DialectInsert = Callable[[Table], Any]
"""The `insert` of a dialect, which knows ON CONFLICT."""
_INSERTS: dict[Dialect, DialectInsert] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class Statement:
    """One SQL statement, compiled at first use and kept.

    Given as an expression, or as a function of the dialect's `insert` where ON CONFLICT is needed.
    """

    __slots__ = ("_compiled", "_expression")
    registry: ClassVar[list["Statement"]] = []

    def __init__(self, expression: ClauseElement | Callable[[DialectInsert], ClauseElement]) -> None:
        self._expression = expression
        self._compiled: dict[Dialect, Compiled] = {}
        Statement.registry.append(self)

    def compiled(self, dialect: Dialect) -> Compiled:
        """The text for a dialect."""
        found = self._compiled.get(dialect)
        if found is None:
            source = self._expression
            expression = source if isinstance(source, ClauseElement) else source(_INSERTS[dialect])
            compiled = expression.compile(dialect=_DIALECTS[dialect])
            constants = {name: value for name, value in compiled.params.items() if value is not None}
            names = tuple(getattr(compiled, "positiontup", None) or compiled.params)
            found = self._compiled[dialect] = Compiled(str(compiled), names, constants)
        return found


def insert_row(table: Table) -> Insert:
    """An insert of every column of `table`, each bound under its own name."""
    return insert(table).values({column.name: bindparam(column.name) for column in table.columns})


def later_of(column: Column[int], name: str) -> Case[int]:
    """The parameter `name`, or what the column holds where that is later: an epoch never goes back (I3, I9)."""
    given = bindparam(name, type_=BigInteger)
    return case((column < given, given), else_=column)
