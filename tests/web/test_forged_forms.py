"""A form counts only when a page of ours, shown to this browser, sent it (CSRF: CON-04, T2, T36)."""

from collections.abc import Mapping

import httpx2
import pytest

from doorward.manage import connections, users
from tests.inside import Door
from tests.person import Person
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD
from tests.web.people import bob, is_signed_in

WORDS = "This form is out of date"
FORMS: dict[str, Mapping[str, str]] = {
    "/login": {"email": ADMIN_EMAIL, "password": ADMIN_PASSWORD, "next": ""},
    "/logout": {"ignored": "field"},
    "/oauth/consent": {"flow": "mfl_x", "decision": "allow"},
    "/device": {"user_code": "BCDF-GHJK"},
    "/device/decide": {"user_code": "BCDF-GHJK", "decision": "allow"},
    "/account/connections/revoke": {"grant_id": "grt_x"},
    "/account/connections/reopen": {"grant_id": "grt_x"},
    "/account/sessions/revoke": {"ignored": "field"},
    "/account/sessions/end": {"session": "00"},
    "/account/security/password": {"password": ADMIN_PASSWORD},
    "/account/security/authenticator/remove": {"ignored": "field"},
}
FOREIGN_SITES = ["cross-site", "same-site", "nonsense"]
OWN_SITES = [{"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}, {}, {"origin": "null"}]


async def token_of(person: Person) -> str:
    """What this browser's forms carry."""
    page = await person.open("/account")
    return page.forms[0]["csrf"]


async def post(
    person: Person, path: str, csrf: str | None, headers: Mapping[str, str] | None = None
) -> httpx2.Response:
    fields = {**FORMS[path], **({"csrf": csrf} if csrf is not None else {})}
    return await person.http.post(path, data=fields, headers=dict(headers or {}))


def assert_refused(response: httpx2.Response) -> None:
    assert response.status_code == 403
    assert WORDS in response.text
    assert "location" not in response.headers
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize("path", FORMS)
async def test_a_form_without_its_token_is_refused_con_04(person: Person, path: str) -> None:
    right = await token_of(person)
    for wrong in (None, "", "x", right[:-1], f"{right}x", right.swapcase(), "é"):
        assert_refused(await post(person, path, wrong))
    assert await is_signed_in(person)


@pytest.mark.parametrize("path", FORMS)
async def test_the_token_of_another_browser_or_person_is_refused_con_04_t2(
    door: Door, person: Person, path: str
) -> None:
    same_person = door.person()
    await same_person.sign_in(await same_person.open("/login"))
    for other in (same_person, await bob(door)):
        assert_refused(await post(person, path, await token_of(other)))


@pytest.mark.parametrize("path", FORMS)
async def test_the_token_from_before_signing_in_is_refused_after_it(door: Door, path: str) -> None:
    visitor = door.person()
    page = await visitor.open("/login")
    before = page.forms[0]["csrf"]
    await visitor.sign_in(page)
    assert_refused(await post(visitor, path, before))


@pytest.mark.parametrize("site", FOREIGN_SITES)
@pytest.mark.parametrize("path", FORMS)
async def test_what_a_browser_calls_foreign_is_refused_even_with_the_token(
    person: Person, path: str, site: str
) -> None:
    assert_refused(await post(person, path, await token_of(person), {"sec-fetch-site": site}))


@pytest.mark.parametrize("headers", OWN_SITES, ids=str)
@pytest.mark.parametrize("path", FORMS)
async def test_what_a_browser_calls_ours_or_says_nothing_of_is_believed_with_the_token(
    person: Person, path: str, headers: dict[str, str]
) -> None:
    response = await post(person, path, await token_of(person), headers)
    assert WORDS not in response.text


async def test_a_browser_without_any_cookie_has_no_form(door: Door, person: Person) -> None:
    token = await token_of(person)
    for path in FORMS:
        assert_refused(await post(door.person(), path, token))


async def test_nobody_signs_another_browser_in_with_their_own_form(door: Door) -> None:
    attacker, victim = door.person(), door.person()
    form = (await attacker.open("/login")).forms[0]
    await victim.open("/login")
    assert_refused(await post(victim, "/login", form["csrf"]))


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data"])
async def test_a_body_that_is_no_form_is_refused(person: Person, path: str, content_type: str) -> None:
    response = await person.http.post(path, content=b"csrf=x", headers={"content-type": content_type})
    assert response.status_code == 400
    assert await is_signed_in(person)


async def test_nothing_of_a_refused_form_happened(door: Door, person: Person) -> None:
    ada = await users.get(door.operator, door.project, ADMIN_EMAIL)
    before = await connections.recent_events(door.operator, door.project)
    for path in FORMS:
        await post(person, path, "wrong")
        await post(person, path, await token_of(person), {"sec-fetch-site": "cross-site"})
    assert await connections.recent_events(door.operator, door.project) == before
    assert len(await connections.sessions(door.operator, door.project, ada)) == 1
