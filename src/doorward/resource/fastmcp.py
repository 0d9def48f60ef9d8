"""FastMCP behind our guard: an auth provider that puts `ProtectMCP` in front of the server's endpoint.

    mcp = FastMCP("notes", auth=DoorwardAuth(issuer=ISSUER, resource=RESOURCE, scopes=["notes:read"]))

That is the whole protection, whether `mcp.run(transport="http")` serves it or `mcp.http_app()` is served. Tools say
what they need by FastMCP's own `@mcp.tool(auth=require_scopes("notes:write"))`.

Needs the `fastmcp` package (`pip install doorward[fastmcp]`). Spec: clients.md no. 53 … 60, §4.2
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote, urlsplit

import fastmcp
from fastmcp import FastMCP
from fastmcp.server.auth import AccessToken, AuthContext, AuthProvider
from fastmcp.server.context import reset_transport, set_transport
from fastmcp.server.middleware import AuthMiddleware
from fastmcp.tools.base import Tool
from fastmcp.utilities.authorization import AuthCheck, scope_requirements
from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from pydantic import AnyHttpUrl
from starlette.authentication import AuthCredentials
from starlette.middleware import Middleware
from starlette.routing import Route

from doorward.oauth.bearer import parse_access_token
from doorward.oauth.jwt import InvalidToken
from doorward.oauth.metadata import PROTECTED_RESOURCE
from doorward.oauth.scopes import union

from .asgi import ASGIApp, Disconnected, Receive, Refused, Request, Scope, Send, build_text, read_body, replay
from .jwks import JWKSKeys
from .middleware import PRINCIPAL, STEP_UP, ProtectMCP
from .policy import MAX_BODY_SIZE, AmbiguousMessage, parse_calls, parse_scopes
from .principal import Principal
from .revocations import RevocationFeed
from .verifier import JWTVerifier, Verifier

_WELL_KNOWN = f"/.well-known/{PROTECTED_RESOURCE}"


class DoorwardAuth(AuthProvider):
    """Lets FastMCP's endpoint be reached only with a token of `issuer` for `resource`, as `ProtectMCP` does.

    `scopes` is what every request needs, `tools` what calls of single tools need instead. Unless a `verifier` is
    given, JWTs are verified with the keys that the issuer publishes, and what it revokes is followed. Further
    `options` are those of `ProtectMCP`. Issuer and resource are published exactly as given.

    Routes that the server's author adds with `custom_route` stay open to everybody, as they are in FastMCP; its own
    check of the endpoint stays behind ours. Where the app is mounted below another one's path, that one also serves
    `get_well_known_routes()`. Raises `ValueError` for settings that cannot be right.

    Spec: RFC 9728 §3, §5 (PRM-02, PRM-06, PRM-08, WWW-01 … WWW-05, RS-01 … RS-21)
    """

    def __init__(
        self,
        *,
        issuer: str,
        resource: str,
        scopes: Iterable[str] = (),
        tools: Mapping[str, Sequence[str]] | None = None,
        verifier: Verifier | None = None,
        **options: Any,
    ) -> None:
        needed = parse_scopes(scopes, "scopes")
        super().__init__(required_scopes=list(needed) if tools is None else [])
        self.issuer = issuer
        self.resource = resource
        self._verifier = verifier or _build_verifier(issuer, resource, options)
        self._settings = {
            **options,
            "issuer": issuer,
            "resource": resource,
            "verifier": self._verifier,
            "challenge_scopes": needed,
            "tools": tools,
        }
        self._documents = self.protect(_answer_nothing)

    def protect(self, app: ASGIApp, **options: Any) -> ProtectMCP:
        """The guard with these settings in front of an app."""
        return ProtectMCP(app, **{**self._settings, **options})

    async def verify_token(self, token: str) -> AccessToken | None:
        """FastMCP's view of a good bearer token; `VerifierUnavailable` passes through, which is no refusal."""
        try:
            return build_access_token(await self._verifier.verify(token), token)
        except InvalidToken:
            return None

    def get_middleware(self) -> list[Middleware]:
        """The guard, in place of FastMCP's own reading of tokens."""
        return [Middleware(_Guard, auth=self)]

    def get_routes(self, mcp_path: str | None = None) -> list[Route]:
        """The resource's metadata at every address where clients look for it."""
        self.set_mcp_path(mcp_path)
        base = unquote(urlsplit(self.resource).path).rstrip("/")
        inserted = [f"{_WELL_KNOWN}{base}", f"{_WELL_KNOWN}{base}/", f"{base}{_WELL_KNOWN}"] if base else []
        return [Route(path, endpoint=self._documents) for path in (_WELL_KNOWN, f"{_WELL_KNOWN}/", *inserted)]

    def _get_resource_url(self, path: str | None = None) -> AnyHttpUrl | None:  # noqa: ARG002  # FastMCP's signature
        """The one resource there is, whatever the path that FastMCP serves it at behind a proxy."""
        return AnyHttpUrl(self.resource)


