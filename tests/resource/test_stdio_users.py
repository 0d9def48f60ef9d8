"""Whose process serves whom, and for how long: nothing of one user reaches another."""

import asyncio
from typing import Any

import pytest

from doorward.resource import stdio
from doorward.resource.stdio import StdioBridge
from tests.resource.stdio_world import (
    COMMAND,
    Told,
    build_call,
    build_request,
    connect_as,
    read_answer,
    read_messages,
    run_bridge,
    run_client,
    serve_bridge,
)
from tests.resource.world import browse

CALLS = 50
SUBSCRIBE = build_request("resources/subscribe", uri="file:///notes")


async def call_often(client: Told, name: str) -> list[Any]:
    """Many calls at once, all with ids and tokens that others use, too; everything that came back."""

    async def once(number: int) -> tuple[Any, list[Any]]:
        call = build_call("progress", request_id=number, meta={"progressToken": number}, steps=3)
        echo = build_call("echo", request_id=number, text=f"{name} {number}")
        posted, echoed = await asyncio.gather(client.post(call), client.post(echo))
        messages = read_messages(posted)
        assert [message["params"]["progressToken"] for message in messages[:-1]] == [number] * 3
        assert messages[-1]["id"] == echoed.json()["id"] == number
        return read_answer(echoed), messages

    return await asyncio.gather(*(once(number) for number in range(CALLS)))


async def test_two_users_at_once_never_meet_leg_07() -> None:
    async with (
        serve_bridge() as (url, bridge, mint),
        connect_as(url, mint, "alice") as alice,
        connect_as(url, mint, "bob") as bob,
        alice.streaming() as of_alice,
        bob.streaming() as of_bob,
    ):
        got = await asyncio.gather(call_often(alice, "alice"), call_often(bob, "bob"))
        assert bridge.processes == 2
        pids = [{answer["pid"] for answer, _ in answers} for answers in got]
        assert len(pids[0]) == len(pids[1]) == 1
        assert pids[0] != pids[1]
        for name, answers in zip(("alice", "bob"), got, strict=True):
            assert [answer["told"] for answer, _ in answers] == [{"text": f"{name} {n}"} for n in range(CALLS)]
        for client, name in ((alice, "alice"), (bob, "bob")):
            told = build_call("tell", method="notifications/message", params={"data": name})
            await client.post(told, accept="application/json")
        assert (await anext(of_alice))["params"] == {"data": "alice"}
        assert (await anext(of_bob))["params"] == {"data": "bob"}


async def test_users_of_a_shared_process_get_what_is_theirs() -> None:
    async with (
        serve_bridge(shared=True) as (url, bridge, mint),
        connect_as(url, mint, "alice") as alice,
        connect_as(url, mint, "bob", version="2025-03-26") as bob,
    ):
        got = await asyncio.gather(call_often(alice, "alice"), call_often(bob, "bob"))
        assert bridge.processes == 1
        for name, answers in zip(("alice", "bob"), got, strict=True):
            assert [answer["told"] for answer, _ in answers] == [{"text": f"{name} {n}"} for n in range(CALLS)]


async def test_a_shared_process_tells_everybody_of_changes_only() -> None:
    async with (
        serve_bridge(shared=True) as (url, _, mint),
        connect_as(url, mint, "alice", sampling={}) as alice,
        connect_as(url, mint, "bob", sampling={}) as bob,
        alice.streaming() as of_alice,
        bob.streaming() as of_bob,
    ):
        assert (await alice.post(SUBSCRIBE)).status_code == 200
        said = [
            ("notifications/message", {"data": "a secret of alice"}),
            ("notifications/resources/updated", {"uri": "file:///notes/1"}),
            ("notifications/tasks/status", {"taskId": "t"}),
            ("notifications/tools/list_changed", {}),
        ]
        for method, params in said:
            messages = read_messages(await alice.post(build_call("tell", method=method, params=params)))
            if method == "notifications/message":
                assert len(messages) == 1
        asked = await alice.call("ask", method="sampling/createMessage")
        assert asked["told"]["code"] == -32601
        told = build_call("tell", method="notifications/prompts/list_changed")
        await bob.post(told, accept="application/json")
        assert (await anext(of_bob))["method"] == "notifications/tools/list_changed"
        assert (await anext(of_bob))["method"] == "notifications/prompts/list_changed"
        # What belongs to a request of hers came on its stream.
        assert (await anext(of_alice))["method"] == "notifications/prompts/list_changed"


