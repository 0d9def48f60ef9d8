"""From a client's link to a code: what is kept, what is free, and that looking changes nothing."""

import re
from urllib.parse import urlencode

import pytest

from doorward.core.models import Scope
from doorward.manage import clients, connections, resources, users
from doorward.oauth.pkce import build_challenge
from tests.inside import ISSUER, LOOPBACK, RESOURCE, SCOPES, Door
from tests.person import Page, Person, answer_parameters
from tests.running import ADMIN_EMAIL
from tests.server.steps import VERIFIER, WEB_REDIRECT, add_neighbour, claims_of, refusal, success

STATES = [
    "simple",
    "a+b/c=d==",
    "a b%20c%2Bd",
    "zoë 漢字 🚪",
    "https://vscode.dev/redirect?x=1&y=2#z",
    "\"<script>&amp;\\'",
    "x" * 4096,
    "ü" * 2048,
    "\r\nSet-Cookie: a=b",
]


async def sign_in(door: Door) -> Person:
    """A browser of somebody who is signed in."""
    person = door.person()
    await person.sign_in(await person.open("/login"))
    return person


async def consent_page(door: Door, client_id: str, person: Person | None = None, **parameters: str) -> Page:
    page = await (person or await sign_in(door)).open(door.authorization_url(client_id, VERIFIER, **parameters))
    assert page.status == 200, page.text
    return page


async def test_an_answer_holds_code_state_and_iss_and_nothing_else_iss_01_09_pkce_06(
    door: Door, person: Person
) -> None:
    client_id = (await door.register())["client_id"]
    target = await person.consent(door.authorization_url(client_id, VERIFIER))
    assert target.startswith(f"{LOOPBACK}?")
    answered = answer_parameters(target)
    assert answered == {"code": answered["code"], "state": "state-1", "iss": ISSUER}
    assert build_challenge(VERIFIER) not in target


async def test_a_code_reads_the_same_encoded_or_not_and_never_repeats_tok_07(door: Door) -> None:
    client_id, person = (await door.register())["client_id"], await sign_in(door)
    codes = {(await door.obtain_code(client_id, person))[0] for _ in range(10)}
    assert len(codes) == 10
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{40,512}", code) for code in codes)


@pytest.mark.parametrize("state", STATES, ids=lambda state: repr(state[:20]))
async def test_a_state_comes_back_as_it_was_sent_authz_12(door: Door, state: str) -> None:
    client_id, person = (await door.register())["client_id"], await sign_in(door)
    url = door.authorization_url(client_id, VERIFIER, state=state)
    assert answer_parameters(await person.consent(url))["state"] == state
    assert answer_parameters(await person.consent(url, "deny"))["state"] == state
    refused = await person.http.get(door.authorization_url(client_id, VERIFIER, state=state, response_type="x"))
    assert answer_parameters(refused.headers["location"])["state"] == state


async def test_a_state_survives_the_way_through_sign_in(door: Door, person: Person) -> None:
    client_id, state = (await door.register())["client_id"], "漢&=+ %/?#" * 40
    target = await person.consent(door.authorization_url(client_id, VERIFIER, state=state))
    assert answer_parameters(target)["state"] == state


async def test_without_a_state_none_comes_back(door: Door, person: Person) -> None:
    client_id = (await door.register())["client_id"]
    answered = answer_parameters(await person.consent(door.authorization_url(client_id, VERIFIER, state="")))
    assert answered.keys() == {"code", "iss"}


@pytest.mark.parametrize(
    ("registered", "requested"),
    [
        ("http://127.0.0.1/callback", "http://127.0.0.1:49152/callback"),
        ("http://127.0.0.1:1/callback", "http://127.0.0.1:65535/callback"),
        ("http://127.0.0.1:1/callback", "http://127.0.0.1/callback"),
        ("http://[::1]/callback", "http://[::1]:49152/callback"),
        ("http://localhost/callback", "http://localhost:49152/callback"),
        ("http://127.0.0.1:7777", "http://127.0.0.1:8888/"),
        ("http://127.0.0.1/", "http://127.0.0.1:8888"),
        ("https://client.example.com", "https://client.example.com/"),
        ("https://client.example.com/", "https://client.example.com"),
        ("https://client.example.com?x=1", "https://client.example.com/?x=1"),
        ("cursor://app/callback", "cursor://app/callback"),
    ],
)
async def test_a_loopback_port_is_free_and_an_empty_path_is_a_slash_rdu_04_05_c3(
    door: Door, registered: str, requested: str
) -> None:
    client_id, person = (await door.register(redirect_uris=[registered]))["client_id"], door.person()
    target = await person.consent(door.authorization_url(client_id, VERIFIER, redirect_uri=requested))
    assert target.startswith(requested)
    answer = await door.redeem(client_id, answer_parameters(target)["code"], VERIFIER, redirect_uri=requested)
    assert success(answer)["scope"] == "tools:read"


