"""Which reuse of a refresh token is forgiven, to the millisecond, and what follows when it is not (RT-03, RT-10, T26).

A public client's predecessor works until its successor was used once, at most one life of an access token, and 30 s
beyond that use; it is answered the same successor. A confidential client gets no second chance.
"""

from typing import Any, Literal

import pytest

from doorward.manage import connections, incidents
from doorward.storage.audit import RecordedEvent
from tests.inside import Answer, Door
from tests.server.steps import (
    TOKEN,
    basic,
    confidential,
    confidential_tokens,
    is_active,
    refusal,
    set_project,
    success,
)

Outcome = int | Literal["ends"]
Step = tuple[float, int, Outcome]
"""(seconds since the step before, generation presented, generation answered)"""
LIFE = 900
MS = 0.001

WINDOWS: dict[str, list[Step]] = {
    "in order": [(60, 0, 1), (60, 1, 2), (60, 2, 3), (3600, 3, 4)],
    "a lost answer is asked for again": [(60, 0, 1), (5, 0, 1), (5, 0, 1), (5, 1, 2)],
    "the predecessor works one access token's life": [(60, 0, 1), (LIFE - MS, 0, 1)],
    "and no millisecond longer": [(60, 0, 1), (LIFE, 0, "ends")],
    "asking again does not make the window longer": [(60, 0, 1), (LIFE / 2, 0, 1), (LIFE / 2, 0, "ends")],
    "30 s beyond the first use of its successor": [(60, 0, 1), (60, 1, 2), (30 - MS, 0, 1)],
    "and not a millisecond longer than that": [(60, 0, 1), (60, 1, 2), (30, 0, "ends")],
    "at most the life, even just after that use": [(60, 0, 1), (LIFE - 10, 1, 2), (10 - MS, 0, 1)],
    "and then it is over": [(60, 0, 1), (LIFE - 10, 1, 2), (10, 0, "ends")],
    "the one after it has a window of its own": [(60, 0, 1), (60, 1, 2), (20, 0, 1), (5, 1, 2), (1, 2, 3)],
    "three behind is too old at once": [(60, 0, 1), (0, 1, 2), (0, 2, 3), (0, 0, "ends")],
    "two behind, long after": [(60, 0, 1), (3600, 1, 2), (3600, 0, "ends")],
    "a successor that was answered to both is one": [(60, 0, 1), (0, 0, 1), (0, 1, 2), (0, 1, 2), (0, 0, 1), (0, 2, 3)],
    "a current token never used before is current after a month": [(29 * 86_400, 0, 1), (29 * 86_400, 1, 2)],
}


async def follow(door: Door, client_id: str, first: str, steps: list[Step]) -> list[str]:
    """Present tokens as the steps say, and see that each is answered as they say; the refresh tokens by generation."""
    known = [first]
    for seconds, presented, expected in steps:
        door.clock.advance(seconds=seconds)
        answer = await door.refresh(client_id, known[presented])
        if expected == "ends":
            assert refusal(answer) == (400, "invalid_grant")
            return known
        token = success(answer)["refresh_token"]
        if expected == len(known):
            assert token not in known
            known.append(token)
        assert token == known[expected]
    return known


async def events(door: Door) -> list[RecordedEvent]:
    found = await connections.recent_events(door.operator, door.project, at_most=200)
    return [event for event in found if event.action.startswith("token.refresh")]


@pytest.mark.parametrize("name", WINDOWS)
async def test_reuse_by_a_public_client_rt_03_10_i12_c16(door: Door, name: str) -> None:
    client_id, tokens = await door.tokens()
    steps = WINDOWS[name]
    known = await follow(door, client_id, tokens["refresh_token"], steps)
    newest = await door.refresh(client_id, known[-1])
    if steps[-1][2] == "ends":
        assert refusal(newest) == (400, "invalid_grant")
    else:
        success(newest)


async def test_the_window_follows_the_projects_own_token_life(door: Door) -> None:
    await set_project(door, access_token_seconds=60)
    client_id, tokens = await door.tokens()
    await follow(door, client_id, tokens["refresh_token"], [(1, 0, 1), (60 - MS, 0, 1)])
    client_id, tokens = await door.tokens()
    await follow(door, client_id, tokens["refresh_token"], [(1, 0, 1), (60, 0, "ends")])


