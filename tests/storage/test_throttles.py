"""Rate limits: a burst, then one a period, counted in one statement however many ask at once (GCRA)."""

import asyncio

import pytest

from doorward.core.limits import Limit
from doorward.storage.database import Database
from doorward.storage.throttles import is_spent, refund, reset, spend
from tests.storage.rows import NOW, Tenant

LIMIT = Limit("test", burst=3, period_ms=1000)


async def spend_all(database: Database, tenant: Tenant, times: list[int], subject: str = "somebody") -> list[int]:
    return [await database.write(spend, tenant.project_id, LIMIT, subject, NOW + at) for at in times]


async def test_a_burst_passes_and_the_next_is_told_how_long_to_wait(database: Database, tenant: Tenant) -> None:
    assert await spend_all(database, tenant, [0, 0, 0, 0, 400]) == [0, 0, 0, 1000, 600]


async def test_a_refused_try_costs_nothing(database: Database, tenant: Tenant) -> None:
    assert await spend_all(database, tenant, [0, 0, 0, *[500] * 10, 1000]) == [0, 0, 0, *[500] * 10, 0]


async def test_one_event_a_period_is_never_refused(database: Database, tenant: Tenant) -> None:
    assert await spend_all(database, tenant, [0, 0, 0, *range(1000, 20_000, 1000)]) == [0] * 22


@pytest.mark.parametrize(("pause", "allowed"), [(999, 0), (1000, 1), (2000, 2), (3000, 3), (1_000_000, 3)])
async def test_a_pause_refills_one_event_a_period_up_to_the_burst(
    database: Database, tenant: Tenant, pause: int, allowed: int
) -> None:
    await spend_all(database, tenant, [0, 0, 0])
    answers = await spend_all(database, tenant, [pause] * 5)
    assert answers.count(0) == allowed


async def test_no_window_of_any_length_holds_more_than_burst_and_refill(database: Database, tenant: Tenant) -> None:
    times = list(range(0, 10_000, 130))
    answers = await spend_all(database, tenant, times)
    passed = [at for at, wait in zip(times, answers, strict=True) if wait == 0]
    for start in passed:
        for length in (0, 500, 1000, 2500, 7000):
            inside = [at for at in passed if start <= at <= start + length]
            assert len(inside) <= LIMIT.burst + length // LIMIT.period_ms


async def test_asking_does_not_count(database: Database, tenant: Tenant) -> None:
    for _ in range(10):
        assert await database.read(is_spent, tenant.project_id, LIMIT, "somebody", NOW) == 0
    assert await spend_all(database, tenant, [0, 0, 0]) == [0, 0, 0]
    assert await database.read(is_spent, tenant.project_id, LIMIT, "somebody", NOW) == 1000
    assert await database.read(is_spent, tenant.project_id, LIMIT, "somebody", NOW + 1000) == 0


async def test_a_refund_takes_one_event_back(database: Database, tenant: Tenant) -> None:
    await spend_all(database, tenant, [0, 0, 0])
    await database.write(refund, tenant.project_id, LIMIT, "somebody")
    assert await spend_all(database, tenant, [0, 0]) == [0, 1000]
    await database.write(refund, tenant.project_id, LIMIT, "nobody who was counted")


async def test_a_reset_forgets_what_was_counted(database: Database, tenant: Tenant) -> None:
    await spend_all(database, tenant, [0, 0, 0])
    await database.write(reset, tenant.project_id, LIMIT, "somebody")
    assert await spend_all(database, tenant, [0, 0, 0, 0]) == [0, 0, 0, 1000]


async def test_subjects_and_limits_are_counted_apart(database: Database, tenant: Tenant) -> None:
    await spend_all(database, tenant, [0, 0, 0])
    assert await spend_all(database, tenant, [0], "somebody else") == [0]
    other = Limit("other", burst=3, period_ms=1000)
    assert await database.write(spend, tenant.project_id, other, "somebody", NOW) == 0


async def test_of_many_at_once_exactly_the_burst_passes(database: Database, tenant: Tenant) -> None:
    answers = await asyncio.gather(
        *(database.write(spend, tenant.project_id, LIMIT, "somebody", NOW) for _ in range(100))
    )
    assert answers.count(0) == LIMIT.burst


async def test_a_clock_that_went_back_refuses_longer_but_never_allows_more_i9(
    database: Database, tenant: Tenant
) -> None:
    await spend_all(database, tenant, [10_000] * 3)
    assert await spend_all(database, tenant, [0]) == [11_000]
