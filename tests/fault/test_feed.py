"""The revocation feed of a real server process: other processes' endings are seen, and nobody who waits holds it up.

Spec: product.md, feature 7, complaint 22; I2, I11; T43
"""

import asyncio
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from doorward.oauth.jwt import InvalidToken, parse_jwks
from doorward.oauth.revocations import RevocationDocument, read_revocations_kid, verify_revocations
from doorward.resource import JWKSKeys, JWTVerifier, RevocationFeed
from tests.fault.ground import RESOURCE, Ground, add_connections, find_steady_port, lay_ground, start_again
from tests.fault.history import read_json
from tests.fault.wire import Wire
from tests.running import ADMIN_EMAIL, RunningDoorward
from tests.waiting import until

FEED = "/api/oauth/revocations"
PATIENCE_SECONDS = 10


def command(ground: Ground, *words: str) -> None:
    """An operator's command, in a process of its own."""
    subprocess.run(
        [sys.executable, "-m", "doorward.cli", "admin", *words, "--data", str(ground.folder)],
        check=True,
        capture_output=True,
        timeout=60,
    )


async def read_document(server: RunningDoorward, body: bytes) -> RevocationDocument:
    async with Wire(server.port) as wire:
        keys = parse_jwks(read_json(await wire.request("GET", "/.well-known/jwks.json")))
    text = body.decode("ascii")
    return verify_revocations(text, keys[read_revocations_kid(text)], issuer=server.issuer)


async def first_cursor(server: RunningDoorward, wire: Wire) -> str:
    return (await read_document(server, (await wire.request("GET", FEED)).body)).cursor


async def refresh(wire: Wire, client_id: str, token: str) -> str:
    form = {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": token}
    return str(read_json(await wire.post_form("/api/oauth/token", form))["access_token"])


async def test_what_a_command_revokes_is_refused_by_a_server_that_verifies_offline_t43(tmp_path: Path) -> None:
    ground = await lay_ground(tmp_path / "data")
    _, (fresh,) = await add_connections(ground, codes=0, tokens=1)
    server = start_again(ground.folder, find_steady_port())
    async with Wire(server.port) as wire:
        token = await refresh(wire, fresh.client_id, fresh.token)
    async with RevocationFeed(issuer=server.issuer) as feed:
        verifier = JWTVerifier(issuer=server.issuer, resource=RESOURCE, keys=JWKSKeys(server.issuer), revocations=feed)

        async def is_accepted() -> bool:
            try:
                await verifier.verify(token)
            except InvalidToken:
                return False
            return True

        async def is_refused() -> bool:
            return not await is_accepted()

        assert await is_accepted()
        await asyncio.to_thread(command, ground, "resource", "stop", RESOURCE)
        await until(is_refused)
        await asyncio.to_thread(command, ground, "resource", "resume", RESOURCE)
        await until(is_accepted)
        await asyncio.to_thread(command, ground, "user", "revoke", ADMIN_EMAIL)
        await until(is_refused)


@pytest.mark.parametrize("followers", [1, 60])
async def test_a_server_that_is_stopped_answers_those_who_wait_and_ends_i11(tmp_path: Path, followers: int) -> None:
    ground = await lay_ground(tmp_path / "data")
    server = start_again(ground.folder, find_steady_port())
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(Wire(server.port)) for _ in range(followers)]
        cursor = await first_cursor(server, wires[0])
        for wire in wires:
            assert (await wire.request("GET", "/livez")).status == 200
        held = [asyncio.ensure_future(wire.request("GET", f"{FEED}?cursor={cursor}&wait=30")) for wire in wires]
        async with Wire(server.port) as other:  # a whole request that is answered after they were read
            assert (await other.request("GET", "/livez")).status == 200
            assert (await other.request("GET", "/readyz")).status == 200
        assert not any(task.done() for task in held)
        started = time.monotonic()
        assert await asyncio.to_thread(server.stop) == 0
        assert time.monotonic() - started < PATIENCE_SECONDS
        replies = await asyncio.gather(*held)
        assert [reply.status for reply in replies] == [200] * followers


async def test_a_follower_that_is_cut_off_costs_nothing_and_the_next_is_answered_i13(tmp_path: Path) -> None:
    ground = await lay_ground(tmp_path / "data")
    server = start_again(ground.folder, find_steady_port())
    async with Wire(server.port) as wire:
        cursor = await first_cursor(server, wire)
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(f"GET {FEED}?cursor={cursor}&wait=30 HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode())
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        held = asyncio.ensure_future(wire.request("GET", f"{FEED}?cursor={cursor}&wait=30"))
        await asyncio.to_thread(command, ground, "project", "revoke")
        document = await read_document(server, (await asyncio.wait_for(held, PATIENCE_SECONDS)).body)
        assert [entry.state for entry in document.entries] == ["void"]
        assert (await wire.request("GET", "/readyz")).status == 200
