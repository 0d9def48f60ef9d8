"""`doorward protect -- COMMAND`, as a process: how it ends, and what an operator is told of the command."""

import asyncio
import json
import os
import signal
import sys
from functools import partial
from pathlib import Path

import httpx2
import pytest

from tests.cli.doors import Start, children_of, let_in, refuses_more
from tests.interop.browsers import FormBrowser
from tests.interop.clients import connect_sdk
from tests.interop.conversation import call
from tests.person import Person
from tests.resource.stdio_world import is_alive
from tests.waiting import until

WAITS = """
import anyio, sys
from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations
server = MCPServer("Waits", log_level="WARNING")

@server.tool(annotations=ToolAnnotations(read_only_hint=True))
async def read(path: str) -> str:
    return await anyio.Path(path).read_text()

server.run()
"""
STAYS = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import signal, time; time.sleep(600)"], stdin=subprocess.DEVNULL)
exec(sys.argv[1])
time.sleep(600)
"""


@pytest.mark.parametrize("words", [[], ["--shared"]], ids=["alone", "shared"])
async def test_a_call_of_a_command_is_answered_before_the_door_ends(
    tmp_path: Path, start: Start, words: list[str]
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    door = start(*words, "--", sys.executable, "-c", WAITS)
    writers: list[int] = []

    async def is_read() -> bool:
        try:
            writers.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return False
        return True

    async with httpx2.AsyncClient() as http, connect_sdk(door.url, FormBrowser(Person(http))) as sdk:
        calling = asyncio.create_task(call(sdk.client, "read", path=str(pipe)))
        await until(is_read)
        door.process.send_signal(signal.SIGTERM)
        await until(partial(refuses_more, door))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(calling), 3)  # longer than an idle door takes to end
        os.write(writers[0], b"at last")
        os.close(writers[0])
        assert await calling == "at last"
        assert door.stop() == 0


async def test_a_command_that_ignores_every_hint_does_not_outlive_the_door(start: Start) -> None:
    door = start("--", sys.executable, "-c", STAYS, WAITS)
    await let_in(door)
    children = children_of(door.process.pid)
    assert len(children) >= 2
    assert door.stop() == 0
    assert not [child for child in children if is_alive(child)]


async def test_a_command_that_does_not_start_says_why_in_the_log_and_is_not_ready(start: Start) -> None:
    crash = "import os, sys; sys.exit('missing API_KEY, not ' + os.environ['GIVEN'])"
    given = {"GIVEN": "a-given-value", "DOORWARD_LOG__FORMAT": "json"}
    door = start("--env", "GIVEN", "--", sys.executable, "-c", crash, environment=given)
    async with httpx2.AsyncClient(base_url=door.issuer) as http:
        assert (await http.get("/livez")).status_code == 200
        assert (await http.get("/readyz")).status_code == 503
    assert door.stop() == 0
    told = [json.loads(line) for line in door.data.with_suffix(".log").read_text().splitlines()]
    ended = [one for one in told if "It last wrote: missing API_KEY, not …" in one["event"]]
    assert ended
    assert {one["level"] for one in ended} == {"warning"}
    assert all(one["timestamp"] for one in told)
    assert "a-given-value" not in str(told)
