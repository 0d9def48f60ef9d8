"""`doorward client …` against a real Doorward, with a browser that is a program: the whole job of a person."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from typer.testing import CliRunner, Result

from doorward.cli.commands import app
from doorward.client.auth import DoorwardAuth
from doorward.client.devices import NoInteraction
from doorward.client.stores import open_store
from tests.cli.browsing import as_a_person, write_browser
from tests.person import Person
from tests.running import RunningDoorward, start_doorward

PATIENCE_SECONDS = 90
ASK = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDoorward]:
    running = start_doorward(tmp_path_factory.mktemp("server") / "data", "--demo")
    running.admin("project", "set", "device_flow=true")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def signed_in(server: RunningDoorward, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of somebody who is signed in already, to look."""
    folder = tmp_path_factory.mktemp("signed-in")
    run(folder / "home", "login", server.demo, browser=write_browser(folder))
    return folder / "home"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def run(home: Path, *words: str, code: int = 0, browser: Path | None = None) -> Result:
    """`doorward client …` in this process."""
    result = CliRunner().invoke(app, ["client", *words], env=as_a_person(home, browser))
    assert result.exit_code == code, (words, result.output, result.stderr, result.exception)
    return result


def start(home: Path, *words: str, browser: Path | None = None, **streams: Any) -> subprocess.Popen[str]:
    """`doorward client …` in a process of its own."""
    command = [sys.executable, "-m", "doorward.cli", "client", *words]
    return subprocess.Popen(command, env=as_a_person(home, browser), text=True, **streams)


