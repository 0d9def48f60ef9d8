"""Bodies made to keep everybody else waiting: refused for what they cost, and never held for longer than they may."""

import json
import time
from typing import Any

import anyio
import pytest

from doorward.resource import JWTVerifier, asgi, middleware
from doorward.resource.asgi import SHORT_BODY, ASGIApp
from doorward.resource.inspection import MAX_LONG_BODIES_OF_A_PERSON
from doorward.resource.legacy import LegacyShim
from doorward.resource.policy import MAX_BATCH, MAX_BODY_SIZE, MAX_MEMBER_LENGTH, MAX_MEMBERS
from tests.resource.world import Clock, Echo, Keys, Mint, browse

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


async def test_a_batch_may_have_three_hundred_messages() -> None:
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


class Slow:
    """A request whose body stops before its end until it is let go."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = list(parts)
        self.waits = anyio.Event()
        self.goes_on = anyio.Event()
        self.sent: list[Any] = []

    async def receive(self) -> Any:
        if len(self.parts) == 1:
            self.waits.set()
            await self.goes_on.wait()
        return {"type": "http.request", "body": self.parts.pop(0), "more_body": bool(self.parts)}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def run(self, app: ASGIApp, headers: dict[str, str], path: str = "/mcp") -> None:
        given = {"Host": "api.test", "Content-Type": "application/json", **headers}
        encoded = [(name.lower().encode(), value.encode()) for name, value in given.items()]
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": encoded}
        await app(scope, self.receive, self.send)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])


async def test_a_body_that_never_ends_is_given_up_t48(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "BODY_SECONDS", 0.05)
    mint, app, slow = Mint(), Echo(), Slow(b"{", b"")
    with anyio.fail_after(10):
        await slow.run(mint.protect(app, tools=TOOLS), mint.header())
    assert (slow.status, app.calls) == (408, 0)


async def test_one_person_holds_a_few_long_bodies_at_once_and_others_are_served_t48() -> None:
    mint, app = Mint(), Echo()
    guard = mint.protect(app, tools=TOOLS)
    held = [Slow(b" " * (SHORT_BODY + 1), b"{}") for _ in range(MAX_LONG_BODIES_OF_A_PERSON)]
    more, short, others = Slow(b" " * (SHORT_BODY + 1), b"{}"), Slow(b" ", b"{}"), Slow(b" " * (SHORT_BODY + 1), b"{}")
    async with anyio.create_task_group() as tasks:
        for slow in held:
            tasks.start_soon(slow.run, guard, mint.header())
            await slow.waits.wait()
        await more.run(guard, mint.header(client_id="another"))
        short.goes_on.set()
        await short.run(guard, mint.header())
        others.goes_on.set()
        await others.run(guard, mint.header(sub="bob"))
        assert (more.status, short.status, others.status) == (429, 200, 200)
        for slow in held:
            slow.goes_on.set()
    assert [slow.status for slow in held] == [200] * len(held)


async def test_a_call_whose_token_ended_while_its_body_was_on_its_way_is_not_made_rs_02(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(middleware, "RECHECK_SECONDS", 0.0)
    mint, app, slow, clock = Mint(), Echo(), Slow(b"{", b"}"), Clock(time.time())
    verifier = JWTVerifier(issuer=mint.issuer, resource=mint.resource, keys=Keys(mint.key), clock=clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slow.run, mint.protect(app, tools=TOOLS, verifier=verifier), mint.header())
        await slow.waits.wait()
        clock.now += 3600
        slow.goes_on.set()
    assert (slow.status, app.calls) == (401, 0)
    assert dict(slow.sent[0]["headers"])[b"www-authenticate"].startswith(b'Bearer error="invalid_token"')


async def test_a_body_with_two_ends_is_no_fault_of_the_servers_at_the_addresses_of_old_clients_t48() -> None:
    shim = LegacyShim(Echo(), issuer="https://auth.test", resource="https://api.test/mcp")
    slow = Slow(b"")
    slow.goes_on.set()
    await slow.run(shim, {"Transfer-Encoding": "chunked", "Content-Length": "0"}, "/token")
    assert slow.status == 400
