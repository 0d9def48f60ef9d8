"""MCP servers behind authorization servers that nobody here wrote, each ready to be met by a client."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mcp.server.mcpserver import MCPServer
from starlette.types import ASGIApp

from doorward.resource.mcp import DoorwardTokenVerifier, build_auth_settings, build_verifier
from tests.interop.foreign.in_python import SCOPE, build_fastmcp, build_proxy, build_sdk, greet
from tests.interop.foreign.people import Answer, Somebody, fill_in, post_as_better_auth_pages_do
from tests.interop.foreign.serving import serving
from tests.interop.node.programs import FOLDER as NODE
from tests.interop.upstreams.running import running

Kept = dict[str, dict[str, Any]]


@dataclass
class Other:
    """One server, and how people sign in there.

    `method` is how a client that registers itself has to authenticate. `kept` is what the server has of clients and
    tokens, by name, where that can be reached from here: to forget some of it.
    """

    url: str
    issuer: str
    answer: Answer
    method: str
    kept: Kept = field(default_factory=dict)

    def forget(self, *names: str) -> None:
        """Lose it, as a server that keeps it in memory does when it starts again."""
        for name in names:
            self.kept[name].clear()

    def somebody(self) -> Somebody:
        """A person who has not been there before."""
        return Somebody(self.answer)


@contextmanager
def fastmcp(*scopes: str, again: Other | None = None) -> Iterator[Other]:
    """FastMCP's own provider: nobody is asked anything, refusals of grants are a 401.

    `again` is where it was before, what it kept there included.
    """
    kept: Kept = {}

    def build(origin: str) -> ASGIApp:
        app, provider = build_fastmcp(origin, (SCOPE, *scopes))
        kept.update(clients=provider.clients, access=provider.access_tokens, refresh=provider.refresh_tokens)
        return app

    with _serving(build, kept, again) as origin:
        yield Other(f"{origin}/mcp", f"{origin}/", fill_in, "client_secret_post", kept)


@contextmanager
def sdk(*scopes: str, again: Other | None = None, publishes_resource: bool = True) -> Iterator[Other]:
    """The SDK's authorization server: every client has a secret, and may ask for nothing but what it registered."""
    kept: Kept = {}

    def build(origin: str) -> ASGIApp:
        app, provider = build_sdk(origin, (SCOPE, *scopes), publishes_resource=publishes_resource)
        kept.update(clients=provider.clients, access=provider.access, refresh=provider.refresh)
        return app

    with _serving(build, kept, again) as origin:
        yield Other(f"{origin}/mcp", origin, fill_in, "client_secret_post", kept)


@contextmanager
def _serving(build: Callable[[str], ASGIApp], kept: Kept, again: Other | None) -> Iterator[str]:
    with serving(build, 0 if again is None else urlsplit(again.url).port or 0) as origin:
        for name, rows in again.kept.items() if again else ():
            kept[name].update(rows)
        yield origin


@contextmanager
def oidc_provider(log: Path, trust: Path, **environment: str) -> Iterator[Other]:
    """oidc-provider, and a server of the SDK that verifies its JWTs: three ways to be known, tokens for one resource.

    It reads documents of sites that `trust` vouches for.
    """
    with running(NODE / "oidc_provider.mjs", log, NODE_EXTRA_CA_CERTS=str(trust), **environment) as node:
        issuer = node.url.removesuffix("/mcp")

        def build(origin: str) -> ASGIApp:
            resource = f"{origin}/mcp"
            verifier = DoorwardTokenVerifier(build_verifier(issuer, resource, insecure_http=True))
            settings = build_auth_settings(issuer=issuer, resource=resource, required_scopes=[SCOPE])
            server: MCPServer[Any] = MCPServer("Greeter", auth=settings, token_verifier=verifier, log_level="WARNING")
            server.tool()(greet)
            return server.streamable_http_app()

        with serving(build) as origin:
            yield Other(f"{origin}/mcp", issuer, fill_in, "none")


@contextmanager
def better_auth(log: Path) -> Iterator[Other]:
    """Better Auth: an issuer with a path, refresh tokens for `offline_access` alone."""
    with running(NODE / "better_auth.mjs", log) as node:
        issuer = node.url.replace("/mcp", "/api/auth")
        yield Other(node.url, issuer, post_as_better_auth_pages_do, "none")


@contextmanager
def fastmcp_proxy(issuer: str) -> Iterator[Other]:
    """FastMCP's proxy in front of oidc-provider: the person consents at the one and signs in at the other."""
    with serving(lambda origin: build_proxy(origin, issuer)) as origin:
        yield Other(f"{origin}/mcp", f"{origin}/", fill_in, "none")


@contextmanager
def typescript_sdk(log: Path) -> Iterator[Other]:
    """The SDK for TypeScript: no refresh tokens, no revocation, and 500 for a token that it does not know."""
    with running(NODE / "typescript_sdk.mjs", log) as node:
        yield Other(node.url, node.url.replace("/mcp", "/"), fill_in, "none")
