"""An app that registers anew at every login leaves few rows, and no login of anybody is cut off.

Spec: T15; DCR-13, DCR-21; clients.md no. 22
"""

import json
from typing import Any

import pytest

from doorward.manage import admission, clients, connections, registrations
from doorward.server.jobs import sweep
from doorward.server.registration import LOGIN_TAKES_MS
from doorward.storage.superseding import MAX_SUPERSEDED
from tests.inside import Door
from tests.person import Person, answer_parameters
from tests.registration.steps import authorize, row_counts, stored, told
from tests.server.steps import REGISTER, TOKEN, VERIFIER, basic, bearer, is_active, project_key, set_project, success

MINUTE, HOUR, DAY = 60, 3600, 86_400
APP = {"client_name": "Desk app", "token_endpoint_auth_method": "client_secret_basic", "software_id": "desk"}


async def register(door: Door, port: int = 50_000, *, source: str = "203.0.113.9", **members: Any) -> dict[str, Any]:
    """A native app with a secret, on its port of the day."""
    secret = members.pop("secret", None)
    body = {**APP, "redirect_uris": [f"http://127.0.0.1:{port}/callback"], **members}
    headers = {"content-type": "application/json", **(bearer(secret) if secret else {})}
    answer = await door.call("POST", REGISTER, json.dumps(body).encode(), headers, source=source)
    assert answer.status == 201, answer.body
    return answer.json()


def url_of(door: Door, made: dict[str, Any]) -> str:
    return door.authorization_url(made["client_id"], VERIFIER, redirect_uri=made["redirect_uris"][0])


async def redeem(door: Door, made: dict[str, Any], target: str) -> dict[str, Any]:
    form = {
        "grant_type": "authorization_code",
        "code": answer_parameters(target)["code"],
        "code_verifier": VERIFIER,
        "redirect_uri": made["redirect_uris"][0],
    }
    return success(await door.post_form(TOKEN, form, basic(made["client_id"], made["client_secret"])))


async def log_in(door: Door, made: dict[str, Any]) -> dict[str, Any]:
    return await redeem(door, made, await door.person().consent(url_of(door, made)))


async def test_sixty_registrations_over_a_day_leave_a_handful_dcr_13_21(door: Door) -> None:
    most = 0
    for number in range(60):
        await register(door, 50_000 + number)
        most = max(most, (await row_counts(door))["clients"])
        door.clock.advance(seconds=24 * MINUTE)
        if number % 10 == 0:
            await sweep(door.context)
    assert most <= 4  # those of the last hour, and the one before them
    counts = await row_counts(door)
    assert (counts["clients"], counts["client_tombstones"]) == (most, 0)
    await log_in(door, await register(door))
    events = await connections.recent_events(door.operator, door.project, at_most=1000)
    found = [event.detail.get("superseded", 0) for event in events if event.action == "client.registered"]
    assert (len(found), sum(found)) == (61, 61 - most)  # each removal is told of in the trail (I7)


async def test_a_burst_is_taken_away_bit_by_bit(door: Door) -> None:
    for number in range(60):
        await register(door, 50_000 + number)
        door.clock.advance(seconds=1)
    assert (await row_counts(door))["clients"] == 60
    door.clock.advance(seconds=2 * HOUR)
    for left in (60 - MAX_SUPERSEDED + 1, 60 - 2 * MAX_SUPERSEDED + 2, 1 + 3, 1 + 4):
        await register(door)
        assert (await row_counts(door))["clients"] == left


async def test_a_login_has_an_hour_from_the_registration_that_takes_its_place(door: Door, person: Person) -> None:
    made = await register(door)
    door.clock.advance(seconds=90 * MINUTE)
    await register(door, 50_001)
    page = await person.sign_in(await person.open(url_of(door, made)))
    door.clock.advance(seconds=9 * MINUTE)
    await register(door, 50_002)
    target = (await person.submit(page, decision="allow")).links["continue"]
    door.clock.advance(seconds=4 * MINUTE)
    tokens = await redeem(door, made, target)
    assert await is_active(door, tokens["access_token"])


async def test_a_code_that_was_given_keeps_its_client(door: Door, person: Person) -> None:
    made = await register(door)
    await register(door, 50_001)
    door.clock.advance(seconds=LOGIN_TAKES_MS / 1000 - 1)
    target = await person.consent(url_of(door, made))
    door.clock.advance(seconds=2 * MINUTE)
    await register(door, 50_002)
    await redeem(door, made, target)


async def test_an_app_that_waited_too_long_is_told_to_register_again(door: Door) -> None:
    made = await register(door)
    door.clock.advance(seconds=1)
    await register(door, 50_001)
    door.clock.advance(seconds=LOGIN_TAKES_MS / 1000)
    await register(door, 50_002)
    text = told(await authorize(door, made["client_id"], made["redirect_uris"][0]))
    assert "registered again since" in text
    assert "add it again" in text


async def test_an_app_that_registers_twice_or_side_by_side_may_use_either(door: Door) -> None:
    first, second = await register(door), await register(door)
    door.clock.advance(seconds=10 * DAY)
    for made in (first, second):  # of one moment: neither took the other's place
        await log_in(door, made)
    third = await register(door)
    door.clock.advance(seconds=30)
    await register(door)
    await log_in(door, third)


async def test_a_client_that_somebody_let_in_stays_for_good(door: Door) -> None:
    made = await register(door)
    tokens = await log_in(door, made)
    for _ in range(30):
        door.clock.advance(seconds=20 * HOUR)
        await register(door)
        credentials = basic(made["client_id"], made["client_secret"])
        form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        tokens = success(await door.post_form(TOKEN, form, credentials))
    assert await stored(door, made["client_id"]) is not None


@pytest.mark.parametrize(
    "other",
    [
        {"source": "198.51.100.7"},
        {"client_name": "Other app"},
        {"software_id": "other"},
        {"software_version": "2"},
        {"token_endpoint_auth_method": "client_secret_post"},
        {"grant_types": ["authorization_code"]},
        {"redirect_uris": ["http://127.0.0.1:50000/other"]},
        {"redirect_uris": ["http://localhost:50000/callback"]},
        {"redirect_uris": ["https://client.example.com/callback"]},
    ],
    ids=str,
)
async def test_what_differs_takes_nobody_s_place_t15(door: Door, other: dict[str, Any]) -> None:
    """Who knows what an app says of itself cannot remove its registration from elsewhere."""
    made = await register(door)
    for _ in range(3):
        door.clock.advance(seconds=2 * HOUR)
        await register(door, **other)
    assert await stored(door, made["client_id"]) is not None


async def test_those_that_somebody_vouches_for_or_decides_on_stay(door: Door) -> None:
    """A backend registers for many people at once; an operator's queue is the operator's."""
    key = await project_key(door, "register")
    _, initial = await registrations.create_initial_token(door.operator, door.project, uses=2)
    kept = [await register(door, secret=secret) for secret in (key, key, initial, initial)]
    suspended = await register(door)
    await admission.suspend(door.operator, await clients.get(door.operator, door.project, suspended["client_id"]))
    await set_project(door, registration_mode="approval")
    waiting = [await register(door) for _ in range(2)]
    await set_project(door, registration_mode="open")
    for _ in range(3):
        door.clock.advance(seconds=2 * HOUR)
        await register(door)
    for made in (*kept, suspended, *waiting):
        assert await stored(door, made["client_id"]) is not None
