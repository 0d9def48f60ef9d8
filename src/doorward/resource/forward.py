"""The reverse proxy's way to an MCP server behind it, over HTTP. Needs aiohttp (`pip install doorward[proxy]`).

Stands behind `ProtectMCP`, which has authenticated the request and checked what it asks for; here it only has to reach
the server unchanged, without anything that is not that server's business, and its answer the client.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from ssl import SSLContext
from typing import NoReturn

import aiohttp
from yarl import URL

from .asgi import (
    Disconnected,
    Receive,
    Refused,
    Request,
    Scope,
    Send,
    build_header,
    build_json,
    build_text,
    refuse_websocket,
)
from .challenges import NO_STORE
from .forward_body import Body, UntilGone, read_body
from .forward_headers import RequestHeaders, build_response_headers, is_event_stream
from .forward_target import SESSION_PARAMETER, Addresses, Unmappable
from .identity import IdentitySigner
from .legacy_sse import EndpointRewriter, MessageEndpoints
from .middleware import PRINCIPAL
from .principal import Principal
from .stream_limits import MAX_STREAMS, MAX_STREAMS_OF_A_PERSON, StreamLimits

_CONNECT_SECONDS = 10.0
_CHECK_SECONDS = 3.0
_KEEPALIVE_SECONDS = 4.0
"""Shorter than the 5 s after which common servers close what is idle: no call is sent into a connection that ends."""
_MAX_HEADER_BYTES = 16 * 1024
_MAX_HEADERS = 128
_NO_AUTO_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_RETRY_AFTER = build_header("retry-after", "5")

_log = logging.getLogger("doorward.resource")


class UpstreamBroken(Exception):  # noqa: N818  # the other end's doing
    """The server behind broke off in the middle of its answer; the client's connection must end without an end, too."""


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One request on its way."""

    request: Request
    principal: Principal
    body: Body

    @property
    def is_stream(self) -> bool:
        """Whether the answer may have no end of its own: it then waits for nobody when the process stops."""
        return self.request.method == "GET"


class Forwarder:
    """An ASGI app that is an MCP server elsewhere: what `ProtectMCP` lets through, it passes on, streams and all.

    `upstream` is the server's URL, `resource` the public one that the guard has, too; the path of the one is the path
    of the other, and nothing beside it can be reached. `headers` are the operator's own for the server behind, a
    credential for instance: they go to the origin of `upstream` and nowhere else, no redirect is followed away from
    it, and they are never logged. Who calls is told in a signed header, `Doorward-Identity`, and with `user_header`
    also in plain words in `X-Forwarded-User`, which a server may only believe that nobody else can reach.

    `response_seconds` is how long an answer may take to begin. A client that leaves ends the exchange behind; a server
    behind that breaks off ends the client's connection without an end. A 401 of the server behind is never passed on:
    it is about our credential, and clients would throw theirs away. Runs on asyncio, inside `lifespan`. Raises
    `ValueError` for settings that cannot be right.

    Spec: RFC 9110 §7; RFC 9700 §4.13; MCP Transports (RS-04, TRN-08 … TRN-11); T10, T46, T47, T48
    """

    def __init__(  # noqa: PLR0913  # each is an independent fact about the server behind, and keyword-only
        self,
        upstream: str,
        *,
        resource: str,
        identity: IdentitySigner | None = None,
        headers: Mapping[str, str] | None = None,
        user_header: bool = False,
        response_seconds: float = 300.0,
        drain_seconds: float = 10.0,
        streams_of_a_person: int = MAX_STREAMS_OF_A_PERSON,
        streams: int = MAX_STREAMS,
        ssl_context: SSLContext | None = None,
    ) -> None:
        self._addresses = Addresses(resource=resource, upstream=upstream)
        self._resource = resource
        self._headers = RequestHeaders(resource=resource, credentials=headers or {})
        self._user_header = user_header
        self._response_seconds = response_seconds
        self._drain_seconds = drain_seconds
        self._limits = StreamLimits(per_person=streams_of_a_person, overall=streams)
        self._ssl_context = ssl_context
        self._endpoints = MessageEndpoints()
        self._session: aiohttp.ClientSession | None = None
        self._open: dict[asyncio.Task[None], _Exchange] = {}
        self._is_stopping = False
        self.identity = identity or IdentitySigner()
        """Signs who calls; its `jwks` is for the server behind."""

    @property
    def is_busy(self) -> bool:
        """Whether a call is being answered; streams, which may have no end, aside."""
        return any(not exchange.is_stream for exchange in self._open.values())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection that the guard has let through."""
        if scope["type"] == "lifespan":
            await run_lifespan(self.lifespan, receive, send)
            return
        if scope["type"] != "http":
            await refuse_websocket(receive, send)
            return
        principal = scope.get(PRINCIPAL)
        if not isinstance(principal, Principal):
            raise RuntimeError("A Forwarder must stand behind ProtectMCP: this request was checked by nobody.")
        request = Request(scope)
        try:
            with self._limits.admit(principal):
                await self._serve(request, principal, receive, send)
        except Refused as refused:
            await refused.answer.send(request, send)
        except Disconnected:
            # Some servers say the same of chunks they cannot parse, and that client still waits for an answer.
            with suppress(OSError):
                await build_text(400, "The body is incomplete.").send(request, send)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Connections to the server behind while it is open; at its end, calls may finish and streams are cut."""
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_SECONDS, ssl=self._ssl_context or True)
        async with aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=None),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=_NO_AUTO_HEADERS,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
            max_headers=_MAX_HEADERS,
        ) as session:
            self._session, self._is_stopping = session, False
            try:
                yield
            finally:
                await self._drain()
                self._session = None

    async def check(self) -> bool:
        """Whether the server behind can be reached: it takes a connection within three seconds."""
        upstream = self._addresses.upstream
        port = upstream.port or (443 if upstream.scheme == "https" else 80)
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                _, writer = await asyncio.open_connection(upstream.hostname, port)
        except OSError:
            return False
        writer.close()
        return True

    async def _drain(self) -> None:
        """Let calls finish within the grace, and cut what is left."""
        self._is_stopping = True
        calls = {task for task, exchange in self._open.items() if not exchange.is_stream}
        if calls:
            await asyncio.wait(calls, timeout=self._drain_seconds)
        rest = set(self._open)
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest, timeout=1)

    async def _serve(self, request: Request, principal: Principal, receive: Receive, send: Send) -> None:
        if self._is_stopping or self._session is None:
            _refuse(503, "temporarily_unavailable", "The server is stopping. Try again shortly.", retry=True)
        url = self._find_target(request, principal)
        exchange = _Exchange(request, principal, await read_body(receive))
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("A Forwarder runs on asyncio.")
        self._open[task] = exchange
        try:
            async with UntilGone(receive, exchange.body):
                await self._exchange(self._session, exchange, url, send)
        finally:
            del self._open[task]

    def _find_target(self, request: Request, principal: Principal) -> str:
        """The URL at the server behind. Raises `Refused`."""
        is_endpoint = self._addresses.is_endpoint(request.path)
        try:
            token = self._addresses.find_session(request.scope) if is_endpoint else None
            if token is None:
                url: str | None = self._addresses.resolve(request.scope)
            else:
                url = self._endpoints.find(token, principal.identity)
        except Unmappable as problem:
            raise Refused(build_text(problem.status, str(problem)), str(problem)) from None
        if url is None or (not is_endpoint and self._endpoints.holds(url)):
            raise Refused(build_text(404, "Session not found"))
        return url

    async def _exchange(self, session: aiohttp.ClientSession, exchange: _Exchange, url: str, send: Send) -> None:
        answer = await self._ask(session, exchange, url)
        try:
            if exchange.body.is_whole and self._was_moved(exchange, answer, url):
                answer.close()
                url = self._addresses.resolve(exchange.request.scope)
                answer = await self._ask(session, exchange, url)
            await self._pass_on(exchange, answer, url, send)
        finally:
            answer.close()

    async def _ask(self, session: aiohttp.ClientSession, exchange: _Exchange, url: str) -> aiohttp.ClientResponse:
        """The answer of the server behind, once it began. Raises `Refused` when it did not."""
        request, principal = exchange.request, exchange.principal
        assertion = self.identity.sign(principal, resource=self._resource, upstream=self._addresses.audience)
        headers = self._headers.build(
            request,
            identity=assertion,
            user=principal.subject if self._user_header else None,
            readable=exchange.is_stream,
        )
        try:
            async with asyncio.timeout(self._response_seconds):
                return await session.request(
                    request.method,
                    URL(url, encoded=True),
                    headers=headers,
                    data=exchange.body.content(),
                    allow_redirects=False,
                )
        except TimeoutError:
            self._note("did not answer in time")
            _refuse(504, "gateway_timeout", "The server behind this address did not answer in time.")
        except aiohttp.ClientConnectorError as error:
            self._note(f"cannot be reached ({type(error).__name__})")
            _refuse(502, "bad_gateway", "The server behind this address cannot be reached now.", retry=True)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if exchange.body.is_broken:
                raise Disconnected from None
            self._note(f"broke off before its answer began ({type(error).__name__})")
            _refuse(502, "bad_gateway", "The server behind this address gave no answer that can be read.")

    def _was_moved(self, exchange: _Exchange, answer: aiohttp.ClientResponse, url: str) -> bool:
        """Whether the server behind only wants its URL with, or without, the slash at its end."""
        if answer.status not in {307, 308} or not self._addresses.is_endpoint(exchange.request.path):
            return False
        return self._addresses.adopt(answer.headers.get("Location", ""), url)

    async def _pass_on(self, exchange: _Exchange, answer: aiohttp.ClientResponse, url: str, send: Send) -> None:
        """The answer to the client, as it comes."""
        headers = build_response_headers(answer.raw_headers, location=self._find_location(answer, url))
        with ExitStack() as stack:
            rewriter = None
            if exchange.is_stream and is_event_stream(headers) and "Content-Encoding" not in answer.headers:
                rewriter = EndpointRewriter(self._build_publish(exchange, url, stack.enter_context))
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            try:
                await _pump(answer.content, send, rewriter)
            except (aiohttp.ClientError, OSError, Unmappable) as error:
                self._note(f"broke off in the middle of an answer ({type(error).__name__})")
                raise UpstreamBroken("the answer of the server behind is incomplete") from None

    def _find_location(self, answer: aiohttp.ClientResponse, url: str) -> str | None:
        """`Location` for the client, if any. Raises `Refused` for answers that say nothing to it."""
        if answer.status in {401, 407}:
            self._note(f"refused the credential it is called with ({answer.status})")
            text = "The server behind this address refused the credential it is called with: its operator has to act."
            _refuse(502, "bad_gateway", text)
        if answer.status < 200:
            _refuse(502, "bad_gateway", "The server behind this address gave no answer that can be read.")
        given = answer.headers.get("Location")
        if given is None:
            return None
        try:
            location = self._addresses.publish(given, url)
        except Unmappable:
            location = None
        if location is None:
            self._note("redirects to where no client can follow")
            _refuse(502, "bad_gateway", "The server behind this address redirects to where no client can follow.")
        return location

    def _build_publish(
        self, exchange: _Exchange, url: str, hold: Callable[[AbstractContextManager[str]], str]
    ) -> Callable[[str], str]:
        """What makes a message URL of the server behind one of ours, for as long as the stream is open."""

        def publish(announced: str) -> str:
            target = self._addresses.resolve_announced(announced, url)
            token = hold(self._endpoints.announced(target, exchange.principal.identity))
            return f"{self._addresses.public_endpoint}?{SESSION_PARAMETER}={token}"

        return publish

    def _note(self, what: str) -> None:
        _log.warning("The server behind at %s %s.", self._addresses.origin, what)


async def run_lifespan(lifespan: Callable[[], AbstractAsyncContextManager[None]], receive: Receive, send: Send) -> None:
    """ASGI's lifespan protocol around a context."""
    await receive()
    async with lifespan():
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def _pump(content: aiohttp.StreamReader, send: Send, rewriter: EndpointRewriter | None) -> None:
    """Send on what has come, whenever something has; the next is read when the client has taken it."""
    more = True
    while more:
        chunk = await content.readany()
        more = not content.at_eof()
        if rewriter is not None:
            chunk = rewriter.feed(chunk)
            if not more:
                chunk += rewriter.finish()
        if chunk or not more:
            await send({"type": "http.response.body", "body": chunk, "more_body": more})


def _refuse(status: int, error: str, text: str, *, retry: bool = False) -> NoReturn:
    """Answer in the place of the server behind, with nothing of what it said. Spec: RS-18"""
    more = (_RETRY_AFTER, NO_STORE) if retry else (NO_STORE,)
    raise Refused(build_json(status, {"error": error, "error_description": text}, *more), text)
