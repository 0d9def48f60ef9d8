"""Counters: never more than the limit in a window, all charges or none, wherever is counted (T52)."""

import logging
import sqlite3
import stat
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from doorward.resource import Charge, Counters, CountersUnavailable, Short
from doorward.resource.counters import RETRY_SECONDS, FallbackCounters, LocalCounters
from doorward.resource.counters_redis import RedisCounters
from doorward.resource.counters_sqlite import SQLiteCounters, prepare
from tests.resource.redis_process import RunningRedis, run_redis
from tests.resource.world import Clock

NOW = 1_800_000_000.0  # the start of a minute and of an hour
KINDS = ("local", "fallback", "sqlite", "redis")


def charge(key: str = "a", cost: int = 1, limit: int = 10, seconds: int = 60) -> Charge:
    return Charge(key, cost, limit, seconds)


@pytest.fixture(scope="session")
def redis() -> Iterator[RunningRedis]:
    with run_redis() as running:
        yield running


@pytest.fixture(params=KINDS)
async def open_counters(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Callable[[], Counters]]:
    """Makes counters of one kind; of those that are shared, each has a connection of its own to the same store."""
    opened: list[Counters] = []
    local = LocalCounters()
    url = ""
    if request.param == "redis":
        url = request.getfixturevalue("redis").url
        async with Redis.from_url(url) as client:
            await client.flushall()

    def make() -> Counters:
        kinds: dict[str, Callable[[], Counters]] = {
            "local": lambda: local,
            "fallback": lambda: FallbackCounters(SQLiteCounters(tmp_path / "counters.db")),
            "sqlite": lambda: SQLiteCounters(tmp_path / "counters.db"),
            "redis": lambda: RedisCounters(url),
        }
        opened.append(kinds[request.param]())
        return opened[-1]

    yield make
    for counters in opened:
        await counters.aclose()


@pytest.fixture
def counters(open_counters: Callable[[], Counters]) -> Counters:
    return open_counters()


async def test_as_many_get_through_as_the_limit_says_and_no_more(counters: Counters) -> None:
    for _ in range(10):
        assert await counters.take([charge()], now=NOW) is None
    assert await counters.take([charge()], now=NOW + 59.9) == Short((10,))
    assert await counters.take([charge("b")], now=NOW) is None


async def test_a_window_begins_with_the_minute_and_has_the_whole_limit_again(counters: Counters) -> None:
    assert await counters.take([charge(cost=10)], now=NOW + 59.999) is None
    assert await counters.take([charge()], now=NOW + 59.999) == Short((10,))
    assert await counters.take([charge(cost=10)], now=NOW + 60) is None
    assert await counters.take([charge()], now=NOW + 60) == Short((10,))


async def test_a_clock_that_lags_counts_in_its_own_window(counters: Counters) -> None:
    assert await counters.take([charge(cost=10)], now=NOW + 60) is None
    assert await counters.take([charge(cost=9)], now=NOW + 59) is None
    assert await counters.take([charge(cost=2)], now=NOW + 59) == Short((9,))
    assert await counters.take([charge()], now=NOW + 60) == Short((10,))


async def test_nothing_is_charged_when_one_of_several_is_too_much(counters: Counters) -> None:
    assert await counters.take([charge("a", 9), charge("b", 10)], now=NOW) is None
    assert await counters.take([charge("a"), charge("b"), charge("c")], now=NOW) == Short((9, 10, 0))
    assert await counters.take([charge("c", 5), charge("a", 2)], now=NOW) == Short((0, 9))
    assert await counters.take([charge("c", 11), charge("a")], now=NOW) == Short((0, 9))
    assert await counters.take([charge("c", 10), charge("a")], now=NOW) is None


async def test_limits_may_differ_between_those_who_ask(counters: Counters) -> None:
    assert await counters.take([charge(cost=5, limit=5)], now=NOW) is None
    assert await counters.take([charge(limit=5)], now=NOW) == Short((5,))
    assert await counters.take([charge(cost=5, limit=10)], now=NOW) is None
    assert await counters.take([charge(limit=5)], now=NOW) == Short((10,))


async def test_of_64_callers_at_once_over_three_connections_ten_get_through(
    open_counters: Callable[[], Counters],
) -> None:
    connections = [open_counters() for _ in range(3)]
    answers: list[Short | None] = []

    async def call(number: int) -> None:
        charges = [charge("user"), charge(f"{number % 4}", limit=100), charge("day", limit=1000, seconds=86_400)]
        answers.append(await connections[number % 3].take(charges, now=NOW))

    async with anyio.create_task_group() as tasks:
        for number in range(64):
            tasks.start_soon(call, number)
    assert Counter(answer is None for answer in answers) == {True: 10, False: 54}
    # What was not let through was charged to nothing else, either.
    rest = [charge("day", 991, limit=1000, seconds=86_400)]
    assert await connections[0].take(rest, now=NOW) == Short((10,))


