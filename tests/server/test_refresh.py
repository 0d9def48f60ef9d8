"""Refreshing: rotation, narrowing, and the world looked at again each time (RT-01 … RT-10, T26, T43)."""

import pytest

from doorward.manage import clients, connections, resources, users
from doorward.server.jobs import sweep
from tests.inside import LOOPBACK, RESOURCE, Door, open_door
from tests.running import ADMIN_EMAIL
from tests.server.steps import claims_of, is_active, refusal, set_project, success

REFUSED = (400, "invalid_grant")
DAY = 86_400


async def test_each_use_gives_a_new_refresh_token_rt_03(door: Door) -> None:
    client_id, tokens = await door.tokens()
    seen = {tokens["refresh_token"]}
    for _ in range(5):
        tokens = success(await door.refresh(client_id, tokens["refresh_token"]))
        seen.add(tokens["refresh_token"])
    assert len(seen) == 6


async def test_the_answer_is_as_complete_as_the_first_one_tok_03_04(door: Door) -> None:
    client_id, tokens = await door.tokens(scope="tools:read tools:write offline_access")
    door.clock.advance(seconds=60)
    refreshed = success(await door.refresh(client_id, tokens["refresh_token"]))
    assert refreshed == {
        "access_token": refreshed["access_token"],
        "token_type": "Bearer",
        "expires_in": 900,
        "scope": "tools:read tools:write offline_access",
        "refresh_token": refreshed["refresh_token"],
    }
    before, after = claims_of(tokens["access_token"]), claims_of(refreshed["access_token"])
    moved = {"iat": before["iat"] + 60, "exp": before["exp"] + 60, "jti": after["jti"]}
    assert after == {**before, **moved}
    assert after["jti"] != before["jti"]


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ("tools:read", "tools:read"),
        ("tools:write", "tools:write"),
        ("tools:write tools:read", "tools:write tools:read"),
        ("tools:read telepathy openid", "tools:read"),
        ("tools:read offline_access", "tools:read"),
        ("", "tools:read tools:write"),
    ],
)
async def test_a_refresh_narrows_the_scope_and_never_widens_it_rt_05(door: Door, asked: str, granted: str) -> None:
    client_id, tokens = await door.tokens(scope="tools:read tools:write")
    refreshed = success(await door.refresh(client_id, tokens["refresh_token"], scope=asked))
    assert refreshed["scope"] == granted
    assert claims_of(refreshed["access_token"])["scope"] == granted


async def test_a_narrowed_refresh_leaves_the_whole_grant_to_the_next_one_rt_02_05(door: Door) -> None:
    client_id, tokens = await door.tokens(scope="tools:read tools:write")
    narrowed = success(await door.refresh(client_id, tokens["refresh_token"], scope="tools:read"))
    whole = success(await door.refresh(client_id, narrowed["refresh_token"]))
    assert whole["scope"] == "tools:read tools:write"


@pytest.mark.parametrize("scope", ["tools:write", "telepathy", 'bad"scope', "x" * 129])
async def test_a_scope_of_which_nothing_was_granted_is_refused_and_spends_nothing(door: Door, scope: str) -> None:
    client_id, tokens = await door.tokens()
    assert refusal(await door.refresh(client_id, tokens["refresh_token"], scope=scope)) == (400, "invalid_scope")
    success(await door.refresh(client_id, tokens["refresh_token"]))


@pytest.mark.parametrize("spelling", ["", RESOURCE, f"{RESOURCE}/"])
async def test_a_refresh_keeps_the_resource_whether_or_not_it_is_named_rt_02_06(door: Door, spelling: str) -> None:
    client_id, tokens = await door.tokens()
    await resources.add(door.operator, door.project, "https://second.example.com/mcp", name="Second", is_default=True)
    door.clock.advance(seconds=1)
    refreshed = success(await door.refresh(client_id, tokens["refresh_token"], resource=spelling))
    assert claims_of(refreshed["access_token"])["aud"] == RESOURCE


