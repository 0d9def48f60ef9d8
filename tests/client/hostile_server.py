"""A stage of three on real sockets: an MCP server, its authorization server, and an evil one, which is a working
authorization server of its own. All are honest until a test has one of them say something else."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import pytest

from doorward.client.auth import DoorwardAuth
from doorward.client.effects import ShowUserCode
from doorward.client.errors import ClientError
from doorward.client.stores import MemoryStore
from tests.client.listening import Asked, Listener, Reply, listening

ABSENT = object()
"""As the value of a member: the member is left out."""
PUBLIC_NAMES = {"mcp.example": "mcp", "as.example": "good", "evil.example": "evil"}
_TLS = httpx2.create_ssl_context()

Fault = Reply | Callable[[Asked, Reply], Reply]


@dataclass
class Issuer:
    """An authorization server. `members` of its documents are replaced by what a test puts there; `faults` replace
    whole answers by path."""

    name: str
    listener: Listener = field(init=False)
    origin: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    registration: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, Any] = field(default_factory=dict)
    response: dict[str, Any] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    challenges: dict[str, str] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    pushed: dict[str, dict[str, str]] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)
    """Clients that it does not know any more."""
    count: int = 0

    def __call__(self, asked: Asked) -> Reply:
        reply = self._answer(asked)
        return _break(self.faults.get(asked.path), asked, reply)

    def documents(self) -> dict[str, Any]:
        return {
            "issuer": self.origin,
            **{f"{name}_endpoint": f"{self.origin}/{path}" for name, path in _ENDPOINTS.items()},
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
            "authorization_response_iss_parameter_supported": True,
            "client_id_metadata_document_supported": True,
            **self.metadata,
        }

    def posted(self, path: str = "/token") -> list[dict[str, str]]:
        """The forms that came to an endpoint."""
        return [dict(parse_qsl(asked.body.decode())) for asked in self.listener.asked if asked.path == path]

    def _answer(self, asked: Asked) -> Reply:
        if asked.path == "/.well-known/oauth-authorization-server":
            return _json(self.documents())
        steps = {
            "/register": self._register,
            "/par": self._push,
            "/authorize": self._authorize,
            "/token": self._give,
            "/revoke": _revoke,
        }
        step = steps.get(asked.path)
        return step(asked) if step else Reply(b"not here", 404, media="text/plain")

    def _register(self, asked: Asked) -> Reply:
        self.count += 1
        token = self._secret("management")
        management = {
            "registration_client_uri": f"{self.origin}/register/{self.count}",
            "registration_access_token": token,
        }
        known = {"client_id": f"{self.name}-client-{self.count}", **json.loads(asked.body), **management}
        return _json({**known, **self.registration}, 201)

    def _push(self, asked: Asked) -> Reply:
        request = dict(parse_qsl(asked.body.decode()))
        if request["client_id"] in self.forgotten:
            return _json({"error": "invalid_client"}, 401)
        uri = f"urn:ietf:params:oauth:request_uri:{len(self.listener.asked)}"
        self.pushed[uri] = request
        return _json({"request_uri": uri, "expires_in": 60}, 201)

    def _authorize(self, asked: Asked) -> Reply:
        request: dict[str, str] | None = dict(parse_qsl(asked.query))
        if request and "request_uri" in request:
            request = self.pushed.pop(request["request_uri"], None)
        if request is None or request["client_id"] in self.forgotten:
            return Reply(b"unknown", 400, media="text/plain")
        code = self._secret("code")
        self.challenges[code] = request["code_challenge"]
        response = {"code": code, "state": request["state"], "iss": self.origin, **self.response}
        present = {name: value for name, value in response.items() if value is not ABSENT}
        return Reply(b"", 302, (("location", f"{request['redirect_uri']}?{urlencode(present)}"),))

    def _give(self, asked: Asked) -> Reply:
        form = dict(parse_qsl(asked.body.decode()))
        if form["grant_type"] == "authorization_code":
            self.secrets.append(form["code_verifier"])
            digest = hashlib.sha256(form["code_verifier"].encode()).digest()
            if self.challenges.pop(form["code"], None) != base64.urlsafe_b64encode(digest).decode().rstrip("="):
                return _json({"error": "invalid_grant"}, 400)
        token = self._secret("token")
        self.tokens.add(token)
        answer = {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": 3600,
            "refresh_token": self._secret("refresh"),
            "scope": form.get("scope", "tools"),
        }
        return _json({**answer, **self.answer})

    def _secret(self, kind: str) -> str:
        secret = f"{self.name}-{kind}-{len(self.secrets)}-{'z' * 20}"
        self.secrets.append(secret)
        return secret


_ENDPOINTS = {"authorization": "authorize", "token": "token", "registration": "register", "revocation": "revoke"}


@dataclass
class Stage:
    """The three, and the person. `faults` are the MCP server's, by path; `prm` and `challenge` its members."""

    good: Issuer = field(default_factory=lambda: Issuer("good"))
    evil: Issuer = field(default_factory=lambda: Issuer("evil"))
    mcp: Listener = field(init=False)
    mcp_origin: str = ""
    is_public: bool = False
    prm: dict[str, Any] = field(default_factory=dict)
    challenge: str | None = None
    faults: dict[str, Fault] = field(default_factory=dict)
    strayed: list[str] = field(default_factory=list)

    @property
    def server_url(self) -> str:
        return f"{self.mcp_origin}/mcp"

    @property
    def prm_url(self) -> str:
        return f"{self.mcp_origin}/.well-known/oauth-protected-resource/mcp"

    def __call__(self, asked: Asked) -> Reply:
        return _break(self.faults.get(asked.path), asked, self._answer(asked))

    def transport(self) -> httpx2.AsyncBaseTransport | None:
        return _ByName(self) if self.is_public else None

    def secrets(self) -> list[str]:
        return [*self.good.secrets, *self.evil.secrets]

    def _answer(self, asked: Asked) -> Reply:
        if asked.path == urlsplit(self.prm_url).path:
            return _json({"resource": self.server_url, "authorization_servers": [self.good.origin], **self.prm})
        if asked.path != "/mcp":
            return Reply(b"not here", 404, media="text/plain")
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        if scheme in {"Bearer", "DPoP"} and token in self.good.tokens | self.evil.tokens:
            return Reply(b'{"in": true}')
        challenge = self.challenge or f'Bearer resource_metadata="{self.prm_url}"'
        return Reply(b"", 401, (("www-authenticate", challenge),))


