"""What is wrong before the redirect URI is known to be right is told to the person, and to nobody else (AUTHZ-04)."""

import re
from urllib.parse import urlencode

import pytest

from doorward.manage import clients
from doorward.server.registration import UNUSED_LIFE_MS
from tests.inside import LOOPBACK, Answer, Door
from tests.server.steps import VERIFIER, WEB_REDIRECT, add_neighbour, confidential

ENTITY = {"&amp;": "&", "&#34;": '"', "&#39;": "'", "&lt;": "<", "&gt;": ">"}


def assert_page(answer: Answer, heading: str) -> None:
    """A page that leads nowhere but to reading it."""
    assert answer.status == 400
    assert answer.header("content-type") == "text/html; charset=utf-8"
    assert "location" not in answer.headers
    html = re.sub("|".join(ENTITY), lambda match: ENTITY[match[0]], answer.body.decode())
    assert heading in html
    assert "http-equiv" not in html
    assert 'id="continue"' not in html


async def authorize(door: Door, client_id: str, **parameters: str) -> Answer:
    return await door.call("GET", door.authorization_url(client_id, VERIFIER, **parameters))


@pytest.mark.parametrize("client_id", ["mcl_nobody", "x" * 3000, "é", "%"])
async def test_an_app_that_nobody_knows_gets_a_page_that_says_what_to_do_authz_04(door: Door, client_id: str) -> None:
    answer = await authorize(door, client_id)
    assert_page(answer, "This app is not known here")
    assert "claude mcp logout" in answer.body.decode()


@pytest.mark.parametrize("parameters", [{}, {"client_id": ""}])
async def test_a_request_of_no_app_gets_a_page_authz_04(door: Door, parameters: dict[str, str]) -> None:
    answer = await door.call("GET", f"/oauth/authorize?{urlencode({'redirect_uri': LOOPBACK, **parameters})}")
    assert_page(answer, "This link is incomplete")


async def test_a_request_of_two_apps_gets_a_page_authz_02(door: Door) -> None:
    client_id = (await door.register())["client_id"]
    answer = await door.call("GET", f"{door.authorization_url(client_id, VERIFIER)}&client_id={client_id}")
    assert_page(answer, "This link is incomplete")


async def test_a_request_with_two_addresses_to_return_to_gets_a_page_authz_02(door: Door) -> None:
    client_id = (await door.register())["client_id"]
    answer = await door.call("GET", f"{door.authorization_url(client_id, VERIFIER)}&redirect_uri={LOOPBACK}")
    assert_page(answer, "This link is malformed")


@pytest.mark.parametrize(
    ("registered", "requested"),
    [
        (WEB_REDIRECT, "https://evil.test/callback"),
        (WEB_REDIRECT, "https://client.example.com@evil.test/callback"),
        (WEB_REDIRECT, "https://client.example.com.evil.test/callback"),
        (WEB_REDIRECT, f"{WEB_REDIRECT}/"),
        (WEB_REDIRECT, f"{WEB_REDIRECT}?x=1"),
        (WEB_REDIRECT, f"{WEB_REDIRECT}/../evil"),
        (WEB_REDIRECT, f"{WEB_REDIRECT}#"),
        (WEB_REDIRECT, f"{WEB_REDIRECT};x"),
        (WEB_REDIRECT, "https://client.example.com/Callback"),
        (WEB_REDIRECT, "https://CLIENT.example.com/callback"),
        (WEB_REDIRECT, "https://client.example.com:443/callback"),
        (WEB_REDIRECT, "https://client.example.com:8443/callback"),
        (WEB_REDIRECT, "https://client.example.com/%63allback"),
        (WEB_REDIRECT, "http://client.example.com/callback"),
        (WEB_REDIRECT, "https://client.example.com\\callback"),
        (WEB_REDIRECT, " https://client.example.com/callback"),
        (WEB_REDIRECT, "javascript:alert(1)"),
        (WEB_REDIRECT, "https://["),
        (LOOPBACK, "http://localhost:4711/callback"),
        (LOOPBACK, "http://[::1]:4711/callback"),
        (LOOPBACK, "http://127.0.0.1:4711/other"),
        (LOOPBACK, "http://127.0.0.1:4711/callback?x=1"),
        (LOOPBACK, "http://127.0.0.1:4711/callback/"),
        (LOOPBACK, "http://127.0.0.1:99999/callback"),
        (LOOPBACK, "http://127.0.0.1:/callback/x"),
        (LOOPBACK, "https://127.0.0.1:4711/callback"),
        (LOOPBACK, "http://127.0.0.1:80@evil.test/callback"),
        ("cursor://app/callback", "cursor://app/callback2"),
        ("cursor://app/callback", "cursor://APP/callback"),
        ("com.example.app:/callback", "com.example.app://callback"),
    ],
)
async def test_an_address_that_is_not_the_registered_one_gets_a_page_rdu_02_06_authz_04_t21(
    door: Door, registered: str, requested: str
) -> None:
    client_id = (await door.register(redirect_uris=[registered]))["client_id"]
    answer = await authorize(door, client_id, redirect_uri=requested)
    assert_page(answer, "This app asked to return to a place it is not registered for")


