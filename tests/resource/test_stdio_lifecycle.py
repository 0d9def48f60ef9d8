"""How processes behind a bridge come and go: cancelled requests, crashes, idleness, limits."""

import asyncio
import os
import sys
from pathlib import Path

import httpx2
import pytest

from doorward.resource import stdio_pool
from doorward.resource.stdio import StdioBridge
from tests.resource.stdio_world import (
    COMMAND,
    FOLDER,
    Told,
    build_call,
    build_request,
    connect_as,
    is_alive,
    run_bridge,
    run_client,
    serve_bridge,
)
from tests.resource.world import Mint
from tests.waiting import until

CALLS = 50
HANDSHAKE = {"protocolVersion": "2025-11-25", "capabilities": {}}
SUBSCRIBE = build_request("resources/subscribe", uri="file:///notes")


async def test_a_client_that_leaves_has_its_request_cancelled() -> None:
    async with serve_bridge() as (url, _, mint), connect_as(url, mint, "alice") as client:
        call = build_call("hold", hold="h", meta={"progressToken": 1})
        async with client.streaming("POST", call) as events:
            assert (await anext(events))["params"]["data"] == "held"

        async def is_cancelled() -> bool:
            return len((await client.call("seen"))["told"]["cancelled"]) == 1

        await until(is_cancelled)


async def test_a_request_that_its_client_cancels_is_cancelled_and_its_stream_ends() -> None:
    async with serve_bridge() as (url, _, mint), connect_as(url, mint, "alice") as client:
        async with client.streaming("POST", build_call("hold", request_id="h", hold="h")) as events:
            assert (await anext(events))["params"]["data"] == "held"
            for wanted in (1, "other", "h"):
                cancelled = {"requestId": wanted, "reason": "changed my mind"}
                note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancelled}
                assert (await client.post(note)).status_code == 202
            assert [event async for event in events] == [
                {"jsonrpc": "2.0", "id": "h", "error": {"code": -32800, "message": "Request cancelled"}}
            ]
        assert len((await client.call("seen"))["told"]["cancelled"]) == 1


async def test_a_session_that_ends_takes_its_requests_along() -> None:
    async with serve_bridge() as (url, _, mint), connect_as(url, mint, "alice") as client:
        async with client.streaming("POST", build_call("hold", hold="h")) as events:
            await anext(events)
            assert (await client.http.delete(url, headers=client.headers)).status_code == 200
            assert (await anext(events))["error"]["message"] == "The session has ended."
        await client.open()
        assert len((await client.call("seen"))["told"]["cancelled"]) == 1


async def test_a_crash_answers_what_it_interrupts_and_the_next_request_starts_anew() -> None:
    async with serve_bridge() as (url, _, mint), connect_as(url, mint, "alice") as client:
        pid = await client.pid()
        async with client.streaming("POST", build_call("hold", request_id="h", hold="h")) as events:
            await anext(events)
            crashed = await client.post(build_call("crash", request_id=5))
            assert crashed.status_code == 502
            error = {"code": -32603, "message": "The server behind ended."}
            assert crashed.json() == {"jsonrpc": "2.0", "id": 5, "error": error}
            assert [event["error"] async for event in events] == [error]
        assert await client.pid() != pid
        assert not is_alive(pid)


async def test_a_server_that_crashes_again_and_again_is_given_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio_pool, "BACKOFF_SECONDS", 60)
    async with run_bridge() as (_, app, mint), run_client(app, mint) as client:
        await client.open()
        for _ in range(2):
            assert (await client.post(build_call("crash"))).status_code == 502
        waiting = await client.post(build_call("echo"))
        assert (waiting.status_code, waiting.headers["retry-after"]) == (503, "60")
        assert waiting.json()["error"]["code"] == -32603


async def test_a_server_that_cannot_start_is_a_bad_gateway() -> None:
    async with run_bridge("/nowhere/at-all") as (_, app, mint), run_client(app, mint) as client:
        params = {"protocolVersion": "2025-11-25", "capabilities": {}}
        assert (await client.post(build_request("initialize", **params))).status_code == 502
    async with run_bridge("false") as (_, app, mint), run_client(app, mint) as client:
        assert (await client.post(build_request("initialize", **params))).status_code == 502


async def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio_pool, "START_SECONDS", 0.2)
    async with run_bridge("sleep", "600") as (_, app, mint), run_client(app, mint) as client:
        params = {"protocolVersion": "2025-11-25", "capabilities": {}}
        assert (await client.post(build_request("initialize", **params))).status_code == 502


async def test_an_idle_process_ends_and_its_session_goes_on_in_a_new_one() -> None:
    async with run_bridge(idle_seconds=0.2) as (bridge, app, mint), run_client(app, mint) as client:
        await client.open()
        pid = await client.pid()

        async def is_over() -> bool:
            return bridge.processes == 0

        await until(is_over)
        assert not is_alive(pid)
        note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}
        assert (await client.post(note)).status_code == 202
        assert bridge.processes == 0
        assert await client.pid() != pid


