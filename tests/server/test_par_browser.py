"""The link to a pushed request: of the first browser that looks, for ten minutes, and good for one decision
(PAR-06, I1, T50; clients.md no. 31)."""

import asyncio
from collections import Counter

import pytest

from doorward.core.interaction import INTERACTION_LIFE_MS
from doorward.core.secrets import PUSHED_REQUEST, derive_secret
from doorward.manage import connections, resources
from doorward.server.jobs import sweep
from doorward.server.pushed import PUSHED_LIFE_MS
from tests.inside import ISSUER, LOOPBACK, Door
from tests.person import answer_parameters
from tests.server.pushing import NAVIGATES, URN, ask, assert_over, link, public, push, pushed, signed_in, taken
from tests.server.steps import VERIFIER, WEB_REDIRECT, add_neighbour, success

NEVER_GIVEN = derive_secret(b"x", PUSHED_REQUEST, "x")
"""A name that could be one, and is none."""
LIFE = PUSHED_LIFE_MS / 1000
OPENED_LIFE = INTERACTION_LIFE_MS / 1000


async def test_what_else_the_link_says_is_ignored_par_06(door: Door) -> None:
    client_id, person = await public(door, redirect_uris=[LOOPBACK, "http://127.0.0.1/other"]), await signed_in(door)
    request_uri = taken(await push(door, client_id))
    others = {
        "redirect_uri": "http://127.0.0.1/other",
        "state": "another",
        "scope": "tools:write",
        "response_type": "token",
        "code_challenge": "c" * 43,
        "prompt": "none",
        "request": "eyJhbGciOiJub25lIn0.e30.",
        "resource": "https://unknown.example.com/mcp",
    }
    url = link(client_id, request_uri, **others)
    target = await person.consent(f"{url}&x=1&x=2&state=third")
    assert target.startswith(f"{LOOPBACK}?")
    answered = answer_parameters(target)
    assert answered["state"] == "state-1"
    assert success(await door.redeem(client_id, answered["code"], VERIFIER))["scope"] == "tools:read"


async def test_another_clients_id_gets_nothing_par_06(door: Door) -> None:
    client_id, other = await public(door), await public(door)
    request_uri = taken(await push(door, client_id))
    person = await signed_in(door)
    assert_over(await person.open(link(other, request_uri)))
    await ask(person, link(client_id, request_uri))


@pytest.mark.parametrize(
    "name",
    [
        "",
        URN,
        f"{URN}x",
        f"{URN}{NEVER_GIVEN}",
        NEVER_GIVEN,
        "https://client.example.com/request.jwt",
        "x" * 5000,
        "é",
    ],
)
async def test_a_name_that_is_none_of_ours_gets_a_page_and_nothing_is_fetched_par_06(door: Door, name: str) -> None:
    client_id = await public(door)
    for person in (door.person(), await signed_in(door)):
        page = await person.open(link(client_id, name, redirect_uri=LOOPBACK))
        if name:
            assert_over(page)
        else:  # as good as none at all (AUTHZ-02)
            assert "response_type" in answer_parameters(page.url)["error_description"]


async def test_a_name_that_is_given_twice_gets_a_page(door: Door) -> None:
    client_id = await public(door)
    url = await pushed(door, client_id)
    assert_over(await (await signed_in(door)).open(f"{url}&request_uri=x"))


@pytest.mark.parametrize(("late_by", "works"), [(-0.001, True), (0, False)])
async def test_a_request_waits_90_seconds_for_its_browser_par_06(door: Door, late_by: float, *, works: bool) -> None:
    client_id, person = await public(door), await signed_in(door)
    url = await pushed(door, client_id)
    door.clock.advance(seconds=LIFE + late_by)
    page = await person.open(url)
    assert (("decision", "allow") in page.buttons) is works
    if not works:
        assert_over(page)


@pytest.mark.parametrize(("seconds", "works"), [(OPENED_LIFE - 1, True), (OPENED_LIFE, False)])
async def test_a_browser_that_has_it_has_ten_minutes_for_all_of_it(door: Door, seconds: float, *, works: bool) -> None:
    client_id, person = await public(door), await signed_in(door)
    url = await pushed(door, client_id)
    first = await ask(person, url)
    door.clock.advance(seconds=LIFE + 1)
    later = await ask(person, url)
    door.clock.advance(seconds=seconds - LIFE - 1)
    await sweep(door.context)
    decided = await person.submit(later, decision="allow")
    assert ("continue" in decided.links) is works
    assert_over(await person.submit(first, decision="allow"))
    assert_over(await person.open(url))


async def test_signing_in_takes_longer_than_90_seconds_and_nothing_is_lost(door: Door) -> None:
    client_id, person = await public(door), door.person()
    person.http.headers.update(NAVIGATES)
    url = await pushed(door, client_id)
    page = await person.open(url)
    person.http.headers["sec-fetch-site"] = "same-origin"
    door.clock.advance(seconds=LIFE * 2)
    page = await person.sign_in(page)
    assert page.url.endswith(url)
    assert "continue" in (await person.submit(page, decision="allow")).links


async def test_reloading_changes_nothing_and_another_browser_gets_a_page_par_06(door: Door) -> None:
    client_id, ours, theirs = await public(door), await signed_in(door), await signed_in(door)
    url = await pushed(door, client_id)
    page = await ask(ours, url)
    for _ in range(3):
        page = await ask(ours, url)
        assert_over(await theirs.open(url))
        assert_over(await door.person().open(url))
    assert "continue" in (await ours.submit(page, decision="allow")).links


