"""Counters in an SQLite file: for the processes of one machine, with nothing to install."""

import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

import anyio.to_thread
from anyio import CapacityLimiter

from .counters import Charge, CountersUnavailable, Short

MAX_ROWS = 1_000_000
_AGAIN_SECONDS = 0.01
BUSY_SECONDS = 5.0
SWEEP_SECONDS = 60
_SCHEMA = """
CREATE TABLE IF NOT EXISTS counters (
    counter TEXT PRIMARY KEY, ends_at INTEGER NOT NULL, used INTEGER NOT NULL
) WITHOUT ROWID, STRICT
"""
_INDEX = "CREATE INDEX IF NOT EXISTS counters_ends_at ON counters (ends_at, used)"
# Conditional on its own, so that a counter cannot pass its limit whatever else is wrong; None when it would.
_TAKE = """
INSERT INTO counters (counter, ends_at, used) VALUES (:counter, :ends_at, :cost)
ON CONFLICT (counter) DO UPDATE SET used = used + excluded.used WHERE used + excluded.used <= :limit
RETURNING used
"""
_USED = "SELECT used FROM counters WHERE counter = ?"
_SWEEP = "DELETE FROM counters WHERE ends_at <= ?"
_MAKE_ROOM = """
DELETE FROM counters WHERE counter IN (
    SELECT counter FROM counters ORDER BY ends_at, used LIMIT max(0, (SELECT count(*) FROM counters) - ?)
)
"""


class SQLiteCounters:
    """Counts in a file that processes of one machine share; not on a network drive, where SQLite cannot lock.

    One transaction holds the write lock from its start, so that callers of all processes stand in one line. It is
    written ahead (WAL) and not synced at each commit: a crash of a process loses nothing, and after a power cut the
    file is sound and has lost the newest counts at most, which gives somebody some calls again and is worth a sync
    of the disk for each call to nobody. `path` is made for its owner alone. Close it with `aclose`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._connection: sqlite3.Connection | None = None
        self._one_at_a_time = CapacityLimiter(1)
        self._swept_at = 0.0
        self._failures = 0

    async def take(self, charges: Sequence[Charge], *, now: float) -> Short | None:
        """Take all charges or none. Raises `CountersUnavailable`."""
        return await anyio.to_thread.run_sync(self._take, charges, now, self._failures, limiter=self._one_at_a_time)

    async def aclose(self) -> None:
        """Close the file."""
        await anyio.to_thread.run_sync(self._close, limiter=self._one_at_a_time)

    def _take(self, charges: Sequence[Charge], now: float, failures: int) -> Short | None:
        if failures != self._failures:
            raise CountersUnavailable(f"{self._path.name} failed while this call stood in line")
        try:
            return self._take_from(self._connection or self._open(), charges, now)
        except (sqlite3.Error, OSError) as error:
            self._failures += 1
            self._close()  # what is wrong may be this connection: the next caller opens another
            raise CountersUnavailable(f"{self._path.name}: {error}") from error

    def _take_from(self, connection: sqlite3.Connection, charges: Sequence[Charge], now: float) -> Short | None:
        if any(charge.cost > charge.limit for charge in charges):
            return Short(_read(connection, charges, now))
        connection.execute("BEGIN IMMEDIATE")
        for charge in charges:
            row = {"counter": charge.counter_at(now), "ends_at": charge.ends_at(now)}
            taken = connection.execute(_TAKE, {**row, "cost": charge.cost, "limit": charge.limit}).fetchall()
            if not taken:
                connection.execute("ROLLBACK")
                return Short(_read(connection, charges, now))
        if now >= self._swept_at + SWEEP_SECONDS:
            self._swept_at = now
            connection.execute(_SWEEP, (int(now) - SWEEP_SECONDS,))
            connection.execute(_MAKE_ROOM, (MAX_ROWS,))
        connection.execute("COMMIT")
        return None

    def _open(self) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        self._connection = sqlite3.connect(
            self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=16
        )
        prepare(self._connection)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def prepare(connection: sqlite3.Connection) -> None:
    """Set a connection up, and make the table where it is not there yet.

    Several who open a new file at once stand in each other's way with WAL, and SQLite does not wait for that by itself.
    """
    give_up_at = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(_AGAIN_SECONDS)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(_SCHEMA)
    connection.execute(_INDEX)


def _read(connection: sqlite3.Connection, charges: Sequence[Charge], now: float) -> tuple[int, ...]:
    rows = [connection.execute(_USED, (charge.counter_at(now),)).fetchone() for charge in charges]
    return tuple(row[0] if row else 0 for row in rows)
