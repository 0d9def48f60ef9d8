"""MCP servers that know nothing of Doorward, each in a process of its own: of the SDKs, and published ones."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.interop.node.programs import FOLDER as NODE
from tests.interop.node.programs import PACKAGES, PATH, find_node
from tests.needs import find_free_port

HERE = Path(__file__).parent
LISTENING_WITHIN_SECONDS = 60
HTTP_SERVERS = {
    "FastMCP 4": HERE / "fastmcp_server.py",
    "MCP SDK 2 for Python": HERE / "sdk_server.py",
    "MCP SDK 2 for TypeScript": NODE / "notes2.mjs",
    "MCP SDK 1 for TypeScript": NODE / "notes1.mjs",
}

EVERYTHING = PACKAGES / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js"


@dataclass
class Upstream:
    """A server that listens at `url`, and can be started again there."""

    command: tuple[str, ...]
    port: int
    log: IO[str]
    process: subprocess.Popen[str]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    @property
    def is_fastmcp(self) -> bool:
        return "fastmcp" in self.command[1]

    def kill(self) -> None:
        """SIGKILL: those of Node and uvicorn wait for streams that never end."""
        self.process.kill()
        self.process.wait(timeout=10)

    def start_again(self) -> None:
        self.process = _start(self.command, self.port, self.log, self.environment)


@contextmanager
def running(program: Path, log: Path, *arguments: str, **environment: str) -> Iterator[Upstream]:
    """One of the servers over HTTP, at a free port; `environment` is what it finds beside that of the tests."""
    interpreter = sys.executable if program.suffix == ".py" else find_node()
    command, port = (interpreter, str(program), *arguments), find_free_port()
    with log.open("a", encoding="utf-8") as written:
        upstream = Upstream(command, port, written, _start(command, port, written, environment), environment)
        try:
            yield upstream
        finally:
            upstream.kill()


def everything() -> tuple[str, ...]:
    """The command of the reference server that has everything."""
    return find_node(), str(EVERYTHING), "stdio"


def filesystem(folder: Path) -> tuple[str, ...]:
    """The command of the reference server for the files in a folder."""
    script = PACKAGES / "@modelcontextprotocol" / "server-filesystem" / "dist" / "index.js"
    return find_node(), str(script), str(folder)


def _start(command: tuple[str, ...], port: int, log: IO[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
    given = {**os.environ, "PATH": PATH, "PORT": str(port), **environment}
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True, env=given)
    deadline = time.monotonic() + LISTENING_WITHIN_SECONDS
    while not _is_listening(port):
        assert process.poll() is None, f"{command} ended with {process.returncode}"
        assert time.monotonic() < deadline, f"{command} took too long"
        time.sleep(0.02)
    return process


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
