"""The address on this machine that the browser comes back to, with a code or with a refusal."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs

import anyio
from anyio.abc import SocketAttribute, SocketStream
from mcp.client.auth import AuthorizationCodeResult

_MAX_REQUEST = 16 * 1024
_READ_SECONDS = 10
_PAGE = (
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    "<title>{title}</title><h1>{title}</h1><p>You can close this window and go back to the terminal."
)


class SignInRefused(Exception):  # noqa: N818  # the person's or the server's decision, not a fault
    """The browser came back without a code; the text is for the person at the terminal."""


class LoopbackListener:
    """Waits on a free port of 127.0.0.1 for the redirect that ends a sign-in. Spec: RFC 8252 §7.3"""

    def __init__(self, port: int) -> None:
        self.redirect_uri = f"http://127.0.0.1:{port}/callback"
        self._answers = anyio.create_memory_object_stream[dict[str, str]](10)

    async def wait(self) -> AuthorizationCodeResult:
        """What the redirect brought. Raises `SignInRefused`."""
        answer = await self._answers[1].receive()
        if "code" not in answer:
            error = answer.get("error", "no code came back")
            reason = "Access was not allowed." if error == "access_denied" else f"The server answered {error}."
            detail = answer.get("error_description")
            raise SignInRefused(f"{reason} {detail}" if detail else reason)
        return AuthorizationCodeResult(code=answer["code"], state=answer.get("state"), iss=answer.get("iss"))

    async def serve(self, stream: SocketStream) -> None:
        """Answer one connection; only a request for the callback with parameters counts."""
        async with stream:
            try:
                with anyio.fail_after(_READ_SECONDS):
                    query = _read_query(await _read_head(stream))
            except (TimeoutError, anyio.EndOfStream, anyio.BrokenResourceError):
                return
            if query is None:
                await _answer(stream, "404 Not Found", "Not found")
                return
            await _answer(stream, "200 OK", "Signed in" if "code" in query else "Not signed in")
            await self._answers[0].send(query)

    def close(self) -> None:
        """Free what waits."""
        self._answers[0].close()
        self._answers[1].close()


@asynccontextmanager
async def listen() -> AsyncIterator[LoopbackListener]:
    """A listener that runs while the context is open."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as sockets, anyio.create_task_group() as tasks:
        listener = LoopbackListener(sockets.extra(SocketAttribute.local_port))  # noqa: S610  # anyio's, not Django's
        tasks.start_soon(sockets.serve, listener.serve)
        try:
            yield listener
        finally:
            listener.close()
            tasks.cancel_scope.cancel()


async def _read_head(stream: SocketStream) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _MAX_REQUEST:
        head += await stream.receive()
    return head


def _read_query(head: bytes) -> dict[str, str] | None:
    """The parameters of `GET /callback?…`, or None for any other request."""
    line = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
    if len(line) != 3 or line[0] != "GET":
        return None
    path, _, query = line[1].partition("?")
    parameters = {name: values[0] for name, values in parse_qs(query).items()}
    return parameters if path == "/callback" and parameters.keys() & {"code", "error"} else None


async def _answer(stream: SocketStream, status: str, title: str) -> None:
    page = _PAGE.format(title=title).encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(page)}\r\n"
        "Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n"
        "Content-Security-Policy: default-src 'none'\r\nConnection: close\r\n\r\n"
    )
    await stream.send(head.encode() + page)
