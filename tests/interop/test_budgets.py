"""A budget that an operator sets reaches the app that has used it up, through its own client library."""

from collections.abc import Iterator

import pytest
from mcp import MCPError

from tests.interop.browsers import FormBrowser
from tests.interop.clients import connect_sdk
from tests.interop.tools import price_of_door
from tests.running import RunningDoorward, start_doorward


@pytest.fixture
def stingy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDoorward]:
    """A demo whose every connection may call two tools a day."""
    server = start_doorward(tmp_path_factory.mktemp("stingy") / "data", "--demo")
    server.admin("resource", "set", server.demo, "--budget", "2/day per connection")
    yield server
    assert server.stop() == 0


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_sdk_is_told_that_the_budget_is_used_up_and_when_again(
    stingy: RunningDoorward, fresh_browser: FormBrowser, mode: str
) -> None:
    async with connect_sdk(stingy.demo, fresh_browser, mode=mode) as sdk:
        for _ in range(2):
            assert await price_of_door(sdk.client) > 0
        sdk.wire.take()
        with pytest.raises(MCPError) as caught:
            await price_of_door(sdk.client)
        assert caught.value.error.code == 429
        assert caught.value.error.message.startswith("The budget of 2 tool calls a day is used up; again in ")
        assert caught.value.error.data["limit"] == 2
        assert sdk.wire.take() == ["POST /demo/mcp 429"]
        await sdk.client.list_tools()
        assert len(fresh_browser.visits) == 1

    # Let in once more, it is another connection with a budget of its own.
    async with connect_sdk(stingy.demo, fresh_browser, mode=mode) as sdk:
        assert await price_of_door(sdk.client) > 0
