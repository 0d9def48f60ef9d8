"""Requests with two ends, through the HTTP runtime, the guard and the proxy: the server behind sees one at most."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest

from tests.fault.wire import Reply, read_reply
from tests.resource.behind import Behind, Proxy, run_proxy, serve_behind
from tests.resource.world import bind

ANSWERED_WITHIN_SECONDS = 2
ALLOWED = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"look"}}'
HIDDEN = b'{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"erase"}}'
TOOLS = {"look": ["tools:read"], "erase": ["tools:write"]}
CL, TE = b"Content-Length: ", b"Transfer-Encoding: "


def post(*lines: bytes, body: bytes, target: bytes = b"/mcp", end: bytes = b"\r\n") -> bytes:
    head = [b"POST " + target + b" HTTP/1.1", b"Host: 127.0.0.1", b"Authorization: Bearer @TOKEN@"]
    return end.join([*head, b"Content-Type: application/json", *lines, b"", b""]) + body


def chunks(*parts: bytes, end: bytes = b"\r\n", last: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x%b%b%b" % (len(part), end, part, end) for part in parts) + last


SECOND = post(CL + b"%d" % len(HIDDEN), body=HIDDEN).replace(b"Bearer @TOKEN@", b"Bearer x")
"""What a smuggler hides behind the first request: taken for one of the proxy's own, it would be done behind."""
LAST = b"GET /.well-known/oauth-protected-resource HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
LENGTH = CL + b"%d" % len(ALLOWED)
LONG = CL + b"%d" % (len(ALLOWED) + len(SECOND))
CHUNKED = TE + b"chunked"
SPLIT = chunks(ALLOWED)

