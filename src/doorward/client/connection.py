"""One MCP session, held open by a task of its own.

The SDK's client has to be entered and left by one task; programs connect, call and close from any.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import TypeVar

import anyio
import mcp
from mcp import MCPError
from mcp_types import CONNECTION_CLOSED

from .channel import Attempt
from .errors import ServerRefused, ServerUnreachable

T = TypeVar("T")
GOODBYE_SECONDS = 5.0
_NEITHER = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})

Opener = Callable[[Callable[[Exception], None]], AbstractAsyncContextManager[mcp.Client]]
"""Opens a session; it calls what it is given when a message is lost that nobody will answer."""


class Connection:
    """A session that is being opened, open, or over; it never comes back. Calls may come from any task of its loop."""

    def __init__(self, openers: Sequence[Opener], *, patience: float) -> None:
        self._openers = openers
        self._patience = patience
        self._opening = Attempt()
        self._settled = anyio.Event()
        self._enough = anyio.Event()
        self._ended = anyio.Event()
        self._client: mcp.Client | None = None
        self._failure: Exception | None = None
        self._calls = 0
        self.over = False
        """Whoever wants to call needs a new one."""
        # Not a task group's: it outlives the call that opens it, and whoever closes it may be another task.
        self._owner = asyncio.get_running_loop().create_task(self._hold(), name="doorward-connection")

    async def call(
        self,
        ask: Callable[[mcp.Client], Awaitable[T]],
        attempt: Attempt,
        timeout: float | None = None,  # noqa: ASYNC109  # the attempt's scope keeps it, and lets time for sign-ins
    ) -> T:
        """What the server answers; raises what happened to this very message rather than what the SDK makes of it.

        A connection that is still being opened is waited for; when nobody waits any longer, it is given up.
        """
        self._calls += 1
        try:
            client = await self._when_open()
            if timeout is not None:
                attempt.scope.deadline = anyio.current_time() + timeout
            with attempt.under_way(), attempt.scope:
                return await ask(client)
        except MCPError as error:
            failure = await self._judge(error, attempt)
            raise failure from failure.__cause__
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            failure = await self._find_failure(attempt)
            raise failure from failure.__cause__
        finally:
            self._calls -= 1
            if not self._calls:
                self._let_go()
        raise TimeoutError(f"The MCP server did not answer within {timeout:g} seconds.")

    def retire(self) -> None:
        """Take no more calls, and end after those that are under way."""
        self.over = True
        if not self._calls:
            self._enough.set()

    async def close(self) -> None:
        """End at once: calls under way fail."""
        self.over = True
        if not self._settled.is_set():
            self._opening.scope.cancel()
        self._enough.set()
        with anyio.move_on_after(GOODBYE_SECONDS) as patience:
            await self._ended.wait()
        if patience.cancelled_caught:
            self._opening.scope.cancel()
            await self._ended.wait()

    async def _when_open(self) -> mcp.Client:
        await self._settled.wait()
        if self._client is None:
            raise self._failure or ServerUnreachable("The connection was closed before it was open.")
        return self._client

    def _let_go(self) -> None:
        if not self._settled.is_set():
            self.over = True
            self._opening.scope.cancel()
        elif self.over:
            self._enough.set()

    async def _hold(self) -> None:
        scope = self._opening.scope
        scope.deadline = anyio.current_time() + self._patience
        try:
            with self._opening.under_way(), scope:
                for opener in self._openers:
                    self._opening.error = None
                    error = await self._try(opener)
                    if error is None:
                        break
                    self._failure = self._failure or error
                    if not _may_speak_otherwise(error):
                        break
            if scope.cancelled_caught and self._failure is None:
                self._failure = ServerUnreachable(f"The MCP server did not answer within {self._patience:g} seconds.")
        finally:
            self.over = True
            self._settled.set()
            self._ended.set()

    async def _try(self, opener: Opener) -> Exception | None:
        """Hold a session open for as long as it is wanted; what ended it otherwise."""
        try:
            async with opener(self._break) as client:
                self._client, self._failure = client, None
                self._opening.scope.deadline = math.inf
                self._settled.set()
                await self._enough.wait()
        except Exception as error:  # noqa: BLE001  # everything belongs to the calls, nothing to this task
            was_opening = self._client is None
            return (self._opening.error if was_opening else None) or find_innermost(error)
        return None

    def _break(self, error: Exception) -> None:
        """A message of the older transport did not arrive: nobody knows what of the session is still good."""
        self.over = True
        self._failure = error
        self._opening.scope.cancel()

    async def _judge(self, error: MCPError, attempt: Attempt) -> Exception:
        if attempt.session_lost:
            self.retire()
        if attempt.error is not None:
            return attempt.error
        if error.code == CONNECTION_CLOSED and error.message == "Connection closed":
            return await self._find_failure(attempt)
        return error

    async def _find_failure(self, attempt: Attempt) -> Exception:
        """Why a connection is gone, told by its owner."""
        attempt.broken = True
        self.over = True
        self._enough.set()
        with anyio.move_on_after(GOODBYE_SECONDS):
            await self._ended.wait()
        if attempt.error is not None:
            return attempt.error
        failure = self._failure
        if failure is None or isinstance(failure, MCPError):
            return ServerUnreachable("The connection to the MCP server ended before it answered.")
        return failure


def _may_speak_otherwise(error: Exception) -> bool:
    """Whether a server that does not know Streamable HTTP answers so. Spec: MCP 2025-11-25, backwards compatibility"""
    if not isinstance(error, ServerRefused):
        return False
    is_client_error = HTTPStatus.BAD_REQUEST <= error.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return is_client_error and error.status not in _NEITHER


def find_innermost(error: Exception) -> Exception:
    """What happened, out of the groups that task groups wrap it in."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
