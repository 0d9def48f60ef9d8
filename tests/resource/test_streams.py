"""An open stream ends with the token it was opened with, and with nothing else (TRN-14, T22)."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest

from doorward.oauth.dpop import DpopProof
from doorward.oauth.jwt import InvalidToken
from doorward.oauth.revocations import RevocationDocument, RevocationEntry, digest_subject
from doorward.resource import IntrospectionVerifier, JWKSKeys, JWTVerifier, Principal, RevocationFeed
from doorward.resource.streams import RECHECK_SECONDS, Streams
from doorward.resource.verifier import VerifierUnavailable
from tests.resource.feed_world import say
from tests.resource.possession import Holder
from tests.resource.world import Clock, Keys, Mint, bind, run_issuer, serve
from tests.waiting import until

TASK = "tokens of open streams"
BOUND_SECONDS = 20
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "weather"}}


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens are asked about more often than in earnest, so that no test waits for the clock."""
    monkeypatch.setattr("doorward.resource.streams.RECHECK_SECONDS", 0.01)


class Verdicts:
    """A verifier that says of each token what it is told to: good, ended, or nothing for now."""

    def __init__(self, mint: Mint) -> None:
        self._inner = mint.verifier()
        self.ended: set[str] = set()
        self.error: Exception | None = None
        self.asked = 0

    async def verify(self, token: str) -> Principal:
        return self._judge(token, await self._inner.verify(token))

    async def verify_bound(self, token: str, proof: DpopProof) -> Principal:
        return self._judge(token, await self._inner.verify_bound(token, proof))

    def _judge(self, token: str, principal: Principal) -> Principal:
        self.asked += 1
        if self.error is not None:
            raise self.error
        if token in self.ended:
            raise InvalidToken("token was revoked")
        return principal

    async def until_asked(self, times: int) -> None:
        goal = self.asked + times

        async def is_asked() -> bool:
            return self.asked >= goal

        await until(is_asked)


