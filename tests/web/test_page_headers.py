"""Every page, whatever its status, is framed by nobody, stored by nobody, and loads and runs nothing foreign
(AUTHZ-08, AUTHZ-09; ASVS 3.4; section 14)."""

import re
from collections.abc import Awaitable, Callable

import httpx2
import pytest

from doorward.core.limits import AUTHORIZE_SESSION
from doorward.storage.executor_sqlite import SqliteDatabase
from tests.inside import LOOPBACK, Door
from tests.person import Person, read_page
from tests.server.devices import add_device, ask, offer
from tests.server.steps import VERIFIER, WEB_REDIRECT
from tests.web.authenticators import add_app, form_of

CSP = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; object-src 'none'; "
    "frame-ancestors 'none'; form-action {}"
)
HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "strict-transport-security": "max-age=31536000",
    "content-security-policy": CSP.format("'self'"),
}
Visit = Callable[[Door, Person], Awaitable[httpx2.Response]]


def get(path: str) -> Visit:
    return lambda _, person: person.http.get(path)


async def consent(door: Door, person: Person) -> httpx2.Response:
    client_id = (await door.register())["client_id"]
    return await person.http.get(door.authorization_url(client_id, VERIFIER))


async def unverified_error(door: Door, person: Person) -> httpx2.Response:
    client_id = (await door.register(redirect_uris=[WEB_REDIRECT]))["client_id"]
    url = door.authorization_url(client_id, VERIFIER, redirect_uri=WEB_REDIRECT, response_type="token")
    return await person.http.get(url)


async def interstitial(door: Door, person: Person) -> httpx2.Response:
    page = await person.open(door.authorization_url((await door.register())["client_id"], VERIFIER))
    form = {name: value for name, value in page.forms[0].items() if name != "action"}
    return await person.http.post("/oauth/consent", data={**form, "decision": "allow"})


async def device_entry(door: Door, person: Person) -> httpx2.Response:
    await offer(door)
    return await person.http.get("/device?user_code=BCDF-GHJK")


async def device_consent(door: Door, person: Person) -> httpx2.Response:
    await offer(door)
    user_code = (await ask(door, (await add_device(door))["client_id"]))["user_code"]
    form = (await person.open("/device")).forms[0]
    return await person.http.post("/device", data={"csrf": form["csrf"], "user_code": user_code})


async def device_decided(door: Door, person: Person) -> httpx2.Response:
    form = read_page(await device_consent(door, person)).forms[0]
    return await person.http.post(form.pop("action"), data={**form, "decision": "deny"})


async def wrong_password(door: Door, _: Person) -> httpx2.Response:
    stranger = door.person()
    page = await stranger.open("/login")
    form = {name: value for name, value in page.forms[0].items() if name != "action"}
    return await stranger.http.post("/login", data={**form, "email": "a@b.c", "password": "wrong"})


async def second_step(door: Door, person: Person) -> httpx2.Response:
    await add_app(door, person)
    other = door.person()
    return await other.http.get((await other.sign_in(await other.open("/login"))).url)


async def authenticator(_: Door, person: Person) -> httpx2.Response:
    form = form_of(await person.open("/account/security"), "/account/security/authenticator")
    return await person.http.post(form.pop("action"), data=form)


async def recovery_codes(door: Door, person: Person) -> httpx2.Response:
    await add_app(door, person)
    form = form_of(await person.open("/account/security"), "/recovery-codes")
    return await person.http.post(form.pop("action"), data=form)


async def too_many_requests(door: Door, person: Person) -> httpx2.Response:
    client_id = (await door.register())["client_id"]
    for _ in range(AUTHORIZE_SESSION.burst):
        await person.http.get(door.authorization_url(client_id, VERIFIER))
    return await person.http.get(door.authorization_url(client_id, VERIFIER))


async def unavailable(door: Door, person: Person) -> httpx2.Response:
    assert isinstance(door.context.database, SqliteDatabase)
    await door.context.database.close()
    return await person.http.get("/account")