@pytest.mark.parametrize("resource", ["https://second.example.com/mcp", f"{RESOURCE}/x", "nonsense"])
async def test_another_resource_is_refused_and_spends_nothing_rt_06(door: Door, resource: str) -> None:
    await resources.add(door.operator, door.project, "https://second.example.com/mcp", name="Second")
    door.clock.advance(seconds=1)
    client_id, tokens = await door.tokens()
    answer = await door.refresh(client_id, tokens["refresh_token"], resource=resource)
    assert refusal(answer) == (400, "invalid_target")
    success(await door.refresh(client_id, tokens["refresh_token"]))


async def test_another_client_gets_nothing_and_ends_nothing_rt_02(door: Door) -> None:
    client_id, tokens = await door.tokens()
    evil = (await door.register(client_name="Evil"))["client_id"]
    assert refusal(await door.refresh(evil, tokens["refresh_token"])) == REFUSED
    success(await door.refresh(client_id, tokens["refresh_token"]))
    assert refusal(await door.refresh(evil, tokens["refresh_token"])) == REFUSED


@pytest.mark.parametrize("change", ["cut", "longer", "other generation", "empty family", "upper case"])
async def test_a_token_that_nobody_derived_is_refused_and_ends_nothing_rt_08_t27(door: Door, change: str) -> None:
    client_id, tokens = await door.tokens()
    token = tokens["refresh_token"]
    forged = {
        "cut": token[:-7],
        "longer": f"{token}A",
        "other generation": f"{token[:26]}B{token[27:]}",
        "empty family": "mrt_AAAA",
        "upper case": token.upper(),
    }[change]
    assert refusal(await door.refresh(client_id, forged)) == REFUSED
    success(await door.refresh(client_id, token))


async def test_a_missing_refresh_token_is_named(door: Door) -> None:
    client_id, _ = await door.tokens()
    answer = await door.refresh(client_id, "")
    assert refusal(answer) == (400, "invalid_request")
    assert "refresh_token" in answer.json()["error_description"]


async def test_a_disabled_person_refreshes_nothing_until_enabled_again_t43(door: Door) -> None:
    client_id, tokens = await door.tokens()
    ada = await users.get(door.operator, door.project, ADMIN_EMAIL)
    await users.change(door.operator, ada, enabled=False)
    assert refusal(await door.refresh(client_id, tokens["refresh_token"])) == REFUSED
    assert not await is_active(door, tokens["access_token"])
    await users.change(door.operator, ada, enabled=True)
    success(await door.refresh(client_id, tokens["refresh_token"]))


async def test_a_removed_person_refreshes_nothing(door: Door) -> None:
    await users.add(door.operator, door.project, "bob@example.com", "another harbour, at noon")
    client_id, tokens = await door.tokens(door.person("bob@example.com", "another harbour, at noon"))
    await users.remove(door.operator, await users.get(door.operator, door.project, "bob@example.com"))
    assert refusal(await door.refresh(client_id, tokens["refresh_token"])) == REFUSED
    assert not await is_active(door, tokens["access_token"])


async def test_a_client_that_was_removed_is_told_to_register_again_rt_04(door: Door) -> None:
    client, _ = await clients.add(door.operator, door.project, (LOOPBACK,))
    code, verifier = await door.obtain_code(client.client_id, door.person())
    tokens = success(await door.redeem(client.client_id, code, verifier))
    await clients.remove(door.operator, client)
    assert refusal(await door.refresh(client.client_id, tokens["refresh_token"])) == (401, "invalid_client")
    assert not await is_active(door, tokens["access_token"])


async def test_a_grant_that_was_taken_back_refreshes_nothing_rt_04(door: Door) -> None:
    client_id, tokens = await door.tokens()
    ada = await users.get(door.operator, door.project, ADMIN_EMAIL)
    (app,) = await connections.list_apps(door.operator, door.project, ada)
    assert await connections.revoke(door.operator, door.project, ada, app.grant.grant_id)
    assert refusal(await door.refresh(client_id, tokens["refresh_token"])) == REFUSED
    assert not await is_active(door, tokens["access_token"])


