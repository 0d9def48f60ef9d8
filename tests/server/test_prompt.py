"""How a person has to have signed in: `prompt`, `max_age` and `login_hint` (OpenID Connect Core 1.0 §3.1.2.1; T50;
clients.md no. 35; ADR 0004)."""

import re
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from doorward.core.interaction import INTERACTION_LIFE_MS
from doorward.manage import clients
from tests.inside import ISSUER, LOOPBACK, Door
from tests.person import Page, Person, answer_parameters, read_page
from tests.server.pushing import ask, public, pushed, signed_in
from tests.server.steps import VERIFIER, WEB_REDIRECT, add_neighbour, claims_of, introspect, project_key, success

MARK = re.compile(r"&doorward_seen=([0-9]+)\.([A-Za-z0-9_-]{43})$")
ANEW = ["login", "select_account", "login consent", "consent select_account", "login login", "unknown login"]
LIFE = INTERACTION_LIFE_MS / 1000


def is_sign_in(page: Page) -> bool:
    return "password" in (page.forms[0] if page.forms else {})


async def open_anew(door: Door, person: Person, url: str) -> Page:
    """The sign-in page that a demanding request leads to, a minute after whatever was before."""
    door.clock.advance(seconds=60)
    page = await person.open(url)
    assert is_sign_in(page), page.text
    return page


async def finish(door: Door, person: Person, page: Page, client_id: str) -> dict[str, object]:
    """The claims of the token that an Allow on this page leads to."""
    answered = answer_parameters((await person.submit(page, decision="allow")).links["continue"])
    return claims_of(success(await door.redeem(client_id, answered["code"], VERIFIER))["access_token"])


@pytest.mark.parametrize("prompt", ANEW)
async def test_who_is_signed_in_signs_in_anew_once(door: Door, prompt: str) -> None:
    person, client_id = await signed_in(door), await public(door)
    page = await open_anew(door, person, door.authorization_url(client_id, VERIFIER, prompt=prompt))
    door.clock.advance(seconds=60)
    page = await person.sign_in(page)
    assert ("decision", "allow") in page.buttons, page.text
    claims = await finish(door, person, page, client_id)
    assert claims["auth_time"] == door.clock() // 1000


@pytest.mark.parametrize("parameters", [{"prompt": "login"}, {"max_age": "0"}, {"max_age": "3600"}])
async def test_who_is_not_signed_in_signs_in_once(door: Door, parameters: dict[str, str]) -> None:
    person, client_id = door.person(), await public(door)
    page = await person.open(door.authorization_url(client_id, VERIFIER, **parameters))
    door.clock.advance(seconds=60)
    page = await person.sign_in(page)
    assert ("decision", "allow") in page.buttons, page.text


@pytest.mark.parametrize("prompt", ["", "consent", "unknown", "LOGIN", "create", " "])
async def test_any_other_prompt_changes_nothing(door: Door, prompt: str) -> None:
    person, client_id = await signed_in(door), await public(door)
    door.clock.advance(seconds=60)
    await ask(person, door.authorization_url(client_id, VERIFIER, prompt=prompt))


async def test_reloading_after_the_sign_in_asks_for_nothing_again(door: Door) -> None:
    person, client_id = await signed_in(door), await public(door)
    page = await open_anew(door, person, door.authorization_url(client_id, VERIFIER, prompt="login"))
    page = await person.sign_in(page)
    for _ in range(3):
        door.clock.advance(seconds=60)
        await ask(person, page.url)


async def test_the_same_link_again_is_a_new_request(door: Door) -> None:
    person, client_id = await signed_in(door), await public(door)
    url = door.authorization_url(client_id, VERIFIER, prompt="login")
    await person.sign_in(await open_anew(door, person, url))
    await open_anew(door, person, url)


async def test_leaving_the_sign_in_page_without_signing_in_leads_back_to_it(door: Door) -> None:
    person, client_id = await signed_in(door), await public(door)
    page = await open_anew(door, person, door.authorization_url(client_id, VERIFIER, prompt="login"))
    again = await person.open(page.forms[0]["next"])
    assert is_sign_in(again)
    assert again.forms[0]["next"] == page.forms[0]["next"]