async def test_a_query_of_the_address_is_kept_beside_the_answer_authz_13(door: Door, person: Person) -> None:
    uri = "http://127.0.0.1/callback?tenant=a%20b"
    client_id = (await door.register(redirect_uris=[uri]))["client_id"]
    target = await person.consent(door.authorization_url(client_id, VERIFIER, redirect_uri=uri))
    assert target.startswith(f"{uri}&code=")


async def test_looking_at_a_link_any_number_of_times_changes_nothing_for_the_client(door: Door) -> None:
    client_id, person = (await door.register())["client_id"], await sign_in(door)
    pages = [await consent_page(door, client_id, person) for _ in range(3)]
    await door.call("GET", door.authorization_url(client_id, VERIFIER))
    await door.call("HEAD", door.authorization_url(client_id, VERIFIER))
    owner = await users.get(door.operator, door.project, ADMIN_EMAIL)
    assert await connections.list_apps(door.operator, door.project, owner) == []
    for page in pages:
        answered = await person.submit(page, decision="allow")
        assert "code" in answer_parameters(answered.links["continue"])


async def test_the_same_request_may_come_as_a_form_authz_01(door: Door) -> None:
    client_id, person = (await door.register())["client_id"], await sign_in(door)
    url = door.authorization_url(client_id, VERIFIER)
    response = await person.http.post(
        "/oauth/authorize",
        content=url.partition("?")[2].encode(),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert response.status_code == 200
    assert "Allow" in response.text
    stranger = await door.http.post("/oauth/authorize", data={"client_id": client_id, "redirect_uri": LOOPBACK})
    assert answer_parameters(stranger.headers["location"])["error"] == "invalid_request"


async def test_a_form_with_a_repeated_parameter_is_refused_like_a_link_authz_02(door: Door) -> None:
    client_id = (await door.register())["client_id"]
    fields = [("client_id", client_id), ("redirect_uri", LOOPBACK), ("state", "1"), ("x", "1"), ("x", "2")]
    answer = await door.post_form("/oauth/authorize", fields)
    assert answer.status == 302
    assert answer_parameters(answer.header("location"))["error"] == "invalid_request"


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data", ""])
async def test_a_form_is_a_form_authz_01(door: Door, content_type: str) -> None:
    answer = await door.call("POST", "/oauth/authorize", b"client_id=x", {"content-type": content_type})
    assert (answer.status, answer.header("content-type")) == (400, "text/html; charset=utf-8")


async def test_who_is_not_signed_in_signs_in_first_and_comes_back_to_the_very_request_authz_06(
    door: Door, person: Person
) -> None:
    client_id = (await door.register(client_name="Inspector"))["client_id"]
    url = door.authorization_url(client_id, VERIFIER, state="ü&x=1")
    first = await person.http.get(url)
    assert first.status_code == 303
    assert first.headers["location"] == f"/login?{urlencode({'next': url})}"
    page = await person.open(url)
    assert page.forms[0]["next"] == url
    assert "Inspector" in page.text
    page = await person.sign_in(page)
    assert page.url.endswith(url)
    assert ("decision", "allow") in page.buttons


async def test_an_error_is_told_before_anybody_has_to_sign_in(door: Door) -> None:
    client_id = (await door.register())["client_id"]
    answer = await door.call("GET", door.authorization_url(client_id, VERIFIER, scope="nothing"))
    assert answer_parameters(answer.header("location"))["error"] == "invalid_scope"


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ("", "tools:read"),
        ("tools:write", "tools:write"),
        ("tools:write tools:read", "tools:write tools:read"),
        ("tools:read tools:read", "tools:read"),
        ("tools:read nothing openid", "tools:read"),
        ("offline_access", "tools:read offline_access"),
        ("tools:write offline_access", "tools:write offline_access"),
        ("  tools:read   tools:write ", "tools:read tools:write"),
    ],
)
async def test_the_known_part_of_the_scopes_is_granted_and_answered_scp_04_05_06_07(
    door: Door, asked: str, granted: str
) -> None:
    _, tokens = await door.tokens(scope=asked)
    assert tokens["scope"] == granted
    assert claims_of(tokens["access_token"])["scope"] == granted.removesuffix("offline_access").strip()


