"""ProtectMCP under granian, in a process of its own, before an app that keeps what reaches it."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import anyio
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from doorward.oauth.jwt import parse_jwks
from doorward.resource import JWTVerifier, ProtectMCP
from doorward.resource.asgi import Receive, Scope, Send
from doorward.serving import HEAD_BYTES, IDLE_MS
from tests.fault.wire import Reply, read_reply
from tests.needs import find_free_port
from tests.resource.world import Clock, Keys
from tests.unit.hostile_jwts import ISSUER, KEY, NOW, RESOURCE, sign
from tests.waiting import until

TOOLS = {"weather": [], "book": ["tools:write"]}
KEPT_PATH = "/kept"
ANSWERED_WITHIN_SECONDS = 5
HOST = b"Host: api.test"
JSON = b"Content-Type: application/json"
AUTH = b"Authorization: Bearer " + sign().encode()
"""With scope for reading, which opens `weather` and not `book`."""
DOCUMENT = b"GET /.well-known/oauth-protected-resource/mcp HTTP/1.1\r\n" + HOST + b"\r\nConnection: close\r\n\r\n"


class Keeper:
    """An app that answers with what it was sent, and tells what that was since it was last asked."""

    def __init__(self) -> None:
        self._kept: list[dict[str, str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = bytearray()
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        if scope["path"] == KEPT_PATH:
            answer: Any = self._kept
            self._kept = []
        else:
            answer = {"method": scope["method"], "path": scope["path"], "body": body.decode("latin-1")}
            self._kept.append(answer)
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


@dataclass(frozen=True)
class Guarded:
    """The running server."""

    port: int
    process: subprocess.Popen[bytes]

    async def exchange(self, sent: bytes) -> list[Reply]:
        """Every answer of one connection to some bytes.

        A request for the public document follows the first answer: whatever of the bytes had been left to be read as
        another request would be answered before it, or spoil it.
        """
        with anyio.fail_after(ANSWERED_WITHIN_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            replies = []
            try:
                with suppress(ConnectionError, asyncio.IncompleteReadError):
                    writer.write(sent)
                    replies.append(await read_reply(reader))
                    writer.write(DOCUMENT)
                    while True:
                        replies.append(await read_reply(reader))
            finally:
                writer.close()
            return replies

    async def take_kept(self) -> list[dict[str, str]]:
        """What reached the app since the last time."""
        replies = await self.exchange(build_request(AUTH, method=b"GET", path=KEPT_PATH.encode()))
        kept: list[dict[str, str]] = json.loads(replies[0].body)
        return kept


def build_request(
    *lines: bytes, body: bytes = b"", method: bytes = b"POST", path: bytes = b"/mcp", host: bytes = HOST
) -> bytes:
    """A request as bytes; its length is said unless a line says something about it."""
    framed = any(line.lower().startswith((b"content-length", b"transfer-encoding")) for line in lines)
    length = () if framed or not body else (b"Content-Length: %d" % len(body),)
    return b"\r\n".join((method + b" " + path + b" HTTP/1.1", host, *lines, *length)) + b"\r\n\r\n" + body


def is_document(reply: Reply) -> bool:
    """Whether it answers the request that `exchange` sends after the first answer."""
    return reply.status == 200 and b'"resource":' in reply.body and b'"authorization_servers":' in reply.body


@asynccontextmanager
async def run_guarded() -> AsyncIterator[Guarded]:
    """The server while the context is open; it was not stopped by anything before."""
    port = find_free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.resource.guarded_server", str(port)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    guarded = Guarded(port, process)
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(KEY.public_jwk()).encode())
        process.stdin.close()
        await until(lambda: _listens(port))
        yield guarded
        assert process.poll() is None
    finally:
        process.kill()
        _, errors = await asyncio.to_thread(_collect, process)
    assert b"Traceback" not in errors, errors.decode()


def _collect(process: subprocess.Popen[bytes]) -> tuple[None, bytes]:
    assert process.stderr is not None
    with process.stderr as stream:
        errors = stream.read()
    process.wait(timeout=10)
    return None, errors


async def _listens(port: int) -> bool:
    with suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True
    return False


def main() -> None:
    """Serve on the port given, with the key on standard input."""
    (key,) = parse_jwks({"keys": [json.load(sys.stdin)]}).values()
    keys = Keys()
    keys.add(key)
    verifier = JWTVerifier(issuer=ISSUER, resource=RESOURCE, keys=keys, clock=Clock(NOW))
    guard = ProtectMCP(
        Keeper(), verifier=verifier, resource=RESOURCE, issuer=ISSUER, challenge_scopes=["tools:read"], tools=TOOLS
    )
    server = Server(
        guard,
        port=int(sys.argv[1]),
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
        http1_settings=HTTP1Settings(header_read_timeout=IDLE_MS, max_buffer_size=HEAD_BYTES),
    )
    asyncio.run(server.serve())


if __name__ == "__main__":
    main()
