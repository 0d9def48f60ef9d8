"""A server that is asked to stop: what it was asked before is answered, and nothing holds it for long."""

import asyncio
import json
import secrets
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

import httpx2
import pytest

from doorward.oauth.pkce import build_challenge
from doorward.serving import GRACE_SECONDS, MOMENT_SECONDS
from tests.fault.ground import LOOPBACK, add_connections, find_steady_port, lay_ground, start, start_again
from tests.fault.history import read_json
from tests.fault.wire import Wire, read_reply
from tests.person import Person, answer_parameters
from tests.running import RunningDoorward

CYCLES = 6
CYCLES_OF_A_SOAK = 60
SLACK_SECONDS = 8
"""What a loaded machine may add to a bound."""
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def said(server: RunningDoorward) -> str:
    """Everything the server wrote to stderr."""
    return server.data.with_suffix(".log").read_text(encoding="utf-8")


async def stop(server: RunningDoorward, number: int = signal.SIGTERM) -> float:
    """Ask the server to stop, and wait until it did; how long it took. It ends well, and without a word."""
    started = time.monotonic()
    server.process.send_signal(number)
    code = await asyncio.to_thread(server.process.wait, GRACE_SECONDS + SLACK_SECONDS)
    took = time.monotonic() - started
    server.stop()
    assert (code, said(server)) == (0, "")
    return took


@asynccontextmanager
async def connected(server: RunningDoorward) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def is_listening(server: RunningDoorward) -> bool:
    try:
        async with connected(server):
            return True
    except ConnectionRefusedError:
        return False


async def until_deaf(server: RunningDoorward) -> None:
    """Wait until the server has heard the signal and takes no new connections."""
    async with asyncio.timeout(10):
        while await is_listening(server):  # noqa: ASYNC110  # another process' socket sets no event of ours
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_token_request_whose_body_is_still_arriving_is_finished(tmp_path: Path, number: int) -> None:
    ground = await lay_ground(tmp_path / "data")
    codes, _ = await add_connections(ground, codes=1, tokens=0)
    server = start_again(ground.folder, find_steady_port())
    fields = {
        "grant_type": "authorization_code",
        "client_id": codes[0].client_id,
        "code": codes[0].code,
        "code_verifier": codes[0].verifier,
    }
    body = urlencode(fields).encode()
    form = {"content-type": "application/x-www-form-urlencoded"}
    async with connected(server) as (reader, writer), Wire(server.port) as other:
        request = Wire(server.port).render("POST", "/api/oauth/token", body, form)
        writer.write(request[: -len(body) + 20])
        # A whole request on another connection is answered after the first one's head was read.
        assert (await other.request("GET", "/livez")).status == 200
        server.process.send_signal(number)
        await until_deaf(server)
        writer.write(request[-len(body) + 20 :])
        reply = await asyncio.wait_for(read_reply(reader), 10)
    assert reply.status == 200, reply
    assert await stop(server, number) < GRACE_SECONDS

    again = start_again(ground.folder, server.port)
    async with Wire(again.port) as wire:
        refresh = {"grant_type": "refresh_token", "client_id": codes[0].client_id}
        refreshed = await wire.post_form(
            "/api/oauth/token", {**refresh, "refresh_token": read_json(reply)["refresh_token"]}
        )
    assert refreshed.status == 200
    await stop(again)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_every_write_that_was_sent_before_the_signal_is_answered_and_kept(tmp_path: Path, number: int) -> None:
    ground = await lay_ground(tmp_path / "data")
    _, tokens = await add_connections(ground, codes=0, tokens=40)
    server = start_again(ground.folder, find_steady_port())
    wires = [Wire(server.port) for _ in tokens]
    for wire in wires:
        assert (await wire.request("GET", "/livez")).status == 200
    requests = [
        wire.post_form(
            "/api/oauth/token",
            {"grant_type": "refresh_token", "client_id": token.client_id, "refresh_token": token.token},
        )
        for wire, token in zip(wires, tokens, strict=True)
    ]
    asked = [asyncio.ensure_future(request) for request in requests]
    # Each has written its request when it first waits; the signal then finds them read, queued or being committed.
    await asyncio.sleep(0)
    server.process.send_signal(number)
    replies = await asyncio.gather(*asked)
    assert [reply.status for reply in replies] == [200] * len(tokens)
    for wire in wires:
        await wire.close()
    await stop(server, number)

    again = start_again(ground.folder, server.port)
    async with Wire(again.port) as wire:
        for token, reply in zip(tokens, replies, strict=True):
            fields = {"grant_type": "refresh_token", "client_id": token.client_id}
            fields["refresh_token"] = read_json(reply)["refresh_token"]
            assert (await wire.post_form("/api/oauth/token", fields)).status == 200
    await stop(again)


