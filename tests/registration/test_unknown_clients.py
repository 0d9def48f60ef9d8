"""A client that is not known, for whatever reason: which page a person gets, and which code the program.

Clients react to exactly these: 400 as a page, 401 `invalid_client` as JSON (clients.md nos. 31 and 44).

Spec: complaints 2, 3 and 9; CIMD-16, REG-02; T15
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from doorward.manage import admission, clients
from doorward.server.clients import IDLE_LIFE_MS
from doorward.server.jobs import sweep
from doorward.server.registration import UNUSED_LIFE_MS
from doorward.storage.registrations import TOMBSTONE_LIFE_MS
from tests.inside import LOOPBACK, Door, open_door
from tests.registration.steps import WEB, authorize, is_accepted, row_counts, stored, tokens_of, told
from tests.server.steps import (
    INTROSPECT,
    REGISTER,
    REVOKE,
    TOKEN,
    basic,
    bearer,
    confidential,
    confidential_tokens,
    refusal,
    set_project,
    success,
)

ADVICE = ("In the app, remove this server and add it again", "claude mcp logout", "delete ~/.mcp-auth")
Made = dict[str, Any]


async def never(door: Door) -> Made:
    return {"client_id": "mcl_nobody", "client_secret": "mcs_nothing"}


async def unused(door: Door) -> Made:
    made = await confidential(door)
    door.clock.advance(seconds=UNUSED_LIFE_MS / 1000)
    await sweep(door.context)
    return made


async def idle(door: Door) -> Made:
    made = await confidential(door)
    await confidential_tokens(door, made)
    door.clock.advance(seconds=IDLE_LIFE_MS / 1000)
    await sweep(door.context)
    return made


async def removed(door: Door) -> Made:
    made = await confidential(door)
    await clients.remove(door.operator, await clients.get(door.operator, door.project, made["client_id"]))
    return made


async def removed_sealed(door: Door) -> Made:
    made = await door.register()
    await tokens_of(door, made["client_id"], LOOPBACK)
    await clients.remove(door.operator, await clients.get(door.operator, door.project, made["client_id"]))
    return made


async def deleted(door: Door) -> Made:
    made = await confidential(door)
    headers = bearer(made["registration_access_token"])
    assert (await door.call("DELETE", f"{REGISTER}/{made['client_id']}", headers=headers)).status == 204
    return made


async def denied(door: Door) -> Made:
    await set_project(door, registration_mode="approval")
    made = await confidential(door)
    await admission.deny(door.operator, await clients.get(door.operator, door.project, made["client_id"]))
    await set_project(door, registration_mode="open")
    return made


async def superseded(door: Door) -> Made:
    first = await confidential(door)
    for _ in range(2):
        door.clock.advance(seconds=3601)
        await confidential(door)
    return first


REASONS: dict[str, tuple[Callable[[Door], Awaitable[Made]], str, str]] = {
    "never registered": (never, "This app is not known here", "never registered with this server"),
    "unused and swept": (unused, "not known here any more", "was not used for a long time and has expired, on "),
    "idle and swept": (idle, "not known here any more", "was not used for a long time and has expired, on "),
    "removed": (removed, "not known here any more", "was removed by an administrator, on 15 January 2027"),
    "removed, sealed": (removed_sealed, "not known here any more", "was removed by an administrator"),
    "deleted by the app": (deleted, "not known here any more", "was deleted by the app, on 15 January 2027"),
    "denied": (denied, "not known here any more", "was not approved by an administrator, on 15 January 2027"),
    "superseded": (superseded, "This app is not known here", "or registered again since"),
}


@pytest.mark.parametrize("reason", REASONS)
async def test_a_person_is_told_what_became_of_the_app_and_what_to_do(door: Door, reason: str) -> None:
    make, heading, why = REASONS[reason]
    made = await make(door)
    for uri in (*made.get("redirect_uris", ()), "https://elsewhere.example/cb", ""):
        text = told(await authorize(door, made["client_id"], uri))
        assert heading in text
        assert why in text
        assert all(words in text for words in ADVICE)


@pytest.mark.parametrize("reason", REASONS)
async def test_a_program_is_told_to_register_again_wherever_it_asks(door: Door, reason: str) -> None:
    """401 and `invalid_client`: on anything else clients go on asking, or give up for good (complaint 3)."""
    made = await REASONS[reason][0](door)
    credentials = basic(made["client_id"], made.get("client_secret", "mcs_nothing"))
    named = {"client_id": made["client_id"]}
    code = {"grant_type": "authorization_code", "code": "mac_x", "code_verifier": "v" * 43, "redirect_uri": WEB}
    for path, form in (
        (TOKEN, code),
        (TOKEN, {"grant_type": "refresh_token", "refresh_token": "mrt_x"}),
        (REVOKE, {"token": "x"}),
        (INTROSPECT, {"token": "x"}),
    ):
        for fields, headers in (({}, credentials), (named, {})):
            if path == INTROSPECT and not headers:
                continue
            answer = await door.post_form(path, {**form, **fields}, headers)
            assert refusal(answer) == (401, "invalid_client"), (path, headers)
            assert "Register again" in answer.json()["error_description"]
            assert "www-authenticate" in answer.headers or not headers


async def test_a_stored_client_survives_a_restart_of_the_server_complaint_3(door: Door) -> None:
    made = await confidential(door)
    tokens = await confidential_tokens(door, made)
    credentials = basic(made["client_id"], made["client_secret"])
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    async with open_door(door.context.settings.data, door.clock) as restarted:
        assert await is_accepted(restarted, made["client_id"], WEB)
        success(await restarted.post_form(TOKEN, form, credentials))
        headers = bearer(made["registration_access_token"])
        assert (await restarted.call("GET", f"{REGISTER}/{made['client_id']}", headers=headers)).status == 200


async def test_what_became_of_a_client_is_still_told_after_a_restart(door: Door) -> None:
    made = await removed(door)
    async with open_door(door.context.settings.data, door.clock) as restarted:
        assert "was removed by an administrator" in told(await authorize(restarted, made["client_id"], WEB))


async def test_a_client_with_a_live_grant_is_never_swept_complaint_2(door: Door) -> None:
    """However long nobody used it: the grant's own end comes first."""
    await set_project(door, refresh_idle_seconds=365 * 86_400, refresh_absolute_seconds=365 * 86_400)
    made = await confidential(door)
    tokens = await confidential_tokens(door, made)
    door.clock.advance(seconds=2 * IDLE_LIFE_MS / 1000)
    await sweep(door.context)
    assert await stored(door, made["client_id"]) is not None
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    success(await door.post_form(TOKEN, form, basic(made["client_id"], made["client_secret"])))


