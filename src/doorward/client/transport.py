"""How a client's OAuth requests are sent: within caps, and never on to anywhere else.

A program's own HTTP client has cookies, headers, proxies and redirects of its own, each of which has carried somebody's
secret away; these requests go another way, and only to addresses that were judged as text and as what they lead to.

Spec: CLI-04, CLI-05, ASM-22; threat T8
"""

import ssl
import time
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import urljoin, urlsplit

import anyio
import httpx2

from doorward import __version__
from doorward.fetch import Resolve, resolve_name

from .addresses import check_contactable, same_origin, shown_origin
from .dialling import JudgedTransport
from .effects import MAX_ANSWER_BYTES, TOTAL_SECONDS, Answer, Send
from .errors import AddressRefused, AnswerRefused, RedirectRefused, Unreachable

MAX_HEADER_BYTES = 64 * 1024
MAX_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie", "dpop"})


class Sender:
    """Executes `Send` effects; safe for tasks, threads and event loops, since it keeps nothing between two of them.

    `server_url` is the server that a person or program chose, `given` other addresses that they named themselves, such
    as an issuer: their hosts may be inside a private network. `transport` replaces the connections, and with them the
    judging of where names lead. `trust` adds certificate authorities of a file; `proxy` is used for everything that is
    not on this machine, and then judges names itself.
    """

    def __init__(
        self,
        server_url: str,
        *,
        given: Sequence[str] = (),
        transport: httpx2.AsyncBaseTransport | None = None,
        trust: str | None = None,
        proxy: str | None = None,
        resolve: Resolve = resolve_name,
        seconds: float = TOTAL_SECONDS,
    ) -> None:
        self._chosen = (server_url, *given)
        self._transport = transport or JudgedTransport(self._chosen, trust=trust, proxy=proxy, resolve=resolve)
        self._seconds = seconds

    async def send(self, effect: Send) -> Answer:
        """The whole answer, whatever its status, of the one place that was asked.

        Raises `AddressRefused` before anything is sent, `Unreachable` where no whole answer came, `RedirectRefused`
        where it leads elsewhere, and `AnswerRefused` where it is beyond the caps.

        Spec: T8
        """
        try:
            with anyio.fail_after(self._seconds):
                return await self._follow(effect)
        except TimeoutError:
            raise Unreachable(f"{_named(effect)} did not answer within {self._seconds:.0f} seconds.") from None

    async def _follow(self, effect: Send) -> Answer:
        may_follow = (
            effect.method == "GET"
            and effect.body is None
            and not any(name.lower() in _CREDENTIALS for name in effect.headers)
        )
        url = effect.url
        for _ in range(MAX_REDIRECTS + 1):
            self._check(url, effect.what)
            answer = await self._request(effect, url)
            if answer.status not in _REDIRECTS:
                return answer
            url = _next_url(effect, url, answer, may_follow=may_follow)
        raise RedirectRefused(f"{_named(effect)} redirects more than {MAX_REDIRECTS} times.")

    def _check(self, url: str, what: str) -> None:
        host = urlsplit(url).hostname
        owner = next((chosen for chosen in self._chosen if urlsplit(chosen).hostname == host), self._chosen[0])
        check_contactable(url, what=what, server_url=owner)

    async def _request(self, effect: Send, url: str) -> Answer:
        request = _build_request(effect, url)
        try:
            async with _answering(self._transport, request) as response:
                return await _read(effect, response)
        except (httpx2.TransportError, OSError, httpx2.InvalidURL) as error:
            raise Unreachable(f"{_named(effect)} could not be reached ({_reason(error)}).") from None


@asynccontextmanager
async def _answering(transport: httpx2.AsyncBaseTransport, request: httpx2.Request) -> AsyncIterator[httpx2.Response]:
    response = await transport.handle_async_request(request)
    try:
        yield response
    finally:
        with anyio.CancelScope(shield=True):
            await response.aclose()


def _build_request(effect: Send, url: str) -> httpx2.Request:
    headers = {
        "user-agent": f"Doorward/{__version__}",
        **{name.lower(): value for name, value in effect.headers.items()},
        "accept-encoding": "identity",
    }
    if not all(value.isascii() and value.isprintable() for value in headers.values()):
        # Something that an answer brought along would end a header and begin another.
        raise AnswerRefused(f"{_named(effect)} cannot be sent what another answer said: it holds control characters.")
    try:
        return httpx2.Request(effect.method, url, headers=headers, content=effect.body)
    except httpx2.InvalidURL:
        raise AddressRefused(f"{_named(effect)} has no valid address. It was not contacted.") from None


async def _read(effect: Send, response: httpx2.Response) -> Answer:
    """The answer, read no further than the caps allow."""
    headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers.raw)
    if sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
        raise AnswerRefused(f"{_named(effect)} sent more than {MAX_HEADER_BYTES} bytes of headers.")
    if response.status_code < 200:
        raise AnswerRefused(f"{_named(effect)} answered with the status {response.status_code}.")
    if any(name == "content-encoding" and value.strip().lower() not in {"", "identity"} for name, value in headers):
        raise AnswerRefused(f"{_named(effect)} sent a compressed answer although none was asked for.")
    body = bytearray()
    async for chunk in cast("AsyncIterable[bytes]", response.stream):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise AnswerRefused(f"{_named(effect)} sent more than {MAX_ANSWER_BYTES} bytes.")
    return Answer(response.status_code, headers, bytes(body), received_at=time.time())


def _next_url(effect: Send, url: str, answer: Answer, *, may_follow: bool) -> str:
    """Where a redirect leads, inside the origin that was asked. Raises `RedirectRefused`. Spec: T8, CLI-05"""
    locations = answer.header_values("location")
    location = locations[0] if len(locations) == 1 else ""
    if not location or not all("!" <= character <= "~" for character in location) or "\\" in location:
        raise RedirectRefused(f"{_named(effect)} redirects without saying where to.")
    try:
        target = urljoin(url, location).partition("#")[0]
        same, shown = same_origin(url, target), shown_origin(target)
    except ValueError:
        raise RedirectRefused(f"{_named(effect)} redirects without saying where to.") from None
    if not same:
        raise RedirectRefused(f"{_named(effect)} redirects to {shown}, which is somewhere else. It was not followed.")
    if not may_follow:
        raise RedirectRefused(f"{_named(effect)} redirects a request that carries secrets. It was not followed.")
    return target


def _named(effect: Send) -> str:
    """What was asked for and of whom, to begin a sentence with."""
    return f"{effect.what[:1].upper()}{effect.what[1:]} at {shown_origin(effect.url)}"


def explain_tls(error: Exception) -> str:
    """What was wrong with TLS, in few words, none of which are the other side's; nothing where it was not that."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return "the TLS connection failed"
        cause = cause.__cause__ or cause.__context__
    return ""


def _reason(error: Exception) -> str:
    """Why, in few words."""
    if told := explain_tls(error):
        return told
    if isinstance(error, httpx2.ConnectError):
        return str(error) if "resolved" in str(error) else "no connection"
    return "the connection broke"
