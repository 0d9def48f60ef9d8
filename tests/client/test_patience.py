"""When a session waits, asks again or lets go: for locks, clocks, short lives, and people who said no."""

import json
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl

import anyio
import httpx2
import pytest
from anyio import to_thread

from doorward.client.devices import NoInteraction
from doorward.client.errors import AccessDenied, LoginRequired
from doorward.client.records import dump_server, load_server
from doorward.client.storage import server_name
from doorward.client.stores import MemoryStore
from tests.client.world import LIFE, SERVER, Issuer, Person, World

BOUND = 5


async def test_a_token_that_is_still_good_is_used_while_somebody_else_holds_the_lock_rt_09() -> None:
    world = World()
    async with world.client() as http:
        await http.get("")
        unlock = world.store.try_lock(server_name(SERVER, "name:Test"))
        assert unlock is not None, "as a program that was suspended, or waits for its person, holds it"
        world.now += LIFE - 30
        with anyio.fail_after(BOUND):
            assert (await http.get("")).status_code == 200
        assert world.issuer.grants == ["authorization_code"]
        unlock()
        assert (await http.get("")).status_code == 200
    assert world.issuer.grants == ["authorization_code", "refresh_token"]


@pytest.mark.parametrize("life", [5, 59])
async def test_a_token_of_a_short_life_is_used_for_most_of_it_rt_09(life: int) -> None:
    world = World()
    give = world.issuer._give
    world.issuer._give = lambda scope: _with(give(scope), expires_in=life)  # type: ignore[method-assign]  # a switch
    async with world.client() as http:
        for _ in range(5):
            assert (await http.get("")).status_code == 200
        assert world.issuer.grants == ["authorization_code"]
        world.now += life * 0.9
        assert (await http.get("")).status_code == 200
    assert world.issuer.grants == ["authorization_code", "refresh_token"]


async def test_metadata_that_a_wrong_clock_read_in_the_future_is_read_again_rt_09() -> None:
    world = World()
    async with world.client() as http:
        await http.get("")
    name = server_name(SERVER, "name:Test")
    record = load_server(world.store.load(name) or {})
    old = {**record.server_metadata, "token_endpoint": f"{world.issuer.url}/moved"}
    in_years = world.now + 10 * 366 * 86400
    world.store.save(name, dump_server(replace(record, read_at=in_years, server_metadata=old)))
    world.now += LIFE - 5
    async with world.client() as http:
        assert (await http.get("")).status_code == 200
    assert world.issuer.grants == ["authorization_code", "refresh_token"]


class Refusing(Person):
    """Says no, as soon as everybody waits."""

    async def visit(self, url: str, *, state: str) -> str:
        self.world.visits += 1
        await anyio.wait_all_tasks_blocked()
        return str(httpx2.QueryParams({"error": "access_denied", "state": state, "iss": self.world.issuer.url}))


@pytest.mark.parametrize("count", [2, 9])
async def test_a_person_who_says_no_is_not_asked_again_for_every_request_that_waited(count: int) -> None:
    world = World()
    auth = world.auth(interaction=Refusing(world))
    refused: list[str] = []

    async def ask(http: httpx2.AsyncClient) -> None:
        with pytest.raises(AccessDenied, match="denied") as error:
            await http.get("")
        refused.append(error.value.code)

    async with world.client(auth) as http:
        async with anyio.create_task_group() as tasks:
            for _ in range(count):
                tasks.start_soon(ask, http)
        assert (world.visits, refused) == (1, ["access_denied"] * count)
        await ask(http)
    assert world.visits == 2, "who asks later asks anew"


async def test_a_person_who_wants_to_give_no_more_is_asked_once_for_all_that_waited_step_07() -> None:
    world = World()
    auth = world.auth()
    async with world.client(auth) as http:
        await http.get("")
        auth.session._driver._interaction = Refusing(world)
        world.needed = "read write"

        async def ask() -> None:
            with pytest.raises(AccessDenied):
                await http.get("")

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(ask)
    assert world.visits == 2


@dataclass
class Pushing(Issuer):
    """Takes authorization requests beforehand, and shows the page of each once."""

    pushed: dict[str, dict[str, str]] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        return {
            **super().document(),
            "pushed_authorization_request_endpoint": f"{self.url}/par",
            "require_pushed_authorization_requests": True,
        }

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/par":
            form = dict(parse_qsl(request.content.decode()))
            if form["client_id"] not in self.clients:
                return httpx2.Response(401, json={"error": "invalid_client"})
            name = f"urn:{len(self.pushed)}"
            self.pushed[name] = form
            return httpx2.Response(201, json={"request_uri": name, "expires_in": 60})
        if request.url.path == "/authorize":
            shown = self.pushed.pop(request.url.params["request_uri"], None)
            return httpx2.Response(200 if shown else 400, text="<html>")
        return super().answer(request)

    def consent(self, url: str) -> str:
        asked = self.pushed.pop(httpx2.URL(url).params["request_uri"])
        return super().consent(f"{self.url}/authorize?{httpx2.QueryParams(asked)}")


