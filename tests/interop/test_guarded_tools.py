"""The same without a proxy: servers of the SDKs that guard themselves, with new tools, and clients that may read."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastmcp import FastMCP
from mcp.server import MCPServer
from mcp_types import ToolAnnotations

from doorward.embedded import embed
from doorward.resource.catalogue import FileStore
from doorward.resource.mcp import build_catalogue, protect
from tests.interop.clients import connect_sdk
from tests.interop.consents import check_refused, list_names, reading, try_call
from tests.interop.conversation import call
from tests.resource.world import bind, serve
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD, RunningDoorward
from tests.waiting import until

READS = ToolAnnotations(read_only_hint=True)
ALL = {"tools:read", "tools:write"}
Server = Any
"""A server of either framework; both add tools in the same words."""


def list_notes() -> str:
    return "no notes"


def add_note() -> str:
    return "kept"


def erase_all() -> str:
    return "erased"


def build_sdk() -> Server:
    server: MCPServer[Any] = MCPServer("Notes", log_level="ERROR")
    server.add_tool(list_notes, annotations=READS)
    server.add_tool(add_note)
    return server


def build_fastmcp() -> Server:
    server: FastMCP[Any] = FastMCP("Notes")
    server.tool(list_notes, annotations=READS)
    server.tool(add_note)
    return server


@asynccontextmanager
async def embedding(server: Server, data: Path) -> AsyncIterator[str]:
    """The server with its authorization server in it, of which nothing was said; its address."""
    listener, url = bind()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DOORWARD_ADMIN_EMAIL", ADMIN_EMAIL)
        patched.setenv("DOORWARD_ADMIN_PASSWORD", ADMIN_PASSWORD)
        app = embed(server, url=url, data=data)
    async with serve(app, listener, lifespan="on"):
        yield app.resource


@pytest.mark.parametrize("build", [build_sdk, build_fastmcp])
async def test_a_tool_that_an_embedded_server_got_is_closed_until_the_person_is_shown_it(
    tmp_path: Path, build: Callable[[], Server]
) -> None:
    server = build()
    async with embedding(server, tmp_path / "data") as url, reading() as browser, connect_sdk(url, browser) as sdk:
        assert browser.shown == ["add_note", "list_notes"]
        server.add_tool(erase_all) if isinstance(server, MCPServer) else server.tool(erase_all)

        async def is_refused() -> bool:
            return (await try_call(url, sdk, "erase_all")).status_code == 403

        await until(is_refused)
        await check_refused(sdk, url, "erase_all", {*ALL, "tool:erase_all"})
        assert await list_names(url, sdk.tokens.access_token) == ["add_note", "list_notes"]
        assert await call(sdk.client, "erase_all") == "erased"
        assert browser.shown == ["add_note", "erase_all", "list_notes"]
        assert await list_names(url, sdk.tokens.access_token) == ["add_note", "erase_all", "list_notes"]
        assert len(browser.visits) == 2


@pytest.mark.parametrize("build", [build_sdk, build_fastmcp])
async def test_who_may_only_read_runs_nothing_that_changes_things_of_an_embedded_server(
    tmp_path: Path, build: Callable[[], Server]
) -> None:
    async with (
        embedding(build(), tmp_path / "data") as url,
        reading(asks="tools:read") as browser,
        connect_sdk(url, browser) as sdk,
    ):
        assert browser.shown == ["list_notes"]
        assert await list_names(url, sdk.tokens.access_token) == ["list_notes"]
        await check_refused(sdk, url, "add_note", ALL)
        browser.asks = None
        assert await call(sdk.client, "add_note") == "kept"
        assert browser.shown == ["add_note", "list_notes"]


async def test_who_chose_single_tools_is_told_of_these_and_runs_no_other(tmp_path: Path) -> None:
    server = build_sdk()
    server.add_tool(erase_all, annotations=ToolAnnotations(destructive_hint=True))
    async with embedding(server, tmp_path / "data") as url, reading() as browser:
        browser.decision, browser.ticked = "allow_chosen", ["list_notes", "erase_all"]
        async with connect_sdk(url, browser) as sdk:
            held = {"tool:list_notes", "tool:erase_all"}
            assert await list_names(url, sdk.tokens.access_token) == ["erase_all", "list_notes"]
            assert await call(sdk.client, "erase_all") == "erased"
            await check_refused(sdk, url, "add_note", {*held, "tools:write"})
            browser.ticked = ["list_notes", "add_note"]
            assert await call(sdk.client, "add_note") == "kept"
            assert "More than you last allowed:" in browser.pages[-1]
            assert await list_names(url, sdk.tokens.access_token) == ["add_note", "list_notes"]
            assert (await try_call(url, sdk, "erase_all")).status_code == 403
            assert len(browser.visits) == 2


async def test_a_guard_with_a_catalogue_refuses_the_same_for_an_issuer_elsewhere(
    tmp_path: Path, doorward: RunningDoorward
) -> None:
    listener, origin = bind()
    url, server = f"{origin}/mcp", build_sdk()
    doorward.admin("resource", "add", url, "--scope", "tools:read", "--scope", "tools:write")
    catalogue = build_catalogue(server, store=FileStore(tmp_path / "tools.json"))
    app = protect(server, issuer=doorward.issuer, resource=url, scopes=sorted(ALL), catalogue=catalogue)
    async with (
        serve(app, listener, lifespan="on"),
        reading(asks="tools:read") as browser,
        connect_sdk(url, browser) as sdk,
    ):
        assert await list_names(url, sdk.tokens.access_token) == ["list_notes"]
        await check_refused(sdk, url, "add_note", ALL)
        browser.asks = None
        assert await call(sdk.client, "add_note") == "kept"
        server.add_tool(erase_all)

        async def is_refused() -> bool:
            return (await try_call(url, sdk, "erase_all")).status_code == 403

        await until(is_refused)
        await check_refused(sdk, url, "erase_all", {*ALL, "tool:erase_all"})
        assert await list_names(url, sdk.tokens.access_token) == ["add_note", "list_notes"]
        assert len(browser.visits) == 2
