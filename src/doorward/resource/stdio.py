"""A server that talks on its standard streams, served as Streamable HTTP.

`StdioBridge` is an ASGI app for behind `ProtectMCP`, which authenticates. It needs the `mcp` package, for what the
revisions of the protocol are and for the checks of the newest one; transports are our own. The SDK's server transport
has one session for one connection, drops what it cannot place, cancels nothing when a client leaves and knows no
batches; its stateless half serves `Server` objects and no raw messages; its stdio client reads lines of any length and
tells neither that nor why a process ended.

It knows nothing of tokens and scopes: who may call what is for the guard to say.
"""

import asyncio
import hashlib
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from mcp.shared.inbound import InboundLadderRejection, classify_inbound_request
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION, MODERN_PROTOCOL_VERSIONS

from .asgi import (
    Answer,
    Disconnected,
    Receive,
    Refused,
    Request,
    Scope,
    Send,
    build_header,
    build_json,
    refuse_websocket,
)
from .middleware import PRINCIPAL
from .principal import Identity, Principal
from .stdio_calls import Calls
from .stdio_connection import Launch, StdioConnection
from .stdio_messages import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    Json,
    Posted,
    RequestId,
    build_error,
    is_request,
    params_of,
)
from .stdio_pool import CLIENT_INFO, HandshakeOnly, HandshakeRefused, ProcessPool, Unavailable
from .stdio_process import build_environment
from .stdio_requests import check_version, parse_accept, read_messages, refuse, refuse_version
from .stdio_sessions import Exchange, Place, Session, Sessions
from .stdio_streams import Outbox, noticing_the_end, send_answers, send_events
from .stream_limits import StreamLimits

ANONYMOUS = Principal(subject="", client_id="", issuer="", scopes=(), audience="", expires_at=0, claims={})
"""Everybody, where a shared process is served without a guard."""
MAX_REQUESTS_OF_A_PERSON = 200
_INVALID_PARAMS = -32602
_WITH_BATCHES = "2025-03-26"
_SESSION_ID = "mcp-session-id"
_METHODS = build_header("allow", "GET, POST, DELETE")
_SHARED_HANDSHAKE: Json = {"protocolVersion": LATEST_HANDSHAKE_VERSION, "capabilities": {}, "clientInfo": CLIENT_INFO}

_log = logging.getLogger("doorward.resource.stdio")


