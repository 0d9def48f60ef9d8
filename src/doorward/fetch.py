"""The only outbound requests to URLs that others give us: https, public addresses, pinned dial, hard caps.

A name is resolved once, every address it has is judged by our own deny list, and the connection goes to a judged
address, so that a second look-up cannot lead elsewhere. Redirects are not followed, proxies of the environment are
not used, and nothing of an inbound request is sent along.

Spec: CIMD draft-02 §8.6, §8.7 (CIMD-06, CIMD-07, CIMD-09, CIMD-11 … CIMD-13); threat T5
"""

import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import anyio
import httpcore2

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Awaitable[list[str]]]

MAX_URL_LENGTH = 2048
MAX_HEADER_BYTES = 16 * 1024
CONNECT_SECONDS = 2.0
TOTAL_SECONDS = 5.0
HTTPS_PORT = 443
_FAULTS = (
    httpcore2.NetworkError,
    httpcore2.TimeoutException,
    httpcore2.ProtocolError,
    httpcore2.ProxyError,
    ssl.SSLError,
)

# IANA special-purpose registries, and ranges that lead to other addresses: translations, tunnels, relays.
_DENIED_V4 = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_GLOBAL_V6 = ipaddress.ip_network("2000::/3")
_DENIED_V6 = tuple(
    ipaddress.ip_network(network)
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)


class FetchRefused(Exception):  # noqa: N818  # a decision, not a fault
    """The URL must not be fetched; no connection was opened. The message says why, for the person who sees it."""


class FetchFailed(Exception):  # noqa: N818  # the other side's fault, told as such
    """The fetch did not give a usable answer. The message says why."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A complete answer within the caps. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, repr=False)
class _Outgoing:
    """One request. It may carry a credential, so nothing ever shows it."""

    method: str
    url: str
    accept: str
    authorization: str
    content: bytes | None = None

    def headers(self, host: str) -> list[tuple[str, str]]:
        found = [("host", host), ("accept", self.accept), ("accept-encoding", "identity"), ("user-agent", "Doorward")]
        if self.authorization:
            found.append(("authorization", self.authorization))
        if self.content is not None:
            found += [
                ("content-type", "application/x-www-form-urlencoded"),
                ("content-length", str(len(self.content))),
            ]
        return found


def is_public_address(address: Address) -> bool:
    """Whether an address is an ordinary one of the public internet.

    `ipaddress.is_global` is not enough: it calls translations of loopback, tunnels and multicast global.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _DENIED_V4)
    return address in _GLOBAL_V6 and not any(address in network for network in _DENIED_V6)


