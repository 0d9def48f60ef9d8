"""A small MCP server and its authorization server on real sockets: as clients like them, or with one fault by name."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from tests.doctor.expected import EXPECTED
from tests.doctor.issuer import Issuer

READY_WITHIN_SECONDS = 20
MCP_PATH = "/tools/mcp"
TOOL = {
    "name": "greet",
    "description": "Say hello.",
    "inputSchema": {"type": "object", "properties": {"name": {"type": "string"}}},
    "annotations": {"readOnlyHint": True},
}


@dataclass
class BrokenServer:
    """`url` is what a person gives their client; the issuer listens on a port of its own."""

    url: str
    issuer: Issuer
    fault: str = ""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Tools that were called, and with what."""
    is_odd: bool = False
    """Whether it does something that stops nobody: its challenge names an error where no token was sent."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        answer = self._preflight(request) or await self._answer(request)
        if self._has_cors(request.url.path):
            answer.headers["Access-Control-Allow-Origin"] = "*"
            answer.headers["Access-Control-Expose-Headers"] = "WWW-Authenticate, Mcp-Session-Id"
        await answer(scope, receive, send)

    def _has_cors(self, path: str) -> bool:
        """Everywhere but on the page for the person; with the fault, not where a script has to read first."""
        if path == f"{self.issuer.path}/authorize":
            return False
        return self.fault != "no-cors" or not (path == MCP_PATH or "/.well-known/" in path)

    def _preflight(self, request: Request) -> Response | None:
        if request.method != "OPTIONS" or not self._has_cors(request.url.path):
            return None
        headers = {
            "Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS",
            "Access-Control-Allow-Headers": request.headers.get("access-control-request-headers", "*"),
        }
        return Response(status_code=204, headers=headers)

    async def _answer(self, request: Request) -> Response:
        path = request.url.path
        document = f"/.well-known/oauth-protected-resource{MCP_PATH}"
        if path == self._document_path:
            return JSONResponse(self._resource_metadata(), headers={"Cache-Control": "max-age=300"})
        if path == f"{document}/" and self.fault != "metadata-behind-prefix":
            return JSONResponse({**self._resource_metadata(), "resource": f"{self.url}/"})
        if path in {MCP_PATH, f"{MCP_PATH}/"}:
            return await self._mcp(request)
        if path == "/.well-known/oauth-authorization-server" and self.fault != "metadata-behind-prefix":
            # Where clients of 2025-03-26 look, on this very origin; a proxy that has a prefix forwards nothing of it.
            return JSONResponse(self.issuer.metadata())
        if request.url.port == urlsplit(self.issuer.url).port:
            return await self.issuer.answer(request)
        return JSONResponse({"error": "not_found"}, status_code=404)

    @property
    def _document_path(self) -> str:
        if self.fault == "metadata-behind-prefix":
            return "/tools/.well-known/oauth-protected-resource/mcp"
        return f"/.well-known/oauth-protected-resource{MCP_PATH}"

    def _resource_metadata(self) -> dict[str, Any]:
        resource = {
            "resource-slash": f"{self.url}/",
            "resource-elsewhere": self.url.replace(MCP_PATH, "/other/mcp"),
        }.get(self.fault, self.url)
        return {
            "resource": resource,
            "authorization_servers": [self.issuer.url],
            "scopes_supported": ["tools:read"],
            "bearer_methods_supported": ["header"],
            "resource_name": "Tools",
        }

    async def _mcp(self, request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token not in self.issuer.tokens:
            slash = "/" if request.url.path.endswith("/") and self.fault != "metadata-behind-prefix" else ""
            origin = self.url.removesuffix(MCP_PATH)
            challenge = f'Bearer resource_metadata="{origin}{self._document_path}{slash}", scope="tools:read"'
            if token or self.is_odd:
                challenge += ', error="invalid_token"'
            return JSONResponse({"error": "invalid_token"}, status_code=401, headers={"WWW-Authenticate": challenge})
        if request.method != "POST":
            return JSONResponse({"error": "method_not_allowed"}, status_code=405, headers={"Allow": "POST"})
        return self._call(json.loads(await request.body()))

    def _call(self, message: dict[str, Any]) -> Response:
        if "id" not in message:
            return Response(status_code=202)
        method, parameters = message["method"], message.get("params", {})
        results: dict[str, Any] = {
            "initialize": {
                "protocolVersion": parameters.get("protocolVersion", "2025-11-25"),
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "tools", "version": "1"},
            },
            "ping": {},
            "tools/list": {"tools": [TOOL]},
            "tools/call": {"content": [{"type": "text", "text": "Hello!"}]},
        }
        if method == "tools/call":
            self.calls.append((parameters["name"], parameters.get("arguments", {})))
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        if method in results:
            return JSONResponse({**answer, "result": results[method]})
        return JSONResponse({**answer, "error": {"code": -32601, "message": "Method not found"}})


class _Server(uvicorn.Server):
    """Says when it is ready; in a thread it cannot have signals."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextmanager
def run_broken(fault: str = "", certificate: tuple[Path, Path] | None = None) -> Iterator[BrokenServer]:
    """The server in a thread of this process while the context is open; healthy without a fault."""
    assert not fault or fault in EXPECTED
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    scheme = "https" if certificate else "http"
    here, there = (f"{scheme}://127.0.0.1:{listener.getsockname()[1]}" for listener in sockets)
    # Who names its resource with a slash too many gives tokens for that name.
    resource = f"{here}{MCP_PATH}{'/' if fault == 'resource-slash' else ''}"
    server = BrokenServer(f"{here}{MCP_PATH}", Issuer(f"{there}/auth", resource, fault), fault)
    options: dict[str, Any] = {}
    if certificate:
        options = {"ssl_certfile": str(certificate[0]), "ssl_keyfile": str(certificate[1])}
    config = uvicorn.Config(server, log_level="critical", ws="none", lifespan="off", **options)
    running = _Server(config)
    thread = threading.Thread(target=lambda: running.run(sockets=sockets), daemon=True)
    thread.start()
    try:
        assert running.ready.wait(READY_WITHIN_SECONDS)
        yield server
    finally:
        running.should_exit = True
        thread.join(READY_WITHIN_SECONDS)
        for listener in sockets:
            listener.close()
