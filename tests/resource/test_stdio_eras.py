"""Servers of either era behind a bridge, with the official clients on real sockets."""

import asyncio
import sys
from typing import Any

import anyio
import fastmcp
import httpx2
import mcp_types
import pytest
from fastmcp.client.transports import StreamableHttpTransport
from mcp.client.context import ClientRequestContext
from mcp_types import TextContent

from tests.resource.stdio_world import (
    COMMAND,
    FOLDER,
    Told,
    build_call,
    build_request,
    connect,
    is_alive,
    read_answer,
    read_messages,
    run_bridge,
    run_client,
    serve_bridge,
)
from tests.waiting import until

OF_THE_SDK = [sys.executable, str(FOLDER / "stdio_sdk_server.py")]
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
MODERN = {"mcp-protocol-version": "2026-07-28", "mcp-method": "server/discover"}
DISCOVER = build_request("server/discover", request_id="d", _meta=META)


def text_of(result: Any) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


@pytest.mark.parametrize(
    ("mode", "version"), [("auto", "2026-07-28"), ("2026-07-28", "2026-07-28"), ("legacy", "2025-11-25")]
)
async def test_a_server_of_both_eras_is_served_in_the_client_s(mode: str, version: str) -> None:
    async with serve_bridge(*OF_THE_SDK) as (url, bridge, mint), connect(url, mint, mode=mode) as client:
        assert client.protocol_version == version
        assert {tool.name for tool in (await client.list_tools()).tools} == {"echo", "count", "change"}
        seen: list[float] = []

        async def note(progress: float, total: float | None, message: str | None) -> None:
            seen.append(progress)

        assert text_of(await client.call_tool("count", {"to": 20}, progress_callback=note)) == "20"
        assert seen == list(range(20))
        assert text_of(await client.call_tool("echo", {"text": "hi"})).endswith(" hi")
        assert bridge.processes == 1


async def test_clients_of_both_eras_are_served_at_once() -> None:
    async with (
        serve_bridge(*OF_THE_SDK) as (url, bridge, mint),
        connect(url, mint) as modern,
        connect(url, mint, mode="legacy") as older,
    ):
        answers = await asyncio.gather(
            *(client.call_tool("echo", {"text": str(n)}) for n in range(20) for client in (modern, older))
        )
        assert [text_of(answer).split()[1] for answer in answers] == [str(n) for n in range(20) for _ in range(2)]
        assert bridge.processes == 2


@pytest.mark.parametrize("shared", [False, True])
async def test_a_client_listens_without_a_session(*, shared: bool) -> None:
    async with (
        serve_bridge(*OF_THE_SDK, shared=shared) as (url, _, mint),
        connect(url, mint, claims={"sub": "alice"}) as alice,
        connect(url, mint, claims={"sub": "bob"}) as bob,
        alice.listen(tools_list_changed=True) as changes,
    ):
        assert text_of(await (bob if shared else alice).call_tool("change", {})) == "changed"
        with anyio.fail_after(10):
            assert type(await anext(aiter(changes))).__name__ == "ToolsListChanged"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("more", [[], ["--older"]])
async def test_a_server_of_the_older_era_is_served_to_every_client(mode: str, more: list[str]) -> None:
    """Also one that ends at once when it is asked for anything before `initialize`."""
    async with serve_bridge(*COMMAND, *more) as (url, bridge, mint):
        for _ in range(2):
            async with connect(url, mint, mode=mode) as client:
                assert client.protocol_version == "2025-11-25"
                assert "hi" in text_of(await client.call_tool("echo", {"text": "hi"}))

        async def is_one() -> bool:
            return bridge.processes == 1

        await until(is_one)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_fastmcp_s_client_is_served(mode: str) -> None:
    async with serve_bridge(*OF_THE_SDK) as (url, _, mint):
        transport = StreamableHttpTransport(url, headers=mint.header())
        async with fastmcp.Client(transport, mode=mode) as client:
            assert text_of(await client.call_tool("echo", {"text": "hi"})).endswith(" hi")
            assert {tool.name for tool in await client.list_tools()} == {"echo", "count", "change"}


