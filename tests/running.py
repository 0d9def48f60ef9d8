"""A real `doorward up` or `protect` in a process of its own, for tests that need sockets, signals or a crash."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doorward.server.tenancy import MAX_AGE_MS
from tests.needs import find_free_port

ADMIN_EMAIL = "ada@example.com"
ADMIN_PASSWORD = "a quiet harbour at dawn"
READY_WITHIN_SECONDS = 30
VIEWED = ("key", "project", "provider", "resource", "trust")
"""What commands change that a server has a view of."""


@dataclass
class RunningDoorward:
    """One server process over a data folder, which outlives it."""

    process: subprocess.Popen[str]
    data: Path
    port: int
    announced: dict[str, Any]

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def demo(self) -> str:
        return f"{self.issuer}/demo/mcp"

    @property
    def url(self) -> str:
        """The address of the server that is protected, or of the first of several."""
        return str(self.announced["ready"])

    def admin(self, *words: str) -> Any:
        """What an operator's command prints for machines, run on the server's folder beside it.

        Returns once the server has learned of it: no view of a project is used for longer than its age.
        """
        command = [sys.executable, "-m", "doorward.cli", "admin", *words, "--data", str(self.data), "--json"]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=READY_WITHIN_SECONDS)
        if words[0] in VIEWED:
            time.sleep(MAX_AGE_MS / 1000)
        return json.loads(done.stdout)

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        self.process.kill()
        self.process.wait(timeout=10)
        self._close()

    def stop(self) -> int:
        """SIGTERM, as an operator; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=30)
        self._close()
        return code

    def _close(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()


def start_doorward(
    data: Path,
    *options: str,
    port: int | None = None,
    environment: dict[str, str] | None = None,
    admin: bool = True,
    log: Path | None = None,
) -> RunningDoorward:
    """Start `doorward up` and wait until it says it is ready."""
    return _start("up", data, options, port, environment, admin=admin, log=log)


def start_protect(
    data: Path,
    *words: str,
    port: int | None = None,
    environment: dict[str, str] | None = None,
    admin: bool = True,
    log: Path | None = None,
) -> RunningDoorward:
    """Start `doorward protect` with a server to protect, or options that name some, and wait until it is ready."""
    return _start("protect", data, words, port, environment, admin=admin, log=log)


def _start(
    name: str,
    data: Path,
    words: tuple[str, ...],
    port: int | None,
    environment: dict[str, str] | None,
    *,
    admin: bool,
    log: Path | None,
) -> RunningDoorward:
    port = port or find_free_port()
    given = {"DOORWARD_ADMIN_EMAIL": ADMIN_EMAIL, "DOORWARD_ADMIN_PASSWORD": ADMIN_PASSWORD} if admin else {}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOORWARD_")}
    command = [sys.executable, "-m", "doorward.cli", name, "--json", "--data", str(data), "--port", str(port)]
    with (log or data.with_suffix(".log")).open("a", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [*command, *words],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**kept, **given, **(environment or {})},
        )
    assert process.stdout is not None
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    announced: dict[str, Any] = {}
    for line in process.stdout:
        if line.startswith("{"):
            announced = json.loads(line)
        if line.startswith("ready "):
            return RunningDoorward(process, data, port, announced)
        assert time.monotonic() < deadline, f"doorward {name} took too long"
    process.wait(timeout=10)
    process.stdout.close()
    raise AssertionError(f"doorward {name} ended with {process.returncode}")
