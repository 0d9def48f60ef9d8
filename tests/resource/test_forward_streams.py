"""Streams through the proxy: at once, no further than the client reads, and over when either end is gone."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import anyio
import httpx2
import pytest

from tests.resource.behind import Behind, Exchange, Proxy, answer_plainly, run_proxy, serve_behind
from tests.resource.world import bind
from tests.waiting import until

CALL = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
IDLE_STREAMS = 500
IDLE_GROWTH_KB = 100 * 1024
SLOW_GROWTH_KB = 24 * 1024


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    listening, _ = bind()
    with listening:
        yield listening


@pytest.fixture(scope="module")
def proxy(listener: socket.socket) -> Iterator[Proxy]:
    with run_proxy(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp") as running:
        yield running


@pytest.fixture
async def behind(listener: socket.socket) -> AsyncIterator[Behind]:
    async with serve_behind(listener) as serving:
        yield serving


async def hold(exchange: Exchange) -> None:
    """A stream with one event, open until the other end leaves."""
    await exchange.start_events()
    await exchange.chunk(b"data: one\n\n")
    await exchange.gone.wait()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_event_arrives_before_the_next_is_sent_trn_11(proxy: Proxy, behind: Behind, method: str) -> None:
    go_on = asyncio.Event()

    async def tell(exchange: Exchange) -> None:
        await exchange.start_events("cache-control: no-cache")
        await exchange.chunk(b"data: one\n\n")
        await go_on.wait()
        await exchange.chunk(b"data: two\n\n")
        await exchange.chunk(b": half an ev")
        await exchange.chunk(b"ent\n\n")
        await exchange.send(b"0\r\n\r\n")

    behind.told = tell
    with anyio.fail_after(20):
        async with proxy.client() as client:
            body = CALL if method == "POST" else None
            async with client.stream(method, proxy.url, json=body) as response:
                assert response.headers["x-accel-buffering"] == "no"
                assert response.headers["content-type"] == "text/event-stream"
                chunks = response.aiter_bytes()
                assert await anext(chunks) == b"data: one\n\n"
                go_on.set()
                assert b"".join([chunk async for chunk in chunks]) == b"data: two\n\n: half an event\n\n"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_client_that_leaves_ends_the_request_behind(proxy: Proxy, behind: Behind, method: str) -> None:
    behind.told = hold
    with anyio.fail_after(20):
        async with proxy.client() as client:
            body = CALL if method == "POST" else None
            async with client.stream(method, proxy.url, json=body) as response:
                await anext(response.aiter_bytes())
        await behind.seen[0].gone.wait()


async def test_a_client_that_leaves_before_the_answer_begins_ends_the_request_behind(
    proxy: Proxy, behind: Behind
) -> None:
    came = asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        came.set()
        await exchange.gone.wait()

    behind.told = wait
    with anyio.fail_after(20):
        async with proxy.client() as client:
            call = asyncio.create_task(client.post(proxy.url, json=CALL))
            await came.wait()
            call.cancel()
            await asyncio.wait([call])
        await behind.seen[0].gone.wait()


@pytest.mark.parametrize("framing", ["transfer-encoding: chunked", "content-length: 1000"])
@pytest.mark.parametrize("abort", [True, False], ids=["reset", "closed"])
async def test_a_server_behind_that_breaks_off_never_looks_like_an_end(
    proxy: Proxy,
    behind: Behind,
    framing: str,
    abort: bool,  # noqa: FBT001  # a case of the test
) -> None:
    async def break_off(exchange: Exchange) -> None:
        await exchange.start(200, "content-type: application/json", framing)
        await exchange.send(b"5\r\n[1,2,\r\n")
        await until_sent(exchange)
        if abort:
            exchange.writer.transport.abort()
        else:
            exchange.writer.close()

    async def until_sent(exchange: Exchange) -> None:
        # The proxy has passed on what it got once the client has it.
        await got.wait()

    got = asyncio.Event()
    behind.told = break_off
    with anyio.fail_after(20):
        async with proxy.client() as client, client.stream("POST", proxy.url, json=CALL) as response:
            assert response.status_code == 200
            chunks = response.aiter_bytes()
            assert await anext(chunks)
            got.set()
            with pytest.raises(httpx2.RemoteProtocolError):
                await anext(chunks)
        behind.told = answer_plainly
        async with proxy.client() as client:
            assert (await client.post(proxy.url, json=CALL)).json() == {"ok": True}


async def test_a_client_that_does_not_read_holds_up_the_server_behind_and_not_our_memory(
    proxy: Proxy, behind: Behind
) -> None:
    block = b"x" * 64 * 1024
    sent = 0

    async def flood(exchange: Exchange) -> None:
        nonlocal sent
        if exchange.line.startswith("POST"):
            await answer_plainly(exchange)
            return
        await exchange.start_events()
        while not exchange.gone.is_set() and sent < 4096:
            await exchange.chunk(block)
            sent += 1

    async def is_held_up() -> bool:
        """Nothing more was sent while the proxy had the time for twenty calls."""
        before = sent
        async with proxy.client() as client:
            for _ in range(20):
                assert (await client.post(proxy.url, json=CALL)).status_code == 200
        return 0 < sent == before

    behind.told = flood
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port, limit=4096)
    try:
        before = proxy.resident_kb()
        token = proxy.mint.token("tools:read")
        writer.write(f"GET /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        with anyio.fail_after(20):
            await reader.readuntil(b"\r\n\r\n")
            await until(is_held_up)
        assert sent < 1024
        assert proxy.resident_kb() - before < SLOW_GROWTH_KB
    finally:
        writer.close()
    with anyio.fail_after(20):
        await behind.seen[0].gone.wait()


async def test_a_person_holds_twenty_streams_and_no_more(proxy: Proxy, behind: Behind) -> None:
    behind.told = hold
    async with AsyncExitStack() as held, proxy.client() as alice, proxy.client(sub="bob") as bob:
        reading = []
        for _ in range(20):
            response = await held.enter_async_context(alice.stream("GET", proxy.url))
            reading.append(response.aiter_bytes())
            await anext(reading[-1])
        refused = await alice.get(proxy.url)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        assert refused.json()["error"] == "too_many_streams"
        async with proxy.client(client_id="another") as same_person:
            assert (await same_person.get(proxy.url)).status_code == 429
        behind.told = answer_plainly
        assert (await bob.get(proxy.url)).status_code == 200
        assert len(behind.seen) == 21
        await held.aclose()

        async def has_room() -> bool:
            return (await alice.get(proxy.url)).status_code == 200

        await until(has_room)


async def test_hundreds_of_idle_streams_are_held_and_let_go_of(behind: Behind, listener: socket.socket) -> None:
    behind.told = hold
    upstream = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    with run_proxy(upstream, streams_of_a_person=1, streams=IDLE_STREAMS) as proxy:
        async with proxy.client() as client:
            behind.told = answer_plainly
            assert (await client.get(proxy.url)).status_code == 200
        behind.told = hold
        before = proxy.resident_kb()
        async with AsyncExitStack() as held:
            for number in range(IDLE_STREAMS):
                reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
                held.callback(writer.close)
                token = proxy.mint.token("tools:read", sub=f"user-{number}")
                writer.write(f"GET /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
                with anyio.fail_after(20):
                    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
                    await reader.readuntil(b"data: one\n\n")
            assert proxy.resident_kb() - before < IDLE_GROWTH_KB
            async with proxy.client(sub="one-more") as client:
                refused = await client.get(proxy.url)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        with anyio.fail_after(20):
            for seen in behind.seen[1:]:
                await seen.gone.wait()


async def test_a_body_that_comes_in_parts_is_passed_on_in_parts(behind: Behind, listener: socket.socket) -> None:
    """Below the resource, without tools to check, nobody waits for a whole body."""
    upstream = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"

    async def parts() -> AsyncIterator[bytes]:
        yield b'{"jsonrpc":"2.0",'
        yield b'"id":1,"method":"ping"}'

    with run_proxy(upstream, guard={"tools": None}) as proxy:
        async with proxy.client() as client:
            got = await client.post(f"{proxy.url}/files", content=parts(), headers={"content-type": "application/json"})
    assert got.status_code == 200
    [seen] = behind.seen
    assert seen.body == b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
    assert seen.values("transfer-encoding") == ["chunked"]


async def test_a_body_that_breaks_off_is_not_a_whole_one_behind(behind: Behind, listener: socket.socket) -> None:
    upstream = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    with run_proxy(upstream, guard={"tools": None}) as proxy:
        token = proxy.mint.token("tools:read")
        head = f"POST /mcp/files HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".encode())
        await writer.drain()
        writer.close()
        async with proxy.client() as client:
            assert (await client.get(proxy.url)).status_code == 200
    assert [seen.line for seen in behind.seen] == ["GET /mcp HTTP/1.1"]
