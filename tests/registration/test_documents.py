"""Clients known by a document: what a document may say, what of it counts, and what a person is told otherwise.

Spec: CIMD-01, CIMD-03, CIMD-04, CIMD-08 … CIMD-10, CIMD-13, CIMD-17 … CIMD-22, CIMD-26 … CIMD-28; T4, T6; complaint 8
"""

import json
from typing import Any

import pytest

from doorward.oauth.jwt import generate_signing_key
from tests.inside import LOOPBACK, Door
from tests.person import Person
from tests.registration.site import Page, Site
from tests.registration.steps import APP_REDIRECT, authorize, consent_page, is_accepted, let_in, stored, tokens_of, told
from tests.server.steps import refusal

EC = generate_signing_key("ES256")
PUBLIC_KEYS = {"keys": [EC.public_jwk()]}
CHATGPT = "https://chatgpt.com/connector_platform_oauth_redirect"


async def test_a_published_app_gets_through_to_tokens_and_its_row_is_made_at_consent_cimd_01(
    door: Door, site: Site
) -> None:
    client_id = site.publish()
    assert await is_accepted(door, client_id)
    assert await stored(door, client_id) is None
    answer = await tokens_of(door, client_id)
    assert {"access_token", "refresh_token"} <= answer.keys()
    client = await stored(door, client_id)
    assert client is not None
    assert (client.kind, client.metadata.client_name) == ("document", "Sample app")
    assert (await door.refresh(client_id, answer["refresh_token"])).status == 200


async def test_nothing_of_the_request_is_sent_along_cimd_09(door: Door, site: Site) -> None:
    client_id = site.publish()
    headers = {
        "cookie": "a=b",
        "authorization": "Bearer x",
        "referer": "https://x.example",
        "x-forwarded-for": "1.2.3.4",
    }
    path = door.authorization_url(client_id, "v" * 43, redirect_uri=APP_REDIRECT)
    await door.call("GET", path, headers=headers)
    (head,) = site.heads
    names = {line.split(b":")[0].lower() for line in head.split(b"\r\n")[1:] if line}
    assert names <= {b"host", b"accept", b"accept-encoding", b"user-agent", b"connection"}
    assert b"accept: application/json" in head.lower()
    assert b"accept-encoding: identity" in head.lower()


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example:{port}",
        "https://app.example:{port}/",
        "https://user@app.example:{port}/client.json",
        "https://user:pw@app.example:{port}/client.json",
        "https://@app.example:{port}/client.json",
        "https://app.example:{port}/client.json#",
        "https://app.example:{port}/client.json#part",
        "https://app.example:{port}/./client.json",
        "https://app.example:{port}/a/../client.json",
        "https://app.example:{port}/a/..",
        "https://app.example:{port}/a/.",
        "https://app.example:{port}/%2e%2e/client.json",
        "https://app.example:{port}/%2E./client.json",
        "https://app.example:{port}/a/.%2e/client.json",
        "https://app.example:{port}/a\\client.json",
        "https://app.example:{port}/client .json",
        "https://app.example:{port}/cl\tient.json",
        "https://app.example:{port}/clién.json",
        "https://app.example:port/client.json",
        "https://app.example:99999/client.json",
        "https:///client.json",
        "https://[::1/client.json",
        "https://app.example:{port}/" + "a" * 2048,
        "HTTPS://",
    ],
)
async def test_an_address_that_is_no_client_id_is_refused_before_any_fetch_cimd_03(
    door: Door, site: Site, url: str
) -> None:
    told(await authorize(door, url.format(port=site.port)))
    assert site.connections == 0


@pytest.mark.parametrize(
    "url", ["http://app.example/client.json", "ftp://app.example/c", "//app.example/c", "app.example/c"]
)
async def test_an_address_that_is_not_https_is_an_unknown_app(door: Door, url: str) -> None:
    assert "not known here" in told(await authorize(door, url))


@pytest.mark.parametrize(
    "other",
    [
        "https://app.example:{port}/client.json/",
        "https://APP.example:{port}/client.json",
        "https://app.example/client.json",
        "",
    ],
)
async def test_a_document_must_name_the_very_address_it_is_at_cimd_10(door: Door, site: Site, other: str) -> None:
    client_id = site.url()
    site.publish(client_id=other.format(port=site.port))
    assert "not the URL it was fetched from" in told(await authorize(door, client_id))


