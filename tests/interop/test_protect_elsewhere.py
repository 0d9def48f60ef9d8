"""A door alone that tells its Doorward elsewhere of tools: what is added later is shown there, and opened by that."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.interop.clients import SDKConnection, call_with, connect_sdk
from tests.interop.consents import check_refused, list_names, reading, try_call
from tests.interop.conversation import NOTES, call
from tests.interop.upstreams.running import HTTP_SERVERS, Upstream, running
from tests.needs import find_free_port
from tests.person import answer_parameters
from tests.running import RunningDoorward, start_doorward, start_protect
from tests.server.steps import claims_of
from tests.waiting import until

ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])
LET_THROUGH = 400
"""What the server behind says to a bare call, which names no session."""


@dataclass
class Elsewhere:
    """A server that gets new tools while it runs, a door in front of it, and the door's issuer on its own."""

    folder: Path
    upstream: Upstream
    issuer: RunningDoorward
    port: int
    options: tuple[str, ...] = ()
    door: RunningDoorward | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def start(self) -> None:
        """Start the door, again if it ran before."""
        if self.door is not None:
            assert self.door.stop() == 0
        options = ("--issuer", self.issuer.issuer, *self.options)
        self.door = start_protect(self.folder / "door", self.upstream.url, *options, port=self.port, admin=False)

    def give_key(self) -> None:
        key = self.issuer.admin("key", "create", "--capability", "introspect")
        (self.folder / "key").write_text(f"{key['secret']}\n")
        self.options = ("--key-file", str(self.folder / "key"))

    async def put_tool(self, name: str) -> None:
        async with httpx2.AsyncClient() as http:
            told = {"reads": False, "description": ""}
            answer = await http.put(self.upstream.url.replace("/mcp", f"/tools/{name}"), json=told)
            assert name in answer.json()

    async def until_answered(self, sdk: SDKConnection, name: str, status: int) -> None:
        """Until a call of the tool, with the token there is, is answered so."""

        async def is_answered() -> bool:
            return (await try_call(self.url, sdk, name)).status_code == status

        await until(is_answered)

    def log(self) -> str:
        return (self.folder / "door.log").read_text()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Elsewhere]:
    with running(HTTP_SERVERS["MCP SDK 2 for Python"], tmp_path / "upstream.log") as upstream:
        issuer = start_doorward(tmp_path / "issuer")
        world = Elsewhere(tmp_path, upstream, issuer, find_free_port())
        issuer.admin("resource", "add", world.url, "--name", "Notes elsewhere")
        try:
            yield world
        finally:
            if world.door is not None:
                world.door.stop()
            world.issuer.stop()


def tools_at(token: str) -> int:
    return int(claims_of(token).get("tools_at", 0))


@ERAS
async def test_a_tool_that_was_added_is_shown_by_the_issuer_elsewhere_and_works_after_that(
    elsewhere: Elsewhere, mode: str
) -> None:
    elsewhere.give_key()
    elsewhere.start()
    async with reading() as browser, connect_sdk(elsewhere.url, browser, mode=mode) as sdk:
        assert browser.visits[0].startswith(f"{elsewhere.issuer.issuer}/oauth/authorize")
        assert browser.shown == NOTES
        assert "1" in await call(sdk.client, "add_note", text="milk")
        before = tools_at(sdk.tokens.access_token)
        await elsewhere.put_tool("erase_all")
        await elsewhere.until_answered(sdk, "erase_all", 403)
        await check_refused(sdk, elsewhere.url, "erase_all", {"tools:read", "tools:write", "tool:erase_all"})
        assert await list_names(elsewhere.url, sdk.tokens.access_token) == NOTES

        assert await call(sdk.client, "erase_all") == "erase_all has run"
        assert browser.shown == sorted([*NOTES, "erase_all"])
        assert "tool:erase_all" in answer_parameters(browser.visits[1])["scope"].split()
        assert await list_names(elsewhere.url, sdk.tokens.access_token) == sorted([*NOTES, "erase_all"])
        assert tools_at(sdk.tokens.access_token) > before > 0
        assert len(browser.visits) == 2
    shown = elsewhere.issuer.admin("resource", "show", elsewhere.url)
    assert [scope["name"] for scope in shown["scopes"]] == ["tools:read", "tools:write"]


