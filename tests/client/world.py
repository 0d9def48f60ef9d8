"""A protected server and its authorization server in memory, strict, with switches.

For what a session does with answers: here the order of requests counts, the rules of the wire are tested over sockets.
"""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2

from doorward.client.auth import DoorwardAuth
from doorward.client.effects import ShowUserCode
from doorward.client.errors import ClientError
from doorward.client.stores import MemoryStore
from doorward.oauth.pkce import build_challenge

SERVER = "https://mcp.example.com/mcp"
ISSUER = "https://auth.example.com"
OTHER = "https://other.example.org"
LIFE = 3600


@dataclass
class Issuer:
    """An authorization server that gives each refresh token once, and ends everything when one comes again."""

    url: str = ISSUER
    clients: dict[str, dict[str, Any]] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    refresh_tokens: dict[str, str] = field(default_factory=dict)
    """Scope of each that is good."""
    spent: set[str] = field(default_factory=set)
    access_tokens: dict[str, str] = field(default_factory=dict)
    """Scope of each that is good."""
    metadata: dict[str, Any] = field(default_factory=dict)
    token_error: tuple[int, dict[str, Any]] | None = None
    grants: list[str] = field(default_factory=list)
    """The grant types of all token requests, in order."""
    withholds: frozenset[str] = frozenset()
    """Scopes that are never granted."""
    issued: int = 0
    prefix: str = ""
    """What access tokens begin with."""

    def document(self) -> dict[str, Any]:
        members = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "registration_endpoint": f"{self.url}/register",
            "revocation_endpoint": f"{self.url}/revoke",
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic"],
            "authorization_response_iss_parameter_supported": True,
            **self.metadata,
        }
        return {name: value for name, value in members.items() if value is not None}

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if path == "/.well-known/oauth-authorization-server":
            return httpx2.Response(200, json=self.document())
        if path == "/register" and request.method == "POST":
            return self._register(json.loads(request.content))
        if path.startswith("/register/") and request.method == "DELETE":
            del self.clients[path.removeprefix("/register/")]
            return httpx2.Response(204)
        if path == "/authorize":
            known = dict(request.url.params)["client_id"] in self.clients
            return httpx2.Response(200 if known else 400, text="<html>")
        form = dict(parse_qsl(request.content.decode()))
        if path == "/token":
            return self._token(form)
        if path == "/revoke":
            self.refresh_tokens.pop(form["token"], None)
            self.access_tokens.pop(form["token"], None)
            return httpx2.Response(200)
        return httpx2.Response(404)

    def consent(self, url: str) -> str:
        """The query of the response to a person who allows everything that can be had."""
        asked = dict(parse_qsl(urlsplit(url).query))
        assert asked["client_id"] in self.clients, "the person was led to a page that does not know their client"
        code = self._name("code")
        self.codes[code] = asked
        return str(httpx2.QueryParams({"code": code, "state": asked["state"], "iss": self.url}))

    def _register(self, members: dict[str, Any]) -> httpx2.Response:
        client_id = self._name("client")
        management = {
            "registration_client_uri": f"{self.url}/register/{client_id}",
            "registration_access_token": self._name("management"),
        }
        self.clients[client_id] = {**members, "client_id": client_id, **management}
        return httpx2.Response(201, json=self.clients[client_id])

    def _token(self, form: dict[str, str]) -> httpx2.Response:
        self.grants.append(form["grant_type"])
        if self.token_error is not None:
            return httpx2.Response(self.token_error[0], json=self.token_error[1])
        if form.get("client_id") not in self.clients:
            return httpx2.Response(401, json={"error": "invalid_client"})
        if form["grant_type"] == "refresh_token":
            return self._refresh(form["refresh_token"])
        asked = self.codes.pop(form["code"])
        assert build_challenge(form["code_verifier"]) == asked["code_challenge"]
        assert form["resource"] == asked["resource"]
        assert form["redirect_uri"] == asked["redirect_uri"]
        return self._give(asked.get("scope", ""))

    def _refresh(self, token: str) -> httpx2.Response:
        if token in self.spent:
            self.refresh_tokens.clear()
            self.access_tokens.clear()
        scope = self.refresh_tokens.pop(token, None)
        if scope is None:
            return httpx2.Response(400, json={"error": "invalid_grant"})
        self.spent.add(token)
        return self._give(scope)

    def _give(self, scope: str) -> httpx2.Response:
        granted = " ".join(token for token in scope.split() if token not in self.withholds)
        access, refresh = self.prefix + self._name("access"), self._name("refresh")
        self.access_tokens[access] = granted
        self.refresh_tokens[refresh] = scope
        answer = {"access_token": access, "token_type": "Bearer", "expires_in": LIFE, "refresh_token": refresh}
        return httpx2.Response(200, json={**answer, "scope": granted})

    def _name(self, kind: str) -> str:
        self.issued += 1
        return f"{kind}-{self.issued}-at-{urlsplit(self.url).hostname}"


