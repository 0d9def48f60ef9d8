"""ProtectMCP: who gets through, and what everybody else is told."""

import logging
from typing import Any

import pytest

from doorward.oauth.jwt import InvalidToken
from doorward.resource import PRINCIPAL, JWTVerifier, Principal, ProtectMCP, VerifierUnavailable
from tests.resource.world import ISSUER, RESOURCE, Clock, Echo, Keys, Mint, browse
from tests.unit.hostile_jwts import HOSTILE, NOW, sign
from tests.unit.hostile_jwts import KEY as CORPUS_KEY

DOCUMENT = "https://api.test/.well-known/oauth-protected-resource/mcp"
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "get", "FOO"]


@pytest.mark.parametrize("method", METHODS)
async def test_without_a_token_every_method_is_challenged_rs_17_20_21_www_01_02_04_leg_05_c14(method: str) -> None:
    app = Echo()
    async with browse(Mint().protect(app)) as client:
        response = await client.request(method, "/mcp")
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == f'Bearer resource_metadata="{DOCUMENT}", scope="tools:read"'
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"].startswith("text/plain")
    assert "jsonrpc" not in response.text
    assert app.calls == 0


@pytest.mark.parametrize(
    "version", ["", "2024-11-05", "2025-03-26", "2025-06-18", "2026-07-28", "2099-01-01", "no date"]
)
async def test_every_revision_is_asked_for_a_token_before_anything_else_leg_04_trn_15(version: str) -> None:
    mint, app = Mint(), Echo()
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = {"MCP-Protocol-Version": version, "Mcp-Method": "tools/call"} if version else {}
    async with browse(mint.protect(app)) as client:
        for sent in (headers, {**headers, **mint.header(exp=1)}):
            assert (await client.post("/mcp", json=body, headers=sent)).status_code == 401
    assert app.calls == 0


async def test_the_challenge_comes_before_the_body_is_read_rs_19() -> None:
    sent = []

    async def receive() -> Any:
        raise AssertionError("the body was read")

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": [(b"host", b"api.test")]}
    await Mint().protect(Echo())(scope, receive, send)
    assert sent[0]["status"] == 401


@pytest.mark.parametrize("path", ["/mcp", "/", "/anything", "/mcp/admin", "//mcp", "/mcp/../mcp", "/.well-known/x"])
async def test_nothing_is_reached_without_a_token_on_any_path_rs_02(path: str) -> None:
    app = Echo()
    async with browse(Mint().protect(app)) as client:
        assert (await client.post(path)).status_code in {401, 404}
    assert app.calls == 0


async def test_a_token_in_the_query_is_no_token_rs_01() -> None:
    mint, app = Mint(), Echo()
    async with browse(mint.protect(app)) as client:
        response = await client.get("/mcp", params={"access_token": mint.token()})
    assert response.status_code == 401
    assert "error=" not in response.headers["www-authenticate"]
    assert app.calls == 0


@pytest.mark.parametrize("scheme", ["Basic dXNlcjpwYXNz", "AWS4-HMAC-SHA256 x=y"])
async def test_other_schemes_are_no_token(scheme: str) -> None:
    async with browse(Mint().protect(Echo())) as client:
        response = await client.get("/mcp", headers={"Authorization": scheme})
    assert response.status_code == 401
    assert "error=" not in response.headers["www-authenticate"]


async def test_a_good_token_lets_the_request_through_with_its_principal() -> None:
    mint, app = Mint(), Echo()
    async with browse(mint.protect(app)) as client:
        json = {"Content-Type": "application/json"}
        response = await client.post("/mcp", content=b'{"any": "thing"}', headers={**json, **mint.header()})
    assert (response.status_code, app.bodies) == (200, [b'{"any": "thing"}'])
    principal = app.scope[PRINCIPAL]
    assert isinstance(principal, Principal)
    assert principal.identity == (ISSUER, "alice", "app")


def protect_from_corpus(app: Echo) -> ProtectMCP:
    verifier = JWTVerifier(issuer=ISSUER, resource=RESOURCE, keys=Keys(CORPUS_KEY), clock=Clock(NOW))
    return Mint().protect(app, verifier=verifier)


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_token_never_gets_through_t33_rs_05(name: str) -> None:
    app = Echo()
    async with browse(protect_from_corpus(app)) as client:
        response = await client.get("/mcp", headers=[(b"authorization", b"Bearer " + HOSTILE[name].encode())])
    assert response.status_code in {400, 401}
    error = "invalid_token" if response.status_code == 401 else "invalid_request"
    assert response.headers["www-authenticate"].startswith(f'Bearer error="{error}", error_description="')
    assert response.json()["error"] == error
    assert app.calls == 0


async def test_the_token_that_the_hostile_ones_are_made_from_gets_through() -> None:
    app = Echo()
    async with browse(protect_from_corpus(app)) as client:
        assert (await client.get("/mcp", headers={"Authorization": f"Bearer {sign()}"})).status_code == 200


