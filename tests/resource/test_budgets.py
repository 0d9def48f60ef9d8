"""Budgets at the guard: who is charged for what, and what a call that is too much is told (RS-20)."""

import json
import logging
from collections.abc import Sequence
from typing import Any

import httpx2
import pytest

from doorward.resource import Budget, Budgets, Charge, ProtectMCP, Report, Short
from doorward.resource.budgets import MAX_CHARGES, describe_wait
from tests.resource.world import Clock, Echo, Mint, browse

NOW = 1_800_000_037.2


def tool_call(tool: str = "search", *, request_id: Any = 7) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": {"name": tool, "arguments": {}}}


class World:
    """A guard with budgets, and a clock that stands still."""

    def __init__(self, *rules: str, costs: dict[str, int] | None = None, **options: Any) -> None:
        self.mint, self.app, self.clock = Mint(), Echo(), Clock(NOW)
        self.budgets = Budgets(rules, costs=costs, clock=self.clock)
        self.guard: ProtectMCP = self.mint.protect(self.app, budgets=self.budgets, **options)

    async def call(self, *tools: str, **claims: Any) -> int:
        """The status of one call, or of a batch of several."""
        calls = [tool_call(tool) for tool in tools or ("search",)]
        return (await self.post(calls[0] if len(calls) == 1 else calls, **claims)).status_code

    async def post(self, body: Any, headers: dict[str, str] | None = None, **claims: Any) -> httpx2.Response:
        async with browse(self.guard) as client:
            return await client.post("/mcp", json=body, headers={**self.mint.header(**claims), **(headers or {})})


async def test_what_is_too_much_is_told_how_much_is_allowed_and_when_again_rs_20() -> None:
    world = World("10/minute per user")
    assert [await world.call() for _ in range(10)] == [200] * 10
    answer = await world.post(tool_call(request_id="call-11"))
    assert (answer.status_code, world.app.calls) == (429, 10)
    assert answer.json() == {
        "jsonrpc": "2.0",
        "id": "call-11",
        "error": {
            "code": 429,
            "message": "The budget of 10 tool calls a minute is used up; again in 23 seconds.",
            "data": {"budget": "10/minute per user", "limit": 10, "remaining": 0, "retry_after": 23},
        },
    }
    assert answer.headers["retry-after"] == "23"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 second"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (121, "3 minutes"),
        (3540, "59 minutes"),
        (3541, "1 hour"),
        (7200, "2 hours"),
        (7464, "2 hours and 5 minutes"),
        (86_399, "24 hours"),
        (172_800, "2 days"),
        (172_801, "2 days and 1 hour"),
        (31 * 86_400, "31 days"),
    ],
)
def test_a_wait_is_told_in_words_and_never_too_short(seconds: int, words: str) -> None:
    assert describe_wait(seconds) == words


async def test_retry_after_is_the_first_whole_second_in_which_the_call_gets_through() -> None:
    world = World("1/minute per user")
    for at, wait in ((NOW, "23"), (1_800_000_120.0, "60"), (1_800_000_299.999, "1")):
        world.clock.now = at
        assert await world.call() == 200
        assert (await world.post(tool_call())).headers["retry-after"] == wait
        world.clock.now = at + int(wait) - 1
        assert await world.call() == 429
        world.clock.now = at + int(wait)
        assert await world.call() == 200


@pytest.mark.parametrize("request_id", [7, 0, -1, "seven", "", "ü"])
async def test_the_answer_names_the_request_it_is_about(request_id: str | int) -> None:
    world = World("1/day per user")
    await world.call()
    assert (await world.post(tool_call(request_id=request_id))).json()["id"] == request_id


async def test_a_notification_and_a_batch_are_answered_without_an_id() -> None:
    world = World("1/day per user")
    await world.call()
    notification = {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "search"}}
    for body in (notification, [tool_call(), tool_call()], [tool_call(), notification]):
        answer = await world.post(body)
        assert (answer.status_code, answer.json()["id"]) == (429, None)
    assert world.app.calls == 1


async def test_pages_may_read_what_they_are_told() -> None:
    world = World("1/day per user", allowed_origins=["https://chat.example"])
    await world.call()
    answer = await world.post(tool_call(), headers={"Origin": "https://chat.example"})
    assert answer.status_code == 429
    assert answer.headers["access-control-allow-origin"] in {"*", "https://chat.example"}
    assert "retry-after" in answer.headers["access-control-expose-headers"].lower()


