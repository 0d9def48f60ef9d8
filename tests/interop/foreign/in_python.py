"""Authorization servers that MCP frameworks for Python bring along, each protecting a server of its own."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from fastmcp import FastMCP
from fastmcp.server.auth.oauth_proxy import OAuthProxy
from fastmcp.server.auth.providers.in_memory import InMemoryOAuthProvider
from fastmcp.server.auth.providers.jwt import JWTVerifier
from key_value.aio.stores.memory import MemoryStore
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp

SCOPE = "notes"
USER, PASSWORD = "ada", "a quiet harbour at dawn"
LIFETIME = 3600


def greet(name: str) -> str:
    """Greet somebody."""
    return f"Hello, {name}!"


def build_fastmcp(origin: str, scopes: Sequence[str] = (SCOPE,)) -> tuple[ASGIApp, InMemoryOAuthProvider]:
    """FastMCP with the provider it has for trying things out: whoever comes is let in without a question.

    All of `scopes` are needed, and there are no others.
    """
    provider = InMemoryOAuthProvider(
        base_url=origin,
        client_registration_options=ClientRegistrationOptions(enabled=True, valid_scopes=list(scopes)),
        revocation_options=RevocationOptions(enabled=True),
        required_scopes=list(scopes),
    )
    server: FastMCP[Any] = FastMCP("Greeter", auth=provider)
    server.tool(greet)
    return server.http_app("/mcp"), provider


def build_proxy(origin: str, issuer: str) -> ASGIApp:
    """FastMCP's proxy before `issuer`: an authorization server of its own, with a consent page and tokens of its own.

    Most FastMCP servers behind Google, GitHub or Entra are one.
    """
    provider = OAuthProxy(
        upstream_authorization_endpoint=f"{issuer}/auth",
        upstream_token_endpoint=f"{issuer}/token",
        upstream_revocation_endpoint=f"{issuer}/token/revocation",
        upstream_client_id="proxy",
        upstream_client_secret="a-secret-of-a-test-and-of-nothing-else",
        token_verifier=JWTVerifier(jwks_uri=f"{issuer}/jwks", issuer=issuer, required_scopes=[SCOPE]),
        base_url=origin,
        valid_scopes=[SCOPE, "offline_access"],
        extra_authorize_params={"prompt": "consent"},
        client_storage=MemoryStore(),
        jwt_signing_key="a-key-of-a-test-and-of-nothing-else",
    )
    server: FastMCP[Any] = FastMCP("Greeter", auth=provider)
    server.tool(greet)
    return server.http_app("/mcp")


@dataclass
class _Asked:
    """An authorization request while the person signs in."""

    client_id: str
    params: AuthorizationParams


@dataclass
class SDKProvider(OAuthAuthorizationServerProvider[AuthorizationCode, RefreshToken, AccessToken]):
    """What the SDK leaves to whoever uses its authorization server: people, and what is kept. Refresh tokens rotate."""

    origin: str
    clients: dict[str, OAuthClientInformationFull] = field(default_factory=dict)
    asked: dict[str, _Asked] = field(default_factory=dict)
    codes: dict[str, AuthorizationCode] = field(default_factory=dict)
    access: dict[str, AccessToken] = field(default_factory=dict)
    refresh: dict[str, RefreshToken] = field(default_factory=dict)

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self.clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        assert client_info.client_id is not None
        self.clients[client_info.client_id] = client_info

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        assert client.client_id is not None
        ticket = secrets.token_hex(16)
        self.asked[ticket] = _Asked(client.client_id, params)
        return f"{self.origin}/login?ticket={ticket}"

    async def sign_in(self, request: Request) -> Response:
        """The page and the answer to it."""
        if request.method == "GET":
            ticket = escape(request.query_params["ticket"])
            return HTMLResponse(
                f'<form method=post action="/login"><input type=hidden name=ticket value="{ticket}">'
                "<input name=username><input type=password name=password><button>Sign in</button></form>"
            )
        form = await request.form()
        if (form["username"], form["password"]) != (USER, PASSWORD):
            return HTMLResponse("Wrong name or password", 401)
        asked = self.asked.pop(str(form["ticket"]))
        code = AuthorizationCode(
            code=f"code_{secrets.token_hex(16)}",
            client_id=asked.client_id,
            scopes=asked.params.scopes or [SCOPE],
            expires_at=time.time() + 300,
            code_challenge=asked.params.code_challenge,
            redirect_uri=asked.params.redirect_uri,
            redirect_uri_provided_explicitly=asked.params.redirect_uri_provided_explicitly,
            resource=asked.params.resource,
        )
        self.codes[code.code] = code
        target = construct_redirect_uri(str(code.redirect_uri), code=code.code, state=asked.params.state)
        return RedirectResponse(target, 302)

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        del self.codes[authorization_code.code]
        return self._issue(client, authorization_code.scopes, authorization_code.resource)

    async def load_refresh_token(self, client: OAuthClientInformationFull, refresh_token: str) -> RefreshToken | None:
        return self.refresh.get(refresh_token)

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        del self.refresh[refresh_token.token]
        return self._issue(client, scopes, f"{self.origin}/mcp")

    async def load_access_token(self, token: str) -> AccessToken | None:
        return self.access.get(token)

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        for kept in (self.access, self.refresh):
            for name in [name for name, other in kept.items() if other.client_id == token.client_id]:
                del kept[name]

    def _issue(self, client: OAuthClientInformationFull, scopes: list[str], resource: str | None) -> OAuthToken:
        assert client.client_id is not None
        access, refresh = f"access_{secrets.token_hex(16)}", f"refresh_{secrets.token_hex(16)}"
        self.access[access] = AccessToken(
            token=access,
            client_id=client.client_id,
            scopes=scopes,
            expires_at=int(time.time()) + LIFETIME,
            resource=resource,
        )
        self.refresh[refresh] = RefreshToken(token=refresh, client_id=client.client_id, scopes=scopes)
        return OAuthToken(access_token=access, expires_in=LIFETIME, scope=" ".join(scopes), refresh_token=refresh)


def build_sdk(
    origin: str, scopes: Sequence[str] = (SCOPE,), *, publishes_resource: bool = True
) -> tuple[ASGIApp, SDKProvider]:
    """The SDK's own authorization server beside the server it protects, as its examples have it.

    All of `scopes` are needed, and there are no others.
    Without `publishes_resource` it is one of before there was metadata of resources: its challenge leads nowhere.
    """
    provider = SDKProvider(origin)
    settings = AuthSettings.model_validate(  # as text: an `AnyHttpUrl` has grown a slash
        {
            "issuer_url": origin,
            "resource_server_url": f"{origin}/mcp" if publishes_resource else None,
            "client_registration_options": {"enabled": True, "valid_scopes": scopes, "default_scopes": scopes},
            "revocation_options": {"enabled": True},
            "required_scopes": scopes,
            "validate_token_resource": publishes_resource,
        }
    )
    server: MCPServer[Any] = MCPServer("Greeter", auth_server_provider=provider, auth=settings, log_level="WARNING")
    server.tool()(greet)
    server.custom_route("/login", methods=["GET", "POST"])(provider.sign_in)
    return server.streamable_http_app(), provider
