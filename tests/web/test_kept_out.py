"""Apps that an issuer let in for a person: told as such, ended like any other, and back only by the person's own word.

Spec: CON-05; T43, I3, I7
"""

import pytest

from doorward.manage import connections
from tests.inside import Door
from tests.person import Page, Person
from tests.server.issuers import IDP, Agent, Issuer, agent, present, trust_idp
from tests.server.steps import claims_of, is_active, refusal, success
from tests.web.people import bob

REFUSED = (400, "invalid_grant")
BACK = "The app may come back."


@pytest.fixture
def idp() -> Issuer:
    return Issuer(IDP)


@pytest.fixture
async def caller(door: Door, idp: Issuer) -> Agent:
    await trust_idp(door, idp)
    return await agent(door, client_name="Agent <b>{{7*7}}")


def forms(page: Page, action: str) -> list[dict[str, str]]:
    return [form for form in page.forms if form["action"].endswith(f"/connections/{action}")]


async def let_in(door: Door, idp: Issuer, caller: Agent) -> str:
    return str(success(await present(door, idp.id_jag(door, caller.client_id), caller))["access_token"])


async def end(person: Person) -> Page:
    page = await person.open("/account")
    return await person.submit(page, forms(page, "revoke")[0])


async def test_an_app_that_an_issuer_let_in_is_listed_with_whose_word_it_was_con_05(
    door: Door, person: Person, idp: Issuer, caller: Agent
) -> None:
    await let_in(door, idp, caller)
    page = await person.open("/account")
    for words in ("Agent <b>{{7*7}}", "Let in just now by acme.idp.example", "Example server", "Look things up"):
        assert words in page.text
    assert "Kept out" not in page.text


async def test_an_app_that_was_ended_is_kept_out_until_its_person_allows_it_back_con_05_i3(
    door: Door, person: Person, idp: Issuer, caller: Agent
) -> None:
    held = await let_in(door, idp, caller)
    page = await end(person)
    assert (forms(page, "revoke"), len(forms(page, "reopen"))) == ([], 1)
    for words in ("Kept out", "Agent <b>{{7*7}}", "No access to Example server since it ended just now"):
        assert words in page.text
    assert "<b>{{7*7}}" not in page.html
    assert refusal(await present(door, idp.id_jag(door, caller.client_id), caller)) == REFUSED
    page = await person.submit(page, forms(page, "reopen")[0])
    assert BACK in page.text
    assert "Kept out" not in page.text
    fresh = await let_in(door, idp, caller)
    assert [await is_active(door, token) for token in (held, fresh)] == [False, True]
    assert claims_of(fresh)["grant_id"] != claims_of(held)["grant_id"]


async def test_nobody_lets_back_in_what_another_person_ended(
    door: Door, person: Person, idp: Issuer, caller: Agent
) -> None:
    await let_in(door, idp, caller)
    theirs = forms(await end(person), "reopen")[0]
    stranger = await bob(door)
    csrf = (await stranger.open("/account")).forms[0]["csrf"]
    await stranger.submit(await stranger.open("/account"), {**theirs, "csrf": csrf})
    assert refusal(await present(door, idp.id_jag(door, caller.client_id), caller)) == REFUSED


async def test_an_app_that_the_person_let_in_and_ended_asks_again_and_is_not_kept_out(
    door: Door, person: Person
) -> None:
    await door.tokens(person)
    page = await end(person)
    assert "Kept out" not in page.text


@pytest.mark.parametrize("grant_id", ["", "grt_nobody", "x" * 5000, "é"])
async def test_what_is_not_there_is_let_back_in_without_a_fault(person: Person, grant_id: str) -> None:
    csrf = (await person.open("/account")).forms[0]["csrf"]
    response = await person.http.post("/account/connections/reopen", data={"csrf": csrf, "grant_id": grant_id})
    assert response.status_code in (200, 400)


async def test_letting_back_in_is_recorded_once_i7(door: Door, person: Person, idp: Issuer, caller: Agent) -> None:
    await let_in(door, idp, caller)
    page = await end(person)
    form = forms(page, "reopen")[0]
    for _ in range(3):
        await person.submit(page, form)
    events = await connections.recent_events(door.operator, door.project)
    assert [event.action for event in events].count("grant.reopened") == 1
