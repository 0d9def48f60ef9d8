"""A browser session: how long it lives, what ends it, and that a restart does not (T36, T43)."""

from dataclasses import replace

import pytest

from doorward.manage import connections, users
from doorward.server.jobs import sweep
from tests.inside import Door, open_door
from tests.person import Person
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD
from tests.web.people import EMAIL, SESSION, bob, is_signed_in

HOUR = 3600


@pytest.mark.parametrize(("seconds", "lives"), [(HOUR - 1, True), (HOUR, False)])
async def test_an_idle_session_ends_after_an_hour(door: Door, person: Person, seconds: int, *, lives: bool) -> None:
    door.clock.advance(seconds=seconds)
    assert await is_signed_in(person) is lives


@pytest.mark.parametrize(("who", "hours"), [("owner", 12), ("member", 24)])
async def test_a_session_in_use_ends_after_half_a_day_for_staff_and_a_day_for_others(
    door: Door, person: Person, who: str, hours: int
) -> None:
    visitor = person if who == "owner" else await bob(door)
    for _ in range(2 * hours - 1):
        door.clock.advance(seconds=HOUR / 2)
        assert await is_signed_in(visitor)
    door.clock.advance(seconds=HOUR / 2 - 1)
    assert await is_signed_in(visitor)
    door.clock.advance(seconds=1)
    assert not await is_signed_in(visitor)


async def test_a_session_that_ended_is_not_revived_by_a_clock_that_goes_back_i9(door: Door, person: Person) -> None:
    door.clock.advance(seconds=13 * HOUR)
    assert not await is_signed_in(person)
    await sweep(door.context)
    door.clock.advance(seconds=-13 * HOUR)
    assert not await is_signed_in(person)


async def test_a_disabled_person_is_out_at_once_and_has_to_sign_in_again_t43(door: Door) -> None:
    visitor = await bob(door)
    user = await users.get(door.operator, door.project, EMAIL)
    await users.change(door.operator, user, enabled=False)
    assert not await is_signed_in(visitor)
    await users.change(door.operator, user, enabled=True)
    assert not await is_signed_in(visitor)


async def test_a_new_password_ends_every_session(door: Door) -> None:
    visitor = await bob(door)
    user = await users.get(door.operator, door.project, EMAIL)
    await users.change_password(door.operator, user, "a third harbour, by night")
    assert not await is_signed_in(visitor)


async def test_a_removed_person_is_out_at_once(door: Door) -> None:
    visitor = await bob(door)
    await users.remove(door.operator, await users.get(door.operator, door.project, EMAIL))
    assert not await is_signed_in(visitor)


async def test_signing_out_everywhere_else_spares_this_browser(door: Door, person: Person) -> None:
    others = [door.person(), door.person()]
    for other in others:
        await other.sign_in(await other.open("/login"))
    page = await person.open("/account")
    (form,) = [form for form in page.forms if form["action"].endswith("/sessions/revoke")]
    page = await person.submit(page, form)
    assert "You are signed out everywhere else." in page.text
    assert await is_signed_in(person)
    assert [await is_signed_in(other) for other in others] == [False, False]
    events = await connections.recent_events(door.operator, door.project)
    assert [event.detail for event in events if event.action == "session.ended"] == [{"sessions": 2}]


async def test_a_restart_signs_nobody_out_i2(door: Door, person: Person) -> None:
    await door.context.database.close()
    async with open_door(door.context.settings.data, door.clock) as again:
        visitor = again.person()
        visitor.http.cookies.set(SESSION, person.http.cookies.get(SESSION) or "", domain="auth.example.com")
        assert await is_signed_in(visitor)


@pytest.mark.parametrize("value", ["", "mss_", "x" * 4000, "mss_AAAA", "../../etc/passwd"])
async def test_a_cookie_that_nobody_was_given_is_nobody(door: Door, value: str) -> None:
    visitor = door.person()
    visitor.http.cookies.set(SESSION, value, domain="auth.example.com")
    assert not await is_signed_in(visitor)


async def test_a_session_is_stored_as_a_hash_t49(door: Door, person: Person) -> None:
    token = person.http.cookies.get(SESSION) or ""
    assert token.startswith("mss_")
    for path in door.context.settings.data.iterdir():
        assert token.encode() not in path.read_bytes()


async def test_the_account_page_lists_browsers_and_marks_this_one(door: Door, person: Person) -> None:
    other = door.person()
    other.http.headers["user-agent"] = "Mosaic/1.0 <b>"
    await other.sign_in(await other.open("/login"))
    page = await person.open("/account")
    assert "Mosaic/1.0 <b>" in page.text
    assert page.text.count("this browser") == 1
    assert "<b>" not in page.html


async def test_a_change_of_role_holds_at_the_next_page(door: Door) -> None:
    visitor = await bob(door)
    user = await users.get(door.operator, door.project, EMAIL)
    assert (await visitor.open("/dashboard")).status == 403
    await users.change(door.operator, user, role="auditor")
    assert (await visitor.open("/dashboard")).status == 200
    await users.change(door.operator, replace(user, role="auditor"), role="member")
    assert (await visitor.open("/dashboard")).status == 403


async def test_a_visit_is_seen_but_not_written_at_every_page(door: Door, person: Person) -> None:
    owner = await users.get(door.operator, door.project, ADMIN_EMAIL)

    async def last_seen() -> int:
        (session,) = await connections.sessions(door.operator, door.project, owner)
        return session.last_seen_at

    started = await last_seen()
    for seconds, seen in ((30, started), (30, started), (1, started + 61_000)):
        door.clock.advance(seconds=seconds)
        await person.open("/account")
        assert await last_seen() == seen
    assert ADMIN_PASSWORD not in str(await connections.sessions(door.operator, door.project, owner))
