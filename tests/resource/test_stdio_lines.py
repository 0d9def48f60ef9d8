"""Whatever a server writes, the bridge goes on, and nobody gets what is not theirs."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doorward.resource.stdio_connection import Launch, StdioConnection
from doorward.resource.stdio_messages import encode, parse_line
from doorward.resource.stdio_process import build_environment
from doorward.resource.stdio_sessions import Place, Sessions
from doorward.resource.stdio_streams import MAX_WAITING, Outbox
from tests.resource.stdio_world import COMMAND

ALICE, BOB = ("i", "alice", "app"), ("i", "bob", "app")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from([1, 2, "1", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["_meta", "progressToken", "requestId", "uri", "code", "x"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
METHODS = st.sampled_from(
    [
        *("ping", "sampling/createMessage", "roots/list", "notifications/progress", "notifications/cancelled"),
        *("notifications/message", "notifications/resources/updated", "notifications/tools/list_changed", "x"),
    ]
)
MESSAGES = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0")},
    optional={"id": JSON, "method": METHODS | JSON, "params": JSON, "result": JSON, "error": JSON},
)
LINES = st.binary(max_size=40) | st.builds(lambda document: json.dumps(document).encode(), MESSAGES | JSON)


@asynccontextmanager
async def converse(*, is_shared: bool = False) -> AsyncIterator[tuple[StdioConnection, Sessions]]:
    """A connection that the test itself is the server of; the process behind only listens."""
    sessions = Sessions(on_end=lambda _: None)
    place = Place(None if is_shared else ALICE, "h")
    launch = Launch((sys.executable, COMMAND[1]), build_environment({}), None, ())
    connection = StdioConnection(launch, sessions=lambda: sessions.at(place), is_shared=is_shared)
    with anyio.fail_after(20):
        await connection.start(lambda _: None)
        for identity in (ALICE, BOB) if is_shared else (ALICE,):
            sessions.open(identity, place, {}, "2025-11-25")
        try:
            yield connection, sessions
        finally:
            await connection.stop()


@pytest.mark.parametrize("is_shared", [False, True])
async def test_no_line_stops_a_conversation(*, is_shared: bool) -> None:
    lines: list[bytes] = []

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    @given(LINES)
    def collect(line: bytes) -> None:
        lines.append(line)

    collect()
    async with converse(is_shared=is_shared) as (connection, sessions):
        for line in lines:
            await connection._on_line(line)
        for session in [session for identity in (ALICE, BOB) for session in sessions.at(Place(identity, "h"))]:
            for waiting in session.outbox.close():
                assert isinstance(json.loads(waiting.data), dict)
        answer = await connection.call("ping", {}, within=10)
        assert answer["result"] == {}


@settings(max_examples=200)
@given(JSON.map(lambda value: {"value": value}))
def test_a_message_is_one_line_and_arrives_as_it_was(message: dict[str, Any]) -> None:
    line = encode(message)
    assert b"\n" not in line
    assert b"\r" not in line
    assert encode(parse_line(line)[0]) == line


async def test_an_outbox_that_is_full_takes_answers_alone() -> None:
    outbox = Outbox(answers=1)
    for _ in range(MAX_WAITING):
        assert await outbox.put({"n": 1}, patience=0)
    assert not await outbox.put({"n": 2}, patience=0)
    assert not await outbox.put({"n": 2}, patience=0.01)
    outbox.answer({"answer": True})
    taken = [await outbox.take(within=1) for _ in range(MAX_WAITING + 1)]
    assert taken[-1] is not None
    assert taken[-1].is_answer
    with pytest.raises(EOFError):
        await outbox.take(within=1)


async def test_whoever_brings_more_waits_until_there_is_room() -> None:
    outbox = Outbox()
    while await outbox.put({"x": "y" * 50_000}, patience=0):
        pass
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: outbox.put({"last": True}, patience=10))
        with anyio.fail_after(5):
            while (message := await outbox.take(within=5)) is not None:
                if b"last" in message.data:
                    break


async def test_an_outbox_for_plain_json_takes_nothing_else() -> None:
    outbox = Outbox(answers=1, takes_all=False)
    assert not await outbox.put({"n": 1}, patience=0)


async def test_in_a_shared_process_only_subscribers_learn_of_an_update() -> None:
    async with converse(is_shared=True) as (connection, sessions):
        alice, bob = sessions.at(Place(None, "h"))
        bob.subscriptions.add("file:///notes")
        await connection._on_line(
            b'{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"file:///notes/1"}}'
        )
        assert [len(session.outbox.close()) for session in (alice, bob)] == [0, 1]