class StdioBridge:
    """Serves `command`, a program and its arguments, to many users: on every path, in every revision since 2025-03-26.

    Each user has processes of their own, one for each client of theirs: a server on standard streams takes all that it
    hears for one client's, with that client's capabilities, subscriptions and roots, and two clients of a person
    may hold different scopes. With `shared` there is one process for everybody, for servers that keep nothing of
    anybody; then the server cannot ask clients anything, and its log messages reach nobody. A server that knows
    2026-07-28 has a process more for each of these, since it decides by its first request which era it speaks.

    The command finds `env` in its environment beside a few harmless names, and nothing else of ours. A process ends
    after `idle_seconds` without a request and is started again by the next; what it kept in memory is gone then. A
    crash answers the requests it interrupts with an error. Over `max_processes`, or `max_processes_of_a_person`, the
    one that was idle longest goes; if all are at work, the answer is 503 with `Retry-After`. Nobody has more than 200
    requests and streams open at once. A client that leaves a request has it cancelled.

    Processes live within `lifespan`, which must be entered, by the app around or by the server. Raises `ValueError`
    for settings that cannot be right.

    Spec: MCP Transports of 2025-03-26 … 2026-07-28, Streamable HTTP and stdio (LEG-06, LEG-08, STA-01, TRN-11, TRN-12)
    """

    def __init__(  # each is an independent fact about the server, and keyword-only
        self,
        command: Sequence[str],
        *,
        shared: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        idle_seconds: float = 900,
        max_processes: int = 50,
        max_processes_of_a_person: int = 10,
        drain_seconds: float = 10.0,
    ) -> None:
        if isinstance(command, str) or not command or not command[0]:
            raise ValueError("command: give a program and its arguments, as a list.")
        if idle_seconds <= 0 or max_processes < 1 or max_processes_of_a_person < 1:
            raise ValueError("idle_seconds, max_processes and max_processes_of_a_person must be more than nothing.")
        self._program = command[0]
        self._shared = shared
        self._sessions = Sessions(on_end=self._end_session)
        extra = dict(env or {})
        self._pool = ProcessPool(
            Launch(tuple(command), build_environment(extra), cwd, tuple(extra.values())),
            sessions_at=self._sessions.at,
            idle_seconds=idle_seconds,
            max_processes=max_processes,
            max_of_a_person=max_processes_of_a_person,
        )
        self._limits = StreamLimits(per_person=MAX_REQUESTS_OF_A_PERSON)
        self._drain_seconds = drain_seconds
        self._calls = Calls()
        self._is_running = False
        self._is_stopping = False

    @property
    def processes(self) -> int:
        """How many processes there are now."""
        return self._pool.processes

    @property
    def described(self) -> str:
        """What it stands for, for the log: the program alone, since arguments may be secret."""
        return f"the command {self._program}"

    @property
    def is_busy(self) -> bool:
        """Whether a call is being answered; streams, which may have no end, aside."""
        return bool(self._calls)

    async def check(self) -> bool:
        """Whether the command can be used, as far as is known: its last start went well, or some of it runs."""
        return not self._pool.is_failing

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """What runs as long as the server does; at its end no process is left, and every stream has ended.

        Calls may finish within `drain_seconds` before that; no more are taken meanwhile.
        """
        async with self._pool.running():
            self._is_running, self._is_stopping = True, False
            forgetting = asyncio.create_task(self._end_idle_sessions())
            try:
                yield
            finally:
                self._is_stopping = True
                await self._calls.drained(within=self._drain_seconds)
                self._is_running = False
                forgetting.cancel()
                await asyncio.gather(forgetting, return_exceptions=True)
                self._sessions.end_all()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._run_lifespan(receive, send)
            return
        if scope["type"] != "http":
            await refuse_websocket(receive, send)
            return
        if not self._is_running:
            raise RuntimeError("StdioBridge: enter lifespan() first.")
        request = Request(scope)
        try:
            principal = self._identify(scope)
            with self._limits.admit(principal):
                await self._answer(request, principal, receive, send)
        except Refused as refused:
            await refused.answer.send(request, send)
        except Disconnected:
            pass  # nobody is left to answer

    async def _run_lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self.lifespan():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _end_idle_sessions(self) -> None:
        while True:
            await asyncio.sleep(60)
            self._sessions.end_idle()

    def _identify(self, scope: Scope) -> Principal:
        """Whose request this is. Without a guard in front, only a process that is everybody's serves it."""
        principal = scope.get(PRINCIPAL)
        if isinstance(principal, Principal):
            return principal
        if not self._shared:
            _log.error("Nobody authenticated this request: put ProtectMCP in front of StdioBridge.")
            raise refuse(500, INTERNAL_ERROR, "This server is not set up right.")
        return ANONYMOUS

    async def _answer(self, request: Request, principal: Principal, receive: Receive, send: Send) -> None:
        caller, version = principal.identity, check_version(request)
        is_modern = version in MODERN_PROTOCOL_VERSIONS
        if request.method == "POST":
            posted = await read_messages(request, receive)
            if posted.requests and self._is_stopping:
                raise self._refuse_more(posted.requests[0]["id"])
            with self._calls.count(principal, posted):
                await self._answer_posted(request, caller, posted, receive, send, is_modern=is_modern)
        elif request.method == "GET" and not is_modern:
            await self._stream(request, self._find_session(request, caller), receive, send)
        elif request.method == "DELETE" and not is_modern:
            self._sessions.end(self._find_session(request, caller))
            await Answer(200).send(request, send)
        else:
            allowed = build_header("allow", "POST") if is_modern else _METHODS
            raise Refused(Answer(405, (allowed,)))

    async def _answer_posted(
        self, request: Request, caller: Identity, posted: Posted, receive: Receive, send: Send, *, is_modern: bool
    ) -> None:
        if is_modern:
            await self._answer_modern(request, caller, posted, receive, send)
        elif not posted.is_batch and posted.messages[0].get("method") == "initialize":
            await self._open_session(request, caller, posted.messages[0], receive, send)
        else:
            await self._answer_in_session(request, self._find_session(request, caller), posted, receive, send)

    def _refuse_more(self, request_id: RequestId) -> Refused:
        body = build_error(request_id, INTERNAL_ERROR, "The server is being stopped.")
        return Refused(build_json(503, body, build_header("retry-after", "5")))

    async def _answer_modern(
        self, request: Request, caller: Identity, posted: Posted, receive: Receive, send: Send
    ) -> None:
        """Hand on a request that carries all it needs. Spec: MCP Streamable HTTP of 2026-07-28 (TRN-04, TRN-12)"""
        message = posted.messages[0]
        if posted.is_batch or "method" not in message:
            raise refuse(400, INVALID_REQUEST, "This revision takes one request or notification at a time.")
        if not is_request(message):
            raise Refused(Answer(202))  # the revision has none that would mean anything to the server
        takes_json, takes_events = parse_accept(request)
        if message["method"] == "subscriptions/listen" and not takes_events:
            raise refuse(406, INVALID_REQUEST, "Accept text/event-stream to listen.", message["id"])
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.scope["headers"]}
        verdict = classify_inbound_request(message, headers=headers)
        if isinstance(verdict, InboundLadderRejection):
            raise refuse(400, verdict.code, verdict.message, message["id"], verdict.data)
        if message["method"] == "initialize":
            # The process may be everybody's, and to some servers a handshake is a new beginning.
            raise refuse(404, METHOD_NOT_FOUND, "This revision has no handshake.", message["id"])
        connection = await self._connect(Place(self._owner(caller), None), None, message["id"])
        outbox = Outbox(answers=1, takes_all=takes_events)
        async with noticing_the_end(receive, outbox), _abandoning(connection) as begun:
            begun.append(await connection.begin(message, outbox))
            await send_answers(request, send, outbox, as_json=takes_json, as_list=False)

    async def _open_session(
        self, request: Request, caller: Identity, message: Json, receive: Receive, send: Send
    ) -> None:
        """Answer `initialize`, from the process's first answer where it has given one. Spec: MCP Lifecycle (LEG-08)"""
        if not is_request(message):
            raise refuse(400, INVALID_REQUEST, "initialize is a request.")
        params = params_of(message)
        version, capabilities = params.get("protocolVersion"), params.get("capabilities")
        if not isinstance(version, str) or not isinstance(capabilities, dict):
            raise refuse(400, _INVALID_PARAMS, "initialize needs protocolVersion and capabilities.", message["id"])
        if self._shared:
            params = _SHARED_HANDSHAKE
        digest = _digest({"protocolVersion": params["protocolVersion"], "capabilities": params["capabilities"]})
        place = Place(self._owner(caller), digest)
        connection = await self._connect(place, params, message["id"])
        result = connection.initialized
        agreed = str(result.get("protocolVersion"))
        if self._shared and _is_older(version, agreed):
            agreed = version  # whatever a newer answer holds beyond it, an older client leaves alone
        session = self._sessions.open(caller, place, params, agreed)
        if "roots" in connection.capabilities and len(self._sessions.at(place)) > 1:
            await connection.notify("notifications/roots/list_changed")  # they are this session's now
        takes_json, takes_events = parse_accept(request)
        outbox = Outbox(answers=1, takes_all=takes_events)
        outbox.answer({"jsonrpc": "2.0", "id": message["id"], "result": {**result, "protocolVersion": agreed}})
        headers = [build_header(_SESSION_ID, session.session_id)]
        async with noticing_the_end(receive, outbox):
            await send_answers(request, send, outbox, as_json=takes_json, as_list=False, headers=headers)

    async def _answer_in_session(
        self, request: Request, session: Session, posted: Posted, receive: Receive, send: Send
    ) -> None:
        """Hand on what a session posts, and answer its requests. Spec: MCP Streamable HTTP, Sending Messages"""
        if posted.is_batch and session.version > _WITH_BATCHES:
            raise refuse(400, INVALID_REQUEST, "This revision has no batches.")
        if posted.is_batch and any(message.get("method") == "initialize" for message in posted.messages):
            raise refuse(400, INVALID_REQUEST, "initialize is no part of a batch.")
        requests = posted.requests
        if not requests:
            await self._forward(session, posted)
            raise Refused(Answer(202))
        takes_json, takes_events = parse_accept(request)
        error_id = None if posted.is_batch else requests[0]["id"]
        connection = await self._connect(session.place, session.params, error_id)
        outbox = Outbox(answers=len(requests), takes_all=takes_events)
        async with noticing_the_end(receive, outbox), _abandoning(connection) as begun:
            for message in posted.messages:
                if is_request(message):
                    begun.append(await connection.begin(message, outbox, session))
                else:
                    await connection.forward(session, message)
            await send_answers(request, send, outbox, as_json=takes_json, as_list=posted.is_batch)

    async def _forward(self, session: Session, posted: Posted) -> None:
        """Hand on what wants no answer; no process is started for that."""
        connection = self._pool.find(session.place)
        for message in posted.messages if connection else ():
            if connection is not None:
                await connection.forward(session, message)

    async def _stream(self, request: Request, session: Session, receive: Receive, send: Send) -> None:
        """What the server sends by itself, until the client leaves. Spec: MCP Streamable HTTP, Listening"""
        if not parse_accept(request)[1]:
            raise refuse(406, INVALID_REQUEST, "Accept text/event-stream.")
        outbox = session.listen()
        try:
            async with noticing_the_end(receive, outbox):
                await send_events(send, outbox)
        finally:
            session.unlisten(outbox, now=time.monotonic())

    def _find_session(self, request: Request, caller: Identity) -> Session:
        """The session a request names. Another's is answered as one that does not exist. Spec: STA-01, LEG-06"""
        values = request.values(_SESSION_ID)
        if len(values) != 1:
            raise refuse(400, INVALID_REQUEST, "Send the Mcp-Session-Id header that initialize was answered with.")
        session = self._sessions.find(values[0], caller)
        if session is None:
            raise refuse(404, INVALID_REQUEST, "Session not found")
        return session

    async def _connect(self, place: Place, params: Json | None, request_id: RequestId | None) -> StdioConnection:
        """The process for a request. Raises `Refused` with what to answer where there is none."""
        try:
            return await self._pool.connect(place, params)
        except Unavailable as outage:
            body = build_error(request_id, INTERNAL_ERROR, str(outage))
            more = [] if outage.retry_after is None else [build_header("retry-after", str(outage.retry_after))]
            raise Refused(build_json(outage.status, body, *more)) from None
        except HandshakeRefused as refusal:
            raise Refused(build_json(200, {"jsonrpc": "2.0", "id": request_id, "error": refusal.error})) from None
        except HandshakeOnly:
            raise refuse_version(MODERN_PROTOCOL_VERSIONS[-1], request_id) from None

    def _owner(self, caller: Identity) -> Identity | None:
        return None if self._shared else caller

    def _end_session(self, session: Session) -> None:
        connection = self._pool.find(session.place)
        if connection is not None:
            connection.leave(session)
        session.outbox.close()


@asynccontextmanager
async def _abandoning(connection: StdioConnection) -> AsyncIterator[list[Exchange]]:
    """Have what was begun cancelled, as far as it is not answered by then."""
    begun: list[Exchange] = []
    try:
        yield begun
    finally:
        for exchange in begun:
            connection.abandon(exchange)


def _digest(document: Json) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _is_older(version: str, other: str) -> bool:
    known = HANDSHAKE_PROTOCOL_VERSIONS
    return version in known and other in known and known.index(version) < known.index(other)
