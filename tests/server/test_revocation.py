"""A client gives a token back: its own, at once, and is told nothing more (REV-01 … REV-07, T29)."""

import pytest

from doorward.manage import connections, users
from tests.inside import Answer, Door
from tests.running import ADMIN_EMAIL
from tests.server.steps import (
    REVOKE,
    add_neighbour,
    basic,
    confidential,
    confidential_tokens,
    is_active,
    refusal,
    success,
)


async def revoke(door: Door, client_id: str, token: str, headers: dict[str, str] | None = None, **more: str) -> Answer:
    return await door.post_form(REVOKE, {"client_id": client_id, "token": token, **more}, headers)


def assert_done(answer: Answer) -> None:
    assert (answer.status, answer.json()) == (200, {})
    assert answer.header("cache-control") == "no-store"


@pytest.mark.parametrize("hint", ["", "refresh_token", "access_token", "nonsense"])
async def test_with_a_refresh_token_everything_of_its_grant_ends_rev_01_03_04(door: Door, hint: str) -> None:
    client_id, tokens = await door.tokens()
    refreshed = success(await door.refresh(client_id, tokens["refresh_token"]))
    assert_done(await revoke(door, client_id, refreshed["refresh_token"], token_type_hint=hint))
    for answer in (tokens, refreshed):
        assert not await is_active(door, answer["access_token"])
        assert refusal(await door.refresh(client_id, answer["refresh_token"])) == (400, "invalid_grant")


async def test_an_older_refresh_token_of_the_line_ends_it_as_well(door: Door) -> None:
    client_id, tokens = await door.tokens()
    refreshed = success(await door.refresh(client_id, tokens["refresh_token"]))
    assert_done(await revoke(door, client_id, tokens["refresh_token"]))
    assert refusal(await door.refresh(client_id, refreshed["refresh_token"])) == (400, "invalid_grant")


@pytest.mark.parametrize("hint", ["", "access_token", "refresh_token", "nonsense"])
async def test_an_access_token_ends_alone_rev_01_03(door: Door, hint: str) -> None:
    client_id, tokens = await door.tokens()
    assert_done(await revoke(door, client_id, tokens["access_token"], token_type_hint=hint))
    assert not await is_active(door, tokens["access_token"])
    refreshed = success(await door.refresh(client_id, tokens["refresh_token"]))
    assert await is_active(door, refreshed["access_token"])


async def test_what_is_no_token_is_revoked_with_success_rev_05_c11(door: Door) -> None:
    client_id, tokens = await door.tokens()
    for token in (
        "garbage",
        "mrt_garbage",
        "é",
        "x" * 20_000,
        tokens["refresh_token"][:-1],
        tokens["access_token"][:-1],
    ):
        assert_done(await revoke(door, client_id, token))
    assert await is_active(door, tokens["access_token"])
    success(await door.refresh(client_id, tokens["refresh_token"]))


async def test_revoking_twice_is_revoking_once_rev_05(door: Door) -> None:
    client_id, tokens = await door.tokens()
    for _ in range(3):
        assert_done(await revoke(door, client_id, tokens["access_token"]))
        assert_done(await revoke(door, client_id, tokens["refresh_token"]))
    events = await connections.recent_events(door.operator, door.project)
    ended = sorted(event.action for event in events if event.action.endswith(".revoked"))
    assert ended == ["grant.revoked", "token.revoked"]


async def test_another_client_revokes_nothing_and_is_told_nothing_rev_02_t29(door: Door) -> None:
    client_id, tokens = await door.tokens()
    evil = (await door.register(client_name="Evil"))["client_id"]
    for token in (tokens["access_token"], tokens["refresh_token"]):
        assert_done(await revoke(door, evil, token))
    assert await is_active(door, tokens["access_token"])
    success(await door.refresh(client_id, tokens["refresh_token"]))


async def test_a_client_of_another_project_revokes_nothing_i10(door: Door) -> None:
    await add_neighbour(door)
    client_id, tokens = await door.tokens()
    registered = await door.post_json("/p/acme/api/oauth/register", {"redirect_uris": ["http://127.0.0.1/cb"]})
    theirs = registered.json()["client_id"]
    for token in (tokens["access_token"], tokens["refresh_token"]):
        assert_done(await door.post_form(f"/p/acme{REVOKE}", {"client_id": theirs, "token": token}))
    assert await is_active(door, tokens["access_token"])
    success(await door.refresh(client_id, tokens["refresh_token"]))


async def test_a_confidential_client_authenticates_rev_02_cau_01(door: Door) -> None:
    client = await confidential(door)
    tokens = await confidential_tokens(door, client)
    refused = await revoke(door, client["client_id"], tokens["refresh_token"])
    assert refusal(refused) == (401, "invalid_client")
    assert await is_active(door, tokens["access_token"])
    header = basic(client["client_id"], client["client_secret"])
    assert_done(await revoke(door, client["client_id"], tokens["refresh_token"], header))
    assert not await is_active(door, tokens["access_token"])


async def test_a_bearer_token_alone_identifies_no_client(door: Door) -> None:
    _, tokens = await door.tokens()
    headers = {"authorization": f"Bearer {tokens['access_token']}"}
    answer = await door.post_form(REVOKE, {"token": tokens["access_token"]}, headers)
    assert refusal(answer) == (401, "invalid_client")


async def test_the_token_is_required_rev_01(door: Door) -> None:
    client_id = (await door.register())["client_id"]
    assert refusal(await revoke(door, client_id, "")) == (400, "invalid_request")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_tokens_are_given_back_by_post_alone_rev_07(door: Door, method: str) -> None:
    client_id, tokens = await door.tokens()
    query = f"client_id={client_id}&token={tokens['refresh_token']}&callback=f"
    answer = await door.call(method, f"{REVOKE}?{query}")
    assert refusal(answer) == (405, "invalid_request")
    assert answer.header("allow") == "POST, OPTIONS"
    assert await is_active(door, tokens["access_token"])


async def test_browsers_of_any_origin_may_revoke_rev_07(door: Door) -> None:
    client_id, tokens = await door.tokens()
    preflight = await door.call("OPTIONS", REVOKE, headers={"origin": "https://a.example"})
    assert (preflight.status, preflight.headers["access-control-allow-origin"]) == (204, ["*"])
    answer = await revoke(door, client_id, tokens["access_token"], {"origin": "https://a.example"})
    assert answer.headers["access-control-allow-origin"] == ["*"]


async def test_a_revoked_access_token_stays_revoked_i3(door: Door) -> None:
    client_id, tokens = await door.tokens()
    await revoke(door, client_id, tokens["access_token"])
    door.clock.advance(seconds=-3600)
    assert not await is_active(door, tokens["access_token"])


async def test_an_expired_access_token_is_revoked_with_success(door: Door) -> None:
    client_id, tokens = await door.tokens()
    door.clock.advance(seconds=3600)
    assert_done(await revoke(door, client_id, tokens["access_token"]))


async def test_a_connection_that_was_given_back_is_gone_from_the_persons_list(door: Door) -> None:
    client_id, tokens = await door.tokens()
    ada = await users.get(door.operator, door.project, ADMIN_EMAIL)
    assert len(await connections.list_apps(door.operator, door.project, ada)) == 1
    await revoke(door, client_id, tokens["refresh_token"])
    assert await connections.list_apps(door.operator, door.project, ada) == []
