"""The HTTP client that the MCP SDK's transports speak through.

A transport takes any failure for the end of the connection and tells no caller why. Here a failure is the answer to the
message that was being sent: whoever waits for it learns of it, in words, and everybody else goes on.
"""

import json
import math
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import anyio
import httpx2

from doorward.oauth.challenges import parse_challenges
from doorward.oauth.errors import printable

from .errors import ClientError, ServerRefused, ServerUnreachable
from .transport import explain_tls

INTERNAL_ERROR = -32603
METHOD_NOT_FOUND = -32601
MAX_ERROR_BYTES = 1024 * 1024
UNSUPPORTED_PROTOCOL_VERSION = -32022
_SESSION_ID = "mcp-session-id"
_PROTOCOL_VERSION = "mcp-protocol-version"

_current: ContextVar["Attempt | None"] = ContextVar("doorward_attempt", default=None)


@dataclass(eq=False, slots=True)
class Attempt:
    """What became of one call of the program on the wire; the SDK carries the caller's context to its requests."""

    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    """Its deadline is the call's."""
    error: Exception | None = None
    session_lost: bool = False
    """The server no longer knows the session, so it did nothing with the message."""
    broken: bool = False
    """The connection broke: nobody knows whether the server saw the message."""

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """What the caller sends inside belongs to this attempt."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    @contextmanager
    def unhurried(self) -> Iterator[None]:
        """Time spent inside does not count: a person may be asked to sign in."""
        left = self.scope.deadline - anyio.current_time()
        self.scope.deadline = math.inf
        try:
            yield
        finally:
            self.scope.deadline = anyio.current_time() + left


@dataclass(eq=False, slots=True)
class _Probe:
    """The last `server/discover`."""

    version: str
    answered: anyio.Event = field(default_factory=anyio.Event)
    is_understood: bool = False


class McpChannel(httpx2.AsyncClient):
    """An `httpx2.AsyncClient` whose failed POSTs are JSON-RPC errors, and noted on the attempt that they belong to.

    `on_lost_message` is for the 2024-11-05 transport, whose answers come on another request: it is told of a message
    that did not arrive, since nobody would answer that.
    """

    def __init__(
        self,
        auth: httpx2.Auth | None,
        timeout: httpx2.Timeout,
        on_lost_message: Callable[[Exception], None] | None = None,
    ) -> None:
        super().__init__(auth=None if auth is None else _Unhurried(auth), timeout=timeout)
        self._on_lost_message = on_lost_message
        self._refused: Exception | None = None
        self._probe: _Probe | None = None
        self._has_sent_back = False

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send, and answer for the server where it does not."""
        if request.method == "DELETE":
            return await self._say_goodbye(request, options)
        if request.method != "POST":
            return await self._listen(request, options)
        attempt = _current.get() or Attempt()
        attempt.error = None
        message = json.loads(await request.aread())
        post = {"initialize": self._initialize, "server/discover": self._discover}.get(
            message.get("method"), self._post
        )
        return await post(request, message, attempt, options)

    async def _discover(
        self, request: httpx2.Request, message: dict[str, Any], attempt: Attempt, options: dict[str, Any]
    ) -> httpx2.Response:
        self._probe = probe = _Probe(request.headers.get(_PROTOCOL_VERSION, ""))
        try:
            response = await self._post(request, message, attempt, options)
            probe.is_understood = response.status_code < HTTPStatus.BAD_REQUEST
            return response
        finally:
            probe.answered.set()

    async def _initialize(
        self, request: httpx2.Request, message: dict[str, Any], attempt: Attempt, options: dict[str, Any]
    ) -> httpx2.Response:
        """Begin a session of the older kind, once it is sure that the SDK is right to.

        It takes any error of `server/discover` for an older server: a person who has just said no is not asked again.
        It takes silence for one, too, after ten seconds in which a person may be signing in: it is told to ask again.
        Once, since a server may answer and still be of the older kind.
        """
        request.headers.pop(_SESSION_ID, None)  # a session that was lost; this one begins another
        probe = self._probe
        if probe is not None and not self._has_sent_back:
            await probe.answered.wait()
            if probe.is_understood:
                self._has_sent_back = True
                return _send_back(request, message, probe.version)
        if self._refused is not None:
            return self._fail(request, message, attempt, self._refused)
        return await self._post(request, message, attempt, options)

    async def _post(
        self, request: httpx2.Request, message: dict[str, Any], attempt: Attempt, options: dict[str, Any]
    ) -> httpx2.Response:
        self._refused = None
        try:
            response = await super().send(request, **options)
            if response.status_code < HTTPStatus.BAD_REQUEST:
                return response
            body = await _read(response)
        except httpx2.TransportError as broken:
            attempt.broken = not isinstance(broken, httpx2.ConnectError | httpx2.TimeoutException)
            return self._fail(request, message, attempt, _explain(request, broken))
        except Exception as failed:  # noqa: BLE001  # it goes to the caller; here it would only end the connection
            return self._fail(request, message, attempt, failed)
        if self._says_why(response, body, attempt):
            media = {"content-type": "application/json"}
            return httpx2.Response(response.status_code, headers=media, content=body, request=request)
        refused = ServerRefused(_describe(response), status=response.status_code)
        return self._fail(request, message, attempt, refused)

    def _fail(
        self, request: httpx2.Request, message: dict[str, Any], attempt: Attempt, error: Exception
    ) -> httpx2.Response:
        attempt.error = error
        if message.get("method") == "server/discover" and _is_about_getting_in(error):
            self._refused = error
        if self._on_lost_message is not None:
            self._on_lost_message(error)
            return httpx2.Response(HTTPStatus.ACCEPTED, request=request)
        answer = {
            "jsonrpc": "2.0",
            "id": message.get("id"),
            "error": {"code": INTERNAL_ERROR, "message": str(error) or type(error).__name__},
        }
        return httpx2.Response(HTTPStatus.BAD_GATEWAY, json=answer, request=request)

    def _says_why(self, response: httpx2.Response, body: bytes, attempt: Attempt) -> bool:
        """Whether the server itself answers the message, with a JSON-RPC error."""
        code = _error_code(body)
        if _SESSION_ID in response.request.headers and _says_session_is_lost(response.status_code, body, code):
            attempt.session_lost = True
        return code is not None and self._on_lost_message is None

    async def _listen(self, request: httpx2.Request, options: dict[str, Any]) -> httpx2.Response:
        try:
            response = await super().send(request, **options)
        except httpx2.TransportError as broken:
            raise _explain(request, broken) from broken
        # Of Streamable HTTP it is a courtesy; of the older transport it is the connection.
        if self._on_lost_message is not None and response.status_code >= HTTPStatus.BAD_REQUEST:
            await response.aclose()
            raise ServerRefused(_describe(response), status=response.status_code)
        return response

    async def _say_goodbye(self, request: httpx2.Request, options: dict[str, Any]) -> httpx2.Response:
        """End a session, if the server is still there to be told: nobody is to sign in for that."""
        with suppress(httpx2.TransportError, ClientError):
            response = await super().send(request, **options)
            await response.aclose()
        return httpx2.Response(HTTPStatus.NO_CONTENT, request=request)