async def test_a_client_is_asked_for_what_it_can_do() -> None:
    async def sample(_: ClientRequestContext, params: Any) -> mcp_types.CreateMessageResult:
        text = TextContent(type="text", text=f"sampled {params.max_tokens}")
        return mcp_types.CreateMessageResult(role="assistant", content=text, model="m")

    async with (
        serve_bridge(*COMMAND) as (url, _, mint),
        connect(url, mint, mode="legacy", sampling_callback=sample) as client,
    ):
        asked = {"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 7}}
        assert "sampled 7" in text_of(await client.call_tool("ask", asked))


async def test_a_server_without_the_newest_revision_says_so_in_a_way_that_clients_fall_back_on() -> None:
    async with run_bridge() as (_, app, mint), run_client(app, mint) as client:
        for _ in range(2):
            refused = await client.post(DISCOVER, **MODERN)
            assert refused.status_code == 400
            error = refused.json()["error"]
            assert (refused.json()["id"], error["code"]) == ("d", -32022)
            assert "2026-07-28" not in error["data"]["supported"]


async def test_the_newest_revision_takes_posts_alone_trn_12() -> None:
    async with run_bridge(*OF_THE_SDK) as (bridge, app, mint), run_client(app, mint) as client:
        for method in ("GET", "DELETE"):
            refused = await client.http.request(method, "/mcp", headers={**client.headers, **MODERN})
            assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
        assert (await client.post([DISCOVER], **MODERN)).status_code == 400
        assert (await client.post({"jsonrpc": "2.0", "id": 1, "result": {}}, **MODERN)).status_code == 400
        note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
        assert (await client.post(note, **{**MODERN, "mcp-method": "notifications/cancelled"})).status_code == 202
        assert bridge.processes == 0


async def test_a_header_that_disagrees_with_the_body_is_refused_trn_04() -> None:
    async with run_bridge(*OF_THE_SDK) as (bridge, app, mint), run_client(app, mint) as client:
        disagreeing = await client.post(DISCOVER, **{**MODERN, "mcp-method": "tools/list"})
        assert (disagreeing.status_code, disagreeing.json()["error"]["code"]) == (400, -32020)
        twice = [*client.headers.items(), ("mcp-protocol-version", "2025-11-25"), *MODERN.items()]
        assert (await client.http.post("/mcp", json=DISCOVER, headers=twice)).status_code == 400
        assert bridge.processes == 0


async def test_an_unknown_method_of_the_newest_revision_is_404() -> None:
    async with run_bridge(*OF_THE_SDK) as (_, app, mint), run_client(app, mint) as client:
        unknown = await client.post(build_request("no/such", _meta=META), **{**MODERN, "mcp-method": "no/such"})
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, -32601)


async def test_a_request_without_session_whose_client_leaves_is_cancelled() -> None:
    async with serve_bridge(*OF_THE_SDK) as (url, bridge, mint), httpx2.AsyncClient() as http:
        client = Told(http, {**mint.header(), **MODERN, "mcp-method": "subscriptions/listen"}, url)
        params = {"notifications": {"toolsListChanged": True}, "_meta": META}
        async with client.streaming("POST", build_request("subscriptions/listen", **params)) as events:
            assert (await anext(events))["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == 1
            (connection,) = bridge._pool._started
            assert connection.is_busy

        async def is_over() -> bool:
            return not connection.is_busy

        await until(is_over)
        assert is_alive(connection._process.pid)


@pytest.mark.parametrize(("shared", "heard"), [(False, 1), (True, 0)])
async def test_log_messages_reach_the_requests_that_asked_for_them(*, shared: bool, heard: int) -> None:
    async with run_bridge(*COMMAND, "--newer", shared=shared) as (_, app, mint), run_client(app, mint) as client:
        headers = {**MODERN, "mcp-method": "tools/call", "mcp-name": "tell"}
        for more, expected in (({}, 0), ({"io.modelcontextprotocol/logLevel": "info"}, heard)):
            params = {"level": "info", "data": "hello"}
            call = build_call("tell", meta={**META, **more}, method="notifications/message", params=params)
            *logged, answer = read_messages(await client.post(call, **headers))
            assert [message["params"] for message in logged] == [params] * expected
            assert answer["id"] == 1


async def test_a_server_without_handshake_asks_nobody() -> None:
    async with run_bridge(*COMMAND, "--newer") as (_, app, mint), run_client(app, mint) as client:
        headers = {**MODERN, "mcp-method": "tools/call", "mcp-name": "ask"}
        call = build_call("ask", meta=META, method="sampling/createMessage")
        assert read_answer(await client.post(call, **headers))["told"]["code"] == -32601


@pytest.mark.parametrize("shared", [True, False])
async def test_nobody_shakes_hands_with_a_process_that_knows_no_handshake_t13(*, shared: bool) -> None:
    greeting = build_request("initialize", protocolVersion="2025-11-25", capabilities={}, _meta=META)
    async with run_bridge(*COMMAND, "--newer", shared=shared) as (_, app, mint), run_client(app, mint) as client:
        assert (await client.post(DISCOVER, **MODERN)).status_code == 200
        refused = await client.post(greeting, **{**MODERN, "mcp-method": "initialize"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, -32601)
