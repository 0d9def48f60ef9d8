"""A guard tells a Doorward elsewhere its tools: over real sockets, through outages and restarts, past bad answers."""

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from doorward.core.models import Resource
from doorward.core.tools import GROUPS
from doorward.manage import resources
from doorward.oauth.tools import KnownTool, ListedTool, latest_version
from doorward.resource.catalogue import FileStore, ToolCatalogue
from doorward.resource.issuer import Unreachable
from doorward.resource.remote_tools import MAX_ANSWER_SIZE, TOLD_SECONDS, RemoteTools
from tests.inside import RESOURCE, Door
from tests.inside import Clock as Milliseconds
from tests.resource.feed_world import real_door
from tests.resource.world import Clock, TinyIssuer, run_issuer
from tests.server.steps import project_key

TOOLS = "/api/oauth/tools"
LOOK = ListedTool("look", "Have a look", "read", "1")
BOOK = ListedTool("book", "Book it", "write", "1")
DROP = ListedTool("drop", "Drop everything", "destructive", "1")
MEMBERS = b'"name": "look", "title": "", "kind": "read", "digest": "1"'
NEVER = 2**53 - 1


@dataclass
class Guard:
    """The tools of one guard, with a clock of its own."""

    store: RemoteTools
    clock: Clock

    async def learn(self, *listed: ListedTool) -> dict[str, int]:
        """What is known after a list that is read a while after the last."""
        self.clock.now += TOLD_SECONDS
        return versions(await self.store.learn(listed, 7))


def versions(known: tuple[KnownTool, ...]) -> dict[str, int]:
    return {entry.tool.name: entry.since for entry in known if entry.is_listed}


def guard(issuer: str, key: str, **options: Any) -> Guard:
    clock = Clock()
    return Guard(RemoteTools(issuer=issuer, resource=RESOURCE, key=key, monotonic=clock, **options), clock)


async def open_resource(door: Door) -> str:
    """The URL of a Doorward whose resource has no tools."""
    await resources.change(door.operator, door.resource, scopes=GROUPS, default_scopes=("tools:read",))
    door.clock.advance(seconds=1)
    return door.context.settings.public_url