@dataclass
class World:
    """The server at `SERVER`, protected by `issuer`, and everything that is sent to either."""

    issuer: Issuer = field(default_factory=Issuer)
    needed: str = "read"
    resource: str = SERVER
    metadata: dict[str, Any] = field(default_factory=dict)
    """What the server's document says beside, or instead of, the usual."""
    down: set[str] = field(default_factory=set)
    """Addresses that answer 503."""
    sent: list[str] = field(default_factory=list)
    """Method and address of every request, in order."""
    visits: int = 0
    now: float = field(default_factory=time.time)
    store: MemoryStore = field(default_factory=MemoryStore)
    others: dict[str, Issuer] = field(default_factory=dict)

    def auth(self, server_url: str = SERVER, **options: Any) -> DoorwardAuth:
        options = {"client_name": "Test", "store": self.store, "interaction": Person(self), **options}
        auth = DoorwardAuth(server_url, transport=httpx2.MockTransport(self.handle), **options)
        auth.session._options = replace(auth.session._options, clock=lambda: self.now)
        return auth

    @asynccontextmanager
    async def client(self, auth: DoorwardAuth | None = None) -> AsyncIterator[httpx2.AsyncClient]:
        async with httpx2.AsyncClient(
            auth=auth or self.auth(), transport=httpx2.MockTransport(self.handle), base_url=SERVER
        ) as http:
            yield http

    async def handle(self, request: httpx2.Request) -> httpx2.Response:
        url = str(request.url).partition("?")[0]
        self.sent.append(f"{request.method} {url}")
        if url in self.down:
            return httpx2.Response(503)
        origin = f"{request.url.scheme}://{request.url.host}"
        if origin == "https://mcp.example.com":
            return self._serve(request)
        issuer = {self.issuer.url: self.issuer, **self.others}.get(origin)
        return issuer.answer(request) if issuer else httpx2.Response(404)

    def _serve(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/.well-known/oauth-protected-resource/mcp":
            usual = {"resource": self.resource, "authorization_servers": [self.issuer.url]}
            return httpx2.Response(200, json={**usual, **self.metadata})
        if request.url.path.startswith("/.well-known/"):
            return httpx2.Response(404)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        scope = self.issuer.access_tokens.get(token)
        metadata = 'resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp"'
        if scope is None:
            challenge = f'Bearer {metadata}, scope="{self.needed}"'
            return httpx2.Response(401, headers={"www-authenticate": challenge})
        if set(self.needed.split()) - set(scope.split()):
            challenge = f'Bearer error="insufficient_scope", {metadata}, scope="{self.needed}"'
            return httpx2.Response(403, headers={"www-authenticate": challenge})
        return httpx2.Response(200, json={"scope": scope})


class Person:
    """Allows everything, in a browser that answers on the port it is told."""

    uses_device_grant = False

    def __init__(self, world: World, redirect_uri: str = "http://127.0.0.1:4711/callback") -> None:
        self.world = world
        self.redirect_uri = redirect_uri

    @asynccontextmanager
    async def open(self, *, registered: tuple[str, ...] = ()) -> AsyncIterator["Person"]:
        del registered
        yield self

    async def visit(self, url: str, *, state: str) -> str:
        del state
        self.world.visits += 1
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        return {self.world.issuer.url: self.world.issuer, **self.world.others}[origin].consent(url)

    async def show_user_code(self, shown: ShowUserCode) -> None:
        raise ClientError(f"nobody enters {shown.user_code}")
