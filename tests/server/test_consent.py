"""The decision of a person: asked every time, once, in the browser that was asked, and theirs alone (CON, T2, T41)."""

import re

import anyio
import pytest

from doorward.core.interaction import INTERACTION_LIFE_MS
from doorward.core.limits import AUTHORIZE_SESSION
from doorward.manage import clients, connections, resources, users
from doorward.server.recent_decisions import REPEATED_WITHIN_MS
from doorward.storage.audit import RecordedEvent
from tests.inside import ISSUER, LOOPBACK, RESOURCE, Door
from tests.person import Page, Person, answer_parameters
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD
from tests.server.steps import VERIFIER, WEB_REDIRECT, claims_of, success

BOB = ("bob@example.com", "another harbour, at noon")


async def sign_in(door: Door, email: str = ADMIN_EMAIL, password: str = ADMIN_PASSWORD) -> Person:
    person = door.person(email, password)
    page = await person.sign_in(await person.open("/login"))
    assert page.status == 200, page.text
    return person


async def ask(door: Door, person: Person, client_id: str | None = None, **parameters: str) -> Page:
    """The consent page of a request."""
    client_id = client_id or (await door.register())["client_id"]
    page = await person.open(door.authorization_url(client_id, VERIFIER, **parameters))
    assert ("decision", "allow") in page.buttons, page.text
    return page


async def decisions(door: Door) -> list[RecordedEvent]:
    events = await connections.recent_events(door.operator, door.project)
    return [event for event in events if event.action.startswith("consent.")]


def says(page: Page, words: str) -> bool:
    """Whether the reader of a page sees these words; long addresses are set in pieces, so that they can be broken."""
    return words.replace(" ", "") in page.text.replace(" ", "")


def assert_over(page: Page) -> None:
    assert page.status == 400
    assert "This request is over" in page.text
    assert "continue" not in page.links


async def test_denying_tells_the_client_and_gives_it_nothing_con_06_iss_01(door: Door) -> None:
    page = await (person := await sign_in(door)).submit(await ask(door, person), decision="deny")
    target = page.links["continue"]
    assert target.startswith(f"{LOOPBACK}?")
    told = answer_parameters(target)
    assert re.fullmatch(r"The person declined\. \(reference [A-Za-z0-9_-]{10}\)", told["error_description"])
    assert told == {
        "error": "access_denied",
        "error_description": told["error_description"],
        "state": "state-1",
        "iss": ISSUER,
    }
    assert "Access denied" in page.text
    assert [event.action for event in await decisions(door)] == ["consent.denied"]


@pytest.mark.parametrize(
    ("redirect_uri", "decision", "goes_on_by_itself"),
    [
        (LOOPBACK, "allow", True),
        (LOOPBACK, "deny", True),
        (WEB_REDIRECT, "allow", True),
        (WEB_REDIRECT, "deny", False),
        ("com.example.app:/callback", "allow", True),
        ("com.example.app:/callback", "deny", False),
    ],
)
async def test_a_denial_goes_to_a_strangers_place_only_by_a_click_t50(
    door: Door, redirect_uri: str, decision: str, *, goes_on_by_itself: bool
) -> None:
    person = await sign_in(door)
    client_id = (await door.register(redirect_uris=[redirect_uri]))["client_id"]
    page = await person.submit(await ask(door, person, client_id, redirect_uri=redirect_uri), decision=decision)
    assert page.status == 200
    assert page.links["continue"].startswith(redirect_uri)
    assert ('http-equiv="refresh"' in page.html) is goes_on_by_itself


async def test_a_decision_counts_once_i1(door: Door) -> None:
    person = await sign_in(door)
    page = await ask(door, person)
    first = await person.submit(page, decision="allow")
    assert "code" in answer_parameters(first.links["continue"])
    assert_over(await person.submit(page, decision="deny"))
    door.clock.advance(seconds=REPEATED_WITHIN_MS / 1000)
    for decision in ("allow", "deny"):
        assert_over(await person.submit(page, decision=decision))
    assert [event.action for event in await decisions(door)] == ["consent.allowed"]


@pytest.mark.parametrize("decision", ["allow", "deny"])
async def test_a_form_that_is_sent_twice_by_a_double_click_is_answered_twice_i1(door: Door, decision: str) -> None:
    person = await sign_in(door)
    page = await ask(door, person)
    answers: list[dict[str, str]] = []

    async def submit() -> None:
        told = answer_parameters((await person.submit(page, decision=decision)).links["continue"])
        told.pop("error_description", None)  # has the reference of its page
        answers.append(told)

    async with anyio.create_task_group() as clicks:
        clicks.start_soon(submit)
        clicks.start_soon(submit)
    await submit()
    assert answers == [answers[0]] * 3
    assert len(await decisions(door)) == 1


async def test_a_denied_request_cannot_be_allowed_afterwards(door: Door) -> None:
    person = await sign_in(door)
    page = await ask(door, person)
    await person.submit(page, decision="deny")
    assert_over(await person.submit(page, decision="allow"))


