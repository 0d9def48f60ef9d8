"""Redeeming a code: right in everything, once (CODE-01 … CODE-06, PKCE-04, RES-07, T22 … T24, T31)."""

import secrets

import pytest

from doorward.manage import clients, connections, resources, users
from doorward.oauth.pkce import build_challenge
from doorward.storage.codes import MAX_FAILED_TRIES, REPLAY_MEMORY_MS
from tests.inside import LOOPBACK, RESOURCE, Door, open_door
from tests.person import answer_parameters
from tests.running import ADMIN_EMAIL
from tests.server.steps import (
    TOKEN,
    VERIFIER,
    claims_of,
    is_active,
    plain_description,
    project_key,
    refusal,
    set_project,
    success,
)

REFUSED = (400, "invalid_grant")


async def granted(door: Door, **parameters: str) -> tuple[str, str, str]:
    """(client_id, code, verifier) of a fresh public client that was let in."""
    client_id = (await door.register())["client_id"]
    return (client_id, *await door.obtain_code(client_id, door.person(), **parameters))


async def test_a_code_is_redeemed_once_code_02_tok_04_gen_01(door: Door) -> None:
    client_id, code, verifier = await granted(door)
    success(await door.redeem(client_id, code, verifier))
    assert refusal(await door.redeem(client_id, code, verifier)) == REFUSED


async def test_a_valid_replay_ends_everything_the_code_ever_gave_code_02(door: Door) -> None:
    client_id, code, verifier = await granted(door)
    tokens = success(await door.redeem(client_id, code, verifier))
    refreshed = success(await door.refresh(client_id, tokens["refresh_token"]))
    assert await is_active(door, refreshed["access_token"])
    assert refusal(await door.redeem(client_id, code, verifier)) == REFUSED
    for token in (tokens["access_token"], refreshed["access_token"]):
        assert not await is_active(door, token)
    for token in (tokens["refresh_token"], refreshed["refresh_token"]):
        assert refusal(await door.refresh(client_id, token)) == REFUSED


async def test_a_replay_is_recorded_with_who_presented_it(door: Door) -> None:
    client_id, code, verifier = await granted(door)
    await door.redeem(client_id, code, verifier)
    form = {"grant_type": "authorization_code", "client_id": client_id, "code": code, "code_verifier": verifier}
    await door.post_form(TOKEN, form, {"user-agent": "thief/1.0"})
    await door.post_form(TOKEN, form)
    events = [e for e in await connections.recent_events(door.operator, door.project) if "code" in e.action]
    assert sorted(event.action for event in events) == ["token.code_redeemed", "token.code_reused"]
    reused = next(event for event in events if event.action == "token.code_reused")
    assert (reused.actor, reused.detail["source"], reused.detail["agent"]) == (
        f"client:{client_id}",
        "203.0.113.9",
        "thief/1.0",
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"code_verifier": "w" * 43},
        {"redirect_uri": "http://127.0.0.1:4711/other"},
        {"client_id": "other"},
        {"resource": "https://other.example.com/mcp"},
    ],
    ids=str,
)
async def test_an_invalid_replay_ends_nothing_code_02(door: Door, fields: dict[str, str]) -> None:
    client_id, code, verifier = await granted(door)
    tokens = success(await door.redeem(client_id, code, verifier))
    if "client_id" in fields:
        fields = {"client_id": (await door.register(client_name="Other"))["client_id"]}
    answer = await door.redeem(**{"client_id": client_id, "code": code, "verifier": verifier, **fields})
    assert answer.status == 400
    assert await is_active(door, tokens["access_token"])
    success(await door.refresh(client_id, tokens["refresh_token"]))