async def test_two_spellings_of_one_address_are_two_clients_cimd_04(door: Door, site: Site) -> None:
    site.publish()
    told(await authorize(door, site.url(host="APP.example")))
    told(await authorize(door, f"{site.url()}?x=1"))


async def test_a_query_and_a_port_are_part_of_the_id(door: Door, site: Site) -> None:
    client_id = site.url("/client.json?build=1")
    site.publish("/client.json?build=1")
    assert await is_accepted(door, client_id)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"text"',
        b"null",
        b"{",
        b'{"client_id": "\xff"}',
        b"\xff\xfe{\x00}\x00",
        b'{"redirect_uris": [], "redirect_uris": ["http://localhost/callback"]}',
        b"[" * 5000,
        b'{"a":' * 900,
        b"\x1f\x8b\x08\x00",
    ],
)
async def test_a_body_that_is_not_one_json_object_is_refused_cimd_08(door: Door, site: Site, body: bytes) -> None:
    site.pages["/client.json"] = Page(body)
    told(await authorize(door, site.url()))


async def test_a_member_that_is_there_twice_is_refused_wherever_it_is(door: Door, site: Site) -> None:
    client_id = site.publish(jwks=PUBLIC_KEYS)
    body = site.pages["/client.json"].body
    for name in (b'"client_name"', b'"kty"', b'"redirect_uris"'):
        twice = body.replace(name, name + b': "x", ' + name, 1)
        site.pages["/client.json"] = Page(twice)
        assert "not valid JSON" in told(await authorize(door, client_id))


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"redirect_uris": None}, "redirect_uris"),
        ({"redirect_uris": []}, "redirect_uris"),
        ({"redirect_uris": "http://localhost/callback"}, "redirect_uris"),
        ({"redirect_uris": [1]}, "redirect_uris"),
        ({"redirect_uris": ["http://localhost/callback"] * 31}, "redirect_uris"),
        ({"redirect_uris": ["javascript:alert(1)", "http://evil.example/cb"]}, "redirect_uris"),
        ({"client_secret": "s"}, "client_secret"),
        ({"client_secret": ""}, "client_secret"),
        ({"client_secret_expires_at": 0}, "client_secret_expires_at"),
        ({"token_endpoint_auth_method": "client_secret_basic"}, "authentication method"),
        ({"token_endpoint_auth_method": "client_secret_post"}, "authentication method"),
        ({"token_endpoint_auth_method": "client_secret_jwt"}, "authentication method"),
        ({"token_endpoint_auth_method": "tls_client_auth"}, "authentication method"),
        ({"token_endpoint_auth_method": ["none"]}, "authentication method"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "authentication method"),
        (
            {"token_endpoint_auth_method": None, "token_endpoint_auth_methods_supported": ["client_secret_post"]},
            "method",
        ),
        ({"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "http://app.example/k"}, "jwks_uri"),
        ({"jwks_uri": 1}, "jwks_uri"),
        ({"jwks_uri": "https://app.example/k", "jwks": PUBLIC_KEYS}, "not both"),
        ({"jwks": "keys"}, "key set"),
        ({"jwks": {"keys": {}}}, "key set"),
        ({"jwks": {"keys": ["k"]}}, "key set"),
        ({"jwks": {"keys": [EC.private_jwk()]}}, "private or symmetric"),
        ({"jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}}, "private or symmetric"),
        ({"jwks": {"keys": [{"kty": "oct"}]}}, "private or symmetric"),
        ({"jwks": {"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB", "p": "AQ"}]}}, "private or symmetric"),
        ({"grant_types": ["urn:ietf:params:oauth:grant-type:jwt-bearer"]}, "authorization_code"),
    ],
)
async def test_a_document_that_cannot_be_a_client_is_refused_and_the_page_says_why_cimd_08_18_19_28(
    door: Door, site: Site, members: dict[str, Any], why: str
) -> None:
    assert why in told(await authorize(door, site.publish(**members)))


async def test_what_is_not_understood_in_a_document_is_ignored_cimd_22(door: Door, site: Site) -> None:
    client_id = site.publish(
        grant_types=["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:jwt-bearer"],
        response_types=["code", "token"],
        application_type="strange",
        logo_uri="javascript:alert(1)",
        client_uri=7,
        contacts="x",
        scope=7,
        extra={"a": [None]},
    )
    assert await is_accepted(door, client_id)


