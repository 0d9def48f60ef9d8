"""Streams over real sockets: what the app sends arrives when it is sent, and a client that leaves is noticed."""

from typing import Any

import anyio
import httpx2
import pytest

from tests.resource.world import Mint, bind, serve

TOOLS = {"weather": ["tools:read"]}
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "weather"}}


class Stream:
    """Sends an event, and the next one only when the test has the first: it would wait for ever on a buffer."""

    def __init__(self) -> None:
        self.go_on = anyio.Event()
        self.left = anyio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data: one\n\n", "more_body": True})
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                self.left.set()
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            await self.go_on.wait()
            await send({"type": "http.response.body", "body": b"data: two\n\n", "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_events_pass_through_one_by_one_trn_11(method: str) -> None:
    listener, url = bind()
    mint, app = Mint(resource=f"{url}/mcp"), Stream()
    async with serve(mint.protect(app, tools=TOOLS), listener, lifespan="off"), httpx2.AsyncClient() as client:
        with anyio.fail_after(10):
            body = CALL if method == "POST" else None
            async with client.stream(method, f"{url}/mcp", json=body, headers=mint.header()) as response:
                assert (response.status_code, response.headers["x-accel-buffering"]) == (200, "no")
                chunks = response.aiter_text()
                assert await anext(chunks) == "data: one\n\n"
                app.go_on.set()
                assert await anext(chunks) == "data: two\n\n"


async def test_a_client_that_leaves_is_noticed_behind_the_replayed_body() -> None:
    listener, url = bind()
    mint, app = Mint(resource=f"{url}/mcp"), Stream()
    async with serve(mint.protect(app, tools=TOOLS), listener, lifespan="off"):
        with anyio.fail_after(10):
            async with (
                httpx2.AsyncClient() as client,
                client.stream("POST", f"{url}/mcp", json=CALL, headers=mint.header()) as response,
            ):
                assert await anext(response.aiter_text()) == "data: one\n\n"
            await app.left.wait()
