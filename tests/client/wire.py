"""Bytes to a listener and back, as a browser or anybody else on this machine sends them."""

from dataclasses import dataclass
from urllib.parse import urlsplit

import anyio

PATIENCE_SECONDS = 30


@dataclass(frozen=True)
class RawAnswer:
    status: int
    headers: dict[str, str]
    text: str


def raw_request(redirect_uri: str, query: str = "", *, method: str = "GET", path: str = "/callback") -> bytes:
    """What a browser sends when it is led to `redirect_uri` with a query."""
    target = f"{path}?{query}" if query else path
    return f"{method} {target} HTTP/1.1\r\nHost: {urlsplit(redirect_uri).netloc}\r\nAccept: */*\r\n\r\n".encode()


async def exchange(redirect_uri: str, request: bytes, *, host: str = "127.0.0.1") -> RawAnswer | None:
    """The answer to raw bytes, None when the other side closes without one."""
    port = urlsplit(redirect_uri).port
    assert port is not None
    received = b""
    with anyio.fail_after(PATIENCE_SECONDS):
        async with await anyio.connect_tcp(host, port) as stream:
            try:
                await stream.send(request)
                while True:
                    received += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                pass
    if not received:
        return None
    head, _, body = received.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in lines)}
    return RawAnswer(int(line.split(" ")[1]), headers, body.decode())


async def visit(redirect_uri: str, query: str, **given: str) -> RawAnswer:
    """A browser that is led to `redirect_uri` with a query."""
    answer = await exchange(redirect_uri, raw_request(redirect_uri, query, **given))
    assert answer is not None
    return answer
