"""Guessing is slow whoever guesses, and its victim is not locked out (T39)."""

from urllib.parse import urlencode

import pytest

from doorward.core.limits import LOGIN_ACCOUNT, LOGIN_SOURCE
from tests.inside import Answer, Door
from tests.person import Person
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD
from tests.web.people import DEVICE, EMAIL, PASSWORD, add_bob, bob, try_password


class Guesser:
    """A program that signs in from wherever it likes, with a cookie it was given once."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._form: dict[str, str] = {}
        self._cookies: dict[str, str] = {}

    async def start(self, device: str = "") -> "Guesser":
        person = self._door.person()
        page = await person.open("/login")
        self._form = {name: value for name, value in page.forms[0].items() if name != "action"}
        self._cookies = {cookie.name: str(cookie.value) for cookie in person.http.cookies.jar}
        if device:
            self._cookies[DEVICE] = device
        return self

    async def guess(self, email: str = ADMIN_EMAIL, password: str = "guess", source: str = "203.0.113.9") -> Answer:
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items()),
        }
        body = urlencode({**self._form, "email": email, "password": password}).encode()
        return await self._door.call("POST", "/login", body, headers, source=source)


async def device_of(person: Person) -> str:
    return person.http.cookies.get(DEVICE) or ""


async def lock_account(door: Door) -> Guesser:
    """Ada's account, guessed at from a hundred addresses until nothing more is answered."""
    guesser = await Guesser(door).start()
    statuses = [(await guesser.guess(source=f"10.0.{n}.1")).status for n in range(100)]
    assert statuses == [401] * LOGIN_ACCOUNT.burst + [429] * (100 - LOGIN_ACCOUNT.burst)
    return guesser


async def test_an_account_is_guessed_at_ten_times_however_many_hosts_guess_authz_15_t39(door: Door) -> None:
    guesser = await lock_account(door)
    right = await guesser.guess(password=ADMIN_PASSWORD, source="198.51.100.1")
    assert right.status == 429
    assert right.header("retry-after") == str(LOGIN_ACCOUNT.period_ms // 1000)
    assert right.header("content-type") == "text/html; charset=utf-8"
    assert "Too many tries. Wait 2 minutes, then try again." in right.body.decode()


async def test_a_limit_is_not_a_lock_and_gives_way_with_time(door: Door) -> None:
    guesser = await lock_account(door)
    door.clock.advance(seconds=LOGIN_ACCOUNT.period_ms / 1000)
    assert (await guesser.guess(password=ADMIN_PASSWORD, source="198.51.100.1")).status == 303


async def test_other_accounts_are_untouched(door: Door) -> None:
    await add_bob(door)
    guesser = await lock_account(door)
    assert (await guesser.guess(EMAIL, PASSWORD, source="198.51.100.1")).status == 303


async def test_the_owner_comes_in_from_a_browser_that_was_there_before_t39(door: Door) -> None:
    owner = door.person()
    await owner.sign_in(await owner.open("/login"))
    await lock_account(door)
    guesser = await Guesser(door).start(device=await device_of(owner))
    assert (await guesser.guess(password=ADMIN_PASSWORD, source="198.51.100.1")).status == 303


async def test_the_browser_of_somebody_else_is_no_help(door: Door) -> None:
    stranger = await bob(door)
    await lock_account(door)
    guesser = await Guesser(door).start(device=await device_of(stranger))
    assert (await guesser.guess(password=ADMIN_PASSWORD, source="198.51.100.1")).status == 429


async def test_a_forged_device_is_no_help(door: Door) -> None:
    owner = door.person()
    await owner.sign_in(await owner.open("/login"))
    await lock_account(door)
    device = await device_of(owner)
    for forged in (device[:-1], f"{device}x", device.replace(".", ""), device.partition(".")[0], "."):
        guesser = await Guesser(door).start(device=forged)
        assert (await guesser.guess(password=ADMIN_PASSWORD, source="198.51.100.1")).status == 429


async def test_a_known_browser_is_limited_too(door: Door) -> None:
    owner = door.person()
    await owner.sign_in(await owner.open("/login"))
    guesser = await Guesser(door).start(device=await device_of(owner))
    statuses = [(await guesser.guess(source=f"10.0.{n}.1")).status for n in range(LOGIN_ACCOUNT.burst + 1)]
    assert statuses == [401] * LOGIN_ACCOUNT.burst + [429]


async def test_one_source_tries_thirty_accounts(door: Door) -> None:
    guesser = await Guesser(door).start()
    statuses = [(await guesser.guess(f"user{n}@example.com")).status for n in range(LOGIN_SOURCE.burst + 1)]
    assert statuses == [401] * LOGIN_SOURCE.burst + [429]
    assert (await guesser.guess(password=ADMIN_PASSWORD)).status == 429
    assert (await guesser.guess(password=ADMIN_PASSWORD, source="198.51.100.1")).status == 303


async def test_a_source_is_a_whole_ipv6_network(door: Door) -> None:
    guesser = await Guesser(door).start()
    for n in range(LOGIN_SOURCE.burst):
        await guesser.guess(f"user{n}@example.com", source=f"2001:db8:1:2::{n:x}")
    assert (await guesser.guess("other@example.com", source="2001:db8:1:2:ffff::1")).status == 429
    assert (await guesser.guess("other@example.com", source="2001:db8:1:3::1")).status == 401


async def test_a_right_password_forgets_the_wrong_ones_before(door: Door) -> None:
    guesser = await Guesser(door).start()
    for _ in range(3):
        for n in range(LOGIN_ACCOUNT.burst - 1):
            assert (await guesser.guess(source=f"10.0.{n}.1")).status == 401
        assert (await guesser.guess(password=ADMIN_PASSWORD, source="198.51.100.1")).status == 303


async def test_a_refused_try_costs_no_hashing(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    guesser = await lock_account(door)

    def fail(*_: object) -> bool:
        raise AssertionError("a password was checked")

    monkeypatch.setattr("doorward.server.password_checker.verify_password", fail)
    assert (await guesser.guess(source="198.51.100.1")).status == 429


async def test_a_person_who_mistypes_a_few_times_comes_in(door: Door) -> None:
    person = door.person()
    for _ in range(4):
        assert (await try_password(person, ADMIN_EMAIL, "mistyped")).status == 401
    assert (await try_password(person, ADMIN_EMAIL, ADMIN_PASSWORD)).status == 200