@pytest.mark.parametrize("seconds", [0, 3600, REPLAY_MEMORY_MS / 1000])
async def test_a_late_replay_still_ends_everything(door: Door, seconds: float) -> None:
    client_id, code, verifier = await granted(door)
    tokens = success(await door.redeem(client_id, code, verifier))
    door.clock.advance(seconds=seconds)
    assert refusal(await door.redeem(client_id, code, verifier)) == REFUSED
    assert refusal(await door.refresh(client_id, tokens["refresh_token"])) == REFUSED


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"code": ""}, "invalid_request"),
        ({"code_verifier": ""}, "invalid_request"),
        ({"code_verifier": "v" * 42}, "invalid_request"),
        ({"code_verifier": "v" * 129}, "invalid_request"),
        ({"code_verifier": "v" * 42 + "é"}, "invalid_request"),
        ({"code_verifier": "v" * 42 + " "}, "invalid_request"),
        ({"code_verifier": "w" * 43}, "invalid_grant"),
        ({"redirect_uri": "http://127.0.0.1:4711/other"}, "invalid_grant"),
        ({"redirect_uri": "http://127.0.0.1:4712/callback"}, "invalid_grant"),
        ({"redirect_uri": f"{LOOPBACK}/"}, "invalid_grant"),
        ({"code": "mac_nothing"}, "invalid_grant"),
        ({"code": "x" * 600}, "invalid_grant"),
        ({"code": "é"}, "invalid_grant"),
        ({"resource": "https://other.example.com/mcp"}, "invalid_target"),
        ({"resource": f"{RESOURCE}/deeper"}, "invalid_target"),
        ({"resource": "not a uri"}, "invalid_target"),
        ({"resource": f"{RESOURCE}#x"}, "invalid_target"),
    ],
    ids=str,
)
async def test_a_wrong_request_is_refused_and_leaves_the_code_to_its_owner_code_03_04_06_authz_14_pkce_04_t22(
    door: Door, fields: dict[str, str], error: str
) -> None:
    client_id, code, verifier = await granted(door)
    form = {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "code": code,
        "code_verifier": verifier,
        "redirect_uri": LOOPBACK,
    }
    assert refusal(await door.post_form(TOKEN, {**form, **fields})) == (400, error)
    success(await door.post_form(TOKEN, form))


async def test_every_reason_for_invalid_grant_reads_the_same_code_06(door: Door) -> None:
    client_id, code, verifier = await granted(door)
    other = (await door.register(client_name="Other"))["client_id"]
    answers = [
        await door.redeem(client_id, code, "w" * 43),
        await door.redeem(client_id, code, verifier, redirect_uri="http://127.0.0.1/x"),
        await door.redeem(client_id, "mac_nothing", verifier),
        await door.redeem(other, code, verifier),
        await door.redeem(client_id, code[:-1], verifier),
    ]
    success(await door.redeem(client_id, code, verifier))
    answers.append(await door.redeem(client_id, code, verifier))
    assert len({plain_description(answer) for answer in answers}) == 1
    assert {refusal(answer) for answer in answers} == {REFUSED}


@pytest.mark.parametrize(("tries", "works"), [(MAX_FAILED_TRIES - 1, True), (MAX_FAILED_TRIES, False)])
async def test_wrong_verifiers_kill_a_code_after_a_few(door: Door, tries: int, *, works: bool) -> None:
    client_id, code, verifier = await granted(door)
    for _ in range(tries):
        assert refusal(await door.redeem(client_id, code, secrets.token_urlsafe(40))) == REFUSED
    assert ((await door.redeem(client_id, code, verifier)).status == 200) is works


async def test_another_client_with_the_right_verifier_gets_nothing_and_takes_nothing_authz_14_code_01_t24(
    door: Door,
) -> None:
    client_id, code, verifier = await granted(door)
    evil = (await door.register(client_name="Evil"))["client_id"]
    for _ in range(MAX_FAILED_TRIES + 1):
        assert refusal(await door.redeem(evil, code, verifier)) == REFUSED
    success(await door.redeem(client_id, code, verifier))
    assert refusal(await door.redeem(evil, code, verifier)) == REFUSED
    assert refusal(await door.redeem(client_id, code, verifier)) == REFUSED


@pytest.mark.parametrize(("seconds", "works"), [(299, True), (300, False), (86_400, False)])
async def test_a_code_lives_five_minutes_code_01_authz_14(door: Door, seconds: int, *, works: bool) -> None:
    client_id, code, verifier = await granted(door)
    door.clock.advance(seconds=seconds)
    assert ((await door.redeem(client_id, code, verifier)).status == 200) is works


async def test_an_operator_may_shorten_the_life_of_a_code(door: Door) -> None:
    await set_project(door, code_seconds=60)
    client_id, code, verifier = await granted(door)
    door.clock.advance(seconds=60)
    assert refusal(await door.redeem(client_id, code, verifier)) == REFUSED


async def test_a_clock_that_went_back_does_not_revive_a_code_i9(door: Door) -> None:
    client_id, code, verifier = await granted(door)
    success(await door.redeem(client_id, code, verifier))
    door.clock.advance(seconds=-3600)
    assert refusal(await door.redeem(client_id, code, verifier)) == REFUSED


async def test_the_redirect_uri_may_be_left_out_of_the_token_request_code_04_c12(door: Door) -> None:
    client_id, code, verifier = await granted(door)
    success(await door.redeem(client_id, code, verifier, redirect_uri=""))