async def _restart(world: World) -> int:
    world.issuer.access_tokens.clear()
    world.issuer.refresh_tokens.clear()
    async with world.client() as http:
        return (await http.get("")).status_code


async def test_a_pushed_request_is_opened_by_the_person_alone_since_it_may_be_shown_once() -> None:
    world = World(issuer=Pushing())
    assert await _restart(world) == 200
    assert await _restart(world) == 200
    assert world.visits == 2


async def test_a_client_that_a_server_of_pushed_requests_forgot_registers_once_more_dcr_17() -> None:
    world = World(issuer=Pushing())
    assert await _restart(world) == 200
    world.issuer.clients.clear()
    await world.auth().session.login()
    assert (world.visits, len(world.issuer.clients)) == (2, 1)


async def test_what_another_program_kept_and_is_refused_is_refreshed_before_anybody_is_asked_rt_09_cli_07() -> None:
    world = World()
    async with world.client() as http, world.client() as other:
        assert (await http.get("")).status_code == 200
        world.issuer.access_tokens.clear()
        assert (await other.get("")).status_code == 200, "it refreshed"
        world.issuer.access_tokens.clear()  # as a server that was restarted has
        assert (await http.get("")).status_code == 200
    assert world.visits == 1
    assert world.issuer.grants == ["authorization_code", "refresh_token", "refresh_token"]


def _with(answer: httpx2.Response, **members: Any) -> httpx2.Response:
    return httpx2.Response(answer.status_code, json={**json.loads(answer.content), **members})


class _Reading(httpx2.AsyncBaseTransport):
    """Takes a body as it comes, as a connection does."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.bodies: list[bytes] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        self.bodies.append(b"".join([chunk async for chunk in request.stream]))
        return await self.world.handle(request)


async def test_a_body_that_comes_in_pieces_is_sent_again_whole_once_somebody_has_signed_in() -> None:
    world = World()
    transport = _Reading(world)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    async with httpx2.AsyncClient(auth=world.auth(), transport=transport) as http:
        assert (await http.post(SERVER, content=pieces())).status_code == 200
    assert transport.bodies == [b"one two", b"one two"]


class SlowStore(MemoryStore):
    """A store that reads a connection when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.may_read = threading.Event()
        self.may_read.set()
        self.reads = threading.Event()

    def load(self, name: str) -> dict[str, Any] | None:
        document = super().load(name)
        if name.startswith("connection "):
            self.reads.set()
            assert self.may_read.wait(BOUND)
        return document


async def test_while_one_task_reads_what_is_kept_the_others_are_signed_in_rt_09() -> None:
    store = SlowStore()
    world = World(store=store)
    auth = world.auth()
    async with world.client(auth) as http, anyio.create_task_group() as tasks:
        await http.get("")
        store.may_read.clear()
        store.reads.clear()
        tasks.start_soon(auth.session.login)
        assert await to_thread.run_sync(store.reads.wait, BOUND)
        asked = len(world.sent)
        try:
            assert (await http.get("")).status_code == 200
            assert len(world.sent) == asked + 1, "with its token, at once"
        finally:
            store.may_read.set()


async def test_who_reads_what_is_kept_last_does_not_undo_what_was_kept_meanwhile_rt_09() -> None:
    store = SlowStore()
    world = World(store=store)
    await world.auth().session.login()
    store.may_read.clear()
    store.reads.clear()
    auth = world.auth()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(auth.session.load)
        assert await to_thread.run_sync(store.reads.wait, BOUND)
        slow, store.may_read = store.may_read, threading.Event()
        store.may_read.set()
        tokens = await auth.session.login()
        slow.set()
    assert auth.session.held == tokens


@pytest.mark.parametrize("answers", [True, False])
async def test_signing_out_leaves_nothing_at_an_issuer_that_the_server_had_before(answers: bool) -> None:  # noqa: FBT001  # a case
    world = World()
    auth = world.auth()
    await auth.session.login()
    former, world.issuer = world.issuer, Issuer("https://other.example.org")
    world.others = {former.url: former} if answers else {}
    await auth.session.login()
    assert [len(issuer.refresh_tokens) for issuer in (former, world.issuer)] == [1, 1]
    assert await auth.session.logout() is answers
    assert (world.issuer.refresh_tokens, world.issuer.clients) == ({}, {})
    assert (len(former.refresh_tokens), len(former.clients)) == ((0, 0) if answers else (1, 1))
    assert [name for name in world.store.names() if name.startswith("connection ")] == []
    assert auth.session.server is not None
    assert auth.session.server.issuer == world.issuer.url


@pytest.mark.parametrize("status", [400, 401])
async def test_a_refusal_that_is_none_of_oauth_does_not_cost_the_grant_rt_09(status: int) -> None:
    world = World()
    async with world.client() as http:
        await http.get("")
    world.issuer.access_tokens.clear()
    world.issuer.token_error = (status, {"message": "blocked by the firewall of the hotel"})
    async with world.client(world.auth(interaction=NoInteraction())) as http:
        with pytest.raises(LoginRequired):
            await http.get("")
    world.issuer.token_error = None
    async with world.client() as http:
        assert (await http.get("")).status_code == 200
    assert world.visits == 1