async def test_old_tools_go_on_and_new_ones_stay_closed_while_the_issuer_cannot_be_told(elsewhere: Elsewhere) -> None:
    elsewhere.give_key()
    elsewhere.start()
    async with reading() as browser, connect_sdk(elsewhere.url, browser) as sdk:
        assert "1" in await call(sdk.client, "add_note", text="milk")
        (elsewhere.folder / "key").write_text("mrs_unheard-of")
        elsewhere.start()
        await elsewhere.put_tool("erase_all")
        assert "2" in await call(sdk.client, "add_note", text="bread")
        await elsewhere.until_answered(sdk, "erase_all", 403)
        assert "3" in await call(sdk.client, "add_note", text="salt")
        assert await list_names(elsewhere.url, sdk.tokens.access_token) == NOTES
        assert "the key must be one of that project which may introspect" in elsewhere.log()
        elsewhere.give_key()
        elsewhere.start()
        assert "4" in await call(sdk.client, "add_note", text="tea")
        assert len(browser.visits) == 1
        assert await call(sdk.client, "erase_all") == "erase_all has run"
        assert len(browser.visits) == 2


async def test_a_door_that_starts_while_its_issuer_is_down_asks_nobody_again_for_old_tools(
    elsewhere: Elsewhere,
) -> None:
    elsewhere.give_key()
    elsewhere.start()
    async with reading() as browser, connect_sdk(elsewhere.url, browser) as sdk:
        assert "1" in await call(sdk.client, "add_note", text="milk")
        assert elsewhere.issuer.stop() == 0
        elsewhere.start()
        unsure = await call_with(elsewhere.url, sdk.tokens.access_token)
        assert (unsure.status_code, "www-authenticate" in unsure.headers) == (503, False)  # it has no key set yet
        elsewhere.issuer = start_doorward(elsewhere.folder / "issuer", port=elsewhere.issuer.port)
        await elsewhere.until_answered(sdk, "list_notes", LET_THROUGH)
        assert "2" in await call(sdk.client, "add_note", text="bread")
        assert len(browser.visits) == 1


async def test_what_clients_meet_at_the_door_is_in_the_issuers_timeline(elsewhere: Elsewhere) -> None:
    elsewhere.give_key()
    elsewhere.start()
    async with reading() as browser, connect_sdk(elsewhere.url, browser) as sdk:
        assert "1" in await call(sdk.client, "add_note", text="milk")

        async def is_told() -> bool:
            stories = elsewhere.issuer.admin("timeline", "list")
            return any(story["verdict"] == "connected and calling" for story in stories)

        await until(is_told)


async def test_a_door_without_a_key_says_that_new_tools_stay_closed(elsewhere: Elsewhere) -> None:
    elsewhere.issuer.admin("resource", "set", elsewhere.url, "--scope", "tools:read", "--scope", "tools:write")
    elsewhere.start()
    assert "the issuer is not told of tools" in elsewhere.log()
    assert str(elsewhere.folder / "door" / "tools-mcp.json") in elsewhere.log()
    async with reading() as browser, connect_sdk(elsewhere.url, browser) as sdk:
        await elsewhere.put_tool("erase_all")
        await elsewhere.until_answered(sdk, "erase_all", 403)
        (elsewhere.folder / "door" / "tools-mcp.json").unlink()
        elsewhere.start()
        await elsewhere.until_answered(sdk, "erase_all", LET_THROUGH)
        assert await call(sdk.client, "erase_all") == "erase_all has run"
        assert len(browser.visits) == 1
