"""The guard in front of an MCP server: nothing reaches the app without a token that is good here and now."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NoReturn, get_args
from urllib.parse import quote, unquote, urlsplit

from doorward.oauth.bearer import parse_access_token
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
    build_text,
    refuse_websocket,
)
from .budgets import Budgets
from .catalogue import ToolCatalogue
from .challenges import NO_STORE, Challenges
from .cors import RESPONSE_HEADERS, build_cors, build_preflight
from .documents import ResourceDocuments
from .dpop import DpopGate, DpopMode
from .inspection import Inspected, Inspector
from .issuer import check_url
from .listing import ListingSend
from .neighbours import Neighbours
from .policy import ToolPolicy, parse_scopes
from .principal import Principal
from .reports import Report, Reporter
from .sessions import SessionOwners, is_session_id
from .streams import RECHECK_SECONDS, Recheck, Streams
from .verifier import BoundTokenVerifier, Verifier, VerifierUnavailable

PRINCIPAL = "doorward.principal"
"""The key of the ASGI scope under which the app finds the `Principal`."""
REQUEST_ID = "doorward.request_id"
"""The key under which the app finds the id of the one JSON-RPC request that it is sent, where it is just one."""
STEP_UP = "doorward.step_up"
"""The key of the ASGI scope under which an app with rules of its own finds the guard's refusal for want of scopes.