async def test_each_use_renews_a_client_s_life(door: Door) -> None:
    made = await confidential(door)
    await confidential_tokens(door, made)
    for _ in range(4):
        door.clock.advance(seconds=0.9 * IDLE_LIFE_MS / 1000)
        await sweep(door.context)
        await confidential_tokens(door, made)
    assert await stored(door, made["client_id"]) is not None


async def test_tombstones_are_kept_for_thirty_days_and_what_an_operator_decided_for_good(door: Door) -> None:
    expired, gone = await unused(door), await removed(door)
    door.clock.advance(seconds=TOMBSTONE_LIFE_MS / 1000 - 1)
    await sweep(door.context)
    assert "has expired" in told(await authorize(door, expired["client_id"], WEB))
    door.clock.advance(seconds=1)
    await sweep(door.context)
    assert "never registered" in told(await authorize(door, expired["client_id"], WEB))
    assert "was removed by an administrator" in told(await authorize(door, gone["client_id"], WEB))
    assert (await row_counts(door))["client_tombstones"] == 1


async def test_a_page_for_an_unknown_app_repeats_nothing_of_the_request_as_markup(door: Door) -> None:
    answer = await authorize(door, "<script>alert(1)</script>", "https://evil.example/\"onload='x")
    told(answer)
    assert "<script" not in answer.body.decode()
    assert "onload='x" not in answer.body.decode()
