"""The proxy, from the client's bytes to those that the server behind gets, and back."""

import gzip
import json
import socket
from collections.abc import AsyncIterator, Iterator

import anyio
import pytest

from tests.resource.behind import Behind, Exchange, Proxy, answer_plainly, run_proxy, serve_behind
from tests.resource.world import bind

CALL = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    listening, _ = bind()
    with listening:
        yield listening


@pytest.fixture(scope="module")
def origin(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(scope="module")
def proxy(origin: str) -> Iterator[Proxy]:
    with run_proxy(f"{origin}/inner/mcp", headers={"Authorization": "Bearer upstream-key"}) as running:
        yield running


@pytest.fixture
async def behind(listener: socket.socket) -> AsyncIterator[Behind]:
    async with serve_behind(listener) as serving:
        yield serving


async def test_a_call_reaches_the_server_behind_byte_for_byte(proxy: Proxy, behind: Behind) -> None:
    body = b' {"jsonrpc" : "2.0","id":1, "method":"tools/list"}\n'
    async with proxy.client() as client:
        answer = await client.post(proxy.url, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()) == (200, {"ok": True})
    [seen] = behind.seen
    assert (seen.line, seen.body) == ("POST /inner/mcp HTTP/1.1", body)
    assert seen.values("content-length") == [str(len(body))]


async def test_the_clients_token_and_cookies_stay_here_and_ours_goes_rs_04_trn_10(proxy: Proxy, behind: Behind) -> None:
    token = proxy.mint.token("tools:read")
    headers = {"authorization": f"Bearer {token}", "cookie": "session=secret", "proxy-authorization": "Basic secret"}
    async with proxy.client() as client:
        await client.post(f"{proxy.url}?access_token={token}&a=1", json=CALL, headers=headers)
    [seen] = behind.seen
    assert seen.values("authorization") == ["Bearer upstream-key"]
    assert seen.line == "POST /inner/mcp?a=1 HTTP/1.1"
    assert token.encode() not in seen.head
    assert b"secret" not in seen.head


async def test_what_the_proxy_says_of_the_way_is_its_own(proxy: Proxy, behind: Behind) -> None:
    async with proxy.client() as client:
        await client.get(proxy.url, headers={"x-forwarded-for": "6.6.6.6", "x-forwarded-host": "evil.test"})
    [seen] = behind.seen
    assert seen.values("x-forwarded-for") == ["127.0.0.1"]
    assert seen.values("x-forwarded-host") == [f"127.0.0.1:{proxy.port}"]
    assert seen.values("x-forwarded-proto") == ["http"]
    assert seen.values("host") != [f"127.0.0.1:{proxy.port}"]


async def test_headers_of_the_protocol_pass_untouched_trn_08(proxy: Proxy, behind: Behind) -> None:
    headers = {
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "ping",
        "mcp-param-from-tomorrow": "=?base64?w6Q=?=",
        "last-event-id": "7",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "user-agent": "a client/1.0",
    }
    async with proxy.client() as client:
        await client.post(proxy.url, json=CALL, headers=headers)
    [seen] = behind.seen
    assert {name: seen.values(name) for name in headers} == {name: [value] for name, value in headers.items()}
    assert seen.values("accept") == ["application/json, text/event-stream"]
    assert seen.values("content-type") == ["application/json"]


async def test_nothing_is_added_that_the_client_did_not_send(proxy: Proxy, behind: Behind) -> None:
    async with proxy.client() as client:
        for name in ("user-agent", "accept", "accept-encoding"):
            del client.headers[name]
        await client.get(proxy.url)
    [seen] = behind.seen
    assert {name for name, _ in seen.headers} == {
        "host",
        "authorization",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-for",
        "doorward-identity",
    }


async def test_paths_below_the_resource_go_below_the_server_behind(proxy: Proxy, behind: Behind) -> None:
    async with proxy.client() as client:
        for path in ("", "/", "/a", "/a/b%20c?x=%2F&y", "?a=b&access_token=c&%61ccess_token=d&Access_Token=e"):
            assert (await client.get(f"{proxy.url}{path}")).status_code == 200
    assert [seen.line.split(" ")[1] for seen in behind.seen] == [
        "/inner/mcp",
        "/inner/mcp",
        "/inner/mcp/a",
        "/inner/mcp/a/b%20c?x=%2F&y",
        "/inner/mcp?a=b",
    ]


async def test_a_large_answer_and_a_large_body_pass_whole(proxy: Proxy, behind: Behind) -> None:
    large = b"0123456789abcdef" * 1024 * 512

    async def answer(exchange: Exchange) -> None:
        await exchange.answer(200, large, "content-type: application/octet-stream")

    behind.told = answer
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "a", "arguments": {"a": "x" * 3_000_000}},
    }
    async with proxy.client() as client:
        answer_ = await client.post(proxy.url, json=call)
    assert answer_.content == large
    assert answer_.headers["content-length"] == str(len(large))
    assert json.loads(behind.seen[0].body) == call


