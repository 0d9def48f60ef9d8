"""A real Redis in a process of its own, which can be killed and started again at the same place."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.needs import find_redis

READY_WITHIN_SECONDS = 20


@dataclass
class RunningRedis:
    """Keeps nothing on disk: started again, it is empty."""

    program: str
    socket: Path
    process: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Start, and return when it listens."""
        place = ["--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.socket.parent)]
        self.process = subprocess.Popen(
            [self.program, *place, "--save", "", "--appendonly", "no"], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        for line in self.process.stdout:
            if "ready to accept connections" in line.lower():
                return
            assert time.monotonic() < deadline, "Redis took too long"
        raise AssertionError(f"Redis ended with {self.process.wait(timeout=10)}")

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        self.process.kill()
        self.process.wait(timeout=10)
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def run_redis() -> Iterator[RunningRedis]:
    """One for as long as the context is open."""
    program = find_redis()
    with tempfile.TemporaryDirectory(prefix="redis") as folder:  # the path of a socket must be short
        running = RunningRedis(program, Path(folder) / "socket")
        try:
            yield running
        finally:
            running.kill()
