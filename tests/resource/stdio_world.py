"""A bridge to a server that does what it is told to, behind the guard, and clients of it."""

import contextlib
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import mcp
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
from mcp.client.streamable_http import streamable_http_client

from doorward.resource.asgi import ASGIApp
from doorward.resource.stdio import StdioBridge
from tests.needs import find_free_port
from tests.resource.world import Mint, browse
from tests.waiting import until

FOLDER = Path(__file__).parent
COMMAND = [sys.executable, str(FOLDER / "stdio_server.py")]
ACCEPTS = "application/json, text/event-stream"
NOBODY: Mapping[str, Any] = {"name": "test", "version": "1"}
PATIENCE_SECONDS = 30


class Told:
    """One client of the bridge that speaks HTTP itself."""

    def __init__(self, http: httpx2.AsyncClient, headers: Mapping[str, str], path: str = "/mcp") -> None:
        self.http = http
        self.path = path
        self.headers = {"accept": ACCEPTS, **headers}

    async def post(self, message: Any, **headers: str) -> httpx2.Response:
        return await self.http.post(self.path, json=message, headers={**self.headers, **headers})

    async def open(self, *, version: str = "2025-11-25", **capabilities: Any) -> httpx2.Response:
        """Begin a session, and stay in it."""
        params = {"protocolVersion": version, "capabilities": capabilities, "clientInfo": NOBODY}
        response = await self.post(build_request("initialize", **params))
        assert response.status_code == 200, response.text
        self.headers["mcp-session-id"] = response.headers["mcp-session-id"]
        self.headers["mcp-protocol-version"] = version
        assert (await self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})).status_code == 202
        return response

    async def call(self, name: str, **arguments: Any) -> Any:
        """What a tool answered, with the process that did as `pid`."""
        return read_answer(await self.post(build_call(name, **arguments)))

    async def pid(self) -> int:
        pid: int = (await self.call("echo"))["pid"]
        return pid

    @asynccontextmanager
    async def streaming(self, method: str = "GET", message: Any = None) -> AsyncIterator[AsyncIterator[Any]]:
        """The messages of a stream, as they come."""
        async with self.http.stream(method, self.path, json=message, headers=self.headers) as response:
            assert response.status_code == 200
            assert response.headers["content-type"] == "text/event-stream"
            yield read_events(response)


def build_request(method: str, request_id: Any = 1, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def build_call(name: str, request_id: Any = 1, meta: Any = None, **arguments: Any) -> dict[str, Any]:
    more = {"_meta": meta} if meta else {}
    return build_request("tools/call", request_id, name=name, arguments=arguments, **more)


def read_answer(response: httpx2.Response) -> Any:
    """What the tool of `stdio_server.py` answered."""
    assert response.status_code == 200, response.text
    messages = read_messages(response)
    assert "result" in messages[-1], messages
    return json.loads(messages[-1]["result"]["content"][0]["text"])


def read_messages(response: httpx2.Response) -> list[Any]:
    """The messages of a whole response, whichever way it came."""
    if response.headers["content-type"] == "text/event-stream":
        return [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: ")]
    document = response.json()
    return document if isinstance(document, list) else [document]


async def read_events(response: httpx2.Response) -> AsyncIterator[Any]:
    async for line in response.aiter_lines():
        if line.startswith("data: "):
            yield json.loads(line[6:])


@asynccontextmanager
async def run_bridge(*command: str, **options: Any) -> AsyncIterator[tuple[StdioBridge, ASGIApp, Mint]]:
    """A bridge behind the guard, which nothing of is left after the block."""
    bridge, mint = StdioBridge(command or COMMAND, **options), Mint()
    with anyio.fail_after(PATIENCE_SECONDS):
        async with bridge.lifespan():
            yield bridge, mint.protect(bridge), mint
        assert bridge.processes == 0


@asynccontextmanager
async def run_client(app: ASGIApp, mint: Mint, **claims: Any) -> AsyncIterator[Told]:
    async with browse(app) as http:
        yield Told(http, mint.header(**claims))


@asynccontextmanager
async def serve_bridge(*command: str, **options: Any) -> AsyncIterator[tuple[str, StdioBridge, Mint]]:
    """A bridge on real sockets, served as `doorward` itself is."""
    port = find_free_port()
    url = f"http://127.0.0.1:{port}"
    bridge, mint = StdioBridge(command or COMMAND, **options), Mint(resource=f"{url}/mcp")
    server = Server(
        mint.protect(bridge, insecure_http=True),
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
    )
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve)

            async def is_listening() -> bool:
                with contextlib.suppress(OSError):
                    async with await anyio.connect_tcp("127.0.0.1", port):
                        return True
                return False

            await until(is_listening)
            try:
                yield f"{url}/mcp", bridge, mint
            finally:
                server.stop()  # type: ignore[no-untyped-call]  # granian has no types there


@asynccontextmanager
async def connect_as(url: str, mint: Mint, sub: str, *, client_id: str = "app", **options: Any) -> AsyncIterator[Told]:
    async with httpx2.AsyncClient(timeout=30) as http:
        client = Told(http, mint.header(sub=sub, client_id=client_id), url)
        await client.open(**options)
        yield client


@asynccontextmanager
async def connect(
    url: str, mint: Mint, *, mode: str = "auto", claims: Mapping[str, Any] | None = None, **options: Any
) -> AsyncIterator[mcp.Client]:
    """The official client."""
    async with (
        httpx2.AsyncClient(headers=mint.header(**(claims or {})), timeout=PATIENCE_SECONDS) as http,
        mcp.Client(streamable_http_client(url, http_client=http), mode=mode, **options) as client,
    ):
        yield client


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be noticed by its parent does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
