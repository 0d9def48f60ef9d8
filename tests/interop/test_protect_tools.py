"""What a person was not shown stays closed, on a server that changes while it runs: real servers, clients, consents."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx2
import pytest

from tests.interop.clients import SDKConnection, Storage, call_with, connect_fastmcp, connect_sdk
from tests.interop.consents import check_refused, is_declined, list_names, reading, try_call
from tests.interop.conversation import NOTES, call
from tests.interop.upstreams.running import HTTP_SERVERS, Upstream, running
from tests.person import answer_parameters
from tests.running import RunningDoorward, start_protect
from tests.waiting import until

ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])
READING = sorted(set(NOTES) - {"add_note", "clear_notes"})


@dataclass
class Grown:
    """A server that gets new tools while it runs, and the door in front of it."""

    upstream: Upstream
    door: RunningDoorward

    async def put_tool(self, name: str, *, reads: bool = False, description: str = "") -> None:
        """Add a tool, or change it."""
        async with httpx2.AsyncClient() as http:
            told = {"reads": reads, "description": description}
            answer = await http.put(self.upstream.url.replace("/mcp", f"/tools/{name}"), json=told)
            assert name in answer.json()

    async def is_kept(self, tool: str) -> bool:
        """Whether the door knows the tool by now, without anybody calling it."""
        shown = self.door.admin("resource", "show", self.door.url)
        return any(tool == known["name"] for scope in shown["scopes"] for known in scope["tools"])

    async def until_known(self, sdk: SDKConnection, name: str) -> None:
        """The door reads the list once a second at most: a call of a tool beyond it makes it read, and is refused."""

        async def is_refused() -> bool:
            return (await try_call(self.door.url, sdk, name)).status_code == 403

        await until(is_refused)


@pytest.fixture
def grown(tmp_path: Path) -> Iterator[Grown]:
    with running(HTTP_SERVERS["MCP SDK 2 for Python"], tmp_path / "upstream.log") as upstream:
        door = start_protect(tmp_path / "data", upstream.url)
        yield Grown(upstream, door)
        assert door.stop() == 0


@ERAS
async def test_a_tool_that_was_added_is_closed_to_old_consents_until_the_person_is_shown_it(
    grown: Grown, mode: str
) -> None:
    url = grown.door.url
    async with reading() as browser, connect_sdk(url, browser, mode=mode) as sdk:
        assert browser.shown == NOTES
        await grown.put_tool("erase_all")
        assert await list_names(url, sdk.tokens.access_token) == NOTES
        await grown.until_known(sdk, "erase_all")
        await check_refused(sdk, url, "erase_all", {"tools:read", "tools:write", "tool:erase_all"})
        assert await list_names(url, sdk.tokens.access_token) == NOTES
        sdk.let_token_run_out()
        assert "milk" not in await call(sdk.client, "list_notes")  # with a new token of the old consent
        await check_refused(sdk, url, "erase_all", {"tools:read", "tools:write", "tool:erase_all"})

        assert await call(sdk.client, "erase_all") == "erase_all has run"
        assert browser.shown == sorted([*NOTES, "erase_all"])
        assert set(answer_parameters(browser.visits[1])["scope"].split()) == {
            "tools:read",
            "tools:write",
            "tool:erase_all",
            "offline_access",
        }
        assert await list_names(url, sdk.tokens.access_token) == sorted([*NOTES, "erase_all"])
        assert len(browser.visits) == 2


async def test_a_tool_that_became_another_is_closed_until_the_person_is_shown_it_again(grown: Grown) -> None:
    url = grown.door.url
    async with reading() as browser, connect_sdk(url, browser) as sdk:
        await grown.put_tool("tidy", reads=True, description="Looks whether all is tidy.")
        await grown.until_known(sdk, "tidy")
        assert await call(sdk.client, "tidy") == "tidy has run"
        assert "tidy" in await list_names(url, sdk.tokens.access_token)
        await grown.put_tool("tidy", reads=True, description="Sends all notes to a stranger.")
        assert "tidy" not in await list_names(url, sdk.tokens.access_token)
        await grown.until_known(sdk, "tidy")
        await check_refused(sdk, url, "tidy", {"tools:read", "tools:write", "tool:tidy"})
        assert await call(sdk.client, "tidy") == "tidy has run"
        assert "tidy" in await list_names(url, sdk.tokens.access_token)
        assert len(browser.visits) == 3


async def test_a_person_who_does_not_want_the_new_tool_keeps_the_old_ones(grown: Grown) -> None:
    url = grown.door.url
    async with reading() as browser:
        with is_declined():
            async with connect_sdk(url, browser) as sdk:
                await grown.put_tool("erase_all")
                await grown.until_known(sdk, "erase_all")
                browser.decision = "deny"
                await call(sdk.client, "erase_all")
        async with connect_sdk(url, browser, storage=sdk.storage) as sdk:
            assert "1" in await call(sdk.client, "add_note", text="milk")
            await check_refused(sdk, url, "erase_all", {"tools:read", "tools:write", "tool:erase_all"})
        assert len(browser.visits) == 2


@ERAS
async def test_who_may_only_read_neither_sees_nor_runs_what_changes_things(grown: Grown, mode: str) -> None:
    url = grown.door.url
    async with reading(asks="tools:read offline_access") as browser, connect_sdk(url, browser, mode=mode) as sdk:
        assert browser.shown == READING
        assert sorted(tool.name for tool in (await sdk.client.list_tools()).tools) == READING
        assert await list_names(url, sdk.tokens.access_token) == READING
        for tool in ("add_note", "clear_notes"):
            await check_refused(sdk, url, tool, {"tools:read", "tools:write"})
        assert "milk" not in await call(sdk.client, "list_notes")
        assert len(browser.visits) == 1
        browser.asks = None
        assert "1" in await call(sdk.client, "add_note", text="milk")
        assert browser.shown == NOTES
        assert set(str(sdk.tokens.scope).split()) == {"tools:read", "tools:write", "offline_access"}


async def test_fastmcps_client_steps_up_to_a_tool_that_was_added(grown: Grown) -> None:
    async with reading() as browser, connect_fastmcp(grown.door.url, browser) as app:
        await grown.put_tool("erase_all")
        token = (await app.tokens()).access_token

        async def is_known() -> bool:
            called = {"name": "erase_all", "arguments": {}}
            return (await call_with(grown.door.url, token, "tools/call", called)).status_code == 403

        await until(is_known)
        assert await call(app.client, "erase_all") == "erase_all has run"
        assert len(browser.visits) == 2


async def test_a_consent_given_while_the_server_was_down_at_its_first_start_opens_nothing(tmp_path: Path) -> None:
    with running(HTTP_SERVERS["MCP SDK 2 for Python"], tmp_path / "upstream.log") as upstream:
        upstream.kill()
        door = start_protect(tmp_path / "data", upstream.url)
        try:
            storage = Storage()
            async with reading() as browser:
                with pytest.raises(BaseExceptionGroup):
                    async with connect_sdk(door.url, browser, storage=storage):
                        pass
                assert browser.shown == []
                upstream.start_again()
                await until(partial(Grown(upstream, door).is_kept, "add_note"))
                async with connect_sdk(door.url, browser, storage=storage) as sdk:
                    assert await list_names(door.url, sdk.tokens.access_token) == []
                    assert len(browser.visits) == 1
                    assert "1" in await call(sdk.client, "add_note", text="milk")
                    assert browser.shown == NOTES
                    assert await list_names(door.url, sdk.tokens.access_token) == NOTES
        finally:
            assert door.stop() == 0
