"""mcp-remote as an MCP host runs it: JSON-RPC over its standard streams, its files in a folder of its own."""

import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from tests.interop.browsers import Browser
from tests.interop.node.programs import PACKAGES, PATH, PATIENCE_SECONDS, Program, run_node

BRIDGE = PACKAGES / "mcp-remote" / "dist" / "proxy.js"
OPENERS = ("xdg-open", "open")
LONGEST_URL = 1 << 16
_PRINTED_LINK = re.compile(r"https?://\S+/device\?user_code=\S+")


class Home:
    """A person's machine to mcp-remote: its files, and a browser that passes on what it is to open."""

    def __init__(self, folder: Path) -> None:
        self.files = folder / "files"
        self._commands = folder / "bin"
        self._commands.mkdir(parents=True)
        pipe = folder / "opened"
        os.mkfifo(pipe)
        # Opened both ways, which waits for nobody at the other end.
        for name in OPENERS:
            command = self._commands / name
            command.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$1\" 1<>'{pipe}'\n")
            command.chmod(0o700)
        # For writing too: a pipe whose last writer has gone would be readable for ever, at its end.
        self._opened = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)

    @property
    def environment(self) -> dict[str, str]:
        """All of it, so that no desktop of the machine is asked for its own browser."""
        return {
            "PATH": os.pathsep.join([str(self._commands), PATH]),
            "HOME": str(self.files),
            "MCP_REMOTE_CONFIG_DIR": str(self.files),
            "BROWSER": str(self._commands / OPENERS[0]),
        }

    @property
    def tokens(self) -> Path:
        """The file that mcp-remote keeps its tokens in."""
        (found,) = self.files.rglob("*_tokens.json")
        return found

    async def opened(self) -> str:
        """The next address that a browser was to open."""
        address = b""
        while not address.endswith(b"\n"):
            await anyio.wait_readable(self._opened)
            address += os.read(self._opened, LONGEST_URL)
        return address.decode().strip()

    def close(self) -> None:
        os.close(self._opened)


@dataclass
class Host:
    """The near side of the bridge."""

    program: Program
    asked: int = 0

    async def request(self, method: str, **params: Any) -> Any:
        """The result of a request; whatever else the bridge says meanwhile is passed over."""
        self.asked += 1
        await self.program.tell({"jsonrpc": "2.0", "id": self.asked, "method": method, "params": params})
        while (message := await self.program.listen()) is not None:
            if message.get("id") == self.asked:
                assert "result" in message, message
                return message["result"]
        raise AssertionError("the bridge ended")

    async def shake_hands(self) -> Any:
        """What the server says of itself."""
        client = {"name": "interop", "version": "1"}
        welcome = await self.request("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=client)
        await self.program.tell({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return welcome

    async def call(self, name: str, **arguments: Any) -> Any:
        """The structured answer of a tool that did not fail."""
        result = await self.request("tools/call", name=name, arguments=arguments)
        assert not result.get("isError"), result
        return result["structuredContent"]


@asynccontextmanager
async def run_headless_bridge(
    home: Home, url: str, approve: Callable[[str], Awaitable[None]], *options: str
) -> AsyncIterator[Host]:
    """Run mcp-remote where no browser is; its person goes to the address that it prints, on a machine of their own."""

    async def read_log() -> None:
        assert program.process.stderr is not None
        said = b""
        async for chunk in program.process.stderr:
            said += chunk
            *lines, said = said.split(b"\n")
            for line in lines:
                if found := _PRINTED_LINK.search(line.decode()):
                    await approve(found[0])

    arguments = [url, *options, "--device-code"]
    async with (
        run_node(BRIDGE, *arguments, environment=home.environment, listens_to_errors=True) as program,
        anyio.create_task_group() as person,
    ):
        person.start_soon(read_log)
        yield Host(program)
        assert program.process.stdin is not None
        await program.process.stdin.aclose()
        assert await program.process.wait() == 0
        person.cancel_scope.cancel()


@asynccontextmanager
async def run_bridge(home: Home, browser: Browser, url: str, *options: str) -> AsyncIterator[Host]:
    """Run mcp-remote for the block, with a person who goes wherever it sends their browser."""

    async def go_along() -> None:
        while True:
            await browser.visit(await home.opened())

    patience = ["--auth-timeout", str(PATIENCE_SECONDS)]
    async with run_node(BRIDGE, url, *options, *patience, environment=home.environment) as program:
        async with anyio.create_task_group() as person:
            person.start_soon(go_along)
            yield Host(program)
            person.cancel_scope.cancel()
        assert program.process.stdin is not None
        await program.process.stdin.aclose()
        assert await program.process.wait() == 0