class GuardedFetcher:
    """Fetches documents from addresses that strangers chose. One per process; safe for concurrent use.

    `allow_cidrs` are networks that may be reached although they are not public, on any port and by address: for
    development and tests. `trust` adds certificate authorities of a file. `resolve` is for tests.
    """

    def __init__(
        self,
        *,
        allow_cidrs: Iterable[str] = (),
        trust: str | None = None,
        proxy: str | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        self._allowed: tuple[Network, ...] = tuple(ipaddress.ip_network(network) for network in allow_cidrs)
        self._tls = ssl.create_default_context()
        if trust:
            self._tls.load_verify_locations(trust)
        self._proxy = proxy
        self._resolve = resolve or resolve_name

    async def get(
        self, url: str, *, max_bytes: int, accept: str = "application/json", authorization: str = ""
    ) -> Fetched:
        """GET `url` whole, or not at all. Raises `FetchRefused` before any connection, `FetchFailed` after."""
        return await self._send(_Outgoing("GET", url, accept, authorization), max_bytes)

    async def post_form(
        self, url: str, fields: Mapping[str, str], *, max_bytes: int, authorization: str = ""
    ) -> Fetched:
        """POST a form, under the same guard: never sent twice, and nowhere else than to `url`. Raises as `get` does."""
        body = urlencode(fields).encode()
        return await self._send(_Outgoing("POST", url, "application/json", authorization, body), max_bytes)

    async def _send(self, outgoing: "_Outgoing", max_bytes: int) -> Fetched:
        host, port = self._check_url(outgoing.url)
        try:
            with anyio.fail_after(TOTAL_SECONDS):
                addresses = await self._judge(host, port)
                return await self._request(outgoing, addresses, max_bytes)
        except TimeoutError:
            raise FetchFailed(f"{host} did not answer within {TOTAL_SECONDS:.0f} seconds.") from None

    def _check_url(self, url: str) -> tuple[str, int]:
        try:
            parts = urlsplit(url)
            port = HTTPS_PORT if parts.port is None else parts.port
        except ValueError:
            raise FetchRefused("The address is not a valid URL.") from None
        host = parts.hostname or ""
        if len(url) > MAX_URL_LENGTH or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
            raise FetchRefused("The address is not a valid URL.")
        if parts.scheme != "https" or not host or "@" in parts.netloc:
            raise FetchRefused("Only https addresses without a user are fetched.")
        literal = parse_address(host)
        if literal is not None and not self._is_allowed(literal):
            raise FetchRefused("Addresses of machines are not fetched, only names.")
        if port != HTTPS_PORT and not self._allowed:
            raise FetchRefused("Only the https port 443 is fetched.")
        return host, port

    async def _judge(self, host: str, port: int) -> list[str]:
        """The addresses of a name, all of them fit to be reached. Raises `FetchRefused`."""
        literal = parse_address(host)
        try:
            found = [str(literal)] if literal is not None else await self._resolve(host, port)
        except (OSError, UnicodeError):  # the latter for labels that no name can have
            raise FetchFailed(f"The name {host} cannot be resolved.") from None
        if not found:
            raise FetchFailed(f"The name {host} has no address.")
        for text in found:
            address = parse_address(text)
            if address is None or not self._may_reach(address, port):
                raise FetchRefused(f"The name {host} leads to an address that must not be reached.")
        return found

    def _may_reach(self, address: Address, port: int) -> bool:
        if self._is_allowed(address):
            return True
        return port == HTTPS_PORT and is_public_address(address) and not _is_own(address)

    def _is_allowed(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self._allowed)

    async def _request(self, outgoing: "_Outgoing", addresses: Sequence[str], max_bytes: int) -> Fetched:
        host = urlsplit(outgoing.url).netloc
        pool = httpcore2.AsyncConnectionPool(
            ssl_context=self._tls,
            proxy=httpcore2.Proxy(self._proxy) if self._proxy else None,
            max_connections=1,
            max_keepalive_connections=0,
            network_backend=None if self._proxy else _PinnedBackend(addresses[0]),
        )
        try:
            sent = pool.stream(outgoing.method, outgoing.url, headers=outgoing.headers(host), content=outgoing.content)
            async with pool, sent as response:
                return await _read(response, max_bytes)
        except _FAULTS as error:
            raise FetchFailed(f"{host} could not be fetched ({type(error).__name__}).") from None


class _PinnedBackend(httpcore2.AnyIOBackend):
    """Dials the judged address whatever name it is asked for; TLS and Host keep the name."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address = address

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # the signature that httpcore2 calls
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the pinned address."""
        del host, timeout
        return await super().connect_tcp(self._address, port, CONNECT_SECONDS, local_address, socket_options)


async def _read(response: httpcore2.Response, max_bytes: int) -> Fetched:
    """The answer, read no further than the caps allow."""
    if sum(len(name) + len(value) for name, value in response.headers) > MAX_HEADER_BYTES:
        raise FetchFailed("The answer's headers are too large.")
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise FetchFailed("The answer is compressed although that was not asked for.")
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_stream():
        size += len(chunk)
        if size > max_bytes:
            raise FetchFailed(f"The answer is larger than {max_bytes} bytes.")
        chunks.append(chunk)
    return Fetched(response.status, headers, b"".join(chunks))


async def resolve_name(host: str, port: int) -> list[str]:
    """The addresses of a name as the system knows them, in its order. Raises `OSError` or `UnicodeError`."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def parse_address(text: str) -> Address | None:
    """An IP address in any spelling that a resolver would take for one, or None for a name."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(text.partition("%")[0])
    if text and text[-1].isalnum() and not text.rpartition(".")[2].isalpha():
        # Decimal, octal, hexadecimal and short spellings (T5): the C library reads them, so must the judge.
        with contextlib.suppress(OSError):
            return ipaddress.IPv4Address(socket.inet_aton(text))
    return None


def _is_own(address: Address) -> bool:
    """Whether the address is this machine's: only then can a socket be bound to it."""
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.bind((str(address), 0))
        return True
    return False
