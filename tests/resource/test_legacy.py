"""What a client of 2025-03-26 finds on the origin of a server whose authorization server is elsewhere."""

import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import anyio
import httpx2
import pytest

from doorward.oauth.pkce import build_challenge
from doorward.resource.legacy import LegacyShim
from tests.person import answer_parameters
from tests.resource.world import RESOURCE, Echo, TinyIssuer, browse, run_issuer

METADATA = "/.well-known/oauth-authorization-server"
ASKED = "response_type=code&client_id=a&redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2Fback&state=x%20y&code_challenge=c"


@asynccontextmanager
async def shimmed(app: Echo | None = None, **options: Any) -> AsyncIterator[tuple[TinyIssuer, httpx2.AsyncClient]]:
    """An issuer elsewhere, and a client of a guarded server behind the shim."""
    async with run_issuer() as issuer:
        guard = issuer.mint.protect(app or Echo())
        shim = LegacyShim(guard, issuer=issuer.url, resource=RESOURCE, **options)
        async with browse(shim) as client:
            yield issuer, client


async def test_a_client_of_the_first_authorization_finds_its_way_by_the_default_endpoints_leg_02_leg_04() -> None:
    verifier = secrets.token_urlsafe(48)
    async with shimmed() as (issuer, client), httpx2.AsyncClient() as browser:
        assert (await client.post("/mcp")).status_code == 401
        assert (await client.get(METADATA)).status_code == 404
        registered = await client.post("/register", json={"redirect_uris": ["http://127.0.0.1:1/back"]})
        assert (registered.status_code, registered.headers["cache-control"]) == (201, "no-store")
        asked = {"client_id": registered.json()["client_id"], "redirect_uri": "http://127.0.0.1:1/back", "state": "s"}
        challenge = {"code_challenge": build_challenge(verifier), "scope": "tools:read"}
        redirect = await client.get("/authorize", params={**asked, **challenge})
        assert redirect.status_code == 302
        answer = answer_parameters((await browser.get(redirect.headers["location"])).headers["location"])
        form = {"grant_type": "authorization_code", "code": answer["code"], "code_verifier": verifier}
        token = (await client.post("/token", data=form)).json()["access_token"]
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        called = await client.post("/mcp", json=ping, headers={"Authorization": f"Bearer {token}"})
        assert (called.status_code, issuer.seen["/authorize"]) == (200, 1)


async def test_the_query_goes_to_the_issuer_as_it_is_with_the_resource_when_it_is_missing_leg_02() -> None:
    async with shimmed() as (issuer, client):
        location = (await client.get(f"/authorize?{ASKED}")).headers["location"]
        assert location == f"{issuer.url}/authorize?{ASKED}&resource=https%3A%2F%2Fapi.test%2Fmcp"
        given = f"{ASKED}&resource=https%3A%2F%2Fother.test"
        assert (await client.get(f"/authorize?{given}")).headers["location"] == f"{issuer.url}/authorize?{given}"
        bare = (await client.get("/authorize")).headers["location"]
        assert parse_qsl(urlsplit(bare).query) == [("resource", RESOURCE)]
        issuer.metadata["authorization_endpoint"] = f"{issuer.url}/authorize?tenant=1"
    async with shimmed() as (issuer, client):
        issuer.metadata["authorization_endpoint"] = f"{issuer.url}/authorize?tenant=1"
        location = (await client.get("/authorize?state=a")).headers["location"]
        assert location.startswith(f"{issuer.url}/authorize?tenant=1&state=a&resource=")


@pytest.mark.parametrize(
    "query", [b"state=a\r\nset-cookie: b=c", "state=\u00e9".encode(), b'state="<>\x00', b"=&&=", b"%zz"]
)
async def test_no_query_leads_anywhere_else_or_out_of_the_header_leg_02(query: bytes) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async with run_issuer() as issuer:
        shim = LegacyShim(Echo(), issuer=issuer.url, resource=RESOURCE)
        scope = {"type": "http", "method": "GET", "path": "/authorize", "query_string": query, "headers": []}
        await shim(scope, receive, send)
        location = dict(sent[0]["headers"])[b"location"].decode("ascii")
    assert sent[0]["status"] == 302
    assert location.startswith(f"{issuer.url}/authorize?")
    assert location.isprintable()
    assert " " not in location
    assert parse_qs(urlsplit(location).query)["resource"] == [RESOURCE]


