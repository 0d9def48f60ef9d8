"""The pages on which a person lets a device in: nothing by a link, nothing for somebody else, nothing by guessing.

Spec: DEV-03, DEV-04, DEV-05; CON-04, AUTHZ-08; T39, T41, T42
"""

import asyncio
from collections import Counter

import pytest

from doorward.core.limits import USER_CODE_PERSON, USER_CODE_SOURCE
from doorward.core.user_codes import ALPHABET
from doorward.manage import admission, clients, connections, projects, resources, users
from tests.inside import SCOPES, Door
from tests.person import Page, Person
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD
from tests.server.devices import (
    PENDING,
    add_device,
    ask,
    enter,
    let_in,
    offer,
    poll,
    request,
    signed_in,
)
from tests.server.steps import add_neighbour, basic, refusal, set_project, success
from tests.storage.rows import dump
from tests.web.people import EMAIL as BOB
from tests.web.people import PASSWORD as BOBS_PASSWORD
from tests.web.people import add_bob

WRONG = "No device waits with this code"
TOO_MANY = "Too many wrong codes"
UNKNOWN = "BCDF-GHJK"


@pytest.fixture
async def offering(door: Door) -> Door:
    """The server with the device grant switched on."""
    return await offer(door)


@pytest.fixture
async def client_id(offering: Door) -> str:
    """A public client with the device grant."""
    return str((await add_device(offering))["client_id"])


async def decisions(door: Door) -> list[str]:
    events = await connections.recent_events(door.operator, door.project)
    return [event.action for event in events if event.action.startswith("consent.")]


def is_question(page: Page) -> bool:
    """Whether the page asks for a decision."""
    return {("decision", "allow"), ("decision", "deny")} <= set(page.buttons)


async def test_a_person_who_is_not_signed_in_does_so_first_and_comes_back_with_the_code(
    offering: Door, client_id: str
) -> None:
    device = await ask(offering, client_id)
    person = offering.person()
    page = await person.open(device["verification_uri_complete"])
    assert "Sign in to connect a device" in page.text
    page = await person.sign_in(page)
    assert page.url == device["verification_uri_complete"]
    assert device["user_code"] in page.text


async def test_the_page_of_a_project_is_below_its_prefix(door: Door) -> None:
    acme = await projects.change_project(door.operator, await add_neighbour(door), {"device_flow": True})
    assert acme.settings.device_flow
    person = door.person()
    page = await person.sign_in(await person.open("/p/acme/device?user_code=bcdfghjk"))
    assert page.url.endswith("/p/acme/device?user_code=BCDF-GHJK")
    assert page.forms[0]["action"] == "/p/acme/device"
    assert (await person.open("/device")).status == 404


async def test_opening_the_complete_address_shows_the_code_to_compare_and_decides_nothing_dev_03_t42(
    offering: Door, client_id: str, person: Person
) -> None:
    device = await ask(offering, client_id)
    before = await dump(offering.context.database, offering.project.project_id)
    for _ in range(3):
        page = await person.open(device["verification_uri_complete"])
        assert "Does your device show this code?" in page.text
        assert device["user_code"] in page.text
        assert page.buttons == []  # nothing but to go on: no decision can be taken here
    assert await dump(offering.context.database, offering.project.project_id) == before
    assert refusal(await poll(offering, client_id, device["device_code"])) == PENDING

    page = await person.submit(page)
    assert is_question(page)
    assert refusal(await poll(offering, client_id, device["device_code"]))[1] in {"authorization_pending", "slow_down"}
    assert await decisions(offering) == []


@pytest.mark.parametrize("code", ["<script>", "BCDF-GHJ", "BCDF-GHJA", "%00", "%ff", "x" * 900, "a&user_code=b"])
async def test_what_is_no_code_in_the_address_is_not_repeated(offering: Door, person: Person, code: str) -> None:
    page = await person.open(f"/device?user_code={code}")
    assert (page.status, page.forms[0]["user_code"]) == (200, "")
    assert "Enter the code from your device" in page.text
    assert "script" not in page.html


