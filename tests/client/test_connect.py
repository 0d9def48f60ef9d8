"""`DoorwardClient` against running servers, protected and not, in both eras of the protocol."""

import inspect
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import anyio
import httpx2
import pytest
from anyio.abc import SocketAttribute, SocketStream
from mcp_types import TextContent

from doorward.client import (
    AccessDenied,
    DoorwardAuth,
    DoorwardClient,
    LoginRequired,
    NoInteraction,
    PasteInteraction,
    ServerRefused,
    ServerUnreachable,
)
from doorward.client.connect import AuthOptions
from tests.client.people import Visitor
from tests.interop.clients import revoke
from tests.interop.tools import TOOLS
from tests.interop.upstreams.running import Upstream
from tests.needs import find_free_port
from tests.running import RunningDoorward
from tests.waiting import until

ERAS = pytest.mark.parametrize(("mode", "version"), [("legacy", "2025-11-25"), ("auto", "2026-07-28")])
BOOKING = {"flight_number": "DW101", "passenger_name": "Ada"}


@asynccontextmanager
async def connect(url: str, visitor: Visitor, mode: str = "auto", **options: Any) -> AsyncIterator[DoorwardClient]:
    given: dict[str, Any] = {"store": visitor.store, "interaction": visitor.interaction, **options}
    with anyio.fail_after(60):
        async with DoorwardClient(url, mcp_options={"mode": mode}, **given) as client:
            yield client


async def price_of_door(client: DoorwardClient) -> float:
    found = await client.call_tool("stock_quotes", {"symbols": ["DOOR"]})
    assert found.structured_content is not None
    return found.structured_content["quotes"][0]["price"]


@ERAS
async def test_a_client_gets_in_lists_tools_calls_them_and_asks_its_person_once(
    doorward: RunningDoorward, visitor: Visitor, mode: str, version: str
) -> None:
    async with connect(doorward.demo, visitor, mode) as client:
        welcome = await client.initialize()
        assert welcome.protocol_version == version
        assert welcome.server_info is not None
        assert welcome.server_info.name == "doorward-demo"
        assert welcome.capabilities.tools is not None
        assert {tool.name for tool in await client.list_tools()} == TOOLS
        assert await price_of_door(client) > 0
        await client.ping()
        assert len(visitor.visits) == 1


@ERAS
async def test_a_server_that_nothing_protects_just_works(
    notes: Upstream, visitor: Visitor, mode: str, version: str
) -> None:
    heard: list[tuple[float, float | None, str | None]] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    async with connect(notes.url, visitor, mode) as client:
        assert (await client.call_tool("count", {"steps": 2}, progress=listen)).structured_content == {"result": 2}
        assert heard == [(1, 2, "step 1"), (2, 2, "step 2")]
        assert [resource.uri for resource in await client.list_resources()] == ["notes://all"]
        assert (await client.read_resource("notes://all")).contents
        assert await client.list_resource_templates() == []
        assert [prompt.name for prompt in await client.list_prompts()] == ["summary"]
        asked = (await client.get_prompt("summary", {"style": "short"})).messages[0].content
        assert isinstance(asked, TextContent)
        assert asked.text == "Sum up my notes: short"
    assert visitor.visits == []


@ERAS
async def test_what_a_person_says_reaches_the_call_by_its_name_and_is_asked_once(
    doorward: RunningDoorward, visitor: Visitor, mode: str, version: str
) -> None:
    visitor.decision = "deny"
    async with connect(doorward.demo, visitor, mode) as client:
        with pytest.raises(AccessDenied, match="declined"):
            await client.list_tools()
        assert len(visitor.visits) == 1
        visitor.decision = "allow"
        assert await price_of_door(client) > 0


@ERAS
async def test_nobody_to_ask_is_login_required_for_every_call_until_somebody_has_signed_in(
    doorward: RunningDoorward, visitor: Visitor, mode: str, version: str
) -> None:
    async with connect(doorward.demo, visitor, mode, interaction=NoInteraction()) as client:
        for call in (client.initialize, client.list_tools, client.ping):
            with pytest.raises(LoginRequired):
                await call()
        auth = DoorwardAuth(doorward.demo, store=visitor.store, interaction=visitor.interaction)
        await auth.session.login()
        assert await price_of_door(client) > 0


@ERAS
async def test_calls_that_wait_together_fail_together_and_later_ones_try_again(
    doorward: RunningDoorward, visitor: Visitor, mode: str, version: str
) -> None:
    visitor.decision = "deny"
    refused: list[AccessDenied] = []

    async def call(client: DoorwardClient) -> None:
        with pytest.raises(AccessDenied) as caught:
            await client.list_tools()
        refused.append(caught.value)

    async with connect(doorward.demo, visitor, mode) as client:
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(call, client)
        assert (len(refused), len(visitor.visits)) == (4, 1)


