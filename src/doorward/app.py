"""Settings → ASGI app: wiring, dispatch, and the one place where errors become answers."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from typing import Any, Protocol
from urllib.parse import urlsplit

from doorward.admin.problems import NOT_FOUND, Problem, problem_response
from doorward.asgi import (
    BodyTooLarge,
    BodyTooSlow,
    Disconnected,
    Lifespan,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    json_response,
)
from doorward.core.models import DEFAULT_SLUG
from doorward.core.secrets import new_reference
from doorward.core.timeline import TimelineEvent
from doorward.fetch import GuardedFetcher
from doorward.logs import log
from doorward.oauth.errors import SERVER_ERROR, TEMPORARILY_UNAVAILABLE, OAuthError
from doorward.oauth.jwt import VerificationKey, VerifiedClaims
from doorward.resource.reports import Repeats, Report
from doorward.resource.verifier import VerifierUnavailable
from doorward.routes import ROUTES, Route, find_route, is_admin
from doorward.server.context import Context, ProviderChannel
from doorward.server.discovery import DOCUMENTS, WELL_KNOWN, answer_well_known, not_found
from doorward.server.document_source import DocumentSource
from doorward.server.feed import Feed
from doorward.server.introspection import is_revoked
from doorward.server.jobs import run_jobs
from doorward.server.page_error import PageError
from doorward.server.password_checker import PasswordChecker
from doorward.server.recent_decisions import RecentDecisions
from doorward.server.reports import note_answer, note_refusal
from doorward.server.tenancy import ProjectView, Tenancy, split_path
from doorward.server.timeline import Timeline
from doorward.server.verified_tokens import VerifiedTokens
from doorward.settings import Settings, is_loopback_host
from doorward.storage.database import StorageUnavailable, Transaction
from doorward.storage.opening import Store
from doorward.web.pages import render_error
from doorward.web.static import PREFIX as STATIC_PREFIX
from doorward.web.static import answer_static

MAX_PROVIDER_DOCUMENT_BYTES = 64 * 1024
"""Metadata of identity providers lists all that they have ever supported."""
CLOSE_SECONDS = 8
"""How long what is mounted may take to end: a command that ignores every hint is given six."""
_CORS = (
    ("access-control-allow-origin", "*"),
    ("access-control-expose-headers", "WWW-Authenticate, Retry-After, DPoP-Nonce"),
)
_PREFLIGHT = (
    *_CORS,
    ("access-control-allow-headers", "Authorization, Content-Type, DPoP, MCP-Protocol-Version, Mcp-Session-Id"),
    ("access-control-max-age", "86400"),
)


class Mounted(Protocol):
    """An app served beside the authorization server, with what must run around it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""

    def lifespan(self) -> contextlib.AbstractAsyncContextManager[None]:
        """What runs as long as the server does."""


def check_mount(path: str) -> None:
    """Refuse a path under which an app would take addresses of the authorization server away. Raises `ValueError`."""
    if not path.startswith("/") or path.endswith("/"):
        raise ValueError(f"{path!r} must be a path below the root, such as /mcp.")
    documents = (f"{WELL_KNOWN}{name}" for name in DOCUMENTS)
    own = (*ROUTES, *documents, STATIC_PREFIX, "/livez", "/readyz", "/p/")
    if any(f"{address}/".startswith(f"{path}/") for address in own):
        raise ValueError(f"{path!r} is where the authorization server itself answers; choose another path.")