@pytest.mark.parametrize("spelling", ["lower", "blank", "nothing between", "blanks around"])
async def test_case_blanks_and_hyphens_are_forgiven(
    offering: Door, client_id: str, person: Person, spelling: str
) -> None:
    code = (await ask(offering, client_id))["user_code"]
    typed = {
        "lower": code.lower(),
        "blank": code.replace("-", " "),
        "nothing between": code.replace("-", ""),
        "blanks around": f"  {code}\t",
    }
    page = await enter(person, typed[spelling])
    assert is_question(page)
    assert code in page.text


async def test_the_question_names_the_app_its_origin_the_server_and_what_it_may_do_dev_05(
    offering: Door, client_id: str, person: Person
) -> None:
    device = await ask(offering, client_id, scope="tools:read tools:write")
    offering.clock.advance(seconds=130)
    page = await enter(person, device["user_code"])
    for words in (
        "Let Weather station on your device use Example server",
        "Unverified app",
        f"Allow only if a device in your own hands shows {device['user_code']}",
        "If somebody sent you the code or a link, press Deny",
        "any program can use the name",
        "198.51.100.7 · 2 minutes ago",
        "station/1.0",
        "Your browser comes from another address",
        "ada@example.com",
        "Look things up",
        "Book flights",
        "Until you take it back",
    ):
        assert words in page.text, words
    assert is_question(page)


async def test_a_device_from_the_same_address_is_not_called_foreign(
    offering: Door, client_id: str, person: Person
) -> None:
    device = success(await request(offering, client_id, source="203.0.113.9"))
    page = await enter(person, device["user_code"])
    assert "203.0.113.9 · just now" in page.text
    assert "another address" not in page.text


async def test_a_device_that_says_nothing_of_itself_is_told_as_such(
    offering: Door, client_id: str, person: Person
) -> None:
    device = success(await request(offering, client_id, {"user-agent": ""}))
    assert "It does not say what it is" in (await enter(person, device["user_code"])).text


async def test_an_app_that_uses_the_name_of_a_known_one_is_told_on_t4(offering: Door, person: Person) -> None:
    for name, told in (("Claude", True), ("Weather station", False)):
        metadata = {"client_name": name, "redirect_uris": ["https://evil.example/callback"]}
        client_id = (await add_device(offering, **metadata))["client_id"]
        page = await enter(person, (await ask(offering, client_id))["user_code"])
        assert ("registered for addresses that Claude never uses" in page.text) is told


async def test_only_an_app_that_proves_itself_is_called_verified(offering: Door, person: Person) -> None:
    for confidential in (True, False):
        client, secret = await clients.add(
            offering.operator, offering.project, (), name="Fleet", confidential=confidential, grants=("device_code",)
        )
        headers = basic(client.client_id, secret) if secret else {}
        device = success(await request(offering, client.client_id, headers))
        page = await enter(person, device["user_code"])
        assert is_question(page)
        assert "added by an administrator" in page.text
        assert ("Unverified app" in page.text) is not confidential
        assert ("any program can use the name" in page.text) is not confidential


async def test_what_the_device_says_of_itself_is_shown_as_text(offering: Door, person: Person) -> None:
    name = "<b>Bold</b>"
    client_id = (await add_device(offering, client_name=name))["client_id"]
    device = success(await request(offering, client_id, {"user-agent": "<script>alert(1)</script>"}))
    page = await enter(person, device["user_code"])
    assert name in page.text
    assert "<script" not in page.html
    assert "<b>" not in page.html


async def test_the_page_after_the_decision_sends_the_person_back_to_the_device(
    offering: Door, client_id: str, person: Person
) -> None:
    for decision, heading in (("allow", "Device connected"), ("deny", "Access denied")):
        device = await ask(offering, client_id)
        page = await let_in(person, device["user_code"], decision)
        assert heading in page.text
        assert "Go back to your device" in page.text
        assert "You can close this page" in page.text
        assert page.forms == []
    assert sorted(await decisions(offering)) == ["consent.allowed", "consent.denied"]