async def test_no_document_with_a_foreign_issuer_is_there_unless_asked_for_leg_03() -> None:
    async with shimmed() as (issuer, client):
        assert (await client.get(METADATA)).status_code == 404
        assert issuer.seen[METADATA] == 0
    async with shimmed(mirror_metadata=True) as (issuer, client):
        mirrored = await client.get(METADATA)
        assert mirrored.json() == {**issuer.metadata, "authorization_endpoint": "https://api.test/authorize"}
        assert mirrored.headers["access-control-allow-origin"] == "*"
        assert (await client.get(f"{METADATA}/")).json() == mirrored.json()
        assert (await client.get(f"{METADATA}/mcp")).status_code == 404


async def test_on_the_issuers_own_origin_nothing_is_touched_leg_01_leg_03() -> None:
    for issuer in ("https://api.test", "https://api.test/"):
        app = Echo()
        async with browse(LegacyShim(app, issuer=issuer, resource=RESOURCE, mirror_metadata=True)) as client:
            for path in ("/authorize", "/token", "/register", METADATA, "/mcp"):
                assert (await client.post(path)).text == path
        assert app.calls == 5


async def test_an_issuer_with_a_path_on_the_same_origin_is_found_at_the_root_leg_01_leg_03() -> None:
    async with run_issuer() as issuer:
        issuer.metadata["issuer"] = f"{issuer.url}/p/a"
        issuer.overrides[f"{METADATA}/p/a"] = (200, {}, json.dumps(issuer.metadata).encode())
        shim = LegacyShim(Echo(), issuer=f"{issuer.url}/p/a", resource=f"{issuer.url}/mcp")
        async with browse(shim) as client:
            assert (await client.get(METADATA)).json()["issuer"] == f"{issuer.url}/p/a"


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (400, {"content-type": "application/json"}, b'{"error":"invalid_grant"}'),
        (401, {"www-authenticate": 'Basic realm="a"', "set-cookie": "a=b"}, b"no"),
        (429, {"retry-after": "9"}, b""),
        (500, {}, b"oh"),
    ],
)
async def test_what_the_issuer_says_is_handed_back_as_it_is(status: int, headers: dict[str, str], body: bytes) -> None:
    async with shimmed() as (issuer, client):
        issuer.overrides["/token"] = (status, headers, body)
        answer = await client.post("/token", data={"grant_type": "refresh_token"})
        assert (answer.status_code, answer.content) == (status, body)
        for name, value in headers.items():
            assert answer.headers.get(name) == (None if name == "set-cookie" else value)
        assert (answer.headers["cache-control"], answer.headers["access-control-allow-origin"]) == ("no-store", "*")


async def test_credentials_of_the_client_go_along_and_cookies_do_not() -> None:
    async with shimmed() as (issuer, client):
        headers = {"Authorization": "Basic YTpi", "Cookie": "a=b", "X-Forwarded-For": "203.0.113.1"}
        heard: list[dict[bytes, bytes]] = []
        answer_as_ever = issuer._answer

        def listen(scope: Any, path: str, body: bytes) -> Any:
            heard.append(dict(scope["headers"]))
            return answer_as_ever(scope, path, body)

        issuer._answer = listen  # type: ignore[method-assign]  # to hear what arrives
        await client.post("/token", data={"grant_type": "x"}, headers=headers)
    assert heard[-1][b"authorization"] == b"Basic YTpi"
    assert b"cookie" not in heard[-1]
    assert heard[-1][b"x-forwarded-for"] == b"127.0.0.1"


