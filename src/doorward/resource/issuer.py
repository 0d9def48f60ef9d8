"""What is read of an issuer over the network: its metadata, its keys, its word on a token.

Only the configured issuer is ever contacted, or what its own metadata names; nothing a token says leads to a fetch.
"""

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2

from doorward.oauth.errors import OAuthError
from doorward.oauth.metadata import AUTHORIZATION_SERVER, OPENID_CONFIGURATION, well_known_url
from doorward.oauth.redirects import LOOPBACK_HOSTS
from doorward.oauth.resources import parse_resource

MAX_DOCUMENT_SIZE = 256 * 1024
_CONNECT_SECONDS = 2.0
_TOTAL_SECONDS = 5.0
_MAX_RETRY_AFTER = 300


class Unreachable(Exception):  # noqa: N818  # a state of the network, which the caller gives its meaning
    """The issuer gave no usable answer; `status` is that of the answer it gave, if any, `retry_after` its wish."""

    def __init__(self, reason: str, *, status: int | None = None, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after = retry_after


def check_url(url: str, what: str, *, insecure_http: bool = False) -> None:
    """Refuse what cannot be an issuer's or a resource's URL; http is for this machine only unless allowed.

    Raises `ValueError` naming `what`. Spec: RFC 8414 §2; RFC 9728 §1.2 (RS-14)
    """
    try:
        parts = urlsplit(parse_resource(url))
    except OAuthError as error:
        raise ValueError(f"{what}: {error.description} Got {url!r}.") from None
    if "?" in url:
        raise ValueError(f"{what} must not have a query: {url!r}.")
    if parts.scheme.lower() == "http" and parts.hostname not in LOOPBACK_HOSTS and not insecure_http:
        raise ValueError(f"{what} must be https unless it is on this machine: {url!r}.")


def new_http_client() -> httpx2.AsyncClient:
    """A client that trusts the system's certificates, and takes no proxy, login or other hint from the environment."""
    timeout = httpx2.Timeout(_TOTAL_SECONDS, connect=_CONNECT_SECONDS)
    return httpx2.AsyncClient(timeout=timeout, trust_env=False)


class Issuer:
    """Reads JSON of one issuer under limits: 256 KiB unless said otherwise, 5 seconds, no redirects, no compression.

    Without `http_client` each read opens its own connection; whoever reads often brings a client and closes it.

    Spec: RFC 8414 §3 (RS-08)
    """

    def __init__(
        self, issuer: str, *, http_client: httpx2.AsyncClient | None = None, insecure_http: bool = False
    ) -> None:
        check_url(issuer, "issuer", insecure_http=insecure_http)
        self.issuer = issuer
        self._insecure_http = insecure_http
        self._http_client = http_client

    async def discover(self, member: str) -> str:
        """The URL that the issuer's metadata gives as `member`. Raises `Unreachable`.

        Spec: RFC 8414 §3.1
        """
        url = (await self.read_metadata()).get(member)
        if not isinstance(url, str):
            raise Unreachable(f"the metadata document has no {member}")
        try:
            check_url(url.partition("?")[0], member, insecure_http=self._insecure_http)
        except ValueError as error:
            raise Unreachable(str(error)) from None
        return url

    async def read_metadata(self) -> dict[str, Any]:
        """The issuer's metadata document. Raises `Unreachable`.

        It must name this very issuer, compared as strings: any other is somebody else's.

        Spec: RFC 8414 §3.3
        """
        document = await self._find_metadata()
        if document.get("issuer") != self.issuer:
            raise Unreachable("the metadata document names another issuer")
        return document

    async def read(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str] | None = None,
        form: dict[str, str] | None = None,
        document: Mapping[str, Any] | None = None,
        max_size: int = MAX_DOCUMENT_SIZE,
    ) -> dict[str, Any]:
        """The JSON object that `url` answers with status 200, to a form or a document if one is given.

        Raises `Unreachable` for everything else.
        """
        accepting = {"Accept": "application/json", **(headers or {})}
        body = await self._read_body(method, url, accepting, form=form, document=document, max_size=max_size)
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise Unreachable(f"{url}: the answer is not JSON") from None
        if not isinstance(document, dict):
            raise Unreachable(f"{url}: the answer is not a JSON object")
        return document

    async def read_text(self, url: str, *, wait_seconds: int) -> str:
        """The text that `url` answers with status 200, for which the issuer may take its time.

        Raises `Unreachable` for everything else.
        """
        body = await self._read_body("GET", url, {"Accept": "*/*"}, seconds=wait_seconds + _TOTAL_SECONDS)
        return body.decode("latin-1")

    async def _read_body(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        *,
        form: dict[str, str] | None = None,
        document: Mapping[str, Any] | None = None,
        seconds: float = _TOTAL_SECONDS,
        max_size: int = MAX_DOCUMENT_SIZE,
    ) -> bytes:
        timeout = httpx2.Timeout(seconds, connect=_CONNECT_SECONDS)
        try:
            with anyio.fail_after(seconds):
                async with self._client() as client:
                    plain = {"Accept-Encoding": "identity", **headers}
                    request = client.build_request(
                        method, url, data=form, json=document, headers=plain, timeout=timeout
                    )
                    return await _read_capped(client, request, max_size)
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError) as error:
            # TimeoutError is an OSError.
            raise Unreachable(f"{url}: {type(error).__name__}") from error

    async def _find_metadata(self) -> dict[str, Any]:
        for url in _metadata_urls(self.issuer):
            try:
                return await self.read("GET", url)
            except Unreachable as error:
                if error.status is None or not 400 <= error.status < 500:
                    raise
        raise Unreachable("the issuer publishes no metadata document")

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[httpx2.AsyncClient]:
        if self._http_client is not None:
            yield self._http_client
            return
        async with new_http_client() as client:
            yield client


def _metadata_urls(issuer: str) -> Iterable[str]:
    """Where metadata may be, in the order of the specification."""
    yield well_known_url(issuer, AUTHORIZATION_SERVER)
    yield well_known_url(issuer, OPENID_CONFIGURATION)
    if urlsplit(issuer).path.strip("/"):
        yield f"{issuer.rstrip('/')}/.well-known/{OPENID_CONFIGURATION}"


async def _read_capped(client: httpx2.AsyncClient, request: httpx2.Request, max_size: int) -> bytes:
    response = await client.send(request, stream=True, follow_redirects=False)
    try:
        if response.status_code != 200:
            raise Unreachable(
                f"{request.url}: status {response.status_code}",
                status=response.status_code,
                retry_after=_parse_retry_after(response.headers.get("retry-after")),
            )
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise Unreachable(f"{request.url}: the answer is compressed")
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > max_size:
                raise Unreachable(f"{request.url}: the answer is too long")
        return bytes(body)
    finally:
        await response.aclose()


def _parse_retry_after(value: str | None) -> int | None:
    if value is None or not value.isascii() or not value.isdigit() or len(value) > 6:
        return None
    return min(max(int(value), 1), _MAX_RETRY_AFTER)
