"""A forwarder as a part of a program: what it needs, how it starts and how it stops; real frameworks behind it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator

import anyio
import httpx2
import mcp
import pytest
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer

from doorward.resource import PRINCIPAL
from doorward.resource.forward import Forwarder
from doorward.resource.lister import AppLister
from tests.resource.behind import Behind, Exchange, answer_plainly, run_proxy, serve_behind
from tests.resource.world import RESOURCE, Mint, bind, browse, serve

CALL = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    listening, _ = bind()
    with listening:
        yield listening


@pytest.fixture
def upstream(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"


@pytest.fixture
async def behind(listener: socket.socket) -> AsyncIterator[Behind]:
    async with serve_behind(listener) as serving:
        yield serving


async def test_a_request_that_no_guard_let_through_goes_nowhere(behind: Behind, upstream: str) -> None:
    forwarder = Forwarder(upstream, resource=RESOURCE)
    async with forwarder.lifespan(), browse(forwarder) as client:
        with pytest.raises(RuntimeError, match="ProtectMCP"):
            await client.get(RESOURCE)
    assert behind.seen == []


async def test_whether_the_server_behind_is_there_can_be_asked(behind: Behind, upstream: str) -> None:
    assert await Forwarder(upstream, resource=RESOURCE).check()
    assert not await Forwarder("http://127.0.0.1:9/mcp", resource=RESOURCE).check()
    assert behind.seen == []


@pytest.mark.parametrize("limits", [{"streams": 0}, {"streams_of_a_person": 0}])
def test_limits_of_nothing_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Forwarder("http://127.0.0.1:9/mcp", resource=RESOURCE, **limits)  # type: ignore[arg-type]  # names of limits


class Slow:
    """A stream without an end, and calls that are answered when they may be."""

    def __init__(self) -> None:
        self.stream_is_open, self.call_is_there, self.go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def tell(self, exchange: Exchange) -> None:
        if exchange.line.startswith("GET"):
            await exchange.start_events()
            self.stream_is_open.set()
            await exchange.gone.wait()
        else:
            self.call_is_there.set()
            await self.go_on.wait()
            await answer_plainly(exchange)


async def test_calls_finish_and_streams_are_cut_when_it_stops(behind: Behind, upstream: str) -> None:
    slow, over = Slow(), asyncio.Event()
    behind.told = slow.tell
    public, url = bind()
    mint = Mint(resource=f"{url}/mcp")
    forwarder = Forwarder(upstream, resource=mint.resource)
    busy = []

    async def run() -> None:
        async with forwarder.lifespan():
            await over.wait()

    app, headers = mint.protect(forwarder), mint.header("tools:read")
    with anyio.fail_after(20):
        async with serve(app, public, lifespan="off"), httpx2.AsyncClient(headers=headers) as client:
            running = asyncio.create_task(run())
            stream = asyncio.create_task(client.get(mint.resource))
            await slow.stream_is_open.wait()
            busy.append(forwarder.is_busy)
            call = asyncio.create_task(client.post(mint.resource, json=CALL))
            await slow.call_is_there.wait()
            busy.append(forwarder.is_busy)
            over.set()
            refused = await client.post(mint.resource, json=CALL)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            slow.go_on.set()
            assert (await call).json() == {"ok": True}
            with pytest.raises(httpx2.RemoteProtocolError):
                await stream
            await running
            await behind.seen[0].gone.wait()
    assert (busy, len(behind.seen)) == ([False, True], 2)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_official_client_and_server_talk_through_the_proxy(mode: str) -> None:
    server = MCPServer("current")

    @server.tool()
    async def count(to: int, ctx: mcp.server.mcpserver.Context) -> int:
        for number in range(to):
            await ctx.report_progress(number, to)
        return to

    heard: list[float] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    inner, url = bind()
    tools = {"count": ["tools:read"]}
    async with serve(server.streamable_http_app(), inner, lifespan="on"):
        with run_proxy(f"{url}/mcp", guard={"tools": tools}) as proxy, anyio.fail_after(30):
            async with (
                httpx2.AsyncClient(headers=proxy.mint.header("tools:read")) as http,
                mcp.Client(streamable_http_client(proxy.url, http_client=http), mode=mode) as client,
            ):
                assert [tool.name for tool in (await client.list_tools()).tools] == ["count"]
                answer = await client.call_tool("count", {"to": 5}, progress_callback=hear)
    assert answer.structured_content == {"result": 5}
    assert heard == [0, 1, 2, 3, 4]


async def test_a_server_that_asks_while_it_tells_its_tools_is_answered_and_heard_out() -> None:
    listener, _ = bind()
    answered = asyncio.Event()

    async def tell(exchange: Exchange) -> None:
        message = json.loads(exchange.body or b"{}")
        if message.get("method") != "tools/list":
            if "error" in message:
                answered.set()
            result = {"jsonrpc": "2.0", "id": message.get("id"), "result": {"capabilities": {"tools": {}}}}
            await exchange.answer(200, json.dumps(result).encode(), "content-type: application/json")
            return
        await exchange.start_events()
        await exchange.chunk(b'data: {"jsonrpc":"2.0","id":"q","method":"roots/list"}\n\n')
        await answered.wait()
        listed = {"jsonrpc": "2.0", "id": message["id"], "result": {"tools": [{"name": "look"}]}}
        await exchange.chunk(b"data: " + json.dumps(listed).encode() + b"\n\n")
        await exchange.send(b"0\r\n\r\n")

    with listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        forwarder = Forwarder(url, resource=RESOURCE)
        async with serve_behind(listener) as behind, forwarder.lifespan():
            behind.told = tell
            with anyio.fail_after(10):
                tools = await AppLister(forwarder, path="/mcp", principal_key=PRINCIPAL)()
    assert [tool["name"] for tool in tools] == ["look"]