async def test_the_page_names_both_addresses_and_both_as_text_authz_10(door: Door) -> None:
    client_id = (await door.register())["client_id"]
    answer = await authorize(door, client_id, redirect_uri='https://evil.test/"><script>alert(1)</script>')
    html = answer.body.decode()
    assert "https://evil.test/&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert LOOPBACK in html
    assert "<script" not in html


async def test_without_an_address_the_only_registered_one_is_meant_rdu_07(door: Door) -> None:
    client_id = (await door.register())["client_id"]
    answer = await authorize(door, client_id, redirect_uri="", response_type="token")
    assert answer.status == 302
    assert answer.header("location").startswith(f"{LOOPBACK}?")


async def test_without_an_address_and_with_several_registered_ones_there_is_a_page_rdu_07(door: Door) -> None:
    client_id = (await door.register(redirect_uris=[LOOPBACK, f"{LOOPBACK}/two"]))["client_id"]
    assert_page(await authorize(door, client_id, redirect_uri=""), "This link is incomplete")


async def test_an_app_of_another_project_is_not_known_here_i10(door: Door) -> None:
    await add_neighbour(door)
    client = await confidential(door)
    answer = await door.call("GET", f"/p/acme{door.authorization_url(client['client_id'], VERIFIER)}")
    assert_page(answer, "This app is not known here")
    sealed = (await door.register())["client_id"]
    answer = await door.call("GET", f"/p/acme{door.authorization_url(sealed, VERIFIER)}")
    assert_page(answer, "This app has to register again")


async def test_a_removed_app_is_not_known_any_more(door: Door) -> None:
    client = await confidential(door)
    found = await clients.get(door.operator, door.project, client["client_id"])
    await clients.remove(door.operator, found)
    assert_page(await authorize(door, client["client_id"]), "This app is not known here")


async def test_an_app_that_never_came_back_is_not_known_any_more(door: Door) -> None:
    client = await confidential(door)
    door.clock.advance(seconds=UNUSED_LIFE_MS / 1000)
    assert_page(await authorize(door, client["client_id"]), "This app is not known here")


@pytest.mark.parametrize("query", ["client_id=%FF", "client_id=%00", "client_id=%C3%28", "&".join(["a=1"] * 101)])
async def test_a_query_that_cannot_be_read_gets_a_page(door: Door, query: str) -> None:
    assert_page(await door.call("GET", f"/oauth/authorize?{query}"), "This link is malformed")


async def test_a_link_without_end_gets_a_page_t48(door: Door) -> None:
    answer = await door.call("GET", f"/oauth/authorize?client_id={'x' * 20_000}")
    assert (answer.status, answer.header("content-type")) == (414, "text/html; charset=utf-8")
    assert "This link is too long" in answer.body.decode()


async def test_a_page_carries_a_reference_that_is_also_in_a_header(door: Door) -> None:
    answer = await authorize(door, "mcl_nobody")
    assert answer.header("x-request-id") in answer.body.decode()


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS"])
async def test_the_endpoint_is_for_browsers_of_people_alone_authz_05(door: Door, method: str) -> None:
    answer = await door.call(method, "/oauth/authorize", headers={"origin": "https://a.example"})
    assert answer.status == 405
    assert answer.header("allow") == "GET, POST, HEAD"
    assert not any(name.startswith("access-control-") for name in answer.headers)
