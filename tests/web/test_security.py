"""Changing how one signs in: only by who just signed in, never the last way in, and taking away ends sessions."""

import pytest
from fido2.utils import websafe_encode

from doorward.manage import connections, factors, users
from tests.inside import Door
from tests.person import Page, Person
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD
from tests.web.authenticators import SECURITY, Device, add_app, add_passkey, form_of, options_of, start_app, use_passkey
from tests.web.people import bob, is_signed_in, try_password

NEW_PASSWORD = "a third harbour, by night"
CHANGES = [
    "/passkeys/add",
    "/passkeys/rename",
    "/passkeys/remove",
    "/authenticator",
    "/authenticator/confirm",
    "/authenticator/remove",
    "/recovery-codes",
    "/password",
    "/password/remove",
]


async def actions(door: Door) -> list[str]:
    return [event.action for event in await connections.recent_events(door.operator, door.project)]


async def another(door: Door) -> Person:
    """Another browser of the owner, signed in."""
    found = door.person()
    await found.sign_in(await found.open("/login"))
    assert await is_signed_in(found)
    return found


async def change(person: Person, path: str, **fields: str) -> Page:
    page = await person.open(SECURITY)
    return await person.submit(page, form_of(page, path), **fields)


async def test_only_who_just_signed_in_sees_or_changes_anything_t41(door: Door, person: Person) -> None:
    page = await person.open(SECURITY)
    csrf = page.forms[0]["csrf"]
    door.clock.advance(seconds=600)
    assert (await person.open(SECURITY)).url.endswith(SECURITY)
    door.clock.advance(seconds=0.001)
    before = await actions(door)
    for path in CHANGES:
        answer = await person.http.post(f"{SECURITY}{path}", data={"csrf": csrf, "password": NEW_PASSWORD})
        assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Faccount%2Fsecurity")
    assert await actions(door) == before
    page = await person.open(SECURITY)
    assert "Confirm that it is you" in page.text
    assert page.forms[0]["email"] == ADMIN_EMAIL
    page = await person.sign_in(page)
    assert page.url.endswith(SECURITY)


async def test_nobody_changes_anything_without_a_session(door: Door) -> None:
    visitor = door.person()
    csrf = (await visitor.open("/login")).forms[0]["csrf"]
    assert "/login" in (await visitor.open(SECURITY)).url
    for path in CHANGES:
        assert (await visitor.http.post(f"{SECURITY}{path}", data={"csrf": csrf})).status_code == 403


async def test_a_form_from_elsewhere_changes_nothing_con_04_t2(door: Door, person: Person) -> None:
    for path in (*(f"{SECURITY}{path}" for path in CHANGES), "/account/sessions/end", "/login/passkey"):
        answer = await person.http.post(path, data={"csrf": "x", "password": NEW_PASSWORD})
        assert (answer.status_code, "This form is out of date" in answer.text) == (403, True), path


async def test_a_passkey_from_adding_to_removing_i7(door: Door, person: Person) -> None:
    device = Device()
    page = await add_passkey(person, device, name="  My <b>phone\x07 ")
    assert "“My <b>phone” was added." in page.text
    assert "<b>" not in page.html
    assert "on your other devices, too" in page.text
    page = await change(person, "/passkeys/rename", name="Ada's phone")
    assert "Ada's phone" in page.text
    other = await another(door)
    page = await change(person, "/passkeys/remove")
    assert "Ada's phone" not in page.text
    assert (await is_signed_in(other), await is_signed_in(person)) == (False, True)
    assert {"passkey.added", "passkey.renamed", "passkey.removed"} <= set(await actions(door))


async def test_a_device_is_told_which_passkeys_it_need_not_make_again(door: Door, person: Person) -> None:
    device = Device()
    await add_passkey(person, device)
    page = await person.open(SECURITY)
    options = options_of(page)
    assert [each["id"] for each in options["excludeCredentials"]] == [websafe_encode(device.credential_id)]
    assert options["attestation"] == "none"
    assert options["authenticatorSelection"]["residentKey"] == "required"
    assert options["authenticatorSelection"]["userVerification"] == "required"
    page = await person.submit(page, form_of(page, "/passkeys/add"), answer=device.make(options))
    assert (page.status, "in use here already" in page.text) == (400, True)


async def test_the_answer_to_one_question_adds_one_passkey_i1(door: Door, person: Person) -> None:
    page = await person.open(SECURITY)
    form, options = form_of(page, "/passkeys/add"), options_of(page)
    assert (await person.submit(page, form, answer=Device().make(options))).status == 200
    again = await person.submit(page, form, answer=Device().make(options))
    assert (again.status, "This was sent before." in again.text) == (400, True)


@pytest.mark.parametrize("wrong", [{"origin": "https://evil.test"}, {"is_verified": False}, {"rp_id": "evil.test"}])
async def test_a_passkey_that_was_made_wrong_is_not_kept_t36(
    door: Door, person: Person, wrong: dict[str, object]
) -> None:
    page = await add_passkey(person, Device(**wrong))  # type: ignore[arg-type]  # one field each
    assert (page.status, "could not be added" in page.text) == (400, True)


async def test_a_passkey_made_in_another_session_or_at_sign_in_is_not_kept_t2_t36(door: Door, person: Person) -> None:
    other = await bob(door)
    theirs = options_of(await other.open(SECURITY))
    page = await person.open(SECURITY)
    at_sign_in = options_of(await person.open("/login"))
    for challenge in (theirs["challenge"], at_sign_in["challenge"], "AAAA"):
        answer = Device().make({**options_of(page), "challenge": challenge})
        page = await person.submit(page, form_of(page, "/passkeys/add"), answer=answer)
        assert page.status == 400