async def test_reuse_outside_the_window_ends_every_token_of_the_grant_rt_03_i4(door: Door) -> None:
    client_id, tokens = await door.tokens()
    known = await follow(door, client_id, tokens["refresh_token"], [(60, 0, 1), (60, 1, 2)])
    current = success(await door.refresh(client_id, known[2]))
    assert await is_active(door, current["access_token"])
    door.clock.advance(seconds=31)
    assert refusal(await door.refresh(client_id, known[0])) == (400, "invalid_grant")
    assert not await is_active(door, current["access_token"])
    for token in (*known, current["refresh_token"]):
        assert refusal(await door.refresh(client_id, token)) == (400, "invalid_grant")


async def test_other_connections_of_the_same_person_and_client_go_on(door: Door) -> None:
    client_id, tokens = await door.tokens()
    code, verifier = await door.obtain_code(client_id, door.person())
    other = success(await door.redeem(client_id, code, verifier))
    await follow(door, client_id, tokens["refresh_token"], [(60, 0, 1), (LIFE, 0, "ends")])
    success(await door.refresh(client_id, other["refresh_token"]))


async def refresh_as(door: Door, client_id: str, token: str, agent: str, source: str) -> Answer:
    body = f"grant_type=refresh_token&client_id={client_id}&refresh_token={token}".encode()
    headers = {"content-type": "application/x-www-form-urlencoded", "user-agent": agent}
    return await door.call("POST", TOKEN, body, headers, source=source)


async def test_an_incident_names_both_who_rotated_and_who_came_late(door: Door) -> None:
    client_id, tokens = await door.tokens()
    token = tokens["refresh_token"]
    success(await refresh_as(door, client_id, token, "owner/1.0", "198.51.100.1"))
    door.clock.advance(seconds=LIFE)
    refused = await refresh_as(door, client_id, token, "thief/6.6", "203.0.113.66")
    assert refusal(refused) == (400, "invalid_grant")
    incident, rotation = await events(door)
    assert (incident.action, rotation.action) == ("token.refresh_reused", "token.refreshed")
    assert (incident.actor, incident.target) == (f"client:{client_id}", rotation.target)
    assert incident.detail == {
        "source": "203.0.113.66",
        "agent": "thief/6.6",
        "looks_like": "theft",
        "presented_generation": 0,
        "current_generation": 1,
        "rotated_by": {"source": "198.51.100.1", "agent": "owner/1.0", "ms_ago": LIFE * 1000},
    }
    assert (rotation.detail["source"], rotation.detail["agent"]) == ("198.51.100.1", "owner/1.0")


@pytest.mark.parametrize(
    ("agent", "source", "looks_like"),
    [
        ("owner/1.0", "198.51.100.1", "race"),
        ("owner/1.0", "203.0.113.66", "theft"),
        ("thief/6.6", "198.51.100.1", "theft"),
    ],
)
async def test_an_incident_says_what_it_looks_like(door: Door, agent: str, source: str, looks_like: str) -> None:
    client_id, tokens = await door.tokens()
    success(await refresh_as(door, client_id, tokens["refresh_token"], "owner/1.0", "198.51.100.1"))
    door.clock.advance(seconds=LIFE)
    await refresh_as(door, client_id, tokens["refresh_token"], agent, source)
    (incident,) = await incidents.list_recent(door.operator, door.project)
    assert incident.detail["looks_like"] == looks_like


async def test_the_same_program_that_comes_from_two_addresses_at_once_is_a_race(door: Door) -> None:
    await set_project(door, public_refresh_policy="strict")
    client_id, tokens = await door.tokens()
    success(await refresh_as(door, client_id, tokens["refresh_token"], "owner/1.0", "198.51.100.1"))
    door.clock.advance(seconds=2)
    await refresh_as(door, client_id, tokens["refresh_token"], "owner/1.0", "198.51.100.2")
    (incident,) = await incidents.list_recent(door.operator, door.project)
    assert incident.detail["looks_like"] == "race"