class FastMCPIdentity:
    """An ASGI app that makes the `Principal` of `ProtectMCP` FastMCP's user: `get_access_token()` works in tools.

    What FastMCP would only call an error, for want of scopes that a tool asks for by its `auth`, is answered with the
    step-up challenge that clients understand. `path` is the endpoint's in the app. Put it between `ProtectMCP` and
    an app of FastMCP.

    Spec: STEP-01 … STEP-04
    """

    def __init__(self, app: ASGIApp, server: FastMCP[Any], path: str) -> None:
        self._app = app
        self._app_with_context = AuthContextMiddleware(app)
        self._server = server
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        principal = scope.get(PRINCIPAL)
        if scope["type"] != "http" or not isinstance(principal, Principal):
            await self._app(scope, receive, send)
            return
        if STEP_UP not in scope:
            # No guard in between: it is the guard's own look at the list of tools, which is to be whole.
            asked = await list_tool_scopes(self._server)
            principal = replace(principal, scopes=union(*asked.values()))
        scope = self._build_scope(scope, principal)
        request = Request(scope)
        if request.method == "POST" and STEP_UP in scope:
            try:
                body = await read_body(request, receive, limit=MAX_BODY_SIZE)
            except Disconnected:
                return
            except Refused as refused:
                await refused.answer.send(request, send)
                return
            if body is None:
                await build_text(413, f"A body may have {MAX_BODY_SIZE} bytes at most.").send(request, send)
                return
            needed = await self._find_needed(body, scope["user"].access_token)
            if needed and await scope[STEP_UP](needed, send):
                return
            receive = replay(body, receive)
        await self._app_with_context(scope, receive, send)

    def _build_scope(self, scope: Scope, principal: Principal) -> Scope:
        """The scope as FastMCP's own layer would have left it. That layer knows bearer tokens alone."""
        request = Request(scope)
        credentials = parse_access_token(request.values("authorization"), schemes=("bearer", "dpop"))
        token = credentials[1] if credentials else ""
        others = [header for header in scope["headers"] if header[0].lower() != b"authorization"]
        mounted = {} if scope["path"] != self._path else {"root_path": ""}  # the guard wrote the app's own path
        return {
            **scope,
            **mounted,
            "headers": [*others, (b"authorization", f"Bearer {token}".encode("latin-1"))],
            "user": AuthenticatedUser(build_access_token(principal, token)),
            "auth": AuthCredentials(list(principal.scopes)),
        }

    async def _find_needed(self, body: bytes, token: AccessToken) -> list[str]:
        """The scopes that tools called by `body` ask for and `token` lacks; none where anything else may decide."""
        try:
            names = {call.tool for call in parse_calls(body) if call.tool is not None}
        except AmbiguousMessage:
            return []  # for the app to refuse
        missing: set[str] = set()
        for name in names:
            missing.update(await self._find_missing(name, token))
        return sorted(missing)

    async def _find_missing(self, name: str, token: AccessToken) -> list[str]:
        # FastMCP shows nobody a tool they may not call, except on stdio, where nobody is asked who they are.
        shown = set_transport("stdio")
        try:
            tool = await self._server.get_tool(name)
        except Exception:  # noqa: BLE001  # whatever is wrong with the tool is the app's to tell
            return []
        finally:
            reset_transport(shown)
        return [] if tool is None else _find_lacking(self._server, tool, token)


