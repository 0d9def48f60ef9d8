"""Between the official suite, which sends no token to servers, and the door: every request gets one on its way."""

import asyncio

import httpx2

from doorward.resource.asgi import Receive, Scope, Send


class TokenAdder:
    """An ASGI app that passes everything on to `origin` as it came, and the answer back as it comes."""

    def __init__(self, origin: str, token: str) -> None:
        self._origin = origin
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        passing = asyncio.create_task(self._pass(scope, body, send))
        leaving = asyncio.ensure_future(receive())
        await asyncio.wait({passing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        passing.cancel()
        leaving.cancel()
        await asyncio.gather(passing, leaving, return_exceptions=True)

    async def _pass(self, scope: Scope, body: bytes, send: Send) -> None:
        here = f":{scope['server'][1]}".encode()
        there = self._origin[self._origin.rindex(":") :].encode()
        # The door is known by its own port: a name that was right for us has to be right for it, and a wrong one wrong.
        headers = [
            (name, value.replace(here, there) if name in (b"host", b"origin") else value)
            for name, value in scope["headers"]
        ]
        headers.append((b"authorization", f"Bearer {self._token}".encode()))
        url = f"{self._origin}{scope['path']}"
        async with (
            httpx2.AsyncClient(timeout=None) as http,
            http.stream(scope["method"], url, headers=headers, content=body) as answer,
        ):
            kept = [header for header in answer.headers.raw if header[0].lower() != b"transfer-encoding"]
            await send({"type": "http.response.start", "status": answer.status_code, "headers": kept})
            async for part in answer.aiter_raw():
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
