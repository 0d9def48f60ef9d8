"""After the password comes a code, and nothing is open before it (T39, T41; RFC 6238 §5.2)."""

import pytest

from doorward.core.factors import totp_purpose
from doorward.core.limits import SECOND_STEP_ACCOUNT
from doorward.core.vault import Vault
from doorward.manage import connections, factors, projects, users
from doorward.server.jobs import sweep
from doorward.storage.encryption import rewrap
from doorward.storage.second_factors import find_totp
from tests.inside import Door
from tests.person import Page, Person, answer_parameters
from tests.running import ADMIN_EMAIL
from tests.server.steps import VERIFIER
from tests.web.authenticators import App, Device, add_app, add_passkey, form_of, read_app, start_app, use_passkey
from tests.web.people import BROWSER, DEVICE, SESSION, add_bob, bob, is_signed_in

PENDING = "__Host-mcpas-pending"
REFUSED = "That code is not right, or it was used before."
STEP = "/login/second-step"


@pytest.fixture
async def app(door: Door, person: Person) -> App:
    """The authenticator app of the owner."""
    return await add_app(door, person)


async def half(door: Door, path: str = "/login") -> tuple[Person, Page]:
    """A new browser whose password was right."""
    found = door.person()
    page = await found.sign_in(await found.open(path))
    assert STEP in page.url, page.text
    return found, page


async def test_a_code_of_the_app_finishes_the_sign_in(door: Door, app: App) -> None:
    visitor, page = await half(door)
    assert ADMIN_EMAIL in page.text
    page = await visitor.submit(page, code=app.code(door))
    assert page.url.endswith("/dashboard"), page.text
    assert await is_signed_in(visitor)
    assert visitor.http.cookies.get(PENDING) is None


async def test_before_the_code_every_page_leads_to_it_and_nothing_is_decided_t41(door: Door, app: App) -> None:
    client_id = (await door.register())["client_id"]
    url = door.authorization_url(client_id, VERIFIER)
    visitor, page = await half(door, url)
    csrf = page.forms[0]["csrf"]
    assert not await is_signed_in(visitor)
    for path in ("/account", "/account/security", "/dashboard", url, "/login"):
        assert STEP in (await visitor.open(path)).url, path
    answer = await visitor.http.post("/oauth/consent", data={"csrf": csrf, "flow": "mfl_x", "decision": "allow"})
    assert answer.headers["location"] == "/login"
    assert STEP in (await visitor.open(answer.headers["location"])).url
    for path in ("/account/security/authenticator/remove", "/account/sessions/revoke", "/account/security/password"):
        answer = await visitor.http.post(path, data={"csrf": csrf, "password": "a third harbour, by night"})
        assert answer.status_code == 403, path
    # And with the code the person is where they wanted to be.
    page = await visitor.submit(page, code=app.code(door))
    assert "code" in answer_parameters((await visitor.submit(page, decision="allow")).links["continue"])


async def test_what_is_held_between_the_steps_is_no_session_t41(door: Door, app: App) -> None:
    visitor, _ = await half(door)
    held = visitor.http.cookies.get(PENDING) or ""
    for planted in (held, held.replace("mps_", "mss_")):
        thief = door.person()
        thief.http.cookies.set(SESSION, planted, domain="auth.example.com")
        assert not await is_signed_in(thief)


async def test_the_second_step_is_bound_to_the_browser_of_the_first_t2_t41(door: Door, app: App) -> None:
    visitor, _ = await half(door)
    thief = door.person()
    await thief.open("/login")
    thief.http.cookies.set(PENDING, visitor.http.cookies.get(PENDING) or "", domain="auth.example.com")
    assert (await thief.open(STEP)).url.endswith("/login")


async def test_without_a_right_password_there_is_no_second_step_t41(door: Door, app: App) -> None:
    visitor = door.person()
    page = await visitor.open("/login")
    assert (await visitor.open(STEP)).url.endswith("/login")
    page.forms[0]["action"] = STEP
    page = await visitor.submit(page, code=app.code(door))
    assert page.url.endswith("/login")
    assert not await is_signed_in(visitor)


async def test_a_finished_step_cannot_be_done_again_i1(door: Door, app: App) -> None:
    visitor, page = await half(door)
    held = visitor.http.cookies.get(PENDING) or ""
    browser = visitor.http.cookies.get(BROWSER) or ""
    await visitor.submit(page, code=app.code(door))
    door.clock.advance(seconds=30)
    thief = door.person()
    thief.http.cookies.set(PENDING, held, domain="auth.example.com")
    thief.http.cookies.set(BROWSER, browser, domain="auth.example.com")
    page = await thief.submit(page, code=app.code(door))
    assert page.url.endswith("/login")
    assert not await is_signed_in(thief)