`await scope[STEP_UP](needed, send)` answers the request and is True where the token lacks any of them.
"""

_METHODS = "GET, HEAD, POST, DELETE, OPTIONS"
_SESSION_ID = "mcp-session-id"
_FILE_EXTENSIONS = frozenset({"http.response.pathsend", "http.response.zerocopysend"})

_log = logging.getLogger("doorward.resource")


class ProtectMCP:
    """Lets a request through to `app` only with a token of `issuer` for `resource` and the scopes it needs.

    Everything the app serves is protected, on every path; what the guard answers itself is the resource's metadata,
    CORS preflights and refusals. `resource` is the URL that users type, `issuer` the authorization server's, spelled
    as it spells itself. `challenge_scopes` is what the server's normal tools need: it goes into the first challenge,
    and a tool that `tools` does not list needs it. `required_scopes` is needed by every request; unset, it is
    `challenge_scopes` where no `tools` are given and nothing where they are. `app_path` is the path that the app
    knows, where a proxy or a mount has changed it.

    With a `catalogue`, tools that `tools` does not list need the scope of their kind, `tools:read` or `tools:write`;
    those that are newer than what the person was shown, or not what they were, are held back until they are shown.
    Lists of tools name what the principal may call, unless `shows_all_tools` lets clients find out what they could
    ask for.

    Tool calls are charged to `budgets` and to those that tokens carry; what is more is answered with 429. Where neither
    `tools` nor a `catalogue` is given, they are looked for on the path of `resource` alone, unless `reads_every_path`:
    for an app that takes messages elsewhere, too, and nothing but messages.

    With `dpop` accepted, a token that is bound to a key is let in with a proof of that key (RFC 9449) and bearer
    tokens as ever; required, nothing else is let in; the verifier must be a `BoundTokenVerifier`, and where it is none
    nothing is accepted beyond bearer tokens. `dpop_nonce_key`, random bytes that all processes share, makes proofs
    carry a nonce of ours.

    Streams pass through unbuffered. The app finds the `Principal` in `scope["doorward.principal"]`. A verifier that
    cannot reach the issuer means 503, never 401. Raises `ValueError` for settings that cannot be right.

    Spec: RFC 6750 §3; RFC 9728 §5; MCP Authorization (PRM-*, WWW-*, RS-01 … RS-21, STEP-01 … STEP-04, TRN-01, DPOP-06,
    DPOP-07)
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
        catalogue: ToolCatalogue | None = None,
        shows_all_tools: bool = False,
        budgets: Budgets | None = None,
        name: str | None = None,
        app_path: str | None = None,
        allowed_hosts: Sequence[str] | None = None,
        allowed_origins: Iterable[str] = (),
        dpop: DpopMode = "accepted",
        dpop_nonce_key: bytes | None = None,
        reporter: Reporter | None = None,
        reads_every_path: bool = False,
        insecure_http: bool = False,
    ) -> None:
        check_url(resource, "resource", insecure_http=insecure_http)
        check_url(issuer, "issuer", insecure_http=insecure_http)
        self._app = app
        self._verifier = verifier
        self._resource = resource
        self._issuer = issuer
        self._challenge_scopes = parse_scopes(challenge_scopes, "challenge_scopes")
        has_policy = tools is not None or catalogue is not None
        needed = (() if has_policy else self._challenge_scopes) if required_scopes is None else required_scopes
        self._required_scopes = parse_scopes(needed, "required_scopes")
        policy = ToolPolicy(tools or {}, otherwise=self._challenge_scopes, catalogue=catalogue)
        self._policy = policy if has_policy else None
        self._catalogue = catalogue
        self._filters_lists = has_policy and not shows_all_tools
        self._neighbours = Neighbours(resource, allowed_hosts=allowed_hosts, allowed_origins=allowed_origins)
        path = unquote(urlsplit(resource).path)
        self._app_path = app_path or path or "/"
        self._endpoints = {spelling for known in (path, self._app_path) for spelling in _spellings(known)}
        read = None if reads_every_path else self._endpoints
        self._inspector = Inspector(
            endpoints=read, policy=self._policy, budgets=budgets, refuse_scopes=self._refuse_scopes
        )
        self._dpop = self._build_gate(dpop, dpop_nonce_key)
        self._dpop_required = dpop == "required"
        self._schemes = ("bearer",) if self._dpop is None else ("bearer", "dpop")
        self._documents = ResourceDocuments(
            resource=resource,
            issuer=issuer,
            scopes=parse_scopes(scopes_supported, "scopes_supported") or self._challenge_scopes,
            name=name,
            dpop="off" if self._dpop is None else dpop,
        )
        self._challenges = Challenges(self._documents, scopes=self._challenge_scopes, dpop=dpop)
        self._sessions = SessionOwners()
        self._streams = Streams()
        self._reporter = reporter

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
        principal: Principal | None = None
        began_at = time.monotonic()
        try:
            principal, headers, recheck = await self._authenticate(request)
            self._check_scopes(request, principal, self._required_scopes)
            self._check_session(request, principal)
            inspected = await self._inspector.inspect(request, principal, receive)
            if time.monotonic() - began_at > RECHECK_SECONDS:
                await self._check_again(request, principal, recheck)
        except Refused as refused:
            self._report(request, principal, refused)
            await refused.answer.send(request, send, more=cors)
            return
        except Disconnected:
            # Some servers say the same of chunks they cannot parse, and that client still waits for an answer.
            with suppress(OSError):
                await build_text(400, "The body is incomplete.").send(request, send, more=cors)
            return
        self._report(request, principal)
        send = self._watch(request, principal, send, [*cors, *headers])
        await self._serve(request, principal, inspected, send, recheck)

    async def _serve(
        self, request: Request, principal: Principal, inspected: Inspected, send: Send, recheck: Recheck
    ) -> None:
        """Let the app answer, for as long as the token is good, and with the tools that are the principal's."""
        scope = self._build_scope(request, principal)
        if inspected.request_id is not None:
            scope[REQUEST_ID] = inspected.request_id
        if self._filters_lists and inspected.may_bring_list and request.method != "HEAD":
            if inspected.lists_tools and self._catalogue is not None and not self._catalogue.is_read:
                await self._catalogue.refresh()  # before that, no tool may be shown
            scope["headers"] = [header for header in scope["headers"] if header[0].lower() != b"accept-encoding"]
            scope["extensions"] = _without_files(scope.get("extensions"))
            send = ListingSend(send, partial(self._choose_tools, principal))
        await self._streams.serve(
            self._app, scope, inspected.receive, send, recheck=recheck, expires_at=principal.expires_at
        )

    def _answer_publicly(self, request: Request) -> Answer | None:
        """What is answered to anybody: metadata, preflights, and refusals that a token would not change."""
        if not self._neighbours.allows_host(request.values("host")):
            return build_text(421, "This server is not reached under that host name. See allowed_hosts.")
        document = self._documents.answer(request)
        if document is not None:
            return document
        if not self._neighbours.allows_origin(request.values("origin")):
            return build_text(403, "Pages of that origin may not call this server. See allowed_origins.", NO_STORE)
        if request.method == "OPTIONS":
            preflight = build_preflight(request, methods=_METHODS)
            return Answer(preflight.status, (*preflight.headers, *build_cors(request)))
        return None

    def _build_gate(self, dpop: DpopMode, nonce_key: bytes | None) -> DpopGate | None:
        if dpop not in get_args(DpopMode):
            raise ValueError(f"dpop must be off, accepted or required, not {dpop!r}.")
        if dpop == "off":
            return None
        if not isinstance(self._verifier, BoundTokenVerifier):
            if dpop == "required" or nonce_key is not None:
                raise ValueError("dpop needs a verifier with verify_bound.")
            return None
        return DpopGate(
            verifier=self._verifier, resource=self._resource, endpoints=self._endpoints, nonce_key=nonce_key
        )

    async def _authenticate(self, request: Request) -> tuple[Principal, list[Header], Recheck]:
        """The principal of the request, headers for its answer, and how to ask whether its token is still good.

        All that before anything of its body is read.

        Spec: RS-02, RS-15, RS-19, TRN-15
        """
        scheme = "bearer"
        try:
            credentials = parse_access_token(request.values("authorization"), schemes=self._schemes)
            if credentials is None:
                raise Refused(self._challenges.invite(request))
            scheme, token = credentials
            return await self._verify(request, scheme, token)
        except OAuthError as refusal:
            raise Refused(self._challenges.refuse(request, refusal, scheme=scheme), refusal.reason) from None

    async def _verify(self, request: Request, scheme: str, token: str) -> tuple[Principal, list[Header], Recheck]:
        """Ask the verifier, and be sure that it is set up for this resource. Raises `OAuthError`."""
        with _in_words():
            if scheme == "dpop" and self._dpop is not None:
                principal, headers, recheck = await self._dpop.admit(request, token)
            else:
                principal, headers, recheck = await self._verify_bearer(token), [], partial(self._verify_bearer, token)
            if principal.issuer != self._issuer or not same_resource(principal.audience, self._resource):
                raise InvalidToken("the verifier is set up for another issuer or resource")
        return principal, headers, recheck

    async def _check_again(self, request: Request, principal: Principal, recheck: Recheck) -> None:
        """Refuse a request whose token ended while its body was on its way. Spec: RS-02, I3"""
        try:
            with _in_words():
                await recheck()
        except OAuthError as refusal:
            scheme = "bearer" if principal.jkt is None else "dpop"
            raise Refused(self._challenges.refuse(request, refusal, scheme=scheme), refusal.reason) from None

    async def _verify_bearer(self, token: str) -> Principal:
        """The principal of a token that is bound to no key, whatever the verifier thinks of it. Spec: RS-13, DPOP-07"""
        if self._dpop_required:
            raise OAuthError(INVALID_TOKEN, "This server takes access tokens that are bound by DPoP only.", status=401)
        principal = await self._verifier.verify(token)
        if principal.jkt is not None or principal.claims.get("cnf") is not None:
            raise InvalidToken("the verifier takes a token that is bound to a key for a bearer token")
        return principal

    def _check_scopes(self, request: Request, principal: Principal, needed: Iterable[str]) -> None:
        """Refuse what the token's scopes do not cover."""
        if not principal.has_scopes(needed):
            self._refuse_scopes(request, principal, needed)

    def _refuse_scopes(self, request: Request, principal: Principal, needed: Iterable[str]) -> NoReturn:
        """Refuse, naming needed and held scopes: clients ask for just that. Spec: STEP-01 … STEP-04"""
        error = OAuthError(INSUFFICIENT_SCOPE, "This needs scopes that the access token does not carry.", status=403)
        scheme = "bearer" if principal.jkt is None else "dpop"
        scope = union(principal.scopes, needed)
        reason = f"insufficient_scope: holds {' '.join(principal.scopes)}, needs {' '.join(needed)}"
        raise Refused(self._challenges.refuse(request, error, scheme=scheme, scope=scope), reason)

    def _report(self, request: Request, principal: Principal | None, refused: Refused | None = None) -> None:
        """Tell the operator's timeline: who was invited, who got in, who did not and why."""
        if self._reporter is None:
            return
        status = refused.answer.status if refused is not None else 200
        invited = refused is not None and status == 401 and not refused.reason
        client = request.scope.get("client")
        self._reporter.report(
            Report(
                step="challenge" if invited else "call",
                outcome="ok" if invited or refused is None else "failed" if status >= 500 else "refused",
                source=str(client[0]) if client else "",
                agent=request.value("user-agent")[:200],
                reason="" if invited or refused is None else refused.reason or f"{status}",
                client_id=principal.client_id if principal else None,
                grant_id=principal.claims.get("grant_id") if principal else None,
                user_id=principal.subject if principal else None,
            )
        )

    def _check_session(self, request: Request, principal: Principal) -> None:
        """Answer for another's session as for one that does not exist. Spec: STA-01; T13"""
        values = request.values(_SESSION_ID)
        if len(values) > 1 or values != request.spellings(_SESSION_ID):
            raise Refused(build_text(400, "Send one Mcp-Session-Id header."))
        if not values:
            return
        if not is_session_id(values[0]) or not self._sessions.admits(values[0], principal.identity):
            raise Refused(build_text(404, "Session not found"))

    def _choose_tools(self, principal: Principal, members: list[Any]) -> list[Any]:
        """The tools of a list that are shown to `principal`. Spec: RS-11"""
        if self._policy is None:
            return members
        if self._catalogue is not None:
            self._catalogue.note_list(members)
        return self._policy.choose(members, principal)

    def _build_scope(self, request: Request, principal: Principal) -> Scope:
        """The scope for the app: with the principal, and under the one path it knows, so that it never redirects."""
        scope = dict(request.scope)
        scope[PRINCIPAL] = principal
        scope[STEP_UP] = partial(self._step_up, request, principal)
        if request.path in self._endpoints:
            scope["path"] = self._app_path
            scope["raw_path"] = quote(self._app_path).encode("ascii")
        return scope

    async def _step_up(self, request: Request, principal: Principal, needed: Iterable[str], send: Send) -> bool:
        try:
            self._check_scopes(request, principal, needed)
        except Refused as refused:
            self._report(request, principal, refused)
            await refused.answer.send(request, send)
            return True
        return False

    def _watch(self, request: Request, principal: Principal, send: Send, more: list[Header]) -> Send:
        """A `send` that passes everything on at once, adds our headers, and notes whose session it was."""

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [header for header in message.get("headers", ()) if header[0].lower() not in RESPONSE_HEADERS]
                self._note_session(request, principal, message["status"], kept)
                message = {**message, "headers": [*kept, *more]}
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


@contextmanager
def _in_words() -> Iterator[None]:
    """Makes what a verifier raises the `OAuthError` that a client is told."""
    try:
        yield
    except InvalidToken as refusal:
        _log.info("A token was refused: %s", refusal)
        text = "The access token is expired, revoked or not meant for this server."
        raise OAuthError(INVALID_TOKEN, text, status=401, reason=f"invalid_token: {refusal}") from None
    except VerifierUnavailable as outage:
        text = "The authorization server cannot be asked now. Try again shortly."
        retry_after = {"Retry-After": str(outage.retry_after)}
        raise OAuthError(TEMPORARILY_UNAVAILABLE, text, status=503, headers=retry_after, reason=str(outage)) from None


def _without_files(extensions: Mapping[str, Any] | None) -> dict[str, Any]:
    """The server's extensions but for those that send a file past us."""
    return {name: value for name, value in (extensions or {}).items() if name not in _FILE_EXTENSIONS}


def _spellings(path: str) -> tuple[str, str]:
    """A path with and without the slash at its end."""
    bare = path.rstrip("/")
    return bare, f"{bare}/"
