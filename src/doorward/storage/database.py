"""What a verb sees of a database, whichever it is.

A verb is `async def verb(tx, project_id, …) -> outcome` and awaits nothing but its transaction. That restriction lets
one spelling of a verb run both ways: SQLite drives it to its end on the writer thread without an event loop, and
PostgreSQL awaits the network at each statement.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from .statements import Statement

P = ParamSpec("P")
T = TypeVar("T")
Row = tuple[Any, ...]


class StorageUnavailable(Exception):  # noqa: N818  # a state of the world, answered with 503
    """The database could not do it now (full, locked, gone); nothing of the transaction happened, or all of it did."""


class Transaction(Protocol):
    """The statements of one transaction. Everything a verb does commits together or not at all."""

    async def one(self, statement: Statement, /, **parameters: Any) -> Row | None:
        """The first row, or None."""

    async def all(self, statement: Statement, /, **parameters: Any) -> list[Row]:
        """Every row."""

    async def run(self, statement: Statement, /, **parameters: Any) -> int:
        """How many rows were changed."""


Verb = Callable[Concatenate[Transaction, P], Awaitable[T]]


class Database(Protocol):
    """A store of Doorward. Both methods raise `StorageUnavailable` when the database cannot serve."""

    async def write(self, verb: Verb[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `verb` in one durable transaction; when this returns, what it did survives power loss (I2)."""

    async def read(self, verb: Verb[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a verb that only reads; each of its statements sees the newest commit."""

    async def close(self) -> None:
        """Finish what was accepted, then let go of the database."""