async def test_a_bad_token_is_invalid_token_and_learns_nothing_of_why_www_05_rs_17_18(
    caplog: pytest.LogCaptureFixture,
) -> None:
    mint = Mint()
    caplog.set_level(logging.INFO, logger="doorward.resource")
    answers = set()
    async with browse(mint.protect(Echo())) as client:
        for headers in (mint.header(exp=1), mint.header(aud="https://other.test"), mint.header(iss="https://x.test")):
            response = await client.get("/mcp", headers=headers)
            assert response.status_code == 401
            answers.add((response.headers["www-authenticate"], response.text))
            assert headers["Authorization"].removeprefix("Bearer ") not in caplog.text
    assert len(answers) == 1
    assert "aud is not this resource" in caplog.text


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"Bearer ")],
        [(b"authorization", b"")],
        [(b"authorization", b"Bearer a b")],
        [(b"authorization", b"Bearer \xff\xfe")],
        [(b"authorization", b"Bearer " + b"a" * 100_000)],
        [(b"authorization", b"Bearer a"), (b"authorization", b"Bearer a")],
        [(b"authorization", b"Bearer a"), (b"authorization", b"Basic b")],
    ],
)
async def test_malformed_credentials_are_400_rs_15_rs_16_t48(headers: list[tuple[bytes, bytes]]) -> None:
    async with browse(Mint().protect(Echo())) as client:
        response = await client.get("/mcp", headers=headers)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    assert 'error="invalid_request"' in response.headers["www-authenticate"]


class Down:
    async def verify(self, token: str) -> Principal:
        raise VerifierUnavailable("the issuer is down", retry_after=9)


async def test_an_outage_of_the_issuer_is_503_and_never_401_i11() -> None:
    app = Echo()
    async with browse(Mint().protect(app, verifier=Down())) as client:
        response = await client.post("/mcp", headers={"Authorization": "Bearer a"})
    assert (response.status_code, response.headers["retry-after"]) == (503, "9")
    assert "www-authenticate" not in response.headers
    assert response.json()["error"] == "temporarily_unavailable"
    assert app.calls == 0


async def test_a_verifier_of_another_resource_or_issuer_lets_nobody_in_rs_03_04_t9() -> None:
    here, there = Mint(), Mint(resource="https://api.test/other")
    there.key = here.key
    async with browse(here.protect(Echo(), verifier=there.verifier())) as client:
        assert (await client.get("/mcp", headers=there.header())).status_code == 401
    elsewhere = Mint(issuer="https://elsewhere.test")
    async with browse(here.protect(Echo(), verifier=elsewhere.verifier())) as client:
        assert (await client.get("/mcp", headers=elsewhere.header())).status_code == 401


class Broken:
    async def verify(self, token: str) -> Principal:
        raise InvalidToken("no")


async def test_any_verifier_will_do() -> None:
    async with browse(Mint().protect(Echo(), verifier=Broken())) as client:
        assert (await client.get("/mcp", headers={"Authorization": "Bearer a"})).status_code == 401


async def test_a_missing_scope_is_403_naming_needed_and_held_step_01_04_rs_17_21_www_10_c13() -> None:
    mint = Mint()
    guard = mint.protect(Echo(), required_scopes=["tools:admin", "tools:read"])
    async with browse(guard) as client:
        response = await client.get("/mcp/", headers=mint.header("profile tools:read offline_access"))
    assert response.status_code == 403
    assert response.headers["www-authenticate"] == (
        'Bearer error="insufficient_scope", '
        'error_description="This needs scopes that the access token does not carry.", '
        f'resource_metadata="{DOCUMENT}/", scope="profile tools:read tools:admin"'
    )
    assert response.headers["cache-control"] == "no-store"
    assert response.json()["error"] == "insufficient_scope"


async def test_the_first_challenge_is_enforced_unless_said_otherwise() -> None:
    mint = Mint()
    async with browse(mint.protect(Echo())) as client:
        assert (await client.get("/mcp", headers=mint.header(""))).status_code == 403
        assert (await client.get("/mcp", headers=mint.header("tools:read"))).status_code == 200
    async with browse(mint.protect(Echo(), required_scopes=[])) as client:
        assert (await client.get("/mcp", headers=mint.header(""))).status_code == 200


@pytest.mark.parametrize(
    ("resource", "asked", "app_path", "served"),
    [
        (RESOURCE, "/mcp", None, "/mcp"),
        (RESOURCE, "/mcp/", None, "/mcp"),
        (f"{RESOURCE}/", "/mcp", None, "/mcp/"),
        ("https://api.test", "/", None, "/"),
        ("https://api.test/public/mcp", "/public/mcp/", "/inner", "/inner"),
        ("https://api.test/public/mcp", "/inner/", "/inner", "/inner"),
        ("https://api.test/m%20p", "/m%20p/", None, "/m p"),
        (RESOURCE, "/other/", None, "/other/"),
    ],
)
async def test_both_slash_spellings_reach_the_one_path_the_app_knows(
    resource: str, asked: str, app_path: str | None, served: str
) -> None:
    mint, app = Mint(resource=resource), Echo()
    async with browse(mint.protect(app, app_path=app_path)) as client:
        response = await client.post(asked, headers=mint.header())
    assert (response.status_code, response.text) == (200, served)
    assert app.scope["raw_path"] == served.replace(" ", "%20").encode()


