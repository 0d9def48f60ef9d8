"""The official Python SDK, unmodified, against a running server, over real sockets."""

import anyio
import pytest
from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamable_http_client

from doorward.demo.listener import SignInRefused
from tests.interop.browsers import FormBrowser
from tests.interop.clients import Storage, Wire, call_with, connect_sdk, revoke, sdk_http
from tests.interop.tools import book, price_of_door, use_tools
from tests.person import answer_parameters
from tests.running import RunningDoorward, start_doorward

ERAS = pytest.mark.parametrize(("mode", "version"), [("legacy", "2025-11-25"), ("auto", "2026-07-28")])
GETTING_IN = [
    "POST /demo/mcp 401",
    "GET /.well-known/oauth-protected-resource/demo/mcp 200",
    "GET /.well-known/oauth-authorization-server 200",
    "POST /api/oauth/register 201",
    "POST /api/oauth/token 200",
    "POST /demo/mcp 200",
]


@ERAS
async def test_the_sdk_discovers_registers_signs_in_and_calls_tools_gen_03(
    doorward: RunningDoorward, fresh_browser: FormBrowser, mode: str, version: str
) -> None:
    async with connect_sdk(doorward.demo, fresh_browser, mode=mode) as sdk:
        assert sdk.wire.exchanges[: len(GETTING_IN)] == GETTING_IN
        assert sdk.client.protocol_version == version
        await use_tools(sdk.client)

        asked = answer_parameters(fresh_browser.visits[0])
        assert asked["resource"] == doorward.demo
        assert asked["code_challenge_method"] == "S256"
        assert asked["scope"].split() == ["tools:read", "offline_access"]
        assert (sdk.tokens.token_type, sdk.tokens.expires_in) == ("Bearer", 900)
        assert sdk.tokens.scope == "tools:read offline_access"
        assert len(fresh_browser.visits) == 1


@ERAS
async def test_the_sdk_refreshes_by_itself_when_its_access_token_has_run_out(
    doorward: RunningDoorward, browser: FormBrowser, mode: str, version: str
) -> None:
    async with connect_sdk(doorward.demo, browser, mode=mode) as sdk:
        first = sdk.tokens
        sdk.wire.take()
        for _ in range(3):
            sdk.let_token_run_out()
            assert await price_of_door(sdk.client) > 0

        assert sdk.wire.take() == ["POST /api/oauth/token 200", "POST /demo/mcp 200"] * 3
        assert sdk.tokens.access_token != first.access_token
        assert sdk.tokens.refresh_token != first.refresh_token
        assert sdk.tokens.scope == first.scope
        assert len(browser.visits) == 1


@ERAS
async def test_a_revoked_sdk_gets_401_and_asks_the_person_again(
    doorward: RunningDoorward, browser: FormBrowser, mode: str, version: str
) -> None:
    async with connect_sdk(doorward.demo, browser, mode=mode) as sdk:
        assert sdk.storage.client is not None
        lost = sdk.tokens
        assert lost.refresh_token is not None
        await revoke(doorward.issuer, sdk.storage.client.client_id, lost.refresh_token)

        refused = await call_with(doorward.demo, lost.access_token)
        assert refused.status_code == 401
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]

        sdk.wire.take()
        assert await price_of_door(sdk.client) > 0
        assert sdk.wire.take() == [step for step in GETTING_IN if "register" not in step]
        assert len(browser.visits) == 2
        assert sdk.tokens.refresh_token != lost.refresh_token


async def test_a_revoked_refresh_token_sends_the_sdk_to_the_person_and_not_in_circles(
    doorward: RunningDoorward, browser: FormBrowser
) -> None:
    async with connect_sdk(doorward.demo, browser) as sdk:
        assert sdk.storage.client is not None
        await revoke(doorward.issuer, sdk.storage.client.client_id, str(sdk.tokens.refresh_token))
        sdk.wire.take()
        sdk.let_token_run_out()
        assert await price_of_door(sdk.client) > 0
        steps = sdk.wire.take()
        assert steps[:2] == ["POST /api/oauth/token 400", "POST /demo/mcp 401"]
        assert steps[-2:] == ["POST /api/oauth/token 200", "POST /demo/mcp 200"]
        assert len(browser.visits) == 2


