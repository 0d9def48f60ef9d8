"""The dashboard as somebody uses it: opening its pages, sending its forms, saying yes where they ask."""

from urllib.parse import urlencode

from doorward.core.models import Role
from doorward.manage import users
from tests.inside import Door
from tests.person import Page, Person

PASSWORD = "another harbour, at noon"


async def staff(door: Door, role: Role, name: str = "") -> Person:
    """A browser of somebody with a role, signed in."""
    email = f"{name or role}@staff.example"
    await users.add(door.operator, door.project, email, PASSWORD, role=role, name=f"The {name or role}")
    person = door.person(email, PASSWORD)
    await person.sign_in(await person.open("/login"))
    return person


async def look(visitor: Person, path: str, **query: str) -> Page:
    """A page of the dashboard."""
    return await visitor.open(f"/dashboard{path}" + (f"?{urlencode(query)}" if query else ""))


async def send(person: Person, path: str, act: str, **fields: str) -> Page:
    """A form as the page would send it, whether or not it shows it."""
    page = await person.open("/account")
    form = {"action": f"/dashboard{path}", "csrf": page.forms[0]["csrf"], "act": act}
    return await person.submit(page, form | fields)


async def do(person: Person, path: str, act: str, **fields: str) -> Page:
    """The same, saying yes on the page that asks."""
    asked = await send(person, path, act, **fields)
    (form,) = [form for form in asked.forms if form.get("confirmed") == "yes"]
    return await person.submit(asked, form)