async def test_a_browser_keeps_it_when_somebody_else_signs_in_there(door: Door) -> None:
    client_id, person = await public(door), await signed_in(door)
    url = await pushed(door, client_id)
    page = await ask(person, url)
    (switch,) = [target for target in page.links.values() if target.startswith("/login?")]
    page = await person.sign_in(await person.open(switch))
    assert "continue" in (await person.submit(page, decision="allow")).links


@pytest.mark.parametrize("decision", ["allow", "deny"])
async def test_one_decision_spends_it_par_06(door: Door, decision: str) -> None:
    client_id, person = await public(door), await signed_in(door)
    url = await pushed(door, client_id)
    first, second = await ask(person, url), await ask(person, url)
    decided = answer_parameters((await person.submit(first, decision=decision)).links["continue"])
    assert ("code" in decided) is (decision == "allow")
    for again in ("allow", "deny"):
        assert_over(await person.submit(second, decision=again))
    assert_over(await person.open(url))
    assert_over(await (await signed_in(door)).open(url))
    events = await connections.recent_events(door.operator, door.project)
    assert len([event for event in events if event.action.startswith("consent.")]) == 1


async def test_of_fifty_decisions_at_once_one_gives_a_code_i1(door: Door) -> None:
    client_id, person = await public(door), await signed_in(door)
    for _ in range(3):
        url = await pushed(door, client_id)
        tabs = await asyncio.gather(*(ask(person, url) for _ in range(50)))
        pages = await asyncio.gather(*(person.submit(tab, decision="allow") for tab in tabs))
        assert Counter(page.status for page in pages) == {200: 1, 400: 49}
        (won,) = [page for page in pages if page.status == 200]
        assert "code" in answer_parameters(won.links["continue"])
        door.clock.advance(seconds=60)


async def test_of_fifty_browsers_at_once_one_has_it(door: Door) -> None:
    client_id = await public(door)
    url = await pushed(door, client_id)
    browsers = [door.person() for _ in range(50)]
    pages = await asyncio.gather(*(browser.http.get(url, headers=NAVIGATES) for browser in browsers))
    assert Counter(page.status_code for page in pages) == {303: 1, 400: 49}


async def test_a_client_that_fetches_the_link_first_does_not_lock_the_person_out(door: Door) -> None:
    client_id, person = await public(door), door.person()
    url = await pushed(door, client_id)
    for method in ("GET", "HEAD", "GET"):
        looked = await door.http.request(method, url)
        assert (looked.status_code, looked.headers["location"][:7]) == (303, "/login?")
    answered = answer_parameters(await person.consent(url))
    assert "code" in answered
    assert (await door.http.get(url)).status_code == 400


async def test_a_look_without_the_marks_of_a_browser_keeps_nothing_alive(door: Door) -> None:
    client_id = await public(door)
    url = await pushed(door, client_id)
    door.clock.advance(seconds=LIFE - 1)
    assert (await door.http.get(url)).status_code == 303
    door.clock.advance(seconds=1)
    assert (await door.http.get(url, headers=NAVIGATES)).status_code == 400


async def test_a_link_that_comes_as_a_form_goes_on_as_a_link(door: Door) -> None:
    client_id, person = await public(door), await signed_in(door)
    url = await pushed(door, client_id)
    form = {"content-type": "application/x-www-form-urlencoded", **NAVIGATES}
    stranger = await door.http.post("/oauth/authorize", content=url.partition("?")[2], headers=form)
    assert (stranger.status_code, stranger.headers["location"]) == (303, url)
    page = await person.open(stranger.headers["location"])
    assert "continue" in (await person.submit(page, decision="allow")).links


async def test_a_request_that_nobody_opened_is_swept_away_i13(door: Door) -> None:
    client_id = await public(door)
    for _ in range(5):
        await pushed(door, client_id)
    assert await sweep(door.context) == 0
    door.clock.advance(seconds=LIFE)
    assert await sweep(door.context) >= 5


async def test_what_was_pushed_is_judged_again_when_it_is_looked_at(door: Door) -> None:
    client_id, person = await public(door), await signed_in(door)
    url = await pushed(door, client_id)
    await ask(person, url)
    await resources.remove(door.operator, door.resource)
    door.clock.advance(seconds=1)
    assert answer_parameters((await person.http.get(url)).headers["location"])["error"] == "invalid_target"


async def test_a_projects_requests_are_its_own_i10(door: Door) -> None:
    await add_neighbour(door)
    registered = await door.post_json("/p/acme/api/oauth/register", {"redirect_uris": [LOOPBACK]})
    client_id = registered.json()["client_id"]
    request_uri = taken(await push(door, client_id, base="/p/acme", resource=""))
    person = await signed_in(door)
    here = await public(door)
    assert_over(await person.open(link(here, request_uri)))
    target = await person.consent(f"/p/acme{link(client_id, request_uri)}")
    assert answer_parameters(target)["iss"] == f"{ISSUER}/p/acme"


async def test_an_error_of_a_pushed_request_goes_where_any_error_goes_t50(door: Door) -> None:
    for redirect_uri, status in ((LOOPBACK, 302), (WEB_REDIRECT, 400)):
        client_id = await public(door, redirect_uris=[redirect_uri])
        url = await pushed(door, client_id, redirect_uri=redirect_uri, prompt="none")
        response = await door.http.get(url, headers=NAVIGATES)
        assert response.status_code == status
        assert ("location" in response.headers) is (status == 302)