class _Unhurried(httpx2.Auth):
    """Another auth, whose own doing does not count as the server's slowness."""

    def __init__(self, auth: httpx2.Auth) -> None:
        self._auth = auth

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        attempt = _current.get() or Attempt()
        flow = self._auth.async_auth_flow(request)
        try:
            with attempt.unhurried():
                outgoing = await flow.__anext__()
            while True:
                response = yield outgoing
                if request.method == "DELETE":
                    return
                with attempt.unhurried():
                    outgoing = await flow.asend(response)
        except StopAsyncIteration:
            return
        finally:
            await flow.aclose()


def _send_back(request: httpx2.Request, message: dict[str, Any], version: str) -> httpx2.Response:
    """What a server that speaks `version` answers to an older one."""
    asked = message.get("params", {}).get("protocolVersion", "")
    error = {
        "code": UNSUPPORTED_PROTOCOL_VERSION,
        "message": "The server answered in a newer version.",
        "data": {"supported": [version], "requested": asked},
    }
    answer = {"jsonrpc": "2.0", "id": message.get("id"), "error": error}
    return httpx2.Response(HTTPStatus.BAD_REQUEST, json=answer, request=request)


async def _read(response: httpx2.Response) -> bytes:
    """The body of an error, or nothing of one that goes on for too long. Spec: T8"""
    body = b""
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_ERROR_BYTES:
                return b""
    finally:
        await response.aclose()
    return body


def _is_about_getting_in(error: Exception) -> bool:
    if isinstance(error, ServerRefused):
        return error.status == HTTPStatus.UNAUTHORIZED
    return not isinstance(error, ServerUnreachable)


def _says_session_is_lost(status: int, body: bytes, code: object) -> bool:
    """404 by the specification; many servers that copied an early example say 400 and a word about sessions."""
    if status == HTTPStatus.NOT_FOUND:
        return code != METHOD_NOT_FOUND
    return status == HTTPStatus.BAD_REQUEST and b"session" in body.lower()


def _error_code(body: bytes) -> object:
    """The code of a JSON-RPC error, or None where the body is none."""
    try:
        document = json.loads(body)
    except ValueError:
        return None
    error = document.get("error") if isinstance(document, dict) and "jsonrpc" in document else None
    return error.get("code") if isinstance(error, dict) else None


def _describe(response: httpx2.Response) -> str:
    status = response.status_code
    said = next(
        (
            description
            for challenge in parse_challenges(response.headers.get_list("www-authenticate"))
            if (description := challenge.parameters.get("error_description"))
        ),
        "",
    )
    told = f" and says: {printable(said)}" if said else ""
    nobody = status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
    hint = ". Check the address: no MCP server seems to be there." if nobody else ""
    address = _without_query(response.request)
    return f"The MCP server at {address} answered {status} {response.reason_phrase}{told}{hint}"


def _explain(request: httpx2.Request, broken: httpx2.TransportError) -> ServerUnreachable:
    address = _without_query(request)
    if told := explain_tls(broken):
        text = f"There is no safe connection to {address}: {told}. Check the address, and the server's certificate."
    elif isinstance(broken, httpx2.ConnectError | httpx2.ConnectTimeout):
        text = f"Nothing answers at {address}: check the address, and that the server runs."
    elif isinstance(broken, httpx2.TimeoutException):
        text = f"The MCP server at {address} took too long to answer."
    else:
        text = f"The connection to the MCP server at {address} broke before it answered."
    error = ServerUnreachable(text)
    error.__cause__ = broken
    return error


def _without_query(request: httpx2.Request) -> str:
    return str(request.url.copy_with(query=None, fragment=None, userinfo=b""))
