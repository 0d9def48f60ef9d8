"""A person adds a provider to their account, and takes it away: freshly signed in, and never the last one."""

from dataclasses import replace

import pytest

from doorward.core.upstream import LINK_WITHIN_MS, SignUp
from doorward.manage import providers, users
from doorward.storage.identities import list_identities
from doorward.storage.users import set_password
from tests.inside import Door
from tests.person import Page, Person
from tests.running import ADMIN_EMAIL
from tests.upstream.identity_provider import IdentityProvider
from tests.upstream.travellers import Traveller

BOB, PASSWORD = "bob@example.com", "another harbour, at noon"


@pytest.fixture
async def owner(door: Door, provider: IdentityProvider) -> Traveller:
    """The owner, signed in by password."""
    person = door.person()
    await person.sign_in(await person.open("/login"))
    return Traveller(person, provider)


async def press(person: Person, end: str, **fields: str) -> Page:
    page = await person.open("/account")
    form = next(form for form in page.forms if form["action"].endswith(f"/account/identities/{end}"))
    return await person.submit(page, form, **fields)


async def begin(traveller: Traveller) -> dict[str, str]:
    left = await press(traveller.person, "link")
    assert left.status == 200, left.text
    return traveller.provider.answer(left.links["continue"])


async def linked(door: Door) -> list[tuple[str, str]]:
    found = await door.context.database.read(list_identities, door.project.project_id)
    return [(identity.subject, identity.email) for identity in found]


async def test_what_was_added_lets_the_person_in_and_what_was_removed_does_not(
    door: Door, provider: IdentityProvider, owner: Traveller, carol: Traveller
) -> None:
    page = await owner.come_back(await begin(owner))
    assert (page.status, "Added just now" in page.text) == (200, True)
    assert (await carol.sign_in()).url.endswith("/dashboard")
    assert "It was removed" in (await press(owner.person, "unlink")).text
    assert (await Traveller(door.person(), provider).sign_in()).status == 403
    assert await linked(door) == []


async def test_another_session_cannot_finish_what_this_one_began_pxy_10_t36(door: Door, owner: Traveller) -> None:
    # Who gets somebody to finish a link with their account at the provider would have a way into it.
    await users.add(door.operator, door.project, BOB, PASSWORD)
    answer = await begin(owner)
    bob = door.person(BOB, PASSWORD)
    await bob.sign_in(await bob.open("/login"))
    assert (await Traveller(bob, owner.provider).come_back(answer)).status == 400
    # In the same browser, too, once somebody else is signed in there, or nobody.
    page = await owner.person.open("/account")
    await owner.person.submit(page, page.forms[0])
    assert (await owner.come_back(answer)).status == 403
    assert await linked(door) == []


async def test_somebody_who_signed_in_since_gets_nothing_added_pxy_10(door: Door, owner: Traveller) -> None:
    await users.add(door.operator, door.project, BOB, PASSWORD)
    answer = await begin(owner)
    bob = Person(owner.person.http, BOB, PASSWORD)
    assert "bob@example.com" in (await bob.sign_in(await bob.open("/login"))).text
    assert (await owner.come_back(answer)).status == 403
    assert await linked(door) == []


async def test_an_identity_that_is_somebodys_is_not_taken_from_them_t37(
    door: Door, provider: IdentityProvider, owner: Traveller
) -> None:
    await owner.come_back(await begin(owner))
    await users.add(door.operator, door.project, BOB, PASSWORD)
    bob = Traveller(door.person(BOB, PASSWORD), provider)
    await bob.person.sign_in(await bob.person.open("/login"))
    page = await bob.come_back(await begin(bob))
    assert (page.status, "belongs to another account" in page.text) == (409, True)
    assert await linked(door) == [("sub-1", ADMIN_EMAIL)]


async def test_adding_needs_a_fresh_sign_in_and_a_form_of_ours(door: Door, owner: Traveller) -> None:
    door.clock.advance(seconds=LINK_WITHIN_MS / 1000)
    assert (await press(owner.person, "link")).status == 200
    door.clock.advance(seconds=1)
    assert (await press(owner.person, "link")).status == 403
    assert (await press(owner.person, "link", csrf="x")).status == 403


async def test_the_last_way_in_stays(door: Door, provider: IdentityProvider, carol: Traveller) -> None:
    found = await providers.get(door.operator, door.project, "acme")
    await providers.change(door.operator, found, sign_up=SignUp("open"))
    door.context.tenancy.forget()
    await carol.sign_in()
    assert "This is the only way you can sign in" in (await press(carol.person, "unlink")).text
    assert len(await linked(door)) == 1
    user = await users.get(door.operator, door.project, "carol@example.com")
    await door.context.database.write(set_password, door.project.project_id, user.user_id, "a hash")
    assert "It was removed" in (await press(carol.person, "unlink")).text


async def test_nobody_removes_the_ways_in_of_others(door: Door, owner: Traveller) -> None:
    await owner.come_back(await begin(owner))
    await users.add(door.operator, door.project, BOB, PASSWORD)
    user = await users.get(door.operator, door.project, BOB)
    operator = replace(door.operator, actor=f"user:{user.user_id}")
    await providers.unlink_own(operator, user, owner.provider.issuer, "sub-1")
    assert await linked(door) == [("sub-1", ADMIN_EMAIL)]
