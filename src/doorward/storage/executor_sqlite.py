"""SQLite through APSW: one writer thread with group commit, reads on the caller's thread.

Writes queue up while a commit waits for the disk and then share the next one, which is what makes
`synchronous=FULL` affordable: losing a "code used" row to a power cut would be a security bug, so nothing less is
offered. Each job runs in its own savepoint, so one that fails takes nobody with it.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, cast

import apsw

from .database import P, Row, StorageUnavailable, T, Verb
from .statements import Statement

MAX_GROUP = 256
_UNAVAILABLE = (
    apsw.BusyError,
    apsw.LockedError,
    apsw.FullError,
    apsw.IOError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.CorruptError,
    apsw.NotADBError,
)
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA cache_size=-16000",
)


class _Transaction:
    """Statements on one connection; nothing here really waits, so a verb runs to its end in one go."""

    __slots__ = ("_connection",)

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    async def one(self, statement: Statement, /, **parameters: Any) -> Row | None:
        rows = self._execute(statement, parameters).fetchall()
        return rows[0] if rows else None

    async def all(self, statement: Statement, /, **parameters: Any) -> list[Row]:
        return self._execute(statement, parameters).fetchall()

    async def run(self, statement: Statement, /, **parameters: Any) -> int:
        self._execute(statement, parameters).fetchall()
        return self._connection.changes()

    def _execute(self, statement: Statement, parameters: dict[str, Any]) -> apsw.Cursor:
        compiled = statement.compiled("sqlite")
        if compiled.constants:
            parameters = {**compiled.constants, **parameters}
        return self._connection.execute(compiled.sql, parameters)


@dataclass(slots=True)
class _Job:
    start: Callable[[_Transaction], Coroutine[Any, Any, Any]]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None

    def settle(self) -> None:
        """Hand the outcome to the waiter, on its loop."""
        if self.future.cancelled():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class SqliteDatabase:
    """One database file, or `:memory:` for tests. Several processes may open the same file."""

    def __init__(self, path: str | Path) -> None:
        self._path = str(path)
        self._writer = _connect(self._path)
        self._transaction = _Transaction(self._writer)
        in_memory = self._path == ":memory:"
        self._reader = None if in_memory else _Transaction(_connect(self._path))
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._accepts = True
        self._thread = threading.Thread(target=self._write_loop, name="doorward-writer", daemon=True)
        self._thread.start()

    async def write(self, verb: Verb[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `verb` in the next group commit. See `Database.write`."""
        if not self._accepts or not self._thread.is_alive():
            raise StorageUnavailable("the database is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def start(tx: _Transaction) -> Coroutine[Any, Any, T]:
            return cast("Coroutine[Any, Any, T]", verb(tx, *args, **kwargs))

        self._queue.put(_Job(start, loop, future))
        return await future

    async def read(self, verb: Verb[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `verb` here and now: a point select takes less time than handing it to a thread."""
        if self._reader is None:
            return await self.write(verb, *args, **kwargs)
        if not self._accepts:
            raise StorageUnavailable("the database is closed")
        try:
            return await verb(self._reader, *args, **kwargs)
        except _UNAVAILABLE as error:
            raise StorageUnavailable(type(error).__name__) from error

    async def close(self) -> None:
        """Commit what is queued, then close. See `Database.close`."""
        self._accepts = False  # a job behind the end of the queue would wait for ever
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        if self._reader is not None:
            self._reader._connection.close()  # noqa: SLF001  # made here
        self._writer.close()

    def execute_script(self, script: str) -> None:
        """Run migration SQL in one transaction, before the first verb."""
        with _translated(), self._writer:
            self._writer.execute(script).fetchall()

    def scalar(self, sql: str) -> Any:
        """One value, for the migrator's questions about the schema's version."""
        with _translated():
            return self._writer.execute(sql).get

    def _write_loop(self) -> None:
        while True:
            job = self._queue.get()
            if job is None:
                return
            group, is_last = self._gather(job)
            self._run_group(group)
            _settle(group)
            if is_last:
                return

    def _gather(self, first: _Job) -> tuple[list[_Job], bool]:
        """The waiting jobs, and whether the end of the queue was among them."""
        group = [first]
        while len(group) < MAX_GROUP:
            try:
                job = self._queue.get_nowait()
            except Empty:
                break
            if job is None:
                return group, True
            group.append(job)
        return group, False

    def _run_group(self, group: list[_Job]) -> None:
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            for job in group:
                self._run_job(job)
            self._writer.execute("COMMIT")
        except Exception as error:  # noqa: BLE001  # whatever stopped the commit, every waiter must hear of it
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            unavailable = StorageUnavailable(type(error).__name__) if isinstance(error, _UNAVAILABLE) else error
            for job in group:
                job.error = unavailable

    def _run_job(self, job: _Job) -> None:
        self._writer.execute("SAVEPOINT job")
        try:
            job.result = _drive(job.start(self._transaction))
        except _UNAVAILABLE:
            raise
        except Exception as error:  # noqa: BLE001  # the verb's own failure, for its own caller
            job.error = StorageUnavailable("a row it refers to is gone") if _is_orphan(error) else error
            self._writer.execute("ROLLBACK TO job")
        self._writer.execute("RELEASE job")


def _is_orphan(error: Exception) -> bool:
    """Whether a row was added under another that somebody removed at the same moment: trying again tells more."""
    return getattr(error, "extendedresult", None) == apsw.SQLITE_CONSTRAINT_FOREIGNKEY


def _drive(verb: Coroutine[Any, Any, T]) -> T:
    """Run a verb to its end without an event loop; one that waits for anything but its transaction is a bug."""
    try:
        verb.send(None)
    except StopIteration as stop:
        return cast("T", stop.value)
    verb.close()
    raise RuntimeError("A storage verb awaited something other than its transaction.")


def _settle(group: list[_Job]) -> None:
    """Wake the waiters, one wake-up per event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in group:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle_jobs, jobs)
        except RuntimeError:  # the loop is gone: nobody waits any more
            continue


def _settle_jobs(jobs: list[_Job]) -> None:
    for job in jobs:
        job.settle()


@contextmanager
def _translated() -> Iterator[None]:
    """What stops a start or a migration, in the one word that callers know."""
    try:
        yield
    except _UNAVAILABLE as error:
        raise StorageUnavailable(f"{type(error).__name__}: {error}") from error


def _connect(path: str) -> apsw.Connection:
    previous = os.umask(0o077)  # the database holds hashes and ciphertexts: nobody else reads it
    try:
        with _translated():
            connection = apsw.Connection(path)
            connection.set_busy_timeout(5000)
            for pragma in _PRAGMAS:
                connection.execute(pragma)
    finally:
        os.umask(previous)
    return connection
