"""A small world to protect: an issuer with its own keys, an app that tells what it saw, and real sockets."""

import contextlib
import hashlib
import json
import secrets
import socket
import time
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode

import anyio
import httpx2
import uvicorn

from doorward.oauth.jwt import SigningKey, VerificationKey, generate_signing_key, sign_access_token
from doorward.resource import JWTVerifier, ProtectMCP
from doorward.resource.asgi import ASGIApp, Receive, Scope, Send

ISSUER = "https://auth.test"
RESOURCE = "https://api.test/mcp"


class Clock:
    """Seconds that pass when told to."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Keys:
    """A `KeySource` of keys in hand."""

    def __init__(self, *keys: SigningKey) -> None:
        self._keys = {key.kid: VerificationKey(key.kid, key.alg, key.key) for key in keys}

    def add(self, key: VerificationKey) -> None:
        self._keys[key.kid] = key

    async def find(self, kid: str) -> VerificationKey | None:
        return self._keys.get(kid)


class Mint:
    """Makes tokens of one issuer for one resource."""

    def __init__(self, issuer: str = ISSUER, resource: str = RESOURCE) -> None:
        self.issuer = issuer
        self.resource = resource
        self.key = generate_signing_key()

    def token(self, scope: str = "tools:read", **claims: Any) -> str:
        now = int(time.time())
        standard = {"iss": self.issuer, "aud": self.resource, "iat": now, "exp": now + 900, "jti": secrets.token_hex(8)}
        return sign_access_token({**standard, "sub": "alice", "client_id": "app", "scope": scope, **claims}, self.key)

    def header(self, scope: str = "tools:read", **claims: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(scope, **claims)}"}

    def verifier(self) -> JWTVerifier:
        return JWTVerifier(issuer=self.issuer, resource=self.resource, keys=Keys(self.key))

    def protect(self, app: ASGIApp, **options: Any) -> ProtectMCP:
        settings = {"challenge_scopes": ["tools:read"], "verifier": self.verifier(), **options}
        return ProtectMCP(app, resource=self.resource, issuer=self.issuer, **settings)


class Echo:
    """Answers with what reached it, and counts how often something did."""

    def __init__(self, *headers: tuple[bytes, bytes], status: int = 200) -> None:
        self.headers = headers
        self.status = status
        self.calls = 0
        self.bodies: list[bytes] = []
        self.scope: Scope = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls += 1
        self.scope = scope
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        self.bodies.append(body)
        headers = [(b"content-type", b"text/plain"), *self.headers]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": scope["path"].encode()})


def browse(app: ASGIApp, base_url: str = "https://api.test") -> httpx2.AsyncClient:
    """A client of an app in this process."""
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=base_url)


def bind() -> tuple[socket.socket, str]:
    """A bound socket and the URL it will answer at."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


class _Server(uvicorn.Server):
    """Says when it is ready, and leaves the signals of the test run alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = anyio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serve(app: ASGIApp, listener: socket.socket, **options: Any) -> AsyncIterator[None]:
    """The app on real sockets while the context is open."""
    config = uvicorn.Config(app, log_level="error", ws="none", timeout_graceful_shutdown=1, **options)
    server = _Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: server.serve(sockets=[listener]))
        with anyio.fail_after(20):
            await server.ready.wait()
        try:
            yield
        finally:
            server.should_exit = True


class TinyIssuer:
    """An authorization server that lets everybody in: enough of one for real clients and verifiers.

    `down` makes every answer a 503. `seen` counts requests by path. `opaque` holds what introspection calls active.
    """

    def __init__(self, url: str, resource: str) -> None:
        self.mint = Mint(url, resource)
        self.url = url
        self.published = [self.mint.key]
        self.down = False
        self.refuse_consent = False
        self.seen: Counter[str] = Counter()
        self.introspected: list[tuple[str, str]] = []
        self.opaque: dict[str, dict[str, Any]] = {}
        self.overrides: dict[str, tuple[int, Mapping[str, str], bytes]] = {}
        self.metadata: dict[str, Any] = {
            "issuer": url,
            "authorization_endpoint": f"{url}/authorize",
            "token_endpoint": f"{url}/token",
            "registration_endpoint": f"{url}/register",
            "introspection_endpoint": f"{url}/introspect",
            "jwks_uri": f"{url}/jwks",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }
        self._codes: dict[str, dict[str, str]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        self.seen[path] += 1
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        status, headers, content = self._answer(scope, path, body)
        encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": content})

    def _answer(self, scope: Scope, path: str, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        if self.down:
            return 503, {"retry-after": "7"}, b""
        if path in self.overrides:
            return self.overrides[path]
        form = {name: values[0] for name, values in parse_qs(body.decode("latin-1")).items()}
        if path == "/.well-known/oauth-authorization-server":
            return _json(200, self.metadata)
        if path == "/jwks":
            return _json(200, {"keys": [key.public_jwk() for key in self.published]})
        if path == "/introspect":
            authorization = dict(scope["headers"]).get(b"authorization", b"").decode()
            self.introspected.append((authorization, form.get("token", "")))
            return _json(200, self.opaque.get(form.get("token", ""), {"active": False}))
        if path == "/register":
            return _json(201, {**json.loads(body), "client_id": f"client-{self.seen[path]}"})
        if path == "/authorize":
            return self._authorize(
                {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
            )
        if path == "/token":
            return self._redeem(form)
        return _json(404, {})

    def _authorize(self, asked: dict[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        answer = {"state": asked["state"], "iss": self.url}
        if self.refuse_consent:
            answer |= {"error": "access_denied", "error_description": "The user said no."}
        else:
            answer["code"] = secrets.token_urlsafe(16)
            self._codes[answer["code"]] = asked
        return 302, {"location": f"{asked['redirect_uri']}?{urlencode(answer)}"}, b""

    def _redeem(self, form: dict[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        asked = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if asked is None or urlsafe_b64encode(digest).rstrip(b"=").decode() != asked["code_challenge"]:
            return _json(400, {"error": "invalid_grant"})
        scope = asked.get("scope", "")
        token = self.mint.token(scope, aud=asked["resource"], client_id=asked["client_id"])
        return _json(200, {"access_token": token, "token_type": "Bearer", "expires_in": 900, "scope": scope})


def _json(status: int, document: Any) -> tuple[int, Mapping[str, str], bytes]:
    return status, {"content-type": "application/json"}, json.dumps(document).encode()


@asynccontextmanager
async def run_issuer(resource: str = RESOURCE) -> AsyncIterator[TinyIssuer]:
    """A tiny issuer on real sockets."""
    listener, url = bind()
    issuer = TinyIssuer(url, resource)
    async with serve(issuer, listener, lifespan="off"):
        yield issuer
