"""`doorward protect`, as a process: what it refuses, what it announces and keeps to itself, how it ends."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.cli.doors import Start, children_of, let_in, refuses_more
from tests.interop.browsers import FormBrowser
from tests.interop.clients import call_with, connect_sdk
from tests.interop.conversation import call
from tests.interop.upstreams.running import HERE, HTTP_SERVERS, Upstream, running
from tests.needs import find_free_port
from tests.person import Person
from tests.waiting import until

NOWHERE = "http://127.0.0.1:9/mcp"
SECRET = "a-secret-of-the-server-behind"
NOTEBOOK = (sys.executable, str(HERE / "sdk_server.py"))


def run_protect(data: Path, *words: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A start that is expected to be refused."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOORWARD_")}
    command = [sys.executable, "-m", "doorward.cli", "protect", "--data", str(data)]
    if "--port" not in words:
        command += ["--port", str(find_free_port())]
    return subprocess.run(
        [*command, *words], capture_output=True, text=True, timeout=60, check=False, env={**kept, **(environ or {})}
    )


def refused(tmp_path: Path, *words: str, code: int, **given: Any) -> str:
    """What a start that is refused says: one line on standard error, and nothing was made."""
    done = run_protect(tmp_path / "data", *words, **given)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert done.stderr.startswith("doorward: ")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "data" / "doorward.db").exists()
    return done.stderr.removeprefix("doorward: ")


def test_what_to_protect_is_said_once(tmp_path: Path) -> None:
    assert "Give the URL of an MCP server" in refused(tmp_path, code=2)
    servers = tmp_path / "servers.toml"
    servers.write_text(f'[[server]]\nurl = "{NOWHERE}"\n')
    assert "either a server, or --servers" in refused(tmp_path, NOWHERE, "--servers", str(servers), code=2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["http://"], "whole http or https URL"),
        (["http://user:sesame@127.0.0.1/mcp"], "user"),
        (["http://127.0.0.1:9/mcp#part"], "fragment"),
        (["ftp://user:sesame@127.0.0.1/mcp"], "not at ftp://"),
        (["http://["], "not a valid one"),
        (["no-such-command-anywhere"], "no-such-command-anywhere"),
        ([NOWHERE, "--path", "mcp"], "'mcp'"),
        ([NOWHERE, "--path", "/mcp/"], "'/mcp/'"),
        ([NOWHERE, "--path", "/oauth"], "/oauth"),
        (["--env", "NOT_SET_ANYWHERE", "--", "cat"], "--env: NOT_SET_ANYWHERE is not set"),
        ([NOWHERE, "--headers-file", "{folder}/missing"], "missing"),
        ([NOWHERE, "--headers-file", "{folder}"], "directory"),
        ([NOWHERE, "--identity-key", "{folder}/missing/key"], "--identity-key: "),
        ([NOWHERE, "--servers", "{folder}/missing"], "either a server"),
        ([NOWHERE, "--public-url", "http://mcp.example.com"], "doorward: --public-url: must be https"),
        ([NOWHERE, "--host", "0.0.0.0"], "doorward: --public-url: must be https"),
        (
            [NOWHERE, "--host", "0.0.0.0", "--public-url", "http://localhost:8400"],
            "doorward: --host: a public address needs an https --public-url",
        ),
        ([NOWHERE, "--budget", "often"], "doorward: --budget: 'often' is no budget"),
        ([NOWHERE, "--public-url", "https://mcp.example.com/mcp"], "doorward: --public-url: must be a bare origin"),
        ([NOWHERE, "--issuer", "http://auth.example.com"], "issuer"),
    ],
    ids=str,
)
def test_what_cannot_be_right_is_refused_and_named(tmp_path: Path, words: list[str], said: str) -> None:
    given = [word.format(folder=tmp_path) for word in words]
    done = run_protect(tmp_path / "data", *given)
    assert (done.returncode in {2, 78}, done.stdout) == (True, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "sesame" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no [[server]]"),
        ("[[server]", "servers.toml: "),
        ("server = 1", "has no [[server]]"),
        ("server = [1]", "server 1"),
        ('[[server]]\nname = "Notes"', "server 1: give either url or command"),
        (f'[[server]]\nurl = "{NOWHERE}"\ncommand = "run"', "server 1: give either url or command"),
        (f'[[server]]\nurl = "{NOWHERE}"\ncolour = "red"', "server 1: colour: "),
        (f'[[server]]\nurl = "{NOWHERE}"\npath = 7', "server 1"),
        (f'[[server]]\nurl = "{NOWHERE}"\nheaders_file = 7', "server 1"),
        (f'[[server]]\nurl = "{NOWHERE}"\nenv = "PATH"', "server 1"),
        (f'[[server]]\nurl = "{NOWHERE}"\nshared = "no"', "server 1"),
        ("[[server]]\ncommand = [1]", "server 1"),
        ('[[server]]\ncommand = "an \'open quote"', "server 1"),
        (f'[[server]]\nurl = "{NOWHERE}"\n[[server]]\nurl = "{NOWHERE}"', "/mcp"),
        (f'[[server]]\nurl = "{NOWHERE}"\n[[server]]\nurl = "{NOWHERE}/more"', "/mcp"),
    ],
    ids=str,
)
def test_a_file_of_servers_that_is_wrong_is_refused_with_the_place(tmp_path: Path, text: str, said: str) -> None:
    servers = tmp_path / "servers.toml"
    servers.write_text(text)
    assert said in refused(tmp_path, "--servers", str(servers), code=78)


def servers_file(folder: Path, *lines: str) -> list[str]:
    """The option that names a file with one server in it."""
    file = folder / "servers.toml"
    file.write_text("\n".join(["[[server]]", *lines]))
    return ["--servers", str(file)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["localhost:3000/mcp"],
            "'localhost:3000/mcp' is neither a URL nor a command: did you mean http://localhost:3000/mcp?",
        ),
        (["localhost:3000"], "did you mean http://localhost:3000/mcp?"),
        (["localhost/notes"], "did you mean http://localhost/notes?"),
        (["mcp.example.com:8443/mcp"], "did you mean http://mcp.example.com:8443/mcp?"),
        (["[::1]:3000"], "did you mean http://[::1]:3000/mcp?"),
        (["3000"], "did you mean http://localhost:3000/mcp?"),
        ([NOWHERE, NOWHERE], "Give one URL, or one command; several servers are in a file: --servers."),
        ([NOWHERE, "--", "cat"], "Give one URL, or one command; several servers are in a file: --servers."),
        ([NOWHERE, "--shared"], "--shared is for a command."),
        ([NOWHERE, "--env", "HOME"], "--env is for a command."),
        (["--headers-file", "headers", "--", "cat"], "--headers-file is for a server at a URL."),
        (["--identity-key", "key", "--", "cat"], "--identity-key is for a server at a URL."),
        (
            ["--servers", "servers.toml", "--name", "Notes"],
            "--name is for one server; with --servers it is a key of the file.",
        ),
        (
            [NOWHERE, "--allow-origin", "example.com"],
            "--allow-origin takes an origin with its scheme, such as https://example.com",
        ),
        (
            ["--env", f"NOTES_KEY={SECRET}", "--", "cat"],
            "--env takes the name alone, NOTES_KEY; its value is that of the environment.",
        ),
    ],
    ids=str,
)
def test_what_is_meant_for_something_else_is_refused_and_not_ignored(
    tmp_path: Path, words: list[str], said: str
) -> None:
    told = refused(tmp_path, *words, code=2)
    assert told.strip().endswith(said)
    assert SECRET not in told


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([f'url = "{NOWHERE}"', 'budgets = "1/minute per user"'], 'budgets: is a list of texts, as in ["one", "two"]'),
        ([f'url = "{NOWHERE}"', 'budgets = ["often"]'], "budgets: 'often' is no budget"),
        ([f'url = "{NOWHERE}"', "shared = true"], "shared is for a command."),
        ([f'url = "{NOWHERE}"', 'headers_file = "missing"'], "{folder}/missing: No such file or directory"),
        ([f'url = "{NOWHERE}"', 'env = ["HOME"]'], "env is for a command."),
        (['command = "cat"', 'env = ["HOME=here"]'], "env takes the name alone, HOME; "),
        (['command = "cat"', 'headers_file = "headers"'], "headers_file is for a server at a URL."),
        (
            ['command = "no-such-command-anywhere -y x"'],
            "There is no command that can be run by the name of 'no-such-command-anywhere'.",
        ),
        (['url = "localhost:3000/mcp"'], "url: A server is at a whole URL: did you mean http://localhost:3000/mcp?"),
        ([f'url = "{NOWHERE}"', 'colour = "red"'], "colour: there is no such key"),
    ],
    ids=str,
)
def test_a_wrong_key_in_a_file_is_told_with_file_server_and_key(tmp_path: Path, lines: list[str], said: str) -> None:
    told = refused(tmp_path, *servers_file(tmp_path, *lines), code=78)
    assert told.startswith(f"{tmp_path}/servers.toml: server 1: {said.format(folder=tmp_path)}")


def test_a_port_that_is_taken_is_named_and_nothing_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(tmp_path, NOWHERE, "--port", str(port), code=78)
        assert said.startswith(f"--port: cannot listen on 127.0.0.1:{port}: ")
        assert said.endswith("; choose another with --port\n")
    assert not (tmp_path / "data").exists()


def test_a_list_of_tools_that_cannot_be_read_is_not_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / "tools-mcp.json").write_text("{}")
    done = run_protect(tmp_path / "data", NOWHERE, "--issuer", "https://auth.example.com")
    assert done.returncode != 0
    assert "ready" not in done.stdout
    assert "tools-mcp.json" in done.stderr


async def test_what_was_started_is_announced_and_the_folder_is_kept(tmp_path: Path, start: Start) -> None:
    first = start(NOWHERE, admin=False)
    link = first.announced.pop("setup_link")
    assert link.startswith(f"{first.issuer}/setup?token=mst_")
    assert first.announced == {
        "ready": first.url,
        "issuer": first.issuer,
        "is_local": True,
        "servers": {first.url: NOWHERE},
        "data": str(first.data),
    }
    before = first.admin("resource", "show", first.url)
    assert first.stop() == 0
    second = start(NOWHERE, port=first.port)
    assert second.admin("resource", "show", second.url) == before
    assert second.announced["setup_link"] is None


async def test_a_name_that_is_given_later_is_what_people_are_told(start: Start) -> None:
    first = start(NOWHERE, "--name", "Notes")
    assert first.admin("resource", "show", first.url)["name"] == "Notes"
    assert first.stop() == 0
    second = start(NOWHERE, "--name", "My notes", port=first.port)
    assert second.admin("resource", "show", second.url)["name"] == "My notes"
    assert second.stop() == 0
    third = start(NOWHERE, port=first.port)
    assert third.admin("resource", "show", third.url)["name"] == "My notes"


async def test_a_key_for_the_identity_header_is_made_once_and_kept(tmp_path: Path, start: Start) -> None:
    key = tmp_path / "identity.pem"
    published = []
    for _ in range(2):
        door = start(NOWHERE, "--identity-key", str(key))
        async with httpx2.AsyncClient(base_url=door.issuer) as http:
            published.append((await http.get("/.well-known/doorward-identity")).json())
        assert door.stop() == 0
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert published[0] == published[1]
    assert published[0]["keys"][0]["crv"] == "P-256"


async def test_a_server_that_is_down_at_the_start_leaves_the_door_up_and_says_so(start: Start) -> None:
    door = start(NOWHERE)
    async with httpx2.AsyncClient(base_url=door.issuer) as http:
        assert (await http.get("/livez")).status_code == 200
        assert (await http.get("/readyz")).status_code == 503
        assert (await http.get("/login")).status_code == 200
        token = await let_in(door)
        for method in ("initialize", "tools/list"):
            answer = await call_with(door.url, token, method)
            assert answer.status_code in {502, 503}
        called = await call_with(door.url, token, "tools/call", {"name": "add_note", "arguments": {}})
        assert (called.status_code, called.headers["retry-after"]) == (503, "2")
    log = door.data.with_suffix(".log").read_text()
    assert log.count("http://127.0.0.1:9 cannot be reached (Connection refused)") == 1
    problem = f"the tools of {NOWHERE} (The server behind this address cannot be reached now); none is open"
    assert log.count(problem) == log.count("Cannot read") == 1


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Upstream]:
    with running(HTTP_SERVERS["MCP SDK 2 for Python"], tmp_path / "upstream.log") as server:
        yield server


async def test_the_credential_of_the_server_reaches_it_and_nothing_else(
    tmp_path: Path, start: Start, upstream: Upstream
) -> None:
    headers = tmp_path / "headers"
    headers.write_text(f"# for the notes\nAuthorization: Bearer {SECRET}\n\nX-Team: notes\n")
    door = start(upstream.url, "--headers-file", str(headers), environment={"DOORWARD_LOG__LEVEL": "debug"})
    async with httpx2.AsyncClient() as http, connect_sdk(door.url, FormBrowser(Person(http))) as sdk:
        told = json.loads(await call(sdk.client, "headers"))
        assert (told["authorization"], told["x-team"]) == (f"Bearer {SECRET}", "notes")
    assert door.stop() == 0
    said = door.data.with_suffix(".log").read_text() + json.dumps(door.announced)
    assert SECRET not in said
    assert sdk.tokens.access_token not in said
    assert not [path for path in door.data.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


async def test_a_command_gets_the_variables_that_are_named_and_no_others(tmp_path: Path, start: Start) -> None:
    given = {"NOTES_KEY": SECRET, "OTHER_KEY": "of-somebody-else"}
    door = start("--env", "NOTES_KEY", "--", *NOTEBOOK, environment=given)
    await let_in(door)
    child = children_of(door.process.pid)[0]
    variables = dict(
        entry.partition("=")[::2] for entry in (Path("/proc") / str(child) / "environ").read_text().split("\0") if entry
    )
    assert variables["NOTES_KEY"] == SECRET
    assert "OTHER_KEY" not in variables
    assert not [name for name in variables if name.startswith("DOORWARD_")]
    for process in (child, door.process.pid):
        assert SECRET not in (Path("/proc") / str(process) / "cmdline").read_text()
    assert door.stop() == 0
    assert SECRET not in door.data.with_suffix(".log").read_text() + json.dumps(door.announced)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_end_of_the_door_is_the_end_of_its_commands(start: Start, number: signal.Signals) -> None:
    door = start("--", *NOTEBOOK)
    await let_in(door)
    children = children_of(door.process.pid)
    assert children
    door.process.send_signal(number)
    assert door.stop() == 0
    assert not [child for child in children if (Path("/proc") / str(child)).exists()]


async def test_a_call_in_flight_is_answered_before_the_door_ends(start: Start, upstream: Upstream) -> None:
    async with httpx2.AsyncClient(base_url=upstream.url.removesuffix("/mcp")) as behind:
        await behind.put("/tools/hold", json={"holds": True})
        door = start(upstream.url)

        async def is_held() -> bool:
            return bool((await behind.get("/held")).json() == 1)

        async with httpx2.AsyncClient() as http, connect_sdk(door.url, FormBrowser(Person(http))) as sdk:
            calling = asyncio.create_task(call(sdk.client, "hold"))
            await until(is_held)
            door.process.send_signal(signal.SIGTERM)
            await until(partial(refuses_more, door))
            assert door.process.poll() is None
            await behind.delete("/held")
            assert await calling == "hold has run"
            assert door.stop() == 0
