"""The reference server of the TypeScript SDK, unmodified, behind the proxy: both of its HTTP transports."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import httpx2
import mcp
import mcp_types
import pytest
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from tests.interop.node.programs import PACKAGES, find_node
from tests.needs import find_free_port
from tests.resource.behind import Proxy, run_proxy, wait_for

EVERYTHING = PACKAGES / "@modelcontextprotocol/server-everything/dist/index.js"
PATHS = {"sse": "/sse", "streamableHttp": "/mcp"}
GUARD = {"tools": None, "required_scopes": ["tools:read"], "challenge_scopes": ["tools:read"]}


@contextmanager
def run_everything(transport: str) -> Iterator[str]:
    """The server, until it takes connections; its URL."""
    port = find_free_port()
    process = subprocess.Popen(
        [find_node(), str(EVERYTHING), transport],
        env={"PATH": os.environ.get("PATH", ""), "PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port, process)
        yield f"http://127.0.0.1:{port}{PATHS[transport]}"
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(params=PATHS)
def everything(request: pytest.FixtureRequest) -> Iterator[tuple[str, Proxy]]:
    with run_everything(request.param) as url, run_proxy(url, guard=GUARD) as proxy:
        yield request.param, proxy


async def sample(context: object, params: mcp_types.CreateMessageRequestParams) -> mcp_types.CreateMessageResult:
    """What the client's model says when the server asks it."""
    said = mcp_types.TextContent(type="text", text="a quiet harbour")
    return mcp_types.CreateMessageResult(role="assistant", content=said, model="a model")


async def test_calls_progress_and_questions_of_the_server_pass_both_ways(everything: tuple[str, Proxy]) -> None:
    transport, proxy = everything
    headers = proxy.mint.header("tools:read")
    heard: list[float] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    with anyio.fail_after(60):
        async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
            streams = (
                sse_client(proxy.url, headers=headers)
                if transport == "sse"
                else streamable_http_client(proxy.url, http_client=http)
            )
            async with mcp.Client(streams, mode="legacy", sampling_callback=sample) as client:
                assert "echo" in [tool.name for tool in (await client.list_tools()).tools]
                long = {"duration": 1, "steps": 4}
                await client.call_tool("trigger-long-running-operation", long, progress_callback=hear)
                asked = await client.call_tool("trigger-sampling-request", {"prompt": "Where?", "maxTokens": 9})
    assert heard == [1, 2, 3, 4]
    assert "a quiet harbour" in str(asked.content)