async def test_a_removed_server_is_refreshed_for_by_nobody(door: Door) -> None:
    client_id, tokens = await door.tokens()
    await resources.remove(door.operator, door.resource)
    door.clock.advance(seconds=1)
    assert refusal(await door.refresh(client_id, tokens["refresh_token"])) == REFUSED


@pytest.mark.parametrize(("seconds", "works"), [(30 * DAY - 1, True), (30 * DAY, False)])
async def test_a_refresh_token_that_lies_idle_ends_after_30_days_rt_07(
    door: Door, seconds: int, *, works: bool
) -> None:
    client_id, tokens = await door.tokens()
    door.clock.advance(seconds=seconds)
    assert ((await door.refresh(client_id, tokens["refresh_token"])).status == 200) is works


@pytest.mark.parametrize(("last", "works"), [(90 * DAY - 1, True), (90 * DAY, False)])
async def test_a_refresh_token_in_daily_use_ends_after_90_days_rt_07(door: Door, last: int, *, works: bool) -> None:
    client_id, tokens = await door.tokens()
    start = door.clock.now
    for day in range(10, 90, 10):
        door.clock.now = start + day * DAY * 1000
        tokens = success(await door.refresh(client_id, tokens["refresh_token"]))
    door.clock.now = start + last * 1000
    assert ((await door.refresh(client_id, tokens["refresh_token"])).status == 200) is works


async def test_an_operators_lifetimes_hold_for_new_grants_and_rotations(door: Door) -> None:
    await set_project(door, refresh_idle_seconds=3600, access_token_seconds=60)
    client_id, tokens = await door.tokens()
    assert tokens["expires_in"] == 60
    door.clock.advance(seconds=3599)
    tokens = success(await door.refresh(client_id, tokens["refresh_token"]))
    door.clock.advance(seconds=3600)
    assert refusal(await door.refresh(client_id, tokens["refresh_token"])) == REFUSED


async def test_a_client_lives_as_long_as_a_refresh_token_of_its_lives(door: Door) -> None:
    await set_project(door, refresh_idle_seconds=365 * DAY, refresh_absolute_seconds=730 * DAY)
    client_id, tokens = await door.tokens()
    for _ in range(3):
        door.clock.advance(seconds=200 * DAY)
        await sweep(door.context)
        tokens = success(await door.refresh(client_id, tokens["refresh_token"]))


async def test_sweeping_takes_nothing_that_works(door: Door) -> None:
    client_id, tokens = await door.tokens()
    for _ in range(20):
        door.clock.advance(seconds=4 * DAY)
        await sweep(door.context)
        tokens = success(await door.refresh(client_id, tokens["refresh_token"]))
        assert await is_active(door, tokens["access_token"])


async def test_what_was_rotated_stays_rotated_over_a_restart_t26(door: Door) -> None:
    client_id, first = await door.tokens()
    second = success(await door.refresh(client_id, first["refresh_token"]))
    await door.context.database.close()
    async with open_door(door.context.settings.data, door.clock) as again:
        repeated = success(await again.refresh(client_id, first["refresh_token"]))
        assert repeated["refresh_token"] == second["refresh_token"]
        third = success(await again.refresh(client_id, second["refresh_token"]))
        again.clock.advance(seconds=31)
    async with open_door(door.context.settings.data, door.clock) as later:
        assert refusal(await later.refresh(client_id, first["refresh_token"])) == REFUSED
        assert refusal(await later.refresh(client_id, third["refresh_token"])) == REFUSED


async def test_a_busy_client_does_not_write_its_last_use_at_every_refresh_but_in_time(door: Door) -> None:
    client_id, tokens = await door.tokens()
    ada = await users.get(door.operator, door.project, ADMIN_EMAIL)

    async def last_use() -> int | None:
        (app,) = await connections.list_apps(door.operator, door.project, ada)
        return app.grant.last_used_at

    first = await last_use()
    for seconds, moves in ((200, False), (101, True)):
        door.clock.advance(seconds=seconds)
        tokens = success(await door.refresh(client_id, tokens["refresh_token"]))
        assert (await last_use() != first) is moves