def build_context(
    settings: Settings,
    store: Store,
    clock: Callable[[], int] | None = None,
    fetcher: GuardedFetcher | None = None,
) -> Context:
    """The parts of a server over an open store."""
    clock = clock or (lambda: int(time.time() * 1000))
    tenancy = Tenancy(store.database, store.vault, settings.public_url, clock)
    to_providers = fetcher or build_provider_fetcher(settings)
    return Context(
        settings=settings,
        database=store.database,
        vault=store.vault,
        refresh_tokens=store.refresh_tokens,
        sealer=store.sealer,
        documents=DocumentSource(fetcher or build_fetcher(settings), clock, max_bytes=settings.cimd.max_bytes),
        providers=ProviderChannel(
            to_providers, DocumentSource(to_providers, clock, max_bytes=MAX_PROVIDER_DOCUMENT_BYTES)
        ),
        form_key=store.form_key,
        tenancy=tenancy,
        timeline=Timeline(store.database),
        verified_tokens=VerifiedTokens(),
        passwords=PasswordChecker(),
        recent_decisions=RecentDecisions(),
        feed=Feed(store.database, tenancy, clock),
        clock=clock,
    )


def build_fetcher(settings: Settings) -> GuardedFetcher:
    """The guard that everything strangers name is fetched with."""
    cimd = settings.cimd
    return GuardedFetcher(allow_cidrs=cimd.allow_cidrs, trust=cimd.ca_file or None, proxy=cimd.proxy or None)


def build_provider_fetcher(settings: Settings) -> GuardedFetcher:
    """The same guard for identity providers, which may be in networks that operators name for them."""
    cimd, upstream = settings.cimd, settings.upstream
    return GuardedFetcher(
        allow_cidrs=(*cimd.allow_cidrs, *upstream.allow_cidrs),
        trust=upstream.ca_file or cimd.ca_file or None,
        proxy=cimd.proxy or None,
    )