@dataclass
class Tampered:
    """A person who goes where they are led, and a browser in which somebody changes what comes back."""

    stage: Stage
    tamper: Callable[[str], str] = lambda query: query
    visited: list[str] = field(default_factory=list)
    uses_device_grant = False
    redirect_uri = "http://127.0.0.1:3118/callback"

    @asynccontextmanager
    async def open(self, *, registered: tuple[str, ...] = ()) -> AsyncIterator["Tampered"]:
        yield self

    async def visit(self, url: str, *, state: str) -> str:
        self.visited.append(url)
        async with httpx2.AsyncClient(transport=self.stage.transport(), verify=_TLS, trust_env=False) as browser:
            answer = await browser.get(url)
        return self.tamper(urlsplit(answer.headers["location"]).query)

    async def show_user_code(self, shown: ShowUserCode) -> None:
        raise AssertionError("no device here")


@dataclass
class Program:
    """A program with `DoorwardAuth`, which sends one request at a time to the MCP server."""

    stage: Stage
    person: Tampered
    auth: DoorwardAuth
    follow_redirects: bool = False

    async def request(self, url: str | None = None) -> httpx2.Response:
        async with httpx2.AsyncClient(
            auth=self.auth,
            transport=self.stage.transport(),
            verify=_TLS,
            trust_env=False,
            follow_redirects=self.follow_redirects,
        ) as client:
            return await client.post(url or self.stage.server_url, json={"jsonrpc": "2.0", "id": 1, "method": "ping"})


