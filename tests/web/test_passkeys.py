"""Signing in with a passkey: what is let in, and everything that is not (WebAuthn §7; T2, T36, T38, T43)."""

import json
from dataclasses import replace
from typing import Any

import pytest

from doorward.core.limits import LOGIN_SOURCE
from doorward.core.webauthn import find_relying_party
from doorward.manage import connections, factors, users
from tests.inside import ISSUER, Door
from tests.person import Page, Person
from tests.running import ADMIN_EMAIL
from tests.server.steps import VERIFIER, add_neighbour
from tests.web.authenticators import Device, add_app, add_passkey, form_of, options_of, use_passkey
from tests.web.people import BROWSER, bob, is_signed_in

REFUSED = "That passkey did not work here."


@pytest.fixture
async def device(person: Person) -> Device:
    """What holds a passkey of the owner."""
    made = Device()
    page = await add_passkey(person, made)
    assert page.status == 200, page.text
    return made


async def send(door: Door, answer: str, page: Page, person: Person) -> Page:
    return await person.submit(page, form_of(page, "/login/passkey"), answer=answer)


async def assert_refused(person: Person, page: Page) -> None:
    assert (page.status, REFUSED in page.text) == (401, True), page.text
    assert not await is_signed_in(person)


async def test_a_passkey_signs_in_without_an_address_or_a_password(door: Door, device: Device) -> None:
    person = door.person()
    page = await person.open("/login")
    options = options_of(page)
    assert (options["rpId"], options["userVerification"]) == ("auth.example.com", "required")
    assert not options.get("allowCredentials")
    page = await use_passkey(person, device, page)
    assert page.url.endswith("/dashboard"), page.text
    assert await is_signed_in(person)
    (event, *_) = [
        event
        for event in await connections.recent_events(door.operator, door.project)
        if event.action == "session.started" and event.detail["by"] == "passkey"
    ]
    assert event.actor.startswith("user:")


async def test_a_passkey_leads_back_to_the_app_that_asked(door: Door, device: Device) -> None:
    person = door.person()
    client_id = (await door.register())["client_id"]
    page = await person.open(door.authorization_url(client_id, VERIFIER))
    page = await use_passkey(person, device, page)
    assert ("decision", "allow") in page.buttons, page.text


async def test_an_answer_works_once_t36(door: Door, device: Device) -> None:
    person = door.person()
    page = await person.open("/login")
    kept = person.http.cookies.get(BROWSER)
    answer = device.sign(options_of(page))
    assert (await send(door, answer, page, person)).url.endswith("/dashboard")
    thief = door.person()
    thief.http.cookies.set(BROWSER, kept or "", domain="auth.example.com")
    await assert_refused(thief, await send(door, answer, page, thief))


async def test_an_answer_of_another_browser_is_refused_t2_t36(door: Door, device: Device) -> None:
    victim, thief = door.person(), door.person()
    answer = device.sign(options_of(await thief.open("/login")))
    page = await victim.open("/login")
    await assert_refused(victim, await send(door, answer, page, victim))


@pytest.mark.parametrize(("seconds", "status"), [(300, 200), (301, 401), (-1, 401)])
async def test_a_challenge_is_good_for_five_minutes(door: Door, device: Device, seconds: int, status: int) -> None:
    door.clock.advance(seconds=60)
    person = door.person()
    page = await person.open("/login")
    answer = device.sign(options_of(page))
    door.clock.advance(seconds=seconds)
    assert (await send(door, answer, page, person)).status == status


async def test_whom_a_passkey_is_for_is_what_the_settings_say_and_not_the_request_t38(door: Door) -> None:
    answer = await door.call("GET", "/login", headers=[("host", "evil.test"), ("x-forwarded-host", "evil.test")])
    assert answer.status == 200
    assert b"evil.test" not in answer.body
    assert b"auth.example.com" in answer.body
    for url, rp_id in [("https://a.example:8443", "a.example"), ("http://localhost:8400", "localhost")]:
        party = find_relying_party(url, "Example")
        assert party is not None
        assert (party.rp_id, party.origin) == (rp_id, url)
    assert find_relying_party("http://127.0.0.1:8400", "x") is None
    assert find_relying_party("http://[::1]:8400", "x") is None


async def test_where_there_can_be_no_passkey_none_is_offered_and_nothing_runs(local: Door) -> None:
    page = await local.person().open("/login")
    assert "passkey" not in page.html
    assert "<script" not in page.html
    assert "script-src" not in page.headers["content-security-policy"]


