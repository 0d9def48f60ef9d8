"""Whatever is sent to any address, the answer is a documented one: never a fault, never more than was asked for."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doorward.oauth import errors
from doorward.routes import ROUTES
from tests.inside import LOOPBACK, RESOURCE, Answer, Door, open_door

STATUSES = {200, 201, 204, 302, 303, 304, 400, 401, 403, 404, 405, 408, 413, 414, 421, 429, 503}
CODES = {value for name, value in vars(errors).items() if name.isupper() and not name.startswith("_")}
OF_THE_SERVER = {"not_found", "misdirected_request"}
PATHS = [
    *(path.replace("{client_id}", "mcl_x") for path in ROUTES),
    "/.well-known/oauth-authorization-server",
    "/.well-known/oauth-protected-resource/mcp",
    "/.well-known/jwks.json",
    "/static/nothing.css",
    "/livez",
    "/readyz",
    "/p/nobody/api/oauth/token",
    "/nothing",
]
NAMES = [
    *("grant_type", "client_id", "client_secret", "code", "code_verifier", "redirect_uri", "refresh_token", "scope"),
    *("resource", "state", "response_type", "code_challenge", "code_challenge_method", "token", "token_type_hint"),
    *("client_assertion", "client_assertion_type", "csrf", "flow", "decision", "email", "password", "next", "grant_id"),
    *("response_mode", "request", "request_uri", "prompt", "user_code", "device_code"),
]
LIKELY = [
    *("authorization_code", "refresh_token", "code", "S256", "plain", LOOPBACK, RESOURCE, "tools:read", "allow", ""),
    *(
        "x" * 43,
        "mac_" + "x" * 50,
        "mrt_" + "x" * 90,
        "mcx_" + "x" * 100,
        "eyJhbGciOiJub25lIn0.e30.x",
        "https://a.test/m",
    ),
    *(
        "javascript:alert(1)",
        "\x00",
        "\r\nset-cookie: a=b",
        "é",
        "\U0001f600",
        "a" * 9000,
        "%",
        "https://[",
        "//",
        "'\"<>",
    ),
]
words = st.one_of(st.sampled_from(LIKELY), st.text(max_size=40))
fields = st.lists(st.tuples(st.one_of(st.sampled_from(NAMES), st.text(max_size=10)), words), max_size=12)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), words),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=12), inner, max_size=4)),
    max_leaves=12,
)
MEMBERS = [
    *(
        "redirect_uris",
        "client_name",
        "token_endpoint_auth_method",
        "grant_types",
        "response_types",
        "scope",
        "contacts",
    ),
    *("application_type", "client_uri", "logo_uri", "jwks", "jwks_uri", "software_statement", "client_id"),
]
registrations = st.dictionaries(st.sampled_from(MEMBERS), st.one_of(json_values, st.just([LOOPBACK])), max_size=8)
header_values = st.one_of(
    st.sampled_from(
        ["Bearer", "Bearer x", "Basic", "Basic Og==", "Basic " + "A" * 400, "Bearer " + "x" * 9000, "DPoP x", ""]
    ),
    st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=40),
)
HEADERS = [
    "authorization",
    "cookie",
    "content-type",
    "origin",
    "sec-fetch-site",
    "accept",
    "if-none-match",
    "x-forwarded-for",
]
extra_headers = st.dictionaries(st.sampled_from(HEADERS), header_values, max_size=4)
bodies = st.one_of(
    fields.map(lambda pairs: ("application/x-www-form-urlencoded", encode(pairs))),
    registrations.map(lambda members: ("application/json", json.dumps(members).encode())),
    json_values.map(lambda value: ("application/json", json.dumps(value).encode())),
    st.binary(max_size=200).map(lambda raw: ("application/x-www-form-urlencoded", raw)),
    st.binary(max_size=200).map(lambda raw: ("application/json", raw)),
    st.tuples(
        st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=30), st.binary(max_size=100)
    ),
    st.just(("application/x-www-form-urlencoded", b"a=1&" * 20_000)),
    st.just(("application/json", b"[" * 30_000)),
)
FUZZ = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


def encode(pairs: list[tuple[str, str]]) -> bytes:
    """A form or query, with whatever surrogates a generator made replaced."""
    return "&".join(
        f"{quote(name.encode('utf-8', 'replace'))}={quote(value.encode('utf-8', 'replace'))}" for name, value in pairs
    ).encode()


@pytest.fixture(scope="module")
async def door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    folder: Path = tmp_path_factory.mktemp("fuzz") / "data"
    async with open_door(folder) as opened:
        yield opened


def check(answer: Answer) -> None:
    """Documented status and code, nothing of our insides, and well-formed headers."""
    assert answer.status in STATUSES, answer.body
    assert b"Traceback" not in answer.body
    assert b'File "' not in answer.body
    for values in answer.headers.values():
        assert not any("\r" in value or "\n" in value for value in values)
    if answer.status >= 400 and answer.body and answer.header("content-type") == "application/json":
        members: dict[str, Any] = answer.json()
        assert members.get("error", "") in CODES | OF_THE_SERVER | {""}
        assert None not in members.values()
    if answer.status in (302, 303):
        location = answer.header("location")
        assert location.startswith(("/login", "/dashboard", "/account", LOOPBACK.rpartition("/")[0])), location


@pytest.mark.parametrize("path", PATHS)
@FUZZ
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "X"]),
    query=fields,
    headers=extra_headers,
)
async def test_a_request_without_a_body_gets_a_documented_answer(
    door: Door, path: str, method: str, query: list[tuple[str, str]], headers: dict[str, str]
) -> None:
    check(await door.call(method, f"{path}?{encode(query).decode()}", headers=headers))


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in PATHS
        if path.startswith(("/api", "/oauth", "/token", "/register", "/log", "/setup", "/account"))
    ],
)
@FUZZ
@given(body=bodies, headers=extra_headers, method=st.sampled_from(["POST", "POST", "POST", "PUT"]))
async def test_a_body_gets_a_documented_answer(
    door: Door, path: str, body: tuple[str, bytes], headers: dict[str, str], method: str
) -> None:
    content_type, raw = body
    check(await door.call(method, path, raw, {"content-type": content_type, **headers}))


@FUZZ
@given(parameters=fields)
async def test_an_authorization_request_of_a_known_app_gets_a_documented_answer(
    door: Door, parameters: list[tuple[str, str]]
) -> None:
    client_id = (await door.register())["client_id"]
    known = [("client_id", client_id), ("redirect_uri", LOOPBACK)]
    check(await door.call("GET", f"/oauth/authorize?{encode([*known, *parameters]).decode()}"))


@FUZZ
@given(parameters=fields)
async def test_a_token_request_of_a_known_app_gets_a_documented_answer(
    door: Door, parameters: list[tuple[str, str]]
) -> None:
    client_id = (await door.register())["client_id"]
    form = {"content-type": "application/x-www-form-urlencoded"}
    check(await door.call("POST", "/api/oauth/token", encode([("client_id", client_id), *parameters]), form))