async def list_tool_scopes(server: FastMCP[Any]) -> dict[str, list[str]]:
    """The scopes that each tool asks for by its own `auth` or the server's, where nothing else decides as well."""
    shown = set_transport("stdio")
    try:
        tools = await server.list_tools(run_middleware=False)
    finally:
        reset_transport(shown)
    nobody = AccessToken(token="", client_id="", scopes=[])
    asked = {tool.name: _find_lacking(server, tool, nobody) for tool in tools}
    return {name: scopes for name, scopes in asked.items() if scopes}


def build_access_token(principal: Principal, token: str) -> AccessToken:
    """FastMCP's form of a principal."""
    return AccessToken(
        token=token,
        client_id=principal.client_id,
        scopes=list(principal.scopes),
        expires_at=principal.expires_at,
        resource=principal.audience,
        subject=principal.subject,
        claims={**principal.claims, "iss": principal.issuer},
    )


def build_app(server: FastMCP[Any], path: str) -> ASGIApp:
    """The server as an ASGI app at `path`, whose tools know the `Principal`; to be put behind `ProtectMCP`.

    Raises `ValueError` for a server that has an `auth` of its own: one of the two would never be asked.
    """
    if server.auth is not None:
        raise ValueError("This FastMCP has an auth of its own; leave it out, the server is protected here.")
    return FastMCPIdentity(server.http_app(path=path), server, path)


class _Guard:
    """The outermost layer that FastMCP gives a provider: knows which requests are for the endpoint."""

    def __init__(self, app: ASGIApp, auth: DoorwardAuth) -> None:
        self._app = app
        self._auth = auth
        self._endpoint = unquote(urlsplit(auth.resource).path).rstrip("/")
        self._guard: ProtectMCP | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._is_for_endpoint(scope):
            await self._app(scope, receive, send)
            return
        if self._guard is None:
            state = scope["app"].state
            inside = FastMCPIdentity(self._app, state.fastmcp_server, state.path)
            self._guard = self._auth.protect(inside, app_path=state.path, reads_every_path=True)
        await self._guard(scope, receive, send)

    def _is_for_endpoint(self, scope: Scope) -> bool:
        """Whether the guard answers. What it does not and FastMCP serves all the same, FastMCP refuses by itself."""
        path, state = scope["path"], scope["app"].state
        local = path.removeprefix(scope.get("root_path", ""))
        if path.rstrip("/") == self._endpoint or local.rstrip("/") == state.path.rstrip("/") or _WELL_KNOWN in path:
            return True
        messages = f"{fastmcp.settings.message_path.rstrip('/')}/"
        return bool(state.transport_type == "sse") and f"{local}/".startswith(messages)


async def _answer_nothing(scope: Scope, _: Receive, send: Send) -> None:
    await build_text(404, "There is no such document.").send(Request(scope), send)


def _build_verifier(issuer: str, resource: str, options: Mapping[str, Any]) -> JWTVerifier:
    insecure_http = bool(options.get("insecure_http", False))
    keys = JWKSKeys(issuer, insecure_http=insecure_http)
    revocations = RevocationFeed(issuer=issuer, insecure_http=insecure_http)
    return JWTVerifier(issuer=issuer, resource=resource, keys=keys, revocations=revocations)


def _find_lacking(server: FastMCP[Any], tool: Tool, token: AccessToken) -> list[str]:
    checks = _list(tool.auth)
    for middleware in server.middleware:
        checks = [*checks, *_list(middleware.auth)] if isinstance(middleware, AuthMiddleware) else checks
    return scope_requirements(checks, AuthContext(token=token, component=tool)) or []


def _list(checks: AuthCheck | list[AuthCheck] | None) -> list[AuthCheck]:
    if checks is None:
        return []
    return checks if isinstance(checks, list) else [checks]