async def test_a_sign_in_counts_for_ten_minutes_after_the_request_was_first_seen(door: Door) -> None:
    person, client_id = await signed_in(door), await public(door)
    page = await open_anew(door, person, door.authorization_url(client_id, VERIFIER, prompt="login"))
    page = await person.sign_in(page)
    door.clock.advance(seconds=LIFE)
    await ask(person, page.url)
    door.clock.advance(seconds=0.001)
    assert is_sign_in(await person.open(page.url))


async def test_the_mark_of_a_request_is_good_for_nothing_else_t41(door: Door) -> None:
    person, other, client_id = await signed_in(door), await signed_in(door), await public(door)
    url = door.authorization_url(client_id, VERIFIER, prompt="login")
    page = await open_anew(door, person, url)
    marked = page.forms[0]["next"]
    mark = MARK.search(marked)
    assert mark is not None
    assert marked == f"{url}{mark[0]}"
    seen_at, signature = mark[1], mark[2]
    page = await person.sign_in(page)
    await other.sign_in(await other.open("/login"))
    for browser, address in [
        (other, marked),
        (person, f"{url}&doorward_seen={int(seen_at) - 10**9}.{signature}"),
        (person, f"{url}&doorward_seen=0.{signature}"),
        (person, f"{url}&doorward_seen={seen_at}.{'A' * 43}"),
        (person, f"{url}&scope=tools:write{mark[0]}"),
        (person, f"{door.authorization_url(client_id, VERIFIER, prompt='login', state='other')}{mark[0]}"),
        (person, f"{url}&doorward_seen=x"),
    ]:
        assert is_sign_in(await browser.open(address)), address
    await ask(person, marked)


async def test_a_mark_of_one_project_says_nothing_in_another_i10(door: Door) -> None:
    await add_neighbour(door)
    person, client_id = await signed_in(door), await public(door)
    page = await open_anew(door, person, door.authorization_url(client_id, VERIFIER, prompt="login"))
    await person.sign_in(page)
    here = await person.open("/p/acme/login")
    await person.sign_in(here)
    kept = person.http.cookies.get("__Host-mcpas-browser") or ""
    person.http.cookies.set("__Host-mcpas-browser_acme", kept, domain="auth.example.com")
    registered = await door.post_json("/p/acme/api/oauth/register", {"redirect_uris": [LOOPBACK]})
    theirs = door.authorization_url(registered.json()["client_id"], VERIFIER, prompt="login", resource="")
    mark = MARK.search(page.forms[0]["next"])
    assert mark is not None
    assert is_sign_in(await person.open(f"/p/acme{theirs}{mark[0]}"))


async def test_a_session_of_a_clock_that_was_set_back_is_no_fresh_one_i9(door: Door) -> None:
    person, client_id = await signed_in(door), await public(door)
    door.clock.advance(seconds=-300)
    for parameters in ({"prompt": "login"}, {"max_age": "3600"}):
        page = await person.open(door.authorization_url(client_id, VERIFIER, **parameters))
        assert is_sign_in(page)
        assert is_sign_in(await person.open(page.forms[0]["next"]))
    await ask(person, door.authorization_url(client_id, VERIFIER))


async def test_switching_the_account_on_the_consent_page_is_a_sign_in_too(door: Door) -> None:
    person, client_id = await signed_in(door), await public(door)
    page = await open_anew(door, person, door.authorization_url(client_id, VERIFIER, prompt="login"))
    page = await person.sign_in(page)
    (switch,) = [target for target in page.links.values() if target.startswith("/login?")]
    page = await person.sign_in(await person.open(switch))
    assert ("decision", "allow") in page.buttons, page.text


# Age