async def test_options_is_answered_to_anybody_and_allows_any_mcp_header_www_08() -> None:
    app = Echo()
    headers = {
        "Origin": "https://api.test",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, Content-Type, mcp-session-id, Mcp-New, x-evil, mcp-b@d",
    }
    async with browse(Mint().protect(app)) as client:
        response = await client.options("/mcp", headers=headers)
        plain = await client.options("/mcp")
    assert response.status_code == plain.status_code == 204
    assert response.headers["access-control-allow-origin"] == "https://api.test"
    assert response.headers["access-control-allow-methods"] == "GET, HEAD, POST, DELETE, OPTIONS"
    allowed = response.headers["access-control-allow-headers"]
    assert allowed == "authorization, content-type, mcp-session-id, mcp-new"
    assert "access-control-allow-credentials" not in response.headers
    assert "access-control-allow-origin" not in plain.headers
    assert app.calls == 0


@pytest.mark.parametrize(("headers", "status"), [({}, 401), ({"Authorization": "Bearer"}, 400), (None, 200)])
async def test_every_answer_can_be_read_by_an_allowed_page_www_08(headers: dict[str, str] | None, status: int) -> None:
    mint = Mint()
    app = Echo((b"access-control-allow-origin", b"*"), (b"vary", b"Accept"))
    sent = {"Origin": "https://api.test", **(mint.header() if headers is None else headers)}
    async with browse(mint.protect(app)) as client:
        response = await client.get("/mcp", headers=sent)
    assert response.status_code == status
    assert response.headers.get_list("access-control-allow-origin") == ["https://api.test"]
    exposed = response.headers["access-control-expose-headers"].split(", ")
    assert {"WWW-Authenticate", "Mcp-Session-Id"} <= set(exposed)
    assert "Origin" in response.headers.get_list("vary")


@pytest.mark.parametrize("path", ["/mcp", "/.well-known/oauth-protected-resource/mcp"])
async def test_an_answer_to_head_has_no_body_of_its_own(path: str) -> None:
    sent = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "HEAD", "path": path, "headers": [(b"host", b"api.test")]}
    await Mint().protect(Echo())(scope, None, send)  # type: ignore[arg-type]  # nothing is received before the answer
    assert sent[1] == {"type": "http.response.body", "body": b""}
    assert int(dict(sent[0]["headers"])[b"content-length"]) > 0


async def test_a_websocket_is_closed_before_it_opens() -> None:
    app, sent = Echo(), []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await Mint().protect(app)({"type": "websocket", "path": "/mcp", "headers": []}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]
    assert app.calls == 0


async def test_the_lifespan_is_the_apps_own() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    await Mint().protect(app)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]  # the app asks for neither
    assert seen == ["lifespan"]


async def test_an_error_of_the_app_is_the_apps_own() -> None:
    mint = Mint()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("of the app")

    async with browse(mint.protect(app)) as client:
        with pytest.raises(RuntimeError, match="of the app"):
            await client.get("/mcp", headers=mint.header())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("resource", ""),
        ("resource", "/mcp"),
        ("resource", "http://api.test/mcp"),
        ("resource", "https://api.test/mcp?a=1"),
        ("resource", "https://api.test/mcp#a"),
        ("issuer", ""),
        ("issuer", "http://auth.test"),
        ("challenge_scopes", "tools:read"),
        ("challenge_scopes", ["tools read"]),
        ("challenge_scopes", ['a"b']),
        ("required_scopes", [""]),
        ("scopes_supported", ["é"]),
        ("tools", {"a": "tools:read"}),
        ("tools", {"a": ["b c"]}),
        ("allowed_hosts", ["https://api.test"]),
        ("allowed_hosts", ["*"]),
    ],
)
def test_settings_that_cannot_be_right_are_refused_at_the_start(name: str, value: Any) -> None:
    settings: dict[str, Any] = {"resource": RESOURCE, "issuer": ISSUER, "verifier": Mint().verifier(), name: value}
    with pytest.raises(ValueError, match="scopes of a" if name == "tools" else name):
        ProtectMCP(Echo(), **settings)


def test_plain_http_off_this_machine_has_to_be_asked_for_by_name() -> None:
    settings: dict[str, Any] = {"resource": "http://mcp.internal/mcp", "issuer": "http://auth.internal"}
    with pytest.raises(ValueError, match="https"):
        ProtectMCP(Echo(), verifier=Mint().verifier(), **settings)
    ProtectMCP(Echo(), verifier=Mint().verifier(), insecure_http=True, **settings)
