"""The main job of both clients, with a real browser between them and the person."""

import pytest

from tests.browser.chromium import Chromium
from tests.interop.clients import call_with, connect_fastmcp, connect_sdk, revoke
from tests.interop.tools import book, price_of_door, use_tools
from tests.person import answer_parameters
from tests.running import RunningDoorward

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_sdk_gets_in_through_chromium(doorward: RunningDoorward, fresh_browser: Chromium, mode: str) -> None:
    async with connect_sdk(doorward.demo, fresh_browser, mode=mode) as sdk:
        await use_tools(sdk.client)
        sdk.let_token_run_out()
        assert await price_of_door(sdk.client) > 0
        assert len(fresh_browser.visits) == 1

        assert await book(sdk.client) == "DW101"
        assert "tools:write" in answer_parameters(fresh_browser.visits[1])["scope"]

        assert sdk.storage.client is not None
        lost = sdk.tokens
        await revoke(doorward.issuer, sdk.storage.client.client_id, str(lost.refresh_token))
        assert (await call_with(doorward.demo, lost.access_token)).status_code == 401
        assert await price_of_door(sdk.client) > 0
        assert len(fresh_browser.visits) == 3


async def test_fastmcp_gets_in_through_chromium(doorward: RunningDoorward, fresh_browser: Chromium) -> None:
    async with connect_fastmcp(doorward.demo, fresh_browser) as app:
        await use_tools(app.client)
        app.let_token_run_out()
        assert await price_of_door(app.client) > 0
        assert len(fresh_browser.visits) == 1

        assert await book(app.client) == "DW101"
        registered = await app.auth.token_storage_adapter.get_client_info()
        assert registered is not None
        lost = await app.tokens()
        await revoke(doorward.issuer, registered.client_id, str(lost.refresh_token))
        assert (await call_with(doorward.demo, lost.access_token)).status_code == 401
        assert await price_of_door(app.client) > 0
        assert len(fresh_browser.visits) == 3
