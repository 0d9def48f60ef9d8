"""FastMCP behind our guard, over real sockets with the SDK's own client."""

import time
from typing import Any

import anyio
import httpx2
import pytest
from fastmcp import FastMCP
from fastmcp.server.auth import AuthContext, require_scopes
from fastmcp.server.dependencies import get_access_token
from fastmcp.server.middleware import AuthMiddleware
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount

from doorward.oauth.revocations import RevocationDocument, RevocationEntry, digest_subject
from doorward.resource import Principal, VerifierUnavailable
from doorward.resource.fastmcp import DoorwardAuth, build_app
from doorward.resource.legacy import LegacyShim
from tests.resource.feed_world import say
from tests.resource.possession import Holder
from tests.resource.test_mcp_adapter import ask_who, connect
from tests.resource.world import ISSUER, RESOURCE, Mint, bind, browse, run_issuer, serve

ACCEPT = {"Accept": "application/json, text/event-stream"}
DOCUMENT = "https://api.test/.well-known/oauth-protected-resource/mcp"


def build_server(auth: DoorwardAuth | None = None, **settings: Any) -> FastMCP[Any]:
    server: FastMCP[Any] = FastMCP("test", auth=auth, **settings)

    @server.tool
    def whoami() -> str:
        token = get_access_token()
        assert token is not None
        return f"{token.subject} {token.client_id} {token.claims['iss']} {token.resource} {' '.join(token.scopes)}"

    @server.tool(auth=require_scopes("tools:write"))
    def change() -> str:
        return "changed"

    @server.tool(auth=[require_scopes("tools:write"), _is_of_acme])
    def change_acme() -> str:
        return "changed"

    return server


def _is_of_acme(context: AuthContext) -> bool:
    return context.token is not None and context.token.claims.get("org") == "acme"


def protect(mint: Mint, **options: Any) -> DoorwardAuth:
    settings = {"scopes": ["tools:read"], "verifier": mint.verifier(), **options}
    return DoorwardAuth(issuer=mint.issuer, resource=mint.resource, **settings)


def call(tool: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}}


async def post(mint: Mint, message: dict[str, Any], headers: dict[str, str], **options: Any) -> httpx2.Response:
    """One request to a server without sessions, in this process."""
    app = build_server(protect(mint, **options)).http_app(stateless_http=True)
    async with app.router.lifespan_context(app), browse(app) as client:
        return await client.post("/mcp", json=message, headers=headers | ACCEPT)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("stateless", [True, False])
async def test_a_fastmcp_server_knows_who_calls_a_tool_rs_03(mode: str, *, stateless: bool) -> None:
    listener, url = bind()
    mint = Mint(resource=f"{url}/mcp")
    app = build_server(protect(mint)).http_app(stateless_http=stateless)
    async with serve(app, listener), connect(mint.resource, mint.header("tools:read x"), mode) as client:
        with anyio.fail_after(10):
            assert await ask_who(client) == f"alice app {ISSUER} {mint.resource} tools:read x"


async def test_by_itself_it_verifies_with_the_issuers_keys_and_follows_what_is_revoked() -> None:
    listener, url = bind()
    async with run_issuer(f"{url}/mcp") as issuer:
        now = int(time.time())
        ended = RevocationEntry(digest_subject("jti", "token-1"), "void", now, now + 3720)
        say(issuer, RevocationDocument(now, "", "1.rvk_a", is_full=True, has_more=False, entries=(ended,)))
        mcp = build_server(DoorwardAuth(issuer=issuer.url, resource=f"{url}/mcp", scopes=["tools:read"]))
        async with serve(mcp.http_app(), listener), httpx2.AsyncClient() as client:
            refused = await client.post(f"{url}/mcp", headers=issuer.mint.header(jti="token-1"))
            assert (refused.status_code, 'error="invalid_token"' in refused.headers["www-authenticate"]) == (401, True)
            async with connect(f"{url}/mcp", issuer.mint.header(jti="token-2")) as other:
                assert (await ask_who(other)).startswith(f"alice app {issuer.url} {url}/mcp")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
