"""An MCP session belongs to whom it was given to (T13, STA-01)."""

import pytest

from doorward.resource.sessions import MAX_SESSION_ID_LENGTH, MAX_SESSIONS, MAX_SESSIONS_OF_A_PERSON, SessionOwners
from tests.resource.world import Clock, Echo, Mint, browse

ALICE = ("https://auth.test", "alice", "app")
BOB = ("https://auth.test", "bob", "app")


@pytest.mark.parametrize("other", [{"sub": "bob"}, {"client_id": "other-app"}])
async def test_anothers_session_is_not_found_leg_06_07_sta_01_t13(other: dict[str, str]) -> None:
    mint, app = Mint(), Echo((b"Mcp-Session-Id", b"s-1"))
    async with browse(mint.protect(app)) as client:
        assert (await client.post("/mcp", headers=mint.header())).status_code == 200
        for method in ("POST", "GET", "DELETE"):
            response = await client.request(method, "/mcp", headers=mint.header(**other) | {"Mcp-Session-Id": "s-1"})
            assert response.status_code == 404
        assert app.calls == 1
        owner = await client.post("/mcp", headers=mint.header() | {"Mcp-Session-Id": "s-1"})
        assert owner.status_code == 200


async def test_a_session_from_before_a_restart_is_bound_when_it_first_works() -> None:
    mint = Mint()
    async with browse(mint.protect(Echo())) as client:
        assert (await client.get("/mcp", headers=mint.header() | {"Mcp-Session-Id": "old"})).status_code == 200
        stolen = await client.get("/mcp", headers=mint.header(sub="bob") | {"Mcp-Session-Id": "old"})
    assert stolen.status_code == 404


async def test_a_session_that_the_app_refuses_is_bound_to_nobody() -> None:
    mint, app = Mint(), Echo(status=404)
    async with browse(mint.protect(app)) as client:
        for person in ("bob", "alice"):
            await client.get("/mcp", headers=mint.header(sub=person) | {"Mcp-Session-Id": "s-1"})
    assert app.calls == 2


async def test_an_ended_session_is_forgotten() -> None:
    mint, app = Mint(), Echo()
    async with browse(mint.protect(app)) as client:
        for method in ("POST", "DELETE"):
            await client.request(method, "/mcp", headers=mint.header() | {"Mcp-Session-Id": "s-1"})
        await client.post("/mcp", headers=mint.header(sub="bob") | {"Mcp-Session-Id": "s-1"})
    assert app.calls == 3


async def test_two_session_ids_are_refused() -> None:
    mint = Mint()
    headers = [*mint.header().items(), ("Mcp-Session-Id", "a"), ("Mcp-Session-Id", "b")]
    async with browse(mint.protect(Echo())) as client:
        assert (await client.post("/mcp", headers=headers)).status_code == 400
        too_long = mint.header() | {"Mcp-Session-Id": "x" * (MAX_SESSION_ID_LENGTH + 1)}
        assert (await client.post("/mcp", headers=too_long)).status_code == 404


def test_a_binding_is_not_taken_over_leg_07_sta_02() -> None:
    owners = SessionOwners()
    owners.bind("s", ALICE)
    owners.bind("s", BOB)
    assert owners.admits("s", ALICE)
    assert not owners.admits("s", BOB)


def test_idle_bindings_go_after_a_day_and_used_ones_stay_sta_02() -> None:
    clock = Clock()
    owners = SessionOwners(clock=clock)
    owners.bind("idle", ALICE)
    owners.bind("used", ALICE)
    clock.now += 24 * 3600 - 1
    owners.bind("used", ALICE)
    clock.now += 1
    assert owners.admits("idle", BOB)
    assert not owners.admits("used", BOB)
    assert len(owners) == 1


def test_one_person_cannot_push_out_the_sessions_of_others_i13() -> None:
    owners = SessionOwners()
    owners.bind("alice's", ALICE)
    for number in range(MAX_SESSIONS + 10):
        owners.bind(f"bob-{number}", ("https://auth.test", "bob", f"app-{number}"))
    assert not owners.admits("alice's", BOB)
    assert len(owners) == MAX_SESSIONS_OF_A_PERSON + 1


def test_memory_is_bounded_over_all_people_i13() -> None:
    owners = SessionOwners()
    for number in range(MAX_SESSIONS + 10):
        owners.bind(str(number), ("https://auth.test", f"person-{number}", "app"))
    assert len(owners) == len(owners._of_person) == MAX_SESSIONS
    for number in range(MAX_SESSIONS + 10):
        owners.forget(str(number))
    assert (len(owners), len(owners._of_person)) == (0, 0)
