"""The official TypeScript SDK, 1.x and 2.x, and mcp-remote, unmodified, in Node against a running server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.browsers import FormBrowser
from tests.interop.node.bridge import Home, Host, run_bridge
from tests.interop.node.documents import Authority, make_authority, serve_document
from tests.interop.node.programs import Step, find_node, run_app
from tests.interop.tools import TOOLS
from tests.needs import find_free_port
from tests.person import answer_parameters
from tests.running import RunningDoorward, start_doorward

SDK_1 = ("sdk1.mjs", "legacy", "2025-11-25")
SDK_2 = [("sdk2.mjs", "legacy", "2025-11-25"), ("sdk2.mjs", "auto", "2026-07-28")]
EITHER = pytest.mark.parametrize(("program", "mode", "version"), [SDK_1, *SDK_2])
NEWER = pytest.mark.parametrize(("program", "mode", "version"), SDK_2)

DISCOVERY = [
    "POST /demo/mcp 401",
    "GET /.well-known/oauth-protected-resource/demo/mcp 200",
    "GET /.well-known/oauth-authorization-server 200",
]
REFRESH = ["POST /demo/mcp 401", "POST /api/oauth/token 200", "POST /demo/mcp 200"]

TOOL_LIST: Step = ["tools"]
WEATHER: Step = ["call", "weather_forecast", {"city": "Lisbon", "days": 2}]
QUOTES: Step = ["call", "stock_quotes", {"symbols": ["DOOR"]}]
BOOK: Step = ["call", "book_flight", {"flight_number": "DW101", "passenger_name": "Ada"}]
LET_TOKEN_RUN_OUT: Step = ["spoil"]
LOOK_AT_STORAGE: Step = ["kept"]


@pytest.fixture(scope="module", autouse=True)
def node() -> str:
    return find_node()


@EITHER
async def test_the_typescript_sdk_registers_signs_in_and_calls_tools(
    doorward: RunningDoorward, browser: FormBrowser, program: str, mode: str, version: str
) -> None:
    told = await run_app(program, browser, doorward.demo, TOOL_LIST, WEATHER, QUOTES, LOOK_AT_STORAGE, mode=mode)
    assert told.error is None
    connected, tools, forecast, quotes, kept = told.results
    assert (connected, set(tools)) == (version, TOOLS)
    assert (forecast["city"], len(forecast["days"])) == ("Lisbon", 2)
    assert [quote["symbol"] for quote in quotes["quotes"]] == ["DOOR"]

    assert told.wires[0][:5] == [*DISCOVERY, "POST /api/oauth/register 201", "POST /api/oauth/token 200"]
    asked = answer_parameters(browser.visits[0])
    assert (asked["resource"], asked["code_challenge_method"]) == (doorward.demo, "S256")
    assert "client_secret" not in kept["client"]
    assert kept["tokens"]["refresh_token"]
    assert len(browser.visits) == 1


@EITHER
async def test_the_typescript_sdk_refreshes_by_itself_when_its_access_token_has_run_out(
    doorward: RunningDoorward, browser: FormBrowser, program: str, mode: str, version: str
) -> None:
    once = [LET_TOKEN_RUN_OUT, QUOTES, LOOK_AT_STORAGE]
    told = await run_app(program, browser, doorward.demo, LOOK_AT_STORAGE, *once, *once, mode=mode)
    assert told.error is None
    assert [told.results[0], told.wires[3], told.wires[6]] == [version, REFRESH, REFRESH]
    stored = [told.results[step]["tokens"] for step in (1, 4, 7)]
    assert len({tokens["access_token"] for tokens in stored}) == 3
    assert len({tokens["refresh_token"] for tokens in stored}) == 3
    assert len({tokens["scope"] for tokens in stored}) == 1
    assert len(browser.visits) == 1


@NEWER
async def test_the_newer_typescript_sdk_steps_up_for_a_tool_that_needs_more(
    doorward: RunningDoorward, browser: FormBrowser, program: str, mode: str, version: str
) -> None:
    told = await run_app(program, browser, doorward.demo, BOOK, QUOTES, LOOK_AT_STORAGE, mode=mode)
    assert told.error is None
    connected, booking, _, kept = told.results
    assert (connected, booking["flight"]["flight_number"]) == (version, "DW101")
    assert told.wires[1:3] == [
        ["POST /demo/mcp 403", "POST /api/oauth/token 200", "POST /demo/mcp 200"],
        ["POST /demo/mcp 200"],
    ]
    scopes = {"tools:read", "tools:write", "offline_access"}
    assert set(answer_parameters(browser.visits[1])["scope"].split()) == scopes
    assert set(kept["tokens"]["scope"].split()) == scopes
    assert len(browser.visits) == 2


async def test_the_older_typescript_sdk_refreshes_instead_of_stepping_up_and_gives_up_after_one_try(
    doorward: RunningDoorward, browser: FormBrowser
) -> None:
    told = await run_app("sdk1.mjs", browser, doorward.demo, BOOK)
    assert "403 after trying upscoping" in str(told.error)
    assert told.wires[1] == ["POST /demo/mcp 403", "POST /api/oauth/token 200", "POST /demo/mcp 403"]
    assert len(browser.visits) == 1


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[RunningDoorward]:
    """A server that takes documents from this machine."""
    environment = {
        "DOORWARD_CIMD__ALLOW_CIDRS": '["127.0.0.0/8", "::1/128"]',
        "DOORWARD_CIMD__CA_FILE": str(authority.trust),
    }
    server = start_doorward(tmp_path_factory.mktemp("documented") / "data", "--demo", environment=environment)
    yield server
    assert server.stop() == 0


@EITHER
async def test_the_typescript_sdk_is_known_by_its_metadata_document_and_never_registers(
    documented: RunningDoorward,
    fresh_browser: FormBrowser,
    authority: Authority,
    program: str,
    mode: str,
    version: str,
) -> None:
    # As published documents have it: without the port, which the app learns only when it listens.
    async with serve_document(authority, ["http://127.0.0.1/callback"]) as document:
        steps = [WEATHER, LET_TOKEN_RUN_OUT, QUOTES, LOOK_AT_STORAGE]
        told = await run_app(program, fresh_browser, documented.demo, *steps, mode=mode, document=document.url)
    assert told.error is None
    assert told.results[0] == version
    assert told.wires[0][:4] == [*DISCOVERY, "POST /api/oauth/token 200"]
    assert told.wires[3] == REFRESH
    assert told.results[4]["client"]["client_id"] == document.url
    assert answer_parameters(fresh_browser.visits[0])["client_id"] == document.url
    assert document.requests == ["GET /client.json HTTP/1.1"]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.close()


async def price_of_door(host: Host) -> float:
    (quote,) = (await host.call("stock_quotes", symbols=["DOOR"]))["quotes"]
    return float(quote["price"])


@pytest.mark.parametrize("protocol", ["legacy", "auto"])
async def test_mcp_remote_registers_signs_in_and_passes_calls_on(
    doorward: RunningDoorward, browser: FormBrowser, home: Home, protocol: str
) -> None:
    async with run_bridge(home, browser, doorward.demo, "--protocol", protocol) as host:
        welcome = await host.shake_hands()
        assert (welcome["protocolVersion"], welcome["serverInfo"]["name"]) == ("2025-11-25", "doorward-demo")
        assert {tool["name"] for tool in (await host.request("tools/list"))["tools"]} == TOOLS
        forecast = await host.call("weather_forecast", city="Lisbon", days=2)
        assert (forecast["city"], len(forecast["days"])) == ("Lisbon", 2)
        assert await price_of_door(host) > 0
    asked = answer_parameters(browser.visits[0])
    assert (asked["resource"], asked["code_challenge_method"]) == (doorward.demo, "S256")
    assert len(browser.visits) == 1


async def test_mcp_remote_comes_back_and_refreshes_without_the_person(
    doorward: RunningDoorward, browser: FormBrowser, home: Home
) -> None:
    async with run_bridge(home, browser, doorward.demo) as host:
        await host.shake_hands()
    first = json.loads(home.tokens.read_text())
    home.tokens.write_text(json.dumps({**first, "access_token": "run-out"}))
    async with run_bridge(home, browser, doorward.demo) as host:
        await host.shake_hands()
        assert await price_of_door(host) > 0
    second = json.loads(home.tokens.read_text())
    assert second["access_token"] not in {first["access_token"], "run-out"}
    assert second["refresh_token"] != first["refresh_token"]
    assert len(browser.visits) == 1


async def test_mcp_remote_steps_up_for_a_tool_that_needs_more(
    doorward: RunningDoorward, browser: FormBrowser, home: Home
) -> None:
    async with run_bridge(home, browser, doorward.demo) as host:
        await host.shake_hands()
        booking = await host.call("book_flight", flight_number="DW101", passenger_name="Ada")
        assert booking["flight"]["flight_number"] == "DW101"
        assert await price_of_door(host) > 0
    assert {"tools:read", "tools:write"} <= set(answer_parameters(browser.visits[1])["scope"].split())
    assert len(browser.visits) == 2


async def test_mcp_remote_is_known_by_a_metadata_document(
    documented: RunningDoorward, fresh_browser: FormBrowser, authority: Authority, home: Home
) -> None:
    async with serve_document(authority, ["http://localhost/oauth/callback"]) as document:
        options = [str(find_free_port()), "--client-metadata-url", document.url]
        async with run_bridge(home, fresh_browser, documented.demo, *options) as host:
            await host.shake_hands()
            assert await price_of_door(host) > 0
    assert [answer_parameters(url)["client_id"] for url in fresh_browser.visits] == [document.url]
    assert document.requests == ["GET /client.json HTTP/1.1"]