async def test_without_a_token_fastmcp_invites_as_the_guard_does_www_01_www_02_www_04(method: str) -> None:
    async with browse(build_server(protect(Mint())).http_app()) as client:
        invited = await client.request(method, "/mcp")
    challenge = f'Bearer resource_metadata="{DOCUMENT}", scope="tools:read"'
    assert (invited.status_code, invited.headers["www-authenticate"]) == (401, challenge)


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("/.well-known/oauth-protected-resource", RESOURCE),
        ("/.well-known/oauth-protected-resource/", RESOURCE),
        ("/.well-known/oauth-protected-resource/mcp", RESOURCE),
        ("/.well-known/oauth-protected-resource/mcp/", f"{RESOURCE}/"),
        ("/mcp/.well-known/oauth-protected-resource", RESOURCE),
    ],
)
async def test_fastmcp_publishes_issuer_and_resource_as_they_are_spelled_prm_06_prm_08(
    path: str, resource: str
) -> None:
    app = build_server(protect(Mint(issuer="https://auth.test"))).http_app()
    async with browse(app) as client:
        document = (await client.get(path)).json()
    assert document == {
        "resource": resource,
        "authorization_servers": ["https://auth.test"],
        "scopes_supported": ["tools:read"],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": document["dpop_signing_alg_values_supported"],
    }


async def test_an_outage_of_the_issuer_is_no_refusal_of_fastmcps_i11() -> None:
    class Down:
        async def verify(self, token: str) -> Principal:
            raise VerifierUnavailable("down", retry_after=9)

    answer = await post(Mint(), call("whoami"), {"Authorization": "Bearer x"}, verifier=Down())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "9")
    assert "www-authenticate" not in answer.headers
    with pytest.raises(VerifierUnavailable):
        await protect(Mint(), verifier=Down()).verify_token("x")


async def test_tools_that_ask_for_more_than_the_token_has_are_not_listed_rs_11() -> None:
    mint = Mint()
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    few, all_ = [await post(mint, asked, mint.header(scope)) for scope in ("tools:read", "tools:read tools:write")]
    assert ('"whoami"' in few.text, '"change"' in few.text) == (True, False)
    assert ('"whoami"' in all_.text, '"change"' in all_.text) == (True, True)


async def test_what_a_tool_asks_for_by_its_auth_is_what_the_client_is_told_to_get_step_01_step_02() -> None:
    mint = Mint()
    refused = await post(mint, call("change"), mint.header("tools:read mail:read"))
    assert refused.status_code == 403
    assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]
    assert 'scope="tools:read mail:read tools:write"' in refused.headers["www-authenticate"]
    assert f'resource_metadata="{DOCUMENT}"' in refused.headers["www-authenticate"]
    called = await post(mint, call("change"), mint.header("tools:read tools:write"))
    assert (called.status_code, '"changed"' in called.text) == (200, True)


async def test_what_all_of_the_server_asks_for_counts_as_well() -> None:
    mint = Mint()
    server = build_server(protect(mint), middleware=[AuthMiddleware(auth=require_scopes("team"))])
    app = server.http_app(stateless_http=True)
    async with app.router.lifespan_context(app), browse(app) as client:
        refused = await client.post("/mcp", json=call("change"), headers=mint.header() | ACCEPT)
    assert 'scope="tools:read team tools:write"' in refused.headers["www-authenticate"]


async def test_where_something_other_than_scopes_decides_fastmcp_refuses_and_no_scope_is_named() -> None:
    mint = Mint()
    for scope in ("tools:read", "tools:read tools:write"):
        refused = await post(mint, call("change_acme"), mint.header(scope))
        assert (refused.status_code, '"changed"' in refused.text) == (200, False)
    called = await post(mint, call("change_acme"), mint.header("tools:read tools:write", org="acme"))
    assert '"changed"' in called.text