async def test_a_batch_is_charged_as_a_whole_or_not_at_all() -> None:
    world = World("10/minute per user", "3/day per user on book")
    assert await world.call(*["search"] * 7) == 200
    answer = await world.post([tool_call("search")] * 4)
    assert answer.status_code == 429
    assert answer.json()["error"]["data"]["remaining"] == 3
    assert await world.call("search", "search", "book") == 200
    assert await world.call("search") == 429


async def test_only_calls_of_tools_are_charged() -> None:
    world = World("1/day per user")
    await world.call()
    for method in ("tools/list", "resources/read", "prompts/get", "ping"):
        answer = await world.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": {}})
        assert answer.status_code == 200
    async with browse(world.guard) as client:
        assert (await client.get("/mcp", headers=world.mint.header())).status_code == 200


async def test_a_call_that_is_refused_for_its_scopes_is_not_charged() -> None:
    world = World("1/day per user", tools={"search": ["tools:read"], "book": ["tools:write"]})
    assert await world.call("book") == 403
    assert await world.call("search") == 200
    assert await world.call("search") == 429


ALICE = {"sub": "alice", "client_id": "app", "grant_id": "g1"}
OTHERS: dict[str, dict[str, Any]] = {
    "another person": {**ALICE, "sub": "bob", "grant_id": "g2"},
    "another client": {**ALICE, "client_id": "other", "grant_id": "g3"},
    "another connection": {**ALICE, "grant_id": "g4"},
    "another tool": ALICE,
}


@pytest.mark.parametrize(
    ("per", "apart"),
    [
        ("user", {"another person"}),
        ("client", {"another client"}),
        ("connection", {"another person", "another client", "another connection"}),
        ("tool", {"another tool"}),
        ("user and client", {"another person", "another client"}),
        ("user and tool", {"another person", "another tool"}),
        ("server", set()),
    ],
)
async def test_what_is_counted_apart_is_what_the_budget_is_per(per: str, apart: set[str]) -> None:
    for other, claims in OTHERS.items():
        world = World(f"1/day per {per}")
        assert await world.call(**ALICE) == 200
        assert await world.call(**ALICE) == 429
        tool = "fetch" if other == "another tool" else "search"
        assert await world.call(tool, **claims) == (200 if other in apart else 429), other


async def test_where_an_issuer_names_no_connections_they_are_the_person_with_the_client() -> None:
    world = World("1/day per connection")
    assert [await world.call(), await world.call(), await world.call(client_id="other")] == [200, 429, 200]


async def test_two_servers_that_share_counters_do_not_share_budgets() -> None:
    mint, other = Mint(), Mint(resource="https://api.test/other")
    seen: list[Charge] = []

    class Seen:
        async def take(self, charges: Sequence[Charge], *, now: float) -> Short | None:
            seen.extend(charges)
            return None

        async def aclose(self) -> None:
            seen.clear()

    async with Budgets(["1/day per user"], counters=Seen()) as budgets:
        for issuer, path in ((mint, "/mcp"), (other, "/other")):
            async with browse(issuer.protect(Echo(), budgets=budgets)) as client:
                answer = await client.post(path, json=tool_call(), headers=issuer.header(sub="alice@example.com"))
                assert answer.status_code == 200
        assert len({charge.key for charge in seen}) == 2
        assert all(len(charge.key) == 32 and "alice" not in charge.key for charge in seen)
    assert seen == []


async def test_a_budget_on_some_tools_leaves_the_others_alone() -> None:
    world = World("2/day per user on book, cancel")
    assert [await world.call(tool) for tool in ("book", "cancel", "book", "cancel", "search")] == [
        200,
        200,
        429,
        429,
        200,
    ]


async def test_tools_cost_what_is_said_and_one_otherwise() -> None:
    world = World("cost 10/day per user", costs={"draw": 4, "free": 0})
    statuses = [await world.call(tool) for tool in ("draw", "draw", "draw", "search", "search", "search", "free")]
    assert statuses == [200, 200, 429, 200, 200, 429, 200]
    answer = await world.post(tool_call("draw"))
    assert answer.json()["error"]["message"].startswith("The budget of 10 units of use a day is used up; again in ")


async def test_what_is_more_than_a_whole_budget_is_not_told_to_come_back() -> None:
    world = World("3/minute per user")
    answer = await world.post([tool_call()] * 4)
    assert answer.status_code == 429
    assert "retry-after" not in answer.headers
    assert answer.json()["error"] == {
        "code": 429,
        "message": "These calls are more than the whole budget of 3 tool calls a minute. Send fewer at once.",
        "data": {"budget": "3/minute per user", "limit": 3, "remaining": 3},
    }
    assert await world.call("search", "search", "search") == 200


