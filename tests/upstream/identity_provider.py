"""Identity providers on loopback, by TLS and real sockets, that answer as a test says: an honest one by default."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import secrets
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from doorward.oauth.jwt import SigningKey, generate_signing_key
from doorward.oauth.pkce import build_challenge
from tests.registration.site import Authority

CLIENT_ID, SECRET = "doorward-at-the-provider", "a secret: with % and a space"
Claims = dict[str, Any]


@dataclass
class IdentityProvider:
    """One provider. Its knobs change what it publishes, answers and signs; `seen` is what it was asked."""

    now: Callable[[], int]
    port: int = 0
    subject: str = "sub-1"
    claims: Claims = field(default_factory=lambda: {"email": "carol@example.com", "email_verified": True})
    userinfo: Claims | None = None
    key: SigningKey = field(default_factory=lambda: generate_signing_key("ES256"))
    metadata: Claims = field(default_factory=dict)
    sign: Callable[["IdentityProvider", Claims], str] | None = None
    token_answer: tuple[int, bytes] | None = None
    pages: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    seen: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def answer(self, url: str, **changes: str | None) -> dict[str, str]:
        """What the provider sends a browser back with that came to `url`, once the person signed in there."""
        asked = dict(parse_qsl(urlsplit(url).query))
        code = secrets.token_urlsafe(24)
        self.codes[code] = asked
        given = {"code": code, "state": asked["state"], "iss": self.issuer, **changes}
        return {name: value for name, value in given.items() if value is not None}

    def tokens_asked(self) -> int:
        return sum(path in ("/token", "/login/oauth/access_token") for path, _, _ in self.seen)

    def respond(self, path: str, headers: dict[str, str], form: dict[str, str]) -> tuple[int, bytes]:
        self.seen.append((path, headers, form))
        if path in self.pages:
            return self.pages[path]
        if path == "/.well-known/openid-configuration":
            return 200, _dump(self._document())
        if path == "/keys":
            return 200, _dump({"keys": [self.key.public_jwk()]})
        if path == "/token":
            return self.token_answer or self._tokens(headers, form)
        if path == "/userinfo" and headers.get("authorization") == "Bearer an-access-token":
            return 200, _dump(self.userinfo or {"sub": self.subject})
        return self._as_github(path, headers, form)

    def id_token_claims(self, asked: dict[str, str]) -> Claims:
        now = self.now() // 1000
        return {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": self.subject,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            **self.claims,
        }

    def _document(self) -> Claims:
        members = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?tenant=1",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "response_types_supported": ["code"],
            "id_token_signing_alg_values_supported": ["ES256", "RS256"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            **self.metadata,
        }
        return {name: value for name, value in members.items() if value is not None}

    def _tokens(self, headers: dict[str, str], form: dict[str, str]) -> tuple[int, bytes]:
        asked = self._take(form, by_header=headers.get("authorization", ""))
        if asked is None:
            return 400, _dump({"error": "invalid_grant", "error_description": "<b>raw words of the provider</b>"})
        claims = self.id_token_claims(asked)
        token = self.sign(self, claims) if self.sign else sign(self.key, claims)
        return 200, _dump({"access_token": "an-access-token", "token_type": "Bearer", "id_token": token})

    def _take(self, form: dict[str, str], *, by_header: str = "") -> dict[str, str] | None:
        """The request that a code is of, if everything about the exchange is right; each code works once."""
        asked = self.codes.pop(form.get("code", ""), None)
        if asked is None or form.get("redirect_uri") != asked["redirect_uri"]:
            return None
        if build_challenge(form.get("code_verifier", "x" * 43)) != asked["code_challenge"]:
            return None
        pair = base64.b64encode(urlencode({CLIENT_ID: SECRET}).replace("=", ":", 1).encode()).decode()
        is_known = by_header == f"Basic {pair}" or (form.get("client_id"), form.get("client_secret")) == (
            CLIENT_ID,
            SECRET,
        )
        return asked if is_known else None

    def _as_github(self, path: str, headers: dict[str, str], form: dict[str, str]) -> tuple[int, bytes]:
        is_known = headers.get("authorization") == "Bearer a-github-token"
        if path == "/login/oauth/access_token":
            if self._take(form) is None:
                return 200, _dump({"error": "bad_verification_code", "error_description": "<b>raw</b>"})
            return 200, _dump({"access_token": "a-github-token", "token_type": "bearer", "scope": "user:email"})
        if path == "/api/v3/user" and is_known:
            return 200, _dump({"id": 583231, "login": "carol", "name": "Carol", **self.claims.get("user", {})})
        if path == "/api/v3/user/emails" and is_known:
            return 200, _dump(self.claims.get("emails", []))
        return 404, b"<h1>nothing here</h1>"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                pairs = (line.partition(":") for line in head[1:] if line)
                headers = {name.lower(): value.strip() for name, _, value in pairs}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                status, answer = self.respond(head[0].split(" ")[1], headers, dict(parse_qsl(body.decode())))
                lines = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n"
                writer.write(f"{lines}content-length: {len(answer)}\r\n\r\n".encode() + answer)
                await writer.drain()
        finally:
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()


@asynccontextmanager
async def open_provider(authority: Authority, now: Callable[[], int]) -> AsyncIterator[IdentityProvider]:
    """A provider at a free port of this machine."""
    provider = IdentityProvider(now)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority.certificate)
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0, ssl=tls)
    provider.port = server.sockets[0].getsockname()[1]
    try:
        yield provider
    finally:
        server.close()
        await server.wait_closed()


def sign(key: SigningKey, claims: Claims, **header: Any) -> str:
    """A JWT as a provider signs it."""
    from joserfc import jws  # noqa: PLC0415  # another library than the one that is under test would be no better

    protected = {"alg": key.alg, "kid": key.kid, "typ": "JWT", **header}
    return jws.serialize_compact(protected, json.dumps(claims).encode(), key.key, algorithms=[key.alg])


def unsigned(claims: Claims) -> str:
    """A JWT of the algorithm `none`."""
    return f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(claims)}."


def signed_by_hmac(key: SigningKey, claims: Claims) -> str:
    """A JWT whose HMAC is made with the public key that everybody can read."""
    signing_input = f"{_part({'alg': 'HS256', 'kid': key.kid, 'typ': 'JWT'})}.{_part(claims)}"
    public = json.dumps(key.public_jwk()).encode()
    return f"{signing_input}.{_encode(hmac.new(public, signing_input.encode(), hashlib.sha256).digest())}"


def _part(members: Claims) -> str:
    return _encode(json.dumps(members).encode())


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _dump(members: Any) -> bytes:
    return json.dumps(members).encode()
