"""The reverse proxy's way to an MCP server behind it, over HTTP. Needs aiohttp (`pip install doorward[proxy]`).

Stands behind `ProtectMCP`, which has authenticated the request and checked what it asks for; here it only has to reach
the server unchanged, without anything that is not that server's business, and its answer the client.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack, asynccontextmanager, suppress
from ssl import SSLContext

import aiohttp

from .asgi import (
    Answer,
    Disconnected,
    Receive,
    Refused,
    Request,
    Scope,
    Send,
    build_header,
    build_rpc_error,
    build_text,
    refuse_websocket,
)
from .forward_body import Exchange, UntilGone, read_body
from .forward_headers import build_response_headers, is_event_stream
from .forward_target import SESSION_PARAMETER, Addresses, Unmappable
from .forward_upstream import Upstream, refuse
from .identity import IdentitySigner
from .legacy_sse import EndpointRewriter, MessageEndpoints
from .middleware import PRINCIPAL, REQUEST_ID
from .principal import Principal
from .stream_limits import MAX_STREAMS, MAX_STREAMS_OF_A_PERSON, StreamLimits

# All that MCP has. TRACE would bring the operator's own headers to whoever asks, and others are read as somebody likes.
_METHODS = ("GET", "HEAD", "POST", "DELETE")
_NO_SUCH_METHOD = build_text(405, "MCP has no such method.", build_header("allow", ", ".join(_METHODS)))


class UpstreamBroken(Exception):  # noqa: N818  # the other end's doing
    """The server behind broke off in the middle of its answer; the client's connection must end without an end, too."""


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
        self._drain_seconds = drain_seconds
        self._limits = StreamLimits(per_person=streams_of_a_person, overall=streams)
        self._endpoints = MessageEndpoints()
        self._open: dict[Exchange, asyncio.Task[None]] = {}  # a task may have several, one within another
        self._is_serving = False
        self.identity = identity or IdentitySigner()
        """Signs who calls; its `jwks` is for the server behind."""
        self._upstream = Upstream(
            self._addresses,
            resource=resource,
            identity=self.identity,
            credentials=headers or {},
            user_header=user_header,
            response_seconds=response_seconds,
            ssl_context=ssl_context,
        )

    @property
    def described(self) -> str:
        """What it stands for, for the log: the server's URL without what may be secret in it."""
        return self._addresses.audience

    @property
    def is_busy(self) -> bool:
        """Whether a call is being answered; streams, which may have no end, aside."""
        return any(not exchange.is_stream for exchange in self._open)

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
            await self._tell(refused, scope).send(request, send)
        except Disconnected:
            # Some servers say the same of chunks they cannot parse, and that client still waits for an answer.
            with suppress(OSError):
                await build_text(400, "The body is incomplete.").send(request, send)

    @staticmethod
    def _tell(refused: Refused, scope: Scope) -> Answer:
        """The answer in the server's place: to a call, as the error of that call, which clients show."""
        answer, request_id = refused.answer, scope.get(REQUEST_ID)
        if answer.status < 500 or request_id is None:
            return answer
        kept = [header for header in answer.headers if header[0] != b"content-type"]
        return build_rpc_error(answer.status, answer.status, refused.reason, request_id, *kept)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Requests are served while it is open; at its end, calls may finish within the grace and streams are cut."""
        async with self._upstream.connected():
            self._is_serving = True
            try:
                yield
            finally:
                self._is_serving = False
                await self._drain()

    async def check(self) -> bool:
        """Whether the server behind can be reached: it takes a connection within three seconds."""
        return await self._upstream.check()

    async def _drain(self) -> None:
        calls = {task for exchange, task in self._open.items() if not exchange.is_stream}
        if calls:
            await asyncio.wait(calls, timeout=self._drain_seconds)
        rest = set(self._open.values())
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest, timeout=1)

    async def _serve(self, request: Request, principal: Principal, receive: Receive, send: Send) -> None:
        if not self._is_serving:
            refuse(503, "temporarily_unavailable", "The server is stopping. Try again shortly.", retry=True)
        if request.method not in _METHODS:
            raise Refused(_NO_SUCH_METHOD)
        url = self._find_target(request, principal)
        exchange = Exchange(request, principal, await read_body(receive))
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("A Forwarder runs on asyncio.")
        self._open[exchange] = task
        try:
            async with UntilGone(receive, exchange.body):
                answer, url = await self._upstream.ask(exchange, url)
                try:
                    await self._pass_on(exchange, answer, url, send)
                finally:
                    answer.close()
        finally:
            del self._open[exchange]

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
        if url is None or (token is None and self._is_of_a_stream(url, is_endpoint=is_endpoint)):
            raise Refused(build_text(404, "Session not found"))
        return url

    def _is_of_a_stream(self, url: str, *, is_endpoint: bool) -> bool:
        """Whether messages for somebody's stream go there, which only who was told may send. Spec: STA-01; T13"""
        if is_endpoint:
            return self._endpoints.names_stream(url, parameters=self._addresses.parameters(url))
        return self._endpoints.holds(url)

    async def _pass_on(self, exchange: Exchange, answer: aiohttp.ClientResponse, url: str, send: Send) -> None:
        """The answer to the client, as it comes."""
        headers = build_response_headers(answer.raw_headers, location=self._upstream.find_location(answer, url))
        with ExitStack() as stack:
            rewriter = None
            if exchange.is_stream and is_event_stream(headers) and "Content-Encoding" not in answer.headers:
                rewriter = EndpointRewriter(self._build_publish(exchange, url, stack.enter_context))
            exchange.body.is_answered = True
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            try:
                await _pump(answer.content, send, rewriter)
            except UpstreamBroken as broken:
                self._upstream.note(f"broke off in the middle of an answer ({broken})")
                raise

    def _build_publish(
        self, exchange: Exchange, url: str, hold: Callable[[AbstractContextManager[str]], str]
    ) -> Callable[[str], str]:
        """What makes a message URL of the server behind one of ours, for as long as the stream is open."""

        def publish(announced: str) -> str:
            target = self._addresses.resolve_announced(announced, url)
            token = hold(
                self._endpoints.announced(
                    target, exchange.principal.identity, parameters=self._addresses.parameters(target)
                )
            )
            return f"{self._addresses.public_endpoint}?{SESSION_PARAMETER}={token}"

        return publish


async def run_lifespan(lifespan: Callable[[], AbstractAsyncContextManager[None]], receive: Receive, send: Send) -> None:
    """ASGI's lifespan protocol around a context."""
    await receive()
    async with lifespan():
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def _pump(content: aiohttp.StreamReader, send: Send, rewriter: EndpointRewriter | None) -> None:
    """Send on what has come, whenever something has; the next is read when the client has taken it.

    Raises `UpstreamBroken`.
    """
    more = True
    while more:
        try:
            chunk = await content.readany()
            more = not content.at_eof()
            if rewriter is not None:
                chunk = rewriter.feed(chunk) + (b"" if more else rewriter.finish())
        except (aiohttp.ClientError, OSError, Unmappable) as error:
            raise UpstreamBroken(type(error).__name__) from None
        if chunk or not more:
            await send({"type": "http.response.body", "body": chunk, "more_body": more})