async def test_a_subscription_that_two_share_ends_with_the_last_of_them() -> None:
    async with (
        serve_bridge(shared=True) as (url, _, mint),
        connect_as(url, mint, "alice") as alice,
        connect_as(url, mint, "bob") as bob,
    ):
        unsubscribe = {**SUBSCRIBE, "method": "resources/unsubscribe"}
        for client in (alice, bob):
            assert (await client.post(SUBSCRIBE)).status_code == 200
        assert (await alice.post(unsubscribe)).json()["result"] == {}
        assert "resources/unsubscribe" not in (await alice.call("seen"))["told"]["notes"]
        await bob.post(unsubscribe)
        assert "resources/unsubscribe" in (await alice.call("seen"))["told"]["notes"]


async def test_a_shared_bridge_without_guard_is_one_user() -> None:
    bridge = StdioBridge(COMMAND, shared=True)
    async with bridge.lifespan(), browse(bridge) as http:
        client = Told(http, {})
        await client.open()
        assert (await client.call("echo", a=1))["told"] == {"a": 1}


async def test_two_clients_of_a_person_have_a_process_each_and_two_sessions_of_a_client_have_one() -> None:
    async with run_bridge() as (bridge, app, mint):
        async with run_client(app, mint) as first, run_client(app, mint) as second:
            for client in (first, second):
                await client.open()
            assert await first.pid() == await second.pid()
            assert (await first.call("seen"))["told"]["notes"] == ["notifications/initialized"]
        async with run_client(app, mint, client_id="another-app") as other:
            await other.open()
            assert bridge.processes == 2
        async with run_client(app, mint) as able:
            await able.open(sampling={})
            assert bridge.processes == 3


async def test_a_question_goes_to_the_session_whose_request_is_being_answered() -> None:
    async with (
        serve_bridge() as (url, _, mint),
        connect_as(url, mint, "alice", sampling={}) as first,
        connect_as(url, mint, "alice", sampling={}) as second,
    ):
        call = build_call("ask", request_id=9, method="sampling/createMessage", params={"of": "second"})
        async with first.streaming(), second.streaming("POST", call) as events:
            question = await anext(events)
            assert (question["method"], question["params"]) == ("sampling/createMessage", {"of": "second"})
            answer = {"jsonrpc": "2.0", "id": question["id"], "result": {"text": "from first"}}
            assert (await first.post(answer)).status_code == 202  # a guess of another session does not count
            assert (await second.post({**answer, "result": {"text": "from second"}})).status_code == 202
            assert "from second" in str(await anext(events))


async def test_a_question_that_no_client_can_answer_is_answered_for_them() -> None:
    async with run_bridge() as (_, app, mint), run_client(app, mint) as client:
        await client.open()
        assert (await client.call("ask", method="roots/list"))["told"]["code"] == -32601
        assert (await client.call("ask", method="ping"))["told"] == {}


async def test_a_new_session_of_a_client_with_roots_has_them_asked_for_again() -> None:
    async with run_bridge() as (_, app, mint), run_client(app, mint) as first, run_client(app, mint) as second:
        await first.open(roots={"listChanged": True})
        await second.open(roots={"listChanged": True})
        assert "notifications/roots/list_changed" in (await second.call("seen"))["told"]["notes"]


async def test_one_person_cannot_occupy_a_shared_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "MAX_REQUESTS_OF_A_PERSON", 2)
    async with (
        serve_bridge(shared=True) as (url, _, mint),
        connect_as(url, mint, "mallory") as mallory,
        connect_as(url, mint, "bob") as bob,
        mallory.streaming("POST", build_call("hold", hold="a", meta={"progressToken": 1})),
        mallory.streaming("POST", build_call("hold", hold="b", meta={"progressToken": 2})),
    ):
        refused = await mallory.post(build_call("echo"))
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        assert (await bob.call("echo", a=1))["told"] == {"a": 1}


async def test_a_server_is_told_once_that_it_is_initialized_and_of_everything_else() -> None:
    async with run_bridge() as (_, app, mint), run_client(app, mint) as client:
        await client.open()
        for method in ("notifications/initialized", "notifications/roots/list_changed"):
            assert (await client.post({"jsonrpc": "2.0", "method": method})).status_code == 202
        notes = (await client.call("seen"))["told"]["notes"]
        assert notes == ["notifications/initialized", "notifications/roots/list_changed"]