@ERAS
async def test_the_sdk_steps_up_for_a_tool_that_needs_more(
    doorward: RunningDoorward, browser: FormBrowser, mode: str, version: str
) -> None:
    async with connect_sdk(doorward.demo, browser, mode=mode) as sdk:
        sdk.wire.take()
        assert await book(sdk.client) == "DW101"

        assert sdk.wire.take() == ["POST /demo/mcp 403", "POST /api/oauth/token 200", "POST /demo/mcp 200"]
        asked = answer_parameters(browser.visits[1])
        assert set(asked["scope"].split()) == {"tools:read", "tools:write", "offline_access"}
        assert set(str(sdk.tokens.scope).split()) == {"tools:read", "tools:write", "offline_access"}

        # What it had before it still has, also after a refresh.
        sdk.let_token_run_out()
        assert await book(sdk.client) == "DW101"
        assert await price_of_door(sdk.client) > 0
        assert len(browser.visits) == 2


async def test_a_person_who_denies_is_the_reason_the_sdk_gives(doorward: RunningDoorward, browser: FormBrowser) -> None:
    browser.decision = "deny"
    with pytest.RaisesGroup(pytest.RaisesExc(SignInRefused, match="not allowed"), flatten_subgroups=True):
        async with connect_sdk(doorward.demo, browser):
            pass
    assert len(browser.visits) == 1


async def test_the_sdk_comes_back_with_stored_tokens_without_a_browser(
    doorward: RunningDoorward, browser: FormBrowser
) -> None:
    storage = Storage()
    async with connect_sdk(doorward.demo, browser, storage=storage):
        pass
    async with connect_sdk(doorward.demo, browser, storage=storage) as sdk:
        await use_tools(sdk.client)
        assert set(sdk.wire.take()) == {"POST /demo/mcp 200"}
    assert len(browser.visits) == 1


async def test_a_client_session_of_the_sdk_shakes_hands_and_calls_tools(
    doorward: RunningDoorward, browser: FormBrowser
) -> None:
    wire = Wire()
    async with (
        sdk_http(doorward.demo, browser, Storage(), wire) as http,
        streamable_http_client(doorward.demo, http_client=http) as (incoming, outgoing),
        ClientSession(incoming, outgoing) as session,
    ):
        welcome = await session.initialize()
        assert (welcome.protocol_version, welcome.server_info.name) == ("2025-11-25", "doorward-demo")
        await use_tools(session)
        assert wire.exchanges[: len(GETTING_IN)] == GETTING_IN


async def test_tokens_outlive_a_restart_of_the_server(
    tmp_path_factory: pytest.TempPathFactory, fresh_browser: FormBrowser
) -> None:
    data = tmp_path_factory.mktemp("doorward") / "data"
    server = start_doorward(data, "--demo")
    try:
        storage = Storage()
        async with connect_sdk(server.demo, fresh_browser, storage=storage) as sdk:
            assert server.stop() == 0
            server = start_doorward(data, "--demo", port=server.port)
            assert await price_of_door(sdk.client) > 0
            sdk.let_token_run_out()
            assert await price_of_door(sdk.client) > 0
        assert len(fresh_browser.visits) == 1
    finally:
        server.stop()


async def test_two_processes_of_one_app_refresh_at_the_same_time_and_both_go_on(
    doorward: RunningDoorward, browser: FormBrowser
) -> None:
    storage = Storage()
    async with connect_sdk(doorward.demo, browser, storage=storage) as first:
        twin = Storage(storage.tokens, storage.client)
        async with connect_sdk(doorward.demo, browser, storage=twin) as second:
            second.provider.context.oauth_metadata = first.provider.context.oauth_metadata
            second.provider.context.protected_resource_metadata = first.provider.context.protected_resource_metadata
            first.let_token_run_out()
            second.let_token_run_out()
            async with anyio.create_task_group() as both:
                both.start_soon(price_of_door, first.client)
                both.start_soon(price_of_door, second.client)
            assert "POST /api/oauth/token 200" in second.wire.exchanges
            assert second.tokens.refresh_token == first.tokens.refresh_token
    assert len(browser.visits) == 1