async def test_a_server_that_cannot_say_what_a_tool_needs_refuses_it_itself() -> None:
    mint = Mint()
    refused = await post(mint, call("no_such_tool"), mint.header())
    assert (refused.status_code, '"changed"' in refused.text) == (200, False)
    torn = await post(mint, {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}, mint.header())
    assert torn.status_code == 400


async def test_single_tools_can_be_listed_where_the_server_is_made_step_02() -> None:
    mint = Mint()
    refused = await post(mint, call("whoami"), mint.header("tools:read"), tools={"whoami": ["people"]})
    assert (refused.status_code, 'scope="tools:read people"' in refused.headers["www-authenticate"]) == (403, True)
    assert (await post(mint, call("whoami"), mint.header("people"), tools={"whoami": ["people"]})).status_code == 200


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_fastmcp_takes_tokens_that_are_bound_to_a_key_dpop_07(mode: str) -> None:
    listener, url = bind()
    mint = Mint(resource=f"{url}/mcp")
    app = build_server(protect(mint, dpop="required")).http_app()
    async with serve(app, listener), connect(mint.resource, {}, mode, Holder(mint)) as client:
        with anyio.fail_after(10):
            assert (await ask_who(client)).startswith("alice app")
    bound = Holder(mint)
    answer = await post(Mint(), call("whoami"), {"Authorization": f"Bearer {bound.token}"})
    assert answer.status_code == 401


async def test_fastmcps_sessions_belong_to_whom_they_were_given_leg_06_leg_07_t13() -> None:
    listener, url = bind()
    mint = Mint(resource=f"{url}/mcp")
    about = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": about}
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    app = build_server(protect(mint)).http_app()
    async with serve(app, listener), httpx2.AsyncClient(headers=ACCEPT) as client:
        opened = await client.post(mint.resource, json=hello, headers=mint.header())
        session = {"Mcp-Session-Id": opened.headers["mcp-session-id"]}
        for other in ({"sub": "bob"}, {"client_id": "other-app"}):
            answer = await client.post(mint.resource, json=ping, headers=mint.header(**other) | session)
            assert answer.status_code == 404
        assert (await client.post(mint.resource, json=ping, headers=mint.header() | session)).status_code == 200


async def test_pages_may_call_fastmcp_from_allowed_origins_alone_trn_01() -> None:
    app = build_server(protect(Mint(), allowed_origins=["https://app.test"])).http_app()
    asking = {"Access-Control-Request-Method": "POST"}
    async with browse(app) as client:
        refused = await client.options("/mcp", headers={"Origin": "https://evil.test", **asking})
        allowed = await client.options("/mcp", headers={"Origin": "https://app.test", **asking})
        invited = await client.post("/mcp", headers={"Origin": "https://app.test"})
        foreign = await client.post("/mcp", headers={"Host": "evil.test"})
    assert (refused.status_code, allowed.status_code, foreign.status_code) == (403, 204, 421)
    assert "WWW-Authenticate" in invited.headers["access-control-expose-headers"]


@pytest.mark.parametrize("spelling", ["/api/mcp", "/api/mcp/"])
async def test_a_fastmcp_app_may_be_mounted_below_another_prm_02(spelling: str) -> None:
    mint = Mint(resource="https://api.test/api/mcp")
    auth = protect(mint)
    inner = build_server(auth).http_app(path="/mcp", stateless_http=True)
    routes = [*auth.get_well_known_routes("/mcp"), Mount("/api", app=inner)]
    app = Starlette(routes=routes, lifespan=inner.lifespan)
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    async with app.router.lifespan_context(app), browse(app) as client:
        invited = await client.post(spelling)
        document = await client.get(invited.headers["www-authenticate"].split('"')[1])
        listed = await client.post(spelling, json=message, headers=mint.header() | ACCEPT)
    assert (invited.status_code, document.json()["resource"]) == (401, f"https://api.test{spelling}")
    assert (listed.status_code, '"whoami"' in listed.text) == (200, True)


