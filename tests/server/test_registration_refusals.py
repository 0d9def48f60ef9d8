"""What a registration is refused for, with which code, and that nothing is kept of it (DCR-03, DCR-06, DCR-09)."""

import json
from typing import Any

import pytest

from doorward.storage.clients import count_clients
from tests.inside import LOOPBACK, Door
from tests.server.steps import REGISTER, VERIFIER, WEB_REDIRECT, bearer, refusal

JSON = {"content-type": "application/json"}


async def count(door: Door) -> int:
    return await door.context.database.read(count_clients, door.project.project_id)


DANGEROUS = [
    "http://client.example.com/callback",
    "http://127.0.0.1.evil.test/callback",
    "http://localhost.evil.test/callback",
    "http://127.0.0.2/callback",
    "http://0.0.0.0/callback",
    "http://localhost:80@evil.test/callback",
    "https://client.test@evil.test/cb",
    "https://user:pass@client.example.com/cb",
    "https://client.example.com/cb#fragment",
    "https://client.example.com/cb#",
    "https://*.example.com/cb",
    "https://client.example.com/*",
    "https://client.example.com\\@evil.test/cb",
    "https://client.example.com/c b",
    "https://client.example.com/\ncb",
    "https://clïent.example.com/cb",
    "https:///cb",
    "https://",
    "https://[::1/cb",
    "https://client.example.com:port/cb",
    "javascript:alert(1)",
    "JavaScript://client.example.com/%0aalert(1)",
    "data:text/html,x",
    "vbscript:x",
    "blob:https://client.example.com/x",
    "file:///etc/passwd",
    "about:blank",
    "/callback",
    "client.example.com/callback",
    "",
    "cursor:",
    f"https://client.example.com/{'x' * 2048}",
]


@pytest.mark.parametrize("uri", DANGEROUS)
async def test_a_dangerous_redirect_uri_is_refused_and_named_dcr_06_09_rdu_01_03_t21(door: Door, uri: str) -> None:
    answer = await door.post_json(REGISTER, {"redirect_uris": [uri]})
    assert refusal(answer) == (400, "invalid_redirect_uri")
    printable = "".join(c if " " <= c <= "~" and c not in '"\\' else "'" for c in uri[:200])
    assert printable in answer.json()["error_description"]
    assert await count(door) == 0


@pytest.mark.parametrize("uri", DANGEROUS)
@pytest.mark.parametrize("method", ["none", "client_secret_post"])
async def test_beside_good_ones_it_is_left_out_and_reported_dcr_09(door: Door, uri: str, method: str) -> None:
    """One address of an old build keeps nobody out, and leads no code anywhere (clients.md no. 16)."""
    good = [WEB_REDIRECT, LOOPBACK]
    asked = {"redirect_uris": [good[0], uri, good[1]], "token_endpoint_auth_method": method}
    answer = await door.post_json(REGISTER, asked)
    made = answer.json()
    assert (answer.status, made["redirect_uris"]) == (201, good)
    [refused] = made["refused_redirect_uris"]
    assert refused["uri"] == uri[:2048]
    assert refused["reason"].startswith(f"The redirect URI {uri[:100]}")
    read = await door.call("GET", f"{REGISTER}/{made['client_id']}", headers=bearer(made["registration_access_token"]))
    assert read.json()["redirect_uris"] == good
    assert "refused_redirect_uris" not in read.json()
    page = await door.call("GET", door.authorization_url(made["client_id"], VERIFIER, redirect_uri=uri or "x"))
    assert page.status == 400


async def test_refused_ones_are_reported_in_their_order_and_good_ones_without_a_word(door: Door) -> None:
    asked = ["javascript:alert(1)", WEB_REDIRECT, "http://a.example/", "cursor://a/b", WEB_REDIRECT]
    made = (await door.post_json(REGISTER, {"redirect_uris": asked})).json()
    assert made["redirect_uris"] == [WEB_REDIRECT, "cursor://a/b"]
    assert made["refused_redirect_uris"] == [
        {
            "uri": "javascript:alert(1)",
            "reason": "The redirect URI javascript:alert(1) uses a scheme that is not allowed.",
        },
        {
            "uri": "http://a.example/",
            "reason": "The redirect URI http://a.example/ is http to a host that is not this machine; use https.",
        },
    ]
    assert "refused_redirect_uris" not in (await door.register(redirect_uris=[WEB_REDIRECT, "cursor://a/b"]))


async def test_what_is_left_decides_what_kind_of_client_it_is(door: Door) -> None:
    made = (await door.post_json(REGISTER, {"redirect_uris": ["http://192.0.2.1/cb", WEB_REDIRECT]})).json()
    assert (made["application_type"], made["token_endpoint_auth_method"]) == ("web", "client_secret_basic")


async def test_when_every_one_is_refused_the_first_is_named(door: Door) -> None:
    answer = await door.post_json(REGISTER, {"redirect_uris": ["data:,x", "javascript:alert(1)"]})
    assert refusal(answer) == (400, "invalid_redirect_uri")
    assert "data:,x" in answer.json()["error_description"]
    assert await count(door) == 0


