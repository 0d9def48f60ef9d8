"""The conversation with one process: many clients' requests on it, each of them alone as far as it can tell.

A server on standard streams has one client for its whole life. So that several sessions can be that client, ids of
requests and progress tokens are replaced by numbers that are never used twice, and put back in what the server
answers; what the server sends by itself goes where it belongs, and to nobody when that cannot be told.
"""

import asyncio
import itertools
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS
from pydantic_core import from_json

from .stdio_messages import (
    CANCELLED,
    INTERNAL_ERROR,
    LOG_LEVEL,
    METHOD_NOT_FOUND,
    SUBSCRIPTION,
    Json,
    RequestId,
    build_error,
    build_notification,
    encode,
    is_id,
    meta_of,
    params_of,
    parse_line,
    with_meta,
)
from .stdio_process import ProcessGone, StdioProcess
from .stdio_sessions import Exchange, Session
from .stdio_streams import Outbox

MAX_IN_FLIGHT = 1_000
"""Requests that one process works on at once, and questions of its that wait for an answer."""
PATIENCE_SECONDS = 5.0
"""How long a process is held up by a client that reads too slowly, before that client misses a notification."""
_CHANGES = frozenset(f"notifications/{kind}/list_changed" for kind in ("tools", "prompts", "resources"))
_UPDATED = "notifications/resources/updated"
_LOG = "notifications/message"
_NEEDED = {"sampling/createMessage": "sampling", "elicitation/create": "elicitation", "roots/list": "roots"}
_numbers = itertools.count(1)

_log = logging.getLogger("doorward.resource.stdio")