async def test_a_request_shown_in_one_browser_is_not_decided_in_another_con_04(door: Door) -> None:
    ours, theirs = await sign_in(door), await sign_in(door)
    page = await ask(door, ours)
    other = await ask(door, theirs)
    stolen = {**other.forms[0], "flow": page.forms[0]["flow"]}
    assert_over(await theirs.submit(other, stolen, decision="allow"))
    decided = await ours.submit(page, decision="allow")
    assert "code" in answer_parameters(decided.links["continue"])


async def test_a_request_of_one_person_is_not_decided_by_another_t2(door: Door) -> None:
    await users.add(door.operator, door.project, *BOB)
    ada, bob = await sign_in(door), await sign_in(door, *BOB)
    page, other = await ask(door, ada), await ask(door, bob)
    assert_over(await bob.submit(other, {**other.forms[0], "flow": page.forms[0]["flow"]}, decision="allow"))
    swapped = await bob.submit(page, decision="allow")
    assert (swapped.status, "This form is out of date" in swapped.text) == (403, True)


@pytest.mark.parametrize(
    ("seconds", "works"), [(INTERACTION_LIFE_MS / 1000 - 1, True), (INTERACTION_LIFE_MS / 1000, False)]
)
async def test_a_request_waits_ten_minutes_for_its_decision(door: Door, seconds: float, *, works: bool) -> None:
    person = await sign_in(door)
    page = await ask(door, person)
    door.clock.advance(seconds=seconds)
    decided = await person.submit(page, decision="allow")
    if works:
        assert "code" in answer_parameters(decided.links["continue"])
    else:
        assert_over(decided)


@pytest.mark.parametrize("fields", [{}, {"decision": ""}, {"decision": "yes"}, {"decision": "ALLOW"}])
async def test_a_form_without_a_decision_decides_nothing(door: Door, fields: dict[str, str]) -> None:
    person = await sign_in(door)
    page = await ask(door, person)
    undecided = await person.submit(page, None, **fields)
    assert (undecided.status, "Nothing was decided" in undecided.text) == (400, True)
    decided = await person.submit(page, decision="allow")
    assert "code" in answer_parameters(decided.links["continue"])


@pytest.mark.parametrize("flow", ["", "mfl_unknown", "x" * 1000, "é"])
async def test_a_request_that_nobody_made_is_over(door: Door, flow: str) -> None:
    person = await sign_in(door)
    page = await ask(door, person)
    assert_over(await person.submit(page, {**page.forms[0], "flow": flow}, decision="allow"))


async def test_nobody_decides_without_being_signed_in_t41(door: Door) -> None:
    person = await sign_in(door)
    page = await ask(door, person)
    stranger = door.person()
    login = await stranger.open("/login")
    form = {**page.forms[0], "csrf": login.forms[0]["csrf"]}
    refused = await stranger.submit(page, form, decision="allow")
    assert (refused.status, "Your session is over" in refused.text) == (403, True)
    assert await decisions(door) == []


async def test_fields_that_a_form_adds_change_nothing_of_what_was_asked_t41(door: Door) -> None:
    person = await sign_in(door)
    client_id = (await door.register())["client_id"]
    page = await ask(door, person, client_id)
    forged = {
        "scope": "tools:read tools:write",
        "redirect_uri": "https://evil.test",
        "response_type": "token",
        "client_id": "mcl_other",
        "resource": "https://evil.test",
        "user_id": "usr_other",
    }
    target = (await person.submit(page, None, decision="allow", **forged)).links["continue"]
    assert target.startswith(f"{LOOPBACK}?")
    tokens = success(await door.redeem(client_id, answer_parameters(target)["code"], VERIFIER))
    claims = claims_of(tokens["access_token"])
    assert (claims["scope"], claims["aud"], claims["client_id"]) == ("tools:read", RESOURCE, client_id)


async def test_consent_is_asked_every_time_con_03_t3(door: Door) -> None:
    person = await sign_in(door)
    client_id = (await door.register())["client_id"]
    for _ in range(3):
        page = await person.submit(await ask(door, person, client_id), decision="allow")
        assert "code" in answer_parameters(page.links["continue"])


async def test_no_prompt_parameter_makes_consent_silent(door: Door) -> None:
    await ask(door, await sign_in(door), prompt="consent")


async def test_an_app_that_was_removed_while_the_person_decided_gets_nothing(door: Door) -> None:
    client, _ = await clients.add(door.operator, door.project, (LOOPBACK,), name="Known")
    person = await sign_in(door)
    page = await ask(door, person, client.client_id)
    await clients.remove(door.operator, client)
    assert_over(await person.submit(page, decision="allow"))
    assert await decisions(door) == []


async def test_a_server_that_was_removed_while_the_person_decided_gets_nobody(door: Door) -> None:
    person = await sign_in(door)
    page = await ask(door, person)
    await resources.remove(door.operator, door.resource)
    door.clock.advance(seconds=1)
    assert_over(await person.submit(page, decision="allow"))


