"""An MCP server's traffic without the server: what the proxy is measured in front of. `python -m bench.behind PORT`.

POST is answered with a small JSON document, GET with a stream: of time stamps with `?every=SECONDS`, idle without.
GET /gone tells when the last stream was seen to have lost its client, on the clock that all processes share.
"""

import asyncio
import sys
import time
from typing import Any

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from bench.bare import HEADERS
from doorward.asgi import Receive, Scope, Send

BODY = b'{"status":"ok"}'
_EVENTS = [(b"content-type", b"text/event-stream")]
_seen: dict[str, int] = {"gone": 0}


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await receive()
    if scope["method"] == "POST":
        await _send_whole(send, BODY, HEADERS)
    elif scope["path"].endswith("/gone"):
        text = str(_seen["gone"]).encode()
        await _send_whole(send, text, [(b"content-length", str(len(text)).encode())])
    else:
        await _stream(scope["query_string"].decode(), receive, send)


async def _send_whole(send: Send, body: bytes, headers: list[Any]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _stream(query: str, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": _EVENTS})
    await send({"type": "http.response.body", "body": b": open\n\n", "more_body": True})
    telling = asyncio.create_task(_tell(float(query.removeprefix("every=")), send)) if query else None
    while (await receive())["type"] != "http.disconnect":
        pass
    _seen["gone"] = time.monotonic_ns()
    if telling is not None:
        telling.cancel()


async def _tell(seconds: float, send: Send) -> None:
    while True:
        await asyncio.sleep(seconds)
        event = b"data: %d\n\n" % time.monotonic_ns()
        await send({"type": "http.response.body", "body": event, "more_body": True})


if __name__ == "__main__":
    server = Server(
        answer,
        port=int(sys.argv[1]),
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
        backpressure=4096,
    )
    uvloop.run(server.serve())
