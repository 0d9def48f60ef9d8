"""The guard in front of an MCP server: nothing reaches the app without a token that is good here and now."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from urllib.parse import quote, unquote, urlsplit

from doorward.oauth.bearer import build_challenge, parse_bearer
from doorward.oauth.errors import INSUFFICIENT_SCOPE, INVALID_TOKEN, TEMPORARILY_UNAVAILABLE, OAuthError
from doorward.oauth.jwt import InvalidToken
from doorward.oauth.resources import same_resource
from doorward.oauth.scopes import union

from .asgi import (
    Answer,
    ASGIApp,
    Disconnected,
    Header,
    Message,
    Receive,
    Refused,
    Request,
    Scope,
    Send,
    build_header,
    build_json,
    build_text,
    read_body,
    refuse_websocket,
    replay,
)
from .cors import RESPONSE_HEADERS, build_cors, build_preflight
from .documents import ResourceDocuments
from .issuer import check_url
from .neighbours import Neighbours
from .policy import MAX_BODY_SIZE, AmbiguousMessage, ToolPolicy, parse_calls, parse_scopes
from .principal import Principal
from .sessions import MAX_SESSION_ID_LENGTH, SessionOwners
from .verifier import Verifier, VerifierUnavailable

PRINCIPAL = "doorward.principal"
"""The key of the ASGI scope under which the app finds the `Principal`."""

_METHODS = "GET, HEAD, POST, DELETE, OPTIONS"
_BODILESS = frozenset({"GET", "HEAD", "DELETE"})
_NO_STORE = build_header("cache-control", "no-store")
_SESSION_ID = "mcp-session-id"
_SIGN_IN = "This MCP server needs a sign-in. Give its address to an MCP client: the client will find the way."

_log = logging.getLogger("doorward.resource")


class ProtectMCP:
    """Lets a request through to `app` only with a token of `issuer` for `resource` and the scopes it needs.

    Everything the app serves is protected, on every path; what the guard answers itself is the resource's metadata,
    CORS preflights and refusals. `resource` is the URL that users type, `issuer` the authorization server's, spelled
    as it spells itself. `challenge_scopes` is what the server's normal tools need: it goes into the first challenge,
    and a tool that `tools` does not list needs it. `required_scopes` is needed by every request; unset, it is
    `challenge_scopes` where no `tools` are given and nothing where they are. `app_path` is the path that the app
    knows, where a proxy or a mount has changed it.

    Streams pass through unbuffered. The app finds the `Principal` in `scope["doorward.principal"]`. A verifier that
    cannot reach the issuer means 503, never 401. Raises `ValueError` for settings that cannot be right.

    Spec: RFC 6750 §3; RFC 9728 §5; MCP Authorization (PRM-*, WWW-*, RS-01 … RS-21, STEP-01 … STEP-04, TRN-01)
    """

    def __init__(  # noqa: PLR0913  # each is an independent fact about the server, and keyword-only
        self,
        app: ASGIApp,
        *,
        verifier: Verifier,
        resource: str,
        issuer: str,
        scopes_supported: Iterable[str] = (),
        challenge_scopes: Iterable[str] = (),
        required_scopes: Iterable[str] | None = None,
        tools: Mapping[str, Sequence[str]] | None = None,
        name: str | None = None,
        app_path: str | None = None,
        allowed_hosts: Sequence[str] | None = None,
        allowed_origins: Iterable[str] = (),
        insecure_http: bool = False,
    ) -> None:
        check_url(resource, "resource", insecure_http=insecure_http)
        check_url(issuer, "issuer", insecure_http=insecure_http)
        self._app = app
        self._verifier = verifier
        self._resource = resource
        self._issuer = issuer
        self._challenge_scopes = parse_scopes(challenge_scopes, "challenge_scopes")
        if required_scopes is None:
            required_scopes = self._challenge_scopes if tools is None else ()
        self._required_scopes = parse_scopes(required_scopes, "required_scopes")
        self._policy = None if tools is None else ToolPolicy(tools, otherwise=self._challenge_scopes)
        self._neighbours = Neighbours(resource, allowed_hosts=allowed_hosts, allowed_origins=allowed_origins)
        self._documents = ResourceDocuments(
            resource=resource,
            issuer=issuer,
            scopes=parse_scopes(scopes_supported, "scopes_supported") or self._challenge_scopes,
            name=name,
        )
        path = unquote(urlsplit(resource).path)
        self._app_path = app_path or path or "/"
        self._endpoints = {spelling for known in (path, self._app_path) for spelling in _spellings(known)}
        self._sessions = SessionOwners()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await refuse_websocket(receive, send)
            return
        request = Request(scope)
        public = self._answer_publicly(request)
        if public is not None:
            await public.send(request, send)
            return
        cors = build_cors(request)
        try:
            principal = await self._authenticate(request)
            self._check_scopes(request, principal, self._required_scopes)
            self._check_session(request, principal)
            if self._policy is not None:
                receive = await self._check_tools(request, principal, receive, self._policy)
        except Refused as refused:
            await refused.answer.send(request, send, more=cors)
            return
        except Disconnected:
            # Some servers say the same of chunks they cannot parse, and that client still waits for an answer.
            with suppress(OSError):
                await build_text(400, "The body is incomplete.").send(request, send, more=cors)
            return
        await self._app(self._build_scope(request, principal), receive, self._watch(request, principal, send, cors))

    def _answer_publicly(self, request: Request) -> Answer | None:
        """What is answered to anybody: metadata, preflights, and refusals that a token would not change."""
        if not self._neighbours.allows_host(request.values("host")):
            return build_text(421, "This server is not reached under that host name. See allowed_hosts.")
        document = self._documents.answer(request)
        if document is not None:
            return document
        if not self._neighbours.allows_origin(request.values("origin")):
            return build_text(403, "Pages of that origin may not call this server. See allowed_origins.", _NO_STORE)
        if request.method == "OPTIONS":
            preflight = build_preflight(request, methods=_METHODS)
            return Answer(preflight.status, (*preflight.headers, *build_cors(request)))
        return None

    async def _authenticate(self, request: Request) -> Principal:
        """The principal of the request, before anything of its body is read. Spec: RS-02, RS-15, RS-19, TRN-15"""
        try:
            token = parse_bearer(request.values("authorization"))
        except OAuthError as malformed:
            raise Refused(self._challenge(request, 400, malformed, self._challenge_scopes)) from None
        if token is None:
            raise Refused(self._invite(request))
        try:
            principal = await self._verifier.verify(token)
            if principal.issuer != self._issuer or not same_resource(principal.audience, self._resource):
                raise InvalidToken("the verifier is set up for another issuer or resource")
        except InvalidToken as refusal:
            _log.info("A token was refused: %s", refusal)
            error = OAuthError(INVALID_TOKEN, "The access token is expired, revoked or not meant for this server.")
            raise Refused(self._challenge(request, 401, error, self._challenge_scopes)) from None
        except VerifierUnavailable as outage:
            body = {
                "error": TEMPORARILY_UNAVAILABLE,
                "error_description": "The authorization server cannot be asked now. Try again shortly.",
            }
            retry_after = build_header("retry-after", str(outage.retry_after))
            raise Refused(build_json(503, body, retry_after, _NO_STORE)) from None
        return principal

    def _check_scopes(self, request: Request, principal: Principal, needed: Iterable[str]) -> None:
        """Refuse what the token's scopes do not cover, naming needed and held ones: clients ask for just that.

        Spec: STEP-01 … STEP-04
        """
        if principal.has_scopes(needed):
            return
        error = OAuthError(INSUFFICIENT_SCOPE, "This needs scopes that the access token does not carry.")
        raise Refused(self._challenge(request, 403, error, union(principal.scopes, needed)))

    def _check_session(self, request: Request, principal: Principal) -> None:
        """Answer for another's session as for one that does not exist. Spec: STA-01; T13"""
        values = request.values(_SESSION_ID)
        if len(values) > 1:
            raise Refused(build_text(400, "Send one Mcp-Session-Id header."))
        if not values:
            return
        if len(values[0]) > MAX_SESSION_ID_LENGTH or not self._sessions.admits(values[0], principal.identity):
            raise Refused(build_text(404, "Session not found"))

    async def _check_tools(
        self, request: Request, principal: Principal, receive: Receive, policy: ToolPolicy
    ) -> Receive:
        """Read the body, check the tools it calls, and hand on exactly the bytes that were checked.

        A method that has no body gets none, whatever was sent along: an app may take it for another method.

        Spec: T14, T20
        """
        if request.method in _BODILESS:
            return replay(b"", receive)
        body = await read_body(request, receive, limit=MAX_BODY_SIZE)
        if body is None:
            raise Refused(build_text(413, f"A body may have {MAX_BODY_SIZE} bytes at most."))
        if body:
            if not _is_plain_json(request):
                raise Refused(build_text(415, "The body must be application/json in UTF-8, not compressed."))
            try:
                calls = parse_calls(body)
            except AmbiguousMessage as error:
                detail = {"code": error.code, "message": str(error)}
                raise Refused(build_json(400, {"jsonrpc": "2.0", "id": None, "error": detail})) from None
            self._check_scopes(request, principal, policy.needed(calls))
        return replay(body, receive)

    def _invite(self, request: Request) -> Answer:
        """The answer without a token: what to get, from where, and nothing that sounds like an error. Spec: WWW-04"""
        if "/.well-known/" in request.path:
            # A client looking for documents we do not have must go on looking, and not take this for a resource.
            return build_text(404, "There is no such document.")
        challenge = build_challenge(
            resource_metadata=self._documents.url_for(request.path), scope=self._challenge_scopes
        )
        return build_text(401, _SIGN_IN, build_header("www-authenticate", challenge), _NO_STORE)

    def _challenge(self, request: Request, status: int, error: OAuthError, scope: Iterable[str]) -> Answer:
        challenge = build_challenge(
            error=error.code,
            description=error.description,
            resource_metadata=self._documents.url_for(request.path),
            scope=scope,
        )
        return build_json(status, error.body(), build_header("www-authenticate", challenge), _NO_STORE)

    def _build_scope(self, request: Request, principal: Principal) -> Scope:
        """The scope for the app: with the principal, and under the one path it knows, so that it never redirects."""
        scope = dict(request.scope)
        scope[PRINCIPAL] = principal
        if request.path in self._endpoints:
            scope["path"] = self._app_path
            scope["raw_path"] = quote(self._app_path).encode("ascii")
        return scope

    def _watch(self, request: Request, principal: Principal, send: Send, cors: list[Header]) -> Send:
        """A `send` that passes everything on at once, sees to CORS, and notes whose session it was."""

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [header for header in message.get("headers", ()) if header[0].lower() not in RESPONSE_HEADERS]
                self._note_session(request, principal, message["status"], kept)
                message = {**message, "headers": [*kept, *cors]}
            await send(message)

        return send_on

    def _note_session(self, request: Request, principal: Principal, status: int, headers: Iterable[Header]) -> None:
        if status >= 400:
            return
        given = [value.decode("latin-1") for name, value in headers if name.lower() == _SESSION_ID.encode()]
        for session_id in (*request.values(_SESSION_ID), *given):
            if request.method == "DELETE":
                self._sessions.forget(session_id)
            else:
                self._sessions.bind(session_id, principal.identity)


def _spellings(path: str) -> tuple[str, str]:
    """A path with and without the slash at its end."""
    bare = path.rstrip("/")
    return bare, f"{bare}/"


def _is_plain_json(request: Request) -> bool:
    """Whether the app must read the body's bytes as we do: no compression, no other charset. Spec: T14"""
    media_type, _, parameters = request.value("content-type").lower().partition(";")
    charset = parameters.replace(" ", "").replace('"', "")
    return (
        media_type.strip() == "application/json"
        and charset in {"", "charset=utf-8"}
        and not request.values("content-encoding")
    )
