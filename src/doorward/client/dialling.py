"""Connections to judged addresses alone.

A name is resolved once, its addresses are judged, and the connection goes to one of those, so that a second look-up
cannot lead elsewhere. TLS names the server and is checked against the authorities of this machine.

Spec: CLI-04, CLI-05, ASM-22
"""

import ssl
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any, cast
from urllib.parse import urlsplit

import anyio
import httpcore2
import httpx2

from doorward.fetch import CONNECT_SECONDS, Resolve, parse_address, resolve_name

from .addresses import is_inside_address, is_inside_host, is_loopback_url, may_be_reached
from .errors import AddressRefused

_ON_THIS_MACHINE = ["127.0.0.1", "::1"]


class JudgedTransport(httpx2.AsyncBaseTransport):
    """Connects to judged addresses alone; one connection for each request, so that no event loop owns any."""

    def __init__(
        self,
        chosen: Sequence[str],
        *,
        trust: str | None = None,
        proxy: str | None = None,
        resolve: Resolve = resolve_name,
    ) -> None:
        self._chosen = tuple(chosen)
        self._resolve = resolve
        self._trust = trust
        self._proxy = proxy
        self._tls: ssl.SSLContext | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One request and its answer, whose body is read as it comes. Raises `AddressRefused` and httpx2's errors."""
        backend = _JudgingBackend(self._chosen, self._resolve, self._trusting)
        pool = self._build_pool(str(request.url), backend)
        try:
            with _in_words_of_httpx2():
                response = await pool.handle_async_request(
                    httpcore2.Request(
                        method=request.method,
                        url=httpcore2.URL(
                            scheme=request.url.raw_scheme,
                            host=request.url.raw_host,
                            port=request.url.port,
                            target=request.url.raw_path,
                        ),
                        headers=request.headers.raw,
                        content=request.stream,
                        extensions=request.extensions,
                    )
                )
        except BaseException:
            await _close(backend, pool)
            raise
        return httpx2.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response, backend, pool),
            extensions={"network_stream": response.extensions.get("network_stream")},
        )

    def _build_pool(self, url: str, backend: "_JudgingBackend") -> httpcore2.AsyncConnectionPool:
        proxy = self._proxy if not is_loopback_url(url) else None
        return httpcore2.AsyncConnectionPool(
            ssl_context=self._trusting() if url.startswith("https:") else None,
            proxy=httpcore2.Proxy(proxy) if proxy else None,
            max_connections=1,
            max_keepalive_connections=0,
            network_backend=backend if not proxy else None,
        )

    def _trusting(self) -> ssl.SSLContext:
        """What the machine trusts, and the file that was given; read once, and only where there is TLS."""
        if self._tls is None:
            tls = httpcore2.default_ssl_context()
            if self._trust:
                tls.load_verify_locations(self._trust)
            self._tls = tls
        return self._tls


class _JudgingBackend(httpcore2.AnyIOBackend):
    """Dials the judged addresses of a name, one after the other; TLS and Host keep the name."""

    def __init__(self, chosen: Sequence[str], resolve: Resolve, trusting: Callable[[], ssl.SSLContext]) -> None:
        super().__init__()
        self._trusting = trusting
        self._server = urlsplit(chosen[0])
        self._chosen = frozenset(urlsplit(url).hostname or "" for url in chosen)
        self._resolve = resolve
        self._opened: list[httpcore2.AsyncNetworkStream] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # the signature that httpcore2 calls
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first judged address that takes the connection."""
        del timeout
        fault: Exception = httpcore2.ConnectError(f"{host} has no address")
        for address in await self._judge(host, port):
            try:
                stream = await super().connect_tcp(address, port, CONNECT_SECONDS, local_address, socket_options)
                self._opened.append(stream)
                return stream
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                fault = error
        raise fault

    async def aclose(self) -> None:
        """Close what was opened: a pool does not know of a connection that was given up during its TLS handshake."""
        for stream in self._opened:
            await stream.aclose()

    async def _judge(self, host: str, port: int) -> list[str]:
        """The addresses of a name that may be reached, families in turn. Raises `AddressRefused` where none may."""
        found = await self._look_up(host, port)
        fit = _reachable(found, chosen=host in self._chosen, inside=False)
        if found and not fit and await self._is_inside():
            fit = _reachable(found, chosen=False, inside=True)
        if found and not fit:
            raise AddressRefused(
                f"The name {host} leads inside a network that {self._server.hostname} has no business in. "
                "It was not contacted."
            )
        return _in_turn(fit)

    async def _is_inside(self) -> bool:
        """Whether the server itself is on this machine or a private network.

        Every address of its name must be, and a server with its certificate must answer there: whoever owns a name
        has it lead wherever they like.
        """
        host, port = self._server.hostname or "", self._server.port or 443
        if is_inside_host(host):
            return True
        try:
            found = await self._look_up(host, port)
            if not found or not all((address := parse_address(text)) and is_inside_address(address) for text in found):
                return False
            stream = await super().connect_tcp(found[0], port, CONNECT_SECONDS)
            self._opened.append(stream)
            await stream.start_tls(self._trusting(), host, CONNECT_SECONDS)
        except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
            return False
        return True

    async def _look_up(self, host: str, port: int) -> list[str]:
        if parse_address(host) is not None:
            return [host]
        if host.removesuffix(".") == "localhost":  # whatever a resolver makes of it. Spec: RFC 6761 §6.3
            return _ON_THIS_MACHINE
        try:
            return await self._resolve(host, port)
        except (OSError, UnicodeError):  # the latter for labels that no name can have
            raise httpcore2.ConnectError(f"the name {host} cannot be resolved") from None


class _Body(httpx2.AsyncByteStream):
    """A body that takes its connection with it."""

    def __init__(
        self, response: httpcore2.Response, backend: _JudgingBackend, pool: httpcore2.AsyncConnectionPool
    ) -> None:
        self._response = response
        self._backend = backend
        self._pool = pool

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _in_words_of_httpx2():
            async for chunk in cast("AsyncIterable[bytes]", self._response.stream):
                yield chunk

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._response.aclose()
        await _close(self._backend, self._pool)


async def _close(backend: _JudgingBackend, pool: httpcore2.AsyncConnectionPool) -> None:
    with anyio.CancelScope(shield=True):
        await pool.aclose()
        await backend.aclose()


@contextmanager
def _in_words_of_httpx2() -> Iterator[None]:
    try:
        yield
    except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
        raise httpx2.ConnectError(str(error)) from error
    except httpcore2.ProtocolError as error:
        raise httpx2.RemoteProtocolError(str(error)) from error
    except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProxyError, ssl.SSLError) as error:
        raise httpx2.ReadError(str(error)) from error


def _reachable(found: list[str], *, chosen: bool, inside: bool) -> list[str]:
    return [
        text
        for text in found
        if (address := parse_address(text)) and may_be_reached(address, chosen=chosen, inside=inside)
    ]


def _in_turn(addresses: list[str]) -> list[str]:
    """The same addresses with the families in turn, so that one that leads nowhere does not use up the time."""
    first = [text for text in addresses if (":" in text) == (":" in addresses[0])]
    other = [text for text in addresses if (":" in text) != (":" in addresses[0])]
    return [text for pair in zip_longest(first, other) for text in pair if text]
