"""An operator's budgets for a server travel in its tokens, and are told to whoever introspects."""

import stat
from dataclasses import replace
from typing import Any

import pytest

from doorward.manage import resources
from doorward.mounting import protect_in_process
from doorward.resource import Budgets, IntrospectionVerifier
from tests.inside import ISSUER, RESOURCE, Door
from tests.resource.world import Echo, browse
from tests.server.steps import claims_of, confidential, confidential_tokens, introspect, project_key, success

CHOSEN = ("10/minute per user", "cost 500/day per connection")


async def choose(door: Door, *budgets: str, **settings: Any) -> None:
    changed = replace(door.resource.settings, budgets=budgets, **settings)
    await resources.change(door.operator, door.resource, settings=changed)
    door.clock.advance(seconds=1)


async def test_a_token_carries_the_budgets_of_its_server(door: Door) -> None:
    _, tokens = await door.tokens()
    assert "budgets" not in claims_of(tokens["access_token"])
    await choose(door, *CHOSEN)
    _, tokens = await door.tokens()
    assert claims_of(tokens["access_token"])["budgets"] == list(CHOSEN)
    tokens = await confidential_tokens(door, await confidential(door))
    assert claims_of(tokens["access_token"])["budgets"] == list(CHOSEN)


async def test_a_change_counts_from_the_next_token_on(door: Door) -> None:
    await choose(door, *CHOSEN)
    client_id, tokens = await door.tokens()
    await choose(door, "3/hour per user")
    refreshed = success(await door.refresh(client_id, tokens["refresh_token"]))
    assert claims_of(refreshed["access_token"])["budgets"] == ["3/hour per user"]
    await choose(door)
    refreshed = success(await door.refresh(client_id, refreshed["refresh_token"]))
    assert "budgets" not in claims_of(refreshed["access_token"])


async def test_two_spellings_of_one_budget_are_one(door: Door) -> None:
    await choose(door, " 10/60s  per user", "10/minute per user")
    _, tokens = await door.tokens()
    assert claims_of(tokens["access_token"])["budgets"] == ["10/minute per user"]


@pytest.mark.parametrize("token_format", ["jwt", "opaque"])
async def test_introspection_tells_budgets_and_a_guard_that_asks_holds_to_them_int_05(
    door: Door, token_format: str
) -> None:
    await choose(door, "2/day per connection", token_format=token_format)
    key = await project_key(door, "introspect")
    _, first = await door.tokens()
    _, second = await door.tokens()
    assert (await introspect(door, first["access_token"], key))["budgets"] == ["2/day per connection"]
    budgets = Budgets(clock=lambda: door.clock() / 1000)
    async with door.http as http:
        verifier = IntrospectionVerifier(
            issuer=ISSUER, resource=RESOURCE, key=key, http_client=http, clock=lambda: door.clock() / 1000
        )
        one, other = [await verifier.verify(tokens["access_token"]) for tokens in (first, second)]
    assert [await budgets.charge(one, ["weather"]) is None for _ in range(3)] == [True, True, False]
    assert await budgets.charge(other, ["weather"]) is None


async def test_what_was_used_of_a_budget_outlives_a_restart_of_the_guard_beside_it(door: Door) -> None:
    await choose(door, "2/day per user")
    _, tokens = await door.tokens()
    headers = {"authorization": f"Bearer {tokens['access_token']}"}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "weather"}}
    statuses = []
    for _ in range(2):
        guarded = protect_in_process(door.context, RESOURCE, Echo())
        async with guarded.lifespan(), browse(guarded, "https://api.example.com") as client:
            statuses += [(await client.post("/mcp", json=call, headers=headers)).status_code for _ in range(2)]
    assert statuses == [200, 200, 429, 429]
    assert stat.S_IMODE((door.context.settings.data / "counters.db").stat().st_mode) == 0o600
