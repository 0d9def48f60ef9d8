"""The MCP SDK behind our verifier, over real sockets with the SDK's own client."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp_types import TextContent
from starlette.applications import Starlette
from starlette.routing import Mount

from doorward.oauth.revocations import RevocationDocument, RevocationEntry, digest_subject
from doorward.resource import Principal, VerifierUnavailable
from doorward.resource.asgi import Receive, Scope, Send
from doorward.resource.mcp import DoorwardTokenVerifier, SDKIdentity, build_access_token, build_auth_settings, protect
from tests.resource.feed_world import say
from tests.resource.possession import Holder
from tests.resource.world import ISSUER, RESOURCE, Mint, bind, browse, run_issuer, serve


def build_server(**settings: Any) -> MCPServer[Any]:
    server: MCPServer[Any] = MCPServer("test", log_level="ERROR", **settings)

    @server.tool()
    def whoami() -> str:
        token = get_access_token()
        assert token is not None
        issuer = (token.claims or {})["iss"]
        return f"{token.subject} {token.client_id} {issuer} {token.resource} {' '.join(token.scopes)}"

    return server


@asynccontextmanager
async def connect(
    url: str, headers: dict[str, str], mode: str = "auto", auth: httpx2.Auth | None = None
) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers=headers, auth=auth) as http_client,
        Client(streamable_http_client(url, http_client=http_client), mode=mode) as client,
    ):
        yield client


async def ask_who(client: Client) -> str:
    content = (await client.call_tool("whoami", {})).content[0]
    assert isinstance(content, TextContent)
    return content.text


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("stateless", [True, False])
async def test_a_protected_server_knows_who_calls_a_tool(mode: str, *, stateless: bool) -> None:
    listener, url = bind()
    mint = Mint(resource=f"{url}/mcp")
    app = protect(
        build_server(),
        issuer=ISSUER,
        resource=mint.resource,
        scopes=["tools:read"],
        verifier=mint.verifier(),
        stateless_http=stateless,
    )
    async with serve(app, listener), connect(mint.resource, mint.header("tools:read x"), mode) as client:
        with anyio.fail_after(10):
            assert await ask_who(client) == f"alice app {ISSUER} {mint.resource} tools:read x"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("dpop", ["accepted", "required"])
async def test_a_client_that_proves_possession_of_its_key_calls_tools_dpop_07(mode: str, dpop: str) -> None:
    listener, url = bind()
    mint = Mint(resource=f"{url}/mcp")
    app = protect(
        build_server(),
        issuer=ISSUER,
        resource=mint.resource,
        verifier=mint.verifier(),
        scopes=["tools:read"],
        dpop=dpop,
    )
    holder = Holder(mint)
    async with serve(app, listener), connect(mint.resource, {}, mode, holder) as client:
        with anyio.fail_after(10):
            assert await ask_who(client) == f"alice app {ISSUER} {mint.resource} tools:read"


async def test_the_token_of_a_bound_client_reaches_the_sdk() -> None:
    mint = Mint()
    seen: list[str | None] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        token = get_access_token()
        seen.append(token.token if token else None)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    holder = Holder(mint)
    async with browse(mint.protect(SDKIdentity(app))) as client:
        assert (await client.get("/mcp", headers=holder.headers())).status_code == 204
    assert seen == [holder.token]


async def test_five_lines_protect_a_server_with_the_issuers_published_keys() -> None:
    listener, url = bind()
    async with run_issuer(f"{url}/mcp") as issuer:
        app = protect(build_server(), issuer=issuer.url, resource=f"{url}/mcp", scopes=["tools:read"])
        async with serve(app, listener):
            async with httpx2.AsyncClient() as client:
                refused = await client.post(f"{url}/mcp")
                assert (refused.status_code, 'scope="tools:read"' in refused.headers["www-authenticate"]) == (401, True)
            async with connect(f"{url}/mcp", issuer.mint.header()) as client:
                assert (await ask_who(client)).startswith(f"alice app {issuer.url}")
        assert issuer.seen["/jwks"] == 1


async def test_by_itself_it_follows_what_the_issuer_revokes() -> None:
    listener, url = bind()
    async with run_issuer(f"{url}/mcp") as issuer:
        now = int(time.time())
        ended = RevocationEntry(digest_subject("jti", "token-1"), "void", now, now + 3720)
        say(issuer, RevocationDocument(now, "", "1.rvk_a", is_full=True, has_more=False, entries=(ended,)))
        app = protect(build_server(), issuer=issuer.url, resource=f"{url}/mcp", scopes=["tools:read"])
        async with serve(app, listener), httpx2.AsyncClient() as client:
            refused = await client.post(f"{url}/mcp", headers=issuer.mint.header(jti="token-1"))
            assert refused.status_code == 401
            assert 'error="invalid_token"' in refused.headers["www-authenticate"]
            async with connect(f"{url}/mcp", issuer.mint.header(jti="token-2")) as other:
                assert (await ask_who(other)).startswith("alice app")


async def test_sessions_of_the_sdk_belong_to_whom_they_were_given_t13() -> None:
    listener, url = bind()
    mint = Mint(resource=f"{url}/mcp")
    app = protect(build_server(), issuer=ISSUER, resource=mint.resource, verifier=mint.verifier())
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
    }
    accept = {"Accept": "application/json, text/event-stream"}
    async with serve(app, listener), httpx2.AsyncClient(headers=accept) as client:
        opened = await client.post(mint.resource, json=hello, headers=mint.header())
        session = {"Mcp-Session-Id": opened.headers["mcp-session-id"]}
        ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
        for other in ({"sub": "bob"}, {"client_id": "other-app"}):
            answer = await client.post(mint.resource, json=ping, headers=mint.header(**other) | session)
            assert answer.status_code == 404
        assert (await client.post(mint.resource, json=ping, headers=mint.header() | session)).status_code == 200
        assert (await client.delete(mint.resource, headers=mint.header() | session)).status_code == 200


@pytest.mark.parametrize("resource", [RESOURCE, f"{RESOURCE}/", "https://api.test", "https://api.test/deep/er"])
async def test_both_spellings_reach_the_sdk_without_a_redirect(resource: str) -> None:
    mint = Mint(resource=resource)
    server = build_server()
    app = protect(server, issuer=ISSUER, resource=resource, verifier=mint.verifier(), stateless_http=True)
    headers = {"Accept": "application/json, text/event-stream", **mint.header()}
    async with server.session_manager.run(), browse(app) as client:
        for url in (resource, f"{resource}/" if not resource.endswith("/") else resource[:-1]):
            listed = await client.post(url, json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, headers=headers)
            assert (listed.status_code, "whoami" in listed.text) == (200, True)


async def test_a_mount_above_does_not_count() -> None:
    mint = Mint(resource="https://api.test/deep/mcp")
    server = build_server()
    guard = protect(server, issuer=ISSUER, resource=mint.resource, verifier=mint.verifier(), stateless_http=True)
    headers = {"Accept": "application/json, text/event-stream", **mint.header()}
    async with server.session_manager.run(), browse(Starlette(routes=[Mount("/deep", app=guard)])) as client:
        listed = await client.post(
            "/deep/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, headers=headers
        )
    assert (listed.status_code, "whoami" in listed.text) == (200, True)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
async def test_a_server_without_sessions_holds_no_stream_open_trn_12(method: str) -> None:
    mint = Mint()
    app = protect(build_server(), issuer=ISSUER, resource=RESOURCE, verifier=mint.verifier(), stateless_http=True)
    async with browse(app) as client:
        response = await client.request(method, "/mcp", headers=mint.header())
    assert (response.status_code, response.headers["allow"]) == (405, "POST, OPTIONS")


async def test_the_sdks_own_bearer_layer_works_with_our_verifier() -> None:
    listener, url = bind()
    mint = Mint(resource=f"{url}/mcp")
    server = build_server(
        token_verifier=DoorwardTokenVerifier(mint.verifier()),
        auth=build_auth_settings(issuer=ISSUER, resource=mint.resource, required_scopes=["tools:read"]),
    )
    async with serve(server.streamable_http_app(), listener):
        async with connect(mint.resource, mint.header()) as client:
            assert await ask_who(client) == f"alice app {ISSUER} {mint.resource} tools:read"
        async with httpx2.AsyncClient() as http_client:
            bound = mint.header(cnf={"jkt": Holder(mint).jkt})
            for headers in ({}, mint.header(aud="https://other.test"), mint.header(exp=1), bound):
                assert (await http_client.post(mint.resource, headers=headers)).status_code == 401
            assert (await http_client.post(mint.resource, headers=mint.header("other"))).status_code == 403


async def test_what_the_sdk_binds_and_checks_is_all_filled_in_rs_03() -> None:
    mint = Mint()
    token = mint.token("a b", exp=4_000_000_000, org="acme")
    access = await DoorwardTokenVerifier(mint.verifier()).verify_token(token)
    assert access is not None
    assert (access.token, access.client_id, access.subject) == (token, "app", "alice")
    assert (access.resource, access.scopes, access.expires_at) == (RESOURCE, ["a", "b"], 4_000_000_000)
    assert access.claims is not None
    assert (access.claims["iss"], access.claims["org"]) == (ISSUER, "acme")
    assert await DoorwardTokenVerifier(mint.verifier()).verify_token("no") is None


async def test_without_our_guard_nobody_comes_in_with_a_bound_token_rs_13() -> None:
    mint = Mint()
    assert await DoorwardTokenVerifier(mint.verifier()).verify_token(Holder(mint).token) is None


def test_the_issuer_is_filled_in_where_an_answer_left_it_out_t13() -> None:
    principal = Principal("alice", "app", ISSUER, ("a",), RESOURCE, 4_000_000_000, {"sub": "alice"})
    assert build_access_token(principal, "t").claims == {"sub": "alice", "iss": ISSUER}


async def test_an_outage_is_never_none_i11() -> None:
    class Down:
        async def verify(self, token: str) -> Principal:
            raise VerifierUnavailable("down")

    with pytest.raises(VerifierUnavailable):
        await DoorwardTokenVerifier(Down()).verify_token("a")


@pytest.mark.parametrize(
    ("issuer", "resource"),
    [
        ("https://auth.test", "https://api.test"),
        ("https://auth.test/p/acme", RESOURCE),
        ("https://auth.test/", f"{RESOURCE}/"),
    ],
)
async def test_the_sdk_publishes_issuer_and_resource_as_they_are_spelled_prm_08(issuer: str, resource: str) -> None:
    mint = Mint(issuer, resource)
    settings = build_auth_settings(issuer=issuer, resource=resource)
    server = build_server(token_verifier=DoorwardTokenVerifier(mint.verifier()), auth=settings)
    path = resource.removeprefix("https://api.test")
    async with browse(server.streamable_http_app(host="0.0.0.0")) as client:
        published = (await client.get(f"/.well-known/oauth-protected-resource{path}")).json()
    assert (published["resource"], published["authorization_servers"]) == (resource, [issuer])


@pytest.mark.parametrize(
    ("issuer", "resource"),
    [
        ("https://auth.test:443", RESOURCE),
        ("https://Auth.test", RESOURCE),
        (ISSUER, "https://api.test:443/mcp"),
        (ISSUER, "x"),
    ],
)
def test_a_spelling_that_the_sdk_would_change_is_refused(issuer: str, resource: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # pydantic's own error counts, too
        build_auth_settings(issuer=issuer, resource=resource)
