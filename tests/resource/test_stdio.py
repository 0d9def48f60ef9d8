"""A bridge's HTTP: sessions, answers, streams, and what is refused before it reaches the server behind."""

import json

import httpx2
import pytest

from doorward.resource import stdio_connection, stdio_sessions, stdio_streams
from doorward.resource.stdio import StdioBridge
from doorward.resource.stdio_sessions import MAX_SESSIONS_OF_A_PERSON
from tests.resource.stdio_world import (
    COMMAND,
    Told,
    build_call,
    build_request,
    read_answer,
    read_messages,
    run_bridge,
    run_client,
    serve_bridge,
)
from tests.resource.world import browse
from tests.waiting import until

OLDER = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
PING = {"jsonrpc": "2.0", "id": "p", "method": "ping"}


async def test_a_session_begins_with_initialize_and_ends_with_delete_leg_08() -> None:
    async with run_bridge() as (_, app, mint), run_client(app, mint) as client:
        opened = await client.open()
        session_id = opened.headers["mcp-session-id"]
        assert session_id.isascii()
        assert session_id.isprintable()
        assert len(session_id) >= 32
        assert opened.json()["result"]["protocolVersion"] == "2025-11-25"
        assert await client.call("echo", text="hi") == {"pid": await client.pid(), "told": {"text": "hi"}}
        assert (await client.http.delete("/mcp", headers=client.headers)).status_code == 200
        assert (await client.post(PING)).status_code == 404


@pytest.mark.parametrize("version", OLDER)
async def test_every_revision_with_a_handshake_is_served(version: str) -> None:
    async with run_bridge() as (_, app, mint), run_client(app, mint) as client:
        assert (await client.open(version=version)).json()["result"]["protocolVersion"] == version
        assert (await client.post(PING)).json() == {"jsonrpc": "2.0", "id": "p", "result": {}}


async def test_a_client_that_names_no_revision_is_served_trn_13() -> None:
    async with run_bridge() as (_, app, mint), run_client(app, mint) as client:
        await client.open(version="2025-03-26")
        del client.headers["mcp-protocol-version"]
        assert (await client.post(PING)).status_code == 200


async def test_a_request_without_session_is_refused() -> None:
    async with run_bridge() as (bridge, app, mint), run_client(app, mint) as client:
        assert (await client.post(PING)).status_code == 400
        assert (await client.http.get("/mcp", headers=client.headers)).status_code == 400
        assert (await client.http.delete("/mcp", headers=client.headers)).status_code == 400
        assert (await client.post(PING, **{"mcp-session-id": "unknown"})).status_code == 404
        assert bridge.processes == 0


async def test_the_session_of_somebody_else_does_not_exist_leg_06_sta_01() -> None:
    """The bridge judges by itself, without the guard's memory of sessions."""
    async with run_bridge() as (bridge, app, mint), run_client(app, mint) as client:
        await client.open()
        other_guard = mint.protect(bridge)
        async with run_client(other_guard, mint, sub="mallory") as mallory:
            mallory.headers["mcp-session-id"] = client.headers["mcp-session-id"]
            assert (await mallory.post(PING)).status_code == 404
            assert (await mallory.http.get("/mcp", headers=mallory.headers)).status_code == 404
            assert (await mallory.http.delete("/mcp", headers=mallory.headers)).status_code == 404
        async with run_client(other_guard, mint, client_id="another-app") as other:
            other.headers["mcp-session-id"] = client.headers["mcp-session-id"]
            assert (await other.post(PING)).status_code == 404
        assert (await client.post(PING)).status_code == 200


async def test_a_revision_that_nobody_knows_is_refused_with_those_that_are() -> None:
    async with run_bridge() as (_, app, mint), run_client(app, mint) as client:
        await client.open()
        refused = await client.post(PING, **{"mcp-protocol-version": "1999-01-01"})
        assert refused.status_code == 400
        data = {"supported": list(OLDER), "requested": "1999-01-01"}
        assert refused.json()["error"] == {"code": -32022, "message": "Unsupported protocol version", "data": data}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"a": NaN}}', -32700),
        (b"\xff", -32700),
        (b"[]", -32600),
        (b"7", -32600),
        (b"[[]]", -32600),
        (b'{"id": 1, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": true, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": 2}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "result": {}, "error": {}}', -32600),
        (b'{"jsonrpc": "2.0", "result": {}}', -32600),
    ],
)
async def test_a_body_that_is_no_message_is_refused(body: bytes, code: int) -> None:
    async with run_bridge() as (_, app, mint), run_client(app, mint) as client:
        await client.open()
        headers = {**client.headers, "content-type": "application/json"}
        response = await client.http.post("/mcp", content=body, headers=headers)
        assert (response.status_code, response.json()["error"]["code"]) == (400, code)


