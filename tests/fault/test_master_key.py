"""Another master key while the server runs: no request fails, and a crash anywhere leaves a folder that opens.

Spec: AT-06, I2, I14, T49
"""

import asyncio
import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.fault.ground import FreshToken, Ground, add_connections, find_steady_port, lay_ground, start_again
from tests.fault.wire import Wire
from tests.needs import ROOT

JWKS = "/.well-known/jwks.json"


def test_a_rotation_that_is_killed_at_any_line_leaves_a_folder_that_opens_and_can_be_rotated_i2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fault.killing", str(tmp_path)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)
    assert finished.returncode == 0, finished.stderr[-3000:]
    states = json.loads(finished.stdout)
    assert states.keys() == {
        "old in the file, old in the database",
        "new+old in the file, old in the database",
        "new+old in the file, new in the database",
        "new in the file, new in the database",
    }
    print(states)


async def admin(ground: Ground, *words: str) -> Any:
    """An operator's command beside the running server; what it prints for machines."""
    command = [sys.executable, "-m", "doorward.cli", "admin", *words, "--data", str(ground.folder), "--json"]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    async with asyncio.timeout(60):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors
    return json.loads(output)


class Caller:
    """A client that refreshes without a pause, and a server that asks about each of its tokens."""

    def __init__(self, port: int, ground: Ground, token: FreshToken) -> None:
        self.port = port
        self.key = {"authorization": f"Bearer {ground.key}"}
        self.client_id = token.client_id
        self.refresh_token = token.token
        self.calls = 0

    async def run(self) -> None:
        async with Wire(self.port) as wire:
            while True:
                await self.call(wire)

    async def call(self, wire: Wire) -> None:
        form = {"grant_type": "refresh_token", "client_id": self.client_id, "refresh_token": self.refresh_token}
        answer = await wire.post_form("/api/oauth/token", form)
        assert answer.status == 200, answer.body
        tokens = json.loads(answer.body)
        self.refresh_token = tokens["refresh_token"]
        answer = await wire.post_form("/api/oauth/introspect", {"token": tokens["access_token"]}, self.key)
        assert json.loads(answer.body)["active"] is True, answer.body
        self.calls += 2


async def wait_for(wire: Wire, path: str, *, keys: int) -> None:
    """Until the running server shows so many keys, which it can only if it can open them; bounded."""
    async with asyncio.timeout(10):
        while True:
            answer = await wire.request("GET", path)
            if answer.status == 200 and len(json.loads(answer.body)["keys"]) == keys:
                return
            assert answer.status in (200, 404), answer.body
            await asyncio.sleep(0.02)


async def change_keys(ground: Ground, port: int) -> None:
    """Two master keys one after the other, each with things that only the newest opens."""
    async with Wire(port) as wire:
        for number in range(2):
            assert await admin(ground, "master-key", "rotate") == {"encrypted_anew": 4 + 2 * number}
            await admin(ground, "project", "add", f"p{number}")
            await admin(ground, "signing-key", "rotate")
            await wait_for(wire, f"/p/p{number}{JWKS}", keys=1)
            await wait_for(wire, JWKS, keys=2 + number)
            assert (await wire.request("GET", "/readyz")).status == 200
        await admin(ground, "signing-key", "rotate", "--alg", "ES256", "--emergency", "--project", "p0")


async def test_the_master_key_is_replaced_under_load_without_a_failed_request_at_06(tmp_path: Path) -> None:
    ground = await lay_ground(tmp_path / "data")
    _, tokens = await add_connections(ground, codes=0, tokens=4)
    server = start_again(ground.folder, find_steady_port())
    callers = [Caller(server.port, ground, token) for token in tokens]
    working = [asyncio.create_task(caller.run()) for caller in callers]
    changing = asyncio.create_task(change_keys(ground, server.port))
    done, _ = await asyncio.wait({changing, *working}, return_when=asyncio.FIRST_COMPLETED, timeout=120)
    for task in working:
        task.cancel()
    for task in done:
        await task
    assert done == {changing}
    for task in working:
        with suppress(asyncio.CancelledError):
            await task
    assert all(caller.calls > 20 for caller in callers)
    print(f"{sum(caller.calls for caller in callers)} requests, none failed")
    assert server.stop() == 0
    again = start_again(ground.folder, server.port)
    async with Wire(again.port) as wire:
        for caller in callers:
            await caller.call(wire)
    assert again.stop() == 0