ODD: dict[str, bytes] = {
    "length and chunks": post(CL + b"%d" % len(SPLIT), CHUNKED, body=SPLIT + SECOND),
    "chunks and length": post(CHUNKED, CL + b"%d" % len(ALLOWED), body=SPLIT + SECOND),
    "chunks and a length of less": post(CHUNKED, CL + b"5", body=SPLIT + SECOND),
    "chunks and a length of all": post(LONG, CHUNKED, body=SPLIT + SECOND),
    "two lengths": post(LENGTH, LONG, body=ALLOWED + SECOND),
    "two lengths, the long one first": post(LONG, LENGTH, body=ALLOWED + SECOND),
    "a list of lengths": post(LENGTH + b", 5", body=ALLOWED + SECOND),
    "a length with a sign": post(CL + b"+%d" % len(ALLOWED), body=ALLOWED + SECOND),
    "a length in hexadecimal": post(CL + b"0x%x" % len(ALLOWED), body=ALLOWED + SECOND),
    "a length with a space in it": post(CL + b"7 1", body=ALLOWED + SECOND),
    "a length with an underscore": post(CL + b"7_1", body=ALLOWED + SECOND),
    "a length behind a space": post(b"Content-Length : 71", body=ALLOWED + SECOND),
    "a length named with an underscore": post(b"Content_Length: 5", LENGTH, body=ALLOWED + SECOND),
    "a coding behind a space": post(b"Transfer-Encoding : chunked", LENGTH, body=ALLOWED + SECOND),
    "a coding named with an underscore": post(b"Transfer_Encoding: chunked", LENGTH, body=ALLOWED + SECOND),
    "a coding with a vertical tab": post(TE + b"\x0bchunked", LENGTH, body=ALLOWED + SECOND),
    "a coding in quotes": post(TE + b'"chunked"', LENGTH, body=ALLOWED + SECOND),
    "a coding nobody knows": post(TE + b"xchunked", LENGTH, body=ALLOWED + SECOND),
    "a coding of two": post(TE + b"chunked, identity", LENGTH, body=ALLOWED + SECOND),
    "a coding twice": post(CHUNKED, CHUNKED, body=SPLIT + SECOND),
    "a coding in a folded line": post(TE + b"\r\n chunked", body=SPLIT + SECOND),
    "a folded header": post(b"X-A: b\r\n Content-Length: 5", LENGTH, body=ALLOWED + SECOND),
    "a folded header with a tab": post(b"X-A: b\r\n\tTransfer-Encoding: chunked", LENGTH, body=ALLOWED + SECOND),
    "bare line feeds": post(LENGTH, body=ALLOWED + SECOND, end=b"\n"),
    "a bare line feed in a header": post(b"X-A: b\nTransfer-Encoding: chunked", LENGTH, body=ALLOWED + SECOND),
    "a bare return in a header": post(b"X-A: b\rTransfer-Encoding: chunked", LENGTH, body=ALLOWED + SECOND),
    "a NUL in a header": post(b"X-A: \x00", LENGTH, body=ALLOWED + SECOND),
    "chunks that end in line feeds": post(CHUNKED, body=chunks(ALLOWED, end=b"\n") + SECOND),
    "a chunk longer than it says": post(CHUNKED, body=b"5\r\n" + ALLOWED + b"\r\n0\r\n\r\n" + SECOND),
    "a chunk shorter than it says": post(CHUNKED, body=b"fff\r\n" + ALLOWED + b"\r\n0\r\n\r\n" + SECOND),
    "a chunk of a negative size": post(CHUNKED, body=b"-5\r\n" + ALLOWED + b"\r\n0\r\n\r\n" + SECOND),
    "a chunk size beyond numbers": post(CHUNKED, body=b"f" * 17 + b"\r\n" + ALLOWED + b"\r\n0\r\n\r\n" + SECOND),
    "a chunk size with an extension of a line feed": post(
        CHUNKED, body=b"%x;a\nb\r\n" % len(ALLOWED) + ALLOWED + b"\r\n0\r\n\r\n" + SECOND
    ),
    "a trailer that is a length": post(CHUNKED, body=chunks(ALLOWED, last=b"0\r\nContent-Length: 5\r\n\r\n") + SECOND),
    "a trailer that is a token": post(CHUNKED, body=chunks(ALLOWED, last=b"0\r\nX-User: root\r\n\r\n") + SECOND),
    "a request in the body": post(LONG, body=ALLOWED + SECOND),
    "a request in a chunk": post(CHUNKED, body=chunks(ALLOWED, SECOND)),
    "a line that is two": post(LENGTH, body=ALLOWED + SECOND, target=b"/mcp HTTP/1.1\r\nX-A: b\r\nX:"),
    "a target with a space": post(LENGTH, body=ALLOWED + SECOND, target=b"/mcp /a"),
    "an absolute target": post(LENGTH, body=ALLOWED + SECOND, target=b"http://evil.test/mcp"),
    "a body of a GET": post(LENGTH, body=HIDDEN + SECOND).replace(b"POST", b"GET", 1),
    "a length that Connection names": post(b"Connection: Content-Length", LENGTH, body=ALLOWED + SECOND),
    "a coding that Connection names": post(b"Connection: Transfer-Encoding", CHUNKED, body=SPLIT + SECOND),
    "HTTP/1.0 in chunks": post(CHUNKED, body=SPLIT + SECOND).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    "an upgrade": post(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", LENGTH, body=ALLOWED + SECOND),
    "an expectation": post(b"Expect: 100-continue", LENGTH, body=ALLOWED + SECOND),
}


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    listening, _ = bind()
    with listening:
        yield listening


@pytest.fixture(scope="module")
def proxy(listener: socket.socket) -> Iterator[Proxy]:
    with run_proxy(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", guard={"tools": TOOLS}) as running:
        yield running
        assert running.process.poll() is None


@pytest.fixture
async def behind(listener: socket.socket) -> AsyncIterator[Behind]:
    async with serve_behind(listener) as serving:
        yield serving


async def exchange(port: int, sent: bytes) -> list[Reply]:
    """Every answer of a connection to some bytes; a request that ends the connection follows the first answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    replies: list[Reply] = []
    try:
        with suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            writer.write(sent)
            replies.append(await asyncio.wait_for(read_reply(reader), ANSWERED_WITHIN_SECONDS))
            writer.write(LAST)
            while True:
                replies.append(await asyncio.wait_for(read_reply(reader), ANSWERED_WITHIN_SECONDS))
    finally:
        writer.close()
    return [reply for reply in replies if b"authorization_servers" not in reply.body]


@pytest.mark.parametrize("name", ODD)
async def test_a_request_with_two_ends_is_one_at_most_behind_t47(proxy: Proxy, behind: Behind, name: str) -> None:
    replies = await exchange(proxy.port, ODD[name].replace(b"@TOKEN@", proxy.mint.token("tools:read").encode()))
    assert len(behind.seen) <= 1
    for seen in behind.seen:
        assert seen.line in {"POST /mcp HTTP/1.1", "GET /mcp HTTP/1.1"}
        assert seen.body == (ALLOWED if seen.line.startswith("POST") else b"")
        assert seen.values("content-length") == ([str(len(ALLOWED))] if seen.body else [])
        for left_out in ("transfer-encoding", "connection", "upgrade", "expect", "x-user", "authorization"):
            assert seen.values(left_out) == []
    assert [reply.status for reply in replies].count(200) == len(behind.seen)
    assert all(reply.status < 500 for reply in replies)


async def test_what_is_hidden_would_be_done_if_it_were_seen(proxy: Proxy, behind: Behind) -> None:
    """The corpus is no empty threat: with the scope it needs, and in the open, the second request passes."""
    sent = SECOND.replace(b"Bearer x", f"Bearer {proxy.mint.token('tools:write')}".encode())
    assert [reply.status for reply in await exchange(proxy.port, sent)] == [200]
    assert json.loads(behind.seen[0].body)["params"]["name"] == "erase"
