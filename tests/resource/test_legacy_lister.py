"""The tools of a server of 2024-11-05, asked for through the proxy: without them no call would be let through."""

import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import anyio
import pytest
from mcp.server import MCPServer

from doorward.resource import PRINCIPAL, legacy_lister
from doorward.resource.asgi import Receive, Scope, Send
from doorward.resource.catalogue import ListRefused
from doorward.resource.forward import Forwarder
from doorward.resource.legacy_lister import NoLegacyServer, list_legacy_tools
from doorward.resource.lister import AppLister
from tests.resource.behind import Behind, Exchange, serve_behind
from tests.resource.world import RESOURCE, bind, serve

CLIENT = {"name": "test", "version": "1"}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    listening, _ = bind()
    with listening:
        yield listening


@pytest.fixture
async def behind(listener: socket.socket) -> AsyncIterator[Behind]:
    async with serve_behind(listener) as serving:
        yield serving


@asynccontextmanager
async def listing(upstream: str) -> AsyncIterator[AppLister]:
    forwarder = Forwarder(upstream, resource=RESOURCE)
    async with forwarder.lifespan():
        yield AppLister(forwarder, path="/mcp", principal_key=PRINCIPAL)


async def test_the_tools_of_a_legacy_server_are_read_through_the_proxy() -> None:
    server = MCPServer("legacy")
    server.add_tool(lambda: 1, name="look")
    server.add_tool(lambda: 2, name="erase")
    inner, url = bind()
    with anyio.fail_after(30):
        async with serve(server.sse_app(), inner, lifespan="off"), listing(f"{url}/sse") as lister:
            assert [tool["name"] for tool in await lister()] == ["look", "erase"]
            assert [tool["name"] for tool in await lister()] == ["look", "erase"]


class Pages:
    """A legacy server of few words, whose list has as many pages as it is told."""

    def __init__(self, pages: int, **answers: object) -> None:
        self._pages = pages
        self._answers = answers
        self._stream: Exchange | None = None

    async def tell(self, exchange: Exchange) -> None:
        if exchange.line.startswith("GET"):
            self._stream = exchange
            await exchange.start_events()
            await exchange.chunk(b"event: endpoint\ndata: /messages?sessionId=1\n\n")
            await exchange.gone.wait()
            return
        if not exchange.line.startswith("POST /messages"):
            await exchange.answer(405)
            return
        await exchange.answer(202)
        asked = json.loads(exchange.body)
        if "id" in asked:
            assert self._stream is not None
            answer = {"jsonrpc": "2.0", "id": asked["id"], **self._answer(asked)}
            await self._stream.chunk(b"event: message\ndata: " + json.dumps(answer).encode() + b"\n\n")

    def _answer(self, asked: dict) -> dict:
        if asked["method"] in self._answers:
            return {"result": self._answers[asked["method"]]}
        if asked["method"] == "initialize":
            return {"result": {"protocolVersion": "2024-11-05", "capabilities": {"tools": {}}}}
        page = int(asked["params"].get("cursor", 0))
        more = {"nextCursor": str(page + 1)} if page + 1 < self._pages else {}
        return {"result": {"tools": [{"name": f"tool-{page}"}], **more}}


async def ask(behind: Behind, listener: socket.socket, pages: Pages) -> list:
    behind.told = pages.tell
    with anyio.fail_after(30):
        async with listing(f"http://127.0.0.1:{listener.getsockname()[1]}/sse") as lister:
            return await lister()


async def test_every_page_is_read(behind: Behind, listener: socket.socket) -> None:
    tools = await ask(behind, listener, Pages(3))
    assert [tool["name"] for tool in tools] == ["tool-0", "tool-1", "tool-2"]
    with anyio.fail_after(10):
        await next(seen for seen in behind.seen if seen.line.startswith("GET")).gone.wait()


async def test_a_server_that_has_no_tools_says_so(behind: Behind, listener: socket.socket) -> None:
    assert await ask(behind, listener, Pages(1, initialize={"capabilities": {}})) == []


async def test_a_list_without_an_end_is_given_up(behind: Behind, listener: socket.socket) -> None:
    with pytest.raises(ListRefused, match="50 pages"):
        await ask(behind, listener, Pages(1000))


async def test_an_answer_that_is_no_list_is_none(behind: Behind, listener: socket.socket) -> None:
    with pytest.raises(ListRefused, match="without a list"):
        await ask(behind, listener, Pages(1, **{"tools/list": {"tools": "none"}}))


async def test_a_stream_on_which_nothing_comes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(legacy_lister, "_WAIT_SECONDS", 0.1)

    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await anyio.sleep_forever()

    def build(method: str, body: bytes, headers: object) -> Scope:
        return {"type": "http", "method": method, "path": "/sse"}

    with anyio.fail_after(10), pytest.raises(NoLegacyServer, match="in time"):
        await list_legacy_tools(silent, build, CLIENT)