async def test_bob_neither_sees_nor_decides_what_alice_entered_t42(
    offering: Door, client_id: str, person: Person
) -> None:
    device = await ask(offering, client_id)
    page = await enter(person, device["user_code"])
    await add_bob(offering)
    bob = await signed_in(offering, BOB, BOBS_PASSWORD)
    theirs = await bob.open("/device")
    for path, fields in (
        ("/device", {}),
        ("/device/decide", {"decision": "allow"}),
        ("/device/decide", {"decision": "deny"}),
    ):
        form = {"csrf": theirs.forms[0]["csrf"], "action": path, "user_code": device["user_code"]}
        refused = await bob.submit(theirs, form, **fields)
        assert (refused.status, "entered by somebody else" in refused.text) == (403, True)
        assert "Weather station" not in refused.text
    assert await decisions(offering) == []
    await person.submit(page, decision="allow")
    success(await poll(offering, client_id, device["device_code"]))


async def test_a_code_is_entered_before_it_is_decided_t41(offering: Door, client_id: str, person: Person) -> None:
    device = await ask(offering, client_id)
    page = await person.open("/device")
    form = {"csrf": page.forms[0]["csrf"], "action": "/device/decide", "user_code": device["user_code"]}
    skipped = await person.submit(page, form, decision="allow")
    assert (skipped.status, "This request is over" in skipped.text) == (400, True)
    assert refusal(await poll(offering, client_id, device["device_code"])) == PENDING


async def test_nobody_decides_without_being_signed_in(offering: Door, client_id: str, person: Person) -> None:
    device = await ask(offering, client_id)
    await enter(person, device["user_code"])
    stranger = offering.person()
    login = await stranger.open("/device")
    for path in ("/device", "/device/decide"):
        form = {"csrf": login.forms[0]["csrf"], "action": path, "user_code": device["user_code"]}
        refused = await stranger.submit(login, form, decision="allow")
        assert (refused.status, "Your session is over" in refused.text) == (403, True)
    assert await decisions(offering) == []


@pytest.mark.parametrize("fields", [{}, {"decision": ""}, {"decision": "yes"}, {"decision": "ALLOW"}])
async def test_a_form_without_a_decision_decides_nothing(
    offering: Door, client_id: str, person: Person, fields: dict[str, str]
) -> None:
    device = await ask(offering, client_id)
    page = await enter(person, device["user_code"])
    undecided = await person.submit(page, None, **fields)
    assert (undecided.status, "Nothing was decided" in undecided.text) == (400, True)
    assert (await person.submit(page, decision="allow")).status == 200


async def test_fields_that_a_form_adds_change_nothing_of_what_was_asked(
    offering: Door, client_id: str, person: Person
) -> None:
    device = await ask(offering, client_id)
    page = await enter(person, device["user_code"])
    forged = {"scope": "tools:read tools:write", "client_id": "mcl_x", "user_id": "usr_x", "resource": "https://x.test"}
    await person.submit(page, None, decision="allow", **forged)
    assert success(await poll(offering, client_id, device["device_code"]))["scope"] == "tools:read"


async def test_a_decision_counts_once_however_often_it_is_sent_dev_03(
    offering: Door, client_id: str, person: Person
) -> None:
    device = await ask(offering, client_id)
    page = await enter(person, device["user_code"])
    pages = await asyncio.gather(
        *(person.submit(page, decision="allow" if number % 2 else "deny") for number in range(20))
    )
    assert Counter(page.status for page in pages) == {200: 1, 400: 19}
    assert len(await decisions(offering)) == 1
    again = await enter(person, device["user_code"])
    assert (again.status, WRONG in again.text) == (400, True)


async def test_an_app_that_was_suspended_while_the_person_decided_gets_nothing(offering: Door, person: Person) -> None:
    client_id = (await add_device(offering))["client_id"]
    await let_in(person, (await ask(offering, client_id))["user_code"])
    device = await ask(offering, client_id)
    page = await enter(person, device["user_code"])
    await admission.suspend(offering.operator, await clients.get(offering.operator, offering.project, client_id))
    over = await person.submit(page, decision="allow")
    assert (over.status, "This request is over" in over.text) == (400, True)
    assert await decisions(offering) == ["consent.allowed"]
    assert (await person.submit(page, decision="deny")).status == 200  # which needs nobody's leave


async def test_a_server_that_was_removed_meanwhile_is_told(offering: Door, client_id: str, person: Person) -> None:
    await resources.add(offering.operator, offering.project, "https://b.example.com/mcp", name="B", scopes=SCOPES)
    offering.clock.advance(seconds=1)
    device = await ask(offering, client_id, resource=offering.resource.uri)
    await resources.remove(offering.operator, offering.resource)
    offering.clock.advance(seconds=1)
    page = await enter(person, device["user_code"])
    assert (page.status, "removed meanwhile" in page.text) == (400, True)


