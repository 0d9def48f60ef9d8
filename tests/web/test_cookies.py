"""Cookies: out of reach of scripts and other sites, of one project, and as small as can be (section 14, cookies)."""

from tests.inside import Door
from tests.person import Person
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD
from tests.server.pushing import link, push
from tests.server.steps import add_neighbour
from tests.web.people import cookies_set


async def signing_in(door: Door, base: str = "") -> tuple[dict[str, str], dict[str, str]]:
    """The cookies set by the sign-in page, and by a sign-in."""
    person = door.person()
    shown = await person.http.get(f"{base}/login")
    page = await person.open(f"{base}/login")
    fields = {name: value for name, value in page.forms[0].items() if name != "action"}
    given = {**fields, "email": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
    entered = await person.http.post(f"{base}/login", data=given)
    assert entered.status_code == 303
    return cookies_set(shown), cookies_set(entered)


def attributes(line: str) -> set[str]:
    return {part.strip() for part in line.split(";")[1:]}


async def test_over_https_every_cookie_has_the_host_prefix_and_its_conditions(door: Door) -> None:
    shown, entered = await signing_in(door)
    base = {"Path=/", "HttpOnly", "SameSite=Lax", "Secure"}
    assert {name: attributes(line) for name, line in {**shown, **entered}.items()} == {
        "__Host-mcpas-browser": base,
        "__Host-mcpas": base,
        "__Host-mcpas-device": base | {"Max-Age=34560000"},
    }


async def test_over_plain_http_on_this_machine_the_prefix_and_secure_are_left_out(local: Door) -> None:
    shown, entered = await signing_in(local)
    base = {"Path=/", "HttpOnly", "SameSite=Lax"}
    assert {name: attributes(line) for name, line in {**shown, **entered}.items()} == {
        "mcpas-browser": base,
        "mcpas": base,
        "mcpas-device": base | {"Max-Age=34560000"},
    }


async def test_each_project_has_cookies_of_its_own_i10(door: Door) -> None:
    await add_neighbour(door)
    shown, entered = await signing_in(door, "/p/acme")
    assert {*shown, *entered} == {"__Host-mcpas-browser_acme", "__Host-mcpas_acme", "__Host-mcpas-device_acme"}


async def test_a_session_of_one_project_opens_nothing_in_another_i10(door: Door, person: Person) -> None:
    await add_neighbour(door)
    assert (await person.http.get("/account")).status_code == 200
    assert (await person.http.get("/p/acme/account")).status_code == 303
    stolen = person.http.cookies.get("__Host-mcpas") or ""
    person.http.cookies.set("__Host-mcpas-acme", stolen, domain="auth.example.com")
    assert (await person.http.get("/p/acme/account")).status_code == 303


async def test_all_cookies_together_stay_small(door: Door) -> None:
    shown, entered = await signing_in(door)
    assert sum(len(name) + len(line) for name, line in {**shown, **entered}.items()) < 1024


async def test_a_page_sets_no_cookie_that_a_browser_has_already(door: Door, person: Person) -> None:
    for path in ("/", "/login", "/account", "/dashboard"):
        assert "set-cookie" not in (await person.http.get(path)).headers


async def test_a_post_sets_no_cookie_for_a_browser_that_came_without(door: Door) -> None:
    response = await door.http.post("/login", data={"email": "a@b.c"})
    assert (response.status_code, "set-cookie" in response.headers) == (403, False)


async def test_documents_and_the_api_set_no_cookies(door: Door) -> None:
    client_id, tokens = await door.tokens()
    answers = [
        await door.call("GET", "/.well-known/oauth-authorization-server"),
        await door.refresh(client_id, tokens["refresh_token"]),
        await door.post_json("/api/oauth/register", {"redirect_uris": ["http://127.0.0.1/"]}),
        await door.call("GET", "/livez"),
    ]
    assert not any("set-cookie" in answer.headers for answer in answers)


async def test_malformed_cookies_are_no_cookies(door: Door) -> None:
    for cookie in ("", ";;;", "=", "a", "__Host-mcpas", '__Host-mcpas="x', "\xff=\xff", "a=b;" * 500):
        answer = await door.call("GET", "/account", headers={"cookie": cookie})
        assert answer.status == 303


async def test_a_browser_that_is_signed_in_is_given_one_to_keep_when_a_request_is_to_be_its_own(
    door: Door, person: Person
) -> None:
    person.http.cookies.delete("__Host-mcpas-browser")
    client_id = (await door.register())["client_id"]
    plain = await person.http.get(door.authorization_url(client_id, "v" * 43))
    assert "set-cookie" not in plain.headers
    pushed = (await push(door, client_id)).json()["request_uri"]
    shown = await person.http.get(link(client_id, pushed))
    assert {name: attributes(line) for name, line in cookies_set(shown).items()} == {
        "__Host-mcpas-browser": {"Path=/", "HttpOnly", "SameSite=Lax", "Secure"}
    }
    again = await person.http.get(link(client_id, pushed))
    assert (again.status_code, "set-cookie" in again.headers) == (200, False)