@pytest.mark.parametrize(
    "uris", [None, [], "https://client.example.com", [7], [None], {}, [[WEB_REDIRECT]], [WEB_REDIRECT, 7]]
)
async def test_redirect_uris_are_a_list_of_strings_with_at_least_one(door: Door, uris: object) -> None:
    answer = await door.post_json(REGISTER, {"redirect_uris": uris})
    assert refusal(answer) == (400, "invalid_redirect_uri")


async def test_more_than_ten_redirect_uris_are_too_many(door: Door) -> None:
    answer = await door.post_json(REGISTER, {"redirect_uris": [f"{WEB_REDIRECT}/{n}" for n in range(11)]})
    assert refusal(answer) == (400, "invalid_redirect_uri")


@pytest.mark.parametrize(
    "members",
    [
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": "tls_client_auth"},
        {"token_endpoint_auth_method": 7},
        {"grant_types": ["refresh_token"]},
        {"grant_types": ["client_credentials"]},
        {"grant_types": ["implicit"], "response_types": ["token"]},
        {"grant_types": "authorization_code"},
        {"grant_types": [7]},
        {"response_types": ["token"]},
        {"response_types": ["code token"]},
        {"client_name": 7},
        {"client_name": ["a"]},
        {"client_name": "n" * 3000},
        {"scope": ["tools:read"]},
        {"contacts": "ops@example.com"},
        {"software_id": {"a": 1}},
    ],
    ids=str,
)
async def test_metadata_that_makes_no_sense_is_refused_dcr_06_08(door: Door, members: dict[str, Any]) -> None:
    answer = await door.post_json(REGISTER, {"redirect_uris": [LOOPBACK], **members})
    assert refusal(answer) == (400, "invalid_client_metadata")
    assert await count(door) == 0


NO_OBJECTS = {
    "nothing": b"",
    "half": b"{",
    "a list": b"[]",
    "text": b'"text"',
    "a number": b"7",
    "null": b"null",
    "a member twice": b'{"redirect_uris": ["http://127.0.0.1/"], "redirect_uris": ["http://127.0.0.1/x"]}',
    "a member twice, deeper": b'{"redirect_uris": ["http://127.0.0.1/"], "jwks": {"keys": [], "keys": []}}',
    "no UTF-8": b'{"redirect_uris": ["http://127.0.0.1/"], "client_name": "\xff"}',
    "deep": b'{"a":' + b"[" * 33 + b"]" * 33 + b"}",
    "lists without end": b"[" * 60_000,
    "objects without end": b'{"a":' * 10_000,
    "a number too long": b'{"a": ' + b"9" * 6000 + b"}",
}


@pytest.mark.parametrize("body", NO_OBJECTS.values(), ids=NO_OBJECTS)
async def test_a_body_that_is_not_one_json_object_is_refused_dcr_03(door: Door, body: bytes) -> None:
    assert refusal(await door.call("POST", REGISTER, body, JSON)) == (400, "invalid_client_metadata")


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx"]
)
async def test_a_registration_is_json_and_says_so_dcr_03(door: Door, content_type: str) -> None:
    body = json.dumps({"redirect_uris": [LOOPBACK]}).encode()
    answer = await door.call("POST", REGISTER, body, {"content-type": content_type})
    assert refusal(answer) == (400, "invalid_client_metadata")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", "application/json;"])
async def test_parameters_and_case_of_the_media_type_do_not_matter(door: Door, content_type: str) -> None:
    body = json.dumps({"redirect_uris": [LOOPBACK]}).encode()
    assert (await door.call("POST", REGISTER, body, {"content-type": content_type})).status == 201


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_64_kib_is_413_whether_or_not_it_says_so_dcr_13_t48(door: Door, *, declared: bool) -> None:
    body = json.dumps({"redirect_uris": [LOOPBACK], "x": "x" * 65_536}).encode()
    length = {"content-length": str(len(body))} if declared else {}
    assert refusal(await door.call("POST", REGISTER, body, {**JSON, **length})) == (413, "invalid_request")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
async def test_only_post_registers_dcr_03(door: Door, method: str) -> None:
    answer = await door.call(method, REGISTER)
    assert answer.status == 405
    assert answer.header("allow") == "POST, OPTIONS"


async def test_browsers_of_any_origin_may_register_dcr_22(door: Door) -> None:
    preflight = await door.call("OPTIONS", REGISTER, headers={"origin": "https://a.example"})
    assert preflight.status == 204
    assert preflight.headers["access-control-allow-origin"] == ["*"]
    assert "POST" in preflight.header("access-control-allow-methods")
    refused = await door.post_json(REGISTER, {}, {"origin": "https://a.example"})
    assert refused.headers["access-control-allow-origin"] == ["*"]
    assert "access-control-allow-credentials" not in refused.headers


async def test_a_refusal_costs_nothing_of_the_limit(door: Door) -> None:
    for _ in range(200):
        await door.post_json(REGISTER, {})
    assert (await door.post_json(REGISTER, {"redirect_uris": [LOOPBACK]})).status == 201