async def test_tasks_that_call_at_once_share_one_connection_and_one_sign_in(
    doorward: RunningDoorward, visitor: Visitor
) -> None:
    async with connect(doorward.demo, visitor) as client, anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(price_of_door, client)
    assert len(visitor.visits) == 1


@ERAS
async def test_a_connection_that_was_revoked_asks_again_and_goes_on(
    doorward: RunningDoorward, visitor: Visitor, mode: str, version: str
) -> None:
    async with connect(doorward.demo, visitor, mode) as client:
        assert await price_of_door(client) > 0
        assert isinstance(client.auth, DoorwardAuth)
        kept = client.auth.session.connection
        assert kept.registration is not None
        assert kept.tokens is not None
        await revoke(doorward.issuer, kept.registration.client_id, kept.tokens.refresh_token or "")
        assert await price_of_door(client) > 0
        assert len(visitor.visits) == 2


@ERAS
async def test_a_token_that_the_server_refuses_in_the_middle_is_refreshed_without_a_person_cli_07(
    doorward: RunningDoorward, visitor: Visitor, mode: str, version: str
) -> None:
    async with connect(doorward.demo, visitor, mode) as client:
        assert await price_of_door(client) > 0
        assert isinstance(client.auth, DoorwardAuth)
        session = client.auth.session
        assert session.held is not None
        session._keeping.connection = session.connection.with_tokens(replace(session.held, access_token="spoiled"))
        assert await price_of_door(client) > 0
        assert len(visitor.visits) == 1


async def test_a_tool_that_needs_more_steps_up_in_the_middle_of_a_call_step_05(
    doorward: RunningDoorward, visitor: Visitor
) -> None:
    async with connect(doorward.demo, visitor) as client:
        assert await price_of_door(client) > 0
        booked = await client.call_tool("book_flight", BOOKING)
        assert not booked.is_error
        assert len(visitor.visits) == 2


@ERAS
async def test_a_refusal_in_the_middle_reaches_its_call_alone_and_costs_no_session(
    doorward: RunningDoorward, visitor: Visitor, mode: str, version: str
) -> None:
    async with connect(doorward.demo, visitor, mode) as client:
        assert await price_of_door(client) > 0
        first = client._connection
        visitor.decision = "deny"

        async def be_refused() -> None:
            with pytest.raises(AccessDenied):
                await client.call_tool("book_flight", BOOKING)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(be_refused)
            for _ in range(3):
                tasks.start_soon(price_of_door, client)
        assert await price_of_door(client) > 0
        assert client._connection is first


async def test_signing_in_anew_keeps_the_client_usable(doorward: RunningDoorward, visitor: Visitor) -> None:
    async with connect(doorward.demo, visitor) as client:
        assert await price_of_door(client) > 0
        first = client._connection
        await client.reauthenticate()
        assert await price_of_door(client) > 0
        assert len(visitor.visits) == 2
        assert client._connection is not first


@ERAS
async def test_a_restarted_server_is_connected_to_anew_and_a_lost_session_costs_no_call(
    notes: Upstream, visitor: Visitor, mode: str, version: str
) -> None:
    async with connect(notes.url, visitor, mode) as client:
        await client.call_tool("clear_notes")
        assert (await client.call_tool("add_note", {"text": "one"})).structured_content == {"result": 1}
        notes.kill()
        with pytest.raises(ServerUnreachable, match="Nothing answers at"):
            await client.call_tool("add_note", {"text": "lost"})
        with pytest.raises(ServerUnreachable):
            await client.list_tools()
        notes.start_again()
        assert (await client.call_tool("add_note", {"text": "two"})).structured_content == {"result": 1}


async def test_a_client_may_be_opened_used_and_closed_by_different_tasks_and_opened_again(
    notes: Upstream, visitor: Visitor
) -> None:
    client = DoorwardClient(notes.url, store=visitor.store)
    for _ in range(2):
        for step in (client.initialize, client.list_tools, client.close):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(step)
    await client.close()