async def test_a_batch_of_very_many_tools_is_not_counted_one_by_one() -> None:
    world = World("5/minute per user and tool")
    assert await world.call(*(f"tool-{number}" for number in range(MAX_CHARGES))) == 200
    assert await world.call(*(f"tool-{number}" for number in range(MAX_CHARGES + 1))) == 429


async def test_the_budget_that_holds_back_for_longest_is_named() -> None:
    world = World("2/minute per user", "2/hour per user", "9/day per user")
    assert await world.call("search", "search") == 200
    data = (await world.post(tool_call())).json()["error"]["data"]
    assert data == {"budget": "2/hour per user", "limit": 2, "remaining": 0, "retry_after": 3563}


async def test_a_token_brings_its_budgets_along_without_any_given_here() -> None:
    mint, app = Mint(), Echo()
    guard = mint.protect(app)
    async with browse(guard) as client:
        for wanted in (200, 200, 429):
            headers = mint.header(budgets=["2/day per user", "cost 100/day per client"])
            assert (await client.post("/mcp", json=tool_call(), headers=headers)).status_code == wanted
        assert (await client.post("/mcp", json=tool_call(), headers=mint.header())).status_code == 200
    assert app.calls == 3


async def test_those_of_the_token_and_those_given_here_both_count() -> None:
    world = World("3/minute per user")
    carried = {"budgets": ["5/day per user"]}
    assert [await world.call(**carried) for _ in range(4)] == [200, 200, 200, 429]
    world.clock.now += 60
    assert [await world.call(**carried) for _ in range(3)] == [200, 200, 429]


async def test_of_two_budgets_that_differ_in_their_limit_alone_the_lower_one_counts_once() -> None:
    world = World("4/day per user", "9/day per user")
    assert [await world.call(budgets=["3/day per user"]) for _ in range(4)] == [200, 200, 200, 429]
    # A token from before the limit was lowered does not bring a count of its own.
    assert [await world.call(budgets=["20/day per user"]) for _ in range(2)] == [200, 429]


@pytest.mark.parametrize(
    "carried", ["1/day per user", {"limit": 1}, [7], ["10/fortnight per user"], ["1/day per user"] * 9]
)
async def test_a_token_whose_budgets_cannot_be_read_calls_no_tools(carried: Any) -> None:
    reports: list[Report] = []

    class Reports:
        def report(self, report: Report) -> None:
            reports.append(report)

    world = World(reporter=Reports())
    answer = await world.post(tool_call(), budgets=carried)
    assert (answer.status_code, world.app.calls) == (403, 0)
    assert answer.text == "The access token carries budgets that this server does not understand.\n"
    assert "www-authenticate" not in answer.headers
    assert reports[-1].outcome == "refused"
    assert reports[-1].reason.startswith("budgets of the token: ")
    listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert (await world.post(listing, budgets=carried)).status_code == 200


async def test_the_timeline_is_told_which_budget_it_was() -> None:
    reports: list[Report] = []

    class Reports:
        def report(self, report: Report) -> None:
            reports.append(report)

    world = World("1/day per user", reporter=Reports())
    await world.call(grant_id="g1")
    await world.call(grant_id="g1")
    assert [(report.step, report.outcome, report.reason) for report in reports] == [
        ("call", "ok", ""),
        ("call", "refused", "budget_exceeded: 1/day per user"),
    ]
    assert (reports[-1].client_id, reports[-1].grant_id, reports[-1].user_id) == ("app", "g1", "alice")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rules": "10/minute per user"}, "give a list of budgets"),
        ({"rules": ["10/minute"]}, "is no budget"),
        ({"costs": {"draw": -1}}, "costs: a tool costs"),
        ({"costs": {"draw": 10**10}}, "costs: a tool costs"),
    ],
)
def test_rules_that_cannot_be_right_are_refused_at_the_start(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Budgets(**given)


async def test_a_budget_may_be_given_as_one(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="doorward.resource")
    mint = Mint()
    guard = mint.protect(Echo(), budgets=Budgets([Budget(1, 86_400, ("user",))]))
    async with browse(guard) as client:
        for wanted in (200, 429):
            sent = json.dumps(tool_call()).encode()
            headers = {**mint.header(), "content-type": "application/json"}
            assert (await client.post("/mcp", content=sent, headers=headers)).status_code == wanted
    assert caplog.records == []
