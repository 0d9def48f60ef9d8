"""Streams that end with the token they were opened with."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio

from doorward.oauth.jwt import InvalidToken

from .asgi import ASGIApp, Message, Receive, Scope, Send, media_types
from .verifier import VerifierUnavailable

RECHECK_SECONDS = 0.5
"""How often the tokens of open streams are asked about: what is revoked ends its streams within a second."""
_LEEWAY_SECONDS = 60
"""The most that a verifier grants a token beyond its time."""

Recheck = Callable[[], Awaitable[Any]]
"""Raises `InvalidToken` once the token is not good any more, and `VerifierUnavailable` while nobody can tell."""

_log = logging.getLogger("doorward.resource")


@dataclass(eq=False, slots=True)
class _Stream:
    recheck: Recheck
    expires_at: int
    scope: anyio.CancelScope
    is_open: bool = False


class Streams:
    """Runs an app so that its event stream ends when the token does: expired, revoked, or its key withdrawn.

    All open streams of a guard share one task, which lives as long as there is one. While the issuer cannot be asked
    a stream goes on, up to its token's expiry: that is no fault of the token's.

    Spec: TRN-14 (T22, I3)
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._open: set[_Stream] = set()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._open)

    async def serve(
        self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, *, recheck: Recheck, expires_at: int
    ) -> None:
        """Serve one request with `app`; `expires_at`, in epoch seconds, is when its token does."""
        stream = _Stream(recheck, expires_at, anyio.CancelScope())

        async def send_on(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start":
                if b"event-stream" in media_types(message.get("headers", ())):
                    stream.is_open = True
                    self._watch(stream)
            elif message["type"] == "http.response.body" and not message.get("more_body", False):
                stream.is_open = False
                self._open.discard(stream)  # what the app does from here on is nobody's stream

        try:
            with stream.scope:
                await app(scope, receive, send_on)
        finally:
            self._open.discard(stream)
        if stream.is_open and stream.scope.cancel_called:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _watch(self, stream: _Stream) -> None:
        self._open.add(stream)
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._task = loop.create_task(self._recheck_all(), name="tokens of open streams")

    async def _recheck_all(self) -> None:
        while self._open:
            await asyncio.sleep(RECHECK_SECONDS)
            for stream in tuple(self._open):
                if not await self._is_good(stream) and stream in self._open:
                    self._open.discard(stream)
                    stream.scope.cancel()
                await asyncio.sleep(0)  # however many there are, requests come in between

    async def _is_good(self, stream: _Stream) -> bool:
        try:
            await stream.recheck()
        except InvalidToken as refusal:
            _log.info("A stream was ended with its token: %s", refusal)
            return False
        except VerifierUnavailable:
            pass
        except Exception:  # noqa: BLE001  # one stream's trouble must not leave the others unwatched
            _log.exception("The token of a stream could not be checked again")
        else:
            return True
        return self._clock() < stream.expires_at + _LEEWAY_SECONDS
