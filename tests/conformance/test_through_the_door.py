"""The official suite's server scenarios, against an unmodified server directly and through `doorward protect`."""

import json
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2
import pytest

from tests.conformance.test_official_suite import ENVIRONMENT, SUITE, known_revisions, require_suite
from tests.conformance.token_adder import TokenAdder
from tests.interop.browsers import FormBrowser
from tests.interop.clients import connect_sdk
from tests.interop.upstreams.running import Upstream, running
from tests.person import Person
from tests.resource.world import bind, serve
from tests.running import RunningDoorward, start_protect

SAMPLE = Path(__file__).parent / "sample_server.py"
PATIENCE_SECONDS = 240
pytestmark = pytest.mark.conformance

Verdicts = dict[str, list[tuple[str, str]]]
"""The checks of each scenario with what came of them; notes of what went over the wire are none."""


@pytest.fixture(scope="module", autouse=True)
def _suite() -> None:
    require_suite()


@asynccontextmanager
async def with_tokens(door: RunningDoorward) -> AsyncIterator[str]:
    """An address at which the protected server is reached with the token of a person who consented."""
    async with httpx2.AsyncClient() as http, connect_sdk(door.url, FormBrowser(Person(http))) as sdk:
        token = sdk.tokens.access_token
    listener, origin = bind()
    with listener:
        async with serve(TokenAdder(door.issuer, token), listener, lifespan="off"):
            yield f"{origin}/mcp"


async def judge(url: str, revision: str, results: Path) -> Verdicts:
    """Run every server scenario of a revision."""
    command = [str(SUITE), "server", "--url", url, "--suite", "all", "--spec-version", revision]
    with anyio.fail_after(PATIENCE_SECONDS):
        done = await anyio.run_process(
            [*command, "--output-dir", str(results)], check=False, env=ENVIRONMENT, stderr=subprocess.STDOUT
        )
    assert done.returncode in {0, 1}, done.stdout.decode()  # 1 where a scenario failed
    found = {
        name[1]: json.loads((folder / "checks.json").read_text())
        for folder in results.iterdir()
        if (name := re.fullmatch(r"server-(.+)-\d{4}-\d{2}-\d{2}T[\d-]+Z", folder.name))
    }
    return {
        name: [(check["id"], check["status"]) for check in checks if check["status"] != "INFO"]
        for name, checks in found.items()
    }


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with running(SAMPLE, tmp_path_factory.mktemp("sample") / "log") as server:
        yield server


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[RunningDoorward]:
    door = start_protect(tmp_path_factory.mktemp("door") / "data", upstream.url)
    yield door
    assert door.stop() == 0


async def compare(upstream: Upstream, door: RunningDoorward, revision: str, folder: Path) -> list[str]:
    """The verdicts, once it is sure that they are the same with the door and without."""
    without = await judge(upstream.url, revision, folder / "without")
    async with with_tokens(door) as url:
        through = await judge(url, revision, folder / "through")
    assert through.keys() == without.keys()
    assert {name: checks for name, checks in through.items() if checks != without[name]} == {}
    return [status for checks in through.values() for _, status in checks]


@pytest.mark.parametrize(("revision", "passed"), [("2025-11-25", 60), ("2026-07-28", 110)])
async def test_the_server_scenarios_give_the_same_verdicts_through_the_door(
    upstream: Upstream, door: RunningDoorward, tmp_path: Path, revision: str, passed: int
) -> None:
    verdicts = await compare(upstream, door, revision, tmp_path)
    assert verdicts.count("SUCCESS") >= passed


@pytest.mark.long
async def test_so_do_those_of_every_older_revision(upstream: Upstream, door: RunningDoorward, tmp_path: Path) -> None:
    older = sorted(set(known_revisions()) - {"2025-11-25", "2026-07-28"})
    assert older
    for revision in older:
        assert "SUCCESS" in await compare(upstream, door, revision, tmp_path / revision)
