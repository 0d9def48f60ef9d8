"""A server that verifies offline and follows the feed refuses what was revoked, and nothing else.

Spec: product.md, feature 7, complaint 22; RS-03; I2, I3, I11, I13; T43, T52
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from doorward.manage import admission, clients, resources, revocations, signing_keys, users
from doorward.oauth.revocations import MAX_ENTRIES
from doorward.storage.database import Transaction
from doorward.storage.revocations import announce, find_newest_revocation
from tests.inside import Clock, Door
from tests.needs import find_free_port
from tests.resource.feed_world import Offline, offline, real_door
from tests.running import ADMIN_EMAIL
from tests.server.exchanges import SECOND, THIRD, lay_out
from tests.server.steps import REVOKE, is_active, success
from tests.server.test_exchanged_endings import ENDINGS, Chain, disable_person, make_chain
from tests.waiting import until


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with real_door(tmp_path / "data") as opened:
        yield opened


async def until_caught_up(door: Door, *followers: Offline) -> None:
    """Wait until they stand where the database stands."""
    newest = await door.operator.database.read(find_newest_revocation, door.project.project_id)

    async def stand_there() -> bool:
        return all(follower.feed._cursor.partition(".")[0] == str(newest) for follower in followers)

    await until(stand_there)


async def revoke(door: Door, client_id: str, token: str) -> None:
    success(await door.post_form(REVOKE, {"client_id": client_id, "token": token}))


async def revoke_person(chain: Chain) -> None:
    door = chain.field.door
    await revocations.revoke_user(door.operator, await users.get(door.operator, door.project, ADMIN_EMAIL))


async def withdraw_keys(chain: Chain) -> None:
    await signing_keys.replace_at_once(chain.field.door.operator, chain.field.door.project)
    chain.field.door.clock.advance(seconds=1)  # the server itself reads its keys once a second


MORE_ENDINGS: dict[str, Callable[[Chain], Awaitable[Any]]] = {
    "the person is disabled": disable_person,
    "everything of the person is revoked": revoke_person,
    "everything for the first server is revoked": lambda c: revocations.revoke_resource(
        c.field.door.operator, c.field.door.resource
    ),
    "everything for the last server is revoked": lambda c: revocations.revoke_resource(
        c.field.door.operator, c.field.servers[THIRD]
    ),
    "everything of the project is revoked": lambda c: revocations.revoke_project(
        c.field.door.operator, c.field.door.project
    ),
    "the first server is stopped": lambda c: revocations.stop_server(c.field.door.operator, c.field.door.resource),
    "the project is stopped": lambda c: revocations.stop_everything(c.field.door.operator, c.field.door.project),
    "the signing keys are withdrawn": withdraw_keys,
    "nothing ends": lambda _: asyncio.sleep(0),
}
ALL_ENDINGS = {**{name: act for name, (act, _) in ENDINGS.items()}, **MORE_ENDINGS}


@pytest.mark.parametrize("ending", ALL_ENDINGS)
async def test_offline_verification_says_what_introspection_says_whatever_ended_t43(door: Door, ending: str) -> None:
    # A person's token, exchanged for two more servers, and a twin of the last that came another way.
    chain = await make_chain(await lay_out(door))
    tokens = [*chain.tokens, chain.twin]
    uris = [door.resource.uri, SECOND, THIRD, THIRD]
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(offline(door, uri)) for uri in uris]
        for server, token in zip(servers, tokens, strict=True):
            assert await server.accepts(token)
        await ALL_ENDINGS[ending](chain)
        await until_caught_up(door, *servers)
        told = [await is_active(door, token) for token in tokens]
        assert [await server.accepts(token) for server, token in zip(servers, tokens, strict=True)] == told
        assert all(told) is (ending == "nothing ends")


HOLDS: dict[str, tuple[Callable[[Door, str], Awaitable[Any]], Callable[[Door, str], Awaitable[Any]]]] = {
    "client": (
        lambda door, client_id: _on_client(door, client_id, admission.suspend),
        lambda door, client_id: _on_client(door, client_id, admission.reactivate),
    ),
    "user": (lambda door, _: _enable(door, enabled=False), lambda door, _: _enable(door, enabled=True)),
    "resource": (
        lambda door, _: revocations.stop_server(door.operator, door.resource),
        lambda door, _: revocations.resume_server(door.operator, door.resource),
    ),
    "project": (
        lambda door, _: revocations.stop_everything(door.operator, door.project),
        lambda door, _: revocations.resume_everything(door.operator, door.project),
    ),
}


async def _on_client(door: Door, client_id: str, act: Callable[..., Awaitable[None]]) -> None:
    await act(door.operator, await clients.get(door.operator, door.project, client_id))


async def _enable(door: Door, *, enabled: bool) -> None:
    user = await users.get(door.operator, door.project, ADMIN_EMAIL)
    await users.change(door.operator, user, enabled=enabled)


@pytest.mark.parametrize("what", HOLDS)
async def test_what_is_held_is_refused_until_it_is_free_again(door: Door, what: str) -> None:
    client_id, tokens = await door.tokens()
    hold, free = HOLDS[what]
    async with offline(door) as server:
        for _ in range(2):
            assert await server.accepts(tokens["access_token"])
            await hold(door, client_id)
            await server.until_refused(tokens["access_token"])
            await free(door, client_id)
            await server.until_accepted(tokens["access_token"])


async def test_everything_so_far_ends_and_tokens_of_a_later_second_are_good(door: Door) -> None:
    _, before = await door.tokens()
    async with offline(door) as server:
        door.clock.advance(seconds=0.9)
        await revocations.revoke_project(door.operator, door.project)
        await server.until_refused(before["access_token"])
        door.clock.advance(seconds=0.05)
        _, same_second = await door.tokens()
        assert await server.refuses(same_second["access_token"])
        door.clock.advance(seconds=0.05)
        _, later = await door.tokens()
        assert await server.accepts(later["access_token"])


async def test_a_server_that_is_removed_and_added_again_is_not_held(door: Door) -> None:
    async with offline(door) as server:
        await revocations.stop_server(door.operator, door.resource)
        await resources.remove(door.operator, door.resource)
        door.clock.advance(seconds=1)
        await resources.add(door.operator, door.project, door.resource.uri, scopes=door.resource.scopes)
        door.clock.advance(seconds=1)
        _, tokens = await door.tokens()
        await until_caught_up(door, server)
        assert await server.accepts(tokens["access_token"])


async def test_a_server_that_starts_later_learns_what_was_revoked_before_its_first_answer_i2(door: Door) -> None:
    client_id, tokens = await door.tokens()
    await revoke(door, client_id, tokens["refresh_token"])
    async with offline(door) as server:  # its first token waits for the first document
        assert await server.refuses(tokens["access_token"])


async def test_a_list_of_several_pages_is_read_whole(door: Door) -> None:
    client_id, tokens = await door.tokens()

    async def announce_many(tx: Transaction) -> None:
        for number in range(2 * MAX_ENTRIES):
            await announce(tx, door.project.project_id, "jti", f"mat_{number}", "void", door.clock(), door.clock())

    await door.operator.database.write(announce_many)
    await revoke(door, client_id, tokens["access_token"])
    async with offline(door) as server:
        await server.until_refused(tokens["access_token"])
        assert len(server.feed._endings) == 2 * MAX_ENTRIES + 1


async def test_endings_are_forgotten_when_no_token_can_be_left_i13(door: Door) -> None:
    client_id, tokens = await door.tokens()
    await revoke(door, client_id, tokens["access_token"])
    async with offline(door) as server:
        await server.until_refused(tokens["access_token"])
        door.clock.advance(seconds=3721)
        client_id, tokens = await door.tokens()
        await revoke(door, client_id, tokens["access_token"])
        await server.until_refused(tokens["access_token"])
        assert len(server.feed._endings) == 1


async def test_a_restart_of_the_issuer_loses_nothing_and_is_followed_again_i2(tmp_path: Path) -> None:
    port, clock = find_free_port(), Clock()
    async with AsyncExitStack() as stack:
        async with real_door(tmp_path / "data", clock, port) as door:
            client_id, tokens = await door.tokens()
            _, other = await door.tokens()
            server = await stack.enter_async_context(offline(door))
            await revoke(door, client_id, tokens["access_token"])
            await server.until_refused(tokens["access_token"])
            assert await server.accepts(other["access_token"])
        async with real_door(tmp_path / "data", clock, port) as door:
            assert await server.refuses(tokens["access_token"])
            await revocations.revoke_project(door.operator, door.project)
            await server.until_refused(other["access_token"])


async def test_a_backup_that_is_put_back_brings_nothing_back_that_was_revoked_i3(tmp_path: Path) -> None:
    port, clock, folder = find_free_port(), Clock(), tmp_path / "data"
    async with AsyncExitStack() as stack:
        async with real_door(folder, clock, port) as door:
            client_id, tokens = await door.tokens()
            suspended_id, held = await door.tokens()
            await revoke(door, client_id, "mrt_nothing")
            await announce_something(door)
        shutil.copytree(folder, tmp_path / "backup")
        async with real_door(folder, clock, port) as door:
            server = await stack.enter_async_context(offline(door))
            await revoke(door, client_id, tokens["refresh_token"])
            await _on_client(door, suspended_id, admission.suspend)
            for refused in (tokens, held):
                await server.until_refused(refused["access_token"])
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "backup", folder)
        async with real_door(folder, clock, port) as door:
            assert await is_active(door, tokens["access_token"])  # the database has forgotten
            for _ in range(3):  # and reaches the same numbers again, with other marks
                await announce_something(door)
            await until_caught_up(door, server)
            for refused in (tokens, held):
                assert await server.refuses(refused["access_token"])
            _, later = await door.tokens()
            assert await server.accepts(later["access_token"])


async def announce_something(door: Door) -> None:
    now = door.clock()
    await door.operator.database.write(announce, door.project.project_id, "jti", "mat_other", "void", now, now)