async def test_a_proxy_may_change_the_path_and_both_spellings_are_served_without_a_redirect() -> None:
    mint = Mint(resource="https://api.test/deep/mcp")
    app = build_server(protect(mint)).http_app(path="/mcp", stateless_http=True)
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    async with app.router.lifespan_context(app), browse(app) as client:
        for path in ("/mcp", "/mcp/", "/deep/mcp", "/deep/mcp/"):
            assert (await client.post(path)).status_code == 401
            assert (await client.post(path, json=message, headers=mint.header() | ACCEPT)).status_code == 200


async def test_routes_of_the_servers_author_stay_open_as_in_fastmcp() -> None:
    server = build_server(protect(Mint()))

    @server.custom_route("/health", methods=["GET"])
    async def health(_: Request) -> PlainTextResponse:
        return PlainTextResponse("well")

    async with browse(server.http_app()) as client:
        assert (await client.get("/health")).text == "well"
        assert (await client.get("/.well-known/oauth-authorization-server")).status_code == 404


@pytest.mark.parametrize("path", ["/messages/?session_id=0", "/messages?session_id=0"])
async def test_calls_over_the_old_transport_are_read_as_strictly_and_count_as_much_leg_05(path: str) -> None:
    mint = Mint(resource="https://api.test/sse")
    headers = mint.header(budgets=["1/day per user"])
    async with browse(build_server(protect(mint)).http_app(transport="sse")) as client:
        torn = await client.post(path, json={**call("whoami"), "Method": "ping"}, headers=headers)
        statuses = [(await client.post(path, json=call("whoami"), headers=headers)).status_code for _ in range(3)]
    assert torn.status_code == 400
    assert (429 in statuses[:1], statuses[1:]) == (False, [429, 429])


async def test_the_old_transport_needs_a_token_on_both_of_its_addresses_leg_04_leg_05() -> None:
    mint = Mint(resource="https://api.test/sse")
    async with browse(build_server(protect(mint)).http_app(transport="sse")) as client:
        for method, path in (("GET", "/sse"), ("POST", "/messages/?session_id=0"), ("POST", "/messages")):
            assert (await client.request(method, path)).status_code == 401
        answer = await client.post("/messages/?session_id=0", json=call("change"), headers=mint.header())
        assert (answer.status_code, "tools:write" in answer.headers["www-authenticate"]) == (403, True)


async def test_the_shim_for_old_clients_is_a_middleware_of_fastmcps_leg_02() -> None:
    async with run_issuer() as issuer:
        shim = Middleware(LegacyShim, issuer=issuer.url, resource=RESOURCE)
        app = build_server(protect(Mint(issuer.url))).http_app(middleware=[shim])
        async with browse(app) as client:
            assert (await client.get("/authorize?state=a")).headers["location"].startswith(f"{issuer.url}/authorize?")
            assert (await client.post("/mcp")).status_code == 401


async def test_behind_the_guard_fastmcp_still_asks_for_a_user() -> None:
    app = build_server(protect(Mint())).http_app()
    app.user_middleware = [entry for entry in app.user_middleware if "_Guard" not in repr(entry)]
    async with browse(app) as client:
        assert (await client.post("/mcp", headers=Mint().header())).status_code == 401


async def test_a_token_that_is_not_good_is_nobodys() -> None:
    mint = Mint()
    access = await protect(mint).verify_token(mint.token("a b", org="acme"))
    assert access is not None
    assert (access.subject, access.resource, access.scopes, access.claims["org"]) == (
        "alice",
        RESOURCE,
        ["a", "b"],
        "acme",
    )
    assert await protect(mint).verify_token(mint.token(aud="https://other.test")) is None


def test_settings_that_cannot_be_right_are_refused_when_the_server_is_made() -> None:
    wrongs: list[dict[str, Any]] = [
        {"issuer": "http://auth.example.com"},
        {"resource": ""},
        {"scopes": "tools:read"},
        {"dpop": "maybe"},
    ]
    for wrong in wrongs:
        with pytest.raises(ValueError, match=r".+"):
            DoorwardAuth(**{"issuer": ISSUER, "resource": RESOURCE, **wrong})
    with pytest.raises(ValueError, match="an auth of its own"):
        build_app(build_server(protect(Mint())), "/mcp")
