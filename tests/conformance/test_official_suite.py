"""The official MCP conformance suite against a running server: every authorization scenario of every revision it knows.

The suite uses public clients only as long as `none` is among the server's methods, so it never tries a secret.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from tests.needs import ROOT, find_free_port, require
from tests.person import Person
from tests.running import RunningDoorward, start_doorward

SUITE = ROOT / "tests" / "conformance" / "node_modules" / ".bin" / "conformance"
ENVIRONMENT = {
    **os.environ,
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    "NO_COLOR": "1",
}
"""With the Node that is installed beside Python before any older one of the machine."""
PATIENCE_SECONDS = 60
NODE_IN_USE = 22
SCENARIO = re.compile(r"^  - (\S+) \[([^\]]+)\]$", re.MULTILINE)
WAITING = re.compile(r"^(http://\S+/oauth/authorize\?\S+)$.*^Callback server started", re.MULTILINE | re.DOTALL)
pytestmark = pytest.mark.conformance


def require_suite() -> None:
    """Skip (in CI: fail) where the suite cannot run."""
    node = shutil.which("node", path=ENVIRONMENT["PATH"])
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout if node else "v0"
    recent = int(version.removeprefix("v").partition(".")[0]) >= NODE_IN_USE
    require("Node", available=recent, reason=f"the suite needs Node {NODE_IN_USE} or newer")
    require("the official conformance suite", available=SUITE.exists(), reason="run the tests with ./dev test")


@pytest.fixture(scope="module", autouse=True)
def _suite() -> None:
    require_suite()


@pytest.fixture(scope="module")
def doorward(tmp_path_factory: pytest.TempPathFactory, _suite: None) -> Iterator[RunningDoorward]:
    server = start_doorward(tmp_path_factory.mktemp("doorward") / "data", "--demo")
    yield server
    assert server.stop() == 0


async def test_every_authorization_scenario_of_every_revision_passes(doorward: RunningDoorward, tmp_path: Path) -> None:
    revisions = known_revisions()
    assert {"2025-11-25", "2026-07-28"} <= set(revisions)
    for revision in revisions:
        scenarios = scenarios_of(revision)
        assert {"authorization-server-metadata-endpoint", "authorization-code-grant"} <= scenarios
        results = await run_suite(doorward, revision, tmp_path / revision)
        assert results.keys() == scenarios
        verdicts = [(check["id"], check["status"]) for checks in results.values() for check in checks]
        assert [verdict for verdict in verdicts if verdict[1] != "SUCCESS"] == []
        assert len(verdicts) >= len(scenarios)


def known_revisions() -> list[str]:
    """The revisions that the package itself names when it is asked for one that does not exist."""
    complaint = run_list("--spec-version", "none").stderr
    named = re.search(r"Valid versions: (.+?) \(", complaint)
    assert named is not None, complaint
    return named[1].split(", ")


def scenarios_of(revision: str) -> set[str]:
    """The authorization scenarios that the package lists for a revision."""
    listed = SCENARIO.findall(run_list("--authorization", "--spec-version", revision).stdout)
    assert all(revision in revisions.split(",") for _, revisions in listed)
    return {name for name, _ in listed}


def run_list(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SUITE, "list", *options],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
        timeout=PATIENCE_SECONDS,
    )


async def run_suite(server: RunningDoorward, revision: str, results: Path) -> dict[str, list[dict[str, Any]]]:
    """The checks of every scenario, by its name; a person goes through the interactive one."""
    port = find_free_port()
    async with httpx2.AsyncClient() as http:
        client_id = await register(http, server, f"http://127.0.0.1:{port}/callback")
        command = [str(SUITE), "authorization", "--url", server.issuer, "--resource", server.demo]
        command += ["--client-id", client_id, "--port", str(port)]
        command += ["--spec-version", revision, "--output-dir", str(results)]
        with anyio.fail_after(PATIENCE_SECONDS):
            async with await anyio.open_process(
                command, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, env=ENVIRONMENT
            ) as process:
                said = await read_until(process, WAITING)
                callback = await Person(http).consent(said[1])
                assert (await http.get(callback)).text == "OK. You can close this page."
                rest = await read_rest(process)
                assert await process.wait() == 0, rest
    return {
        found[1]: json.loads((folder / "checks.json").read_text())
        for folder in results.iterdir()
        if (found := re.fullmatch(r"authorization-server-(.+)-\d{4}-\d{2}-\d{2}T[\d-]+Z", folder.name))
    }


async def register(http: httpx2.AsyncClient, server: RunningDoorward, redirect_uri: str) -> str:
    answer = await http.post(
        f"{server.issuer}/api/oauth/register",
        json={
            "redirect_uris": [redirect_uri],
            "client_name": "Conformance suite",
            "token_endpoint_auth_method": "none",
        },
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["client_id"])


async def read_until(process: Process, pattern: re.Pattern[str]) -> re.Match[str]:
    assert process.stdout is not None
    said = ""
    async for part in TextReceiveStream(process.stdout):
        said += part
        if found := pattern.search(said):
            return found
    raise AssertionError(said)


async def read_rest(process: Process) -> str:
    assert process.stdout is not None
    return "".join([part async for part in TextReceiveStream(process.stdout)])