@pytest.fixture
def silent_port() -> Any:
    """Of something that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


async def test_a_server_that_never_answers_is_given_up(silent_port: int, visitor: Visitor) -> None:
    async with connect(f"http://127.0.0.1:{silent_port}/mcp", visitor, connect_timeout=0.05) as client:
        with pytest.raises(ServerUnreachable, match="did not answer within"):
            await client.list_tools()


async def test_a_connection_that_nobody_waits_for_any_longer_is_given_up(silent_port: int, visitor: Visitor) -> None:
    async with connect(f"http://127.0.0.1:{silent_port}/mcp", visitor) as client:
        with anyio.move_on_after(0.05):
            await client.list_tools()
        connection = client._connection
        assert connection is not None

        async def has_ended() -> bool:
            return connection._owner.done()

        await until(has_ended)


async def test_a_call_has_the_time_it_was_given_and_the_connection_outlives_it(
    notes: Upstream, visitor: Visitor
) -> None:
    httpx2.put(notes.url.replace("/mcp", "/tools/slow"), json={"holds": True}).raise_for_status()
    async with connect(notes.url, visitor, timeout=30) as client:
        with pytest.raises(TimeoutError):
            await client.call_tool("slow", timeout=0.1)
        assert await client.list_tools()
    httpx2.delete(notes.url.replace("/mcp", "/held")).raise_for_status()


async def test_the_time_of_a_sign_in_is_not_the_time_of_the_call(doorward: RunningDoorward, visitor: Visitor) -> None:
    given = 2.0

    async def paste() -> str:
        """Takes longer than the call may, the second time."""
        begun = anyio.current_time()

        async def is_late() -> bool:
            return len(visitor.visits) == 1 or anyio.current_time() > begun + given

        await until(is_late)
        return await visitor.paste()

    async with connect(doorward.demo, visitor, interaction=PasteInteraction(announce=visitor.go, read=paste)) as client:
        await client.list_tools()
        found = await client.call_tool("book_flight", BOOKING, timeout=given)
        assert not found.is_error


async def test_an_http_error_says_what_it_was(doorward: RunningDoorward, visitor: Visitor) -> None:
    async with connect(f"{doorward.issuer}/nothing/here", visitor) as client:
        with pytest.raises(ServerRefused, match="answered 404 Not Found") as caught:
            await client.list_tools()
        assert caught.value.status == 404


async def test_an_error_that_never_ends_is_not_read_to_its_end(visitor: Visitor) -> None:
    async def answer(stream: SocketStream) -> None:
        async with stream:
            with suppress(anyio.BrokenResourceError, anyio.EndOfStream):
                await stream.receive()
                await stream.send(b"HTTP/1.1 503 Busy\r\nContent-Type: application/json\r\n\r\n")
                while True:
                    await stream.send(b" " * 65536)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)  # noqa: S610  # anyio's, not Django's
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answer)
        async with connect(f"http://127.0.0.1:{port}/mcp", visitor) as client:
            with pytest.raises(ServerRefused, match="answered 503"):
                await client.list_tools()
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def older_server(port: int) -> AsyncIterator[str]:
    program = (
        "from mcp.server.mcpserver import MCPServer\n"
        "server = MCPServer('Older', log_level='ERROR')\n"
        "@server.tool()\n"
        "def shout(text: str) -> str:\n"
        "    return text.upper()\n"
        f"server.run('sse', port={port})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program])
    try:

        async def is_listening() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        await until(is_listening, seconds=60)
        yield f"http://127.0.0.1:{port}/sse"
    finally:
        process.kill()
        process.wait(timeout=10)


async def test_servers_of_the_older_transport_are_found_and_lost_ones_are_said_to_be(visitor: Visitor) -> None:
    async with older_server(find_free_port()) as url:
        for transport in ("sse", "auto"):
            async with connect(url, visitor, transport=transport) as client:
                assert [tool.name for tool in await client.list_tools()] == ["shout"]
                assert (await client.call_tool("shout", {"text": "hi"})).structured_content == {"result": "HI"}
        lasting = DoorwardClient(url, transport="sse", store=visitor.store)
        await lasting.initialize()
    with anyio.fail_after(30):
        with pytest.raises(ServerUnreachable):
            await lasting.call_tool("shout", {"text": "hi"})
        await lasting.close()


async def test_a_client_has_every_option_of_its_auth() -> None:
    parameters = set(inspect.signature(DoorwardAuth).parameters)
    assert set(AuthOptions.__annotations__) == parameters - {"server_url", "transport"}


def test_without_the_mcp_sdk_the_import_says_what_to_install() -> None:
    program = (
        "import sys\nsys.modules['mcp'] = None\nimport doorward.client\n"
        "try:\n    doorward.client.DoorwardClient\n"
        "except ImportError as missing:\n    print(missing)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "DoorwardClient needs the MCP SDK: pip install 'doorward[client]'"