async def stored(door: Door) -> Resource:
    return await resources.get(door.operator, door.project, RESOURCE)


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with real_door(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
async def tiny() -> AsyncIterator[TinyIssuer]:
    async with run_issuer() as running:
        yield running


async def test_the_issuer_learns_the_tools_and_says_since_when_each_is_what_it_is(door: Door) -> None:
    one = guard(await open_resource(door), await project_key(door, "introspect"))
    assert await one.store.load() == ()
    first = door.clock()
    assert await one.learn(LOOK, BOOK) == {"look": first, "book": first}
    door.clock.advance(seconds=1)
    second = door.clock()
    assert await one.learn(LOOK, replace(BOOK, digest="2"), DROP) == {"look": first, "book": second, "drop": second}
    assert [tool.name for tool in (await stored(door)).tools] == ["look", "book", "drop"]
    assert (await stored(door)).tools_version == second
    assert await one.learn(LOOK) == {"look": first}


async def test_guards_of_one_server_agree_on_every_version(door: Door) -> None:
    url, key = await open_resource(door), await project_key(door, "introspect")
    one, other = guard(url, key), guard(url, key)
    first = await one.learn(LOOK)
    door.clock.advance(seconds=1)
    assert await other.learn(LOOK) == first
    second = await other.learn(LOOK, BOOK)
    assert await one.learn(LOOK, BOOK) == second


async def test_tools_with_scopes_of_their_own_stand_below_these(door: Door) -> None:
    one = guard(await open_resource(door), await project_key(door, "introspect"), scopes={"look": ["tools:write"]})
    await one.learn(LOOK, BOOK)
    assert [[tool.name for tool in scope.tools] for scope in (await stored(door)).scopes] == [[], ["look", "book"]]


async def test_what_the_issuer_knows_it_is_told_again_only_after_a_while(tiny: TinyIssuer) -> None:
    say(tiny, [known(LOOK, 5)])
    one = guard(tiny.url, "mrs_x")
    await one.learn(LOOK)
    for _ in range(5):
        assert versions(await one.store.learn((LOOK,), 7)) == {"look": 5}
    assert tiny.seen[TOOLS] == 1
    await one.store.learn((LOOK, BOOK), 7)
    assert tiny.seen[TOOLS] == 2
    await one.learn(LOOK, BOOK)
    assert tiny.seen[TOOLS] == 3


async def test_while_the_issuer_is_away_old_tools_stay_and_everything_else_is_closed(
    tiny: TinyIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    say(tiny, [known(LOOK, 5), known(BOOK, 9), known(DROP, 3, is_listed=False)])
    one = guard(tiny.url, "mrs_x")
    await one.learn(LOOK, BOOK)
    tiny.down = True
    with caplog.at_level(logging.WARNING, "doorward.resource"):
        away = await one.learn(LOOK, replace(BOOK, digest="2"), replace(DROP, digest="2"))
    assert away == {"look": 5, "book": NEVER, "drop": NEVER}
    assert "stay closed" in caplog.text
    assert "status 503" in caplog.text
    assert "mrs_x" not in caplog.text
    assert await one.learn(LOOK, BOOK) == {"look": 5, "book": 9}  # it is again what everybody was shown
    tiny.down = False
    say(tiny, [known(LOOK, 5), known(replace(BOOK, digest="2"), 11)])
    assert await one.learn(LOOK, replace(BOOK, digest="2")) == {"look": 5, "book": 11}


async def test_a_guard_that_told_nobody_yet_knows_nothing(tmp_path: Path, tiny: TinyIssuer) -> None:
    tiny.down = True
    one = guard(tiny.url, "mrs_x", file=tmp_path / "tools.json")
    with pytest.raises(Unreachable):
        await one.learn(LOOK)
    assert await one.store.load() == ()
    assert not (tmp_path / "tools.json").exists()


async def test_a_catalogue_is_not_read_before_the_issuer_was_told(tiny: TinyIssuer) -> None:
    async def lister() -> list[dict[str, Any]]:
        return [{"name": "look", "annotations": {"readOnlyHint": True}}]

    clock = Clock()
    store = RemoteTools(issuer=tiny.url, resource=RESOURCE, key="mrs_x")
    catalogue = ToolCatalogue(lister, store=store, clock=clock, monotonic=clock)
    tiny.down = True
    assert (await catalogue.refresh(), catalogue.is_read) == (False, False)
    clock.now += 1
    tiny.down = False
    say(tiny, [known(LOOK, 5)])
    assert (await catalogue.refresh(), catalogue.is_read, catalogue.version) == (True, True, 5)


async def test_a_restart_while_the_issuer_is_away_keeps_what_was_known(tmp_path: Path) -> None:
    file, clock = tmp_path / "tools.json", Milliseconds()
    async with real_door(tmp_path / "data", clock) as door:
        url, key = await open_resource(door), await project_key(door, "introspect")
        told = await guard(url, key, file=file).learn(LOOK, BOOK)
    one = guard(url, key, file=file)
    assert versions(await one.store.load()) == told
    assert await one.learn(LOOK, BOOK) == told
    assert await one.learn(LOOK, BOOK, DROP) == {**told, "drop": NEVER}
    assert await guard(url, key, file=file).store.load() == await one.store.load()
    clock.advance(seconds=1)
    async with real_door(tmp_path / "data", clock, int(url.rpartition(":")[2])):
        assert await one.learn(LOOK, BOOK, DROP) == {**told, "drop": clock()}
    assert versions(await guard(url, key, file=file).store.load()) == {**told, "drop": clock()}


async def test_a_guard_that_gets_a_key_takes_the_issuers_word_over_what_it_kept_alone(
    tmp_path: Path, door: Door
) -> None:
    file = tmp_path / "tools.json"
    assert versions(await FileStore(file).learn((LOOK,), 1)) == {"look": 0}
    one = guard(await open_resource(door), await project_key(door, "introspect"), file=file)
    assert versions(await one.store.load()) == {"look": 0}
    assert await one.learn(LOOK) == {"look": door.clock()}
    assert latest_version(await FileStore(file).load()) == door.clock()


async def test_a_file_that_is_no_list_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "tools.json").write_text("{}")
    one = guard("http://127.0.0.1:9", "mrs_x", file=tmp_path / "tools.json")
    with pytest.raises(ValueError, match="is not a list of tools"):
        await one.store.load()


async def test_a_refusal_says_what_to_look_at(door: Door) -> None:
    url, key = await open_resource(door), await project_key(door, "introspect")
    with pytest.raises(Unreachable, match="status 401; the key must be one"):
        await guard(url, await project_key(door, "register")).learn(LOOK)
    with pytest.raises(Unreachable, match="status 400; every scope"):
        await guard(url, key, scopes={"look": ["unheard:of"]}).learn(LOOK)
    await resources.remove(door.operator, door.resource)
    door.clock.advance(seconds=1)
    with pytest.raises(Unreachable, match="status 404; is the resource registered there"):
        await guard(url, key).learn(LOOK)


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {}, b""),
        (200, {}, b"[]"),
        (200, {}, b"{}"),
        (200, {}, b'{"tools": {}}'),
        (200, {}, b'{"tools": [{"name": "look"}]}'),
        (200, {}, b'{"tools": [{%s, "is_listed": true}]}' % MEMBERS),
        (200, {}, b'{"tools": [{%s, "since": -1, "is_listed": true}]}' % MEMBERS),
        (200, {}, b'{"tools": [{%s, "since": true, "is_listed": true}]}' % MEMBERS),
        (200, {}, b'{"tools": [{%s, "since": 0, "is_listed": 1}]}' % MEMBERS),
        (200, {}, b'{"tools": ' + b"[" * 100_000),
        (200, {}, b" " * (MAX_ANSWER_SIZE + 1)),
        (200, {"content-encoding": "gzip"}, b"{}"),
        (204, {}, b""),
        (302, {"location": "/elsewhere"}, b""),
        (404, {}, b"{}"),
    ],
)
async def test_an_answer_that_is_none_leaves_what_was_known(
    tmp_path: Path, tiny: TinyIssuer, status: int, headers: dict[str, str], body: bytes
) -> None:
    say(tiny, [known(LOOK, 5)])
    one = guard(tiny.url, "mrs_x", file=tmp_path / "tools.json")
    await one.learn(LOOK)
    before = (tmp_path / "tools.json").read_bytes()
    tiny.overrides[TOOLS] = (status, headers, body)
    assert await one.learn(LOOK, BOOK) == {"look": 5, "book": NEVER}
    assert (tmp_path / "tools.json").read_bytes() == before
    assert tiny.seen["/elsewhere"] == 0


async def test_a_client_that_is_given_is_used_for_every_list(tiny: TinyIssuer) -> None:
    say(tiny, [known(LOOK, 5)])
    async with httpx2.AsyncClient(headers={"x-mine": "1"}) as http:
        assert await guard(tiny.url, "mrs_x", http_client=http).learn(LOOK) == {"look": 5}


@pytest.mark.parametrize("issuer", ["http://auth.example.com", "auth.example.com", "https://auth.example.com?x=1"])
def test_an_address_that_can_be_no_issuers_is_refused_at_once(issuer: str) -> None:
    with pytest.raises(ValueError, match="issuer"):
        guard(issuer, "mrs_x")


def known(tool: ListedTool, since: int, *, is_listed: bool = True) -> dict[str, Any]:
    told = {"name": tool.name, "title": tool.title, "kind": tool.kind, "digest": tool.digest}
    return {**told, "since": since, "is_listed": is_listed}


def say(issuer: TinyIssuer, tools: list[dict[str, Any]]) -> None:
    """Let the issuer answer with these from now on, whatever it is told."""
    issuer.overrides[TOOLS] = (200, {"content-type": "application/json"}, json.dumps({"tools": tools}).encode())
