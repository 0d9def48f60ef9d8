"""Published servers that nobody here wrote, unmodified, behind a bridge and the guard, with the official clients."""

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import fastmcp
import mcp_types
import pytest
from fastmcp.client.transports import StreamableHttpTransport
from mcp.client.context import ClientRequestContext
from mcp_types import ListRootsResult, Root, TextContent

from tests.interop.node.programs import PACKAGES, find_node
from tests.resource.stdio_world import connect, is_alive, serve_bridge
from tests.waiting import until

MODES = pytest.mark.parametrize("mode", ["auto", "legacy"])


def find_server(name: str) -> Sequence[str]:
    return [find_node(), str(PACKAGES / "@modelcontextprotocol" / name / "dist" / "index.js")]


def text_of(result: Any) -> str:
    return "".join(part.text for part in result.content if isinstance(part, TextContent))


@MODES
async def test_the_everything_server_is_served(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOORWARD_MASTER_KEY", "not for any server")
    seen: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async with (
        serve_bridge(*find_server("server-everything"), "stdio") as (url, bridge, mint),
        connect(url, mint, mode=mode) as client,
    ):
        assert client.protocol_version == "2025-11-25"
        assert {"echo", "get-sum", "get-env"} <= {tool.name for tool in (await client.list_tools()).tools}
        assert text_of(await client.call_tool("echo", {"message": "hällo\n\u2028"})) == "Echo: hällo\n\u2028"
        assert "is 5" in text_of(await client.call_tool("get-sum", {"a": 2, "b": 3}))
        assert "DOORWARD" not in text_of(await client.call_tool("get-env", {}))
        operation = {"duration": 0.2, "steps": 4}
        await client.call_tool("trigger-long-running-operation", operation, progress_callback=note)
        assert seen == [1, 2, 3, 4]
        assert (await client.list_prompts()).prompts
        assert (await client.list_resources()).resources
        assert bridge.processes == 1


async def test_the_everything_server_asks_its_client() -> None:
    roots_asked = anyio.Event()

    async def sample(_: ClientRequestContext, params: Any) -> mcp_types.CreateMessageResult:
        text = TextContent(type="text", text="a quiet harbour")
        return mcp_types.CreateMessageResult(role="assistant", content=text, model="m")

    async def elicit(_: ClientRequestContext, params: Any) -> mcp_types.ElicitResult:
        return mcp_types.ElicitResult(action="decline")

    async def list_roots(_: ClientRequestContext) -> ListRootsResult:
        roots_asked.set()
        return ListRootsResult(roots=[Root(uri="file:///srv/harbour", name="harbour")])

    async with (
        serve_bridge(*find_server("server-everything"), "stdio") as (url, _, mint),
        connect(
            url, mint, sampling_callback=sample, elicitation_callback=elicit, list_roots_callback=list_roots
        ) as client,
    ):
        sampled = await client.call_tool("trigger-sampling-request", {"prompt": "a place"})
        assert "a quiet harbour" in text_of(sampled)
        assert "declined" in text_of(await client.call_tool("trigger-elicitation-request", {}))
        await roots_asked.wait()  # by itself, on the session's own stream
        assert "file:///srv/harbour" in text_of(await client.call_tool("get-roots-list", {}))


async def test_many_calls_of_two_users_at_once_get_their_own_answers() -> None:
    async with (
        serve_bridge(*find_server("server-everything"), "stdio") as (url, bridge, mint),
        connect(url, mint, claims={"sub": "alice"}) as alice,
        connect(url, mint, claims={"sub": "bob"}) as bob,
    ):

        async def call(client: Any, name: str, number: int) -> None:
            assert text_of(await client.call_tool("echo", {"message": f"{name} {number}"})) == f"Echo: {name} {number}"

        users = ((alice, "alice"), (bob, "bob"))
        await asyncio.gather(*(call(client, name, number) for number in range(50) for client, name in users))
        assert bridge.processes == 2


@MODES
async def test_the_filesystem_server_is_served(mode: str, tmp_path: Path) -> None:
    folder, note = tmp_path / "shared", tmp_path / "shared" / "note.txt"
    folder.mkdir()
    async with serve_bridge(*find_server("server-filesystem"), str(folder)) as (url, _, mint):
        transport = StreamableHttpTransport(url, headers=mint.header())
        async with connect(url, mint, mode=mode) as client, fastmcp.Client(transport, mode=mode) as other:
            await client.call_tool("write_file", {"path": str(note), "content": "quiet"})
            assert note.read_text() == "quiet"
            assert text_of(await other.call_tool("read_text_file", {"path": str(note)})) == "quiet"
            outside = await client.call_tool("read_text_file", {"path": "/etc/hostname"})
            assert outside.is_error
            assert "write_file" in {tool.name for tool in await other.list_tools()}


async def test_a_published_server_that_was_killed_is_there_again_and_at_the_end_it_is_gone() -> None:
    async with (
        serve_bridge(*find_server("server-everything"), "stdio") as (url, bridge, mint),
        connect(url, mint, mode="legacy") as client,
    ):
        await client.call_tool("echo", {"message": "hi"})
        (killed,) = bridge._pool._running()
        os.kill(killed._process.pid, signal.SIGKILL)

        async def has_ended() -> bool:
            return killed.has_ended

        await until(has_ended)
        assert text_of(await client.call_tool("echo", {"message": "again"})) == "Echo: again"
        (connection,) = bridge._pool._running()

    async def is_gone() -> bool:
        return not is_alive(connection._process.pid)

    await until(is_gone)
