"""What a request's body asks for, read once and strictly, and whether the principal may have it."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass

import anyio.to_thread

from .asgi import SHORT_BODY, Receive, Refused, Request, build_header, build_rpc_error, build_text, read_body, replay
from .budgets import Budgets, check_budgets
from .challenges import NO_STORE
from .mirrored_headers import HEADER_MISMATCH, HeaderMismatch, check_mirrored_headers
from .policy import MAX_BODY_SIZE, AmbiguousMessage, Call, ToolPolicy, parse_calls
from .principal import Principal
from .stream_limits import StreamLimits

RefuseScopes = Callable[[Request, Principal, Iterable[str]], None]
"""Raises `Refused`: the scopes must be asked for, besides those that the principal holds."""

INVALID_PARAMS = -32602
_NO_LIST = "The server behind has not told its tools yet. Try again shortly."
MAX_LONG_BODIES_OF_A_PERSON = 16
MAX_LONG_BODIES = 64
"""Bodies of more than `SHORT_BODY` bytes that are held at once, until they are judged: 256 MiB in all."""
_BODILESS = frozenset({"GET", "HEAD", "DELETE"})


@dataclass(frozen=True, slots=True)
class Inspected:
    """A request that may go on: its body again, byte for byte, and the calls that it makes."""

    receive: Receive
    calls: tuple[Call, ...] = ()

    @property
    def request_id(self) -> str | int | None:
        """The id of the one request that it makes; None where it makes none or several."""
        return _single_id(self.calls)

    @property
    def lists_tools(self) -> bool:
        """Whether it asks for the list of tools."""
        return any(call.method == "tools/list" for call in self.calls)

    @property
    def may_bring_list(self) -> bool:
        """Whether its answer may: to what makes no call, such as a GET, a server sends any message."""
        return not self.calls or self.lists_tools


class Inspector:
    """Reads the body of each request and hands on exactly the bytes that were judged.

    A method that has no body gets none, whatever was sent along: an app may take it for another method. Without a
    policy, only what reaches one of `endpoints`, if any are named, is read: the rest may speak something else.

    Spec: T14, T20, TRN-04 … TRN-08, TRN-13
    """

    def __init__(
        self,
        *,
        endpoints: Iterable[str] | None,
        policy: ToolPolicy | None,
        budgets: Budgets | None,
        refuse_scopes: RefuseScopes,
    ) -> None:
        self._endpoints = None if endpoints is None else frozenset(endpoints)
        self._policy = policy
        self._budgets = budgets or Budgets()  # those that tokens carry count without any given here
        self._refuse_scopes = refuse_scopes
        self._long_bodies = StreamLimits(
            "long messages", per_person=MAX_LONG_BODIES_OF_A_PERSON, overall=MAX_LONG_BODIES
        )

    async def inspect(self, request: Request, principal: Principal, receive: Receive) -> Inspected:
        """Read and judge the body. Raises `Refused` and `Disconnected`."""
        if self._policy is None and self._endpoints is not None and request.path not in self._endpoints:
            return Inspected(receive)
        if request.method in _BODILESS:
            return Inspected(replay(b"", receive))
        with ExitStack() as held:
            place = self._long_bodies.admit(principal)
            body = await read_body(request, receive, limit=MAX_BODY_SIZE, when_long=lambda: held.enter_context(place))
            if body is None:
                raise Refused(build_text(413, f"A body may have {MAX_BODY_SIZE} bytes at most."))
            return await self._judge(request, principal, body, receive)

    async def _judge(self, request: Request, principal: Principal, body: bytes, receive: Receive) -> Inspected:
        """Whether the principal may have what the body asks for. Raises `Refused`."""
        if not body:
            return Inspected(replay(body, receive))
        if not _is_plain_json(request):
            raise Refused(build_text(415, "The body must be application/json in UTF-8, not compressed."))
        calls = await parse_body(body)
        _check_headers(request, calls)
        if self._policy is not None:
            await self._check_tools(request, principal, calls, self._policy)
        await check_budgets(self._budgets, principal, calls)
        return Inspected(replay(body, receive), calls)

    async def _check_tools(
        self, request: Request, principal: Principal, calls: tuple[Call, ...], policy: ToolPolicy
    ) -> None:
        unknown = await policy.find_unknown(calls)
        if unknown is not None and not policy.knows_tools:
            retry_after = build_header("retry-after", "2")
            answer = build_rpc_error(503, 503, _NO_LIST, _single_id(calls), retry_after, NO_STORE)
            raise Refused(answer, reason="the server behind did not tell its tools yet")
        if unknown is not None:
            raise _refuse_call(calls, 200, INVALID_PARAMS, f"Unknown tool: {unknown}")
        if (scopes := policy.missing(calls, principal)) is not None:
            self._refuse_scopes(request, principal, scopes)


async def parse_body(body: bytes) -> tuple[Call, ...]:
    """The calls of a body; a long one is read beside the loop, so that nobody waits for it. Raises `Refused`."""
    try:
        if len(body) <= SHORT_BODY:
            return parse_calls(body)
        return await anyio.to_thread.run_sync(parse_calls, body)
    except AmbiguousMessage as error:
        raise _refuse_call((), 400, error.code, str(error)) from None


def _check_headers(request: Request, calls: tuple[Call, ...]) -> None:
    try:
        check_mirrored_headers(request.scope["headers"], calls)
    except HeaderMismatch as mismatch:
        raise _refuse_call(calls, 400, HEADER_MISMATCH, str(mismatch)) from None


def _refuse_call(calls: tuple[Call, ...], status: int, code: int, message: str) -> Refused:
    """A JSON-RPC error in the answer; what cannot name the one request that failed is an error of HTTP, too."""
    request_id = _single_id(calls)
    answer = build_rpc_error(400 if request_id is None else status, code, message, request_id, NO_STORE)
    return Refused(answer, reason=message)


def _single_id(calls: tuple[Call, ...]) -> str | int | None:
    return calls[0].id if len(calls) == 1 else None


def _is_plain_json(request: Request) -> bool:
    """Whether the app must read the body's bytes as we do: no compression, no other charset. Spec: T14"""
    media_type, _, parameters = request.value("content-type").lower().partition(";")
    charset = parameters.replace(" ", "").replace('"', "")
    return (
        media_type.strip() == "application/json"
        and charset in {"", "charset=utf-8"}
        and not request.values("content-encoding")
    )
