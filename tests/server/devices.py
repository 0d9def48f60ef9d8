"""A device without a browser, and the person who lets it in on another one."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from doorward.core.models import AUTHORIZATION_CODE, DEVICE_CODE, REFRESH_TOKEN
from tests.inside import Answer, Door
from tests.person import Page, Person
from tests.server.steps import TOKEN, set_project, success

DEVICE = "/api/oauth/device"
GRANTS = [AUTHORIZATION_CODE, REFRESH_TOKEN, DEVICE_CODE]
NAME = "Weather station"
PENDING = (400, "authorization_pending")
SLOW_DOWN = (400, "slow_down")
GONE = (400, "invalid_grant")


async def offer(door: Door) -> Door:
    """Switch the device grant on."""
    await set_project(door, device_flow=True)
    return door


async def add_device(door: Door, **members: Any) -> dict[str, Any]:
    """A client that registered itself for the device grant, public unless said otherwise."""
    given: dict[str, Any] = {"client_name": NAME, "grant_types": GRANTS, **members}
    return await door.register(**given)


async def request(
    door: Door,
    client_id: str | None,
    headers: Mapping[str, str] | None = None,
    *,
    source: str = "198.51.100.7",
    **fields: str,
) -> Answer:
    """A device authorization request."""
    form = {**({"client_id": client_id} if client_id else {}), **fields}
    media = {"content-type": "application/x-www-form-urlencoded", "user-agent": "station/1.0"}
    return await door.call("POST", DEVICE, urlencode(form).encode(), {**media, **(headers or {})}, source=source)


async def ask(door: Door, client_id: str | None, **fields: str) -> dict[str, Any]:
    """What a device is answered."""
    return success(await request(door, client_id, None, **fields))


async def poll(
    door: Door, client_id: str, device_code: str, headers: Mapping[str, str] | None = None, **fields: str
) -> Answer:
    """Whether the person has decided yet."""
    form = {"grant_type": DEVICE_CODE, "client_id": client_id, "device_code": device_code, **fields}
    return await door.post_form(TOKEN, form, headers)


async def signed_in(door: Door, *credentials: str) -> Person:
    """A browser whose person has signed in."""
    person = door.person(*credentials)
    page = await person.sign_in(await person.open("/login"))
    assert page.status == 200, page.text
    return person


async def enter(person: Person, user_code: str) -> Page:
    """What comes when a person types a code; signed in on the way."""
    page = await person.open("/device")
    if "password" in page.forms[0]:
        page = await person.sign_in(page)
    return await person.submit(page, user_code=user_code)


async def let_in(person: Person, user_code: str, decision: str = "allow") -> Page:
    """Enter the code and decide."""
    page = await enter(person, user_code)
    assert ("decision", decision) in page.buttons, page.text
    page = await person.submit(page, decision=decision)
    assert page.status == 200, page.text
    return page
