"""The bridge as a program of its own, driven as hosts drive a server on standard streams."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx2
import mcp
import pytest
from anyio.to_thread import run_sync
from mcp import MCPError
from mcp.client.stdio import StdioServerParameters
from mcp_types import ElicitRequestParams, ElicitResult, JSONRPCRequest

from doorward.client import DoorwardAuth, DoorwardClient, FileStore
from doorward.client.bridge import run_bridge
from doorward.client.mirror import Mirror
from tests.client.people import Visitor
from tests.interop.node.programs import FOLDER as NODE
from tests.interop.node.programs import run_node
from tests.interop.tools import TOOLS, use_tools
from tests.interop.upstreams.running import Upstream
from tests.needs import ROOT
from tests.running import RunningDoorward

PROGRAM = Path(__file__).with_name("bridge_program.py")
OPENING = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
ERAS = pytest.mark.parametrize(("mode", "version"), [("legacy", "2025-11-25"), ("auto", "2026-07-28")])


def command(url: str, folder: Path) -> list[str]:
    return [sys.executable, str(PROGRAM), url, str(folder)]


@asynccontextmanager
async def bridge(url: str, folder: Path, mode: str, **options: Any) -> AsyncIterator[mcp.Client]:
    """The official SDK on the near side."""
    program, *arguments = command(url, folder)
    parameters = StdioServerParameters(command=program, args=arguments, env=dict(os.environ))
    with anyio.fail_after(60):
        async with mcp.Client(parameters, mode=mode, **options) as client:
            yield client


@pytest.fixture
async def signed_in(doorward: RunningDoorward, visitor: Visitor, tmp_path: Path) -> Path:
    """A folder with what a person let in."""
    folder = tmp_path / "kept"
    auth = DoorwardAuth(doorward.demo, store=FileStore(folder), interaction=visitor.interaction)
    await auth.session.login()
    return folder


@ERAS
async def test_a_program_on_standard_streams_reaches_a_protected_server_in_its_own_revision(
    doorward: RunningDoorward, signed_in: Path, mode: str, version: str
) -> None:
    async with bridge(doorward.demo, signed_in, mode) as client:
        assert client.protocol_version == version
        await use_tools(client)


@ERAS
async def test_the_bridge_carries_progress_cancellation_and_the_servers_own_questions(
    notes: Upstream, tmp_path: Path, mode: str, version: str
) -> None:
    heard: list[float] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    async def answer(context: Any, params: ElicitRequestParams) -> ElicitResult:
        return ElicitResult(action="accept", content={"name": "Ada"})

    async with bridge(notes.url, tmp_path / "kept", mode, elicitation_callback=answer) as client:
        assert (await client.call_tool("count", {"steps": 2}, progress_callback=listen)).structured_content
        assert heard == [1, 2]
        assert (await client.call_tool("greet")).structured_content == {"result": "Hello, Ada!"}
        seen = (await client.call_tool("headers")).structured_content
        assert seen is not None
        assert seen["mcp-protocol-version"] == version

        httpx2.put(notes.url.replace("/mcp", "/tools/held"), json={"holds": True}).raise_for_status()
        with anyio.move_on_after(0.2) as patience:
            await client.call_tool("held")
        assert patience.cancelled_caught
        assert (await client.list_tools()).tools, "a call that is cancelled is over for the bridge alone"
    httpx2.delete(notes.url.replace("/mcp", "/held")).raise_for_status()


async def test_what_keeps_the_bridge_out_is_the_answer_to_the_program_in_words(
    doorward: RunningDoorward, tmp_path: Path
) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(MCPError, match="a person to sign in"), flatten_subgroups=True):
        async with bridge(doorward.demo, tmp_path / "kept", "auto"):
            raise AssertionError("nobody let it in")


async def test_a_session_that_the_server_lost_is_begun_anew_without_the_program_noticing(
    notes: Upstream, tmp_path: Path
) -> None:
    async with bridge(notes.url, tmp_path / "kept", "legacy") as client:
        await client.call_tool("clear_notes")
        await client.call_tool("add_note", {"text": "one"})
        notes.kill()
        with pytest.raises(MCPError, match="Nothing answers at"):
            await client.call_tool("add_note", {"text": "lost"})
        notes.start_again()
        assert (await client.call_tool("add_note", {"text": "two"})).structured_content == {"result": 1}
        assert (await client.call_tool("add_note", {"text": "three"})).structured_content == {"result": 2}


@pytest.mark.parametrize("decision", ["allow", "deny"])
async def test_the_first_message_waits_while_the_person_decides_and_they_are_asked_once(
    doorward: RunningDoorward, visitor: Visitor, decision: Literal["allow", "deny"]
) -> None:
    visitor.decision = decision
    client = DoorwardClient(doorward.demo, store=visitor.store, interaction=visitor.interaction)
    (bridge_reads, host_writes), (host_reads, bridge_writes) = os.pipe(), os.pipe()
    message = {"jsonrpc": "2.0", "id": 7, "method": "initialize", "params": OPENING}
    with (
        os.fdopen(bridge_reads) as stdin,
        os.fdopen(bridge_writes, "w") as stdout,
        os.fdopen(host_reads) as answers,
        anyio.fail_after(60),
    ):
        async with anyio.create_task_group() as tasks:
            carry = partial(run_bridge, client, stdin=anyio.wrap_file(stdin), stdout=anyio.wrap_file(stdout))
            tasks.start_soon(carry)
            with os.fdopen(host_writes, "w") as questions:
                print(json.dumps(message), file=questions, flush=True)
                told = json.loads(await run_sync(answers.readline))
    assert told["id"] == 7
    assert ("result" in told) == (decision == "allow")
    assert decision == "allow" or "declined" in told["error"]["message"]
    assert len(visitor.visits) == 1


async def test_a_host_of_the_typescript_sdk_reaches_a_protected_server_and_shows_why_it_does_not(
    doorward: RunningDoorward, signed_in: Path, tmp_path: Path
) -> None:
    async with run_node(NODE / "host1.mjs", *command(doorward.demo, signed_in)) as host:
        told = await host.listen()
        assert set(told["tools"]) == TOOLS
        assert [quote["symbol"] for quote in told["quotes"]] == ["DOOR"]
        assert await host.process.wait() == 0
    async with run_node(NODE / "host1.mjs", *command(doorward.demo, tmp_path / "nothing kept")) as host:
        assert "a person to sign in" in (await host.listen())["error"]


def test_what_a_message_says_is_repeated_in_its_headers_as_servers_of_2026_07_28_want() -> None:
    mirror = Mirror()
    listed = JSONRPCRequest(jsonrpc="2.0", id=1, method="tools/list")
    schema = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
    mirror.learn(listed, {"tools": [{"name": "pay", "inputSchema": schema}, "nonsense", {"name": "odd"}]})
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
    call = {"name": "pay", "arguments": {"region": "eu", "sum": 3}, "_meta": meta}
    assert mirror.headers(JSONRPCRequest(jsonrpc="2.0", id=2, method="tools/call", params=call)) == {
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "pay",
        "Mcp-Param-Region": "eu",
    }
    read = {"uri": "notes://ä", "_meta": meta}
    repeated = mirror.headers(JSONRPCRequest(jsonrpc="2.0", id=3, method="resources/read", params=read))
    assert repeated is not None
    assert repeated["mcp-name"].startswith("=?base64?")
    assert mirror.headers(JSONRPCRequest(jsonrpc="2.0", id=4, method="initialize", params={"_meta": meta})) is None


def test_the_bridge_writes_messages_alone_and_ends_with_its_input(notes: Upstream, tmp_path: Path) -> None:
    """Ids are the program's own, of either type, and what is no message is passed over."""
    process = subprocess.Popen(
        command(notes.url, tmp_path / "kept"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for line in (
            "no message\n",
            json.dumps({"jsonrpc": "2.0", "id": "one", "method": "initialize", "params": OPENING}) + "\n",
        ):
            process.stdin.write(line)
        process.stdin.flush()
        told = json.loads(process.stdout.readline())
        assert (told["id"], told["result"]["protocolVersion"]) == ("one", "2025-06-18")
        process.stdin.write(json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}) + "\n")
        process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 2, "method": "nonsense/method"}) + "\n")
        process.stdin.flush()
        told = json.loads(process.stdout.readline())
        assert (told["id"], "error" in told) == (2, True)
        rest, _ = process.communicate(timeout=60)
        assert (rest, process.returncode) == ("", 0)
    finally:
        process.kill()
        process.wait(timeout=10)
