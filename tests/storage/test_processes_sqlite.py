"""Several servers over one file: what works once works once for all of them together (I1)."""

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from doorward.core.limits import Limit
from doorward.core.models import AuditEvent
from doorward.core.secrets import hash_secret
from doorward.oauth.ids import TokenHash
from doorward.storage.audit import list_events, record
from doorward.storage.codes import Consumed, Reused, add_code, consume_code
from doorward.storage.executor_sqlite import SqliteDatabase
from doorward.storage.throttles import spend
from doorward.storage.tokens import find_family, rotate_family, start_family
from tests.storage.conftest import open_sqlite
from tests.storage.rows import CLIENT, DAY, FAMILY, NOW, Tenant, add_tenant, make_code, make_family

T = TypeVar("T")
SERVERS = 2


def run_on_each(path: Path, work: Callable[[SqliteDatabase], Awaitable[T]]) -> list[T]:
    """What `work` gives on databases of their own over one file, each in a thread with its own event loop."""
    together = threading.Barrier(SERVERS, timeout=20)

    async def serve() -> T:
        async with open_sqlite(path) as database:
            await asyncio.to_thread(together.wait)
            return await work(database)

    with ThreadPoolExecutor(SERVERS) as threads:
        return [future.result(timeout=60) for future in [threads.submit(asyncio.run, serve()) for _ in range(SERVERS)]]


def prepare(path: Path, work: Callable[[SqliteDatabase, Tenant], Awaitable[None]]) -> Tenant:
    async def fill() -> Tenant:
        async with open_sqlite(path) as database:
            tenant = await add_tenant(database)
            await work(database, tenant)
            return tenant

    return asyncio.run(fill())


def test_of_two_servers_one_redeems_each_code_t23(tmp_path: Path) -> None:
    path = tmp_path / "doorward.db"
    hashes = [hash_secret(f"code {number}") for number in range(60)]

    async def add_codes(database: SqliteDatabase, tenant: Tenant) -> None:
        await asyncio.gather(*(database.write(add_code, make_code(tenant.project, code)) for code in hashes))

    project_id = prepare(path, add_codes).project_id

    async def redeem(database: SqliteDatabase) -> list[Consumed | Reused]:
        outcomes = []
        for code_hash in hashes:
            pair = (database.write(consume_code, project_id, code_hash, CLIENT, NOW) for _ in range(3))
            outcomes += await asyncio.gather(*pair)
        return [outcome for outcome in outcomes if isinstance(outcome, Consumed | Reused)]

    both = run_on_each(path, redeem)
    outcomes = [outcome for server in both for outcome in server]
    winners: Counter[TokenHash] = Counter(o.code.code_hash for o in outcomes if isinstance(o, Consumed))
    assert winners == dict.fromkeys(hashes, 1)
    assert len(outcomes) == len(hashes) * 3 * SERVERS


def test_of_two_servers_one_rotates_each_generation_i4(tmp_path: Path) -> None:
    path = tmp_path / "doorward.db"

    async def add_family(database: SqliteDatabase, tenant: Tenant) -> None:
        await database.write(start_family, make_family(tenant.project))

    project_id = prepare(path, add_family).project_id
    steps = 100

    async def rotate(database: SqliteDatabase) -> list[int]:
        won: list[int] = []
        while True:
            family = await database.read(find_family, project_id, FAMILY)
            assert family is not None
            if family.generation >= steps:
                return won
            rotated = await database.write(
                rotate_family, project_id, FAMILY, family.generation, now=NOW, idle_expires_at=NOW + DAY
            )
            if rotated is not None:
                won.append(rotated.generation)

    first, second = run_on_each(path, rotate)
    assert sorted(first + second)[:steps] == list(range(1, steps + 1))
    assert not set(first) & set(second)


def test_two_servers_share_one_limit(tmp_path: Path) -> None:
    path = tmp_path / "doorward.db"
    limit = Limit("test", burst=30, period_ms=1000)

    async def nothing(_: SqliteDatabase, __: Tenant) -> None:
        return

    project_id = prepare(path, nothing).project_id

    async def ask(database: SqliteDatabase) -> int:
        answers = [await database.write(spend, project_id, limit, "somebody", NOW) for _ in range(40)]
        return answers.count(0)

    assert sum(run_on_each(path, ask)) == limit.burst


def test_nothing_that_two_servers_acknowledged_is_lost_i2(tmp_path: Path) -> None:
    path = tmp_path / "doorward.db"

    async def nothing(_: SqliteDatabase, __: Tenant) -> None:
        return

    project_id = prepare(path, nothing).project_id
    event = AuditEvent("test", "system", "")

    async def write(database: SqliteDatabase) -> None:
        for _ in range(10):
            await asyncio.gather(*(database.write(record, project_id, event, NOW) for _ in range(20)))

    run_on_each(path, write)

    async def count() -> int:
        async with open_sqlite(path) as database:
            return len(await database.read(list_events, project_id, at_most=10_000))

    assert asyncio.run(count()) == 400