async def test_a_person_who_was_disabled_meanwhile_decides_nothing_t43(door: Door) -> None:
    await users.add(door.operator, door.project, *BOB)
    bob = await sign_in(door, *BOB)
    page = await ask(door, bob)
    found = await users.get(door.operator, door.project, BOB[0])
    await users.change(door.operator, found, enabled=False)
    refused = await bob.submit(page, decision="allow")
    assert refused.status == 403
    assert await decisions(door) == []


async def test_one_browser_opens_only_so_many_requests_at_once(door: Door) -> None:
    person = await sign_in(door)
    client_id = (await door.register())["client_id"]
    for _ in range(AUTHORIZE_SESSION.burst):
        await ask(door, person, client_id)
    response = await person.http.get(door.authorization_url(client_id, VERIFIER))
    assert (response.status_code, response.headers["retry-after"]) == (429, "1")
    assert response.headers["content-type"].startswith("text/html")
    door.clock.advance(seconds=1)
    await ask(door, person, client_id)


async def test_each_decision_is_recorded_once_with_what_was_asked_scp_09_i7(door: Door) -> None:
    person = await sign_in(door)
    client_id = (await door.register())["client_id"]
    await person.submit(await ask(door, person, client_id, scope="tools:write telepathy"), decision="allow")
    await person.submit(await ask(door, person, client_id), decision="deny")
    ada = await users.get(door.operator, door.project, ADMIN_EMAIL)
    denied, allowed = sorted(await decisions(door), key=lambda event: event.action, reverse=True)
    for event, scope, left_out in ((allowed, "tools:write", "telepathy"), (denied, "tools:read", "")):
        assert (event.actor, event.target) == (f"user:{ada.user_id}", f"client:{client_id}")
        asked = (event.detail["resource"], event.detail["scope"], event.detail["left_out"])
        assert asked == (door.resource.resource_id, scope, left_out)
    assert str(allowed.detail["grant"]).startswith("grt_")
    assert denied.detail["grant"] is None


async def test_the_page_says_who_gets_what_where_and_as_whom_con_01_con_02(door: Door) -> None:
    person = await sign_in(door)
    client_id = (await door.register(client_name="Inspector"))["client_id"]
    page = await ask(door, person, client_id, scope="tools:read tools:write")
    for words in (
        "Inspector",
        "Example server",
        RESOURCE,
        "Unverified app",
        "registered itself",
        "a program on this computer",
        LOOPBACK,
        "Any program on this computer could use this app’s name",
        ADMIN_EMAIL,
        "Look things up",
        "Weather forecast",
        "Book flights",
        "Book a flight",
        "Every 15 minutes",
    ):
        assert says(page, words), words


@pytest.mark.parametrize(
    ("redirect_uri", "words"),
    [
        (WEB_REDIRECT, "client.example.com"),
        ("https://client.example.com:8443/cb", "client.example.com:8443"),
        ("cursor://anysphere.cursor-mcp/oauth/callback", "an app on this device"),
    ],
)
async def test_the_page_says_where_access_is_handed_to_con_02(door: Door, redirect_uri: str, words: str) -> None:
    client_id = (await door.register(redirect_uris=[redirect_uri]))["client_id"]
    page = await ask(door, await sign_in(door), client_id, redirect_uri=redirect_uri)
    assert says(page, words)
    assert says(page, redirect_uri)


async def test_a_client_that_an_operator_added_is_shown_as_verified(door: Door) -> None:
    client, _ = await clients.add(door.operator, door.project, (WEB_REDIRECT,), name="Known")
    page = await ask(door, await sign_in(door), client.client_id, redirect_uri=WEB_REDIRECT)
    assert "Verified app" in page.text
    assert "added by an administrator" in page.text
    assert "Unverified" not in page.text


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x>', "{{ 7*7 }}", "Google <b>official</b>"])
async def test_a_hostile_name_is_text_authz_10_t45(door: Door, name: str) -> None:
    client_id = (await door.register(client_name=name))["client_id"]
    page = await ask(door, await sign_in(door), client_id)
    assert name in page.text
    assert not any(tag in page.html for tag in ("<script", "<img", "<b>"))


async def test_a_client_without_refresh_is_said_to_come_back(door: Door) -> None:
    client_id = (await door.register(grant_types=["authorization_code"]))["client_id"]
    page = await ask(door, await sign_in(door), client_id)
    assert "15 minutes. After that the app has to ask you again." in page.text


async def test_a_server_without_a_name_is_told_by_its_address_once(door: Door) -> None:
    await resources.change(door.operator, door.resource, name=RESOURCE)
    door.clock.advance(seconds=1)
    page = await ask(door, await sign_in(door))
    visible = page.text.replace(" ", "")
    assert visible.count(RESOURCE) == 1
    assert "use api.example.com ?" in page.text