TAKES = st.lists(
    st.tuples(
        st.lists(
            st.builds(Charge, st.sampled_from("ab"), st.integers(1, 4), st.integers(1, 6), st.sampled_from([1, 3, 60])),
            min_size=1,
            max_size=3,
            unique_by=lambda one: (one.key, one.seconds),
        ),
        st.floats(0, 60),  # clocks may be a minute apart: what is over is kept for as long
    ),
    max_size=30,
)


@asynccontextmanager
async def in_memory() -> AsyncIterator[list[Counters]]:
    counters = SQLiteCounters("unused")
    counters._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    prepare(counters._connection)
    yield [LocalCounters(), counters]
    await counters.aclose()


@settings(max_examples=60, deadline=None)
@given(TAKES)
async def test_no_window_ever_takes_more_and_nothing_is_refused_that_fits(
    takes: Sequence[tuple[list[Charge], float]],
) -> None:
    async with in_memory() as stores:
        model: Counter[tuple[str, int, int]] = Counter()
        for charges, later in takes:
            # Two windows of one key are two counters: their keys differ, as those of budgets do.
            asked = [Charge(f"{one.key}{one.seconds}", one.cost, one.limit, one.seconds) for one in charges]
            windows = [(one.key, one.seconds, int((NOW + later) // one.seconds)) for one in charges]
            used = tuple(model[window] for window in windows)
            fits = all(have + one.cost <= one.limit for have, one in zip(used, charges, strict=True))
            for store in stores:
                assert await store.take(asked, now=NOW + later) == (None if fits else Short(used))
            if fits:
                model.update(dict(zip(windows, (one.cost for one in charges), strict=True)))


async def test_memory_is_bounded_and_what_is_used_up_stays_so() -> None:
    counters = LocalCounters(limit=100)
    await counters.take([charge("mine", 10, seconds=86_400)], now=NOW)
    for number in range(1000):
        assert await counters.take([charge(f"{number}", seconds=86_400)], now=NOW) is None
        assert len(counters) <= 100
    assert await counters.take([charge("mine", seconds=86_400)], now=NOW) == Short((10,))


async def test_windows_that_are_over_make_room_first() -> None:
    counters = LocalCounters(limit=100)
    for number in range(100):
        await counters.take([charge(f"{number}")], now=NOW)
    await counters.take([charge("next", 10)], now=NOW + 60)
    assert len(counters) == 1
    assert await counters.take([charge("next")], now=NOW + 60) == Short((10,))


async def test_a_file_is_its_owners_alone_and_forgets_what_is_over(tmp_path: Path) -> None:
    path = tmp_path / "counters.db"
    counters = SQLiteCounters(path)
    for number in range(50):
        await counters.take([charge(f"{number}")], now=NOW)
    await counters.take([charge("later")], now=NOW + 3600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with closing(sqlite3.connect(path)) as other:
        assert [row[0] for row in other.execute("SELECT counter FROM counters")] == [
            charge("later").counter_at(NOW + 3600)
        ]
    await counters.aclose()


async def test_a_file_is_bounded_and_what_is_used_up_stays_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doorward.resource.counters_sqlite.MAX_ROWS", 20)
    counters = SQLiteCounters(tmp_path / "counters.db")
    await counters.take([charge("mine", 10, seconds=86_400)], now=NOW)
    for number in range(60):
        await counters.take([charge(f"{number}", seconds=86_400)], now=NOW + number)
    await counters.take([charge("last", seconds=86_400)], now=NOW + 61)
    assert await counters.take([charge("mine", seconds=86_400)], now=NOW) == Short((10,))
    with closing(sqlite3.connect(tmp_path / "counters.db")) as other:
        assert other.execute("SELECT count(*) FROM counters").fetchone() == (20,)
    await counters.aclose()


async def test_an_error_within_a_charge_leaves_nothing_locked_or_charged(tmp_path: Path) -> None:
    first, second = (SQLiteCounters(tmp_path / "counters.db") for _ in range(2))
    await first.take([charge()], now=NOW)
    with closing(sqlite3.connect(tmp_path / "counters.db")) as other:
        other.execute(
            "CREATE TRIGGER full BEFORE INSERT ON counters WHEN NEW.counter LIKE 'b:%' "
            "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        )
    with pytest.raises(CountersUnavailable, match="the disk is full"):
        await first.take([charge(cost=2), charge("b")], now=NOW)
    assert await second.take([charge(cost=10)], now=NOW) == Short((1,))
    assert await first.take([charge(cost=9)], now=NOW) is None
    for counters in (first, second):
        await counters.aclose()


@pytest.mark.parametrize("wrong", ["a folder", "no database"])
async def test_a_file_that_cannot_be_used_is_unavailable(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "counters.db"
    if wrong == "a folder":
        path.mkdir()
    else:
        path.write_bytes(b"no database" * 1000)
    counters = SQLiteCounters(path)
    with pytest.raises(CountersUnavailable, match=r"counters\.db"):
        await counters.take([charge()], now=NOW)
    await counters.aclose()


async def test_those_who_stand_in_line_do_not_wait_for_a_failing_file_one_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doorward.resource.counters_sqlite.BUSY_SECONDS", 0.1)
    path = tmp_path / "counters.db"
    counters = SQLiteCounters(path)
    await counters.take([charge()], now=NOW)
    await counters.aclose()
    reasons: Counter[bool] = Counter()

    async def call() -> None:
        with pytest.raises(CountersUnavailable) as caught:
            await counters.take([charge()], now=NOW)
        reasons[caught.value.__cause__ is not None] += 1

    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        async with anyio.create_task_group() as tasks:
            for _ in range(64):
                tasks.start_soon(call)
        holder.execute("ROLLBACK")
    assert reasons == {True: 1, False: 63}
    assert await counters.take([charge(cost=9)], now=NOW) is None
    await counters.aclose()


class Flaky:
    """Counters whose store is away when told so, and that count how often they were asked."""

    def __init__(self) -> None:
        self.local = LocalCounters()
        self.away = False
        self.asked = 0

    async def take(self, charges: Sequence[Charge], *, now: float) -> Short | None:
        self.asked += 1
        await anyio.lowlevel.checkpoint()
        if self.away:
            raise CountersUnavailable("the store went fishing")
        return await self.local.take(charges, now=now)

    async def aclose(self) -> None:
        await self.local.aclose()


async def test_while_the_store_is_away_this_process_goes_on_with_what_it_granted_t52(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="doorward.resource")
    store, clock = Flaky(), Clock()
    counters = FallbackCounters(store, clock=clock)
    await store.local.take([charge(cost=3)], now=NOW)  # by another process
    for _ in range(4):
        assert await counters.take([charge()], now=NOW) is None
    store.away = True
    for _ in range(6):
        assert await counters.take([charge()], now=NOW) is None
    assert await counters.take([charge()], now=NOW) == Short((10,))
    assert store.asked == 5
    assert [record.message for record in caplog.records] == [
        "Budgets are counted by this process alone, since their store is away: the store went fishing"
    ]


async def test_the_store_is_asked_again_by_one_caller_and_said_to_be_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="doorward.resource")
    store, clock = Flaky(), Clock()
    counters = FallbackCounters(store, clock=clock)
    store.away = True
    for _ in range(3):
        clock.now += RETRY_SECONDS
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(lambda: counters.take([charge(limit=100)], now=NOW))
    assert (store.asked, len(caplog.records)) == (5 + 2, 1)
    store.away = False
    clock.now += RETRY_SECONDS
    assert await counters.take([charge(cost=10)], now=NOW) is None
    assert await counters.take([charge()], now=NOW) == Short((10,))
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_a_redis_that_is_killed_is_unavailable_and_found_again(caplog: pytest.LogCaptureFixture) -> None:
    with run_redis() as running:
        shared, clock = RedisCounters(running.url), Clock()
        counters = FallbackCounters(shared, clock=clock)
        assert await counters.take([charge(cost=4)], now=NOW) is None
        running.kill()
        with pytest.raises(CountersUnavailable, match="Redis: ConnectionError"):
            await shared.take([charge()], now=NOW)
        assert await counters.take([charge(cost=6)], now=NOW) is None
        assert await counters.take([charge()], now=NOW) == Short((10,))
        running.start()
        clock.now += RETRY_SECONDS
        assert await counters.take([charge(cost=10)], now=NOW) is None
        assert await counters.take([charge()], now=NOW) == Short((10,))
        await counters.aclose()


async def test_redis_keeps_counters_for_a_minute_beyond_their_window_and_learns_no_names(redis: RunningRedis) -> None:
    async with Redis.from_url(redis.url) as client:
        await client.flushall()
        counters = RedisCounters(client)
        assert await counters.take([charge("k")], now=NOW + 20) is None
        await counters.aclose()
        assert await client.keys() == [b"{doorward:budgets}:" + charge("k").counter_at(NOW).encode()]
        (key,) = await client.keys()
        assert 90 <= await client.ttl(key) <= 100
