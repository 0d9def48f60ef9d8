"""One program that is an MCP server and its own authorization server, met by unmodified clients over real sockets."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import fastmcp
import httpx2
import mcp
import pytest
from fastmcp import FastMCP
from fastmcp.server.auth import require_scopes
from fastmcp.server.dependencies import get_access_token
from key_value.aio.stores.memory import MemoryStore
from mcp.server import MCPServer
from mcp_types import TextContent, ToolAnnotations

from doorward.embedded import Embedded, embed
from tests.interop.browsers import FormBrowser
from tests.interop.clients import Storage, connect_fastmcp, connect_sdk
from tests.needs import ROOT, find_free_port
from tests.person import Person, answer_parameters, read_page
from tests.resource.world import bind, serve
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD, READY_WITHIN_SECONDS

ADMIN = {"DOORWARD_ADMIN_EMAIL": ADMIN_EMAIL, "DOORWARD_ADMIN_PASSWORD": ADMIN_PASSWORD}


def build_fastmcp() -> FastMCP[Any]:
    server: FastMCP[Any] = FastMCP("Notes")

    @server.tool
    def whoami() -> str:
        token = get_access_token()
        assert token is not None
        return f"{token.claims['iss']} {token.resource}"

    @server.tool(auth=require_scopes("notes:write"))
    def change() -> str:
        return "changed"

    return server


@contextmanager
def running(data: Path, port: int, **environment: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The example as a program of its own, and what it printed until it was ready; it ends well when asked to."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOORWARD_")}
    given = {**kept, "URL": f"http://127.0.0.1:{port}", "DATA": str(data), **environment}
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / "embedded.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=given) as process:
        assert process.stdout is not None
        try:
            said = []
            for line in process.stdout:
                said.append(line)
                if line.startswith("ready "):
                    break
            yield process, said
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=READY_WITHIN_SECONDS) == 0


@asynccontextmanager
async def browsing() -> AsyncIterator[FormBrowser]:
    async with httpx2.AsyncClient() as http:
        yield FormBrowser(Person(http))


async def call(client: mcp.Client | fastmcp.Client[Any], tool: str, **arguments: str) -> str:
    content = (await client.call_tool(tool, arguments)).content
    return content[0].text if content and isinstance(content[0], TextContent) else ""


async def test_a_program_lets_people_in_by_itself_and_knows_them_after_a_restart(tmp_path: Path) -> None:
    port, storage = find_free_port(), Storage()
    url = f"http://127.0.0.1:{port}/mcp"
    with running(tmp_path / "data", port, **ADMIN):
        async with browsing() as browser, connect_sdk(url, browser, storage=storage) as sdk:
            assert await call(sdk.client, "list_notes") == ""
            assert answer_parameters(browser.visits[0])["resource"] == url
            assert await call(sdk.client, "add_note", text="milk") == "1"
            assert "notes:write" in answer_parameters(browser.visits[1])["scope"].split()
            assert set(str(sdk.tokens.scope).split()) == {"notes:read", "notes:write", "offline_access"}
            assert len(browser.visits) == 2
    with running(tmp_path / "data", port, **ADMIN):
        async with browsing() as browser, connect_sdk(url, browser, storage=storage) as sdk:
            assert await call(sdk.client, "add_note", text="bread") == "1"
            sdk.let_token_run_out()
            assert await call(sdk.client, "add_note", text="salt") == "2"
            assert browser.visits == []


def test_a_program_says_where_its_first_administrator_is_made(tmp_path: Path) -> None:
    port = find_free_port()
    with running(tmp_path / "data", port) as (_, said):
        link = next(word for line in said for word in line.split() if "/setup?token=" in word)
        page = read_page(httpx2.get(link))
        assert (page.status, said[-1]) == (200, f"ready http://127.0.0.1:{port}\n")
        assert f"  MCP server   http://127.0.0.1:{port}/mcp\n" in said


def test_a_program_whose_settings_are_unsafe_does_not_start(tmp_path: Path) -> None:
    given = {**os.environ, "URL": "http://127.0.0.1:1/path", "DATA": str(tmp_path)}
    command = [sys.executable, str(ROOT / "examples" / "embedded.py")]
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "DOORWARD_ISSUER" in done.stderr) == (1, True)


@pytest.fixture
def administrator(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ADMIN.items():
        monkeypatch.setenv(name, value)


def bind_again(url: str) -> socket.socket:
    """The same address for the next life of a server."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(url.rpartition(":")[2])))
    return listener


@asynccontextmanager
async def served(server: Any, data: Path, **options: Any) -> AsyncIterator[Embedded]:
    """Under another server than ours, which runs the app's lifespan."""
    listener, url = bind()
    app = embed(server, url=url, data=data, **options)
    async with serve(app, listener, lifespan="on"):
        yield app


