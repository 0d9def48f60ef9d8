"""Who may register: anybody, holders of the project's secret, nobody (DCR-02, DCR-07, T16)."""

from typing import Any

import pytest

from doorward.core.limits import REGISTER_KEY, REGISTER_SOURCE
from doorward.core.models import Capability
from doorward.manage import connections, keys
from tests.inside import LOOPBACK, Answer, Door
from tests.server.steps import REGISTER, add_neighbour, bearer, project_key, refusal, set_project

MODES = ["open", "protected", "closed"]


async def register(door: Door, secret: str | None = None, path: str = REGISTER, **members: Any) -> Answer:
    headers = bearer(secret) if secret is not None else {}
    return await door.post_json(path, {"redirect_uris": [LOOPBACK], **members}, headers)


def assert_challenged(answer: Answer, *, presented: bool) -> None:
    """401 in the words of RFC 6750: an error is named only to those who presented something."""
    assert refusal(answer) == (401, "invalid_token")
    (challenge,) = answer.headers["www-authenticate"]
    assert challenge.startswith("Bearer ")
    assert ('error="invalid_token"' in challenge) is presented


async def test_in_open_mode_nobody_needs_the_secret_and_everybody_may_use_it_dcr_01_02_c1(door: Door) -> None:
    assert (await register(door)).status == 201
    assert (await register(door, await project_key(door, "register"))).status == 201


async def test_in_protected_mode_the_secret_is_needed_and_enough_dcr_02_c1(door: Door) -> None:
    await set_project(door, registration_mode="protected")
    assert_challenged(await register(door), presented=False)
    assert (await register(door, await project_key(door, "register"))).status == 201


async def test_the_documented_request_of_a_backend_works(door: Door) -> None:
    await set_project(door, registration_mode="protected")
    secret = await project_key(door, "register", "introspect", "mint")
    answer = await register(door, secret, client_name="My agent", token_endpoint_auth_method="client_secret_post")
    assert answer.status == 201
    assert answer.json()["client_name"] == "My agent"
    assert {"client_id", "client_secret"} <= answer.json().keys()


async def test_in_closed_mode_nobody_registers_and_is_told_why(door: Door) -> None:
    await set_project(door, registration_mode="closed")
    for secret in (None, await project_key(door, "register")):
        assert refusal(await register(door, secret)) == (403, "access_denied")


@pytest.mark.parametrize("mode", MODES)
async def test_a_wrong_secret_is_401_in_every_mode_dcr_07(door: Door, mode: str) -> None:
    await set_project(door, registration_mode=mode)
    right = await project_key(door, "register")
    for wrong in ("wrong", f"{right}x", right[:-1], right.swapcase(), "mrs_"):
        assert_challenged(await register(door, wrong), presented=True)


@pytest.mark.parametrize("mode", MODES)
async def test_a_secret_that_was_taken_back_is_401_in_every_mode(door: Door, mode: str) -> None:
    await set_project(door, registration_mode=mode)
    key, secret = await keys.create(door.operator, door.project, ("register",))
    await keys.revoke(door.operator, door.project, key.key_id)
    assert_challenged(await register(door, secret), presented=True)


@pytest.mark.parametrize("capabilities", [("introspect",), ("mint",), ("introspect", "mint")])
async def test_a_secret_for_something_else_is_401(door: Door, capabilities: tuple[Capability, ...]) -> None:
    assert_challenged(await register(door, await project_key(door, *capabilities)), presented=True)


async def test_a_secret_of_another_project_is_401_i10(door: Door) -> None:
    acme = await add_neighbour(door)
    _, theirs = await keys.create(door.operator, acme, ("register",))
    ours = await project_key(door, "register")
    assert_challenged(await register(door, theirs), presented=True)
    assert_challenged(await register(door, ours, f"/p/acme{REGISTER}"), presented=True)
    assert (await register(door, theirs, f"/p/acme{REGISTER}")).status == 201


async def test_a_registration_error_comes_only_after_the_secret_was_right_dcr_07(door: Door) -> None:
    await set_project(door, registration_mode="protected")
    assert_challenged(await register(door, redirect_uris=[]), presented=False)
    secret = await project_key(door, "register")
    assert refusal(await register(door, secret, redirect_uris=[])) == (400, "invalid_redirect_uri")


@pytest.mark.parametrize("value", ["Bearer", "Bearer ", "Bearer a b", "Bearer é", f"Bearer {'x' * 9000}"])
async def test_a_malformed_credential_is_400(door: Door, value: str) -> None:
    answer = await door.post_json(REGISTER, {"redirect_uris": [LOOPBACK]}, {"authorization": value})
    assert refusal(answer) == (400, "invalid_request")


async def test_two_authorization_headers_are_400(door: Door) -> None:
    headers = [("content-type", "application/json"), ("authorization", "Bearer a"), ("authorization", "Bearer b")]
    assert refusal(await door.call("POST", REGISTER, b"{}", headers)) == (400, "invalid_request")


async def test_a_backend_has_a_limit_of_its_own_and_does_not_use_up_the_others(door: Door) -> None:
    secret = await project_key(door, "register")
    confidential = {"token_endpoint_auth_method": "client_secret_post"}
    for _ in range(REGISTER_SOURCE.burst + 5):
        assert (await register(door, secret, **confidential)).status == 201
    assert (await register(door, **confidential)).status == 201
    for _ in range(REGISTER_KEY.burst - REGISTER_SOURCE.burst - 5):
        await register(door, secret, **confidential)
    answer = await register(door, secret, **confidential)
    assert refusal(answer) == (429, "temporarily_unavailable")
    assert answer.header("retry-after") == "1"


async def test_a_registration_with_the_secret_is_audited_to_the_key_i7(door: Door) -> None:
    key, secret = await keys.create(door.operator, door.project, ("register",))
    await register(door, secret, token_endpoint_auth_method="client_secret_post")
    events = await connections.recent_events(door.operator, door.project)
    assert [event.actor for event in events if event.action == "client.registered"] == [f"key:{key.key_id}"]