class Doorward:
    """The authorization server as an ASGI app; `mounts` are apps on the same origin, at their paths and below them."""

    def __init__(self, context: Context, mounts: Mapping[str, Mounted] | None = None) -> None:
        for path in mounts or {}:
            check_mount(path)
        self.context = context
        self._mounts = dict(sorted((mounts or {}).items(), reverse=True))
        host = urlsplit(context.settings.public_url).hostname or ""
        self._only_loopback = is_loopback_host(host)
        self._in_flight = 0
        self._lifespan = Lifespan(self.running)

    @property
    def is_busy(self) -> bool:
        """Whether a request is being answered; those of mounted apps, which may be streams without end, aside.

        A mounted app that can tell its streams from its calls says so itself.
        """
        return self._in_flight > 0 or any(getattr(mounted, "is_busy", False) for mounted in self._mounts.values())

    def wind_down(self) -> None:
        """Answer those who wait for news of revocations now."""
        self.context.feed.close()

    async def close(self) -> None:
        """End the mounted apps, and close the database, once nothing is asked of them any more."""
        await self._lifespan.end(within=CLOSE_SECONDS)
        await self.context.database.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._lifespan.run(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the periodic jobs and the mounted apps, and at the end finish what the database accepted."""
        async with AsyncExitStack() as stack:
            for mounted in self._mounts.values():
                await stack.enter_async_context(mounted.lifespan())
            await self.context.tenancy.find()  # known from the first request on, to those who cannot wait for it
            beside = [asyncio.create_task(run_jobs(self.context)), asyncio.create_task(self.context.timeline.run())]
            try:
                yield
            finally:
                for task in beside:
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
        await self.context.database.close()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope["path"])
        for mount, mounted in self._mounts.items():
            if path == mount or path.startswith(f"{mount}/"):
                await mounted(scope, receive, send)
                return
        request = Request(scope, receive, path=path, now=self.context.clock(), reference=new_reference())
        self._in_flight += 1
        try:
            response = await self._answer(request)
            response.set("x-request-id", request.reference)
            await response.send(send, head=request.method == "HEAD")
        finally:
            self._in_flight -= 1

    async def _answer(self, request: Request) -> Response:
        if request.is_ambiguous:
            problem = "A header that says where the request ends or whom it is for is repeated."
            return _problem(OAuthError("invalid_request", problem, status=400), request)
        if not self._is_for_us(request):
            return json_response({"error": "misdirected_request"}, status=421)
        if WELL_KNOWN in request.path and not is_admin(request.path):
            return await self._answer_public(request)
        if request.path.startswith(STATIC_PREFIX):
            return answer_static(request.path) or not_found()
        if request.path in ("/livez", "/readyz"):
            return await self._answer_health(request.path)
        slug, request.path = split_path(request.path)
        route = find_route(request.path)
        if route is None or (slug == DEFAULT_SLUG and request.scope["path"].startswith("/p/")):
            return not_found()
        response = await self._answer_route(route, slug, request)
        if route.cors:
            response.headers.extend(_CORS)
        return response

    async def _answer_route(self, route: Route, slug: str, request: Request) -> Response:
        if request.method == "OPTIONS" and route.cors:
            methods = ("access-control-allow-methods", ", ".join(route.methods))
            return Response(204, b"", [*_PREFLIGHT[len(_CORS) :], methods])
        endpoint = route.methods.get("GET" if request.method == "HEAD" else request.method)
        if endpoint is None:
            refusal = OAuthError("invalid_request", "Method not allowed.", status=405)
            return _refuse(route, refusal, request, {"allow": _allow(route)})
        request.body_limit = route.body_limit
        view: ProjectView | None = None
        try:
            view = await self.context.tenancy.find(slug)
            if view is None:
                missing = Problem(NOT_FOUND, "There is no such project.")
                return problem_response(missing, request) if route.problems else not_found()
            request.learn(project_id=view.project.project_id)
            response = await endpoint(self.context, view, request)
        except Exception as error:  # noqa: BLE001  # the one place where errors become answers
            note_refusal(self.context, request, route.step, error)
            return _answer_safely(error, route, view, request)
        note_answer(self.context, request, route.step, response)
        return response

    async def _answer_public(self, request: Request) -> Response:
        """Well-known documents: anybody, from anywhere, never an error other than 404 or 405."""
        if request.method == "OPTIONS":
            methods = ("access-control-allow-methods", "GET")
            return Response(204, b"", [*_PREFLIGHT, methods])
        if request.method not in ("GET", "HEAD"):
            refusal = OAuthError("invalid_request", "Method not allowed.", status=405)
            return _problem(refusal, request, {"allow": "GET, HEAD"})
        try:
            response = await answer_well_known(self.context, request)
            note_answer(self.context, request, None, response)
        except StorageUnavailable as error:
            response = _problem(_unavailable(error, request), request)
        response.headers.extend(_CORS)
        return response

    async def _answer_health(self, path: str) -> Response:
        """`/livez`: the process answers. `/readyz`: it can also serve, with keys and a writable database (I14).

        A mounted app that can tell whether what it stands for is reached has a `check` that does.
        """
        try:
            ready = path == "/livez" or await self._is_ready()
        except (StorageUnavailable, ValueError):
            ready = False
        return json_response({"status": "ok" if ready else "unavailable"}, status=200 if ready else 503)

    async def _is_ready(self) -> bool:
        await self.context.database.write(_write_nothing)
        if await self.context.tenancy.find() is None:
            return False
        checks = [check for mounted in self._mounts.values() if (check := getattr(mounted, "check", None)) is not None]
        return all([await check() for check in checks])

    def _is_for_us(self, request: Request) -> bool:
        """On a loopback server only loopback host names are answered, so that no web page can rebind its way in."""
        if not self._only_loopback:
            return True
        try:
            host = urlsplit(f"//{request.header('host')}").hostname or ""
        except ValueError:
            return False
        return is_loopback_host(host)


class LocalKeys:
    """The keys of this very server, for a resource that is served beside it."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def find(self, kid: str) -> VerificationKey | None:
        """The key named `kid`. Raises `VerifierUnavailable` while the database is away."""
        try:
            view = await self._context.tenancy.find()
        except StorageUnavailable as error:
            raise VerifierUnavailable(str(error)) from error
        return view.keys.get(kid) if view else None


class LocalReporter:
    """Takes the reports of a resource that is served beside this very server."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._repeats = Repeats()

    def report(self, report: Report) -> None:
        """Note what the resource saw."""
        view = self._context.tenancy.latest()
        if view is not None and self._repeats.is_new(report):
            project_id, now = view.project.project_id, self._context.clock()
            if self._context.timeline.has_room(project_id, report.step, report.outcome, report.source, now):
                self._context.timeline.note(project_id, TimelineEvent(at=now, **asdict(report)))


class LocalRevocations:
    """What this very server has revoked, asked for at every call."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def is_revoked(self, claims: Mapping[str, Any]) -> bool:
        """Whether the token was ended before its time. Raises `VerifierUnavailable` while the database is away."""
        try:
            view = await self._context.tenancy.find()
            return view is None or await is_revoked(self._context, view, VerifiedClaims(claims))
        except StorageUnavailable as error:
            raise VerifierUnavailable(str(error)) from error


def _answer_safely(error: Exception, route: Route, view: ProjectView | None, request: Request) -> Response:
    """The answer to an error, told in the log and in plain JSON when even its page fails."""
    try:
        return _answer_error(error, route, view, request)
    except Exception as second:  # noqa: BLE001  # nothing else stands between this and a bare failure
        log.error("an error page failed", reference=request.reference, path=request.path, exc_info=second)
        return _refuse(route, OAuthError(SERVER_ERROR, "Something failed here.", status=500), request)


async def _write_nothing(_: Transaction) -> None:
    """Takes the right to write and gives it back: no page is touched, so nothing has to reach the disk."""


def _answer_error(error: Exception, route: Route, view: ProjectView | None, request: Request) -> Response:
    if isinstance(error, PageError) and view is not None:
        return render_error(view, error, reference=request.reference)
    if isinstance(error, BodyTooLarge):
        error = OAuthError("invalid_request", "The body is too large.", status=413)
    if isinstance(error, BodyTooSlow):
        error = OAuthError("invalid_request", "The body took too long.", status=408)
    if isinstance(error, Disconnected):
        # Usually nobody is left to read this; a client whose chunks cannot be parsed still is.
        error = OAuthError("invalid_request", "The body is incomplete.", status=400)
    if isinstance(error, StorageUnavailable):
        error = _unavailable(error, request)
    if not isinstance(error, OAuthError):
        log.error("unexpected error", reference=request.reference, path=request.path, exc_info=error)
        error = OAuthError(SERVER_ERROR, "Something failed here.", status=500)
    if route.html and view is not None:
        page = PageError("That did not work", error.description, status=error.status)
        response = render_error(view, page, reference=request.reference)
        response.headers.extend(error.headers.items())
        return response
    return _refuse(route, error, request)


def _refuse(route: Route, error: OAuthError, request: Request, headers: Mapping[str, str] | None = None) -> Response:
    """The refusal in what programs are answered with at an address."""
    if route.problems:
        return problem_response(error, request, headers)
    return _problem(error, request, headers)


def _unavailable(error: StorageUnavailable, request: Request) -> OAuthError:
    """503 for a fault of ours, never an answer that makes a client drop its tokens. Spec: I11, complaint 40"""
    log.error("storage unavailable", reference=request.reference, reason=str(error))
    return OAuthError(TEMPORARILY_UNAVAILABLE, "Try again in a moment.", status=503, headers={"retry-after": "2"})


def _problem(error: OAuthError, request: Request, headers: Mapping[str, str] | None = None) -> Response:
    """The error as JSON, with the reference under which the operator's timeline tells the whole reason."""
    body = error.body()
    if request.reference not in body["error_description"]:
        body["error_description"] += f" (reference {request.reference})"
    response = json_response(body, status=error.status)
    response.headers.extend({**error.headers, **(headers or {})}.items())
    return response


def _allow(route: Route) -> str:
    methods = [*route.methods, *(["HEAD"] if "GET" in route.methods else []), *(["OPTIONS"] if route.cors else [])]
    return ", ".join(methods)
