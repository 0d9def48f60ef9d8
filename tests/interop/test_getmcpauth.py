"""The published `getmcpauth` package, unmodified, with one project key for everything its makers' service does.

It knows one secret: its apps register with it, their backend mints with it, and its verifier introspects with it. The
tool scopes are its own functions'.

Spec: TX-10, INT-02, DCR-02; product.md, "clients written for the older one-secret API"
"""

import socket
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx2
import mcp
import pytest
from getmcpauth import (  # type: ignore[import-untyped]  # the package is published without its types
    McpAuthTokenVerifier,
    build_auth_settings,
    check_batch,
    is_authorized,
    required_scope_for_call,
)
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.shared.exceptions import MCPDeprecationWarning

from tests.interop.clients import PATIENCE_SECONDS
from tests.resource.world import bind, serve
from tests.running import RunningDoorward

READ, WRITE = "tool:read_note", "tool:write_note"


@dataclass
class Backend:
    """An app's own backend: it has users, one secret, and the three addresses it was told."""

    issuer: str
    secret: str
    resource: str
    listener: socket.socket
    """Where its MCP server will answer."""

    async def post(self, path: str, members: dict[str, Any]) -> httpx2.Response:
        async with httpx2.AsyncClient() as http:
            headers = {"authorization": f"Bearer {self.secret}"}
            return await http.post(f"{self.issuer}/api/oauth/{path}", json=members, headers=headers)

    async def register(self) -> str:
        redirect_uris = ["https://notes.example.com/callback"]
        answer = await self.post(
            "register",
            {"redirect_uris": redirect_uris, "client_name": "Notes", "token_endpoint_auth_method": "none"},
        )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["client_id"])

    async def mint(self, client_id: str, subject: str, *scopes: str) -> dict[str, Any]:
        answer = await self.post(
            "token/exchange",
            {"client_id": client_id, "subject": subject, "scopes": list(scopes), "resource": self.resource},
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def verifier(self) -> McpAuthTokenVerifier:
        return McpAuthTokenVerifier(f"{self.issuer}/api/oauth/introspect", registration_secret=self.secret)


@pytest.fixture(scope="module")
def backend(doorward: RunningDoorward) -> Iterator[Backend]:
    listener, url = bind()
    resource = f"{url}/mcp"
    doorward.admin("resource", "add", resource, "--scope", READ, "--scope", WRITE, "--scope", "tool:*")
    made = doorward.admin("key", "create", "--capability", "register,introspect,mint", "--name", "notes backend")
    with listener:
        yield Backend(doorward.issuer, made["secret"], resource, listener)


def call_of(tool: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}}


async def test_its_verifier_reads_what_was_minted_and_its_scopes_decide_on_tools(backend: Backend) -> None:
    client_id = await backend.register()
    tokens = await backend.mint(client_id, "user-42", READ)
    assert tokens.keys() == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}

    verified = await backend.verifier().verify_token(tokens["access_token"])
    assert verified is not None
    assert (verified.subject, verified.client_id, verified.scopes) == ("user-42", client_id, [READ])
    assert verified.expires_at is not None
    assert is_authorized(required_scope_for_call(call_of("read_note")), verified.scopes)
    assert is_authorized(required_scope_for_call({"method": "tools/list"}), verified.scopes)
    assert check_batch([call_of("read_note"), call_of("write_note")], verified.scopes) == [WRITE]

    everything = await backend.mint(client_id, "user-42", "tool:*")
    verified = await backend.verifier().verify_token(everything["access_token"])
    assert verified is not None
    assert check_batch([call_of("read_note"), call_of("write_note")], verified.scopes) == []


async def test_its_verifier_refuses_what_is_no_token_or_none_any_more(backend: Backend) -> None:
    client_id = await backend.register()
    tokens = await backend.mint(client_id, "user-42", READ)
    assert await backend.verifier().verify_token("garbage") is None
    assert await backend.verifier().verify_token(tokens["refresh_token"]) is None
    async with httpx2.AsyncClient() as http:
        form = {"client_id": client_id, "token": tokens["refresh_token"]}
        assert (await http.post(f"{backend.issuer}/api/oauth/revoke", data=form)).status_code == 200
    assert await backend.verifier().verify_token(tokens["access_token"]) is None
    stranger = McpAuthTokenVerifier(f"{backend.issuer}/api/oauth/introspect", registration_secret="mrs_wrong")
    with pytest.raises(RuntimeError, match="status 401"):
        await stranger.verify_token(tokens["access_token"])


@asynccontextmanager
async def notes_server(backend: Backend) -> AsyncIterator[None]:
    """An MCP server as the package's makers show it: the SDK's guard, with their verifier and their settings."""
    with warnings.catch_warnings():
        # The package says nothing of audiences, and the SDK warns of that.
        warnings.simplefilter("ignore", MCPDeprecationWarning)
        settings = build_auth_settings(backend.issuer, resource_server_url=backend.resource, required_scopes=[READ])
        server = MCPServer("notes", token_verifier=backend.verifier(), auth=settings)

    @server.tool()
    def read_note() -> str:
        """The note of whoever asks."""
        token = get_access_token()
        return f"a note of {token.subject}" if token else "nobody's"

    async with serve(server.streamable_http_app(), backend.listener):
        yield


async def test_a_server_that_is_guarded_by_it_is_called_with_what_was_minted(backend: Backend) -> None:
    client_id = await backend.register()
    tokens = await backend.mint(client_id, "user-42", READ)
    with anyio.fail_after(PATIENCE_SECONDS):
        async with notes_server(backend):
            headers = {"authorization": f"Bearer {tokens['access_token']}"}
            async with (
                httpx2.AsyncClient(headers=headers, timeout=PATIENCE_SECONDS) as http,
                mcp.Client(streamable_http_client(backend.resource, http_client=http)) as client,
            ):
                result = await client.call_tool("read_note", {})
                assert result.structured_content == {"result": "a note of user-42"}
            async with httpx2.AsyncClient() as http:
                refused = await http.post(backend.resource, json=call_of("read_note"))
                assert refused.status_code == 401
