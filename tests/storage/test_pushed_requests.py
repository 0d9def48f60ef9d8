"""Pushed requests: of one client and one browser, and spent once (PAR-06, I1, I9)."""

import asyncio
from dataclasses import replace

import pytest

from doorward.core.secrets import hash_secret
from doorward.oauth.ids import ClientId
from doorward.storage.database import Database
from doorward.storage.pushed_requests import (
    add_pushed_request,
    bind_pushed_request,
    consume_pushed_request,
    find_pushed_request,
)
from tests.storage.rows import BROWSER_HASH, CLIENT, DAY, MINUTE, NOW, PUSHED_HASH, Tenant, make_pushed_request

OTHER_BROWSER = hash_secret("another browser")
UNTIL = NOW + 10 * MINUTE


async def test_a_pushed_request_is_found_as_it_was_pushed_by_its_client_alone(
    database: Database, tenant: Tenant
) -> None:
    pushed = make_pushed_request(tenant.project)
    await database.write(add_pushed_request, pushed, NOW)
    assert await database.read(find_pushed_request, tenant.project_id, PUSHED_HASH, CLIENT, NOW) == pushed
    other = ClientId("mcl_other")
    assert await database.read(find_pushed_request, tenant.project_id, PUSHED_HASH, other, NOW) is None
    bound = await database.write(
        bind_pushed_request, tenant.project_id, PUSHED_HASH, other, BROWSER_HASH, now=NOW, until=UNTIL
    )
    assert bound is None
    assert await database.read(find_pushed_request, tenant.project_id, PUSHED_HASH, CLIENT, NOW) == pushed


async def test_the_first_browser_has_it_for_longer_and_no_other_has_it_at_all(
    database: Database, tenant: Tenant
) -> None:
    pushed = make_pushed_request(tenant.project)
    await database.write(add_pushed_request, pushed, NOW)
    this = (tenant.project_id, PUSHED_HASH, CLIENT)
    bound = replace(pushed, browser_hash=BROWSER_HASH, expires_at=UNTIL)
    assert await database.write(bind_pushed_request, *this, BROWSER_HASH, now=NOW, until=UNTIL) == bound
    assert await database.write(bind_pushed_request, *this, OTHER_BROWSER, now=NOW, until=UNTIL + DAY) is None
    later = UNTIL - 1
    assert await database.write(bind_pushed_request, *this, BROWSER_HASH, now=later, until=later + DAY) == bound
    assert await database.read(find_pushed_request, *this, later) == bound
    assert await database.read(find_pushed_request, *this, UNTIL) is None


@pytest.mark.parametrize(("late_by", "works"), [(-1, True), (0, False)])
async def test_a_pushed_request_works_until_the_millisecond_it_expires(
    database: Database, tenant: Tenant, late_by: int, *, works: bool
) -> None:
    pushed = make_pushed_request(tenant.project)
    await database.write(add_pushed_request, pushed, NOW)
    this, now = (tenant.project_id, PUSHED_HASH, CLIENT), pushed.expires_at + late_by
    assert (await database.read(find_pushed_request, *this, now) is not None) is works
    bound = await database.write(bind_pushed_request, *this, BROWSER_HASH, now=now, until=now + 1)
    assert (bound is not None) is works
    assert await database.write(consume_pushed_request, tenant.project_id, PUSHED_HASH, now) is works


async def test_of_many_decisions_at_once_one_counts_and_nothing_can_be_done_with_it_afterwards(
    database: Database, tenant: Tenant
) -> None:
    await database.write(add_pushed_request, make_pushed_request(tenant.project), NOW)
    key = (tenant.project_id, PUSHED_HASH, NOW)
    assert sum(await asyncio.gather(*(database.write(consume_pushed_request, *key) for _ in range(100)))) == 1
    this = (tenant.project_id, PUSHED_HASH, CLIENT)
    assert await database.read(find_pushed_request, *this, NOW) is None
    assert await database.write(bind_pushed_request, *this, BROWSER_HASH, now=NOW, until=UNTIL) is None


async def test_of_many_browsers_at_once_one_has_it(database: Database, tenant: Tenant) -> None:
    await database.write(add_pushed_request, make_pushed_request(tenant.project), NOW)
    this = (tenant.project_id, PUSHED_HASH, CLIENT)
    browsers = [hash_secret(f"browser {number}") for number in range(100)]
    bound = await asyncio.gather(
        *(database.write(bind_pushed_request, *this, browser, now=NOW, until=UNTIL) for browser in browsers)
    )
    assert sum(found is not None for found in bound) == 1
