"""Servers on real sockets that answer what a test says, however broken, and keep every byte that they were sent."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

REASON = "Said"


@dataclass(frozen=True)
class Asked:
    """One request. Names of headers are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass(frozen=True)
class Reply:
    """One answer. `raw` is sent instead of it all; `endless` repeats the body for good, `drip` sends it byte by byte
    and never ends, `silent` ends nothing."""

    body: bytes = b"{}"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    media: str = "application/json"
    raw: bytes | None = None
    endless: bool = False
    drip: bool = False
    silent: bool = False


Answerer = Callable[[Asked], Reply]


def redirect(status: int, location: str) -> Reply:
    return Reply(b"", status, (("location", location),))


@dataclass
class Listener:
    """One origin: what it was asked, and every byte that came in, also of what was no request."""

    answerer: Answerer
    port: int = 0
    host: str = "127.0.0.1"
    tls: bool = False
    asked: list[Asked] = field(default_factory=list)
    received: bytearray = field(default_factory=bytearray)
    connections: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def origin(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    def url(self, path: str = "/", host: str | None = None) -> str:
        """An address here, under a name that the certificate has, if one is said."""
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{path}" if host else f"{self.origin}{path}"

    def paths(self, method: str | None = None) -> list[str]:
        return [asked.path for asked in self.asked if method in {None, asked.method}]

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                while await self._answer_one(reader, writer):
                    pass
        finally:
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        asked = await self._read(reader)
        self.asked.append(asked)
        reply = self.answerer(asked)
        writer.write(reply.raw if reply.raw is not None else _head(reply) + (b"" if reply.drip else reply.body))
        await writer.drain()
        while reply.endless:
            writer.write(reply.body)
            await writer.drain()
        while reply.drip and not self.over.is_set():
            writer.write(reply.body)
            await writer.drain()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.over.wait(), 0.02)
        if reply.silent:
            await self.over.wait()
        return reply.raw is None and not reply.drip

    async def _read(self, reader: asyncio.StreamReader) -> Asked:
        head = bytearray(await reader.readexactly(1))
        self.received += head
        if head == b"\x16":  # a TLS handshake, where none is spoken
            self.received += await reader.read(65536)
            raise ConnectionResetError
        while not head.endswith(b"\r\n\r\n"):
            line = await reader.readuntil(b"\n")
            self.received += line
            head += line
        first, *lines = head.decode("latin-1").splitlines()
        method, target, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.received += body
        return Asked(method, target, headers, body)


def _head(reply: Reply) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} {REASON}", f"content-type: {reply.media}"]
    if not (reply.endless or reply.drip or any(name == "content-length" for name, _ in reply.headers)):
        lines.append(f"content-length: {len(reply.body)}")
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in reply.headers), "", ""]).encode("latin-1")


@asynccontextmanager
async def listening(
    answerer: Answerer, *, certificate: str | None = None, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Listener]:
    """An origin of its own on a loopback address, with TLS where a certificate is given."""
    listener = Listener(answerer, host=host, tls=certificate is not None)
    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    answering: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listener.connections += 1
        task = asyncio.create_task(listener.answer(reader, writer))
        answering.add(task)
        task.add_done_callback(answering.discard)

    server = await asyncio.start_server(accept, host, port, ssl=tls)
    listener.port = server.sockets[0].getsockname()[1]
    try:
        yield listener
    finally:
        listener.over.set()
        server.close()
        await server.wait_closed()
        for task in answering:
            task.cancel()
        if answering:
            await asyncio.wait(answering, timeout=5)


def has_ipv6() -> bool:
    """Whether this machine has a loopback of IPv6."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False
