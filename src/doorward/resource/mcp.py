"""The MCP Python SDK behind our verifier: its own bearer layer, or `ProtectMCP` in front of its server.

`protect` is the whole protection in one call. `DoorwardTokenVerifier` with `build_auth_settings` is for servers that
must keep the SDK's own bearer layer; that layer answers with fewer words (no scope in its challenge, one address of
the metadata) and calls an outage of the issuer a server error.

Needs the `mcp` package (`pip install doorward[mcp]`). Spec: clients.md no. 54, §4.1
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.transport_security import TransportSecuritySettings

from doorward.oauth.bearer import parse_access_token
from doorward.oauth.jwt import InvalidToken

from .asgi import ASGIApp, Receive, Request, Scope, Send, build_header, build_text
from .catalogue import CatalogueStore, ToolCatalogue
from .jwks import JWKSKeys
from .middleware import PRINCIPAL, ProtectMCP
from .principal import Principal
from .revocations import RevocationFeed
from .verifier import JWTVerifier, Verifier


class DoorwardTokenVerifier:
    """The SDK's `TokenVerifier` over any of ours, with everything filled in that the SDK binds sessions and checks to.

    A token that is not good gives None. `VerifierUnavailable` passes through, which the SDK answers with 500: better
    than the 401 that would make clients throw their grant away. Spec: clients.md §4.1 (RS-03, T9, T13)
    """

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    async def verify_token(self, token: str) -> AccessToken | None:
        """The SDK's view of a good token."""
        try:
            return build_access_token(await self._verifier.verify(token), token)
        except InvalidToken:
            return None


class SDKIdentity:
    """An ASGI app that makes the `Principal` of `ProtectMCP` the SDK's user: `get_access_token()` works in tools.

    Put it between `ProtectMCP` and an app of the SDK. The SDK binds its sessions to that user, too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._app_with_context = AuthContextMiddleware(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        principal = scope.get(PRINCIPAL)
        if not isinstance(principal, Principal):
            await self._app(scope, receive, send)
            return
        credentials = parse_access_token(Request(scope).values("authorization"), schemes=("bearer", "dpop"))
        user = AuthenticatedUser(build_access_token(principal, credentials[1] if credentials else ""))
        await self._app_with_context({**scope, "user": user}, receive, send)


def build_access_token(principal: Principal, token: str) -> AccessToken:
    """The SDK's form of a principal."""
    return AccessToken(
        token=token,
        client_id=principal.client_id,
        scopes=list(principal.scopes),
        expires_at=principal.expires_at,
        resource=principal.audience,
        subject=principal.subject,
        claims={**principal.claims, "iss": principal.issuer},
    )


def build_auth_settings(*, issuer: str, resource: str, required_scopes: Sequence[str] = ()) -> AuthSettings:
    """Settings for `MCPServer(auth=…)` that publish issuer and resource exactly as given.

    `AuthSettings` keeps a URL without a path as it is only when it is given as text; as `AnyHttpUrl`, the type it
    asks for, it has grown a slash before it arrives, and every client that compares issuers refuses the server.
    Raises `ValueError` for a spelling that it would still change, such as a default port.

    Spec: RFC 8414 §3.3; RFC 9728 §3.3 (PRM-06, PRM-08)
    """
    settings = AuthSettings.model_validate(
        {
            "issuer_url": issuer,
            "resource_server_url": resource,
            "required_scopes": list(required_scopes) or None,
            "validate_token_resource": True,
        }
    )
    for given, kept in ((issuer, settings.issuer_url), (resource, settings.resource_server_url)):
        if given != str(kept):
            raise ValueError(f"The MCP SDK publishes {given!r} as {str(kept)!r}; write it that way everywhere.")
    return settings


def protect(
    server: MCPServer[Any],
    *,
    issuer: str,
    resource: str,
    scopes: Iterable[str] = (),
    tools: Mapping[str, Sequence[str]] | None = None,
    verifier: Verifier | None = None,
    stateless_http: bool = False,
    **options: Any,
) -> ProtectMCP:
    """The server as an ASGI app at the path of `resource`, open to those alone whom `issuer` let in.

    `scopes` is what its normal tools need, `tools` what single tools need instead; the defaults verify JWTs with the
    keys that the issuer publishes, and follow what it revokes. Further `options` are those of `ProtectMCP`. Host and
    Origin are checked by `ProtectMCP`, so the SDK's own list, which knows loopback names only, is off.
    """
    path = unquote(urlsplit(resource).path) or "/"
    return ProtectMCP(
        build_app(server, path, stateless_http=stateless_http),
        verifier=verifier or build_verifier(issuer, resource, insecure_http=options.get("insecure_http", False)),
        resource=resource,
        issuer=issuer,
        challenge_scopes=scopes,
        tools=tools,
        **options,
    )


def build_app(server: MCPServer[Any], path: str, *, stateless_http: bool = False) -> ASGIApp:
    """The server as an ASGI app at `path`, whose tools know the `Principal`; to be put behind `ProtectMCP`."""
    app = server.streamable_http_app(
        streamable_http_path=path,
        stateless_http=stateless_http,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    return SDKIdentity(_at_root(app, post_only=stateless_http))


def build_catalogue(server: MCPServer[Any], *, store: CatalogueStore | None = None) -> ToolCatalogue:
    """The tools of the server for `protect`: told apart by their hints, and held back when they are new or changed.

    Without a `store`, the tools that a restarted server has are the first ones there were.
    """

    async def list_tools() -> list[Any]:
        return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in await server.list_tools()]

    return ToolCatalogue(list_tools, store=store)


def build_verifier(issuer: str, resource: str, *, insecure_http: bool = False) -> JWTVerifier:
    """What verifies JWTs with the keys that the issuer publishes, and follows what it revokes."""
    keys = JWKSKeys(issuer, insecure_http=insecure_http)
    revocations = RevocationFeed(issuer=issuer, insecure_http=insecure_http)
    return JWTVerifier(issuer=issuer, resource=resource, keys=keys, revocations=revocations)


def _at_root(app: ASGIApp, *, post_only: bool) -> ASGIApp:
    """The app, blind to the mounts above it, since it was built for the whole path of its resource.

    With `post_only`, a GET is told at once that there is no stream: a server without sessions has nothing to send on
    one, and the SDK would hold it open until the process ends. Spec: MCP Transports (TRN-12)
    """
    no_stream = build_text(405, "This server has no sessions: use POST.", build_header("allow", "POST, OPTIONS"))

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
        elif post_only and scope["method"] in {"GET", "HEAD", "DELETE"}:
            await no_stream.send(Request(scope), send)
        else:
            await app({**scope, "root_path": ""}, receive, send)

    return serve
