"""Processes on their own core, what they use, and what single steps of a request cost on this machine."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import create_connection

import apsw

from doorward.oauth.jwt import generate_signing_key, sign_access_token
from tests.fault.ground import find_steady_port

COMMITS = 300
SIGNATURES = 2000
GROUP = 32
_CORES = sorted(os.sched_getaffinity(0))


def is_pinned() -> bool:
    """Whether server and generator have a core each."""
    return len(_CORES) > 1


@contextmanager
def on_server_core() -> Iterator[None]:
    """Processes started inside run on the server's core; the generator itself then has the other one."""
    os.sched_setaffinity(0, {_CORES[0]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, {_CORES[1]} if is_pinned() else set(_CORES))


def used_seconds(process_id: int) -> float:
    """Processor time a process has used."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(process_id: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{process_id}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024


@contextmanager
def bare_server() -> Iterator[tuple[int, int]]:
    """(port, process id) of the HTTP server with an app that does nothing."""
    port = find_steady_port()
    with on_server_core():
        process = subprocess.Popen([sys.executable, "-m", "bench.bare", str(port)], stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield port, process.pid
    finally:
        process.kill()
        process.wait()


def wait_for(port: int) -> None:
    """Return once the port takes connections."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(OSError), create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise AssertionError("the bare server did not start")


def measure_signature() -> float:
    """Seconds of one ES256 access token."""
    key = generate_signing_key()
    claims = {"iss": "https://auth.example.com", "sub": "usr_1", "aud": "https://api.example.com", "exp": 1_900_000_000}
    return _time(lambda: sign_access_token(claims, key), SIGNATURES)


def measure_commits(folder: Path) -> tuple[float, float]:
    """Seconds of one durable SQLite transaction of one row: alone, and as one of a group that shares a commit."""
    connection = apsw.Connection(str(folder / "commits.db"))
    connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (v TEXT)").fetchall()

    def commit(rows: int) -> None:
        connection.execute("BEGIN IMMEDIATE")
        for _ in range(rows):
            connection.execute("SAVEPOINT job")
            connection.execute("INSERT INTO t VALUES (?)", ("x" * 200,))
            connection.execute("RELEASE job")
        connection.execute("COMMIT")

    alone = _time(lambda: commit(1), COMMITS)
    grouped = _time(lambda: commit(GROUP), COMMITS // 10) / GROUP
    connection.close()
    return alone, grouped


def measure_command(*arguments: str, times: int = 7) -> float:
    """Seconds until a command of Python is done: the median of some runs."""
    took = []
    for _ in range(times):
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        took.append(time.perf_counter() - started)
    return sorted(took)[times // 2]


def _time(step: Callable[[], object], times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        step()
    return (time.perf_counter() - started) / times
