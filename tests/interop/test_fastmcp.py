"""FastMCP's client, unmodified, against a running server; what it opens as the browser fills in forms."""

import pytest
from key_value.aio.stores.memory import MemoryStore

from tests.interop.browsers import FormBrowser
from tests.interop.clients import call_with, connect_fastmcp, revoke
from tests.interop.tools import book, price_of_door, use_tools
from tests.person import answer_parameters
from tests.running import RunningDoorward

ERAS = pytest.mark.parametrize(("mode", "version"), [("legacy", "2025-11-25"), ("auto", "2026-07-28")])


@ERAS
async def test_fastmcp_signs_in_and_calls_tools(
    doorward: RunningDoorward, fresh_browser: FormBrowser, mode: str, version: str
) -> None:
    async with connect_fastmcp(doorward.demo, fresh_browser, mode=mode) as app:
        assert app.client.protocol_version == version
        await use_tools(app.client)

        asked = answer_parameters(fresh_browser.visits[0])
        assert asked["resource"] == doorward.demo
        assert asked["redirect_uri"].startswith("http://localhost:")
        assert len(fresh_browser.visits) == 1
        assert (await app.tokens()).scope == "tools:read offline_access"


async def test_fastmcp_refreshes_by_itself_when_its_access_token_has_run_out(
    doorward: RunningDoorward, browser: FormBrowser
) -> None:
    async with connect_fastmcp(doorward.demo, browser) as app:
        first = await app.tokens()
        app.let_token_run_out()
        assert await price_of_door(app.client) > 0
        second = await app.tokens()
        assert second.access_token != first.access_token
        assert second.refresh_token != first.refresh_token
        assert len(browser.visits) == 1


async def test_a_revoked_fastmcp_gets_401_and_asks_the_person_again(
    doorward: RunningDoorward, browser: FormBrowser
) -> None:
    async with connect_fastmcp(doorward.demo, browser) as app:
        lost = await app.tokens()
        registered = await app.auth.token_storage_adapter.get_client_info()
        assert registered is not None
        await revoke(doorward.issuer, registered.client_id, str(lost.refresh_token))

        assert (await call_with(doorward.demo, lost.access_token)).status_code == 401
        assert await price_of_door(app.client) > 0
        assert len(browser.visits) == 2
        assert (await app.tokens()).refresh_token != lost.refresh_token


async def test_fastmcp_steps_up_for_a_tool_that_needs_more(doorward: RunningDoorward, browser: FormBrowser) -> None:
    async with connect_fastmcp(doorward.demo, browser) as app:
        assert await book(app.client) == "DW101"
        assert set(answer_parameters(browser.visits[1])["scope"].split()) >= {"tools:read", "tools:write"}
        assert await price_of_door(app.client) > 0
        assert len(browser.visits) == 2


async def test_fastmcp_comes_back_with_stored_tokens_without_a_browser(
    doorward: RunningDoorward, browser: FormBrowser
) -> None:
    store = MemoryStore()
    for _ in range(2):
        async with connect_fastmcp(doorward.demo, browser, store=store) as app:
            await use_tools(app.client)
    assert len(browser.visits) == 1


async def test_fastmcp_registers_afresh_when_the_server_does_not_know_it_any_more(
    doorward: RunningDoorward, browser: FormBrowser
) -> None:
    store = MemoryStore()
    async with connect_fastmcp(doorward.demo, browser, store=store) as app:
        registered = await app.auth.token_storage_adapter.get_client_info()
        assert registered is not None
        forgotten = registered.client_id
        stale = registered.model_copy(update={"client_id": "mcl_AAAAAAAAAAAAAAAAAAAAAA"})
        await app.auth.token_storage_adapter.clear()
        await app.auth.token_storage_adapter.set_client_info(stale)
    async with connect_fastmcp(doorward.demo, browser, store=store) as app:
        await use_tools(app.client)
        registered = await app.auth.token_storage_adapter.get_client_info()
        assert registered is not None
        assert registered.client_id not in {forgotten, stale.client_id}
    assert len(browser.visits) == 2


async def test_a_person_who_denies_is_the_reason_fastmcp_gives(doorward: RunningDoorward, browser: FormBrowser) -> None:
    browser.decision = "deny"
    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="Access was denied"), flatten_subgroups=True):
        async with connect_fastmcp(doorward.demo, browser):
            pass
    assert len(browser.visits) == 1
