"""How the doctor asks: of judged addresses, within caps, following nothing, and never with what a program has.

Spec: CLI-04, CLI-05; threats T8, T11
"""

import ssl
import time
from collections.abc import AsyncIterable, Callable, Hashable, Mapping
from typing import Protocol, TypeVar, cast

import anyio
import httpx2

from doorward import __version__
from doorward.client.addresses import check_contactable, check_server_url
from doorward.client.dialling import JudgedTransport
from doorward.client.errors import ClientError

from .visits import Ask, Certificate, Seen

MAX_ANSWER_BYTES = 1024 * 1024
TOTAL_SECONDS = 10.0
MAX_REQUESTS = 600
MAX_LATE_ANSWERS = 6
AT_ONCE = 4
_END_OF_EVENT = (b"\n\n", b"\r\n\r\n", b"\r\r")

_Whole = tuple[int, tuple[tuple[str, str], ...], bytes, Certificate | None]
Key = TypeVar("Key", bound=Hashable)


class Sender(Protocol):
    """Makes one request and says what came of it; never raises for what the other side does."""

    async def send(self, ask: Ask) -> Seen:
        """The whole answer of the place that was asked, or why there is none."""
        ...


class JudgedSender:
    """The sender of every visit: a bounded number of requests, each to an address that the server may lead to.

    `trust` is a file of further certificate authorities. `clock` is what answers are dated with.
    """

    def __init__(
        self,
        server_url: str,
        *,
        trust: str | None = None,
        seconds: float = TOTAL_SECONDS,
        transport: httpx2.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_server_url(server_url)
        self._server_url = server_url
        self._transport = transport or JudgedTransport((server_url,), trust=trust)
        self._seconds = seconds
        self._clock = clock
        self._made = 0
        self._late = 0

    async def send(self, ask: Ask) -> Seen:
        """The answer of one place; redirects are answers. Spec: T8"""
        self._made += 1
        if self._made > MAX_REQUESTS:
            return self._failed(ask, f"the doctor asks no more than {MAX_REQUESTS} times")
        if self._late >= MAX_LATE_ANSWERS:
            return self._failed(ask, f"not asked after {MAX_LATE_ANSWERS} answers that did not come")
        started = time.monotonic()
        try:
            check_contactable(ask.url, what="The address", server_url=self._server_url)
            with anyio.fail_after(self._seconds):
                status, headers, body, certificate = await self._request(ask)
        except TimeoutError:
            self._late += 1
            return self._failed(ask, f"no answer within {self._seconds:.0f} seconds", time.monotonic() - started)
        except (ClientError, httpx2.TransportError, httpx2.InvalidURL, OSError, ValueError) as error:
            return self._failed(ask, _reason(error), time.monotonic() - started)
        seconds = time.monotonic() - started
        return Seen(ask.method, ask.url, status, headers, body, seconds, self._clock(), certificate=certificate)

    async def _request(self, ask: Ask) -> _Whole:
        headers = {"user-agent": f"Doorward/{__version__} doctor", **ask.headers, "accept-encoding": "identity"}
        request = httpx2.Request(ask.method, ask.url, headers=headers, content=ask.body)
        response = await self._transport.handle_async_request(request)
        try:
            found = tuple(
                (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers.raw
            )
            body = await _read(response, is_open=ask.method == "GET")
            return response.status_code, found, body, _read_certificate(response)
        finally:
            with anyio.CancelScope(shield=True):
                await response.aclose()

    def _failed(self, ask: Ask, fault: str, seconds: float = 0.0) -> Seen:
        return Seen(ask.method, ask.url, seconds=seconds, received_at=self._clock(), fault=fault)


async def send_all(sender: Sender, asks: Mapping[Key, Ask]) -> dict[Key, Seen]:
    """Every answer by its key, in the order of `asks`; a few requests are on their way at once."""
    limit = anyio.CapacityLimiter(AT_ONCE)
    found: dict[Key, Seen] = {}

    async def one(key: Key, ask: Ask) -> None:
        async with limit:
            found[key] = await sender.send(ask)

    async with anyio.create_task_group() as group:
        for key, ask in asks.items():
            group.start_soon(one, key, ask)
    return {key: found[key] for key in asks}


async def _read(response: httpx2.Response, *, is_open: bool) -> bytes:
    """The body within the cap; of a stream of events the first one, since the stream need not end, or even begin."""
    is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
    if is_stream and is_open:
        return b""
    body = bytearray()
    async for chunk in cast("AsyncIterable[bytes]", response.stream):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise ValueError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
        if is_stream and b"data:" in body and any(end in body for end in _END_OF_EVENT):
            break
    return bytes(body)


def _read_certificate(response: httpx2.Response) -> Certificate | None:
    """How the connection of an answer was secured; None for http."""
    stream = response.extensions.get("network_stream")
    tls = stream.get_extra_info("ssl_object") if stream is not None else None
    if not isinstance(tls, ssl.SSLObject | ssl.SSLSocket):
        return None
    ends = (tls.getpeercert() or {}).get("notAfter")
    return Certificate(tls.version() or "", ssl.cert_time_to_seconds(ends) if isinstance(ends, str) else 0.0)


def _reason(error: Exception) -> str:
    """Why, in few words that hold nothing of the request."""
    cause: BaseException | None = error
    while cause is not None:
        if (told := getattr(cause, "verify_message", "")) and isinstance(told, str):
            return f"its certificate is not trusted: {told}"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, ClientError | ValueError):
        return str(error)
    return "no connection" if isinstance(error, httpx2.ConnectError | OSError) else "the connection broke"