WRONG: list[dict[str, Any]] = [
    {"origin": "https://evil.test"},
    {"origin": f"{ISSUER}:444"},
    {"origin": "https://sub.auth.example.com"},
    {"origin": "http://auth.example.com"},
    {"rp_id": "evil.test"},
    {"is_verified": False},
    {"is_cross_origin": True},
    {"user_handle": b"usr_somebody"},
    {"user_handle": b""},
    {"credential_id": b"another"},
    {"key": Device().key},
]


async def test_whatever_is_wrong_with_an_answer_it_opens_nothing_t36_t40(door: Door, device: Device) -> None:
    person = door.person()
    for wrong in WRONG:
        page = await use_passkey(person, replace(device, **wrong))
        assert (page.status, REFUSED in page.text) == (401, True), wrong
    assert not await is_signed_in(person)


async def test_what_is_no_answer_is_refused_and_never_fails_t48(door: Door, device: Device) -> None:
    person = door.person()
    page = await person.open("/login")
    right = json.loads(device.sign(options_of(page)))
    response = right["response"]
    for answer in [
        "",
        "{}",
        "[]",
        "null",
        "x" * 20_000,
        "[" * 10_000,
        json.dumps({**right, "rawId": "AAAA"}),
        json.dumps({**right, "response": {}}),
        json.dumps({**right, "response": {**response, "authenticatorData": "AAAA"}}),
        json.dumps({**right, "response": {**response, "clientDataJSON": "e30"}}),
        json.dumps({**right, "response": {**response, "signature": None}}),
        json.dumps({**right, "response": {**response, "userHandle": 7}}),
    ]:
        await assert_refused(person, await send(door, answer, page, person))


async def test_a_passkey_that_was_just_made_is_no_sign_in(door: Door) -> None:
    person, device = door.person(), Device()
    page = await person.open("/login")
    options = options_of(page)
    made = device.make({**options, "rp": {"id": options["rpId"]}, "user": {"id": "dXNy"}})
    await assert_refused(person, await send(door, made, page, person))


async def test_a_counter_that_goes_back_is_of_a_copy_and_is_told_as_an_incident(door: Door, person: Person) -> None:
    device = Device(sign_count=5)
    await add_passkey(person, device)
    for count, status in [(6, 200), (6, 401), (5, 401), (0, 401), (7, 200)]:
        other = door.person()
        page = await use_passkey(other, replace(device, sign_count=count))
        assert page.status == status, count
        assert await is_signed_in(other) is (status == 200)
    events = await connections.recent_events(door.operator, door.project)
    assert [event.action for event in events].count("passkey.copied") == 3


async def test_a_passkey_that_does_not_count_is_let_in_again(door: Door, device: Device) -> None:
    for _ in range(2):
        assert (await use_passkey(door.person(), device)).status == 200


async def test_a_disabled_person_s_passkey_opens_nothing_t43(door: Door) -> None:
    visitor, device = await bob(door), Device()
    await add_passkey(visitor, device)
    user = await users.get(door.operator, door.project, visitor.email)
    await users.change(door.operator, user, enabled=False)
    await assert_refused(visitor, await use_passkey(visitor, device))


async def test_a_removed_passkey_opens_nothing_t43(door: Door, device: Device) -> None:
    user = await users.get(door.operator, door.project, ADMIN_EMAIL)
    await factors.reset(door.operator, user)
    other = door.person()
    await assert_refused(other, await use_passkey(other, device))


async def test_a_passkey_of_one_project_opens_nothing_in_another_i10(door: Door, device: Device) -> None:
    await add_neighbour(door)
    person = door.person()
    page = await person.open("/p/acme/login")
    page = await person.submit(page, form_of(page, "/login/passkey"), answer=device.sign(options_of(page)))
    assert (page.status, REFUSED in page.text) == (401, True)


async def test_a_passkey_is_both_steps(door: Door, person: Person, device: Device) -> None:
    await add_app(door, person)
    other = door.person()
    page = await use_passkey(other, device)
    assert page.url.endswith("/dashboard")
    # Also where a code is asked for after the password.
    other = door.person()
    page = await other.sign_in(await other.open("/login"))
    assert "/login/second-step" in page.url
    assert (await use_passkey(other, device, page)).url.endswith("/dashboard")


async def test_tries_with_a_passkey_are_counted_by_source_t39(door: Door, device: Device) -> None:
    person = door.person()
    page = await person.open("/login")
    statuses = [(await send(door, "{}", page, person)).status for _ in range(LOGIN_SOURCE.burst)]
    assert statuses == [401] * (LOGIN_SOURCE.burst - 1) + [429]
