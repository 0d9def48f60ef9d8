"""Three server processes that share counters are one door: exactly as many calls get through as the budget says."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import anyio
import httpx2
import pytest

from tests.needs import ROOT, find_free_port
from tests.resource.redis_process import run_redis
from tests.resource.test_budgets import tool_call
from tests.resource.world import Mint
from tests.waiting import until

PROCESSES, CALLERS = 3, 64
NOW = 1_800_000_037


class Doors:
    """Servers of one resource in processes of their own."""

    def __init__(self, mint: Mint, ports: list[int], clock: Path) -> None:
        self.mint = mint
        self.urls = [f"http://127.0.0.1:{port}/mcp" for port in ports]
        self._clock = clock

    def set_clock(self, now: float) -> None:
        fresh = self._clock.with_suffix(".new")
        fresh.write_text(str(now))
        fresh.replace(self._clock)

    async def wait(self) -> None:
        async def answers() -> bool:
            with suppress(httpx2.TransportError):
                async with httpx2.AsyncClient() as client:
                    return all([(await client.get(url)).status_code == 401 for url in self.urls])
            return False

        await until(answers)

    async def call_at_once(self) -> Counter[int]:
        """Statuses of one call of every caller, all at once and spread over the processes."""
        statuses: Counter[int] = Counter()
        headers = self.mint.header()

        async def call(number: int) -> None:
            answer = await client.post(self.urls[number % PROCESSES], json=tool_call(), headers=headers)
            statuses[answer.status_code] += 1

        limits = httpx2.Limits(max_connections=CALLERS)
        async with httpx2.AsyncClient(timeout=30, limits=limits) as client, anyio.create_task_group() as tasks:
            for number in range(CALLERS):
                tasks.start_soon(call, number)
        return statuses


@contextmanager
def run_doors(folder: Path, store: str, *rules: str) -> Iterator[Doors]:
    mint, clock = Mint(), folder / "clock"
    ports = [find_free_port() for _ in range(PROCESSES)]
    doors = Doors(mint, ports, clock)
    doors.set_clock(NOW)
    given = {"issuer": mint.issuer, "resource": mint.resource, "keys": [mint.key.public_jwk()]}
    given |= {"store": store, "clock": str(clock), "rules": rules}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.resource.budget_process", json.dumps({**given, "port": port})], cwd=ROOT
        )
        for port in ports
    ]
    try:
        yield doors
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=20)


@contextmanager
def open_store(kind: str, folder: Path) -> Iterator[str]:
    with ExitStack() as stack:
        yield str(folder / "counters.db") if kind == "sqlite" else stack.enter_context(run_redis()).url


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_ten_a_minute_are_ten_for_64_callers_of_three_processes(tmp_path: Path, kind: str) -> None:
    with open_store(kind, tmp_path) as store, run_doors(tmp_path, store, "10/minute per user") as doors:
        await doors.wait()
        for minute in range(3):
            doors.set_clock(NOW + 60 * minute)
            assert await doors.call_at_once() == {200: 10, 429: CALLERS - 10}
            assert await doors.call_at_once() == {429: CALLERS}


async def test_when_the_store_is_gone_each_process_goes_on_by_itself_t52(tmp_path: Path) -> None:
    with run_redis() as redis, run_doors(tmp_path, redis.url, "10/minute per user") as doors:
        await doors.wait()
        assert await doors.call_at_once() == {200: 10, 429: CALLERS - 10}
        doors.set_clock(NOW + 60)
        redis.kill()
        # Nobody is locked out, and nobody gets more than each process alone would give.
        assert await doors.call_at_once() == {200: 10 * PROCESSES, 429: CALLERS - 10 * PROCESSES}
        assert await doors.call_at_once() == {429: CALLERS}