@pytest.mark.parametrize(("periods", "works"), [(-2, False), (-1, False), (0, True), (1, True), (2, False)])
async def test_a_code_is_good_in_its_half_minute_and_beside_it_but_once(
    door: Door, app: App, periods: int, *, works: bool
) -> None:
    """The one before was taken when the app was set up."""
    visitor, page = await half(door)
    page = await visitor.submit(page, code=app.code(door, periods=periods))
    assert await is_signed_in(visitor) is works
    assert (REFUSED in page.text) is not works
    if works:
        again, page = await half(door)
        page = await again.submit(page, code=app.code(door, periods=periods))
        assert (page.status, REFUSED in page.text) == (401, True)


async def test_what_is_no_code_is_refused(door: Door, app: App) -> None:
    visitor, page = await half(door)
    for code in ("", "12345", "١٢٣٤٥٦", "x" * 5000, "000000 ' OR 1=1"):
        page = await visitor.submit(page, code=code)
        assert (page.status, REFUSED in page.text) == (401, True), code
    assert not await is_signed_in(visitor)


async def test_a_code_may_be_typed_with_a_gap(door: Door, app: App) -> None:
    visitor, page = await half(door)
    code = app.code(door)
    await visitor.submit(page, code=f" {code[:3]} {code[3:]}")
    assert await is_signed_in(visitor)


async def test_a_recovery_code_lets_in_once_however_it_is_typed_i1(door: Door, app: App) -> None:
    visitor = door.person()
    for typed in (app.codes[0], app.codes[1].upper().replace("-", " ")):
        visitor, page = await half(door)
        await visitor.submit(page, code=typed)
        assert await is_signed_in(visitor)
        again, page = await half(door)
        await again.submit(page, code=typed)
        assert not await is_signed_in(again)
    events = await connections.recent_events(door.operator, door.project)
    used = [event.detail["left"] for event in events if event.action == "recovery_code.used"]
    assert sorted(used) == [8, 9]
    page = await visitor.open("/account/security")
    assert "8 of 10 are left" in page.text
    assert "The last one was used just now." in page.text
    assert "recovery_code.used" in (await visitor.open("/dashboard/audit")).text


async def test_a_recovery_code_of_somebody_else_is_no_help(door: Door, app: App) -> None:
    visitor = await bob(door)
    theirs = await add_app(door, visitor)
    stranger, page = await half(door)
    for code in (theirs.codes[0], theirs.code(door)):
        await stranger.submit(page, code=code)
        assert not await is_signed_in(stranger)


async def test_guessing_codes_is_slow_from_wherever_t39(door: Door, app: App) -> None:
    statuses = []
    for n in range(SECOND_STEP_ACCOUNT.burst):
        visitor, page = await half(door)
        statuses.append((await visitor.submit(page, code=f"{n:06}")).status)
    visitor, page = await half(door)
    statuses.append((await visitor.submit(page, code="999999")).status)
    assert statuses == [401] * SECOND_STEP_ACCOUNT.burst + [429]
    page = await visitor.submit(page, code=app.code(door))
    assert (page.status, "Too many tries. Wait 3 minutes" in page.text) == (429, True)
    assert int(page.headers["retry-after"]) == SECOND_STEP_ACCOUNT.period_ms // 1000


async def test_who_knows_the_password_locks_nobody_out_of_their_own_browser_t39(
    door: Door, person: Person, app: App
) -> None:
    visitor, page = await half(door)
    for n in range(SECOND_STEP_ACCOUNT.burst + 1):
        await visitor.submit(page, code=f"{n:06}")
    owner = door.person()
    owner.http.cookies.set(DEVICE, person.http.cookies.get(DEVICE) or "", domain="auth.example.com")
    page = await owner.sign_in(await owner.open("/login"))
    await owner.submit(page, code=app.code(door))
    assert await is_signed_in(owner)


async def test_the_second_step_has_ten_minutes(door: Door, app: App) -> None:
    visitor, page = await half(door)
    door.clock.advance(seconds=600)
    assert await sweep(door.context) > 0
    page = await visitor.submit(page, code=app.code(door))
    assert page.url.endswith("/login")
    assert not await is_signed_in(visitor)


