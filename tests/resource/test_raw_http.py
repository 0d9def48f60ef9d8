"""Bytes on a socket that no client library would send (T47, T48). Framing is the server's affair, the rest is ours."""

from collections.abc import AsyncIterator, Iterator

import anyio
import pytest

from tests.resource.world import Echo, Mint, bind, serve

TOKEN = b"@TOKEN@"
LISTED = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
BOOKED = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"book"}}'
AUTH = b"Authorization: Bearer " + TOKEN
JSON = b"Content-Type: application/json"


def request(
    method: bytes = b"POST",
    path: bytes = b"/mcp",
    *headers: bytes,
    body: bytes = b"",
    host: bytes | None = b"127.0.0.1",
) -> bytes:
    lines = [method + b" " + path + b" HTTP/1.1", *headers, b"Connection: close"]
    if host is not None:
        lines.append(b"Host: " + host)
    if body and not any(line.lower().startswith((b"content-length", b"transfer-encoding")) for line in headers):
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(body: bytes) -> bytes:
    return b"%x;name=value\r\n" % len(body) + body + b"\r\n0\r\nAuthorization: Bearer x\r\n\r\n"


ATTACKS: dict[str, tuple[bytes, int]] = {
    "a call that is allowed": (request(b"POST", b"/mcp", AUTH, JSON, body=LISTED), 200),
    "a call that is not": (request(b"POST", b"/mcp", AUTH, JSON, body=BOOKED), 403),
    "a call in chunks with a trailer": (
        request(b"POST", b"/mcp", AUTH, JSON, b"Transfer-Encoding: chunked", body=chunked(BOOKED)),
        403,
    ),
    "HEAD": (request(b"HEAD"), 401),
    "DELETE": (request(b"DELETE"), 401),
    "CONNECT": (request(b"CONNECT", b"evil.test:443"), 401),
    "an invented method": (request(b"M-SEARCH"), 401),
    "a method of 5,000 letters": (request(b"A" * 5000), 401),
    "a method in lower case": (request(b"post", b"/mcp", AUTH, JSON, body=BOOKED), 403),
    "a GET that overrides itself": (
        request(b"GET", b"/mcp", AUTH, JSON, b"X-HTTP-Method-Override: POST", body=BOOKED),
        200,
    ),
    "two tokens": (request(b"POST", b"/mcp", AUTH, AUTH, JSON, body=LISTED), 400),
    "two tokens, spelled apart": (request(b"POST", b"/mcp", AUTH, AUTH.upper()), 400),
    "two tokens in one header": (request(b"POST", b"/mcp", AUTH + b", Bearer x"), 400),
    "a token of 60,000 letters": (request(b"POST", b"/mcp", b"Authorization: Bearer " + b"a" * 60_000), 400),
    "a token in a header of a gateway": (request(b"POST", b"/mcp", b"Author_ization: Bearer x", b"X-User: admin"), 401),
    "a space before the colon": (request(b"POST", b"/mcp", b"Authorization : Bearer x"), 400),
    "another host": (request(b"POST", b"/mcp", AUTH, host=b"evil.test"), 421),
    "a host within the target": (request(b"GET", b"http://evil.test/mcp", host=b"evil.test"), 421),
    "two hosts": (request(b"POST", b"/mcp", AUTH, b"Host: evil.test"), 400),
    "no host": (request(b"POST", b"/mcp", AUTH, host=None), 400),
    "no host, as HTTP/1.0 may": (b"POST /mcp HTTP/1.0\r\n\r\n", 421),
    "a length below nothing": (request(b"POST", b"/mcp", AUTH, b"Content-Length: -1", body=LISTED), 400),
    "a length beyond all": (request(b"POST", b"/mcp", AUTH, JSON, b"Content-Length: 99999999999"), 413),
    "a body not worth waiting for": (request(b"POST", b"/mcp", b"Expect: 100-continue", b"Content-Length: 9"), 401),
    "a path with an escaped letter": (request(b"POST", b"/%6dcp", AUTH, JSON, body=BOOKED), 403),
    "a path with a NUL": (request(b"POST", b"/mcp%00", AUTH, JSON, body=BOOKED), 403),
    "a path that is not UTF-8": (request(b"POST", b"/%ff", AUTH, JSON, body=BOOKED), 403),
    "a path that climbs": (
        request(b"POST", b"/.well-known/oauth-protected-resource/../../mcp", AUTH, body=BOOKED),
        415,
    ),
    "a document under two slashes": (request(b"GET", b"//.well-known/oauth-protected-resource/mcp"), 404),
    "a WebSocket": (
        request(b"GET", b"/mcp", b"Upgrade: websocket", b"Sec-WebSocket-Key: AAAA", b"Sec-WebSocket-Version: 13"),
        401,
    ),
}


@pytest.fixture
async def target() -> AsyncIterator[tuple[str, Mint, Echo]]:
    listener, url = bind()
    mint, app = Mint(resource=f"{url}/mcp"), Echo()
    guard = mint.protect(app, tools={"book": ["tools:write"]}, required_scopes=[], challenge_scopes=[])
    async with serve(guard, listener, lifespan="off", http="h11"):
        yield url, mint, app


async def exchange(url: str, data: bytes) -> bytes:
    host, port = url.removeprefix("http://").split(":")
    with anyio.fail_after(10):
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(data)
            answer = b""
            try:
                async for chunk in stream:
                    answer += chunk
            except anyio.BrokenResourceError:
                # What was not read of the request makes the close a reset; the answer is here by then.
                pass
            return answer


def statuses(answer: bytes) -> Iterator[int]:
    for line in answer.split(b"\r\n"):
        if line.startswith(b"HTTP/1."):
            yield int(line.split(b" ")[1])


@pytest.mark.parametrize("name", ATTACKS)
async def test_hostile_bytes_get_one_answer_and_never_a_500(name: str, target: tuple[str, Mint, Echo]) -> None:
    url, mint, app = target
    data, status = ATTACKS[name]
    answer = await exchange(url, data.replace(TOKEN, mint.token("").encode()))
    assert list(statuses(answer)) == [status]
    assert app.calls == int(status == 200)
    assert BOOKED not in app.bodies
