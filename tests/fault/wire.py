"""HTTP/1.1 on a bare socket: what was sent and what came back, with no client library in between."""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlencode

ANSWER_WITHIN_SECONDS = 30
_FORM = {"content-type": "application/x-www-form-urlencoded"}


class Lost(Exception):  # noqa: N818  # the sender's word for it
    """The connection ended before the whole answer was here: the request happened or it did not."""


@dataclass(frozen=True)
class Reply:
    """One whole answer."""

    status: int
    headers: dict[str, list[str]]
    body: bytes

    def header(self, name: str) -> str:
        return self.headers.get(name, [""])[0]


class Wire:
    """One connection that is kept alive and opened again when it was lost."""

    def __init__(self, port: int, local: str = "127.0.0.1") -> None:
        self.port = port
        self._local = local
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def request(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Reply:
        """Send and read the answer. Raises `Lost`."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_SECONDS):
                reader, writer = self._streams or await self._connect()
                writer.write(self.render(method, path, body, headers))
                return await read_reply(reader, is_head=method == "HEAD")
        except TimeoutError:
            await self.close()
            raise AssertionError(f"{method} {path} was not answered in time") from None
        except (OSError, asyncio.IncompleteReadError) as error:
            await self.close()
            raise Lost from error

    async def post_form(self, path: str, fields: dict[str, str], headers: dict[str, str] | None = None) -> Reply:
        """POST a form. Raises `Lost`."""
        return await self.request("POST", path, urlencode(fields).encode(), {**_FORM, **(headers or {})})

    def render(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
        """The request as bytes."""
        lines = [f"{method} {path} HTTP/1.1", f"host: 127.0.0.1:{self.port}"]
        if body or method == "POST":
            lines.append(f"content-length: {len(body)}")
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        return "\r\n".join([*lines, "", ""]).encode() + body

    async def close(self) -> None:
        """Let go of the connection; the next request opens another."""
        if self._streams is not None:
            writer = self._streams[1]
            self._streams = None
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._streams = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(self._local, 0))
        return self._streams


async def read_reply(reader: asyncio.StreamReader, *, is_head: bool = False) -> Reply:
    """The next final answer of a connection. Raises `asyncio.IncompleteReadError`."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        status, headers = parse_head(head)
        if status >= 200:
            break
    length = int(headers.get("content-length", ["0"])[0])
    if "chunked" in headers.get("transfer-encoding", []):
        return Reply(status, headers, await _read_chunks(reader))
    return Reply(status, headers, b"" if is_head or status in (204, 304) else await reader.readexactly(length))


def parse_head(head: bytes) -> tuple[int, dict[str, list[str]]]:
    """Status and headers of an answer's head."""
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    match = re.fullmatch(r"HTTP/1\.[01] (\d{3}) .*", first)
    assert match, first
    headers: dict[str, list[str]] = {}
    for line in lines:
        name, separator, value = line.partition(":")
        assert separator, line
        headers.setdefault(name.lower(), []).append(value.strip())
    return int(match[1]), headers


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return body