async def test_a_redirect_uri_that_was_left_out_before_may_be_named_now_code_04(door: Door) -> None:
    client_id, code, verifier = await granted(door, redirect_uri="")
    assert refusal(await door.redeem(client_id, code, verifier, redirect_uri=f"{LOOPBACK}x")) == REFUSED
    success(await door.redeem(client_id, code, verifier, redirect_uri=LOOPBACK))


@pytest.mark.parametrize("length", [43, 128])
async def test_a_verifier_may_have_any_length_and_character_of_the_rfc_pkce_05(door: Door, length: int) -> None:
    verifier = ("ABCxyz019-._~" * 10)[:length]
    client_id, person = (await door.register())["client_id"], door.person()
    code = answer_parameters(await person.consent(door.authorization_url(client_id, verifier)))["code"]
    success(await door.redeem(client_id, code, verifier))


async def test_the_challenge_itself_is_no_verifier_t22(door: Door) -> None:
    client_id, person = (await door.register())["client_id"], door.person()
    code = answer_parameters(await person.consent(door.authorization_url(client_id, VERIFIER)))["code"]
    assert refusal(await door.redeem(client_id, code, build_challenge(VERIFIER))) == REFUSED


async def test_a_scope_in_the_token_request_is_ignored(door: Door) -> None:
    client_id, code, verifier = await granted(door)
    tokens = success(await door.redeem(client_id, code, verifier, scope="tools:read tools:write"))
    assert tokens["scope"] == "tools:read"


@pytest.mark.parametrize("spelling", [RESOURCE, f"{RESOURCE}/", "HTTPS://API.EXAMPLE.COM:443/mcp"])
async def test_the_granted_resource_may_be_named_again_in_any_spelling_res_07(door: Door, spelling: str) -> None:
    client_id, code, verifier = await granted(door)
    tokens = success(await door.redeem(client_id, code, verifier, resource=spelling))
    assert claims_of(tokens["access_token"])["aud"] == RESOURCE


async def test_another_resource_of_the_project_is_not_the_granted_one_res_04_07_t31(door: Door) -> None:
    await resources.add(door.operator, door.project, "https://second.example.com/mcp", name="Second")
    door.clock.advance(seconds=1)
    client_id, code, verifier = await granted(door)
    answer = await door.redeem(client_id, code, verifier, resource="https://second.example.com/mcp")
    assert refusal(answer) == (400, "invalid_target")
    success(await door.redeem(client_id, code, verifier))


async def test_a_code_outlives_a_restart_and_so_does_its_use_i1(door: Door) -> None:
    client_id, used, verifier = await granted(door)
    success(await door.redeem(client_id, used, verifier))
    other_id, unused, other_verifier = await granted(door)
    await door.context.database.close()
    async with open_door(door.context.settings.data, door.clock) as again:
        assert refusal(await again.redeem(client_id, used, verifier)) == REFUSED
        success(await again.redeem(other_id, unused, other_verifier))


async def test_a_disabled_person_gets_no_token_for_their_code_t43(door: Door) -> None:
    client_id, code, verifier = await granted(door)
    ada = await users.get(door.operator, door.project, ADMIN_EMAIL)
    await users.change(door.operator, ada, enabled=False)
    assert refusal(await door.redeem(client_id, code, verifier)) == REFUSED
    await users.change(door.operator, ada, enabled=True)
    success(await door.redeem(client_id, code, verifier))


async def test_a_code_of_a_removed_server_is_worthless(door: Door) -> None:
    client_id, code, verifier = await granted(door)
    await resources.remove(door.operator, door.resource)
    door.clock.advance(seconds=1)
    assert refusal(await door.redeem(client_id, code, verifier)) == REFUSED


async def test_with_a_removed_client_its_codes_are_gone(door: Door) -> None:
    client, _ = await clients.add(door.operator, door.project, (LOOPBACK,))
    code, verifier = await door.obtain_code(client.client_id, door.person())
    await clients.remove(door.operator, client)
    assert refusal(await door.redeem(client.client_id, code, verifier)) == (401, "invalid_client")


async def test_codes_and_tokens_are_hashed_at_rest_tok_07_t49(door: Door) -> None:
    client_id, code, verifier = await granted(door)
    tokens = success(await door.redeem(client_id, code, verifier))
    key = await project_key(door, "introspect")
    for path in door.context.settings.data.iterdir():
        content = path.read_bytes()
        for secret in (code, verifier, tokens["access_token"], tokens["refresh_token"], key):
            assert secret.encode() not in content
