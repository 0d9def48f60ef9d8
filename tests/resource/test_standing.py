"""Several servers behind one door, for tokens of an issuer elsewhere: none is taken for another."""

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from doorward.protecting import Elsewhere, Standing, Upstream, mount_for_issuer
from doorward.resource.identity import IdentitySigner
from tests.resource.behind import Exchange, serve_behind
from tests.resource.world import ISSUER, bind, browse

PUBLIC = "https://door.test"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    listening, _ = bind()
    with listening:
        yield listening


def mount(data: Path, listener: socket.socket, *paths: str) -> Standing:
    upstream = f"http://127.0.0.1:{listener.getsockname()[1]}"
    servers = [Upstream(path=path, url=f"{upstream}{path}") for path in paths]
    return mount_for_issuer(Elsewhere(ISSUER), PUBLIC, servers, IdentitySigner(), data=data)


@pytest.mark.parametrize("paths", [("/a/notes", "/notes"), ("/notes", "/a/notes"), ("/b", "/a", "/c")])
async def test_each_server_has_the_metadata_of_its_own_prm_01(
    tmp_path: Path, listener: socket.socket, paths: tuple[str, ...]
) -> None:
    async with browse(mount(tmp_path, listener, *paths), PUBLIC) as client:
        for path in paths:
            for address in (
                f"/.well-known/oauth-protected-resource{path}",
                f"{path}/.well-known/oauth-protected-resource",
            ):
                assert (await client.get(address)).json()["resource"] == f"{PUBLIC}{path}"
        for address in ("/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/"):
            assert (await client.get(address)).json()["resource"] == f"{PUBLIC}{paths[0]}"
        assert (await client.get("/.well-known/oauth-protected-resource/x/notes")).status_code == 404


async def test_each_server_has_a_list_of_tools_of_its_own(tmp_path: Path, listener: socket.socket) -> None:
    async def tell(exchange: Exchange) -> None:
        message = json.loads(exchange.body or b"{}")
        name = exchange.line.split()[1].strip("/").replace("/", ".")
        tools = [{"name": name, "inputSchema": {"type": "object"}}]
        result: dict[str, Any] = (
            {"tools": tools} if message.get("method") == "tools/list" else {"capabilities": {"tools": {}}}
        )
        body = json.dumps({"jsonrpc": "2.0", "id": message.get("id"), "result": result}).encode()
        await exchange.answer(200, body, "content-type: application/json")

    standing = mount(tmp_path, listener, "/a-b", "/a/b")
    async with serve_behind(listener) as behind:
        behind.told = tell
        for mounted in list(standing._mounts.values()):
            async with mounted.lifespan():
                pass
    kept = [json.loads(file.read_text("utf-8")) for file in sorted(tmp_path.glob("tools*.json"))]
    assert [[entry["tool"]["name"] for entry in known] for known in kept] == [["a.b"], ["a-b"]]


async def test_whoever_asks_whether_the_door_is_ready_makes_no_crowd_at_the_server_behind_t48(
    tmp_path: Path, listener: socket.socket
) -> None:
    standing = mount(tmp_path, listener, "/mcp")
    accepted = 0

    def count(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        writer.close()

    async with await asyncio.start_server(count, sock=listener.dup()), browse(standing, PUBLIC) as client:
        statuses = []

        async def ask() -> None:
            statuses.append((await client.get("/readyz")).status_code)

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(ask)
        assert statuses == [200] * 50
    assert accepted <= 2


async def test_a_credential_in_the_address_of_a_server_is_not_told_to_the_terminal_gen_06() -> None:
    assert Upstream(path="/mcp", url="https://inner.test/mcp?key=s3cret").described == "https://inner.test/mcp"