class Source:
    """Streams one event to whoever comes, and goes on when it is told to; says how each of them ended."""

    def __init__(self, content_type: str = "text/event-stream") -> None:
        self.content_type = content_type
        self.go_on = anyio.Event()
        self.ends: list[str] = []
        self.open = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        self.open += 1
        try:
            headers = [(b"content-type", self.content_type.encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"data: one\n\n", "more_body": True})
            await self._wait(receive)
            await send({"type": "http.response.body", "body": b"data: two\n\n", "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.CancelledError:
            self.ends.append("cancelled")
            raise
        finally:
            self.open -= 1

    async def _wait(self, receive: Any) -> None:
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                self.ends.append("left")
                self.go_on.set()

            tasks.start_soon(watch)
            await self.go_on.wait()
            tasks.cancel_scope.cancel()


class World:
    """A guard on real sockets whose verifier says what it is told."""

    def __init__(self, url: str, source: Any, mint: Mint | None = None, **options: Any) -> None:
        self.url = f"{url}/mcp"
        self.mint = mint or Mint(resource=self.url)
        self.source = source
        self.verdicts = Verdicts(self.mint)
        self.guard = self.mint.protect(source, **{"verifier": self.verdicts, **options})
        self.streams: Streams = self.guard._streams  # what is open there is what this is about
        self.client = httpx2.AsyncClient(timeout=BOUND_SECONDS, limits=httpx2.Limits(max_connections=None))

    @asynccontextmanager
    async def open(self, headers: dict[str, str], method: str = "GET") -> AsyncIterator[AsyncIterator[str]]:
        """A stream whose first event is there; ends when it is taken to its end or left."""
        body = CALL if method == "POST" else None
        async with self.client.stream(method, self.url, json=body, headers=headers) as response:
            assert response.status_code == 200
            chunks = response.aiter_text()
            assert await anext(chunks) == "data: one\n\n"
            yield chunks

    async def until_open(self, count: int) -> None:
        async def is_so() -> bool:
            return len(self.streams) == count

        await until(is_so)

    async def until_task_ended(self) -> None:
        async def is_so() -> bool:
            return not find_tasks()

        await until(is_so)


def find_tasks() -> list[Any]:
    return [task for task in asyncio.all_tasks() if task.get_name() == TASK]


@asynccontextmanager
async def running(source: Any = None, at: Any = None, mint: Mint | None = None, **options: Any) -> AsyncIterator[World]:
    """A world, on a socket of its own or on the one `at` gives with its URL."""
    listener, url = at or bind()
    world = World(url, source or Source(), mint, **options)
    with anyio.fail_after(60):
        async with serve(world.guard, listener, lifespan="off"), world.client:
            yield world


async def rest_of(chunks: AsyncIterator[str]) -> list[str]:
    return [chunk async for chunk in chunks]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("filters", [False, True])
async def test_a_stream_ends_when_its_token_does_trn_14_c17(method: str, *, filters: bool) -> None:
    options: dict[str, Any] = {"tools": {"weather": []}} if filters else {}
    async with running(**options) as world:
        token = world.mint.token()
        async with world.open({"Authorization": f"Bearer {token}"}, method) as chunks:
            await world.verdicts.until_asked(3)
            assert world.source.open == 1
            world.verdicts.ended.add(token)
            assert await rest_of(chunks) == []  # and no error: to the client it is a stream that ended
        assert (world.source.ends, world.source.open, len(world.streams)) == (["cancelled"], 0, 0)
        await world.until_task_ended()


async def test_a_stream_ends_when_its_token_expires_trn_14() -> None:
    listener, url = bind()
    mint, clock = Mint(resource=f"{url}/mcp"), Clock(time.time())
    verifier = JWTVerifier(issuer=mint.issuer, resource=mint.resource, keys=Keys(mint.key), clock=clock)
    async with running(at=(listener, url), mint=mint, verifier=verifier) as world:
        async with world.open(mint.header(exp=int(clock.now) + 60)) as chunks:
            clock.now += 89
            assert world.source.open == 1
            clock.now += 2
            assert await rest_of(chunks) == []
        assert world.source.ends == ["cancelled"]


async def test_a_stream_of_a_bound_token_ends_with_it_though_its_proof_is_used_up_trn_14_dpop_07() -> None:
    async with running(dpop="required") as world:
        holder = Holder(world.mint)
        async with world.open(holder.headers("GET", world.url)) as chunks:
            await world.verdicts.until_asked(3)
            assert world.source.open == 1
            world.verdicts.ended.add(holder.token)
            assert await rest_of(chunks) == []
        assert world.source.ends == ["cancelled"]


@pytest.mark.parametrize(("kind", "name"), [("jti", "token-1"), ("grant", "grant-1"), ("key", "")])
async def test_a_stream_ends_with_what_the_issuers_feed_says_trn_14(kind: Any, name: str) -> None:
    listener, url = bind()
    async with run_issuer(f"{url}/mcp") as issuer:
        now = int(time.time())
        say(issuer, RevocationDocument(now, "", "1.rvk_a", is_full=True, has_more=False, entries=()))
        feed = RevocationFeed(issuer=issuer.url)
        keys = JWKSKeys(issuer.url)
        verifier = JWTVerifier(issuer=issuer.url, resource=issuer.mint.resource, keys=keys, revocations=feed)
        async with running(at=(listener, url), mint=issuer.mint, verifier=verifier) as world, feed:
            header = issuer.mint.header(jti="token-1", grant_id="grant-1")
            async with world.open(header) as chunks:
                entry = RevocationEntry(digest_subject(kind, name or issuer.mint.key.kid), "void", now, now + 3720)
                told = RevocationDocument(
                    int(time.time()), "", "2.rvk_b", is_full=True, has_more=False, entries=(entry,)
                )
                say(issuer, told)
                assert await rest_of(chunks) == []
            assert world.source.ends == ["cancelled"]


async def test_a_stream_ends_when_introspection_says_so_and_goes_on_while_it_says_nothing_trn_14() -> None:
    listener, url = bind()
    async with run_issuer(f"{url}/mcp") as issuer:
        claims = {
            "active": True,
            "aud": issuer.mint.resource,
            "sub": "alice",
            "client_id": "app",
            "scope": "tools:read",
        }
        issuer.opaque["opaque-1"] = {**claims, "exp": int(time.time()) + 900}
        verifier = IntrospectionVerifier(
            issuer=issuer.url, resource=issuer.mint.resource, key="k", cache_seconds=0, insecure_http=True
        )
        async with (
            verifier,
            running(at=(listener, url), mint=issuer.mint, verifier=verifier) as world,
            world.open({"Authorization": "Bearer opaque-1"}) as chunks,
        ):
            issuer.down = True
            seen = issuer.seen["/introspect"]
            await until(lambda: _is(lambda: issuer.seen["/introspect"] > seen + 2))
            assert world.source.open == 1
            issuer.down = False
            issuer.opaque["opaque-1"] = {"active": False}
            assert await rest_of(chunks) == []


async def _is(condition: Callable[[], bool]) -> bool:
    return condition()


@pytest.mark.parametrize("error", [VerifierUnavailable("down"), RuntimeError("a bug"), OSError()])
async def test_a_stream_goes_on_while_nobody_can_say_whether_its_token_is_good(error: Exception) -> None:
    async with running() as world:
        async with world.open(world.mint.header()) as chunks:
            world.verdicts.error = error
            await world.verdicts.until_asked(5)
            world.verdicts.error = None
            await world.verdicts.until_asked(1)
            world.source.go_on.set()
            assert await rest_of(chunks) == ["data: two\n\n"]
        assert world.source.ends == []
        await world.until_task_ended()


@pytest.mark.parametrize("error", [VerifierUnavailable("down"), RuntimeError("a bug")])
async def test_an_outage_lets_no_stream_outlive_its_token_trn_14(error: Exception) -> None:
    async with running() as world:
        clock = Clock(time.time())
        world.streams._clock = clock  # the guard takes the world's own
        async with world.open(world.mint.header(exp=int(clock.now) + 900)) as chunks:
            world.verdicts.error = error
            clock.now += 959
            await world.verdicts.until_asked(3)
            assert world.source.open == 1
            clock.now += 2
            assert await rest_of(chunks) == []


async def test_two_hundred_streams_are_watched_by_one_task_and_end_one_by_one() -> None:
    async with running() as world, AsyncExitStack() as stack:
        tokens = [world.mint.token(sub=f"user-{number}") for number in range(200)]
        opened = [world.open({"Authorization": f"Bearer {token}"}) for token in tokens]
        streams = [await stack.enter_async_context(stream) for stream in opened]
        assert (len(world.streams), len(find_tasks())) == (200, 1)
        world.verdicts.ended.update(tokens[::2])
        for chunks in streams[::2]:
            assert await rest_of(chunks) == []
        await world.verdicts.until_asked(200)
        assert (len(world.streams), world.source.open, len(find_tasks())) == (100, 100, 1)
        world.source.go_on.set()
        for chunks in streams[1::2]:
            assert await rest_of(chunks) == ["data: two\n\n"]
        await world.until_task_ended()
        assert (len(world.streams), world.source.ends) == (0, ["cancelled"] * 100)


async def test_a_stream_that_comes_after_the_task_has_ended_is_watched_by_a_new_one() -> None:
    async with running() as world:
        for _ in range(3):
            assert find_tasks() == []
            token = world.mint.token()
            async with world.open({"Authorization": f"Bearer {token}"}) as chunks:
                assert len(find_tasks()) == 1
                world.verdicts.ended.add(token)
                assert await rest_of(chunks) == []
            await world.until_task_ended()


async def test_a_client_that_leaves_is_watched_no_more() -> None:
    async with running() as world:
        async with world.open(world.mint.header()), world.open(world.mint.header()):
            await world.until_open(2)
        await world.until_open(0)
        await world.until_task_ended()
        assert (world.source.open, world.source.ends) == (0, ["left", "left"])


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/octet-stream"])
async def test_what_is_no_event_stream_is_never_cut_short(content_type: str) -> None:
    async with running(Source(content_type)) as world:
        token = world.mint.token()
        async with world.open({"Authorization": f"Bearer {token}"}) as chunks:
            world.verdicts.ended.add(token)
            other = world.mint.token()
            world.source.content_type = "text/event-stream"
            async with world.open({"Authorization": f"Bearer {other}"}):
                await world.verdicts.until_asked(5)
                assert len(world.streams) == 1
            world.source.go_on.set()
            assert await rest_of(chunks) == ["data: two\n\n"]


async def test_an_event_stream_by_any_spelling_ends() -> None:
    for content_type in ("Text/Event-Stream", "text/event-stream;charset=utf-8", "x, text/event-stream"):
        async with running(Source(content_type)) as world:
            token = world.mint.token()
            async with world.open({"Authorization": f"Bearer {token}"}) as chunks:
                world.verdicts.ended.add(token)
                assert await rest_of(chunks) == []


async def test_an_ending_stream_leaves_every_other_request_alone() -> None:
    """All of them run in tasks that one ending could reach: another stream, a request that waits, its own client's."""
    async with running() as world:
        token, other = world.mint.token(), world.mint.token()
        async with world.open({"Authorization": f"Bearer {other}"}) as kept:
            async with world.open({"Authorization": f"Bearer {token}"}) as chunks:
                world.verdicts.ended.add(token)
                assert await rest_of(chunks) == []
            await world.verdicts.until_asked(3)
            world.source.go_on.set()
            assert await rest_of(kept) == ["data: two\n\n"]
        assert world.source.ends == ["cancelled"]
        # The connection of the ended stream is good for more, and no cancellation waits on it.
        async with world.open({"Authorization": f"Bearer {world.mint.token()}"}) as chunks:
            assert await rest_of(chunks) == ["data: two\n\n"]


# How an app may behave when its stream ends; without a server in between, since it is about the messages


async def play(app: Any, *, good: Callable[[], bool]) -> list[Any]:
    """The messages of an app whose token is good for as long as `good` says."""
    sent: list[Any] = []

    async def recheck() -> None:
        if not good():
            raise InvalidToken("over")

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        await anyio.sleep_forever()

    streams = Streams()
    with anyio.fail_after(BOUND_SECONDS):
        await streams.serve(app, {}, receive, send, recheck=recheck, expires_at=10**10)
    assert len(streams) == 0
    return sent


START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
ENDED = {"type": "http.response.body", "body": b"", "more_body": False}


async def test_an_app_that_takes_its_cancellation_for_an_end_has_its_stream_ended() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        try:
            await anyio.sleep_forever()
        except asyncio.CancelledError:
            return

    assert await play(app, good=lambda: False) == [START, ENDED]


async def test_an_app_that_ends_its_stream_by_itself_has_it_ended_once() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        try:
            await anyio.sleep_forever()
        finally:
            await send(dict(ENDED))

    assert await play(app, good=lambda: False) == [START, ENDED]


async def test_what_an_app_does_after_its_stream_is_not_cut_short() -> None:
    done: list[str] = []
    asked = 0

    def is_good() -> bool:
        nonlocal asked
        asked += 1
        return False

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(dict(ENDED))
        await anyio.sleep(0.05)  # the token ends in the meantime, but nobody asks any more
        done.append("written")

    assert await play(app, good=is_good) == [START, ENDED]
    assert (done, asked) == (["written"], 0)


async def test_an_apps_own_error_is_its_own() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        raise LookupError("its own")

    with pytest.raises(LookupError, match="its own"):
        await play(app, good=lambda: True)


async def test_an_error_of_an_app_that_is_ended_is_its_own_too() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        try:
            await anyio.sleep_forever()
        finally:
            raise LookupError("its own")

    with pytest.raises(LookupError, match="its own"):
        await play(app, good=lambda: False)


async def test_a_cancellation_from_outside_is_passed_on() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await anyio.sleep_forever()

    ended: list[str] = []
    with anyio.fail_after(BOUND_SECONDS):
        async with anyio.create_task_group() as tasks:

            async def run() -> None:
                try:
                    await play(app, good=lambda: True)
                finally:
                    ended.append("cancelled")

            tasks.start_soon(run)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
    assert ended == ["cancelled"]


async def test_tasks_of_an_app_in_a_stream_end_with_it_and_those_elsewhere_go_on() -> None:
    ended: list[str] = []

    async def work(name: str) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(name)

    elsewhere = asyncio.create_task(work("elsewhere"))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work, "inside")
            await send(START)
            await anyio.sleep_forever()

    assert await play(app, good=lambda: False) == [START, ENDED]
    assert (ended, elsewhere.done()) == (["inside"], False)
    elsewhere.cancel()
    await asyncio.wait([elsewhere])


def test_tokens_are_asked_about_often_enough_for_a_second() -> None:
    assert RECHECK_SECONDS <= 0.5
