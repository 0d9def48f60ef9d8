"""The demo: an MCP server like anybody's, honest about its data, protected by what everybody gets."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent
from starlette.applications import Starlette
from starlette.routing import Mount

from doorward.demo import DEMO_SCOPES, DEMO_TOOLS, build_demo
from doorward.demo.sample import MAX_BOOKINGS_OF_A_USER, MAX_USERS, Bookings
from tests.resource.world import ISSUER, Mint, bind, browse, serve

CALLS: dict[str, dict[str, Any]] = {
    "weather_forecast": {"city": "lisbon", "days": 7},
    "stock_quotes": {"symbols": ["acme", "ACME", "NONE"]},
    "flight_search": {"origin": "lis", "destination": "BER", "date": "2027-01-31"},
    "book_flight": {"flight_number": "dw 101", "passenger_name": "Ada Lovelace"},
}


@asynccontextmanager
async def demo_at(mint_path: str = "/demo/mcp") -> AsyncIterator[Mint]:
    listener, url = bind()
    mint = Mint(resource=f"{url}{mint_path}")
    async with serve(build_demo(mint.resource, ISSUER, mint.verifier()), listener):
        yield mint


async def call(mint: Mint, tool: str, arguments: dict[str, Any], scope: str = "", **claims: Any) -> CallToolResult:
    async with (
        httpx2.AsyncClient(headers=mint.header(scope, **claims)) as http_client,
        Client(streamable_http_client(mint.resource, http_client=http_client)) as client,
    ):
        return await client.call_tool(tool, arguments)


async def test_every_tool_answers_and_says_that_its_data_are_samples() -> None:
    async with demo_at() as mint:
        for tool, arguments in CALLS.items():
            result = await call(mint, tool, arguments, "tools:read tools:write")
            assert not result.is_error
            assert result.structured_content is not None
            assert "Sample data" in result.structured_content["notice"]


async def test_tools_tell_what_they_do_before_they_are_called() -> None:
    async with (
        demo_at() as mint,
        httpx2.AsyncClient(headers=mint.header("")) as http_client,
        Client(streamable_http_client(mint.resource, http_client=http_client)) as client,
    ):
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert list(tools) == [tool["name"] for tool in DEMO_TOOLS] == list(CALLS)
    for described in DEMO_TOOLS:
        tool = tools[described["name"]]
        assert tool.title == described["title"]
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint == (described["kind"] == "read")
        assert tool.output_schema is not None
        assert tool.description


@pytest.mark.parametrize("scope", ["", "tools:read", "tools:write", "tools:read tools:write"])
async def test_each_tool_needs_its_scope_t20(scope: str) -> None:
    async with demo_at() as mint, httpx2.AsyncClient() as client:
        for tool in DEMO_TOOLS:
            params = {"name": tool["name"], "arguments": CALLS[tool["name"]]}
            response = await client.post(
                mint.resource,
                json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params},
                headers={"Accept": "application/json, text/event-stream", **mint.header(scope)},
            )
            allowed = set(tool["scopes"]) <= set(scope.split())
            assert response.status_code == (200 if allowed else 403)


async def test_the_first_challenge_asks_for_reading_alone() -> None:
    async with demo_at() as mint, httpx2.AsyncClient() as client:
        challenge = (await client.post(mint.resource)).headers["www-authenticate"]
    assert challenge.endswith('scope="tools:read"')


async def test_bookings_belong_to_the_user_who_made_them() -> None:
    async with demo_at() as mint:
        counts = []
        for person in ("alice", "bob", "alice"):
            result = await call(mint, "book_flight", CALLS["book_flight"], "tools:write", sub=person)
            assert result.structured_content is not None
            counts.append(result.structured_content["bookings_of_this_user"])
    assert counts == [1, 1, 2]


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("weather_forecast", {"city": "Atlantis"}, "Lisbon"),
        ("flight_search", {"origin": "LIS", "destination": "NRT", "date": "2027-01-31"}, "LIS–BER"),
        ("book_flight", {"flight_number": "XX999", "passenger_name": "Ada"}, "DW101"),
        ("weather_forecast", {"city": "Lisbon", "days": 8}, "days"),
        ("flight_search", {"origin": "LIS", "destination": "BER", "date": "someday"}, "date"),
        ("stock_quotes", {"symbols": []}, "symbols"),
        ("book_flight", {"flight_number": "DW101", "passenger_name": "x" * 121}, "passenger_name"),
    ],
)
async def test_what_the_sample_does_not_hold_is_said_with_what_it_does(
    tool: str, arguments: dict[str, Any], said: str
) -> None:
    async with demo_at() as mint:
        result = await call(mint, tool, arguments, "tools:read tools:write")
    assert result.is_error
    assert isinstance(result.content[0], TextContent)
    assert said in result.content[0].text


@pytest.mark.parametrize("path", ["/demo/mcp", "/demo/mcp/"])
async def test_it_may_be_mounted_in_another_app_that_runs_it(path: str) -> None:
    mint = Mint(resource="https://api.test/demo/mcp")
    demo = build_demo(mint.resource, ISSUER, mint.verifier())
    headers = {"Accept": "application/json, text/event-stream", **mint.header()}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    async with demo.lifespan(), browse(Starlette(routes=[Mount("/demo", app=demo)])) as mounted, browse(demo) as direct:
        for client in (mounted, direct):
            response = await client.post(path, json=body, headers=headers)
            assert (response.status_code, "book_flight" in response.text) == (200, True)


def test_bookings_are_bounded_i13() -> None:
    bookings = Bookings()
    counts = [
        bookings.book(("iss", "alice"), "DW101", "Ada").bookings_of_this_user for _ in range(MAX_BOOKINGS_OF_A_USER + 5)
    ]
    assert max(counts) == counts[-1] == MAX_BOOKINGS_OF_A_USER
    for number in range(MAX_USERS + 5):
        bookings.book(("iss", str(number)), "DW101", "Ada")
    assert len(bookings._of_user) == MAX_USERS


def test_the_scopes_are_plain_data_and_a_person_is_told_of_every_tool() -> None:
    assert json.loads(json.dumps(DEMO_SCOPES)) == DEMO_SCOPES
    assert [scope["name"] for scope in DEMO_SCOPES] == ["tools:read", "tools:write"]
    assert all(scope.keys() == {"name", "title", "description", "kind", "tools"} for scope in DEMO_SCOPES)
    opened = [tool["name"] for scope in DEMO_SCOPES for tool in scope["tools"]]
    assert opened == [tool["name"] for tool in DEMO_TOOLS]


def test_sample_files_say_what_they_are() -> None:
    for name in ("weather", "stocks", "flights"):
        document = json.loads(files("doorward.demo").joinpath("data", f"{name}.json").read_text(encoding="utf-8"))
        assert document["notice"].startswith("Sample data shipped with the Doorward demo")