def program(stage: Stage, *, seconds: float = 20, store: MemoryStore | None = None, **options: Any) -> Program:
    """A program that has nothing yet, with as much patience as is said."""
    person = Tampered(stage)
    auth = DoorwardAuth(
        stage.server_url,
        store=store or MemoryStore(),
        transport=stage.transport(),
        **{"interaction": person, **options},
    )
    auth.session.sender._seconds = seconds
    return Program(stage, person, auth)


@asynccontextmanager
async def open_stage(*, public: bool = False) -> AsyncIterator[Stage]:
    """All three on loopback, under names of the internet where `public` says so."""
    stage = Stage(is_public=public)
    async with AsyncExitStack() as opened:
        stage.mcp = await opened.enter_async_context(listening(stage))
        stage.mcp_origin = "https://mcp.example" if public else stage.mcp.origin
        for issuer, name in ((stage.good, "as"), (stage.evil, "evil")):
            issuer.listener = await opened.enter_async_context(listening(issuer))
            issuer.origin = f"https://{name}.example" if public else issuer.listener.origin
        yield stage


class _ByName(httpx2.AsyncBaseTransport):
    """Leads the names of the internet to the sockets of the stage, and notes whoever else was to be reached."""

    def __init__(self, stage: Stage) -> None:
        self._inner = httpx2.AsyncHTTPTransport(verify=_TLS, limits=httpx2.Limits(max_keepalive_connections=0))
        self._stage = stage

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url, stage = request.url, self._stage
        role = PUBLIC_NAMES.get(url.host) if url.scheme == "https" and url.port in {None, 443} else None
        if role is None:
            stage.strayed.append(str(url))
            raise httpx2.ConnectError("nobody there")
        port = {"mcp": stage.mcp, "good": stage.good.listener, "evil": stage.evil.listener}[role].port
        rerouted = httpx2.Request(
            request.method,
            url.copy_with(scheme="http", host="127.0.0.1", port=port),
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        return await self._inner.handle_async_request(rerouted)

    async def aclose(self) -> None:
        await self._inner.aclose()


def _break(fault: Fault | None, asked: Asked, reply: Reply) -> Reply:
    if fault is None:
        return reply
    return fault if isinstance(fault, Reply) else fault(asked, reply)


def _json(members: dict[str, Any], status: int = 200) -> Reply:
    present = {name: value for name, value in members.items() if value is not ABSENT}
    return Reply(json.dumps(present).encode(), status)


def _revoke(_: Asked) -> Reply:
    return Reply(b"")


async def is_refused(program: Program, error: type[ClientError]) -> ClientError:
    """The program's request ends in this very error, which tells no secret, and nobody was told one that is not
    theirs. The error."""
    with pytest.raises(ClientError) as raised:
        await program.request()
    assert type(raised.value) is error, f"{type(raised.value).__name__}: {raised.value}"
    stage = program.stage
    told: BaseException | None = raised.value
    while told is not None:
        assert not [secret for secret in stage.secrets() if secret in f"{told} {told!r}"]
        told = told.__cause__ or told.__context__
    check_nothing_leaked(stage)
    return raised.value


def check_nothing_leaked(stage: Stage) -> None:
    """No secret of one issuer came to the other one, no code or refresh token to the MCP server, and none is in a URL
    but the code in its redirect. Spec: CLI-01, CLI-02, T7, T8"""
    good, evil, mcp = (bytes(one.received) for one in (stage.good.listener, stage.evil.listener, stage.mcp))
    assert not [secret for secret in stage.good.secrets if secret.encode() in evil]
    assert not [secret for secret in stage.evil.secrets if secret.encode() in good]
    assert not [secret for secret in stage.secrets() if secret.encode() in mcp and "-token-" not in secret]
    targets = " ".join(
        asked.target for one in (stage.mcp, stage.good.listener, stage.evil.listener) for asked in one.asked
    )
    assert not [secret for secret in stage.secrets() if secret in targets]
    assert stage.strayed == []
