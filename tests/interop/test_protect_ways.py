"""What lasts and what is kept apart: restarts on either side, several servers behind one door, an issuer elsewhere."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import mcp
import pytest

from tests.interop.browsers import FormBrowser
from tests.interop.clients import call_with, connect_sdk, revoke
from tests.interop.conversation import NOTES, call
from tests.interop.upstreams.running import HTTP_SERVERS, Upstream, filesystem, running
from tests.needs import find_free_port
from tests.person import Person, answer_parameters
from tests.running import RunningDoorward, start_doorward, start_protect
from tests.waiting import until

ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])
SDK = HTTP_SERVERS["MCP SDK 2 for Python"]


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Upstream]:
    with running(SDK, tmp_path / "upstream.log") as server:
        yield server


@pytest.fixture
def start() -> Iterator[Callable[..., RunningDoorward]]:
    """Start doors; whatever still runs at the end is stopped."""
    doors: list[RunningDoorward] = []

    def start_one(*given: Any, **options: Any) -> RunningDoorward:
        doors.append(start_protect(*given, **options))
        return doors[-1]

    yield start_one
    for door in doors:
        door.stop()


@asynccontextmanager
async def browsing() -> AsyncIterator[FormBrowser]:
    async with httpx2.AsyncClient() as http:
        yield FormBrowser(Person(http))


async def health(door: RunningDoorward) -> int:
    async with httpx2.AsyncClient() as http:
        return (await http.get(f"{door.issuer}/readyz")).status_code


@ERAS
async def test_who_was_let_in_still_is_after_a_restart_of_the_door(
    tmp_path: Path, upstream: Upstream, start: Callable[..., RunningDoorward], mode: str
) -> None:
    door = start(tmp_path / "data", upstream.url)
    async with browsing() as browser, connect_sdk(door.url, browser, mode=mode) as sdk:
        await call(sdk.client, "add_note", text="milk")
        assert door.stop() == 0
        start(tmp_path / "data", upstream.url, port=door.port)
        assert "milk" in await call(sdk.client, "list_notes")
        sdk.let_token_run_out()
        await call(sdk.client, "add_note", text="bread")
        assert len(browser.visits) == 1


async def test_a_server_that_is_down_is_said_to_be_and_nobody_loses_a_token_over_it(
    tmp_path: Path, upstream: Upstream, start: Callable[..., RunningDoorward]
) -> None:
    door = start(tmp_path / "data", upstream.url)
    async with browsing() as browser, connect_sdk(door.url, browser) as sdk:
        assert await health(door) == 200
        upstream.kill()
        assert await health(door) == 503
        refused = await call_with(door.url, sdk.tokens.access_token)
        assert (refused.status_code, "www-authenticate" in refused.headers) == (502, False)
        with pytest.raises(mcp.MCPError):
            await call(sdk.client, "list_notes")
        upstream.start_again()
        assert await health(door) == 200
        await call(sdk.client, "add_note", text="milk")
        assert len(browser.visits) == 1


async def test_a_session_that_ended_with_the_server_is_answered_as_unknown(
    tmp_path: Path, upstream: Upstream, start: Callable[..., RunningDoorward]
) -> None:
    door = start(tmp_path / "data", upstream.url)
    async with browsing() as browser, connect_sdk(door.url, browser, mode="legacy") as sdk:
        await call(sdk.client, "list_notes")
        upstream.kill()
        upstream.start_again()
        session = {"mcp_session_id": str(sdk.wire.session_id), "mcp_protocol_version": "2025-11-25"}
        without = await call_with(upstream.url, "none", **session)
        through = await call_with(door.url, sdk.tokens.access_token, **session)
        assert (without.status_code, through.status_code) == (404, 404)
        assert through.json() == without.json()
    async with browsing() as browser, connect_sdk(door.url, browser, mode="legacy", storage=sdk.storage) as sdk:
        await call(sdk.client, "list_notes")
        assert browser.visits == []


async def test_several_servers_behind_one_door_have_consents_and_tokens_of_their_own(
    tmp_path: Path, upstream: Upstream, start: Callable[..., RunningDoorward]
) -> None:
    (tmp_path / "files").mkdir()
    command = json.dumps(filesystem(tmp_path / "files"))
    (tmp_path / "servers.toml").write_text(
        f'[[server]]\nurl = "{upstream.url}"\npath = "/notes"\nname = "The notes"\n'
        f'[[server]]\ncommand = {command}\npath = "/files"\n'
    )
    door = start(tmp_path / "data", "--servers", str(tmp_path / "servers.toml"))
    notes, files = door.announced["servers"]
    assert (notes, files) == (f"{door.issuer}/notes", f"{door.issuer}/files")
    async with browsing() as browser, connect_sdk(notes, browser) as one, connect_sdk(files, browser) as other:
        assert sorted(tool.name for tool in (await one.client.list_tools()).tools) == NOTES
        assert "files" in await call(other.client, "list_allowed_directories")
        assert [answer_parameters(url)["resource"] for url in browser.visits] == [notes, files]
        page = await browser.person.open(browser.visits[0])
        assert "The notes" in page.text
        assert "clear_notes" in page.text
        assert "write_file" not in page.text
        for url, mine, others in ((notes, one, other), (files, other, one)):
            assert (await call_with(url, mine.tokens.access_token)).status_code != 401
            refused = await call_with(url, others.tokens.access_token)
            assert refused.status_code == 401
            name = url.rpartition("/")[2]
            assert f'/.well-known/oauth-protected-resource/{name}"' in refused.headers["www-authenticate"]


@ERAS
async def test_a_door_alone_takes_the_tokens_of_an_issuer_elsewhere(
    tmp_path: Path, upstream: Upstream, start: Callable[..., RunningDoorward], mode: str
) -> None:
    issuer = start_doorward(tmp_path / "issuer")
    try:
        port = find_free_port()
        url = f"http://127.0.0.1:{port}/mcp"
        scopes = ["--scope", "tools:read=Look", "--scope", "tools:write=Change"]
        issuer.admin("resource", "add", url, "--name", "Notes elsewhere", *scopes)
        door = start(tmp_path / "door", upstream.url, "--issuer", issuer.issuer, port=port, admin=False)
        assert (door.url, door.announced["issuer"], door.announced["setup_link"]) == (url, issuer.issuer, None)
        async with browsing() as browser, connect_sdk(url, browser, mode=mode) as sdk:
            assert browser.visits[0].startswith(f"{issuer.issuer}/oauth/authorize")
            assert "1" in await call(sdk.client, "add_note", text="milk")
            assert sdk.storage.client is not None
            token = sdk.tokens
            await revoke(issuer.issuer, sdk.storage.client.client_id, str(token.refresh_token))

            async def is_refused() -> bool:
                return (await call_with(url, token.access_token)).status_code == 401

            await until(is_refused)
        async with browsing() as browser, connect_sdk(url, browser, mode=mode) as sdk:
            assert door.stop() == 0
            start(tmp_path / "door", upstream.url, "--issuer", issuer.issuer, port=port, admin=False)
            assert "milk" in await call(sdk.client, "list_notes")
            assert len(browser.visits) == 1
    finally:
        assert issuer.stop() == 0


async def test_a_door_alone_asks_a_doorward_about_each_token_where_it_has_a_key(
    tmp_path: Path, upstream: Upstream, start: Callable[..., RunningDoorward]
) -> None:
    issuer = start_doorward(tmp_path / "issuer")
    try:
        port = find_free_port()
        url = f"http://127.0.0.1:{port}/mcp"
        scopes = ["--scope", "tools:read", "--scope", "tools:write"]
        issuer.admin("resource", "add", url, *scopes, "--token-format", "opaque")
        key = issuer.admin("key", "create", "--capability", "introspect")
        (tmp_path / "key").write_text(f"{key['secret']}\n")
        options = ["--issuer", issuer.issuer, "--key-file", str(tmp_path / "key"), "--introspect"]
        start(tmp_path / "door", upstream.url, *options, port=port, admin=False)
        async with browsing() as browser, connect_sdk(url, browser) as sdk:
            assert "." not in sdk.tokens.access_token
            assert "1" in await call(sdk.client, "add_note", text="milk")
            assert len(browser.visits) == 1
    finally:
        assert issuer.stop() == 0
