"""`SyncDoorwardClient`, and the loop that everything synchronous of a process shares."""

import inspect
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio.lowlevel
import httpx2
import pytest

from doorward.client import DoorwardAuth, DoorwardClient, LoginRequired, NoInteraction, SyncDoorwardClient, portal
from tests.client.people import Visitor
from tests.interop.tools import TOOLS
from tests.interop.upstreams.running import Upstream
from tests.needs import ROOT, require
from tests.running import RunningDoorward
from tests.waiting import until

HOLDER = """
import sys
from doorward.client import MemoryStore, SyncDoorwardClient
with SyncDoorwardClient(sys.argv[1], store=MemoryStore()) as client:
    client.list_tools()
    try:
        client.call_tool("held")
    except KeyboardInterrupt:
        print(len(client.list_tools()) > 0, flush=True)
"""


def price_of_door(client: SyncDoorwardClient) -> float:
    found = client.call_tool("stock_quotes", {"symbols": ["DOOR"]})
    assert found.structured_content is not None
    return found.structured_content["quotes"][0]["price"]


def test_a_synchronous_program_gets_in_and_calls_tools(doorward: RunningDoorward, visitor: Visitor) -> None:
    with SyncDoorwardClient(doorward.demo, store=visitor.store, interaction=visitor.interaction) as client:
        assert client.initialize().server_info is not None
        assert {tool.name for tool in client.list_tools()} == TOOLS
        assert price_of_door(client) > 0
        client.reauthenticate()
        client.ping()
    assert price_of_door(client) > 0, "a closed one opens again"
    client.close()
    assert len(visitor.visits) == 2


def test_a_synchronous_program_reads_resources_and_prompts_and_hears_of_progress(
    notes: Upstream, visitor: Visitor
) -> None:
    heard: list[float] = []
    with SyncDoorwardClient(notes.url, store=visitor.store) as client:
        told = client.call_tool("count", {"steps": 2}, progress=lambda done, total, message: heard.append(done))
        assert told.structured_content == {"result": 2}
        assert [resource.uri for resource in client.list_resources()] == ["notes://all"]
        assert client.list_resource_templates() == []
        assert client.read_resource("notes://all").contents
        assert [prompt.name for prompt in client.list_prompts()] == ["summary"]
        assert client.get_prompt("summary", {"style": "short"}).messages
        assert sorted(heard) == [1, 2]  # the SDK tells of each in a task of its own


def test_threads_that_call_at_once_share_one_sign_in(doorward: RunningDoorward, visitor: Visitor) -> None:
    with (
        SyncDoorwardClient(doorward.demo, store=visitor.store, interaction=visitor.interaction) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        assert all(price > 0 for price in threads.map(price_of_door, [client] * 16))
    assert len(visitor.visits) == 1


def test_errors_reach_a_synchronous_program_by_their_names(doorward: RunningDoorward, visitor: Visitor) -> None:
    with (
        SyncDoorwardClient(doorward.demo, store=visitor.store, interaction=NoInteraction()) as client,
        pytest.raises(LoginRequired),
    ):
        client.list_tools()


def test_any_program_of_httpx2_gets_in_without_a_loop_of_its_own(doorward: RunningDoorward, visitor: Visitor) -> None:
    auth = DoorwardAuth(doorward.demo, store=visitor.store, interaction=visitor.interaction)
    headers = {"accept": "application/json, text/event-stream"}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    with httpx2.Client(auth=auth, timeout=60) as http:
        assert http.post(doorward.demo, json=message, headers=headers).status_code == 200
    assert len(visitor.visits) == 1


async def test_ctrl_c_ends_the_call_that_waits_and_leaves_the_client_usable(notes: Upstream) -> None:
    held = notes.url.replace("/mcp", "/held")
    httpx2.put(notes.url.replace("/mcp", "/tools/held"), json={"holds": True}).raise_for_status()
    process = subprocess.Popen([sys.executable, "-c", HOLDER, notes.url], stdout=subprocess.PIPE, text=True, cwd=ROOT)

    async def is_waiting() -> bool:
        return httpx2.get(held).json() == 1

    try:
        await until(is_waiting, seconds=60)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[0] == "True\n"
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait(timeout=10)
        httpx2.delete(held).raise_for_status()


def test_a_forked_process_connects_for_itself(notes: Upstream, visitor: Visitor) -> None:
    require("fork", available=hasattr(os, "fork"), reason="the system has none")
    program = """
import os, sys
from doorward.client import MemoryStore, SyncDoorwardClient
client = SyncDoorwardClient(sys.argv[1], store=MemoryStore())
before = len(client.list_tools())
child = os.fork()
if child == 0:
    os._exit(0 if len(client.list_tools()) == before else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert len(client.list_tools()) == before
client.close()
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program, notes.url], check=True, timeout=120, cwd=ROOT)


def test_the_shared_loop_carries_results_errors_and_other_threads_work() -> None:
    async def double(number: int) -> int:
        await anyio.lowlevel.checkpoint()
        return number * 2

    async def fail() -> None:
        raise ValueError("as it is")

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda number: portal.run(double, number), range(20))) == list(range(0, 40, 2))
    with pytest.raises(ValueError, match="as it is"):
        portal.run(fail)
    assert [thread.daemon for thread in threading.enumerate() if thread.name == "doorward-client"] == [True]


def test_the_loop_refuses_to_wait_for_itself() -> None:
    async def nest() -> Any:
        return portal.run(nest)

    with pytest.raises(RuntimeError):
        portal.run(nest)


def test_the_synchronous_client_has_every_method_and_option_of_the_other() -> None:
    ours, theirs = inspect.signature(SyncDoorwardClient).parameters, inspect.signature(DoorwardClient).parameters
    assert list(ours) == list(theirs)
    public = {name for name, value in vars(DoorwardClient).items() if not name.startswith("_") and callable(value)}
    for name in public - {"streams"}:
        mine = inspect.signature(getattr(SyncDoorwardClient, name)).parameters
        assert list(mine) == list(inspect.signature(getattr(DoorwardClient, name)).parameters)
