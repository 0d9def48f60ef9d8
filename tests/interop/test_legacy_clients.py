"""Clients that are told of no protected resource metadata: they do as the MCP authorization of 2025-03-26 has it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token

from doorward.embedded import embed
from doorward.resource.asgi import ASGIApp, Receive, Scope, Send
from doorward.resource.legacy import LegacyShim
from doorward.resource.mcp import protect
from tests.interop.browsers import FormBrowser
from tests.interop.clients import connect_sdk
from tests.interop.node.programs import find_node, run_app
from tests.person import answer_parameters
from tests.resource.world import bind, serve
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD, RunningDoorward

METADATA = "/.well-known/oauth-authorization-server"


class Untold:
    """Hides from the clients of today that there is anything newer: no document of the resource, no challenge."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_on(message: Any) -> None:
            if message["type"] == "http.response.start":
                kept = [header for header in message["headers"] if header[0].lower() != b"www-authenticate"]
                message = {**message, "headers": kept}
            await send(message)

        if "oauth-protected-resource" in scope.get("path", ""):
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await self._app(scope, receive, send_on)


def build_server() -> MCPServer[Any]:
    server: MCPServer[Any] = MCPServer("test", log_level="ERROR")

    @server.tool()
    def whoami() -> dict[str, str]:
        token = get_access_token()
        assert token is not None
        return {"issuer": str((token.claims or {})["iss"]), "resource": str(token.resource)}

    return server


@asynccontextmanager
async def shimmed(doorward: RunningDoorward, **options: Any) -> AsyncIterator[str]:
    """A server on an origin of its own, its clients untold of its issuer; its URL."""
    listener, url = bind()
    resource = f"{url}/mcp"
    doorward.admin("resource", "add", resource, "--scope", "tools:read")
    guard = protect(build_server(), issuer=doorward.issuer, resource=resource, scopes=["tools:read"])
    shim = LegacyShim(guard, issuer=doorward.issuer, resource=resource, **options)
    async with serve(Untold(shim), listener):
        yield resource


async def test_the_older_typescript_sdk_gets_in_by_the_default_endpoints_leg_02(
    doorward: RunningDoorward, browser: FormBrowser
) -> None:
    find_node()
    async with shimmed(doorward) as url:
        told = await run_app("sdk1.mjs", browser, url, ["call", "whoami", {}], mode="legacy")
        assert told.error is None
        assert told.results[1] == {"issuer": doorward.issuer, "resource": url}
        assert f"GET {METADATA} 404" in told.wires[0]
        assert {"POST /register 201", "POST /token 200"} <= set(told.wires[0])
        assert "resource" not in answer_parameters(browser.visits[0])


async def test_a_client_that_stops_without_a_document_gets_one_and_its_token_is_for_this_server_leg_03(
    doorward: RunningDoorward, browser: FormBrowser
) -> None:
    find_node()
    async with shimmed(doorward, mirror_metadata=True) as url:
        told = await run_app("sdk1.mjs", browser, url, ["call", "whoami", {}], mode="legacy")
        assert told.error is None
        assert told.results[1] == {"issuer": doorward.issuer, "resource": url}
        assert {f"GET {METADATA} 200", "POST /api/oauth/register 201", "POST /api/oauth/token 200"} <= set(
            told.wires[0]
        )


async def test_beside_its_issuer_a_server_needs_no_shim_for_the_official_sdk_leg_01(
    browser: FormBrowser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOORWARD_ADMIN_EMAIL", ADMIN_EMAIL)
    monkeypatch.setenv("DOORWARD_ADMIN_PASSWORD", ADMIN_PASSWORD)
    listener, url = bind()
    app = embed(build_server(), url=url, data=tmp_path / "data", scopes=["tools:read"])
    async with serve(Untold(app), listener, lifespan="on"), connect_sdk(app.resource, browser, mode="legacy") as sdk:
        called = await sdk.client.call_tool("whoami", {})
        assert called.structured_content == {"issuer": url, "resource": app.resource}
        assert f"GET {METADATA} 200" in sdk.wire.exchanges
        assert "resource" not in answer_parameters(browser.visits[0])
