"""Each example is a whole program: it runs, asks for a token, and serves whoever has one."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent

from tests.needs import ROOT, find_free_port
from tests.resource.world import Mint, TinyIssuer, run_issuer


@asynccontextmanager
async def example(name: str, issuer: TinyIssuer, port: int, *arguments: str, **more: str) -> AsyncIterator[Mint]:
    """The example as a program, once it answers; and tokens for it."""
    environment = {**os.environ, "ISSUER": issuer.url, "PORT": str(port), **more}
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / name), *arguments]
    issuer.mint.resource = f"http://127.0.0.1:{port}/mcp"
    async with await anyio.open_process(command, stdout=None, stderr=None, env=environment) as process:
        try:
            with anyio.fail_after(60):
                await _answers(issuer.mint.resource)
            yield issuer.mint
        finally:
            process.terminate()


async def _answers(url: str) -> None:
    """Wait until something listens: an attempt that is refused costs nothing, and the caller bounds them."""
    transport = httpx2.AsyncHTTPTransport(retries=1000)
    async with httpx2.AsyncClient(transport=transport) as client:
        assert (await client.post(url)).status_code == 401


async def list_tools(mint: Mint, scope: str) -> set[str]:
    async with (
        httpx2.AsyncClient(headers=mint.header(scope)) as http_client,
        Client(streamable_http_client(mint.resource, http_client=http_client)) as client,
    ):
        return {tool.name for tool in (await client.list_tools()).tools}


async def ask(mint: Mint, tool: str, scope: str, arguments: dict[str, str] | None = None) -> str:
    async with (
        httpx2.AsyncClient(headers=mint.header(scope)) as http_client,
        Client(streamable_http_client(mint.resource, http_client=http_client)) as client,
    ):
        content = (await client.call_tool(tool, arguments or {})).content
    return content[0].text if content and isinstance(content[0], TextContent) else ""


async def test_the_demo_runs_alone_and_can_ask_the_issuer_about_each_token() -> None:
    port = find_free_port()
    async with run_issuer() as issuer:
        arguments = ("--issuer", issuer.url, "--port", str(port))
        async with example("demo_server.py", issuer, port, *arguments) as mint:
            assert "Sample data" in await ask(mint, "weather_forecast", "", {"city": "Berlin"})
        async with (
            example("demo_server.py", issuer, port, *arguments, INTROSPECT_KEY="mbk_key") as mint,
            httpx2.AsyncClient() as client,
        ):
            assert (await client.post(mint.resource, headers=mint.header())).status_code == 401
        assert [authorization for authorization, _ in issuer.introspected] == ["Bearer mbk_key"]


async def test_a_server_of_the_mcp_sdk_keeps_notes_for_each_user() -> None:
    port = find_free_port()
    async with run_issuer() as issuer, example("protect_mcp_sdk.py", issuer, port) as mint:
        assert await ask(mint, "add_note", "notes:read notes:write", {"text": "milk"}) == "1"
        assert await ask(mint, "list_notes", "notes:read") == "milk"


async def test_a_fastmcp_server_keeps_notes_for_each_user_and_lists_a_tool_to_those_who_may_call_it() -> None:
    port = find_free_port()
    async with run_issuer() as issuer, example("protect_fastmcp.py", issuer, port) as mint:
        assert await ask(mint, "add_note", "notes:read notes:write", {"text": "milk"}) == "1"
        assert await ask(mint, "list_notes", "notes:read") == '["milk"]'
        assert await list_tools(mint, "notes:read") == {"list_notes"}
        assert await list_tools(mint, "notes:read notes:write") == {"list_notes", "add_note"}


async def test_any_asgi_app_learns_who_is_calling() -> None:
    port = find_free_port()
    async with run_issuer() as issuer, example("protect_asgi.py", issuer, port) as mint:
        assert await ask(mint, "whoami", "tools:read") == "alice, through app"


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_every_example_says_how_to_run_it(path: Path) -> None:
    assert f"python examples/{path.name}" in path.read_text(encoding="utf-8").split('"""')[1]
