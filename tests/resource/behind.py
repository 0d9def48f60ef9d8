"""A server behind the proxy on a bare socket, which keeps every byte it was sent, and the proxy as its own process."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.needs import ROOT, find_free_port
from tests.resource.world import Mint

READY_WITHIN_SECONDS = 30
Told = Callable[["Exchange"], Awaitable[None]]


@dataclass
class Exchange:
    """One request as it came, and the way to answer it."""

    head: bytes
    body: bytes
    writer: asyncio.StreamWriter
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the other end has closed the connection."""

    @property
    def line(self) -> str:
        return self.head.split(b"\r\n", 1)[0].decode("latin-1")

    @property
    def headers(self) -> list[tuple[str, str]]:
        lines = self.head.decode("latin-1").rstrip("\r\n").split("\r\n")[1:]
        return [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]

    def values(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known == name]

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, status: int = 200, body: bytes = b"{}", *lines: str) -> None:
        await self.start(status, f"content-length: {len(body)}", *lines)
        await self.send(body)

    async def start(self, status: int, *lines: str) -> None:
        await self.send("\r\n".join([f"HTTP/1.1 {status} Told", *lines, "", ""]).encode("latin-1"))

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def start_events(self, *lines: str) -> None:
        await self.start(200, "content-type: text/event-stream", "transfer-encoding: chunked", *lines)


async def answer_plainly(exchange: Exchange) -> None:
    await exchange.answer(200, b'{"ok":true}', "content-type: application/json")


@dataclass
class Behind:
    """Answers as it is told; `seen` are the requests it got."""

    told: Told = answer_plainly
    seen: list[Exchange] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        early = b""
        try:
            while True:
                head = early + await reader.readuntil(b"\r\n\r\n")
                exchange = Exchange(head, b"", writer)
                exchange.body = await _read_body(exchange, reader)
                self.seen.append(exchange)
                early = await self._converse(exchange, reader)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _converse(self, exchange: Exchange, reader: asyncio.StreamReader) -> bytes:
        """Let it be answered, and notice when the other end leaves meanwhile."""

        async def watch() -> bytes:
            with suppress(ConnectionError):
                if data := await reader.read(1):
                    return data
            exchange.gone.set()
            return b""

        watching = asyncio.create_task(watch())
        try:
            await self.told(exchange)
        finally:
            if not watching.done():
                watching.cancel()
                await asyncio.wait([watching])
        return b"" if watching.cancelled() else watching.result()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


async def _read_body(exchange: Exchange, reader: asyncio.StreamReader) -> bytes:
    if exchange.values("transfer-encoding"):
        body = b""
        while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return body
    return await reader.readexactly(int((exchange.values("content-length") or ["0"])[0]))


@asynccontextmanager
async def serve_behind(listener: socket.socket) -> AsyncIterator[Behind]:
    """The server behind on a listener that outlives it."""
    behind = Behind()
    server = await asyncio.start_server(behind.serve, sock=listener.dup(), limit=2**20)
    try:
        yield behind
    finally:
        server.close()
        await behind.close()
        await server.wait_closed()


@dataclass
class Proxy:
    """A guard with a forwarder behind it, served by the HTTP runtime that Doorward is served by."""

    port: int
    mint: Mint
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        return self.mint.resource

    def client(self, **claims: Any) -> httpx2.AsyncClient:
        headers = {**self.mint.header("tools:read", **claims), "accept": "application/json, text/event-stream"}
        return httpx2.AsyncClient(headers=headers, timeout=20)

    def resident_kb(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


@contextmanager
def run_proxy(
    upstream: str, *, path: str = "/mcp", guard: dict[str, Any] | None = None, **options: Any
) -> Iterator[Proxy]:
    """The proxy in a process of its own, until it is ready; `options` are those of `Forwarder`."""
    port = find_free_port()
    mint = Mint(resource=f"http://127.0.0.1:{port}{path}")
    given = {
        "port": port,
        "upstream": upstream,
        "resource": mint.resource,
        "issuer": mint.issuer,
        "keys": [mint.key.public_jwk()],
        "guard": guard or {},
        "options": options,
    }
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.resource.proxy_process", json.dumps(given)],
        text=True,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        # A proxy of the environment would be asked for 127.0.0.1, too, if the forwarder looked there.
        env={**kept, "HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"},
    )
    try:
        wait_for(port, process)
        yield Proxy(port, mint, process)
    finally:
        process.terminate()
        process.wait(timeout=20)
        assert process.stderr is not None
        process.stderr.close()


def wait_for(port: int, process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stderr and process.stderr.read()
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    raise AssertionError("the server did not start")