@pytest.mark.parametrize(
    ("max_age", "age", "anew"),
    [("60", 59.999, False), ("60", 60, True), ("0", 0, True), ("1", 0, False), ("999999999", 3000, False)],
)
async def test_who_signed_in_longer_ago_signs_in_anew(door: Door, max_age: str, age: float, *, anew: bool) -> None:
    person, client_id = await signed_in(door), await public(door)
    started = door.clock() // 1000
    door.clock.advance(seconds=age)
    page = await person.open(door.authorization_url(client_id, VERIFIER, max_age=max_age))
    assert is_sign_in(page) is anew
    if anew:
        door.clock.advance(seconds=1)
        page = await person.sign_in(page)
    claims = await finish(door, person, page, client_id)
    assert claims["auth_time"] == (door.clock() // 1000 if anew else started)


async def test_a_resource_server_is_told_when_the_person_signed_in(door: Door) -> None:
    person, client_id = await signed_in(door), await public(door)
    started = door.clock() // 1000
    door.clock.advance(seconds=600)
    code, verifier = await door.obtain_code(client_id, person, max_age="3600")
    tokens = success(await door.redeem(client_id, code, verifier))
    key = await project_key(door, "introspect")
    assert (await introspect(door, tokens["access_token"], key))["auth_time"] == started
    refreshed = success(await door.refresh(client_id, tokens["refresh_token"]))
    assert claims_of(refreshed["access_token"])["auth_time"] == started


@pytest.mark.parametrize("max_age", ["-1", "+1", "1.5", "soon", " 1", "1 ", "\u0661", "1e3", "9" * 10, "0x1"])
async def test_an_age_is_a_number_of_seconds(door: Door, max_age: str) -> None:
    client_id = await public(door)
    answer = await door.call("GET", door.authorization_url(client_id, VERIFIER, max_age=max_age))
    assert answer_parameters(answer.header("location"))["error"] == "invalid_request"


# Nobody is asked


async def test_without_anybody_signed_in_a_silent_request_is_login_required(door: Door) -> None:
    client_id = await public(door)
    answer = await door.call("GET", door.authorization_url(client_id, VERIFIER, prompt="none"))
    assert answer.status == 302
    assert answer.header("location").startswith(f"{LOOPBACK}?")
    told = answer_parameters(answer.header("location"))
    assert told.pop("error_description").startswith("Nobody is signed in, or not recently enough, and prompt is none.")
    assert told == {"error": "login_required", "state": "state-1", "iss": ISSUER}


@pytest.mark.parametrize(
    ("parameters", "error"),
    [({}, "consent_required"), ({"max_age": "3600"}, "consent_required"), ({"max_age": "30"}, "login_required")],
)
async def test_with_somebody_signed_in_a_silent_request_still_needs_consent(
    door: Door, parameters: dict[str, str], error: str
) -> None:
    person, client_id = await signed_in(door), await public(door)
    await person.consent(door.authorization_url(client_id, VERIFIER))
    door.clock.advance(seconds=60)
    response = await person.http.get(door.authorization_url(client_id, VERIFIER, prompt="none", **parameters))
    assert answer_parameters(response.headers["location"])["error"] == error


@pytest.mark.parametrize("prompt", ["none login", "consent none", "none select_account", "none unknown"])
async def test_none_excludes_every_other_prompt(door: Door, prompt: str) -> None:
    client_id = await public(door)
    for http in (door.http, (await signed_in(door)).http):
        response = await http.get(door.authorization_url(client_id, VERIFIER, prompt=prompt))
        assert answer_parameters(response.headers["location"])["error"] == "invalid_request"


@pytest.mark.parametrize("redirect_uri", [WEB_REDIRECT, "com.example.app:/callback"])
async def test_a_silent_request_leads_nobody_to_a_strangers_site_t50(door: Door, redirect_uri: str) -> None:
    client_id = await public(door, redirect_uris=[redirect_uri])
    url = door.authorization_url(client_id, VERIFIER, redirect_uri=redirect_uri, prompt="none")
    for http, error in ((door.http, "login_required"), ((await signed_in(door)).http, "consent_required")):
        response = await http.get(url)
        assert (response.status_code, "location" in response.headers) == (400, False)
        assert "http-equiv" not in response.text
        assert answer_parameters(read_page(response).links["continue"])["error"] == error
    known, _ = await clients.add(door.operator, door.project, (WEB_REDIRECT,), name="Known")
    url = door.authorization_url(known.client_id, VERIFIER, redirect_uri=WEB_REDIRECT, prompt="none")
    assert (await door.http.get(url)).headers["location"].startswith(f"{WEB_REDIRECT}?error=login_required")


# Who is meant


@pytest.mark.parametrize("how", ["link", "pushed"])
async def test_a_hint_is_in_the_sign_in_form_and_nowhere_else(door: Door, how: str) -> None:
    client_id, person, hint = await public(door), door.person(), "zoë+1@example.com"
    person.http.headers["sec-fetch-mode"] = "navigate"
    make = pushed(door, client_id, login_hint=hint) if how == "pushed" else None
    url = await make if make is not None else door.authorization_url(client_id, VERIFIER, login_hint=hint)
    page = await person.open(url)
    assert page.forms[0]["email"] == hint
    assert hint not in page.text
    page = await person.sign_in(page)
    assert hint not in page.text
    assert page.html.count(hint) == 0
    assert hint not in (await person.submit(page, decision="allow")).html


@pytest.mark.parametrize(
    "hint",
    [
        "ada",
        "+44 20 7946 0000",
        "a@b@example.com",
        f"{'x' * 300}@example.com",
        "ada@example.com\r\nSet-Cookie: a=b",
        "ada@\u202eexample.com",
        "eyJhbGciOiJub25lIn0.e30.",
    ],
)
async def test_a_hint_that_is_no_address_is_shown_to_nobody(door: Door, hint: str) -> None:
    client_id = await public(door)
    page = await door.person().open(door.authorization_url(client_id, VERIFIER, login_hint=hint))
    assert page.forms[0]["email"] == ""


async def test_a_hostile_hint_stays_in_its_field_authz_10(door: Door) -> None:
    client_id, hint = await public(door), '"><script>alert(1)</script>"@example.com'
    page = await door.person().open(door.authorization_url(client_id, VERIFIER, login_hint=hint))
    assert "<script>" not in page.html
    assert page.forms[0]["email"] in ("", hint)


async def test_another_browser_is_not_told_the_hint_of_a_pushed_request(door: Door) -> None:
    client_id, person, hint = await public(door), await signed_in(door), "zoë@example.com"
    url = await pushed(door, client_id, login_hint=hint)
    for before in (True, False):
        page = await door.person().open(f"/login?next={quote(f'{url}&login_hint=x@example.com')}")
        assert (page.status, page.forms[0]["email"], hint in page.html) == (200, "", False)
        if before:
            await ask(person, url)


async def test_the_sign_in_page_names_where_a_pushed_request_leads(door: Door) -> None:
    other = "https://other.example.com/callback"
    client_id, person = await public(door, redirect_uris=[other, WEB_REDIRECT]), door.person()
    person.http.headers["sec-fetch-mode"] = "navigate"
    page = await person.open(await pushed(door, client_id, redirect_uri=WEB_REDIRECT))
    assert "client.example.com" in page.text
    assert "other.example.com" not in page.text


async def test_a_failed_sign_in_keeps_what_was_typed_and_not_the_hint(door: Door) -> None:
    client_id, person = await public(door), door.person()
    page = await person.open(door.authorization_url(client_id, VERIFIER, login_hint="zoë@example.com"))
    page = await person.submit(page, email="bob@example.com", password="wrong")
    assert page.forms[0]["email"] == "bob@example.com"


# Both ways


@pytest.mark.parametrize("prompt", ["login", "select_account"])
async def test_a_pushed_request_is_signed_in_for_anew_like_any_other(door: Door, prompt: str) -> None:
    person, client_id = await signed_in(door), await public(door)
    page = await open_anew(door, person, await pushed(door, client_id, prompt=prompt))
    assert prompt not in urlsplit(page.url).query
    page = await person.sign_in(page)
    claims = await finish(door, person, page, client_id)
    assert claims["auth_time"] == door.clock() // 1000


async def test_the_metadata_says_which_prompts_are_understood(door: Door) -> None:
    metadata = (await door.call("GET", "/.well-known/openid-configuration")).json()
    assert metadata["prompt_values_supported"] == ["none", "login", "consent", "select_account"]


async def test_a_demanding_request_may_come_as_a_form(door: Door) -> None:
    person, client_id = await signed_in(door), await public(door)
    url = door.authorization_url(client_id, VERIFIER, prompt="login")
    door.clock.advance(seconds=60)
    form = {"content-type": "application/x-www-form-urlencoded"}
    response = await person.http.post("/oauth/authorize", content=url.partition("?")[2], headers=form)
    assert response.status_code == 303
    page = await person.open(response.headers["location"])
    assert parse_qs(urlsplit(page.forms[0]["next"]).query)["prompt"] == ["login"]
    assert ("decision", "allow") in (await person.sign_in(page)).buttons
