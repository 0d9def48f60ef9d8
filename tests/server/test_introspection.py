"""Introspection tells those whom a token concerns, and only them (INT-01 … INT-07, T28)."""

from typing import Any

import pytest

from doorward.core.models import Capability, Resource
from doorward.manage import keys, resources
from tests.inside import ISSUER, RESOURCE, SCOPES, Answer, Door
from tests.server.steps import (
    INTROSPECT,
    add_neighbour,
    basic,
    bearer,
    claims_of,
    confidential,
    confidential_tokens,
    introspect,
    project_key,
    refusal,
    set_project,
    success,
)

INACTIVE = {"active": False}
SECOND = "https://second.example.com/mcp"


async def add_second(door: Door) -> Resource:
    second = await resources.add(door.operator, door.project, SECOND, name="Second", scopes=SCOPES)
    door.clock.advance(seconds=1)
    return second


async def test_a_live_token_is_told_whole_int_05_07(door: Door) -> None:
    client_id, tokens = await door.tokens(scope="tools:read offline_access")
    claims = claims_of(tokens["access_token"])
    told = await introspect(door, tokens["access_token"], await project_key(door, "introspect"))
    assert told == {
        "active": True,
        "token_type": "Bearer",
        "username": claims["sub"],
        "iss": ISSUER,
        "sub": claims["sub"],
        "aud": RESOURCE,
        "client_id": client_id,
        "scope": "tools:read",
        "jti": claims["jti"],
        "iat": claims["iat"],
        "exp": claims["exp"],
        "auth_time": claims["auth_time"],
        "grant_id": claims["grant_id"],
    }


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense", ""])
async def test_a_hint_changes_nothing(door: Door, hint: str) -> None:
    _, tokens = await door.tokens()
    form = {"token": tokens["access_token"], "token_type_hint": hint}
    answer = await door.post_form(INTROSPECT, form, bearer(await project_key(door, "introspect")))
    assert success(answer)["active"] is True


@pytest.mark.parametrize(
    "what", ["refresh", "garbage", "truncated", "other signature", "nothing signed", "long", "code"]
)
async def test_what_is_no_live_access_token_is_only_inactive_int_03_04_c11(door: Door, what: str) -> None:
    client_id, tokens = await door.tokens()
    access = tokens["access_token"]
    code, _ = await door.obtain_code(client_id, door.person())
    head, body, signature = access.split(".")
    token = {
        "refresh": tokens["refresh_token"],
        "garbage": "garbage é \x7f",
        "truncated": access[:-1],
        "other signature": f"{head}.{body}.{signature[::-1]}",
        "nothing signed": f"eyJhbGciOiJub25lIn0.{body}.",
        "long": access + "x" * 20_000,
        "code": code,
    }[what]
    assert await introspect(door, token, await project_key(door, "introspect")) == INACTIVE


@pytest.mark.parametrize(("seconds", "active"), [(899, True), (900, False), (86_400, False)])
async def test_a_token_is_inactive_from_the_second_it_expires_int_04(door: Door, seconds: int, *, active: bool) -> None:
    _, tokens = await door.tokens()
    door.clock.advance(seconds=seconds)
    told = await introspect(door, tokens["access_token"], await project_key(door, "introspect"))
    assert told["active"] is active
    assert active or told == INACTIVE


async def test_a_resource_server_learns_nothing_of_anothers_tokens_int_03_04_06_t28(door: Door) -> None:
    second = await add_second(door)
    _, ours = await door.tokens(resource=RESOURCE)
    _, theirs = await door.tokens(resource=SECOND)
    our_key = await project_key(door, "introspect", resource=door.resource)
    their_key = await project_key(door, "introspect", resource=second)
    assert await introspect(door, ours["access_token"], their_key) == INACTIVE
    assert await introspect(door, theirs["access_token"], our_key) == INACTIVE
    assert (await introspect(door, ours["access_token"], our_key))["active"] is True
    assert (await introspect(door, theirs["access_token"], their_key))["aud"] == SECOND


async def test_a_key_of_no_resource_sees_those_of_every_resource_of_its_project(door: Door) -> None:
    await add_second(door)
    key = await project_key(door, "introspect")
    for resource in (RESOURCE, SECOND):
        _, tokens = await door.tokens(resource=resource)
        assert (await introspect(door, tokens["access_token"], key))["aud"] == resource