def read_until(process: subprocess.Popen[str], pattern: str) -> str:
    """The first group of the first line of standard error that matches."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(pattern, line):
            return found[1]
    raise AssertionError(f"it ended without {pattern}")


def test_a_person_adds_a_server_signs_in_looks_calls_and_signs_out_authz_18(
    server: RunningDoorward, home: Path, tmp_path: Path
) -> None:
    browser = write_browser(tmp_path)
    run(home, "add", "demo", server.demo)
    refused = run(home, "tools", "demo", code=1)
    assert refused.stderr.endswith("Sign in with: doorward client login demo\n")

    signed_in = run(home, "login", "demo", browser=browser)
    assert signed_in.stdout.startswith(f"You are signed in to demo by {server.issuer}. It may use: tools:read")
    assert f"{server.issuer}/oauth/authorize?" in signed_in.stderr
    held = json.loads(run(home, "status", "demo", "--json").stdout)
    assert (held["state"], held["issuer"], held["renews_itself"]) == ("signed in", server.issuer, True)

    assert "signed in  renews itself" in run(home, "status").stdout

    assert "weather_forecast  reads" in run(home, "tools", "demo").stdout
    listed = json.loads(run(home, "tools", server.demo, "--json").stdout)
    assert {"weather_forecast", "book_flight"} <= {tool["name"] for tool in listed}
    answer = run(home, "call", "demo", "weather_forecast", "city=Lisbon", "days=2")
    assert [json.loads(answer.stdout)["city"], answer.stderr] == ["Lisbon", ""]
    whole = json.loads(
        run(home, "call", "demo", "stock_quotes", "--arguments", '{"symbols": ["ACME"]}', "--json").stdout
    )
    assert whole["structuredContent"]["quotes"][0]["symbol"] == "ACME"

    token = run(home, "token", "demo").stdout.strip()
    assert run(home, "token", "demo", "--header").stdout == f"Authorization: Bearer {token}\n"
    assert ask(server, token) == 200

    assert run(home, "logout", "demo").stdout == "You are signed out of demo.\n"
    assert json.loads(run(home, "status", "demo", "--json").stdout)["state"] == "signed out"
    assert ask(server, token) == 401
    assert run(home, "token", "demo", code=1).stdout == ""


def ask(server: RunningDoorward, token: str) -> int:
    """What another program gets with a token that it was given."""
    headers = {"accept": "application/json, text/event-stream", "authorization": f"Bearer {token}"}
    return httpx2.post(server.demo, json=ASK, headers=headers, trust_env=False).status_code


def test_what_keeps_a_person_out_is_said_without_a_traceback(
    server: RunningDoorward, home: Path, tmp_path: Path
) -> None:
    denied = run(home, "login", server.demo, code=1, browser=write_browser(tmp_path, decision="deny"))
    assert f"doorward: Access was denied at {server.issuer}" in denied.stderr
    assert denied.stdout == ""
    assert "Nothing answers" in run(home, "tools", "http://127.0.0.1:1/mcp", code=1).stderr
    # What the SDK logs of a page that is no stream of events is nothing for a person.
    start_page = run(home, "tools", server.issuer, code=1).stderr
    assert start_page.startswith("doorward: The MCP server at ")
    assert start_page.endswith("Check the address: no MCP server seems to be there.\n")
    for words in (["call", "demo"], ["call", "demo", "x", "city"], ["call", "demo", "x", "a=1", "--arguments", "{}"]):
        assert "Usage: " in run(home, *words, code=2).stderr


def test_a_tool_that_fails_or_may_not_be_called_ends_with_1_and_a_terminal_is_asked_for_more(
    server: RunningDoorward, signed_in: Path, tmp_path: Path
) -> None:
    home, browser = signed_in, write_browser(tmp_path)
    failed = run(home, "call", server.demo, "weather_forecast", "city=Nowhere", code=1)
    assert (failed.stdout, "The sample data knows these cities" in failed.stderr) == ("", True)
    missing = run(home, "call", server.demo, "no_such_tool", code=1)
    assert (missing.stdout, "There are: weather_forecast, stock_quotes," in missing.stderr) == ("", True)
    assert "There are: weather_forecast" in run(home, "tools", server.demo, "no_such_tool", code=1).stderr
    assert "it needs city. It takes: city (string), days" in (
        run(home, "call", server.demo, "weather_forecast", code=2).stderr
    )
    assert "\n  city       string: Name of a city" in run(home, "tools", server.demo, "weather_forecast").stdout
    assert {len(line) for line in run(home, "tools", server.demo).stdout.splitlines()} & set(range(90, 200))
    assert "Usage: " in run(home, "call", server.demo, "weather_forecast", "city=Lisbon", "days=many", code=2).stderr

    booking = ["call", server.demo, "book_flight", "flight_number=DW101", "passenger_name=Ada", "--json"]
    alone = run(home, *booking, code=1)
    assert "asks for more than you allowed. Run this at a terminal" in alone.stderr
    said, code = at_a_terminal(home, *booking, browser=browser)
    assert "Your browser opens to sign in." in said
    assert code == 0, said
    scopes = json.loads(run(home, "status", server.demo, "--json").stdout)["scopes"]
    assert "tools:write" in scopes, (said, scopes)


def at_a_terminal(home: Path, *words: str, browser: Path | None = None) -> tuple[str, int]:
    """What a terminal shows of a command, and the code it ended with."""
    outside, inside = pty.openpty()
    process = start(home, *words, browser=browser, stdin=inside, stdout=inside, stderr=inside)
    os.close(inside)
    shown = b""
    while True:
        try:
            chunk = os.read(outside, 4096)
        except OSError:  # how Linux says that nobody is at the other end any more
            break
        if not chunk:
            break
        shown += chunk
    os.close(outside)
    return shown.decode(), process.wait(timeout=PATIENCE_SECONDS)


def test_a_token_is_not_shown_on_a_terminal_unless_it_is_asked_for(server: RunningDoorward, signed_in: Path) -> None:
    home = signed_in
    token = run(home, "token", server.demo).stdout.strip()
    # A program of the same person, without a name of its own, is signed in as well.
    session = DoorwardAuth(server.demo, store=open_store(home), interaction=NoInteraction()).session
    held = anyio.run(session.token)
    assert held is not None
    assert held.access_token == token
    said, code = at_a_terminal(home, "token", server.demo)
    assert (token in said, code) == (False, 1)
    assert "An access token is a secret" in said
    said, code = at_a_terminal(home, "token", server.demo, "--show")
    assert (token in said, code) == (True, 0)


def test_a_person_signs_in_by_pasting_what_a_browser_elsewhere_ends_at(server: RunningDoorward, home: Path) -> None:
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start(home, "login", server.demo, "--paste", **pipes) as process:
        url = read_until(process, r"^  (http\S+)$")

        async def consent() -> str:
            async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE_SECONDS) as http:
                return await Person(http).consent(url)

        answer = anyio.run(consent)
        assert process.stdin is not None
        process.stdin.write(f"{url}\n{answer}\n")
        process.stdin.flush()
        said, complaint = process.communicate(timeout=PATIENCE_SECONDS)
    assert "That is not the address that the browser ended at" in complaint
    assert said.startswith(f"You are signed in to {server.demo}")


def test_a_person_signs_in_on_another_device(server: RunningDoorward, home: Path) -> None:
    run(home, "add", "demo", server.demo, "--device", "--scope", "tools:read")
    with start(home, "login", "demo", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        url = read_until(process, r"Or open (http\S+) and compare")

        async def allow() -> str:
            async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE_SECONDS) as http:
                return (await Person(http).let_in_device(url)).text

        anyio.run(allow)
        said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    scopes = json.loads(said)["scopes"]
    assert ("tools:read" in scopes, "tools:write" in scopes) == (True, False)


def test_a_program_that_knows_standard_streams_alone_reaches_a_protected_server(
    server: RunningDoorward, signed_in: Path
) -> None:
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with start(signed_in, "bridge", server.demo, **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}}
        answers = []
        for message in (
            {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params},
            {"jsonrpc": "2.0", "method": "notifications/initialized"},
            ASK,
        ):
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
            if "id" in message:
                answers.append(json.loads(process.stdout.readline()))
        process.stdin.close()
        assert process.wait(timeout=PATIENCE_SECONDS) == 0
    assert answers[0]["result"]["serverInfo"]
    assert "weather_forecast" in {tool["name"] for tool in answers[1]["result"]["tools"]}