@pytest.mark.parametrize("path", ["/authorize", "/token", "/register", METADATA])
async def test_an_issuer_that_cannot_be_reached_is_no_refusal_i11(path: str) -> None:
    def is_down(issuer: TinyIssuer) -> None:
        issuer.down = True

    def is_another(issuer: TinyIssuer) -> None:
        issuer.metadata["issuer"] = "https://other.test"

    def lacks_endpoints(issuer: TinyIssuer) -> None:
        for member in ("authorization_endpoint", "token_endpoint", "registration_endpoint"):
            issuer.metadata[member] = "http://elsewhere.test/x" if path == "/token" else None

    def redirects(issuer: TinyIssuer) -> None:
        for own in ("/token", "/register"):
            issuer.overrides[own] = (307, {"location": "https://elsewhere.test"}, b"")

    def talks_too_long(issuer: TinyIssuer) -> None:
        for own in ("/token", "/register"):
            issuer.overrides[own] = (200, {}, b"x" * 300_000)

    whole = [is_down, is_another]
    endpoint = [] if path == METADATA else [lacks_endpoints]
    proxied = [redirects, talks_too_long] if path in {"/token", "/register"} else []
    faults: list[Callable[[TinyIssuer], None]] = [*whole, *endpoint, *proxied]
    for fault in faults:
        async with shimmed(mirror_metadata=True) as (issuer, client):
            fault(issuer)
            answer = await client.request("POST" if path in {"/token", "/register"} else "GET", path)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert answer.json()["error"] == "temporarily_unavailable"
            assert "location" not in answer.headers


async def test_the_issuers_metadata_is_kept_and_outlives_an_outage() -> None:
    async with shimmed(mirror_metadata=True) as (issuer, client):
        shim = client._transport.app  # type: ignore[attr-defined]  # the app under test
        for _ in range(3):
            assert (await client.get(METADATA)).status_code == 200
        assert issuer.seen[METADATA] == 1
        issuer.down, shim._fresh_until = True, 0.0
        assert (await client.get(METADATA)).status_code == 200
        assert issuer.seen[METADATA] == 2


async def test_only_these_paths_and_methods_are_the_shims() -> None:
    app = Echo()
    async with shimmed(app) as (issuer, client):
        for path in ("/token/", "/register/x", "/authorize/", "/mcp/token", "/"):
            assert (await client.post(path)).status_code == 401
        for method, path, allowed in (
            ("GET", "/token", "POST"),
            ("POST", "/authorize", "GET, HEAD"),
            ("PUT", "/register", "POST"),
        ):
            refused = await client.request(method, path)
            assert (refused.status_code, refused.headers["allow"]) == (405, allowed)
        preflight = await client.options("/token", headers={"Access-Control-Request-Headers": "content-type"})
        assert (preflight.status_code, preflight.headers["access-control-allow-methods"]) == (204, "POST, OPTIONS")
        assert (await client.post("/token", content=b"x" * 70_000)).status_code == 413
        assert issuer.seen["/token"] == 0
    assert app.calls == 0


def test_urls_that_cannot_be_right_are_refused_leg_03() -> None:
    for wrong in ({"issuer": "http://auth.example.com"}, {"resource": "mcp"}):
        with pytest.raises(ValueError, match=r".+"):
            LegacyShim(Echo(), **{"issuer": "https://auth.test", "resource": RESOURCE, **wrong})  # type: ignore[arg-type]  # as text


async def test_however_many_strangers_ask_the_issuer_is_asked_once_t48() -> None:
    async with run_issuer() as issuer:
        shim = LegacyShim(Echo(), issuer=issuer.url, resource=RESOURCE)
        async with browse(shim) as client, anyio.create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(client.get, "/authorize?state=a")
        assert issuer.seen["/.well-known/oauth-authorization-server"] == 1
        issuer.down = True
        silent = LegacyShim(Echo(), issuer=issuer.url, resource=RESOURCE)
        async with browse(silent) as client, anyio.create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(client.get, "/authorize?state=a")
        assert issuer.seen["/.well-known/oauth-authorization-server"] == 2