async def test_redirect_uris_that_could_not_be_registered_are_left_out_and_the_others_kept(
    door: Door, site: Site
) -> None:
    unsafe = ["javascript:alert(1)", "http://evil.example/cb", "https://u@evil.example/cb", "https://evil.example/*"]
    client_id = site.publish(redirect_uris=[*unsafe, "http://localhost/callback", 7])
    assert await is_accepted(door, client_id)
    for uri in unsafe:
        assert not await is_accepted(door, client_id, uri)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
async def test_the_port_of_a_loopback_redirect_is_free(door: Door, site: Site, host: str) -> None:
    client_id = site.publish(redirect_uris=[f"http://{host}/callback"])
    for port in ("", ":1", ":51234", ":65535"):
        assert await is_accepted(door, client_id, f"http://{host}{port}/callback")
    assert await is_accepted(
        door, site.publish("/b.json", redirect_uris=[f"http://{host}:3118/callback"]), f"http://{host}:9/callback"
    )


@pytest.mark.parametrize(
    "asked",
    [
        "https://client.example.com/a/../cb",
        "https://client.example.com/./cb",
        "https://client.example.com/%2e/cb",
        "https://client.example.com/cb/",
        "https://client.example.com/cb?x=1",
        "https://client.example.com/cb#x",
        "https://client.example.com:443/cb",
        "https://client.example.com:8443/cb",
        "https://CLIENT.example.com/cb",
        "https://client.example.com/CB",
        "https://client.example.com/c%62",
        "https://client.example.com.evil.example/cb",
        "https://client.example.com@evil.example/cb",
        "https://client.example.com\\@evil.example/cb",
        "http://client.example.com/cb",
        "http://localhost/other",
        "http://localhost/callback/../other",
        "http://localhost.evil.example/callback",
        "http://localhost:80@evil.example/callback",
        "https://localhost/callback",
        "http://127.0.0.1/callback",
    ],
)
async def test_a_redirect_must_be_one_of_the_documents_as_a_string_cimd_17_t6(
    door: Door, site: Site, asked: str
) -> None:
    client_id = site.publish(redirect_uris=["https://client.example.com/cb", "http://localhost/callback"])
    assert await is_accepted(door, client_id, "https://client.example.com/cb")
    text = told(await authorize(door, client_id, asked))
    assert "not registered for" in text
    assert "https://client.example.com/cb" in text


async def test_where_keys_are_the_only_proof_a_token_request_without_them_is_refused_cimd_20(
    door: Door, site: Site
) -> None:
    client_id = site.publish(token_endpoint_auth_method="private_key_jwt", jwks=PUBLIC_KEYS)
    code, verifier = await let_in(door, client_id)
    answer = await door.redeem(client_id, code, verifier, redirect_uri=APP_REDIRECT)
    assert refusal(answer) == (401, "invalid_client")


async def test_chatgpts_list_lets_it_come_with_or_without_its_keys_cimd_19(door: Door, site: Site) -> None:
    client_id = site.publish(
        redirect_uris=[CHATGPT],
        token_endpoint_auth_method="private_key_jwt",
        token_endpoint_auth_methods_supported=["none", "private_key_jwt"],
        token_endpoint_auth_signing_alg="RS256",
        jwks_uri=site.url("/jwks.json"),
    )
    assert "access_token" in await tokens_of(door, client_id, CHATGPT)
    assert "/jwks.json" not in site.requests


async def test_a_document_without_a_method_is_of_a_public_client_c5(door: Door, site: Site) -> None:
    for number, keys in enumerate((None, PUBLIC_KEYS)):
        client_id = site.publish(f"/{number}.json", token_endpoint_auth_method=None, jwks=keys)
        assert "access_token" in await tokens_of(door, client_id)


async def test_keys_beside_none_are_no_reason_to_ask_for_them(door: Door, site: Site) -> None:
    assert "access_token" in await tokens_of(door, site.publish(jwks=PUBLIC_KEYS))


async def test_the_consent_page_shows_the_host_of_the_document_and_of_the_redirect_cimd_21_26(
    door: Door, site: Site, person: Person
) -> None:
    page = await consent_page(
        door, person, site.publish(redirect_uris=["https://client.example.com/cb"]), "https://client.example.com/cb"
    )
    assert "app.example" in page.text
    assert "client.example.com" in page.text
    assert "Unverified app" in page.text


