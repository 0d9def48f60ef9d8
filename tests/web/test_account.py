"""A person's own page: what they let in, and that taking it back is at once and theirs alone (CON-05)."""

import pytest

from doorward.manage import connections, users
from tests.inside import Door
from tests.person import Page, Person
from tests.running import ADMIN_EMAIL
from tests.server.steps import is_active, refusal
from tests.web.people import bob

REVOKED = "Access was taken back."


def revoke_forms(page: Page) -> list[dict[str, str]]:
    return [form for form in page.forms if form["action"].endswith("/connections/revoke")]


async def test_an_app_that_was_let_in_is_listed_in_words_con_05(door: Door, person: Person) -> None:
    client_id = (await door.register(client_name="Inspector"))["client_id"]
    code, verifier = await door.obtain_code(client_id, person, scope="tools:read tools:write")
    await door.redeem(client_id, code, verifier)
    page = await person.open("/account")
    for words in ("Inspector", "127.0.0.1:4711", "Example server", "Look things up", "Book flights", "just now"):
        assert words in page.text
    assert len(revoke_forms(page)) == 1


async def test_a_consent_that_was_never_used_is_not_listed(door: Door, person: Person) -> None:
    await door.obtain_code((await door.register())["client_id"], person)
    assert revoke_forms(await person.open("/account")) == []


async def test_taking_access_back_ends_it_at_once_con_05(door: Door, person: Person) -> None:
    client_id, tokens = await door.tokens(person)
    page = await person.open("/account")
    page = await person.submit(page, revoke_forms(page)[0])
    assert REVOKED in page.text
    assert revoke_forms(page) == []
    assert not await is_active(door, tokens["access_token"])
    assert refusal(await door.refresh(client_id, tokens["refresh_token"])) == (400, "invalid_grant")


async def test_the_other_apps_stay_connected(door: Door, person: Person) -> None:
    _, kept = await door.tokens(person)
    ada = await users.get(door.operator, door.project, ADMIN_EMAIL)
    other_id = (await door.register(client_name="Other"))["client_id"]
    code, verifier = await door.obtain_code(other_id, person)
    other = (await door.redeem(other_id, code, verifier)).json()
    apps = await connections.list_apps(door.operator, door.project, ada)
    target = next(app.grant.grant_id for app in apps if app.client.client_name == "Other")
    page = await person.open("/account")
    form = next(form for form in revoke_forms(page) if target in form.values())
    await person.submit(page, form)
    assert await is_active(door, kept["access_token"])
    assert not await is_active(door, other["access_token"])


async def test_nobody_takes_back_what_is_anothers(door: Door, person: Person) -> None:
    _, tokens = await door.tokens(person)
    theirs = revoke_forms(await person.open("/account"))[0]
    stranger = await bob(door)
    page = await stranger.open("/account")
    csrf = page.forms[0]["csrf"]
    await stranger.submit(page, {**theirs, "csrf": csrf})
    assert await is_active(door, tokens["access_token"])


@pytest.mark.parametrize("grant_id", ["", "grt_nobody", "x" * 5000, "é"])
async def test_what_is_not_there_is_taken_back_without_a_fault(person: Person, grant_id: str) -> None:
    page = await person.open("/account")
    csrf = page.forms[0]["csrf"]
    response = await person.http.post("/account/connections/revoke", data={"csrf": csrf, "grant_id": grant_id})
    assert response.status_code in (200, 400)


async def test_a_revocation_is_recorded_once_i7(door: Door, person: Person) -> None:
    await door.tokens(person)
    page = await person.open("/account")
    form = revoke_forms(page)[0]
    for _ in range(3):
        await person.submit(page, form)
    events = await connections.recent_events(door.operator, door.project)
    assert [event.action for event in events].count("grant.revoked") == 1


async def test_a_hostile_name_of_an_app_is_text(door: Door, person: Person) -> None:
    client_id = (await door.register(client_name="<img src=x>{{7*7}}"))["client_id"]
    code, verifier = await door.obtain_code(client_id, person)
    await door.redeem(client_id, code, verifier)
    page = await person.open("/account")
    assert "<img src=x>{{7*7}}" in page.text
    assert "<img" not in page.html


async def test_who_is_not_signed_in_sees_and_changes_nothing(door: Door) -> None:
    stranger = door.person()
    assert (await stranger.http.get("/account")).status_code == 303
    login = await stranger.open("/login")
    csrf = login.forms[0]["csrf"]
    for path in ("/account/connections/revoke", "/account/connections/reopen", "/account/sessions/revoke"):
        response = await stranger.http.post(path, data={"csrf": csrf, "grant_id": "x"})
        assert (response.status_code, "Your session is over" in response.text) == (403, True)
