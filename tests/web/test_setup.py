"""The set-up link makes the first administrator, once (I1)."""

import asyncio

import pytest

from doorward.core.limits import SETUP_SOURCE
from doorward.core.secrets import SETUP, new_secret
from doorward.manage import connections, users
from doorward.manage.users import SETUP_LIFE_MS
from tests.inside import Door
from tests.person import Page, Person
from tests.web.people import EMAIL, PASSWORD, add_bob, is_signed_in

OVER = "This set-up link is not valid"


@pytest.fixture
async def empty(door: Door) -> Door:
    """A server that nobody can administer yet."""
    for user in await users.list_all(door.operator, door.project):
        await users.remove(door.operator, user)
    return door


async def make_link(door: Door) -> str:
    token = await users.create_setup_link(door.operator, door.project)
    assert token is not None
    return f"/setup?token={token}"


async def set_up(person: Person, link: str, email: str = EMAIL, password: str = PASSWORD) -> Page:
    page = await person.open(link)
    assert page.status == 200, page.text
    return await person.submit(page, email=email, password=password, name="Bob")


async def owners(door: Door) -> list[str]:
    return [user.email for user in await users.list_all(door.operator, door.project)]


async def test_the_link_makes_an_owner_and_signs_them_in(empty: Door) -> None:
    person = empty.person()
    page = await set_up(person, await make_link(empty))
    assert page.url.endswith("/dashboard")
    assert await is_signed_in(person)
    (owner,) = await users.list_all(empty.operator, empty.project)
    assert (owner.email, owner.name, owner.role) == (EMAIL, "Bob", "owner")


async def test_the_link_works_once(empty: Door) -> None:
    link = await make_link(empty)
    await set_up(empty.person(), link)
    page = await empty.person().open(link)
    assert (page.status, OVER in page.text) == (400, True)


async def test_of_many_who_use_the_link_at_once_one_becomes_the_owner(empty: Door) -> None:
    link = await make_link(empty)
    people = [empty.person() for _ in range(5)]
    pages = [await person.open(link) for person in people]
    used = await asyncio.gather(
        *(
            person.submit(page, email=f"user{number}@example.com", password=PASSWORD)
            for number, (person, page) in enumerate(zip(people, pages, strict=True))
        )
    )
    assert len(await owners(empty)) == 1
    assert sum(page.url.endswith("/dashboard") for page in used) == 1
    assert sorted(page.status for page in used) == [200, 400, 400, 400, 400]


async def test_looking_at_the_link_does_not_use_it_up(empty: Door) -> None:
    link = await make_link(empty)
    for _ in range(5):
        assert (await empty.person().open(link)).status == 200
    assert (await set_up(empty.person(), link)).status == 200


@pytest.mark.parametrize(("seconds", "works"), [(SETUP_LIFE_MS / 1000 - 1, True), (SETUP_LIFE_MS / 1000, False)])
async def test_the_link_works_for_a_day(empty: Door, seconds: float, *, works: bool) -> None:
    link = await make_link(empty)
    empty.clock.advance(seconds=seconds)
    assert ((await empty.person().open(link)).status == 200) is works


async def test_the_link_is_over_as_soon_as_somebody_can_administer(empty: Door) -> None:
    link = await make_link(empty)
    visitor = empty.person()
    page = await visitor.open(link)
    await add_bob(empty, role="admin")
    late = await visitor.submit(page, email="mallory@example.com", password=PASSWORD)
    assert (late.status, OVER in late.text) == (400, True)
    assert await owners(empty) == [EMAIL]


async def test_a_member_alone_does_not_end_the_link(empty: Door) -> None:
    link = await make_link(empty)
    await add_bob(empty, role="member")
    assert (await set_up(empty.person(), link, "ada@example.com")).url.endswith("/dashboard")


async def test_no_link_is_made_where_somebody_can_administer(door: Door) -> None:
    assert await users.create_setup_link(door.operator, door.project) is None


async def test_a_new_link_ends_the_one_before(empty: Door) -> None:
    old, new = await make_link(empty), await make_link(empty)
    assert (await empty.person().open(old)).status == 400
    assert (await empty.person().open(new)).status == 200


@pytest.mark.parametrize(
    ("email", "password", "words"),
    [
        ("no address", PASSWORD, "This is not an e-mail address."),
        ("", PASSWORD, "This is not an e-mail address."),
        (EMAIL, "brief", "Use at least 15 characters."),
        (EMAIL, "", "Use at least 15 characters."),
        (EMAIL, "a" * 30, "This repeats a few characters only."),
        (EMAIL, "passwordpassword", "This is made of words that are tried first."),
        (EMAIL, "x1!" * 400, "Use at most 1024 characters."),
    ],
)
async def test_what_is_wrong_is_said_and_the_link_is_not_used_up(
    empty: Door, email: str, password: str, words: str
) -> None:
    link, person = await make_link(empty), empty.person()
    page = await set_up(person, link, email, password)
    assert page.status == 400
    assert words in page.text
    assert not password or password not in page.html
    assert await owners(empty) == []
    assert (await set_up(person, link)).status == 200


@pytest.mark.parametrize(
    "query", ["", "?token=", "?token=mst_x", "?token=%FF", "?token=a&token=b", f"?token={'x' * 9000}"]
)
async def test_a_link_that_nobody_made_is_over(empty: Door, query: str) -> None:
    await make_link(empty)
    page = await empty.person().open(f"/setup{query}")
    assert (page.status, OVER in page.text) == (400, True)


async def test_guessing_links_is_limited(empty: Door) -> None:
    link = await make_link(empty)
    statuses = [(await empty.call("GET", f"/setup?token={new_secret(SETUP)}")).status for _ in range(12)]
    assert statuses == [400] * SETUP_SOURCE.burst + [429] * 2
    assert (await empty.person().open(link)).status == 200


async def test_the_owner_is_recorded_once_and_the_token_never_i7_t49(empty: Door) -> None:
    link = await make_link(empty)
    await set_up(empty.person(), link)
    events = await connections.recent_events(empty.operator, empty.project)
    added = [event for event in events if event.action == "user.added" and event.actor == "operator:setup-link"]
    assert [event.detail for event in added] == [{"role": "owner"}]
    token = link.partition("=")[2]
    for path in empty.context.settings.data.iterdir():
        assert token.encode() not in path.read_bytes()