@pytest.mark.parametrize(("policy", "again"), [("until_used", 1), ("overlap", 1), ("strict", "ends")])
async def test_a_project_chooses_how_strict_it_is_with_clients_of_either_kind(
    door: Door, policy: str, again: Outcome
) -> None:
    await set_project(door, public_refresh_policy=policy, confidential_refresh_policy=policy)
    client_id, tokens = await door.tokens()
    await follow(door, client_id, tokens["refresh_token"], [(1, 0, 1), (1, 0, again)])
    client = await confidential(door)
    held = (await confidential_tokens(door, client))["refresh_token"]
    auth = basic(client["client_id"], client["client_secret"])
    form = {"grant_type": "refresh_token", "refresh_token": held}
    first = success(await door.post_form(TOKEN, form, auth))
    second = await door.post_form(TOKEN, form, auth)
    if again == "ends":
        assert refusal(second) == (400, "invalid_grant")
    else:
        assert success(second)["refresh_token"] == first["refresh_token"]


async def test_each_answer_is_recorded_and_says_whether_it_was_a_repeat_i7(door: Door) -> None:
    client_id, tokens = await door.tokens()
    await follow(door, client_id, tokens["refresh_token"], [(1, 0, 1), (1, 0, 1), (1, 1, 2)])
    recorded = [(event.action, event.detail["repeated"]) for event in reversed(await events(door))]
    assert recorded == [("token.refreshed", False), ("token.refreshed", True), ("token.refreshed", False)]


async def test_an_incident_is_recorded_once_however_often_the_dead_token_comes(door: Door) -> None:
    client_id, tokens = await door.tokens()
    known = await follow(door, client_id, tokens["refresh_token"], [(1, 0, 1), (LIFE, 0, "ends")])
    for token in known * 3:
        await door.refresh(client_id, token)
    assert [event.action for event in await events(door)].count("token.refresh_reused") == 1


async def test_a_repeat_gives_a_fresh_access_token_with_the_scope_that_is_asked_for(door: Door) -> None:
    client_id, tokens = await door.tokens(scope="tools:read tools:write")
    first = success(await door.refresh(client_id, tokens["refresh_token"]))
    again = success(await door.refresh(client_id, tokens["refresh_token"], scope="tools:read"))
    assert again["access_token"] != first["access_token"]
    assert (again["scope"], again["refresh_token"]) == ("tools:read", first["refresh_token"])


async def as_confidential(door: Door, client: dict[str, Any], token: str) -> Answer:
    form = {"grant_type": "refresh_token", "refresh_token": token}
    return await door.post_form(TOKEN, form, basic(client["client_id"], client["client_secret"]))


async def test_a_confidential_client_rotates_too(door: Door) -> None:
    client = await confidential(door)
    tokens = await confidential_tokens(door, client)
    for _ in range(3):
        refreshed = success(await as_confidential(door, client, tokens["refresh_token"]))
        assert refreshed["refresh_token"] != tokens["refresh_token"]
        tokens = refreshed


@pytest.mark.parametrize("seconds", [0, 1, 3600])
async def test_a_confidential_client_has_no_second_chance_rt_03_t26(door: Door, seconds: float) -> None:
    client = await confidential(door)
    tokens = await confidential_tokens(door, client)
    refreshed = success(await as_confidential(door, client, tokens["refresh_token"]))
    door.clock.advance(seconds=seconds)
    assert refusal(await as_confidential(door, client, tokens["refresh_token"])) == (400, "invalid_grant")
    assert refusal(await as_confidential(door, client, refreshed["refresh_token"])) == (400, "invalid_grant")
    assert not await is_active(door, refreshed["access_token"])
    assert sorted(event.action for event in await events(door)) == ["token.refresh_reused", "token.refreshed"]


async def test_a_refusal_for_another_reason_is_no_reuse(door: Door) -> None:
    client = await confidential(door)
    tokens = await confidential_tokens(door, client)
    header = basic(client["client_id"], client["client_secret"])
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    for wrong in ({"scope": "telepathy"}, {"resource": "https://other.example.com/mcp"}):
        assert (await door.post_form(TOKEN, {**form, **wrong}, header)).status == 400
    success(await as_confidential(door, client, tokens["refresh_token"]))