async def test_where_apps_are_approved_a_new_one_waits_in_the_queue(
    offering: Door, client_id: str, person: Person
) -> None:
    await set_project(offering, registration_mode="approval")
    device = await ask(offering, client_id)
    page = await enter(person, device["user_code"])
    assert (page.status, "Waiting for approval" in page.text) == (403, True)
    assert refusal(await poll(offering, client_id, device["device_code"])) == (400, "unauthorized_client")
    await admission.approve(offering.operator, await clients.get(offering.operator, offering.project, client_id))
    await let_in(person, device["user_code"])
    success(await poll(offering, client_id, device["device_code"]))


async def test_the_sixth_wrong_code_has_to_wait_and_so_has_a_right_one_dev_04(
    offering: Door, client_id: str, person: Person
) -> None:
    device = await ask(offering, client_id)
    for typed in (UNKNOWN, "", "nonsense", "BCDF-GHJ0", UNKNOWN):
        page = await enter(person, typed)
        assert (page.status, WRONG in page.text) == (400, True)
        assert page.forms[0]["user_code"] == typed
    for typed in (UNKNOWN, device["user_code"]):
        page = await enter(person, typed)
        assert (page.status, TOO_MANY in page.text) == (429, True)
        assert "Wait 3 minutes" in page.text
        assert page.headers["retry-after"] == "180"
    again = await signed_in(offering)  # another session of the same person
    assert (await enter(again, device["user_code"])).status == 429
    offering.clock.advance(seconds=USER_CODE_PERSON.period_ms / 1000)
    assert is_question(await enter(person, device["user_code"]))


async def test_codes_that_are_wrong_all_at_once_are_counted_one_by_one_t39(offering: Door, person: Person) -> None:
    page = await person.open("/device")
    guesses = [f"BCDF-GHJ{letter}" for letter in ALPHABET]
    pages = await asyncio.gather(*(person.submit(page, user_code=guess) for guess in guesses))
    assert Counter(page.status for page in pages) == {400: USER_CODE_PERSON.burst, 429: len(guesses) - 5}


async def test_right_codes_are_not_counted(offering: Door, client_id: str, person: Person) -> None:
    device = await ask(offering, client_id)
    for _ in range(USER_CODE_PERSON.burst + 5):
        assert is_question(await enter(person, device["user_code"]))


async def test_a_code_of_somebody_else_counts_as_wrong(offering: Door, client_id: str, person: Person) -> None:
    device = await ask(offering, client_id)
    await enter(person, device["user_code"])
    await add_bob(offering)
    bob = await signed_in(offering, BOB, BOBS_PASSWORD)
    statuses = [(await enter(bob, device["user_code"])).status for _ in range(USER_CODE_PERSON.burst + 1)]
    assert statuses == [403] * 5 + [429]


async def test_one_persons_wrong_codes_do_not_lock_out_another(offering: Door, client_id: str, person: Person) -> None:
    await add_bob(offering)
    bob = await signed_in(offering, BOB, BOBS_PASSWORD)
    for _ in range(USER_CODE_PERSON.burst + 1):
        await enter(bob, UNKNOWN)
    device = await ask(offering, client_id)
    assert is_question(await enter(person, device["user_code"]))


async def test_many_people_at_one_address_are_stopped_together_t39(offering: Door) -> None:
    wrong = 0
    for number in range(USER_CODE_SOURCE.burst // USER_CODE_PERSON.burst):
        email = f"guest{number}@example.com"
        await users.add(offering.operator, offering.project, email, BOBS_PASSWORD)
        guest = await signed_in(offering, email, BOBS_PASSWORD)
        for _ in range(USER_CODE_PERSON.burst):
            assert (await enter(guest, UNKNOWN)).status == 400
            wrong += 1
    assert wrong == USER_CODE_SOURCE.burst
    page = await enter(await signed_in(offering, ADMIN_EMAIL, ADMIN_PASSWORD), UNKNOWN)
    assert (page.status, TOO_MANY in page.text) == (429, True)
