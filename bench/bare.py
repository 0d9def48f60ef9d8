"""The same HTTP server with an app that does nothing: what the machine could do if Doorward cost nothing."""

import sys

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from doorward.asgi import Receive, Scope, Send

BODY = b'{"status":"ok"}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """The smallest app that answers GET and reads what it is posted."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["method"] == "POST":
        await receive()
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


if __name__ == "__main__":
    server = Server(
        answer,
        port=int(sys.argv[1]),
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
    )
    uvloop.run(server.serve())
