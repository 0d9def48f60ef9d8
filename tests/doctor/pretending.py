"""A protected server and its authorization server on two real ports, healthy until a test changes what they answer."""

import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx2

from doorward.client.effects import ShowUserCode
from doorward.client.interaction import Redirect
from doorward.doctor.profiles import known_profiles

Answer = tuple[int, list[tuple[str, str]], bytes]
Members = dict[str, Any]
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
REDIRECT = "http://127.0.0.1:7070/callback"

DOCUMENTS = {profile.document: [profile.published_redirect] for profile in known_profiles() if profile.document}


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode() or self.query, keep_blank_values=True))


def answer_json(document: Any, status: int = 200, *headers: tuple[str, str]) -> Answer:
    return status, [("content-type", "application/json"), *headers], json.dumps(document).encode()


NOT_FOUND: Answer = answer_json({"error": "not_found"}, 404)


@dataclass
class Pretended:
    """What both answer. Tests set members, or put an answer for a path of either into `answers`."""

    rs: str = ""
    issuer: str = ""
    status: int = 401
    """What a request without a token is answered."""
    challenge: list[str] | None = None
    takes_documents: bool = True
    """Whether clients may be known by their metadata documents."""
    answers: dict[str, Callable[[Asked], Answer]] = field(default_factory=dict)
    edit_resource: Callable[[Members], Members] = lambda members: members
    edit_metadata: Callable[[Members], Members] = lambda members: members
    edit_registered: Callable[[Members], Members] = lambda members: members
    edit_token: Callable[[Members], Members] = lambda members: members
    edit_answer: Callable[[Members], Members] = lambda members: members
    """What an authorization response says."""
    registered: dict[str, Members] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    asked: list[Asked] = field(default_factory=list)
    refresh_tokens: dict[str, str] = field(default_factory=dict)
    """Each with its successor, which an earlier one is answered with again."""

    @property
    def url(self) -> str:
        return f"{self.rs}/mcp"

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        cors = [("access-control-allow-origin", "*"), ("access-control-expose-headers", "WWW-Authenticate")]
        if asked.method == "OPTIONS":
            wanted = asked.headers.get("access-control-request-headers", "")
            return 204, [*cors, ("access-control-allow-headers", wanted)], b""
        status, headers, body = self.answers.get(asked.path, self.answer_healthily)(asked)
        return status, [*headers, *cors], body

    def healthy_metadata(self) -> Members:
        """The authorization server's metadata as the test wants it."""
        return self.edit_metadata(self._metadata())

    def answer_healthily(self, asked: Asked) -> Answer:
        """Without what is in `answers`."""
        if asked.path in ("/mcp", "/mcp/"):
            return self._mcp(asked)
        if asked.path.startswith("/.well-known/oauth-protected-resource"):
            return self._resource_metadata(asked)
        if asked.path in ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"):
            return answer_json(self.healthy_metadata())
        if asked.path.startswith("/register/") and asked.method == "DELETE":
            self.removed.append(asked.path.rpartition("/")[2])
            return 204, [], b""
        named = {
            "/register": self._register,
            "/authorize": self._authorize,
            "/token": self._token,
            "/revoke": self._revoke,
        }
        return named[asked.path](asked) if asked.path in named else NOT_FOUND

    def _mcp(self, asked: Asked) -> Answer:
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.tokens:
            slash = "/" if asked.path.endswith("/") else ""
            document = f"{self.rs}/.well-known/oauth-protected-resource/mcp{slash}"
            error = ', error="invalid_token"' if token else ""
            challenge = self.challenge or [f'Bearer resource_metadata="{document}", scope="read"{error}']
            return answer_json({}, self.status, *(("www-authenticate", one) for one in challenge))
        message = json.loads(asked.body)
        results: Members = {"initialize": {"protocolVersion": "2025-11-25"}, "tools/list": {"tools": []}}
        if "id" not in message:
            return 202, [], b""
        return answer_json({"jsonrpc": "2.0", "id": message["id"], "result": results.get(message["method"], {})})

    def _resource_metadata(self, asked: Asked) -> Answer:
        slash = "/" if asked.path.endswith("/") else ""
        members = {"resource": self.url + slash, "authorization_servers": [self.issuer], "scopes_supported": ["read"]}
        return answer_json(self.edit_resource(members))

    def _metadata(self) -> Members:
        documents = {"client_id_metadata_document_supported": True} if self.takes_documents else {}
        return {
            **documents,
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "registration_endpoint": f"{self.issuer}/register",
            "revocation_endpoint": f"{self.issuer}/revoke",
            "jwks_uri": f"{self.issuer}/.well-known/openid-configuration",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "none", "private_key_jwt"],
            "scopes_supported": ["read", "offline_access"],
            "authorization_response_iss_parameter_supported": True,
        }

    def _register(self, asked: Asked) -> Answer:
        body = json.loads(asked.body)
        if not body.get("redirect_uris"):
            return answer_json({"error": "invalid_redirect_uri"}, 400)
        client_id = f"client-{secrets.token_hex(4)}"
        self.registered[client_id] = body
        filled = {
            "grant_types": ["authorization_code"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        }
        managed = {"registration_client_uri": f"{self.issuer}/register/{client_id}"}
        managed["registration_access_token"] = "manage-" + client_id
        return answer_json(self.edit_registered({**filled, **body, **managed, "client_id": client_id}), 201)

    def _authorize(self, asked: Asked) -> Answer:
        query = asked.form
        client_id = query.get("client_id", "")
        known = self.registered.get(client_id, {}).get("redirect_uris", DOCUMENTS.get(client_id, []))
        if not any(_fits(query["redirect_uri"], uri) for uri in known):
            return 400, [("content-type", "text/html")], b"<h1>No</h1>"
        answer = {"error": "login_required"} if query.get("prompt") == "none" else {"code": "the-code"}
        answer = self.edit_answer({**answer, "state": query["state"], "iss": self.issuer})
        return 302, [("location", f"{query['redirect_uri']}?{urlencode(answer)}")], b""

    def _token(self, asked: Asked) -> Answer:
        form = asked.form
        if form.get("client_id") not in {*self.registered, *DOCUMENTS}:
            return answer_json({"error": "invalid_client"}, 401, ("cache-control", "no-store"))
        grant, held = form["grant_type"], form.get("refresh_token", "")
        if grant not in ("authorization_code", "refresh_token"):
            return answer_json({"error": "unsupported_grant_type"}, 400, ("cache-control", "no-store"))
        if form.get("code") != "the-code" and held not in self.refresh_tokens:
            return answer_json({"error": "invalid_grant"}, 400, ("cache-control", "no-store"))
        token = secrets.token_hex(8)
        self.tokens.add(token)
        successor = self.refresh_tokens.get(held) or secrets.token_hex(8)
        self.refresh_tokens |= {held: successor} if held else {}
        self.refresh_tokens.setdefault(successor, "")
        members = {"access_token": token, "token_type": "Bearer", "expires_in": 300, "scope": "read"}
        members = self.edit_token({**members, "refresh_token": successor})
        return answer_json(members, 200, ("cache-control", "no-store"))

    def _revoke(self, asked: Asked) -> Answer:
        self.refresh_tokens.clear()
        return 200, [], b""


def _fits(asked: str, registered: str) -> bool:
    one, other = urlsplit(asked), urlsplit(registered)
    if one.hostname in LOOPBACK and one.scheme == "http":
        return (one.hostname, one.path) == (other.hostname, other.path)
    return asked == registered


def pretend(server: Pretended | None = None) -> AbstractContextManager[Pretended]:
    """Both are served while the context is open; `server` where their answers are of another kind."""
    return _pretend(server if server is not None else Pretended())


@contextmanager
def _pretend(server: Pretended) -> Iterator[Pretended]:

    class Handler(BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            path, _, query = self.path.partition("?")
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, fields, content = server.answer(Asked(self.command, path, query, headers, body))
            self.send_response(status)
            for name, value in (*fields, ("content-length", str(len(content)))):
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    listening = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
    server.rs, server.issuer = (f"http://127.0.0.1:{one.server_address[1]}" for one in listening)
    threads = [threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01}) for one in listening]
    for thread in threads:
        thread.start()
    try:
        yield server
    finally:
        for one in listening:
            one.shutdown()
        for one, thread in zip(listening, threads, strict=True):
            thread.join()
            one.server_close()


class Willing:
    """A person who says yes to everything, in a browser of no kind."""

    uses_device_grant = False

    def open(self, *, registered: tuple[str, ...] = ()) -> AbstractAsyncContextManager[Redirect]:
        del registered
        return self._opened()

    @asynccontextmanager
    async def _opened(self) -> Any:
        yield _Returned()

    async def show_user_code(self, shown: ShowUserCode) -> None:
        raise AssertionError(shown)


class _Returned:
    redirect_uri = REDIRECT

    async def visit(self, url: str, *, state: str) -> str:
        async with httpx2.AsyncClient() as http:
            location = (await http.get(url)).headers["location"]
        query = urlsplit(location).query
        assert parse_qs(query)["state"] == [state]
        return query