async def test_compressed_answers_pass_as_they_are(proxy: Proxy, behind: Behind) -> None:
    packed = gzip.compress(b'{"packed":true}' * 50)

    async def answer(exchange: Exchange) -> None:
        await exchange.answer(200, packed, "content-type: application/json", "content-encoding: gzip")

    behind.told = answer
    async with proxy.client() as client, client.stream("POST", proxy.url, json=CALL) as response:
        raw = b"".join([chunk async for chunk in response.aiter_raw()])
    assert (raw, response.headers["content-encoding"]) == (packed, "gzip")
    assert behind.seen[0].values("accept-encoding") != []


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body_have_none(proxy: Proxy, behind: Behind, status: int) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.start(status, "etag: x")

    behind.told = answer
    async with proxy.client() as client:
        got = await client.get(proxy.url)
        behind.told = answer_plainly
        assert (await client.get(proxy.url)).json() == {"ok": True}
    assert (got.status_code, got.content, got.headers["etag"]) == (status, b"", "x")


async def test_head_has_the_length_and_no_body(proxy: Proxy, behind: Behind) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.start(200, "content-length: 123", "content-type: text/plain")

    behind.told = answer
    async with proxy.client() as client:
        got = await client.head(proxy.url)
    assert (got.status_code, got.headers["content-length"], got.content) == (200, "123", b"")
    assert behind.seen[0].line == "HEAD /inner/mcp HTTP/1.1"


async def test_connections_to_the_server_behind_are_used_again(proxy: Proxy, behind: Behind) -> None:
    async with proxy.client() as client:
        for _ in range(5):
            await client.post(proxy.url, json=CALL)
    assert len({seen.writer for seen in behind.seen}) == 1


async def test_what_a_server_behind_must_not_say_is_left_out(proxy: Proxy, behind: Behind) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.answer(
            403,
            b"no",
            "set-cookie: a=b",
            'www-authenticate: Bearer scope="all"',
            "access-control-allow-origin: *",
            "access-control-allow-credentials: true",
            "clear-site-data: *",
            "alt-svc: h3=:1",
            "dpop-nonce: x",
            "connection: keep-alive, x-hop",
            "x-hop: 1",
            "mcp-session-id: kept",
            "x-own: kept",
            "x-own: twice",
        )

    behind.told = answer
    async with proxy.client() as client:
        got = await client.post(proxy.url, json=CALL)
    left = [(name, value) for name, value in got.headers.multi_items() if name not in {"date", "server", "vary"}]
    assert sorted(left) == [
        ("access-control-expose-headers", got.headers["access-control-expose-headers"]),
        ("content-length", "2"),
        ("mcp-session-id", "kept"),
        ("x-own", "kept"),
        ("x-own", "twice"),
    ]
    assert got.status_code == 403


@pytest.mark.parametrize("status", [401, 407])
async def test_a_refusal_of_our_credential_is_never_the_clients_t10(proxy: Proxy, behind: Behind, status: int) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.answer(status, b'{"error":"inner detail"}', 'www-authenticate: Bearer error="invalid_token"')

    behind.told = answer
    async with proxy.client() as client:
        got = await client.post(proxy.url, json=CALL)
    assert (got.status_code, got.json()["error"]["code"]) == (502, 502)
    assert "www-authenticate" not in got.headers
    assert "inner detail" not in got.text


