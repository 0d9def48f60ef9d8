"""A server that is killed in the middle of everything: what it acknowledged is there, and nothing works twice."""

import random
from pathlib import Path
from typing import TypeVar

import pytest

from tests.fault.checker import Snapshot, find_broken_promises, find_halves
from tests.fault.ground import Ground, find_steady_port, lay_ground, start_again
from tests.fault.history import (
    Actor,
    Connection,
    History,
    Registered,
    accept_tokens,
    present_code,
    present_token,
    read_json,
    work_until,
)
from tests.fault.wire import Wire
from tests.running import RunningDoorward

ACTORS = 6
SAMPLE = 25
T = TypeVar("T")


async def introspect(wire: Wire, ground: Ground, token: str) -> bool:
    reply = await wire.post_form("/api/oauth/introspect", {"token": token}, {"authorization": f"Bearer {ground.key}"})
    assert reply.status == 200, reply
    return bool(read_json(reply)["active"])


async def check_client_is_known(wire: Wire, client: Registered) -> None:
    """A client that is there is told of its bad code; one that is not would be told that it is not known."""
    fields = {"grant_type": "authorization_code", "code": "mac_no", "code_verifier": "v" * 43}
    fields |= {"client_id": client.client_id, "client_secret": client.secret}
    reply = await wire.post_form("/api/oauth/token", fields)
    assert (reply.status, read_json(reply)["error"]) == (400, "invalid_grant"), client


async def check_lost_code(wire: Wire, connection: Connection, *, was_spent: bool) -> None:
    """A code whose answer was lost works once if it was not spent, and never if it was."""
    reply = await present_code(wire, connection)
    assert (reply.status == 200) != was_spent, (connection, reply)
    if reply.status == 200:
        accept_tokens(connection, reply)
        return
    assert read_json(reply)["error"] == "invalid_grant"
    connection.redeemed, connection.replayed = "yes", True


async def check_lost_refresh(wire: Wire, connection: Connection) -> None:
    """Asking again ends in the one successor, whether or not the lost request had rotated."""
    before = connection.generation
    reply = await present_token(wire, connection)
    assert reply.status == 200, (connection, reply)
    accept_tokens(connection, reply)
    assert connection.generation == before + 1
    connection.refreshes_lost = 0


async def check_lost_revocation(wire: Wire, connection: Connection) -> None:
    """Asking again is answered as the first time would have been, and then it holds."""
    fields = {"token": connection.refresh_token, "client_id": connection.client_id}
    reply = await wire.post_form("/api/oauth/revoke", fields)
    assert reply.status == 200, reply
    connection.revoked = "yes"


async def check_replay(wire: Wire, connection: Connection) -> None:
    """A spent code is refused, and with the right verifier it takes everything with it that it ever gave."""
    reply = await present_code(wire, connection)
    assert (reply.status, read_json(reply)["error"]) == (400, "invalid_grant"), connection
    connection.replayed = True


async def check_ended(wire: Wire, ground: Ground, connection: Connection) -> None:
    reply = await present_token(wire, connection)
    assert (reply.status, read_json(reply)["error"]) == (400, "invalid_grant"), connection
    assert not await introspect(wire, ground, connection.access_token), connection


async def check_behaviour(
    server: RunningDoorward, ground: Ground, history: History, chance: random.Random, sample: int = SAMPLE
) -> None:
    """Ask the server itself about what was in doubt, and about a sample of everything else."""
    rows = Snapshot(server.data)
    async with Wire(server.port, "127.0.1.200") as wire:
        for client in some(chance, history.registered, sample):
            await check_client_is_known(wire, client)
        for connection in [one for one in history.connections if one.redeemed == "lost"]:
            found = rows.code(connection)
            assert found is not None
            await check_lost_code(wire, connection, was_spent=found[1] is not None)
        for connection in [one for one in history.connections if one.is_live and one.refreshes_lost]:
            await check_lost_refresh(wire, connection)
        for connection in [one for one in history.connections if one.revoked == "lost"]:
            await check_lost_revocation(wire, connection)
        ended = [one for one in history.connections if one.refresh_token and (one.revoked == "yes" or one.replayed)]
        for connection in some(chance, ended, sample):
            await check_ended(wire, ground, connection)
        live = [one for one in history.connections if one.is_live]
        for connection in some(chance, live, sample):
            assert await introspect(wire, ground, connection.access_token), connection
        for connection in some(chance, live, 2):
            await check_replay(wire, connection)
            await check_ended(wire, ground, connection)


def some(chance: random.Random, everything: list[T], count: int) -> list[T]:
    return chance.sample(everything, min(count, len(everything)))


async def crash_again_and_again(folder: Path, *, kills: int, seed: int) -> History:
    """Load, kill, restart, check; at the end every code ever redeemed is presented once more."""
    chance = random.Random(seed)
    ground = await lay_ground(folder)
    history = History()
    server = start_again(folder, find_steady_port())
    actors = [Actor(n, server.port, ground, history, random.Random(chance.random())) for n in range(ACTORS)]
    try:
        for _ in range(kills):
            await work_until(actors, chance.randrange(20, 120), history, server.kill)
            server.stop()
            server = start_again(folder, server.port)
            rows = Snapshot(folder)
            assert find_halves(rows) == []
            assert find_broken_promises(rows, history) == []
            await check_behaviour(server, ground, history, chance)
        spent = [one for one in history.connections if one.redeemed == "yes" and not one.replayed]
        async with Wire(server.port) as wire:
            for connection in spent:
                await check_replay(wire, connection)
        assert find_halves(Snapshot(folder)) == []
    finally:
        for actor in actors:
            await actor.close()
        server.stop()
    return history


@pytest.mark.parametrize("seed", [1, 2])
async def test_what_was_acknowledged_survives_a_crash_and_nothing_works_twice_i1_i2_i12(
    tmp_path: Path, seed: int
) -> None:
    history = await crash_again_and_again(tmp_path / "data", kills=4, seed=seed)
    assert history.acknowledged >= 80
    assert history.lost


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 16))
async def test_a_hundred_crashes_lose_nothing_that_was_acknowledged(tmp_path: Path, seed: int) -> None:
    history = await crash_again_and_again(tmp_path / "data", kills=20, seed=seed)
    print(f"{history.acknowledged} acknowledged, {history.lost} lost, {len(history.connections)} connections")
    assert history.acknowledged >= 400
    assert history.lost >= 20
