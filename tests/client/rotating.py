"""An MCP server with a strict authorization server of its own, over real sockets.

Each refresh token works once, and one that comes back ends everything that was given since the sign-in.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2

from doorward.oauth.redirects import add_parameters


@dataclass
class Rotating:
    """What the server knows. While `gate` is not set, the token endpoint has worked and does not answer."""

    origin: str = ""
    families: list[int] = field(default_factory=list)
    """The current generation of each; -1 for one that was ended."""
    good: set[str] = field(default_factory=set)
    refreshes: list[str] = field(default_factory=list)
    """What became of each request to refresh."""
    registrations: int = 0
    calls: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    gate: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)
    """A request to refresh has come."""

    @property
    def url(self) -> str:
        return f"{self.origin}/mcp"

    @property
    def logins(self) -> int:
        return len(self.families)

    def documents(self) -> dict[str, dict[str, Any]]:
        return {
            "/.well-known/oauth-protected-resource/mcp": {
                "resource": self.url,
                "authorization_servers": [self.origin],
            },
            "/.well-known/oauth-authorization-server": {
                "issuer": self.origin,
                "authorization_endpoint": f"{self.origin}/authorize",
                "token_endpoint": f"{self.origin}/token",
                "registration_endpoint": f"{self.origin}/register",
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none"],
            },
        }

    def register(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.registrations += 1
        return {**asked, "client_id": f"client-{self.registrations}"}

    def let_in(self, query: str) -> str:
        """Where the person's browser goes next: they agree to everything."""
        given = {name: values[0] for name, values in parse_qs(query).items()}
        return add_parameters(given["redirect_uri"], {"code": "agreed", "state": given["state"]})

    def redeem(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if form["grant_type"] == "authorization_code":
            self.families.append(0)
            return 200, self.issue(len(self.families) - 1)
        family, generation = map(int, form["refresh_token"].split("-")[1:])
        if self.families[family] != generation:
            self.families[family] = -1
            self.good.clear()
            self.refreshes.append("reused")
            return 400, {"error": "invalid_grant"}
        self.families[family] += 1
        self.refreshes.append("rotated")
        return 200, self.issue(family)

    def issue(self, family: int) -> dict[str, Any]:
        name = f"{family}-{self.families[family]}"
        self.good.add(f"at-{name}")
        return {"access_token": f"at-{name}", "refresh_token": f"rt-{name}", "token_type": "Bearer", "expires_in": 900}

    def expire(self) -> None:
        """No access token is good any more."""
        self.good.clear()


class _Handler(BaseHTTPRequestHandler):
    state: Rotating

    def do_GET(self) -> None:
        state, parts = self.state, urlsplit(self.path)
        if document := state.documents().get(parts.path):
            self._answer(200, document)
        elif parts.path == "/authorize":
            with state.lock:
                location = state.let_in(parts.query)
            self._answer(302, {}, location=location)
        else:
            self._answer(404, {})

    def do_POST(self) -> None:
        state, body = self.state, self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/register":
            with state.lock:
                self._answer(201, state.register(json.loads(body)))
        elif self.path == "/token":
            form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
            with state.lock:
                answer = state.redeem(form)
            if form["grant_type"] == "refresh_token":
                state.asked.set()
                assert state.gate.wait(120)
            self._answer(*answer)
        elif self.headers.get("authorization", "").removeprefix("Bearer ") in state.good:
            with state.lock:
                state.calls += 1
            self._answer(200, {"jsonrpc": "2.0", "id": 1, "result": {"tools": []}})
        else:
            challenge = f'Bearer resource_metadata="{state.origin}/.well-known/oauth-protected-resource/mcp"'
            self._answer(401, {}, www_authenticate=challenge)

    def _answer(self, status: int, document: dict[str, Any], **headers: str) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


@contextmanager
def open_rotating() -> Iterator[Rotating]:
    state = Rotating()
    state.gate.set()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))
    state.origin = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        state.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()


class AgreeingPerson:
    """Goes to the address that is printed, and pastes the one the browser ends at: for `PasteInteraction`."""

    def __init__(self) -> None:
        self._url = ""

    def announce(self, text: str) -> None:
        self._url = next((word for word in text.split() if "/authorize?" in word), self._url)

    def read(self) -> str:
        return httpx2.get(self._url).headers["location"]