async def test_scopes_that_nobody_knows_are_shown_as_left_out_scp_06(door: Door) -> None:
    client_id = (await door.register())["client_id"]
    page = await consent_page(door, client_id, scope="tools:read telepathy")
    assert "which is left out: telepathy" in page.text


async def test_what_a_client_registered_for_is_no_ceiling_but_an_operators_list_is_scp_08_reg_10(door: Door) -> None:
    own = (await door.register(scope="tools:read"))["client_id"]
    code, verifier = await door.obtain_code(own, door.person(), scope="tools:read tools:write")
    assert success(await door.redeem(own, code, verifier))["scope"] == "tools:read tools:write"
    client, _ = await clients.add(door.operator, door.project, (LOOPBACK,), name="Known", scope="tools:read")
    code, verifier = await door.obtain_code(client.client_id, door.person(), scope="tools:read tools:write")
    assert success(await door.redeem(client.client_id, code, verifier))["scope"] == "tools:read"


@pytest.mark.parametrize(
    "spelling", [RESOURCE, f"{RESOURCE}/", "HTTPS://API.example.com/mcp", "https://api.example.com:443/mcp"]
)
async def test_any_spelling_of_the_resource_gets_a_token_for_the_registered_one_res_09_10_11(
    door: Door, spelling: str
) -> None:
    _, tokens = await door.tokens(resource=spelling)
    assert claims_of(tokens["access_token"])["aud"] == RESOURCE


async def test_the_path_of_a_tenant_is_part_of_its_resource_res_12(door: Door) -> None:
    one, two = (f"https://host.example.com/{tenant}/mcp" for tenant in ("one", "two"))
    for uri in (one, two):
        await resources.add(door.operator, door.project, uri, scopes=SCOPES)
    door.clock.advance(seconds=1)
    for ours, theirs in ((one, two), (two, one)):
        client_id, tokens = await door.tokens(resource=ours)
        assert claims_of(tokens["access_token"])["aud"] == ours
        refused = await door.refresh(client_id, tokens["refresh_token"], resource=theirs)
        assert refusal(refused) == (400, "invalid_target")
    client_id = (await door.register())["client_id"]
    for neither in ("https://host.example.com/mcp", "https://host.example.com/three/mcp", "https://host.example.com"):
        url = door.authorization_url(client_id, VERIFIER, resource=neither)
        told = answer_parameters((await door.call("GET", url)).header("location"))
        assert told["error"] == "invalid_target"


async def test_without_resource_the_token_is_for_the_default_one_res_05_at_04(door: Door) -> None:
    await resources.add(
        door.operator, door.project, "https://second.example.com/mcp", scopes=(Scope("x", "X"),), is_default=True
    )
    door.clock.advance(seconds=1)
    _, tokens = await door.tokens(resource="")
    assert claims_of(tokens["access_token"])["aud"] == "https://second.example.com/mcp"


async def test_a_projects_answers_carry_the_projects_issuer_iss_02(door: Door, person: Person) -> None:
    await add_neighbour(door)
    registered = await door.post_json("/p/acme/api/oauth/register", {"redirect_uris": [LOOPBACK]})
    client_id = registered.json()["client_id"]
    url = f"/p/acme{door.authorization_url(client_id, VERIFIER, resource='')}"
    target = await person.consent(url)
    assert answer_parameters(target)["iss"] == f"{ISSUER}/p/acme"
    denied = await person.consent(url, "deny")
    assert answer_parameters(denied)["iss"] == f"{ISSUER}/p/acme"
    answer = await door.post_form(
        "/p/acme/api/oauth/token",
        {
            "grant_type": "authorization_code",
            "client_id": client_id,
            "code": answer_parameters(target)["code"],
            "code_verifier": VERIFIER,
        },
    )
    claims = claims_of(success(answer)["access_token"])
    assert (claims["iss"], claims["aud"]) == (f"{ISSUER}/p/acme", "https://acme.example.com/mcp")


async def test_an_answer_to_a_strangers_site_waits_on_a_page_and_goes_on_by_itself_after_consent_authz_07(
    door: Door, person: Person
) -> None:
    client_id = (await door.register(redirect_uris=[WEB_REDIRECT]))["client_id"]
    page = await person.open(door.authorization_url(client_id, VERIFIER, redirect_uri=WEB_REDIRECT))
    page = await person.sign_in(page)
    answered = await person.submit(page, decision="allow")
    assert answered.status == 200
    assert "location" not in answered.headers
    assert 'http-equiv="refresh"' in answered.html
    assert "form-action 'none'" in answered.headers["content-security-policy"]
