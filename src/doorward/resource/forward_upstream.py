"""The server behind the proxy, as somebody who is asked over HTTP. Needs aiohttp (`pip install doorward[proxy]`)."""

import asyncio
import errno
import logging
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import NoReturn

import aiohttp
from yarl import URL

from .asgi import Disconnected, Refused, build_header, build_json
from .challenges import NO_STORE
from .forward_body import Exchange
from .forward_headers import RequestHeaders
from .forward_target import Addresses, Unmappable
from .identity import IdentitySigner

_CONNECT_SECONDS = 10.0
_CHECK_SECONDS = 3.0
_KEEPALIVE_SECONDS = 4.0
"""Shorter than the 5 s after which common servers close what is idle: no call is sent into a connection that ends."""
_MAX_HEADER_BYTES = 16 * 1024
_MAX_HEADERS = 128
_NO_AUTO_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_RETRY_AFTER = build_header("retry-after", "5")

_log = logging.getLogger("doorward.resource")


class Upstream:
    """Sends requests to the one server behind, and tells an answer for the client from a fault of the way.

    No redirect is followed away from its URL, no cookie kept, no proxy or password taken from the environment, and
    nothing that it answers is taken apart on the way. Spec: RFC 9110 §7.6 (RS-04, TRN-10)
    """

    def __init__(
        self,
        addresses: Addresses,
        *,
        resource: str,
        identity: IdentitySigner,
        credentials: Mapping[str, str],
        user_header: bool,
        response_seconds: float,
        ssl_context: SSLContext | None,
    ) -> None:
        self._addresses = addresses
        self._resource = resource
        self._identity = identity
        self._headers = RequestHeaders(resource=resource, credentials=credentials)
        self._user_header = user_header
        self._response_seconds = response_seconds
        self._ssl_context = ssl_context
        self._session: aiohttp.ClientSession | None = None
        self._checking = asyncio.Lock()
        self._checked_at: float | None = None
        self._is_reached = False
        self._is_away = False

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Connections are kept while it is open, and every one is closed at its end."""
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
            self._session = session
            try:
                yield
            finally:
                self._session = None

    async def check(self) -> bool:
        """Whether it can be reached: it takes a connection within three seconds.

        However many ask, one connection is tried at a time, and all who asked before it was get its answer. Spec: T48
        """
        asked_at = time.monotonic()
        async with self._checking:
            if self._checked_at is None or self._checked_at < asked_at:
                began_at = time.monotonic()
                self._is_reached = await self._try()
                self._checked_at = began_at
            return self._is_reached

    async def _try(self) -> bool:
        parts = self._addresses.upstream
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                _, writer = await asyncio.open_connection(parts.hostname, port)
        except OSError:
            return False
        writer.close()
        return True

    async def ask(self, exchange: Exchange, url: str) -> tuple[aiohttp.ClientResponse, str]:
        """The answer, once it began, and the URL that gave it. Raises `Refused` when there is none.

        A server that only wants its URL with, or without, the slash at its end is asked once more: it is the same
        server, and the whole body is at hand.
        """
        answer = await self._ask(exchange, url)
        if answer.status not in {307, 308} or not exchange.body.is_whole:
            return answer, url
        path = exchange.request.path
        if not self._addresses.is_endpoint(path) or not self._addresses.adopt(answer.headers.get("Location", ""), url):
            return answer, url
        answer.close()
        url = self._addresses.resolve(exchange.request.scope)
        return await self._ask(exchange, url), url

    async def _ask(self, exchange: Exchange, url: str) -> aiohttp.ClientResponse:
        request, principal = exchange.request, exchange.principal
        assertion = self._identity.sign(principal, resource=self._resource, upstream=self._addresses.audience)
        headers = self._headers.build(
            request,
            identity=assertion,
            user=principal.subject if self._user_header else None,
            readable=exchange.is_stream,
        )
        if self._session is None:
            raise RuntimeError("The server behind is asked inside `connected` only.")
        try:
            async with asyncio.timeout(self._response_seconds):
                answer = await self._session.request(
                    request.method,
                    URL(url, encoded=True),
                    headers=headers,
                    data=exchange.body.content(),
                    allow_redirects=False,
                )
        except TimeoutError:
            self.note("did not answer in time")
            refuse(504, "gateway_timeout", "The server behind this address did not answer in time.")
        except aiohttp.ClientConnectorError as error:
            self._note_away(_explain(error))
            refuse(502, "bad_gateway", "The server behind this address cannot be reached now.", retry=True)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if exchange.body.is_broken:
                raise Disconnected from None
            self.note(f"broke off before its answer began ({type(error).__name__})")
            refuse(502, "bad_gateway", "The server behind this address gave no answer that can be read.")
        if self._is_away:
            self._is_away = False
            _log.info("The server behind at %s is reached again.", self._addresses.origin)
        return answer

    def find_location(self, answer: aiohttp.ClientResponse, url: str) -> str | None:
        """`Location` for the client, if any. Raises `Refused` for answers that say nothing to it."""
        if answer.status in {401, 407}:
            self.note(f"refused the credential it is called with ({answer.status})")
            text = "The server behind this address refused the credential it is called with: its operator has to act."
            refuse(502, "bad_gateway", text)
        if answer.status < 200:
            refuse(502, "bad_gateway", "The server behind this address gave no answer that can be read.")
        given = answer.headers.get("Location")
        if given is None:
            return None
        try:
            location = self._addresses.publish(given, url)
        except Unmappable:
            location = None
        if location is None:
            self.note("redirects to where no client can follow")
            refuse(502, "bad_gateway", "The server behind this address redirects to where no client can follow.")
        return location

    def _note_away(self, cause: str) -> None:
        """Tell once that it cannot be reached, however often it is tried."""
        if not self._is_away:
            self.note(f"cannot be reached ({cause})")
        self._is_away = True

    def note(self, what: str) -> None:
        """Tell the operator about the server behind: where it is, and nothing that was said."""
        _log.warning("The server behind at %s %s.", self._addresses.origin, what)


def _explain(error: aiohttp.ClientConnectorError) -> str:
    """Why there is no connection, in the words of the system where it has some."""
    number = error.os_error.errno
    return os.strerror(number) if number is not None and number in errno.errorcode else type(error).__name__


def refuse(status: int, error: str, text: str, *, retry: bool = False) -> NoReturn:
    """Answer in the place of the server behind, with nothing of what it said. Spec: RS-18"""
    more = (_RETRY_AFTER, NO_STORE) if retry else (NO_STORE,)
    raise Refused(build_json(status, {"error": error, "error_description": text}, *more), text)
