"""People besides the owner, and what their browsers hold."""

from typing import Any

import httpx2

from doorward.core.models import User
from doorward.manage import users
from tests.inside import Door
from tests.person import Page, Person

EMAIL = "bob@example.com"
PASSWORD = "another harbour, at noon"
SESSION = "__Host-mcpas"
BROWSER = "__Host-mcpas-browser"
DEVICE = "__Host-mcpas-device"


async def add_bob(door: Door, **members: Any) -> User:
    return await users.add(door.operator, door.project, EMAIL, PASSWORD, **members)


async def bob(door: Door) -> Person:
    """A browser of a member, signed in."""
    await add_bob(door)
    found = door.person(EMAIL, PASSWORD)
    page = await found.sign_in(await found.open("/login"))
    assert page.url.endswith("/account"), page.text
    return found


async def try_password(person: Person, email: str, password: str) -> Page:
    """What the sign-in page says to these credentials."""
    return await person.submit(await person.open("/login"), email=email, password=password)


async def is_signed_in(person: Person) -> bool:
    """Whether the account page is shown or the way to sign in."""
    response = await person.http.get("/account")
    assert response.status_code in (200, 303)
    return response.status_code == 200


def cookies_set(response: httpx2.Response) -> dict[str, str]:
    """What a response asks the browser to keep: each cookie with its attributes."""
    lines = response.headers.get_list("set-cookie")
    return {line.partition("=")[0]: line.partition("=")[2] for line in lines}
