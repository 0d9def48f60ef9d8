"""Servers of 2024-11-05 through the proxy: the endpoint they announce, and who may send to it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator

import anyio
import httpx2
import mcp
import pytest
from mcp.client.sse import sse_client
from mcp.server import MCPServer

from doorward.resource.legacy_sse import EndpointRewriter
from tests.resource.behind import Behind, Exchange, Proxy, Told, run_proxy, serve_behind
from tests.resource.world import bind, serve

CALL = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    listening, _ = bind()
    with listening:
        yield listening


@pytest.fixture(scope="module")
def proxy(listener: socket.socket) -> Iterator[Proxy]:
    with run_proxy(f"http://127.0.0.1:{listener.getsockname()[1]}/sse") as running:
        yield running


@pytest.fixture
async def behind(listener: socket.socket) -> AsyncIterator[Behind]:
    async with serve_behind(listener) as serving:
        yield serving


def announce(endpoint: str) -> Told:
    async def tell(exchange: Exchange) -> None:
        if exchange.line.startswith("POST"):
            await exchange.answer(202, b"Accepted")
            return
        await exchange.start_events()
        await exchange.chunk(f"event: endpoint\r\ndata: {endpoint}\r\n\r\n".encode())
        await exchange.gone.wait()

    return tell


@pytest.fixture
async def reading(proxy: Proxy, behind: Behind) -> AsyncIterator[tuple[httpx2.AsyncClient, str]]:
    """A client with an open stream, and the endpoint it was told."""
    behind.told = announce("/messages/?session_id=abc")
    async with proxy.client() as client, client.stream("GET", proxy.url) as response:
        events = response.aiter_text()
        with anyio.fail_after(20):
            yield client, (await anext(events)).split("data: ")[1].strip()


async def test_the_official_client_and_server_talk_through_the_proxy() -> None:
    server = MCPServer("legacy")

    @server.tool()
    def add(a: int, b: int) -> int:
        return a + b

    upstream, url = bind()
    async with serve(server.sse_app(), upstream, lifespan="off"):
        with run_proxy(f"{url}/sse", guard={"tools": {"add": ["tools:read"]}}) as proxy, anyio.fail_after(30):
            transport = sse_client(proxy.url, headers=proxy.mint.header("tools:read"))
            async with mcp.Client(transport, mode="legacy") as client:
                assert [tool.name for tool in (await client.list_tools()).tools] == ["add"]
                answer = await client.call_tool("add", {"a": 2, "b": 3})
    assert answer.structured_content == {"result": 5}


async def test_messages_go_to_what_was_announced(
    reading: tuple[httpx2.AsyncClient, str], proxy: Proxy, behind: Behind
) -> None:
    client, endpoint = reading
    assert endpoint.startswith("/mcp?doorward-session=")
    got = await client.post(f"http://127.0.0.1:{proxy.port}{endpoint}", json=CALL)
    assert (got.status_code, got.text) == (202, "Accepted")
    assert behind.seen[-1].line == "POST /messages/?session_id=abc HTTP/1.1"


async def test_an_announced_endpoint_is_for_its_principal_alone_t13(
    reading: tuple[httpx2.AsyncClient, str], proxy: Proxy, behind: Behind
) -> None:
    _, endpoint = reading
    for stranger in ({"sub": "bob"}, {"client_id": "another"}):
        async with proxy.client(**stranger) as client:
            got = await client.post(f"http://127.0.0.1:{proxy.port}{endpoint}", json=CALL)
        assert got.status_code == 404
    assert len(behind.seen) == 1


async def test_an_endpoint_ends_with_its_stream(proxy: Proxy, behind: Behind) -> None:
    behind.told = announce("/messages/?session_id=abc")
    async with proxy.client() as client:
        async with client.stream("GET", proxy.url) as response:
            endpoint = (await anext(response.aiter_text())).split("data: ")[1].strip()
        with anyio.fail_after(20):
            await behind.seen[0].gone.wait()
        got = await client.post(f"http://127.0.0.1:{proxy.port}{endpoint}", json=CALL)
    assert got.status_code == 404


@pytest.mark.parametrize(
    "spelling",
    [
        "messages?sessionId=abc",
        "messages?x&sessionId=abc",
        "MESS%61GES/?sessionId=abc",
        "messages;a=b?sessionId=abc",  # parameters of a segment are none of the path's to a servlet
        "messages%20?sessionId=abc",
        "messages.?sessionId=abc",
        "messages/more?sessionId=abc",  # a mount takes all that is below it
    ],
)
async def test_a_message_url_below_the_resource_is_reached_by_its_token_alone_t13(
    proxy: Proxy, behind: Behind, spelling: str
) -> None:
    behind.told = announce("/sse/messages?sessionId=abc")
    async with proxy.client() as alice, proxy.client(sub="bob") as bob, alice.stream("GET", proxy.url) as response:
        events = response.aiter_text()
        endpoint = (await anext(events)).split("data: ")[1].strip()
        assert (await bob.post(f"{proxy.url}/{spelling}", json=CALL)).status_code == 404
        assert (await alice.post(f"http://127.0.0.1:{proxy.port}{endpoint}", json=CALL)).status_code == 202


@pytest.mark.parametrize("spelling", ["sessionId=abc", "x=1&sessionId=abc", "SESSION%49d=abc", "x;sessionId=abc"])
async def test_a_message_url_on_the_very_resource_is_reached_by_its_token_alone_t13(
    proxy: Proxy, behind: Behind, spelling: str
) -> None:
    behind.told = announce("?sessionId=abc")
    async with proxy.client() as alice, proxy.client(sub="bob") as bob, alice.stream("GET", proxy.url) as response:
        events = response.aiter_text()
        endpoint = (await anext(events)).split("data: ")[1].strip()
        for method in ("POST", "GET", "DELETE"):
            assert (await bob.request(method, f"{proxy.url}?{spelling}")).status_code == 404
        assert (await bob.post(f"{proxy.url}?x=1", json=CALL)).status_code == 202
        assert (await alice.post(f"http://127.0.0.1:{proxy.port}{endpoint}", json=CALL)).status_code == 202
    assert [seen.line for seen in behind.seen[1:]] == ["POST /sse?x=1 HTTP/1.1", "POST /sse?sessionId=abc HTTP/1.1"]


@pytest.mark.parametrize(
    ("announced", "target"),
    [
        ("http://another-name.test/messages?sessionId=1", "/messages?sessionId=1"),
        ("messages?sessionId=1", "/messages?sessionId=1"),
        ("//evil.test/messages", "/messages"),
        ("/a/../b", "/b"),
    ],
)
async def test_whatever_host_is_announced_messages_go_to_the_one_that_was_configured(
    proxy: Proxy, behind: Behind, announced: str, target: str
) -> None:
    behind.told = announce(announced)
    async with proxy.client() as client, client.stream("GET", proxy.url) as response:
        events = response.aiter_text()
        endpoint = (await anext(events)).split("data: ")[1].strip()
        await client.post(f"http://127.0.0.1:{proxy.port}{endpoint}", json=CALL)
    assert behind.seen[-1].line == f"POST {target} HTTP/1.1"


@pytest.mark.parametrize("announced", ["file:///etc/passwd", "/a//b", "javascript:x", "/a b"])
async def test_an_endpoint_that_is_none_ends_the_stream(proxy: Proxy, behind: Behind, announced: str) -> None:
    behind.told = announce(announced)
    async with proxy.client() as client, client.stream("GET", proxy.url) as response:
        with pytest.raises(httpx2.RemoteProtocolError):
            await anext(response.aiter_bytes())
    assert len(behind.seen) == 1


def rewrite(*chunks: bytes) -> list[bytes]:
    rewriter = EndpointRewriter(lambda url: f"<{url}>")
    return [*(rewriter.feed(chunk) for chunk in chunks), rewriter.finish()]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_the_first_endpoint_is_rewritten_and_nothing_after_it(end: bytes) -> None:
    event = b"event: endpoint" + end + b"data: /a?b=c" + end + end
    assert rewrite(event + event) == [event.replace(b"/a?b=c", b"</a?b=c>") + event, b""]


def test_an_event_that_comes_byte_by_byte_is_rewritten_when_it_is_whole() -> None:
    passed = rewrite(*[bytes([byte]) for byte in b": hi\n\nid: 1\nevent:endpoint\ndata:/a\n\ndata: b\n\n"])
    assert b"".join(passed) == b": hi\n\nid: 1\nevent:endpoint\ndata: </a>\n\ndata: b\n\n"


@pytest.mark.parametrize(
    "stream",
    [
        b"data: one\n\nevent: endpoint\ndata: /a\n\n",
        b"event: message\ndata: one\n\nevent: endpoint\ndata: /a\n\n",
        b"event: endpoint\ndata: /a\ndata: /b\n\n",
        b": comment\n\nretry: 5\n\n",
        b"event: endpoint\ndata: /a\n",
        b"\n",
    ],
)
def test_any_other_stream_passes_as_it_is(stream: bytes) -> None:
    assert b"".join(rewrite(stream)) == stream
    assert b"".join(rewrite(*[bytes([byte]) for byte in stream])) == stream


def test_comments_before_the_first_event_are_not_held_back() -> None:
    assert rewrite(b": ping\n\n", b"data: x\n\n") == [b": ping\n\n", b"data: x\n\n", b""]


def test_something_that_never_ends_is_not_held_back_for_ever() -> None:
    assert rewrite(b"data: " + b"x" * 9000, b"y") == [b"data: " + b"x" * 9000, b"y", b""]


def test_a_stream_ends_with_what_was_held_back() -> None:
    assert rewrite(b"event: endp") == [b"", b"event: endp"]


async def test_streams_are_asked_for_uncompressed(proxy: Proxy, behind: Behind) -> None:
    behind.told = announce("/messages")
    async with asyncio.timeout(20), proxy.client() as client, client.stream("GET", proxy.url):
        pass
    assert behind.seen[0].values("accept-encoding") == []
