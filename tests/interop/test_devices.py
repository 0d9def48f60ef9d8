"""mcp-remote where no browser is, unmodified: `--device-code` prints a link and waits for a person (DEV-02, DEV-06)."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.browsers import FormBrowser
from tests.interop.node.bridge import Home, run_headless_bridge
from tests.interop.node.programs import find_node
from tests.interop.tools import TOOLS
from tests.running import RunningDoorward, start_doorward


@pytest.fixture(scope="module", autouse=True)
def node() -> str:
    return find_node()


@pytest.fixture(scope="module")
def offering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDoorward]:
    """A server that devices may come to."""
    server = start_doorward(tmp_path_factory.mktemp("offering") / "data", "--demo")
    server.admin("project", "set", "device_flow=true")
    yield server
    assert server.stop() == 0


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.close()


async def test_mcp_remote_passes_calls_on_once_it_was_let_in_and_comes_back_by_itself(
    offering: RunningDoorward, fresh_browser: FormBrowser, home: Home
) -> None:
    printed: list[str] = []

    async def approve(link: str) -> None:
        printed.append(link)
        page = await fresh_browser.person.let_in_device(link)
        assert "Device connected" in page.text

    async with run_headless_bridge(home, offering.demo, approve) as host:
        await host.shake_hands()
        assert {tool["name"] for tool in (await host.request("tools/list"))["tools"]} == TOOLS
        (quote,) = (await host.call("stock_quotes", symbols=["DOOR"]))["quotes"]
        assert float(quote["price"]) > 0
    first = json.loads(home.tokens.read_text())
    home.tokens.write_text(json.dumps({**first, "access_token": "run-out"}))
    async with run_headless_bridge(home, offering.demo, approve) as host:
        await host.shake_hands()
        assert (await host.call("weather_forecast", city="Lisbon", days=1))["city"] == "Lisbon"
    assert json.loads(home.tokens.read_text())["refresh_token"] != first["refresh_token"]
    assert len(printed) == 1
