"""What open registration costs others, and what a registration secret is good for beyond registering: nothing.

Spec: T15, T16; DCR-02, DCR-19, REG-05, REG-06
"""

import json

import pytest

from doorward.core.limits import REGISTER_HOST, REGISTER_SOURCE
from doorward.manage import keys
from tests.inside import LOOPBACK, Answer, Door
from tests.registration.steps import is_accepted, row_counts, tokens_of
from tests.server.steps import (
    INTROSPECT,
    REGISTER,
    REVOKE,
    TOKEN,
    basic,
    bearer,
    confidential,
    project_key,
    refusal,
    set_project,
)

JSON = {"content-type": "application/json"}


async def register(door: Door, source: str, host: str = "app.example", **members: str) -> Answer:
    """A confidential client of a web site."""
    body = {"redirect_uris": [f"https://{host}/callback"], "client_name": "App", **members}
    return await door.call("POST", REGISTER, json.dumps(body).encode(), JSON, source=source)


async def test_one_ipv6_source_is_a_whole_64_and_its_neighbour_another_t15(door: Door) -> None:
    for number in range(REGISTER_SOURCE.burst):
        answer = await register(door, f"2001:db8:0:1::{number:x}", f"app{number}.example")
        assert answer.status == 201
    assert (await register(door, "2001:db8:0:1:ffff::1", "other.example")).status == 429
    assert (await register(door, "2001:db8:0:2::1", "other.example")).status == 201


async def test_one_redirect_host_is_limited_however_many_sources_there_are_t15(door: Door) -> None:
    """Each from a source of its own, so that none is superseded and no other limit is spent."""
    for number in range(REGISTER_HOST.burst):
        assert (await register(door, f"10.0.{number}.1", "flooded.example")).status == 201
    answer = await register(door, "10.1.0.1", "flooded.example")
    assert refusal(answer) == (429, "temporarily_unavailable")
    assert int(answer.header("retry-after")) >= 1
    assert (await register(door, "10.1.0.1", "quiet.example")).status == 201


async def test_five_hundred_registrations_in_a_minute_stay_within_the_limit_and_the_quota_t15(door: Door) -> None:
    statuses = []
    for _ in range(500):
        statuses.append((await register(door, "198.51.100.1")).status)
        door.clock.advance(seconds=0.12)
    assert set(statuses) == {201, 429}
    assert statuses.count(201) <= REGISTER_SOURCE.burst + 60_000 // REGISTER_SOURCE.period_ms + 1
    assert (await row_counts(door))["clients"] == statuses.count(201)


async def test_a_registration_secret_opens_nothing_else_t16(door: Door) -> None:
    secret = await project_key(door, "register")
    client = await confidential(door)
    code = {"grant_type": "authorization_code", "code": "mac_x", "code_verifier": "v" * 43}
    asked = [
        await door.post_form(INTROSPECT, {"token": "x"}, bearer(secret)),
        await door.post_form(TOKEN, {**code, "client_id": client["client_id"]}, bearer(secret)),
        await door.post_form(TOKEN, code, basic(client["client_id"], secret)),
        await door.post_form(REVOKE, {"token": "x", "client_id": client["client_id"]}, bearer(secret)),
        await door.post_form(INTROSPECT, {"token": "x"}, basic(client["client_id"], secret)),
        await door.call("GET", f"{REGISTER}/{client['client_id']}", headers=bearer(secret)),
        await door.call("PUT", f"{REGISTER}/{client['client_id']}", b"{}", {**JSON, **bearer(secret)}),
        await door.call("DELETE", f"{REGISTER}/{client['client_id']}", headers=bearer(secret)),
    ]
    assert {refusal(answer)[0] for answer in asked} == {401}
    for page in ("/dashboard", "/account"):
        answer = await door.call("GET", page, headers=bearer(secret))
        assert answer.header("location").startswith("/login?")


async def test_a_registration_secret_is_followed_by_another_without_a_gap(door: Door) -> None:
    """Two keys side by side are the overlap; the old one ends when it is taken back."""
    await set_project(door, registration_mode="protected")
    old, first = await keys.create(door.operator, door.project, ("register",), name="2026")
    _, second = await keys.create(door.operator, door.project, ("register",), name="2027")
    body = {"redirect_uris": [LOOPBACK]}
    assert [(await door.post_json(REGISTER, body, bearer(secret))).status for secret in (first, second)] == [201, 201]
    await keys.revoke(door.operator, door.project, old.key_id)
    assert [(await door.post_json(REGISTER, body, bearer(secret))).status for secret in (first, second)] == [401, 201]


@pytest.mark.parametrize("method", ["none", "client_secret_basic"])
async def test_no_id_that_we_make_can_be_taken_for_a_document_s_address_reg_05(door: Door, method: str) -> None:
    for number in range(50):
        made = await door.register(token_endpoint_auth_method=method, client_name=f"https://{number}.example")
        assert made["client_id"].startswith(("mcx_", "mcl_"))
        assert "/" not in made["client_id"]
        assert ":" not in made["client_id"]


async def test_a_flood_of_sealed_ids_takes_nothing_from_anybody_t15(door: Door) -> None:
    before = await row_counts(door)
    body = json.dumps({"redirect_uris": [LOOPBACK], "client_name": "Flood"}).encode()
    for _ in range(5_000):
        assert (await door.call("POST", REGISTER, body, JSON, source="198.51.100.66")).status == 201
    assert await row_counts(door) == before
    assert (await register(door, "198.51.100.66")).status == 201  # the flood cost its own source nothing either
    assert (await register(door, "203.0.113.7")).status == 201
    client_id = (await door.register())["client_id"]
    assert await is_accepted(door, client_id, LOOPBACK)
    assert "access_token" in await tokens_of(door, client_id, LOOPBACK)
