"""Programs that share one sign-in refresh it once, however many they are, and nobody is logged out by it.

Complaint 4: clients whose processes refresh side by side end the sign-in for all of them.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import httpx2
import pytest

from doorward.client.auth import DoorwardAuth
from doorward.client.devices import NoInteraction
from doorward.client.errors import LoginRequired
from doorward.client.interaction import Interaction
from doorward.client.pasting import PasteInteraction
from doorward.client.stores import FileStore
from tests.client.refresh_programs import ACCEPT, CALLERS, LIST_TOOLS, PATIENCE_SECONDS, Program
from tests.client.rotating import AgreeingPerson, Rotating, open_rotating
from tests.person import Person
from tests.running import RunningDoorward, start_doorward

LET_IN = [200] * CALLERS


@pytest.fixture
def rotating() -> Iterator[Rotating]:
    with open_rotating() as state:
        yield state


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept"


def agreeing() -> PasteInteraction:
    person = AgreeingPerson()
    return PasteInteraction(announce=person.announce, read=person.read)


async def call(url: str, folder: Path, interaction: Interaction | None = None) -> int:
    """One request of a program of this process, with what is kept in `folder`."""
    auth = DoorwardAuth(url, store=FileStore(folder), interaction=interaction or NoInteraction())
    async with httpx2.AsyncClient(auth=auth, timeout=PATIENCE_SECONDS) as http:
        return (await http.post(url, json=LIST_TOOLS, headers=ACCEPT)).status_code


def change_tokens(folder: Path, change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The kept tokens, after the change."""
    store = FileStore(folder)
    (name,) = [name for name in store.names() if name.startswith("connection ")]
    document = store.load(name)
    assert document is not None
    change(document["tokens"])
    store.save(name, document)
    return document["tokens"]


def let_run_out(folder: Path) -> dict[str, Any]:
    return change_tokens(folder, lambda tokens: tokens.update(expires_at=1.0))


def kept_tokens(folder: Path) -> dict[str, Any]:
    return change_tokens(folder, lambda _: None)


@pytest.fixture
async def signed_in(rotating: Rotating, folder: Path) -> Rotating:
    """The server, after somebody signed in and their access token ran out there."""
    assert await call(rotating.url, folder, agreeing()) == 200
    rotating.expire()
    rotating.calls = 0
    assert (rotating.logins, rotating.registrations, rotating.refreshes) == (1, 1, [])
    return rotating