async def test_redirects_are_followed_by_nobody_here_and_name_the_public_url(
    proxy: Proxy, behind: Behind, origin: str
) -> None:
    locations = {
        f"{origin}/inner/mcp/next?a=1&access_token=x#f": (307, f"{proxy.url}/next?a=1#f"),
        "/inner/mcp/next": (307, f"{proxy.url}/next"),
        "mcp/next": (307, f"{proxy.url}/next"),
        "https://other.test/x": (307, "https://other.test/x"),
        "/elsewhere": (502, None),
        f"{origin}/inner/mcpx": (502, None),
        "javascript:alert(1)": (502, None),
        "//127.0.0.1:1/x": (307, "http://127.0.0.1:1/x"),
        "https://other.test\\@x/": (502, None),
    }
    async with proxy.client() as client:
        for given, (status, location) in locations.items():

            async def answer(exchange: Exchange, given: str = given) -> None:
                await exchange.answer(307, b"", f"location: {given}")

            behind.told = answer
            got = await client.post(proxy.url, json=CALL)
            assert (given, got.status_code, got.headers.get("location")) == (given, status, location)
    assert len(behind.seen) == len(locations)


async def test_a_slash_that_the_server_behind_wants_is_learned(behind: Behind, origin: str) -> None:
    async def answer(exchange: Exchange) -> None:
        if exchange.line.split(" ")[1] == "/mcp":
            await exchange.answer(307, b"", f"location: {origin}/mcp/")
        else:
            await answer_plainly(exchange)

    behind.told = answer
    with run_proxy(f"{origin}/mcp", headers={"X-Key": "k"}) as proxy:
        async with proxy.client() as client:
            answers = [(await client.post(proxy.url, json=CALL)).status_code for _ in range(3)]
    assert answers == [200, 200, 200]
    assert [seen.line.split(" ")[1] for seen in behind.seen] == ["/mcp", "/mcp/", "/mcp/", "/mcp/"]
    assert {(*seen.values("x-key"), seen.body) for seen in behind.seen} == {("k", behind.seen[0].body)}


async def test_parameters_of_the_upstreams_own_url_cannot_be_replaced(behind: Behind, origin: str) -> None:
    with run_proxy(f"{origin}/mcp?api_key=ours", user_header=True) as proxy:
        async with proxy.client() as client:
            await client.post(
                f"{proxy.url}?api_key=theirs&a=1&x;api_key=3", json=CALL, headers={"x-forwarded-user": "eve"}
            )
    [seen] = behind.seen
    assert seen.line == "POST /mcp?api_key=ours&a=1 HTTP/1.1"
    assert seen.values("x-forwarded-user") == ["alice"]


async def test_a_server_behind_that_is_not_there_is_502_with_a_time_to_retry(proxy: Proxy) -> None:
    with run_proxy("http://127.0.0.1:9/mcp") as lonely:
        async with lonely.client() as client:
            got = await client.post(lonely.url, json=CALL)
    assert (got.status_code, got.headers["retry-after"]) == (502, "5")
    assert "127.0.0.1:9" not in got.text


async def test_a_server_behind_that_does_not_begin_to_answer_is_504(behind: Behind, origin: str) -> None:
    async def wait(exchange: Exchange) -> None:
        await exchange.gone.wait()

    behind.told = wait
    with run_proxy(f"{origin}/mcp", response_seconds=0.2) as proxy:
        async with proxy.client() as client:
            got = await client.post(proxy.url, json=CALL)
            with anyio.fail_after(10):
                await behind.seen[0].gone.wait()
    assert (got.status_code, got.json()["error"]["code"]) == (504, 504)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 40_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 300 + b"\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    ],
    ids=["nothing", "nonsense", "two lengths", "a long header", "many headers", "another protocol"],
)
async def test_an_answer_that_is_none_is_502(proxy: Proxy, behind: Behind, answer: bytes) -> None:
    async def reply(exchange: Exchange) -> None:
        await exchange.send(answer)
        exchange.writer.close()

    behind.told = reply
    async with proxy.client() as client:
        got = await client.post(proxy.url, json=CALL)
    assert (got.status_code, got.json()["error"]["code"]) == (502, 502)
    assert len(behind.seen) == 1


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "PUT", "PATCH", "PROPFIND", "FOO"])
async def test_a_method_that_mcp_does_not_have_reaches_nobody_t10(proxy: Proxy, behind: Behind, method: str) -> None:
    async def reflect(exchange: Exchange) -> None:
        await exchange.answer(200, exchange.head, "content-type: message/http")  # as servers do whose TRACE is on

    behind.told = reflect
    async with proxy.client() as client:
        answer = await client.request(method, proxy.url)
    assert b"upstream-key" not in answer.content
    assert (answer.status_code, behind.seen) == (405, [])
    assert answer.headers["allow"] == "GET, HEAD, POST, DELETE"
