"""The one-line command that `doorward up --demo` tells people to run, as a process of its own."""

import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from tests.interop.browsers import FormBrowser
from tests.interop.clients import PATIENCE_SECONDS
from tests.needs import find_free_port
from tests.running import RunningDoorward, start_doorward

SIGN_IN_ADDRESS = re.compile(r"^\s+(http://\S+/oauth/authorize\?\S+)$", re.MULTILINE)


@asynccontextmanager
async def run_connect(*arguments: str) -> AsyncIterator[Process]:
    with anyio.fail_after(PATIENCE_SECONDS):
        command = [sys.executable, "-m", "doorward.demo.connect", *arguments]
        async with await anyio.open_process(command, stdin=subprocess.DEVNULL) as process:
            yield process


async def sign_in_address(process: Process) -> str:
    """The address the command prints for the person."""
    assert process.stdout is not None
    printed = ""
    async for part in TextReceiveStream(process.stdout):
        printed += part
        if found := SIGN_IN_ADDRESS.search(printed):
            return found[1]
    raise AssertionError(f"no address to sign in at: {printed}")


async def finish(process: Process) -> tuple[int, str, str]:
    """(exit code, the rest of stdout, stderr)"""
    assert process.stdout is not None
    assert process.stderr is not None
    printed = "".join([part async for part in TextReceiveStream(process.stdout)])
    complained = "".join([part async for part in TextReceiveStream(process.stderr)])
    return await process.wait(), printed, complained


async def test_the_connect_command_prints_the_weather(doorward: RunningDoorward, fresh_browser: FormBrowser) -> None:
    async with run_connect(doorward.demo, "--no-browser") as process:
        await fresh_browser.visit(await sign_in_address(process))
        code, printed, complained = await finish(process)
    assert (code, complained) == (0, "")
    assert "It has 4 tools:" in printed
    assert re.search(r"book_flight\s+writes", printed)
    assert 'weather_forecast({"city": "Lisbon"})' in printed
    assert '"country": "Portugal"' in printed
    assert "Sample data" in printed


async def test_the_operator_reads_a_connection_as_one_story(tmp_path: Path, fresh_browser: FormBrowser) -> None:
    server = start_doorward(tmp_path / "data", "--demo")
    async with run_connect(server.demo, "--no-browser") as process:
        await fresh_browser.visit(await sign_in_address(process))
        assert (await finish(process))[0] == 0
    assert server.stop() == 0  # what it saw is written by then
    (row,) = server.admin("timeline", "list")
    assert row["verdict"] == "connected and calling"
    told = server.admin("timeline", "show", row["reference"])
    steps = [step["step"] for step in told["steps"]]
    assert steps[0] == "challenge"
    assert [step for step in steps if step in ("register", "consent", "token", "call")] == [
        "register",
        "consent",
        "token",
        "call",
    ]
    assert {step["outcome"] for step in told["steps"]} == {"ok"}


async def test_the_connect_command_calls_the_tool_it_is_told(doorward: RunningDoorward, browser: FormBrowser) -> None:
    quotes = ("--tool", "stock_quotes", "--arguments", '{"symbols": ["DOOR", "NONE"]}')
    async with run_connect(doorward.demo, "--no-browser", *quotes) as process:
        await browser.visit(await sign_in_address(process))
        code, printed, _ = await finish(process)
    assert code == 0
    assert '"symbol": "DOOR"' in printed
    assert '"unknown_symbols": [\n    "NONE"\n  ]' in printed


async def test_the_connect_command_says_when_access_was_denied(doorward: RunningDoorward, browser: FormBrowser) -> None:
    browser.decision = "deny"
    async with run_connect(doorward.demo, "--no-browser") as process:
        await browser.visit(await sign_in_address(process))
        code, _, complained = await finish(process)
    assert code == 1
    assert complained.startswith("Error: Access was not allowed.")
    assert complained.count("\n") == 1


async def test_the_connect_command_says_when_nothing_answers() -> None:
    url = f"http://127.0.0.1:{find_free_port()}/demo/mcp"
    async with run_connect(url, "--no-browser") as process:
        code, printed, complained = await finish(process)
    assert (code, printed) == (1, "")
    assert complained == f"Error: Nothing answers at {url}. If it is the demo, start it with: doorward up --demo\n"


async def test_the_connect_command_refuses_what_is_no_address() -> None:
    async with run_connect("127.0.0.1/demo/mcp") as process:
        code, _, complained = await finish(process)
    assert code == 2
    assert "not an http or https address" in complained