async def test_a_key_whose_resource_was_removed_sees_nothing(door: Door) -> None:
    second = await add_second(door)
    key = await project_key(door, "introspect", resource=second)
    _, tokens = await door.tokens(resource=SECOND)
    await resources.remove(door.operator, second)
    door.clock.advance(seconds=1)
    assert await introspect(door, tokens["access_token"], key) == INACTIVE


async def test_a_project_learns_nothing_of_anothers_tokens_i10(door: Door) -> None:
    acme = await add_neighbour(door, same_resource=RESOURCE)
    _, secret = await keys.create(door.operator, acme, ("introspect",))
    _, tokens = await door.tokens()
    answer = await door.post_form(f"/p/acme{INTROSPECT}", {"token": tokens["access_token"]}, bearer(secret))
    assert success(answer) == INACTIVE


async def test_a_confidential_client_sees_its_own_tokens_only(door: Door) -> None:
    client, other = await confidential(door), await confidential(door, client_name="Other")
    tokens = await confidential_tokens(door, client)

    async def ask(asking: dict[str, Any]) -> dict[str, Any]:
        header = basic(asking["client_id"], asking["client_secret"])
        return success(await door.post_form(INTROSPECT, {"token": tokens["access_token"]}, header))

    assert (await ask(client))["client_id"] == client["client_id"]
    assert await ask(other) == INACTIVE


async def ask(door: Door, headers: dict[str, str] | None = None, **fields: str) -> Answer:
    return await door.post_form(INTROSPECT, {"token": "x", **fields}, headers)


async def test_nobody_asks_without_credentials_int_02_t28(door: Door) -> None:
    assert refusal(await ask(door)) == (401, "invalid_client")


async def test_a_public_client_may_not_ask_int_02_t28(door: Door) -> None:
    client_id, tokens = await door.tokens()
    answer = await ask(door, client_id=client_id, token=tokens["access_token"])
    assert refusal(answer) == (401, "invalid_token")
    assert answer.header("www-authenticate").startswith("Bearer ")
    assert "error=" not in answer.header("www-authenticate")


@pytest.mark.parametrize("capability", ["register", "mint"])
async def test_a_key_for_something_else_may_not_ask_int_02(door: Door, capability: Capability) -> None:
    answer = await ask(door, bearer(await project_key(door, capability)))
    assert refusal(answer) == (401, "invalid_token")
    assert 'error="invalid_token"' in answer.header("www-authenticate")


async def test_a_key_that_was_taken_back_may_not_ask(door: Door) -> None:
    key, secret = await keys.create(door.operator, door.project, ("introspect",))
    await keys.revoke(door.operator, door.project, key.key_id)
    assert refusal(await ask(door, bearer(secret))) == (401, "invalid_token")


async def test_an_access_token_is_no_credential_for_asking(door: Door) -> None:
    _, tokens = await door.tokens()
    answer = await ask(door, bearer(tokens["access_token"]), token=tokens["access_token"])
    assert refusal(answer) == (401, "invalid_token")


async def test_a_wrong_secret_of_a_client_may_not_ask_cau_01_int_02(door: Door) -> None:
    client = await confidential(door)
    answer = await ask(door, basic(client["client_id"], "wrong"))
    assert refusal(answer) == (401, "invalid_client")
    assert answer.header("www-authenticate").startswith("Basic ")


async def test_the_token_is_required_int_01(door: Door) -> None:
    answer = await ask(door, bearer(await project_key(door, "introspect")), token="")
    assert refusal(answer) == (400, "invalid_request")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
async def test_questions_are_posted_and_not_by_browsers_int_01(door: Door, method: str) -> None:
    _, tokens = await door.tokens()
    headers = {**bearer(await project_key(door, "introspect")), "origin": "https://a.example"}
    answer = await door.call(method, f"{INTROSPECT}?token={tokens['access_token']}", headers=headers)
    assert refusal(answer) == (405, "invalid_request")
    assert answer.header("allow") == "POST"
    assert "access-control-allow-origin" not in answer.headers


async def test_one_request_of_an_older_client_works_with_one_secret_for_everything(door: Door) -> None:
    await set_project(door, registration_mode="protected")
    secret = await project_key(door, "register", "introspect", "mint")
    registered = await door.post_json(
        "/api/oauth/register", {"redirect_uris": ["http://127.0.0.1:4711/callback"]}, bearer(secret)
    )
    assert registered.status == 201
    code, verifier = await door.obtain_code(registered.json()["client_id"], door.person())
    tokens = success(await door.redeem(registered.json()["client_id"], code, verifier))
    assert (await introspect(door, tokens["access_token"], secret))["active"] is True
