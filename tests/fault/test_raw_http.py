"""Bytes that no client library would send: one answer at most, never a fault, and the server goes on (T47, T48)."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from tests.fault.odd_requests import EVERYTHING, OPEN, Odd, get, post
from tests.fault.wire import Reply, Wire, read_reply
from tests.running import RunningDoorward, start_doorward

PROBE = get(b"/static/favicon.svg", b"connection: close")
ANSWERED_WITHIN_SECONDS = 5
"""Far above what any of these takes; T47 and T48 aim at 0.1."""
HALF_OPEN = 600
GROWTH_KB = 48 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDoorward]:
    """One server for all of them: what one request breaks, the next ones notice."""
    started = start_doorward(tmp_path_factory.mktemp("raw") / "data", "--demo")
    yield started
    assert started.stop() == 0
    assert "Traceback" not in started.data.with_suffix(".log").read_text(encoding="utf-8")


async def exchange(port: int, sent: bytes) -> tuple[list[Reply], bool]:
    """Every answer of a connection to some bytes, and whether the server still waits for more of them.

    A harmless request follows the first answer: whatever of the bytes had been left to be read as another request
    would be answered before it, or spoil it.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        with suppress(ConnectionError):
            writer.write(sent)
        try:
            replies = [await asyncio.wait_for(read_reply(reader), ANSWERED_WITHIN_SECONDS)]
        except TimeoutError:
            return [], True
        except (asyncio.IncompleteReadError, ConnectionError):
            return [], False
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            writer.write(PROBE)
            while True:
                replies.append(await asyncio.wait_for(read_reply(reader), ANSWERED_WITHIN_SECONDS))
        return replies, False
    finally:
        writer.close()


def resident_kb(server: RunningDoorward) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


@pytest.mark.parametrize("odd", EVERYTHING, ids=lambda odd: odd.name)
async def test_an_odd_request_is_refused_or_answered_once_t47_t48(server: RunningDoorward, odd: Odd) -> None:
    replies, waits = await exchange(server.port, odd.sent)
    assert waits == (OPEN in odd.allowed)
    if replies:
        assert replies[0].status in odd.allowed, replies[0]
        # Where the harmless request completed a body that was too short, what is left of it is no request: 400.
        rest = [reply.header("content-type") or reply.status for reply in replies[1:]]
        assert rest in ([], ["image/svg+xml"], [400])
    else:
        assert waits or odd.may_be_cut
    assert server.process.poll() is None


async def test_pipelined_requests_are_answered_in_turn_and_once(server: RunningDoorward) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(get(b"/livez") + get(b"/nothing") + post(b"content-length: 0") + PROBE)
    statuses = [(await asyncio.wait_for(read_reply(reader), ANSWERED_WITHIN_SECONDS)).status for _ in range(4)]
    assert statuses == [200, 404, 400, 200]
    assert await asyncio.wait_for(reader.read(), ANSWERED_WITHIN_SECONDS) == b""
    writer.close()


async def test_half_open_connections_do_not_stop_other_clients(server: RunningDoorward) -> None:
    async with AsyncExitStack() as held:
        for number in range(HALF_OPEN):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            held.callback(writer.close)
            writer.write((b"GET /livez HTTP/1.1\r\nhost:", post(b"content-length: 50", body=b"a"))[number % 2])
        async with Wire(server.port) as wire:
            for _ in range(20):
                assert (await wire.request("GET", "/livez")).status == 200


async def test_floods_leave_no_memory_behind(server: RunningDoorward) -> None:
    flood = [odd for odd in EVERYTHING if len(odd.sent) > 10_000]
    for odd in flood:
        await exchange(server.port, odd.sent)
    before = resident_kb(server)
    for _ in range(5):
        await asyncio.gather(*(exchange(server.port, odd.sent) for odd in flood * 4))
    assert resident_kb(server) - before < GROWTH_KB
    async with Wire(server.port) as wire:
        assert (await wire.request("GET", "/readyz")).status == 200


async def test_a_sender_that_goes_away_in_the_middle_leaves_nothing_behind(server: RunningDoorward) -> None:
    for size in (0, 10, 60, 120, 200):
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(post(b"content-length: 500", body=b"grant_type=refresh_token&" + b"a" * 100)[:size])
        writer.transport.abort()
    async with Wire(server.port) as wire:
        assert (await wire.request("GET", "/readyz")).status == 200