async def test_connections_that_only_wait_are_let_go(tmp_path: Path) -> None:
    ground = await lay_ground(tmp_path / "data")
    server = start_again(ground.folder, find_steady_port())
    async with Wire(server.port) as idle, Wire(server.port) as other, connected(server), connected(server) as (_, half):
        assert (await idle.request("GET", "/livez")).status == 200
        half.write(b"GET /livez HTTP/1.1\r\nhost:")
        await half.drain()
        assert (await other.request("GET", "/livez")).status == 200
        assert await stop(server) < MOMENT_SECONDS + SLACK_SECONDS


async def test_a_body_that_never_ends_holds_the_stop_no_longer_than_the_grace(tmp_path: Path) -> None:
    ground = await lay_ground(tmp_path / "data")
    server = start_again(ground.folder, find_steady_port())
    async with connected(server) as (_, writer), Wire(server.port) as other:
        form = {"content-type": "application/x-www-form-urlencoded"}
        writer.write(other.render("POST", "/api/oauth/token", b"grant_type=refresh_token", form)[:-5])
        assert (await other.request("GET", "/livez")).status == 200
        assert GRACE_SECONDS - 1 < await stop(server) < GRACE_SECONDS + SLACK_SECONDS


async def get_demo_token(server: RunningDoorward) -> str:
    """An access token for the demo, the way any client gets one."""
    async with httpx2.AsyncClient(base_url=server.issuer) as http:
        metadata = {"redirect_uris": [LOOPBACK], "token_endpoint_auth_method": "none"}
        client_id = (await http.post("/api/oauth/register", json=metadata)).json()["client_id"]
        verifier = secrets.token_urlsafe(48)
        request = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": LOOPBACK,
            "code_challenge": build_challenge(verifier),
            "code_challenge_method": "S256",
            "resource": server.demo,
        }
        answered = answer_parameters(await Person(http).consent(f"/oauth/authorize?{urlencode(request)}"))
        form = {"grant_type": "authorization_code", "client_id": client_id, "code": answered["code"]}
        tokens = await http.post("/api/oauth/token", data={**form, "code_verifier": verifier})
        return str(tokens.json()["access_token"])


def build_listening(token: str) -> tuple[bytes, dict[str, str]]:
    """The request whose answer is a stream of notifications that never ends by itself (MCP 2026-07-28)."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"notifications": {"toolsListChanged": True}, "_meta": meta}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": params}).encode()
    return body, {
        "authorization": f"Bearer {token}",
        "accept": "application/json, text/event-stream",
        "content-type": "application/json",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "subscriptions/listen",
    }


async def test_an_open_stream_of_the_demo_is_cut_when_nothing_else_is_to_do(tmp_path: Path) -> None:
    server = start(tmp_path / "data", "--demo")
    body, headers = build_listening(await get_demo_token(server))
    async with connected(server) as (reader, writer):
        writer.write(Wire(server.port).render("POST", "/demo/mcp", body, headers))
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert b"text/event-stream" in head, head
        assert b"acknowledged" in await asyncio.wait_for(reader.readuntil(b"acknowledged"), 10)
        assert await stop(server) < MOMENT_SECONDS + SLACK_SECONDS


@pytest.mark.parametrize("cycles", [CYCLES, pytest.param(CYCLES_OF_A_SOAK, marks=pytest.mark.long)])
async def test_starting_and_stopping_again_and_again_ends_well_each_time(tmp_path: Path, cycles: int) -> None:
    ground = await lay_ground(tmp_path / "data")
    _, tokens = await add_connections(ground, codes=0, tokens=1)
    port, token = find_steady_port(), tokens[0].token
    for cycle in range(cycles):
        server = start_again(ground.folder, port)
        async with Wire(port) as wire:
            fields = {"grant_type": "refresh_token", "client_id": tokens[0].client_id, "refresh_token": token}
            reply = await wire.post_form("/api/oauth/token", fields)
            assert reply.status == 200, (cycle, reply)
            token = read_json(reply)["refresh_token"]
            await stop(server, signal.SIGINT if cycle % 2 else signal.SIGTERM)