@pytest.mark.parametrize("ending", ["password", "disabled", "reset", "signed out"])
async def test_what_ends_sessions_ends_a_half_done_sign_in_t43(door: Door, app: App, ending: str) -> None:
    visitor, page = await half(door)
    user = await users.get(door.operator, door.project, ADMIN_EMAIL)
    if ending == "password":
        await users.change_password(door.operator, user, "a third harbour, by night")
    elif ending == "disabled":
        await users.change(door.operator, user, enabled=False)
    elif ending == "reset":
        await factors.reset(door.operator, user)
    else:
        (session,) = await connections.sessions(door.operator, door.project, user)
        await connections.end_others(door.operator, session)
    page = await visitor.submit(page, code=app.code(door))
    assert page.url.endswith("/login")
    assert not await is_signed_in(visitor)


async def test_somebody_else_can_sign_in_instead(door: Door, app: App) -> None:
    await add_bob(door)
    visitor, page = await half(door)
    page = await visitor.submit(page, form_of(page, "/login/start-over"))
    assert page.url.endswith("/login")
    assert (await visitor.open(STEP)).url.endswith("/login")
    page = await visitor.submit(page, email="bob@example.com", password="another harbour, at noon")
    assert page.url.endswith("/account")


async def test_an_app_that_is_only_proposed_asks_for_nothing(door: Door, person: Person) -> None:
    await start_app(person)
    other = door.person()
    await other.sign_in(await other.open("/login"))
    assert await is_signed_in(other)


async def test_no_secret_and_no_code_lies_open_on_the_disk_t49(door: Door, app: App) -> None:
    for path in door.context.settings.data.iterdir():
        stored = path.read_bytes()
        for secret in (app.secret, *app.codes, *(code.replace("-", "") for code in app.codes)):
            assert secret.encode() not in stored


async def test_a_secret_goes_along_to_another_master_key(door: Door, app: App) -> None:
    key = bytes(range(32))
    door.operator.vault.learn([key])
    assert await door.context.database.write(rewrap, door.operator.vault) > 0
    user = await users.get(door.operator, door.project, ADMIN_EMAIL)
    totp = await door.context.database.read(find_totp, user.project_id, user.user_id)
    assert totp is not None
    kept = Vault([key]).decrypt(totp.ciphertext, totp_purpose(user.project_id, user.user_id))
    assert kept.decode() == app.secret


@pytest.fixture
async def strict(door: Door) -> Door:
    """A project whose administrators need a second step."""
    await projects.change_project(door.operator, door.project, {"require_second_factor": True})
    door.clock.advance(seconds=1)
    return door


async def test_an_administrator_who_needs_an_app_is_let_in_by_setting_one_up_t41(strict: Door) -> None:
    client_id = (await strict.register())["client_id"]
    url = strict.authorization_url(client_id, VERIFIER)
    visitor, page = await half(strict, url)
    assert "Your account needs a second step" in page.text
    for path in ("/account", "/account/security", "/dashboard", url):
        assert STEP in (await visitor.open(path)).url, path
    page = await visitor.submit(page)
    assert not await is_signed_in(visitor)
    app = read_app(page)
    page = await visitor.submit(page, code="000000")
    assert (page.status, "That is not the code" in page.text) == (400, True)
    assert not await is_signed_in(visitor)
    page = await visitor.submit(page, code=app.code(strict))
    assert "Keep these recovery codes" in page.text
    assert await is_signed_in(visitor)
    (onward,) = [link for link in page.links.values() if "/oauth/authorize" in link]
    assert ("decision", "allow") in (await visitor.open(onward)).buttons
    strict.clock.advance(seconds=30)
    again, page = await half(strict)
    await again.submit(page, code=app.code(strict))
    assert await is_signed_in(again)


async def test_who_has_an_app_cannot_set_up_another_before_its_code_t41(strict: Door) -> None:
    owner, page = await half(strict)
    page = await owner.submit(page)
    app = read_app(page)
    await owner.submit(page, code=app.code(strict))
    visitor, page = await half(strict)
    for path in ("/login/set-up-app", "/login/set-up-app/confirm"):
        shown = await visitor.submit(page, {**page.forms[0], "action": path}, code="000000")
        assert "authenticator app shows for" in shown.text
        assert not await is_signed_in(visitor)
    stranger = strict.person()
    page = await stranger.open("/login")
    for path in ("/login/set-up-app", "/login/set-up-app/confirm"):
        assert (await stranger.submit(page, {**page.forms[0], "action": path})).url.endswith("/login")


async def test_a_passkey_is_enough_for_administrators_and_members_need_nothing(door: Door, person: Person) -> None:
    device = Device()
    await add_passkey(person, device)
    await projects.change_project(door.operator, door.project, {"require_second_factor": True})
    door.clock.advance(seconds=1)
    other = door.person()
    await use_passkey(other, device)
    assert await is_signed_in(other)
    assert await is_signed_in(await bob(door))
