"""For clients of the first MCP authorization (2025-03-26), which look for the authorization server where the MCP
server is.

Those clients know nothing of protected resource metadata. They ask `/.well-known/oauth-authorization-server` on the
MCP server's own origin, and where there is none they use `/authorize`, `/token` and `/register` there.
"""

import time
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import anyio
import httpx2

from doorward.oauth.errors import TEMPORARILY_UNAVAILABLE, OAuthError
from doorward.oauth.metadata import AUTHORIZATION_SERVER

from .asgi import (
    Answer,
    ASGIApp,
    Disconnected,
    Receive,
    Refused,
    Request,
    Scope,
    Send,
    build_header,
    build_json,
    read_body,
)
from .challenges import NO_STORE
from .cors import build_preflight
from .issuer import MAX_DOCUMENT_SIZE, Issuer, Unreachable, check_url, new_http_client

MAX_FORM_SIZE = 64 * 1024
_WELL_KNOWN = f"/.well-known/{AUTHORIZATION_SERVER}"
_PROXIED = {"/token": "token_endpoint", "/register": "registration_endpoint"}
_AUTHORIZE = "/authorize"
_PASSED_ON = ("content-type", "accept", "authorization", "dpop", "user-agent")
_PASSED_BACK = ("content-type", "www-authenticate", "retry-after", "dpop-nonce")
_FRESH_SECONDS = 300.0
_PAUSE_SECONDS = 2.0
_RETRY_AFTER = "5"
_AT_ONCE = 32
_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in "\"'#<>\\^`{|}")
"""What may stand in a query as it is; the rest is escaped on its way into a header."""
_ANYWHERE = build_header("access-control-allow-origin", "*")