Start = Callable[..., list[Program]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts programs that begin together; returns once all of their callers have begun."""
    started: list[Program] = []

    def start(url: str, folder: Path, *words: str) -> list[Program]:
        programs = [Program(word, url, folder) for word in words]
        started.extend(programs)
        for program in programs:
            program.expect("ready")
        for program in programs:
            program.go()
        for program, word in zip(programs, words, strict=True):
            for _ in range(1 if word == "die" else CALLERS):
                program.expect("asking")
        return programs

    yield start
    for program in started:
        program.close()


@pytest.mark.parametrize(("word", "knows"), [("threads", False), ("tasks", True)])
async def test_two_processes_of_eight_callers_refresh_once_and_all_get_in_cli_07_rt_09(
    signed_in: Rotating, start: Start, folder: Path, word: str, *, knows: bool
) -> None:
    if knows:
        let_run_out(folder)
    programs = start(signed_in.url, folder, word, word)
    assert [program.outcomes() for program in programs] == [LET_IN, LET_IN]
    assert (signed_in.refreshes, signed_in.logins, signed_in.registrations) == (["rotated"], 1, 1)
    assert signed_in.calls == 2 * CALLERS
    assert kept_tokens(folder)["refresh_token"] == "rt-0-1"


async def test_while_the_server_is_slow_to_answer_nobody_else_asks_it_and_all_get_in_cli_07(
    signed_in: Rotating, start: Start, folder: Path
) -> None:
    let_run_out(folder)
    signed_in.gate.clear()
    programs = start(signed_in.url, folder, "threads", "threads")
    assert signed_in.asked.wait(PATIENCE_SECONDS)
    assert signed_in.refreshes == ["rotated"]
    assert signed_in.calls == 0
    signed_in.gate.set()
    assert [program.outcomes() for program in programs] == [LET_IN, LET_IN]
    assert (signed_in.refreshes, signed_in.logins) == (["rotated"], 1)


async def test_a_program_that_is_killed_while_it_refreshes_lets_the_next_one_in_by_one_login_cli_07(
    signed_in: Rotating, start: Start, folder: Path
) -> None:
    """A strict server takes the token of the lost answer for stolen when it comes back; so does the specification."""
    let_run_out(folder)
    (program,) = start(signed_in.url, folder, "die")
    assert program.is_killed()
    assert signed_in.refreshes == ["rotated"]
    assert kept_tokens(folder)["refresh_token"] == "rt-0-0"
    with pytest.raises(LoginRequired):
        await call(signed_in.url, folder)
    assert signed_in.refreshes == ["rotated", "reused"]
    assert await call(signed_in.url, folder, agreeing()) == 200
    assert (signed_in.refreshes, signed_in.logins) == (["rotated", "reused"], 2), "the dead token was tried again"
    assert kept_tokens(folder)["refresh_token"] == "rt-1-0"


async def test_a_program_that_is_killed_while_the_server_works_leaves_no_lock_behind_cli_07(
    signed_in: Rotating, start: Start, folder: Path
) -> None:
    let_run_out(folder)
    signed_in.gate.clear()
    (program,) = start(signed_in.url, folder, "threads")
    assert signed_in.asked.wait(PATIENCE_SECONDS)
    program.close()
    signed_in.gate.set()
    assert await call(signed_in.url, folder, agreeing()) == 200


@pytest.fixture(scope="module")
def doorward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDoorward]:
    server = start_doorward(tmp_path_factory.mktemp("race") / "data", "--demo")
    yield server
    assert server.stop() == 0


@pytest.fixture
async def browser() -> AsyncIterator[PasteInteraction]:
    """Somebody who signs in and allows."""
    async with httpx2.AsyncClient() as http:
        printed: list[str] = []

        async def read() -> str:
            (url,) = [word for text in printed for word in text.split() if "/authorize?" in word]
            return await Person(http).consent(url)

        yield PasteInteraction(announce=printed.append, read=read)


def happened(doorward: RunningDoorward) -> list[tuple[str, bool | None]]:
    """What the server recorded of tokens since somebody last signed in, oldest first: (action, was it a repetition)."""
    events = doorward.admin("audit", "list")
    since = takewhile(lambda event: event["action"] != "token.code_redeemed", events)
    return [(event["action"], event["detail"].get("repeated")) for event in reversed(list(since))]


async def test_at_a_strict_doorward_two_processes_of_eight_threads_refresh_once_cli_07_rt_09(
    doorward: RunningDoorward, start: Start, browser: PasteInteraction, folder: Path
) -> None:
    doorward.admin("project", "set", "public_refresh_policy=strict")
    assert await call(doorward.demo, folder, browser) == 200
    former = let_run_out(folder)
    programs = start(doorward.demo, folder, "threads", "threads")
    assert [program.outcomes() for program in programs] == [LET_IN, LET_IN]
    assert happened(doorward) == [("token.refreshed", False)]
    fresh = kept_tokens(folder)
    assert fresh["refresh_token"] != former["refresh_token"]
    assert await call(doorward.demo, folder) == 200


async def test_at_a_doorward_a_killed_refresh_is_repeated_and_nobody_has_to_sign_in_cli_07(
    doorward: RunningDoorward, start: Start, browser: PasteInteraction, folder: Path
) -> None:
    doorward.admin("project", "set", "public_refresh_policy=until_used")
    assert await call(doorward.demo, folder, browser) == 200
    former = let_run_out(folder)
    (program,) = start(doorward.demo, folder, "die")
    assert program.is_killed()
    assert kept_tokens(folder) == former
    assert await call(doorward.demo, folder) == 200
    assert happened(doorward) == [("token.refreshed", False), ("token.refreshed", True)]
    assert kept_tokens(folder)["refresh_token"] != former["refresh_token"]