async def test_what_is_no_json_or_wants_none_or_is_too_much_is_refused() -> None:
    async with run_bridge() as (_, app, mint), run_client(app, mint) as client:
        await client.open()
        assert (await client.post(PING, accept="text/html")).status_code == 406
        html = await client.http.get("/mcp", headers={**client.headers, "accept": "application/json"})
        assert html.status_code == 406
        form = await client.http.post("/mcp", content=b"a=b", headers={**client.headers, "content-type": "text/plain"})
        assert form.status_code == 415
        assert (await client.post(build_call("echo", text="x" * (5 << 20)))).status_code == 413
        capabilities = {"protocolVersion": "2025-11-25", "capabilities": {"x": "y" * 100_000}}
        assert (await client.post(build_request("initialize", **capabilities))).status_code == 413
        assert (await client.http.put("/mcp", json=PING, headers=client.headers)).status_code == 405
        assert (await client.post(build_request("initialize"))).json()["error"]["code"] == -32602


async def test_a_client_that_takes_json_only_gets_the_answer_alone() -> None:
    async with run_bridge() as (_, app, mint), run_client(app, mint) as client:
        await client.open()
        call = build_call("progress", steps=3, meta={"progressToken": "t"})
        response = await client.post(call, accept="application/json")
        assert response.headers["content-type"] == "application/json"
        assert read_answer(response)["told"] is None


async def test_a_client_that_takes_events_only_gets_events() -> None:
    async with run_bridge() as (_, app, mint), run_client(app, mint) as client:
        await client.open()
        response = await client.post(PING, accept="text/event-stream")
        assert response.headers["content-type"] == "text/event-stream"
        assert read_messages(response) == [{"jsonrpc": "2.0", "id": "p", "result": {}}]


async def test_progress_comes_with_the_client_s_own_token_before_the_answer() -> None:
    async with run_bridge() as (_, app, mint), run_client(app, mint) as client:
        await client.open()
        call = build_call("progress", request_id="seven", steps=200, meta={"progressToken": "mine", "other": 1})
        *progress, answer = read_messages(await client.post(call))
        assert [told["params"] for told in progress] == [{"progressToken": "mine", "progress": n} for n in range(200)]
        assert answer["id"] == "seven"


async def test_a_batch_is_taken_apart_and_answered_whole_before_2025_06_18() -> None:
    async with run_bridge() as (_, app, mint), run_client(app, mint) as client:
        await client.open(version="2025-03-26")
        note = {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}
        batch = [PING, note, build_call("echo", request_id=2)]
        assert {answer["id"] for answer in read_messages(await client.post(batch))} == {"p", 2}
        plain = await client.post(batch, accept="application/json")
        assert {answer["id"] for answer in plain.json()} == {"p", 2}
        assert (await client.post([note])).status_code == 202
        assert (await client.post([build_request("initialize")])).status_code == 400
        seen = await client.call("seen")
        assert seen["told"]["notes"].count("notifications/roots/list_changed") == 3


async def test_a_batch_is_refused_since() -> None:
    async with run_bridge() as (_, app, mint), run_client(app, mint) as client:
        await client.open(version="2025-06-18")
        assert (await client.post([PING])).status_code == 400


async def test_stray_lines_of_a_server_are_passed_over() -> None:
    async with run_bridge() as (_, app, mint), run_client(app, mint) as client:
        await client.open()
        assert (await client.call("garbage"))["told"] is None
        assert (await client.post(build_call("not_a_number"))).json()["result"]["number"] is None


async def test_large_answers_arrive_whole() -> None:
    async with run_bridge() as (_, app, mint), run_client(app, mint) as client:
        await client.open()
        assert (await client.call("big", size=8 << 20))["told"] == "x" * (8 << 20)


async def test_a_stream_carries_what_the_server_says_by_itself_trn_11() -> None:
    async with serve_bridge() as (url, _, mint), httpx2.AsyncClient() as http:
        client = Told(http, mint.header(), url)
        await client.open()
        async with client.streaming() as events:
            changed = {"method": "notifications/tools/list_changed"}
            # A request that takes plain JSON leaves the session's own stream to what belongs to no request.
            answer = await client.post(build_call("tell", **changed), accept="application/json")
            assert answer.status_code == 200
            assert await anext(events) == {"jsonrpc": "2.0", **changed, "params": {}}


async def test_what_nobody_listened_to_waits_for_the_next_stream() -> None:
    async with serve_bridge() as (url, _, mint), httpx2.AsyncClient() as http:
        client = Told(http, mint.header(), url)
        await client.open()
        for number in range(100):
            params = {"n": number}
            told = build_call("tell", method="notifications/message", params=params)
            await client.post(told, accept="application/json")
        async with client.streaming() as events:
            for number in range(stdio_streams.MAX_WAITING):
                assert (await anext(events))["params"] == {"n": number}


