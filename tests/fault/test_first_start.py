"""A first start that is killed half-way leaves a folder that the next start can use."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fault.checker import Snapshot
from tests.fault.ground import find_steady_port, start
from tests.fault.wire import Wire


def is_there(name: str) -> Callable[[Path], bool]:
    return lambda folder: (folder / name).exists()


def holds(name: str, size: int) -> Callable[[Path], bool]:
    return lambda folder: (folder / name).exists() and (folder / name).stat().st_size >= size


MOMENTS = {
    "the folder is there": lambda folder: folder.exists(),
    "the key is there": is_there("master.key"),
    "the database is there": is_there("doorward.db"),
    "something was written": holds("doorward.db-wal", 1),
    "the tables were written": holds("doorward.db-wal", 150_000),
}


def start_and_kill(folder: Path, has_come: Callable[[Path], bool]) -> None:
    """Start on an empty folder, and kill as soon as the moment has come or the start is over."""
    command = [sys.executable, "-m", "doorward.cli", "up", "--data", str(folder), "--port", str(find_steady_port())]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOORWARD_")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=kept) as process:
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        deadline = time.monotonic() + 60
        while not has_come(folder) and b"ready" not in (process.stdout.read() or b""):
            assert time.monotonic() < deadline
        process.kill()


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_first_start_that_was_killed_can_be_repeated(tmp_path: Path, moment: str) -> None:
    folder = tmp_path / "data"
    start_and_kill(folder, MOMENTS[moment])
    server = start(folder)
    async with Wire(server.port) as wire:
        assert (await wire.request("GET", "/readyz")).status == 200
    rows = Snapshot(folder)
    assert (rows.integrity, rows.dangling) == (["ok"], [])
    assert rows.count("project.created") == {"default": 1}
    assert rows.count("user.added").total() == 1
    assert server.stop() == 0


def test_a_key_file_that_was_never_filled_is_made_anew_beside_no_database(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    (folder / "master.key").touch(mode=0o600)
    assert start(folder).stop() == 0
    assert len(bytes.fromhex((folder / "master.key").read_text())) == 32