PAGES: dict[str, tuple[int, Visit]] = {
    "home": (200, get("/")),
    "sign-in": (200, get("/login")),
    "account": (200, get("/account")),
    "second step": (200, second_step),
    "ways to sign in": (200, get("/account/security")),
    "setting up an app": (200, authenticator),
    "recovery codes": (200, recovery_codes),
    "dashboard": (200, get("/dashboard")),
    "consent": (200, consent),
    "the way back to a client": (200, interstitial),
    "entering a device's code": (200, device_entry),
    "consent to a device": (200, device_consent),
    "a decided device": (200, device_decided),
    "unknown client": (400, get(f"/oauth/authorize?client_id=x&redirect_uri={LOOPBACK}")),
    "an error for a stranger's client": (400, unverified_error),
    "unreadable form": (400, lambda _, person: person.http.post("/login", content=b"x")),
    "wrong password": (401, wrong_password),
    "forged form": (403, lambda _, person: person.http.post("/logout", data={"x": "1"})),
    "form too large": (413, lambda _, person: person.http.post("/login", data={"x": "x" * 70_000})),
    "link too long": (414, get(f"/oauth/authorize?client_id={'x' * 20_000}")),
    "set-up link that is over": (400, get("/setup?token=mst_x")),
    "too many requests": (429, too_many_requests),
    "unavailable": (503, unavailable),
}
IN_A_CLIENTS_FLOW = {
    "consent",
    "the way back to a client",
    "unknown client",
    "an error for a stranger's client",
    "unreadable form",
    "forged form",
    "form too large",
    "link too long",
    "set-up link that is over",
    "too many requests",
    "unavailable",
}
ASKS_FOR_PASSKEYS = {"sign-in", "second step", "ways to sign in", "wrong password"}
POSTS_NOTHING = {"the way back to a client", "an error for a stranger's client"}


@pytest.mark.parametrize("name", PAGES)
async def test_every_page_carries_every_header_authz_08_09(door: Door, person: Person, name: str) -> None:
    status, visit = PAGES[name]
    response = await visit(door, person)
    assert response.status_code == status
    expected = dict(HEADERS)
    if name in POSTS_NOTHING:
        expected["content-security-policy"] = CSP.format("'none'")
    if name in ASKS_FOR_PASSKEYS:
        expected["content-security-policy"] += "; script-src 'self'"
    if name not in IN_A_CLIENTS_FLOW:
        # A page that a web client opened in a popup stays connected to it; the others are cut off.
        expected["cross-origin-opener-policy"] = "same-origin"
    told = {header: value for header, value in response.headers.items() if header in {*HEADERS, *expected}}
    assert told == expected
    assert ("cross-origin-opener-policy" in response.headers) is (name not in IN_A_CLIENTS_FLOW)
    assert not any(header.startswith("access-control-") for header in response.headers)


@pytest.mark.parametrize("name", PAGES)
async def test_no_page_has_anything_from_elsewhere_and_only_passkeys_have_a_script_authz_09(
    door: Door, person: Person, name: str
) -> None:
    response = await PAGES[name][1](door, person)
    html = response.text
    assert html.startswith("<!doctype html>")
    assert '<html lang="en">' in html
    scripts = re.findall(r"<script[^>]*>.*?</script>", html, re.DOTALL)
    assert len(scripts) == (name in ASKS_FOR_PASSKEYS)
    assert all(
        re.fullmatch(r'<script src="/static/passkeys\.[0-9a-f]{8}\.js" defer></script>', each) for each in scripts
    )
    assert not re.search(r"\son\w+=", html)
    assert not re.search(r"""\sstyle=["']""", html)
    loaded = re.findall(r"""<(?:link|img|iframe|object|embed)[^>]+(?:href|src)=["']([^"']+)""", html)
    assert loaded
    assert all(address.startswith("/static/") for address in loaded)


async def test_plain_http_on_this_machine_promises_no_https(local: Door) -> None:
    response = await local.http.get("/login")
    assert "strict-transport-security" not in response.headers


async def test_a_page_says_its_reference_where_help_is_asked_for(door: Door, person: Person) -> None:
    for path in ("/account", "/oauth/authorize?client_id=x"):
        response = await person.http.get(path)
        assert response.headers["x-request-id"] in response.text


@pytest.mark.parametrize("path", ["/", "/login", "/account", "/dashboard"])
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_a_page_is_read_or_posted_to_and_nothing_else(person: Person, path: str, method: str) -> None:
    response = await person.http.request(method, path)
    assert response.status_code == 405
    assert "GET" in response.headers["allow"]


async def test_head_is_the_page_without_its_body(person: Person) -> None:
    head = await person.http.head("/login")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-security-policy"] == HEADERS["content-security-policy"] + "; script-src 'self'"