class LegacyShim:
    """Answers, in front of `app`, what clients of 2025-03-26 ask on the origin of `resource`; off unless it is made.

    Where that origin is the issuer itself (`doorward up --demo`, embedded mode, `doorward protect`) nothing is
    needed, and everything is passed to `app`. Elsewhere `/authorize` redirects to the issuer's authorization endpoint
    with the query as it is, and with `resource` where it is missing; `/token` and `/register` hand a POST to the
    issuer's endpoints and its answer back, at most 64 KiB there and 256 KiB back, without following redirects. These
    three paths are not the app's any more. An issuer that cannot be reached is a 503.

    The issuer's metadata is not mirrored, since clients of today refuse a document that names another issuer than the
    origin it is on, and the redirects are enough for those that follow the old rules to the end. Clients that stop
    without a document need `mirror_metadata`: the issuer's own, with its true `issuer`, and with the authorization
    endpoint here so that `resource` is still added. On one origin, under an issuer with a path, it is mirrored always.

    Raises `ValueError` for URLs that cannot be an issuer's or a resource's.

    Spec: MCP Authorization 2025-03-26, Fallbacks (LEG-01 … LEG-03); clients.md no. 59
    """

    def __init__(
        self, app: ASGIApp, *, issuer: str, resource: str, mirror_metadata: bool = False, insecure_http: bool = False
    ) -> None:
        check_url(resource, "resource", insecure_http=insecure_http)
        self._app = app
        self._resource = resource
        self._origin = _origin(resource)
        self._is_needed = issuer.rstrip("/") != self._origin
        self._mirrors = mirror_metadata or _origin(issuer) == self._origin
        self._issuer = Issuer(issuer, insecure_http=insecure_http)
        self._insecure_http = insecure_http
        self._metadata: dict[str, Any] = {}
        self._fresh_until = 0.0
        self._reading = anyio.Lock()
        self._turns = anyio.Semaphore(_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http" or not self._is_needed or not self._is_ours(scope["path"]):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            answer = await self._answer(request, receive)
        except Disconnected:
            return
        except Refused as refused:
            answer = refused.answer
        except Unreachable:
            refusal = OAuthError(TEMPORARILY_UNAVAILABLE, "The authorization server cannot be reached now.", status=503)
            answer = build_json(503, refusal.body(), build_header("retry-after", _RETRY_AFTER), NO_STORE, _ANYWHERE)
        await answer.send(request, send)

    def _is_ours(self, path: str) -> bool:
        return path == _AUTHORIZE or path in _PROXIED or (self._mirrors and path.rstrip("/") == _WELL_KNOWN)

    async def _answer(self, request: Request, receive: Receive) -> Answer:
        methods = ("POST",) if request.path in _PROXIED else ("GET", "HEAD")
        if request.method == "OPTIONS" and request.path != _AUTHORIZE:
            return build_preflight(request, methods=", ".join((*methods, "OPTIONS")), origin="*")
        if request.method not in methods:
            return _refuse(405, "Method not allowed.", build_header("allow", ", ".join(methods)))
        if request.path == _AUTHORIZE:
            return await self._redirect(request)
        if request.path in _PROXIED:
            return await self._proxy(request, receive)
        document = {**await self._read_metadata(), "authorization_endpoint": f"{self._origin}{_AUTHORIZE}"}
        return build_json(
            200, document, build_header("cache-control", f"public, max-age={int(_FRESH_SECONDS)}"), _ANYWHERE
        )

    async def _redirect(self, request: Request) -> Answer:
        """To the issuer, and nowhere else whatever the query says; the issuer judges it. Spec: LEG-02"""
        query = quote(request.scope.get("query_string", b"").decode("latin-1"), safe=_PLAIN)
        if not any(name == "resource" for name, _ in parse_qsl(query, keep_blank_values=True)):
            query = "&".join(filter(None, (query, urlencode({"resource": self._resource}))))
        endpoint = await self._find("authorization_endpoint")
        location = f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"
        return Answer(
            302, (build_header("location", location), NO_STORE, build_header("referrer-policy", "no-referrer"))
        )

    async def _proxy(self, request: Request, receive: Receive) -> Answer:
        """A POST to the issuer's endpoint, and its answer: errors are the issuer's to word. Spec: LEG-02"""
        body = await read_body(request, receive, limit=MAX_FORM_SIZE)
        if body is None:
            return _refuse(413, f"A body may have {MAX_FORM_SIZE} bytes at most.")
        url = await self._find(_PROXIED[request.path])
        headers = {name: request.value(name) for name in _PASSED_ON if request.value(name)}
        client = request.scope.get("client")
        if client:
            headers["x-forwarded-for"] = str(client[0])
        async with self._turns:
            status, given, content = await _post(url, body, {**headers, "accept-encoding": "identity"})
        back = [build_header(name, given[name]) for name in _PASSED_BACK if name in given]
        return Answer(status, (*back, NO_STORE, _ANYWHERE), content)

    async def _find(self, member: str) -> str:
        """An endpoint of the issuer's metadata, good enough to send people and credentials to."""
        url = (await self._read_metadata()).get(member)
        if not isinstance(url, str):
            raise Unreachable(f"the metadata document has no {member}")
        try:
            check_url(url.partition("?")[0], member, insecure_http=self._insecure_http)
        except ValueError as error:
            raise Unreachable(str(error)) from None
        return url

    async def _read_metadata(self) -> dict[str, Any]:
        """The issuer's metadata, at most five minutes old while the issuer answers, and the last known otherwise.

        Anybody may ask for it: the issuer is asked once at a time, and where it did not answer, once in two seconds.
        """
        async with self._reading:
            if time.monotonic() >= self._fresh_until:
                try:
                    self._metadata = await self._issuer.read_metadata()
                    self._fresh_until = time.monotonic() + _FRESH_SECONDS
                except Unreachable:
                    self._fresh_until = time.monotonic() + (_FRESH_SECONDS if self._metadata else _PAUSE_SECONDS)
        if not self._metadata:
            raise Unreachable("the issuer did not answer")
        return self._metadata


async def _post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, httpx2.Headers, bytes]:
    """One POST: the answer as it is, unless it is a redirect, too long or none. Raises `Unreachable`."""
    try:
        with anyio.fail_after(10):
            async with (
                new_http_client() as client,
                client.stream("POST", url, content=body, headers=headers, follow_redirects=False) as response,
            ):
                if response.is_redirect:
                    raise Unreachable(f"{url}: redirects")
                content = bytearray()
                async for chunk in response.aiter_raw():
                    content += chunk
                    if len(content) > MAX_DOCUMENT_SIZE:
                        raise Unreachable(f"{url}: the answer is too long")
                return response.status_code, response.headers, bytes(content)
    except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:
        raise Unreachable(f"{url}: {type(error).__name__}") from error


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _refuse(status: int, text: str, *headers: Any) -> Answer:
    return build_json(status, OAuthError("invalid_request", text, status=status).body(), *headers, NO_STORE, _ANYWHERE)
