"""A refresh token that works once: what the server gave for it is kept, whatever becomes of who asked."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
import pytest

from doorward.client.errors import StoreUnavailable
from doorward.client.records import load_connection
from doorward.client.stores import MemoryStore
from tests.client.world import World

BOUND = 30


@dataclass
class SlowWorld(World):
    """A world whose token endpoint has worked and does not answer before it may."""

    worked: anyio.Event = field(default_factory=anyio.Event)
    may_answer: anyio.Event | None = None

    async def handle(self, request: httpx2.Request) -> httpx2.Response:
        answer = await super().handle(request)
        if request.url.path == "/token":
            self.worked.set()
            if self.may_answer is not None:
                await self.may_answer.wait()
        return answer

    def hold_answers(self) -> anyio.Event:
        self.worked, self.may_answer = anyio.Event(), anyio.Event()
        return self.may_answer


@asynccontextmanager
async def signed_in(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    """A client whose access token is not good any more."""
    async with world.client() as http:
        assert (await http.get("")).status_code == 200
        world.issuer.access_tokens.clear()
        yield http


def kept_refresh_tokens(store: MemoryStore) -> list[str]:
    documents = [store.load(name) for name in store.names() if name.startswith("connection ")]
    connections = [load_connection(document) for document in documents if document is not None]
    return [one.tokens.refresh_token for one in connections if one.tokens is not None and one.tokens.refresh_token]


async def _by_a_scope(world: SlowWorld, ask: Callable[[], Any]) -> None:
    may_answer = world.hold_answers()
    with anyio.fail_after(BOUND):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await world.worked.wait()
            tasks.cancel_scope.cancel()
            may_answer.set()


async def _by_the_loop(world: SlowWorld, ask: Callable[[], Any]) -> None:
    """As `asyncio.timeout`, `wait_for` and Ctrl+C do it, which know of no shields; twice, since some do."""
    may_answer = world.hold_answers()
    task = asyncio.ensure_future(ask())
    with anyio.fail_after(BOUND):
        await world.worked.wait()
        task.cancel()
        await anyio.wait_all_tasks_blocked()
        task.cancel()
        may_answer.set()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("cancel", [_by_a_scope, _by_the_loop])
async def test_who_is_cancelled_while_the_server_answers_a_refresh_loses_nothing_rt_09_cli_07(
    cancel: Callable[..., Any],
) -> None:
    world = SlowWorld()
    async with signed_in(world) as http:
        await cancel(world, lambda: http.get(""))
        assert kept_refresh_tokens(world.store) == list(world.issuer.refresh_tokens), "the one that is good is kept"
        assert (await http.get("")).status_code == 200
    async with world.client() as http:
        assert (await http.get("")).status_code == 200
    assert world.visits == 1, "nobody had to sign in again"


class FullStore(MemoryStore):
    """A disk on which there is no room for a while."""

    is_full = False

    def save(self, name: str, document: dict[str, Any]) -> None:
        if self.is_full and name.startswith("connection "):
            raise StoreUnavailable("The disk is full.")
        super().save(name, document)


async def test_what_a_full_disk_did_not_take_is_used_and_kept_later_rt_09() -> None:
    store = FullStore()
    world = World(store=store)
    async with signed_in(world) as http:
        store.is_full = True
        with pytest.raises(StoreUnavailable):
            await http.get("")
        assert (await http.get("")).status_code == 200, "the new token is there all the same"
        world.issuer.access_tokens.clear()
        with pytest.raises(StoreUnavailable):
            await http.get("")
        assert (await http.get("")).status_code == 200
        assert world.issuer.refresh_tokens, "no refresh token was sent a second time"
        store.is_full = False
        world.issuer.access_tokens.clear()
        assert (await http.get("")).status_code == 200
    assert kept_refresh_tokens(store) == list(world.issuer.refresh_tokens)
    assert world.visits == 1


async def test_what_somebody_else_kept_meanwhile_goes_before_what_could_not_be_kept_cli_07() -> None:
    store = FullStore()
    world = World(store=store)
    async with signed_in(world) as http, world.client() as other:
        store.is_full = True
        with pytest.raises(StoreUnavailable):
            await http.get("")
        store.is_full = False
        await other.auth.session.login()  # type: ignore[union-attr]  # a DoorwardAuth
        world.issuer.access_tokens.pop(http.auth.session.held.access_token)  # type: ignore[union-attr]  # as above
        assert (await http.get("")).status_code == 200
    assert world.visits == 2


@pytest.mark.parametrize("life", [10**400, -(10**400)], ids=["much", "less than nothing"])
async def test_a_life_that_no_number_can_hold_does_not_cost_the_tokens_rt_09(life: int) -> None:
    world = World()
    give = world.issuer._give
    world.issuer._give = lambda scope: _with(give(scope), expires_in=life)  # type: ignore[method-assign]  # a switch
    async with world.client() as http:
        assert (await http.get("")).status_code == 200
    assert world.visits == 1


def _with(answer: httpx2.Response, **members: Any) -> httpx2.Response:
    return httpx2.Response(answer.status_code, json={**answer.json(), **members})
