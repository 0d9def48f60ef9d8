"""The unmodified clients, with no more than what an app that uses them has to bring: storage, a browser, a way back."""

import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import fastmcp
import httpx2
import mcp
from fastmcp.client.auth import OAuth
from key_value.aio.stores.memory import MemoryStore
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from doorward.demo.listener import listen
from tests.interop.browsers import Browser, opened_by_the_system

PATIENCE_SECONDS = 60
LONG_AGO = 1.0
"""A time that every clock has passed."""


@dataclass
class Storage:
    """What an app keeps between two runs."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@dataclass
class Wire:
    """What went over it, as `POST /demo/mcp 200`."""

    exchanges: list[str] = field(default_factory=list)
    session_id: str | None = None
    """The last one that the server gave."""

    async def note(self, response: httpx2.Response) -> None:
        request = response.request
        self.session_id = response.headers.get("mcp-session-id", self.session_id)
        self.exchanges.append(f"{request.method} {request.url.path} {response.status_code}")

    def take(self) -> list[str]:
        """Everything since the last look."""
        taken, self.exchanges = self.exchanges, []
        return taken


@dataclass
class SDKConnection:
    """The official SDK, connected."""

    client: mcp.Client
    provider: OAuthClientProvider
    storage: Storage
    wire: Wire

    @property
    def tokens(self) -> OAuthToken:
        assert self.storage.tokens is not None
        return self.storage.tokens

    def let_token_run_out(self) -> None:
        """Make the client believe that its access token is past its time."""
        self.provider.context.token_expiry_time = LONG_AGO


@asynccontextmanager
async def sdk_http(
    url: str, browser: Browser, storage: Storage, wire: Wire, *, name: str = "An app of the SDK"
) -> AsyncIterator[httpx2.AsyncClient]:
    """The SDK's HTTP client with its OAuth, and a real listener for the way back."""
    async with listen() as listener:
        metadata = OAuthClientMetadata(
            client_name=name,
            redirect_uris=[AnyUrl(listener.redirect_uri)],
            token_endpoint_auth_method="none",
        )

        async def wait_for_code() -> AuthorizationCodeResult:
            return await listener.wait()

        provider = OAuthClientProvider(url, metadata, storage, browser.visit, wait_for_code)
        async with httpx2.AsyncClient(
            auth=provider, timeout=PATIENCE_SECONDS, event_hooks={"response": [wire.note]}
        ) as http:
            yield http


@asynccontextmanager
async def connect_sdk(
    url: str,
    browser: Browser,
    *,
    mode: str = "auto",
    storage: Storage | None = None,
    name: str = "An app of the SDK",
    **options: Any,
) -> AsyncIterator[SDKConnection]:
    """`mcp.Client` over streamable HTTP; by the time it is connected, the person was asked when that was needed.

    `options` are those of `mcp.Client`: what it answers to the server's questions.
    """
    storage = storage or Storage()
    wire = Wire()
    with anyio.fail_after(PATIENCE_SECONDS):
        async with (
            sdk_http(url, browser, storage, wire, name=name) as http,
            mcp.Client(streamable_http_client(url, http_client=http), mode=mode, **options) as client,
        ):
            provider = http.auth
            assert isinstance(provider, OAuthClientProvider)
            await client.list_tools()  # the SDK does so before its first call; from here on a call is one request
            yield SDKConnection(client, provider, storage, wire)


@asynccontextmanager
async def connect_with(url: str, auth: httpx2.Auth) -> AsyncIterator[mcp.Client]:
    """`mcp.Client` over streamable HTTP, with credentials that need no person."""
    with anyio.fail_after(PATIENCE_SECONDS):
        async with (
            httpx2.AsyncClient(auth=auth, timeout=PATIENCE_SECONDS) as http,
            mcp.Client(streamable_http_client(url, http_client=http), mode="auto") as client,
        ):
            yield client


@dataclass
class FastMCPConnection:
    """FastMCP's client, connected."""

    client: fastmcp.Client
    auth: OAuth

    async def tokens(self) -> OAuthToken:
        """What FastMCP keeps in its own store."""
        tokens = await self.auth.token_storage_adapter.get_tokens()
        assert tokens is not None
        return tokens

    def let_token_run_out(self) -> None:
        """Make the client believe that its access token is past its time."""
        self.auth.context.token_expiry_time = LONG_AGO


@asynccontextmanager
async def connect_fastmcp(
    url: str, browser: Browser, *, mode: str = "auto", store: MemoryStore | None = None, **options: Any
) -> AsyncIterator[FastMCPConnection]:
    """`fastmcp.Client(url, auth=OAuth(...))` with its tokens in `store`; only the system's browser is ours."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using in-memory token storage")  # so it is, and long enough for a test
        auth = OAuth(url, token_storage=store or MemoryStore(), callback_timeout=PATIENCE_SECONDS)
    with anyio.fail_after(PATIENCE_SECONDS):
        async with opened_by_the_system(browser), fastmcp.Client(url, auth=auth, mode=mode, **options) as client:
            yield FastMCPConnection(client, auth)


async def revoke(issuer: str, client_id: str, token: str) -> None:
    """Sign the client out at the issuer, as its app does. Spec: RFC 7009 §2.1"""
    async with httpx2.AsyncClient() as http:
        metadata = (await http.get(f"{issuer}/.well-known/oauth-authorization-server")).json()
        answer = await http.post(
            metadata["revocation_endpoint"],
            data={"client_id": client_id, "token": token, "token_type_hint": "refresh_token"},
        )
        assert answer.status_code == 200, answer.text


async def call_with(
    url: str, access_token: str, method: str = "tools/list", params: Any = None, **headers: str
) -> httpx2.Response:
    """A bare request with a token, to see what the server thinks of it."""
    given = {"authorization": f"Bearer {access_token}", "accept": "application/json, text/event-stream"}
    async with httpx2.AsyncClient(timeout=PATIENCE_SECONDS) as http:
        return await http.post(
            url,
            json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}},
            headers={**given, **{name.replace("_", "-"): value for name, value in headers.items()}},
        )