@dataclass(frozen=True, slots=True)
class Launch:
    """How a process is run; `secrets` are kept out of the log."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    cwd: str | os.PathLike[str] | None
    secrets: Sequence[str]


class StdioConnection:
    """One process and everything that is going on with it.

    `sessions` says which sessions it serves now: of one caller, or of everybody when it `is_shared`. In a shared
    process nothing reaches a client that may be meant for another: no log messages, no questions of the server.
    """

    def __init__(self, launch: Launch, *, sessions: Callable[[], Iterable[Session]] | None, is_shared: bool) -> None:
        self.initialized: Json = {}
        """What the server answered to `initialize`."""
        self.capabilities: Json = {}
        """What it was told that its client can do."""
        self.has_ended = False
        self.is_closing = False
        self.used_at = time.monotonic()
        self.started_at = time.monotonic()
        self._launch = launch
        self._sessions = sessions or (lambda: ())
        self._is_modern = sessions is None
        self._is_shared = is_shared
        self._patience = 0.0 if is_shared else PATIENCE_SECONDS
        self._process = StdioProcess(launch.command, on_line=self._on_line)
        self._in_flight: dict[int, Exchange] = {}
        self._asked: dict[int, tuple[Session, RequestId]] = {}
        self._sending: set[asyncio.Task[None]] = set()

    @property
    def is_busy(self) -> bool:
        """Whether somebody waits for it: for an answer, or for news of what they subscribed to."""
        return bool(self._in_flight) or any(
            session.is_listening and session.subscriptions for session in self._sessions()
        )

    async def start(self, on_end: Callable[[str], None]) -> None:
        """Run the process. Raises `ProcessGone`; `on_end` is called when it has ended, and not because of `stop`."""

        def ended(reason: str) -> None:
            self.has_ended = True
            for exchange in list(self._in_flight.values()):
                self._finish(exchange, build_error(exchange.request_id, INTERNAL_ERROR, reason), status=502)
            self._asked.clear()
            if not self.is_closing:
                self.is_closing = True
                on_end(reason)

        try:
            await self._process.start(
                environment=self._launch.environment,
                cwd=self._launch.cwd,
                secrets=self._launch.secrets,
                on_end=ended,
            )
        except ProcessGone:
            self.has_ended = self.is_closing = True
            raise

    async def stop(self) -> None:
        """End the process; requests that it works on are answered with an error."""
        self.is_closing = True
        if not self.has_ended:
            await self._process.stop()

    async def begin(self, request: Json, outbox: Outbox, session: Session | None = None) -> Exchange:
        """Hand on a request whose answer goes into the outbox, whatever happens."""
        params = params_of(request)
        exchange = Exchange(next(_numbers), request["id"], request["method"], outbox, session)
        exchange.uri, exchange.wants_logs = str(params.get("uri", "")), LOG_LEVEL in meta_of(params)
        if self._is_still_subscribed(exchange):
            outbox.answer({"jsonrpc": "2.0", "id": exchange.request_id, "result": {}})
            return exchange
        if len(self._in_flight) >= MAX_IN_FLIGHT:
            outbox.answer(build_error(exchange.request_id, INTERNAL_ERROR, "Too many requests at once."), status=503)
            return exchange
        sent = {**request, "id": exchange.number}
        if is_id(token := meta_of(params).get("progressToken")):
            exchange.token = token
            sent = with_meta(sent, "params", "progressToken", exchange.number)
        self._in_flight[exchange.number] = exchange
        if session is not None:
            session.exchanges[exchange.number] = exchange
        try:
            await self._process.write(encode(sent))
        except ProcessGone as gone:
            self._finish(exchange, build_error(exchange.request_id, INTERNAL_ERROR, str(gone)), status=502)
        except BaseException:
            self.abandon(exchange)
            raise
        return exchange

    async def call(self, method: str, params: Json, *, within: float) -> Json:
        """Ask the server something ourselves; its answer. Raises `ProcessGone` if there is none in time."""
        outbox = Outbox(answers=1, takes_all=False)
        exchange = await self.begin({"jsonrpc": "2.0", "id": 0, "method": method, "params": params}, outbox)
        answer = await outbox.take(within=within)
        if answer is None:
            self.abandon(exchange)
            raise ProcessGone("The server behind does not answer.")
        if answer.status == 502:
            raise ProcessGone("The server behind ended.")
        document: Json = from_json(answer.data)
        return document

    def abandon(self, exchange: Exchange) -> None:
        """Nobody waits for this answer any more: tell the server, unless it has answered. Spec: MCP Cancellation"""
        if self._forget(exchange):
            self._send_soon(
                build_notification("notifications/cancelled", requestId=exchange.number, reason="The client has left.")
            )

    async def notify(self, method: str, **params: Any) -> None:
        """Tell the server something ourselves."""
        await self._write(build_notification(method, **params))

    async def forward(self, session: Session, message: Json) -> None:
        """Hand on a client's notification, or its answer to a question of the server."""
        method = message.get("method")
        if method is None:
            asked = self._asked.get(message["id"]) if isinstance(message["id"], int) else None
            if asked is not None and asked[0] is session:
                del self._asked[message["id"]]
                await self._write({**message, "id": asked[1]})
        elif method == "notifications/cancelled":
            await self._cancel(session, message)
        elif method != "notifications/initialized" and not self._is_shared:
            await self._write(message)

    def leave(self, session: Session) -> None:
        """The session has ended: nothing of it goes on."""
        for exchange in list(session.exchanges.values()):
            exchange.outbox.answer(build_error(exchange.request_id, INTERNAL_ERROR, "The session has ended."))
            self.abandon(exchange)
        for number, (asked, request_id) in list(self._asked.items()):
            if asked is session:
                del self._asked[number]
                self._send_soon(build_error(request_id, INTERNAL_ERROR, "The client has left."))

    async def _cancel(self, session: Session, message: Json) -> None:
        """Cancel for the client, and end the stream of its request, which a server behind may leave without answer."""
        wanted = params_of(message).get("requestId")
        for exchange in list(session.exchanges.values()):
            if exchange.request_id == wanted and type(exchange.request_id) is type(wanted):
                error = build_error(exchange.request_id, CANCELLED, "Request cancelled")
                self._finish(exchange, error)
                await self._write({**message, "params": {**params_of(message), "requestId": exchange.number}})

    async def _on_line(self, line: bytes) -> None:
        messages = parse_line(line)
        if not messages:
            _log.debug("Process %d wrote a line that is no message.", self._process.pid)
        for message in messages:
            if not isinstance(message.get("method"), str):
                self._take_answer(message)
            elif "id" in message:
                await self._ask(message)
            else:
                await self._tell(message)

    def _take_answer(self, message: Json) -> None:
        number = message.get("id")
        exchange = self._in_flight.get(number) if isinstance(number, int) else None
        if exchange is None or ("result" in message) is ("error" in message):
            return  # cancelled meanwhile, or no answer at all
        answer = {**message, "id": exchange.request_id}
        result, error = message.get("result"), message.get("error")
        if isinstance(result, dict) and meta_of(result).get(SUBSCRIPTION) == number:
            answer = with_meta(answer, "result", SUBSCRIPTION, exchange.request_id)
        self._note_subscription(exchange, has_failed=error is not None)
        code = error.get("code") if isinstance(error, dict) else None
        status = ERROR_CODE_HTTP_STATUS.get(code, 200) if self._is_modern and isinstance(code, int) else 200
        self._finish(exchange, answer, status=status)

    async def _ask(self, message: Json) -> None:
        """Put a question of the server to the session it is for, as far as anybody can tell that.

        Only one whose client can answer is asked, and in a shared process nobody: nothing tells for whom of all the
        question is. Spec: MCP Base Protocol, Requests
        """
        request_id, method = message["id"], message["method"]
        if not is_id(request_id):
            return
        if method == "ping":
            self._send_soon({"jsonrpc": "2.0", "id": request_id, "result": {}})
            return
        sessions = list(self._sessions())
        needed = _NEEDED.get(method)
        if not sessions or self._is_shared or (needed and needed not in self.capabilities):
            self._send_soon(build_error(request_id, METHOD_NOT_FOUND, "No client here answers that."))
            return
        session, number = max(sessions, key=lambda session: session.rank), next(_numbers)
        self._asked[number] = session, request_id
        is_full = len(self._asked) > MAX_IN_FLIGHT
        if is_full or not await session.put({**message, "id": number}, patience=self._patience):
            self._asked.pop(number, None)
            self._send_soon(build_error(request_id, INTERNAL_ERROR, "The client takes no messages now."))

    async def _tell(self, message: Json) -> None:
        """Bring a notification to those it is for."""
        params = params_of(message)
        if message["method"] == "notifications/progress":
            exchange = self._exchange_of(params.get("progressToken"))
            if exchange is not None and exchange.token is not None:
                told = {**message, "params": {**params, "progressToken": exchange.token}}
                await exchange.outbox.put(told, patience=self._patience)
        elif SUBSCRIPTION in meta_of(params):
            exchange = self._exchange_of(meta_of(params)[SUBSCRIPTION])
            if exchange is not None:
                told = with_meta(message, "params", SUBSCRIPTION, exchange.request_id)
                await exchange.outbox.put(told, patience=self._patience)
        elif message["method"] == "notifications/cancelled":
            await self._withdraw(message)
        elif self._is_modern:
            await self._tell_requests(message)
        else:
            for session in self._listeners(message):
                await session.put(message, patience=self._patience)

    async def _tell_requests(self, message: Json) -> None:
        """Without sessions, a log message goes to the requests that asked for them; to none that somebody else sent."""
        if message["method"] != _LOG or self._is_shared:
            return
        for exchange in list(self._in_flight.values()):
            if exchange.wants_logs:
                await exchange.outbox.put(message, patience=self._patience)

    async def _withdraw(self, message: Json) -> None:
        """The server takes a question back."""
        wanted = params_of(message).get("requestId")
        for number, (session, request_id) in list(self._asked.items()):
            if request_id == wanted and type(request_id) is type(wanted):
                del self._asked[number]
                told = {**message, "params": {**params_of(message), "requestId": number}}
                await session.put(told, patience=self._patience)

    def _listeners(self, message: Json) -> list[Session]:
        """The sessions that may learn of a notification."""
        sessions, method = list(self._sessions()), message["method"]
        if not self._is_shared or method in _CHANGES:
            return sessions
        if method != _UPDATED:
            return []
        uri = str(params_of(message).get("uri", ""))
        # An update may name a part of the resource that was subscribed to.
        return [session for session in sessions if any(uri.startswith(known) for known in session.subscriptions)]

    def _is_still_subscribed(self, exchange: Exchange) -> bool:
        """Note that a session unsubscribes; whether another one still needs what it had subscribed to."""
        if exchange.session is None or exchange.method != "resources/unsubscribe":
            return False
        exchange.session.subscriptions.discard(exchange.uri)
        return any(exchange.uri in session.subscriptions for session in self._sessions())

    def _note_subscription(self, exchange: Exchange, *, has_failed: bool) -> None:
        if exchange.session is not None and exchange.method == "resources/subscribe" and not has_failed:
            exchange.session.subscriptions.add(exchange.uri)

    def _exchange_of(self, number: Any) -> Exchange | None:
        """The request in flight with that number; some servers make a string of it."""
        if isinstance(number, str) and number.isascii() and number.isdigit() and len(number) < 20:
            number = int(number)
        return self._in_flight.get(number) if is_id(number) else None

    def _finish(self, exchange: Exchange, answer: Json, *, status: int = 200) -> None:
        self._forget(exchange)
        exchange.outbox.answer(answer, status=status)

    def _forget(self, exchange: Exchange) -> bool:
        if exchange.session is not None:
            exchange.session.exchanges.pop(exchange.number, None)
        self.used_at = time.monotonic()
        return self._in_flight.pop(exchange.number, None) is not None

    def _send_soon(self, message: Json) -> None:
        """Write where nobody may wait for it: to whoever reads from the process, it may never read again."""
        if len(self._sending) >= MAX_IN_FLIGHT:
            return
        task = asyncio.create_task(self._write(message))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _write(self, message: Json) -> None:
        try:
            await self._process.write(encode(message))
        except ProcessGone as gone:
            _log.debug("A message was not delivered: %s", gone)