async def test_a_process_at_work_is_not_idle() -> None:
    async with (
        serve_bridge(idle_seconds=0.1) as (url, bridge, mint),
        connect_as(url, mint, "alice") as client,
        client.streaming("POST", build_call("hold", hold="h")) as events,
        connect_as(url, mint, "bob") as bob,
    ):
        await anext(events)

        async def is_alone() -> bool:
            return bridge.processes == 1

        await bob.pid()
        await until(is_alone)
        await client.call("release", hold="h")
        assert (await anext(events))["id"] == 1


async def test_over_the_limit_the_process_that_was_idle_longest_goes() -> None:
    async with run_bridge(max_processes=2) as (bridge, app, mint), run_client(app, mint, sub="a") as first:
        await first.open()
        pid = await first.pid()
        async with run_client(app, mint, sub="b") as second, run_client(app, mint, sub="c") as third:
            await second.open()
            kept = await second.pid()
            await third.open()
            assert bridge.processes == 2
            assert not is_alive(pid)
            assert await second.pid() == kept
        assert await first.pid() != pid


async def test_while_all_are_at_work_the_next_has_to_wait() -> None:
    async with (
        serve_bridge(max_processes=1) as (url, bridge, mint),
        connect_as(url, mint, "alice") as alice,
        alice.streaming("POST", build_call("hold", hold="h")) as events,
        httpx2.AsyncClient() as http,
    ):
        await anext(events)
        bob = Told(http, mint.header(sub="bob"), url)
        params = {"protocolVersion": "2025-11-25", "capabilities": {}}
        refused = await bob.post(build_request("initialize", **params))
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert bridge.processes == 1
        await alice.call("release", hold="h")
        await anext(events)
        await bob.open()


async def test_one_person_cannot_push_out_everybody_else() -> None:
    async with run_bridge(max_processes_of_a_person=2) as (bridge, app, mint), run_client(app, mint) as alice:
        await alice.open()
        pid = await alice.pid()
        for number in range(5):
            async with run_client(app, mint, sub="mallory", client_id=f"app-{number}") as mallory:
                await mallory.open()
        assert bridge.processes == 3
        assert await alice.pid() == pid


async def test_many_requests_after_a_crash_start_one_process() -> None:
    async with run_bridge() as (bridge, app, mint), run_client(app, mint) as client:
        await client.open()
        await client.post(build_call("crash"))
        assert len(set(await asyncio.gather(*(client.pid() for _ in range(20))))) == 1
        assert bridge.processes == 1


async def test_one_persons_processes_that_will_not_end_keep_nobody_else_waiting_t48() -> None:
    async with (
        run_bridge(max_processes_of_a_person=1) as (bridge, app, mint),
        run_client(app, mint, sub="mallory") as mallory,
        run_client(app, mint, sub="mallory", client_id="other") as again,
        run_client(app, mint, sub="alice") as alice,
    ):
        await mallory.open()
        await mallory.call("ignore_hints")
        opening = asyncio.create_task(again.open())  # takes as long as the first takes to be killed

        async def is_stopping() -> bool:
            return all(connection.is_closing for connection in bridge._pool._started)

        await until(is_stopping)
        await alice.open()
        assert not opening.done()
        await opening


async def test_a_bridge_that_ends_lets_calls_end_and_takes_no_more(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    bridge, mint = StdioBridge(COMMAND), Mint()
    async with run_client(mint.protect(bridge), mint) as client:
        running = bridge.lifespan()
        await running.__aenter__()
        await client.open()
        busy = [bridge.is_busy]
        calling = asyncio.create_task(client.call("read", path=str(gate)))
        opened = await asyncio.to_thread(gate.open, "w")
        busy.append(bridge.is_busy)
        ending = asyncio.create_task(running.__aexit__(None, None, None))
        await asyncio.sleep(0)
        refused = await client.post(build_call("echo"))
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        opened.write("at last")
        opened.close()
        assert (await calling)["told"] == "at last"
        await ending
    assert (bridge.processes, [*busy, bridge.is_busy]) == (0, [False, True, False])


async def test_a_bridge_whose_command_does_not_start_says_so_until_it_does(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text("raise SystemExit(3)")
    async with run_bridge(sys.executable, str(script)) as (bridge, app, mint), run_client(app, mint) as client:
        assert await bridge.check()
        assert (await client.post(build_request("initialize", **HANDSHAKE))).status_code == 502
        assert not await bridge.check()
        script.write_text((FOLDER / "stdio_server.py").read_text())
        await client.open()
        assert await bridge.check()
        assert (await client.post(build_call("crash"))).status_code == 502
        assert await bridge.check()  # it starts, and that is what a next request needs