async def test_a_person_may_have_a_passkey_and_no_password(door: Door, person: Person) -> None:
    device = Device()
    await add_passkey(person, device)
    page = await change(person, "/password/remove")
    assert "You have none" in page.text
    visitor = door.person()
    for password in (ADMIN_PASSWORD, ""):
        page = await try_password(visitor, ADMIN_EMAIL, password)
        assert "That e-mail and password do not match anybody here." in page.text
    assert (await use_passkey(visitor, device)).url.endswith("/dashboard")
    # The last way in stays.
    page = await change(visitor, "/passkeys/remove")
    assert (page.status, "This is your only way in." in page.text) == (400, True)
    page = await change(visitor, "/password", password=NEW_PASSWORD)
    assert "You have a new password" in page.text
    page = await change(visitor, "/passkeys/remove")
    assert page.status == 200


async def test_a_password_stays_until_there_is_a_passkey(door: Door, person: Person) -> None:
    page = await person.open(SECURITY)
    assert not any(form["action"].endswith("/password/remove") for form in page.forms)
    form = {**form_of(page, "/password"), "action": f"{SECURITY}/password/remove"}
    page = await person.submit(page, form)
    assert (page.status, "This is your only way in." in page.text) == (400, True)


async def test_a_new_password_ends_the_other_sessions_and_counts_at_once_i7(door: Door, person: Person) -> None:
    other = await another(door)
    page = await change(person, "/password", password="short")
    assert (page.status, "Use at least 15 characters." in page.text) == (400, True)
    assert await is_signed_in(other)
    await change(person, "/password", password=NEW_PASSWORD)
    assert (await is_signed_in(other), await is_signed_in(person)) == (False, True)
    assert (await try_password(door.person(), ADMIN_EMAIL, NEW_PASSWORD)).status == 200
    assert "user.changed" in await actions(door)


async def test_an_app_counts_once_a_code_of_it_was_seen(door: Door, person: Person) -> None:
    page, secret = await start_app(person)
    assert "<svg" in page.html
    assert f"secret={secret}" in page.html
    page = await person.submit(page, code="000000")
    assert (page.status, "That is not the code the app shows now." in page.text) == (400, True)
    assert secret in page.text.replace(" ", "")
    app = await add_app(door, person)
    assert app.secret != secret
    page = await person.open(SECURITY)
    assert "10 of 10 are left" in page.text
    page = await person.submit(page, {**form_of(page, "/password"), "action": f"{SECURITY}/authenticator"})
    assert (page.status, "You have an authenticator app already." in page.text) == (400, True)


async def test_removing_the_app_ends_the_other_sessions_and_the_codes_i7(door: Door, person: Person) -> None:
    app = await add_app(door, person)
    other = door.person()
    page = await other.sign_in(await other.open("/login"))
    await other.submit(page, code=app.code(door))
    assert await is_signed_in(other)
    await change(person, "/authenticator/remove")
    assert (await is_signed_in(other), await is_signed_in(person)) == (False, True)
    assert "authenticator.removed" in await actions(door)
    await another(door)  # by the password alone


async def test_new_recovery_codes_void_those_of_before(door: Door, person: Person) -> None:
    app = await add_app(door, person)
    page = await change(person, "/recovery-codes")
    assert "The codes you had before are void." in page.text
    assert app.codes[0] not in page.text
    other = door.person()
    page = await other.sign_in(await other.open("/login"))
    assert (await other.submit(page, code=app.codes[0])).status == 401


async def test_nobody_changes_what_is_anothers_t44(door: Door, person: Person) -> None:
    await add_passkey(person, Device())
    page = await person.open(SECURITY)
    theirs = form_of(page, "/passkeys/remove")["passkey"]
    visitor = await bob(door)
    await add_passkey(visitor, Device(), name="Bob's")
    for path in ("/passkeys/remove", "/passkeys/rename"):
        page = await change(visitor, path, passkey=theirs, name="stolen", user_id="usr_x")
        assert (page.status, "There is no such passkey." in page.text) == (400, True)
    ada = await users.get(door.operator, door.project, ADMIN_EMAIL)
    assert [each.name for each in (await factors.load(door.operator, ada)).passkeys] == ["Telephone"]


async def test_one_other_browser_is_signed_out_and_nobody_elses_t44(door: Door, person: Person) -> None:
    other, stays, visitor = await another(door), await another(door), await bob(door)
    door.clock.advance(seconds=61)
    await stays.open("/account")
    page = await person.open("/account")
    forms = [form for form in page.forms if form["action"].endswith("/sessions/end")]
    assert len(forms) == 2
    account = await visitor.open("/account")
    form = {**form_of(account, "/logout"), "action": "/account/sessions/end", "session": forms[1]["session"]}
    assert "It was signed out already." in (await visitor.submit(account, form)).text
    page = await person.submit(page, forms[1])
    assert "That browser is signed out." in page.text
    assert [await is_signed_in(each) for each in (person, stays, other)] == [True, True, False]
    for nonsense in ("x", "", "00"):
        assert "It was signed out already." in (await person.submit(page, {**forms[1], "session": nonsense})).text


async def test_an_operator_resets_what_somebody_lost_i7(door: Door, person: Person) -> None:
    await add_passkey(person, Device())
    await add_app(door, person)
    user = await users.get(door.operator, door.project, ADMIN_EMAIL)
    await factors.reset(door.operator, user)
    assert not await is_signed_in(person)
    await another(door)
    assert await factors.describe_all(door.operator, door.project, [user]) == [
        {"passkeys": 0, "authenticator": False, "recovery_codes": 0}
    ]
    assert "user.factors_reset" in await actions(door)
