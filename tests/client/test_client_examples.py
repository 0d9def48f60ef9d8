"""The example and the snippet of the README are whole programs: they get in and say what they were told."""

import os
import re
import subprocess
import sys

from doorward.client import DoorwardAuth
from doorward.client.stores import open_store
from tests.client.people import Visitor
from tests.needs import ROOT
from tests.running import RunningDoorward

DEMO = "http://127.0.0.1:8400/demo/mcp"
AGENT = str(ROOT / "examples" / "agent.py")


async def sign_in(doorward: RunningDoorward, visitor: Visitor, **options: str) -> None:
    """As a person once did for a program of that name: what it keeps is where the program looks."""
    auth = DoorwardAuth(doorward.demo, store=open_store(), interaction=visitor.interaction, **options)  # type: ignore[arg-type]  # names alone
    await auth.session.login()


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **environment},
    )


async def test_the_agent_of_a_person_who_has_signed_in_uses_tools(doorward: RunningDoorward, visitor: Visitor) -> None:
    await sign_in(doorward, visitor, client_name="Example agent")
    done = run(AGENT, doorward.demo)
    assert done.returncode == 0, done.stderr
    assert "doorward-demo speaks MCP 2026-07-28 and has 4 tools." in done.stdout
    assert done.stdout.count(" °C") == 2


def test_the_agent_with_credentials_of_its_own_needs_no_person_and_says_when_they_are_wrong_cc_03(
    doorward: RunningDoorward,
) -> None:
    added = doorward.admin(
        "client", "add", "--grant", "client_credentials", "--name", "Nightly", "--scope", "tools:read"
    )
    done = run(AGENT, doorward.demo, CLIENT_ID=added["client_id"], CLIENT_SECRET=added["client_secret"])
    assert done.returncode == 0, done.stderr
    wrong = run(AGENT, doorward.demo, CLIENT_ID="nobody", CLIENT_SECRET="nothing")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith(("TokenRequestFailed: ", "IssuerChanged: "))
    assert wrong.stderr.count("\n") == 1


async def test_the_snippet_of_the_readme_runs(doorward: RunningDoorward, visitor: Visitor) -> None:
    await sign_in(doorward, visitor)
    (snippet,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert DEMO in snippet
    done = run("-c", snippet.replace(DEMO, doorward.demo))
    assert done.returncode == 0, done.stderr
    assert "Lisbon" in done.stdout
