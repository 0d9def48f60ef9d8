"""Bodies made to keep everybody else waiting: refused for what they cost, and never held for longer than they may."""

import json
from typing import Any

import pytest

from doorward.resource.policy import MAX_BATCH, MAX_BODY_SIZE, MAX_MEMBER_LENGTH, MAX_MEMBERS
from tests.resource.world import Echo, Mint, browse

TOOLS = {"look": ["tools:read"]}
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
LIGATURE = "\ufdfa"
"""Eighteen letters once it is normalized."""


async def post(body: Any) -> tuple[int, int]:
    """The status, and how many requests reached the app."""
    mint, app = Mint(), Echo()
    headers = {"Content-Type": "application/json", **mint.header()}
    async with browse(mint.protect(app, tools=TOOLS)) as client:
        content = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        return (await client.post("/mcp", content=content.encode(), headers=headers)).status_code, app.calls


@pytest.mark.parametrize("message", ["{}", json.dumps(PING), '{"jsonrpc":"2.0","id":1,"result":{}}'])
async def test_a_batch_of_a_million_messages_is_refused_for_its_number_t48(message: str) -> None:
    number = (MAX_BODY_SIZE - 2) // (len(message) + 1)
    assert await post(f"[{','.join([message] * number)}]") == (400, 0)


async def test_a_batch_may_have_a_hundred_messages() -> None:
    assert await post([PING] * MAX_BATCH) == (200, 1)
    assert await post([PING] * (MAX_BATCH + 1)) == (400, 0)


@pytest.mark.parametrize("where", ["message", "params", "_meta"])
async def test_a_message_has_as_many_members_as_anybody_needs_and_none_with_a_name_like_a_book_t48(where: str) -> None:
    def build(members: dict[str, Any]) -> dict[str, Any]:
        if where == "message":
            return {**PING, **members}
        return {**PING, "params": members if where == "params" else {"_meta": members}}

    assert await post(build({f"a{number}": 0 for number in range(MAX_MEMBERS - 4)})) == (200, 1)
    assert await post(build({f"a{number}": 0 for number in range(MAX_MEMBERS + 1)})) == (400, 0)
    assert await post(build({"a" * MAX_MEMBER_LENGTH: 0})) == (200, 1)
    assert await post(build({LIGATURE * (MAX_BODY_SIZE // 4): 0})) == (400, 0)


async def test_what_a_tool_is_given_may_be_as_large_and_as_odd_as_a_body_can_be() -> None:
    arguments = {f"a{number}": [0] * 10 for number in range(20_000)} | {"é" * 10_000: 1}
    call = {**PING, "method": "tools/call", "params": {"name": "look", "arguments": arguments}}
    assert await post(call) == (200, 1)
