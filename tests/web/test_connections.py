"""Each consent is one connection of one browser: a shared client id does not make two devices one.

Spec: CON-05; complaint 24; product.md, feature 13
"""

from typing import Any

from doorward.core.models import User
from doorward.manage import clients, connections, users
from tests.inside import LOOPBACK, Door
from tests.person import Page, Person
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD
from tests.server.steps import is_active, refusal, success
from tests.web.people import DEVICE, EMAIL, PASSWORD, add_bob

LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 Safari/604.1"


async def shared_client(door: Door) -> str:
    """A client id that every installation of an app has in common, as with metadata documents."""
    client, _ = await clients.add(door.operator, door.project, (LOOPBACK,), name="Shared")
    return client.client_id


def browser(door: Door, agent: str, email: str = ADMIN_EMAIL, password: str = ADMIN_PASSWORD) -> Person:
    found = door.person(email, password)
    found.http.headers["user-agent"] = agent
    return found


async def connect(door: Door, client_id: str, person: Person, **parameters: str) -> dict[str, Any]:
    code, verifier = await door.obtain_code(client_id, person, **parameters)
    return success(await door.redeem(client_id, code, verifier))


async def owner(door: Door) -> User:
    return await users.get(door.operator, door.project, ADMIN_EMAIL)


def revoke_forms(page: Page) -> list[dict[str, str]]:
    return [form for form in page.forms if form["action"].endswith("/connections/revoke")]


async def test_two_devices_of_one_client_id_are_two_lines_and_revoking_one_leaves_the_other(door: Door) -> None:
    client_id = await shared_client(door)
    laptop, phone = browser(door, LINUX), browser(door, PHONE)
    kept = await connect(door, client_id, laptop)
    door.clock.advance(seconds=60)
    ended = await connect(door, client_id, phone)
    page = await laptop.open("/account")
    assert "with Firefox on Linux" in page.text
    assert "with Safari on iPhone" in page.text
    newest, _ = revoke_forms(page)
    page = await laptop.submit(page, newest)
    assert "with Safari on iPhone" not in page.text.partition("Where you are signed in")[0]
    assert not await is_active(door, ended["access_token"])
    assert refusal(await door.refresh(client_id, ended["refresh_token"])) == (400, "invalid_grant")
    assert await is_active(door, kept["access_token"])
    success(await door.refresh(client_id, kept["refresh_token"]))


async def test_a_step_up_from_the_same_browser_stays_one_line_and_ends_as_one(door: Door) -> None:
    client_id = await shared_client(door)
    laptop = browser(door, LINUX)
    first = await connect(door, client_id, laptop, scope="tools:read")
    door.clock.advance(seconds=60)
    second = await connect(door, client_id, laptop, scope="tools:read tools:write")
    page = await laptop.open("/account")
    (form,) = revoke_forms(page)
    assert "Book flights" in page.text
    await laptop.submit(page, form)
    for tokens in (first, second):
        assert not await is_active(door, tokens["access_token"])


async def test_a_browser_is_the_same_after_signing_in_again(door: Door) -> None:
    client_id = await shared_client(door)
    laptop = browser(door, LINUX)
    await connect(door, client_id, laptop)
    device = laptop.http.cookies[DEVICE]
    door.clock.advance(seconds=86_400)  # the session is over
    await connect(door, client_id, laptop, scope="tools:read tools:write")
    assert laptop.http.cookies[DEVICE] == device
    (app,) = await connections.list_apps(door.operator, door.project, await owner(door))
    assert app.scope_titles == ("Look things up", "Book flights")


async def test_a_browser_that_keeps_no_device_cookie_is_told_by_its_session(door: Door) -> None:
    client_id = await shared_client(door)
    laptop, other = browser(door, LINUX), browser(door, LINUX)
    for person in (laptop, other):
        await person.sign_in(await person.open("/login"))
        person.http.cookies.delete(DEVICE)
    await connect(door, client_id, laptop, scope="tools:read")
    await connect(door, client_id, laptop, scope="tools:read tools:write")
    assert len(await connections.list_apps(door.operator, door.project, await owner(door))) == 1
    await connect(door, client_id, other)
    assert len(await connections.list_apps(door.operator, door.project, await owner(door))) == 2


async def test_nobody_makes_their_browser_pass_for_anothers(door: Door) -> None:
    client_id = await shared_client(door)
    await add_bob(door)
    ada, mallory = browser(door, LINUX), browser(door, LINUX, EMAIL, PASSWORD)
    kept = await connect(door, client_id, ada)
    await mallory.sign_in(await mallory.open("/login"))
    mallory.http.cookies.set(DEVICE, ada.http.cookies[DEVICE], domain="auth.example.com")
    await connect(door, client_id, mallory)
    page = await mallory.open("/account")
    (form,) = revoke_forms(page)
    await mallory.submit(page, form)
    assert await is_active(door, kept["access_token"])


async def test_a_line_tells_the_last_use_of_any_of_its_consents(door: Door) -> None:
    client_id = await shared_client(door)
    laptop = browser(door, LINUX)
    first = await connect(door, client_id, laptop, scope="tools:read")
    await connect(door, client_id, laptop, scope="tools:read tools:write")
    door.clock.advance(seconds=600)
    success(await door.refresh(client_id, first["refresh_token"]))
    (app,) = await connections.list_apps(door.operator, door.project, await owner(door))
    assert app.last_used_at == door.clock()


async def test_an_app_that_says_nothing_of_its_browser_is_listed_without_one(door: Door) -> None:
    client_id = await shared_client(door)
    laptop = browser(door, "Something else/1.0")
    await connect(door, client_id, laptop)
    page = await laptop.open("/account")
    (form,) = revoke_forms(page)
    assert "Connected just now ·" in page.text
    await laptop.submit(page, form)
    assert await connections.list_apps(door.operator, door.project, await owner(door)) == []