HOSTILE_NAMES = {
    "<script>alert(1)</script>": "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>': '"><img src=x onerror=alert(1)>',
    "</h1></form><form action=https://evil.example>": "</h1></form><form action=https://evil.example>",
    "{{ 7 * 7 }}{% raw %}": "{{ 7 * 7 }}{% raw %}",
    "Bank\u202egnp.exe": "Bank gnp.exe",
    "a\u200bb\ufeffc\u2066d": "a b c d",
    "line\r\nbreak\tand tab": "line break and tab",
    "nul\u0000 and \u001b[31m": "nul and [31m",
    "x" * 2000: "x" * 64,
    "Z" + "\u0301" * 500: "\u0179" + "\u0301" * 63,
    "\u05d0\u05d1\u05d2 right to left": "\u05d0\u05d1\u05d2 right to left",
    "Claude &amp; friends &#x27;": "Claude &amp; friends &#x27;",
}


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=range(len(HOSTILE_NAMES)))
@pytest.mark.parametrize("known_by", ["document", "registration"])
async def test_a_hostile_name_is_text_and_short_beside_the_hosts_t4(
    door: Door, site: Site, person: Person, known_by: str, name: str
) -> None:
    """As a reader of the page's DOM sees it: the name is the text of one element, and no element more is there."""
    uri = "https://client.example.com/cb"
    hosts = {"client.example.com"}
    if known_by == "document":
        client_id = site.publish(client_name=name, redirect_uris=[uri])
        hosts.add("app.example")
    else:
        members = {"redirect_uris": [uri], "client_name": name, "token_endpoint_auth_method": "none"}
        client_id = (await door.register(**members))["client_id"]
    page = await consent_page(door, person, client_id, uri)
    shown = HOSTILE_NAMES[name]
    assert len(shown) <= 64
    assert f"Let {shown} use" in " ".join(page.text.split())
    assert all(host in page.text for host in hosts)
    assert "Unverified app" in page.text
    plain = await consent_page(door, door.person(), (await door.register(redirect_uris=[uri]))["client_id"], uri)
    assert [form["action"] for form in page.forms] == [form["action"] for form in plain.forms]
    assert not any(tag in page.html for tag in ("<script", "<img"))


async def test_a_document_of_loopback_alone_is_told_to_be_anybody_on_this_machine_cimd_26(
    door: Door, site: Site, person: Person
) -> None:
    page = await consent_page(door, person, site.publish())
    assert "Any program on this computer could use this app’s name" in page.text
    assert "app.example" in page.text


async def test_a_logo_is_neither_fetched_nor_shown_cimd_22(door: Door, site: Site, person: Person) -> None:
    client_id = site.publish(logo_uri=site.url("/logo.png"))
    page = await consent_page(door, person, client_id)
    assert "logo.png" not in page.html
    assert site.requests == ["/client.json"]
    registered = (await door.register(logo_uri=site.url("/logo.png")))["client_id"]
    page = await consent_page(door, door.person(), registered, LOOPBACK)
    assert "logo.png" not in page.html
    assert site.requests == ["/client.json"]


@pytest.mark.parametrize("endpoint", ["token", "revoke", "introspect"])
async def test_no_other_endpoint_ever_fetches_for_an_unknown_id_cimd_27(door: Door, site: Site, endpoint: str) -> None:
    form = {"grant_type": "authorization_code", "client_id": site.publish(), "code": "c", "code_verifier": "v" * 43}
    answer = await door.post_form(f"/api/oauth/{endpoint}", {**form, "token": "t"})
    assert answer.status in (200, 401)
    assert site.connections == 0


async def test_a_document_client_cannot_be_managed_as_a_registration(door: Door, site: Site) -> None:
    answer = await door.call("GET", f"/api/oauth/register/{site.publish()}", headers={"authorization": "Bearer mra_x"})
    assert refusal(answer) == (401, "invalid_token")
    assert site.connections == 0


async def test_a_document_of_5_kib_is_read_and_one_byte_more_is_not_cimd_13(door: Door, site: Site) -> None:
    client_id = site.publish()
    members = json.loads(site.pages["/client.json"].body)
    room = 5120 - len(json.dumps({**members, "pad": ""}).encode())
    for extra, good in ((0, True), (1, False)):
        site.pages["/client.json"] = Page(json.dumps({**members, "pad": "x" * (room + extra)}).encode())
        door.clock.advance(seconds=86_400)
        assert await is_accepted(door, client_id) is good
        door.context.documents._kept.clear()