async def test_a_fastmcp_server_is_embedded_under_any_asgi_server(tmp_path: Path, administrator: None) -> None:
    async with served(build_fastmcp(), tmp_path / "data", scopes=["notes:read"], tools=None) as app:
        async with (
            browsing() as browser,
            connect_fastmcp(app.resource, browser, store=MemoryStore()) as connection,
        ):
            assert await call(connection.client, "whoami") == f"{app.issuer} {app.resource}"
            assert {tool.name for tool in await connection.client.list_tools()} == {"whoami"}
            assert (await connection.tokens()).scope == "notes:read offline_access"
            assert await call(connection.client, "change") == "changed"
            assert "notes:write" in answer_parameters(browser.visits[1])["scope"].split()
        async with httpx2.AsyncClient() as client:
            page = await client.get(f"{app.issuer}/account")
            metadata = (await client.get(f"{app.issuer}/.well-known/oauth-authorization-server")).json()
            document = (await client.get(f"{app.issuer}/.well-known/oauth-protected-resource/mcp")).json()
    assert (page.status_code < 400, metadata["issuer"], document["resource"]) == (True, app.issuer, app.resource)


def build_notes(*more: str) -> MCPServer[Any]:
    server: MCPServer[Any] = MCPServer("Notes", log_level="ERROR")
    for name, reads in (("read", True), ("write", False), *((name, True) for name in more)):
        server.add_tool(lambda name=name: name, name=name, annotations=ToolAnnotations(read_only_hint=reads))
    return server


async def test_with_nothing_said_of_scopes_new_tools_wait_until_they_were_shown_rs_11(
    tmp_path: Path, administrator: None
) -> None:
    listener, url = bind()
    app, storage = embed(build_notes(), url=url, data=tmp_path / "data"), Storage()
    async with (
        serve(app, listener, lifespan="on"),
        browsing() as browser,
        connect_sdk(app.resource, browser, storage=storage) as sdk,
    ):
        assert {tool.name for tool in (await sdk.client.list_tools()).tools} == {"read", "write"}
        assert await call(sdk.client, "write") == "write"
        assert set(str(sdk.tokens.scope).split()) == {"tools:read", "tools:write", "offline_access"}
    listener = bind_again(url)
    app = embed(build_notes("extra"), url=url, data=tmp_path / "data")
    async with (
        serve(app, listener, lifespan="on"),
        browsing() as browser,
        connect_sdk(app.resource, browser, storage=storage) as sdk,
    ):
        assert {tool.name for tool in (await sdk.client.list_tools()).tools} == {"read", "write"}
        assert browser.visits == []
        assert await call(sdk.client, "extra") == "extra"
        assert len(browser.visits) == 1
        assert {tool.name for tool in (await sdk.client.list_tools()).tools} == {"read", "write", "extra"}


async def test_with_nothing_said_of_scopes_tools_of_fastmcp_need_what_they_say(
    tmp_path: Path, administrator: None
) -> None:
    async with (
        served(build_fastmcp(), tmp_path / "data") as app,
        browsing() as browser,
        connect_fastmcp(app.resource, browser, store=MemoryStore()) as connection,
    ):
        assert {tool.name for tool in await connection.client.list_tools()} == {"whoami"}
        assert await call(connection.client, "change") == "changed"
        assert len(browser.visits) == 2
        assert {tool.name for tool in await connection.client.list_tools()} == {"whoami", "change"}


async def test_what_is_revoked_counts_with_the_next_request(tmp_path: Path, administrator: None) -> None:
    server: MCPServer[Any] = MCPServer("test", log_level="ERROR")
    async with served(server, tmp_path / "data", scopes=["read"]) as app:
        async with browsing() as browser, connect_sdk(app.resource, browser) as sdk:
            token, client = sdk.tokens, sdk.storage.client
            assert client is not None
        headers = {"Authorization": f"Bearer {token.access_token}", "Accept": "application/json, text/event-stream"}
        asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        form = {"token": str(token.refresh_token), "client_id": client.client_id}
        async with httpx2.AsyncClient() as http:
            assert (await http.post(app.resource, json=asked, headers=headers)).status_code != 401
            revoked = await http.post(f"{app.issuer}/api/oauth/revoke", data=form)
            assert revoked.status_code == 200
            assert (await http.post(app.resource, json=asked, headers=headers)).status_code == 401


async def test_an_app_inside_another_is_run_by_that_ones_lifespan(tmp_path: Path, administrator: None) -> None:
    app = embed(MCPServer("test", log_level="ERROR"), data=tmp_path / "data", url="http://127.0.0.1:8400")
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url=app.issuer) as client:
        with pytest.raises(RuntimeError, match="lifespan"):
            await client.get("/livez")
        async with app.running():
            assert (await client.get("/livez")).status_code == 200
            assert (await client.post("/mcp")).status_code == 401