async def test_a_new_stream_takes_the_place_of_the_one_before() -> None:
    async with serve_bridge() as (url, _, mint), httpx2.AsyncClient() as http:
        client = Told(http, mint.header(), url)
        await client.open()
        async with client.streaming() as first, client.streaming() as second:
            assert [event async for event in first] == []
            told = build_call("tell", method="notifications/tools/list_changed")
            await client.post(told, accept="application/json")
            assert (await anext(second))["method"] == "notifications/tools/list_changed"


async def test_streams_end_when_the_bridge_stops() -> None:
    async with serve_bridge() as (url, bridge, mint), httpx2.AsyncClient() as http:
        client = Told(http, mint.header(), url)
        await client.open()
        async with client.streaming() as events:
            bridge._sessions.end_all()
            assert [event async for event in events] == []


async def test_a_silent_request_becomes_a_stream_that_shows_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio_streams, "COMMIT_SECONDS", 0.05)
    monkeypatch.setattr(stdio_streams, "PING_SECONDS", 0.05)
    async with serve_bridge() as (url, _, mint), httpx2.AsyncClient() as http:
        client = Told(http, mint.header(), url)
        await client.open()
        call = build_call("hold", hold="h")
        async with http.stream("POST", url, json=call, headers=client.headers) as response:
            lines = response.aiter_lines()
            comments = 0
            while comments < 3:
                comments += (await anext(lines)).startswith(":")
            await client.call("release", hold="h")
            messages = [json.loads(line[6:]) async for line in lines if line.startswith("data: ")]
        assert messages[-1]["id"] == 1


async def test_a_bridge_without_guard_serves_nobody(caplog: pytest.LogCaptureFixture) -> None:
    bridge = StdioBridge(COMMAND)
    async with bridge.lifespan(), browse(bridge) as http:
        assert (await http.post("/mcp", json=PING)).status_code == 500
        assert "ProtectMCP" in caplog.text


async def test_a_bridge_outside_its_lifespan_serves_nobody() -> None:
    async with browse(StdioBridge(COMMAND)) as http:
        with pytest.raises(RuntimeError, match="lifespan"):
            await http.post("/mcp", json=PING)


async def test_a_person_s_oldest_session_makes_room_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    async with run_bridge() as (bridge, app, mint), run_client(app, mint) as first, run_client(app, mint) as client:
        await first.open()
        for _ in range(MAX_SESSIONS_OF_A_PERSON):
            await client.open()
        assert len(bridge._sessions) == MAX_SESSIONS_OF_A_PERSON
        assert (await first.post(PING)).status_code == 404
        assert (await client.post(PING)).status_code == 200
        monkeypatch.setattr(stdio_sessions, "MAX_SESSIONS", MAX_SESSIONS_OF_A_PERSON)
        async with run_client(app, mint, sub="bob") as bob:
            await bob.open()
        assert len(bridge._sessions) == MAX_SESSIONS_OF_A_PERSON


async def test_a_client_that_reads_slowly_holds_up_its_own_server_and_misses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Far more progress than may wait anywhere: the process is held up until its reader goes on."""
    monkeypatch.setattr(stdio_connection, "PATIENCE_SECONDS", 30)
    async with serve_bridge() as (url, bridge, mint), httpx2.AsyncClient() as http:
        client = Told(http, mint.header(), url)
        await client.open()
        steps = 50_000
        (session,) = bridge._sessions._sessions.values()

        async def is_held_up() -> bool:
            return any(not exchange.outbox._room.is_set() for exchange in session.exchanges.values())

        async with client.streaming("POST", build_call("progress", steps=steps, meta={"progressToken": 1})) as events:
            got = [await anext(events)]
            await until(is_held_up)
            got += [event async for event in events]
        assert [event["params"]["progress"] for event in got[:-1]] == list(range(steps))
        assert got[-1]["id"] == 1


async def test_idle_sessions_end_and_used_ones_stay() -> None:
    async with run_bridge() as (bridge, app, mint), run_client(app, mint) as client:
        await client.open()
        bridge._sessions.end_idle()
        assert (await client.post(PING)).status_code == 200
        bridge._sessions._clock = lambda: 1e12
        bridge._sessions.end_idle()
        assert len(bridge._sessions) == 0


async def test_the_bridge_is_an_app_of_its_own_with_the_server_s_lifespan() -> None:
    """As `serve_bridge` runs it: granian's lifespan events reach it through the guard."""
    async with serve_bridge() as (url, bridge, mint), httpx2.AsyncClient() as http:
        client = Told(http, mint.header(), url)
        await client.open()
        assert bridge.processes == 1

    async def is_gone() -> bool:
        return bridge.processes == 0

    await until(is_gone)
