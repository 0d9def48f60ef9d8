"""Published servers that talk on standard streams, behind `doorward protect -- command`."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import mcp
import pytest
from key_value.aio.stores.memory import MemoryStore
from mcp_types import ListRootsResult, Root

from tests.interop.browsers import FormBrowser
from tests.interop.clients import connect_fastmcp, connect_sdk
from tests.interop.conversation import Answering, call, talk_of_everything
from tests.interop.node.programs import run_app
from tests.interop.upstreams.running import HERE, everything, filesystem
from tests.person import Person
from tests.running import RunningDoorward, start_protect
from tests.waiting import until

BOB, BOBS_PASSWORD = "bob@example.com", "another harbour, at noon"
ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])


@asynccontextmanager
async def browsing(*credentials: str) -> AsyncIterator[FormBrowser]:
    """Of a person who has to sign in."""
    async with httpx2.AsyncClient() as http:
        yield FormBrowser(Person(http, *credentials))


def start_command(data: Path, command: tuple[str, ...], *options: str) -> RunningDoorward:
    return start_protect(data, *options, "--", *command)


@pytest.fixture(scope="module")
def all_of_it(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDoorward]:
    door = start_command(tmp_path_factory.mktemp("everything") / "data", everything())
    yield door
    assert door.stop() == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[RunningDoorward]:
    door = start_command(tmp_path_factory.mktemp("filesystem") / "data", filesystem(folder))
    yield door
    assert door.stop() == 0


@ERAS
async def test_the_reference_server_says_the_same_through_the_door_as_without_it(
    all_of_it: RunningDoorward, mode: str
) -> None:
    command, *arguments = everything()
    without, through = Answering(), Answering()
    served = mcp.StdioServerParameters(command=command, args=arguments)
    async with mcp.Client(served, mode=mode, **without.options) as client:
        said = await talk_of_everything(client)
    async with browsing() as browser, connect_sdk(all_of_it.url, browser, mode=mode, **through.options) as sdk:
        assert await talk_of_everything(sdk.client) == said
        assert len(browser.visits) == 1
        assert sdk.tokens.scope == "tools:read tools:write offline_access"
    assert (
        set(through.asked)
        == set(without.asked)
        == {
            "elicitation: Please provide inputs for the following fields:",
            "sampling: 7",
            "roots",
        }
    )


async def test_a_client_that_can_answer_nothing_is_listed_what_the_server_lists_it(all_of_it: RunningDoorward) -> None:
    command, *arguments = everything()
    async with mcp.Client(mcp.StdioServerParameters(command=command, args=arguments)) as client:
        listed = (await client.list_tools()).tools
    async with browsing() as browser, connect_sdk(all_of_it.url, browser) as sdk:
        assert (await sdk.client.list_tools()).tools == listed
    assert "trigger-sampling-request" not in {tool.name for tool in listed}


@pytest.mark.parametrize(("program", "mode"), [("sdk1.mjs", "legacy"), ("sdk2.mjs", "auto")])
async def test_the_typescript_sdk_uses_the_reference_server(
    all_of_it: RunningDoorward, program: str, mode: str
) -> None:
    async with browsing() as browser:
        step = ["call", "get-structured-content", {"location": "New York"}]
        told = await run_app(program, browser, all_of_it.url, ["tools"], step, mode=mode)
    assert told.error is None
    assert "echo" in told.results[1]
    assert told.results[2]["conditions"]


@ERAS
async def test_files_are_written_and_read_through_the_door(files: RunningDoorward, folder: Path, mode: str) -> None:
    path = folder / f"note-{mode}.txt"
    async with browsing() as browser, connect_sdk(files.url, browser, mode=mode) as sdk:
        await call(sdk.client, "write_file", path=str(path), content="milk\n\N{SNOWMAN}\n")
        assert path.read_text("utf-8") == "milk\n\N{SNOWMAN}\n"
        assert await call(sdk.client, "read_text_file", path=str(path)) == "milk\n\N{SNOWMAN}\n"
        assert path.name in await call(sdk.client, "list_directory", path=str(folder))
        assert "denied" in await call(sdk.client, "read_text_file", path="/etc/hostname")


async def test_fastmcps_client_writes_files_and_the_door_says_which_tools_delete(
    files: RunningDoorward, folder: Path
) -> None:
    async with browsing() as browser, connect_fastmcp(files.url, browser, store=MemoryStore()) as app:
        await call(app.client, "write_file", path=str(folder / "fast.txt"), content="bread")
        assert (folder / "fast.txt").read_text() == "bread"
    (resource,) = files.admin("resource", "list")
    shown = files.admin("resource", "show", resource["uri"])
    kinds = {tool["name"]: tool["kind"] for scope in shown["scopes"] for tool in scope["tools"]}
    assert {name for name, kind in kinds.items() if kind == "destructive"} == {"write_file", "edit_file", "move_file"}
    assert (kinds["create_directory"], kinds["read_text_file"]) == ("write", "read")


@pytest.fixture
def notebook() -> tuple[str, ...]:
    """A server that keeps notes in its memory."""
    return sys.executable, str(HERE / "sdk_server.py")


def add_bob(door: RunningDoorward) -> None:
    command = [sys.executable, "-m", "doorward.cli", "admin", "user", "add", BOB, "--password-file", "-"]
    subprocess.run(
        [*command, "--data", str(door.data)], input=f"{BOBS_PASSWORD}\n", text=True, check=True, capture_output=True
    )


@pytest.mark.parametrize("options", [(), ("--shared",)])
async def test_what_a_server_keeps_in_memory_for_one_person_another_never_sees_unless_it_is_shared(
    tmp_path: Path, notebook: tuple[str, ...], options: tuple[str, ...]
) -> None:
    door = start_command(tmp_path / "data", notebook, *options)
    try:
        add_bob(door)
        async with (
            browsing() as of_ada,
            browsing(BOB, BOBS_PASSWORD) as of_bob,
            connect_sdk(door.url, of_ada) as ada,
            connect_sdk(door.url, of_bob) as bob,
        ):
            await call(ada.client, "add_note", text="Ada's secret")
            assert ("Ada's secret" in await call(bob.client, "list_notes")) is bool(options)
            assert "Ada's secret" in await call(ada.client, "list_notes")
            resource = await bob.client.read_resource("notes://all")
            assert ("Ada's secret" in str(resource)) is bool(options)
    finally:
        assert door.stop() == 0


async def is_allowed(client: mcp.Client, folder: Path) -> bool:
    """Whether the server has asked the client for its roots by now: it does so by itself."""
    return str(folder) in await call(client, "list_allowed_directories")


async def test_the_server_of_files_keeps_to_the_roots_of_each_persons_client(
    files: RunningDoorward, tmp_path: Path
) -> None:
    add_bob(files)
    roots = {name: tmp_path / name for name in ("ada", "bob")}

    def rooted(name: str) -> dict[str, Any]:
        roots[name].mkdir()

        async def list_roots(_: Any) -> ListRootsResult:
            return ListRootsResult(roots=[Root(uri=roots[name].as_uri())])

        return {**Answering().options, "list_roots_callback": list_roots}

    async with (
        browsing() as of_ada,
        browsing(BOB, BOBS_PASSWORD) as of_bob,
        connect_sdk(files.url, of_ada, mode="legacy", **rooted("ada")) as ada,
        connect_sdk(files.url, of_bob, mode="legacy", **rooted("bob")) as bob,
    ):
        for sdk, mine, others in ((ada, "ada", "bob"), (bob, "bob", "ada")):
            await until(partial(is_allowed, sdk.client, roots[mine]))
            await call(sdk.client, "write_file", path=str(roots[mine] / "a.txt"), content=mine)
            said = await call(sdk.client, "write_file", path=str(roots[others] / "b.txt"), content=mine)
            assert "denied" in said
    assert [path.name for name in roots for path in roots[name].iterdir()] == ["a.txt", "a.txt"]
