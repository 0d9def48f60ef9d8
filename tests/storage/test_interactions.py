"""Requests that wait for a person, and set-up links: both work once, for the one they were made for (I1)."""

import asyncio

import pytest

from doorward.core.secrets import hash_secret
from doorward.storage.database import Database
from doorward.storage.interactions import add_interaction, consume_interaction, find_interaction
from doorward.storage.users import consume_setup_link, is_setup_link_live, replace_setup_link
from tests.storage.rows import DAY, FLOW_HASH, NOW, SESSION_HASH, SETUP_HASH, Tenant, make_interaction

OTHER_SESSION = hash_secret("another browser")


async def test_a_waiting_request_is_found_as_it_was_stored(database: Database, tenant: Tenant) -> None:
    interaction = make_interaction(tenant.project)
    await database.write(add_interaction, interaction, NOW)
    assert await database.read(find_interaction, tenant.project_id, FLOW_HASH, SESSION_HASH, NOW) == interaction


async def test_a_waiting_request_is_consumed_once(database: Database, tenant: Tenant) -> None:
    interaction = make_interaction(tenant.project)
    await database.write(add_interaction, interaction, NOW)
    key = (tenant.project_id, FLOW_HASH, SESSION_HASH, NOW)
    assert await database.write(consume_interaction, *key) == interaction
    assert await database.write(consume_interaction, *key) is None
    assert await database.read(find_interaction, *key) is None


async def test_another_browser_cannot_consume_a_waiting_request_con_04(database: Database, tenant: Tenant) -> None:
    await database.write(add_interaction, make_interaction(tenant.project), NOW)
    assert await database.write(consume_interaction, tenant.project_id, FLOW_HASH, OTHER_SESSION, NOW) is None
    assert await database.read(find_interaction, tenant.project_id, FLOW_HASH, OTHER_SESSION, NOW) is None
    assert await database.write(consume_interaction, tenant.project_id, FLOW_HASH, SESSION_HASH, NOW) is not None


@pytest.mark.parametrize(("late_by", "works"), [(-1, True), (0, False)])
async def test_a_request_waits_until_the_millisecond_it_expires(
    database: Database, tenant: Tenant, late_by: int, *, works: bool
) -> None:
    interaction = make_interaction(tenant.project)
    await database.write(add_interaction, interaction, NOW)
    key = (tenant.project_id, FLOW_HASH, SESSION_HASH, interaction.expires_at + late_by)
    assert (await database.read(find_interaction, *key) is not None) is works
    assert (await database.write(consume_interaction, *key) is not None) is works


async def test_of_many_decisions_at_once_one_counts(database: Database, tenant: Tenant) -> None:
    await database.write(add_interaction, make_interaction(tenant.project), NOW)
    key = (tenant.project_id, FLOW_HASH, SESSION_HASH, NOW)
    outcomes = await asyncio.gather(*(database.write(consume_interaction, *key) for _ in range(100)))
    assert sum(outcome is not None for outcome in outcomes) == 1


async def test_a_set_up_link_is_spent_once(database: Database, tenant: Tenant) -> None:
    await database.write(replace_setup_link, tenant.project_id, SETUP_HASH, NOW, NOW + DAY)
    assert await database.read(is_setup_link_live, tenant.project_id, SETUP_HASH, NOW)
    assert await database.write(consume_setup_link, tenant.project_id, SETUP_HASH, NOW)
    assert not await database.write(consume_setup_link, tenant.project_id, SETUP_HASH, NOW)
    assert not await database.read(is_setup_link_live, tenant.project_id, SETUP_HASH, NOW)


async def test_of_many_uses_of_a_set_up_link_at_once_one_wins(database: Database, tenant: Tenant) -> None:
    await database.write(replace_setup_link, tenant.project_id, SETUP_HASH, NOW, NOW + DAY)
    won = await asyncio.gather(
        *(database.write(consume_setup_link, tenant.project_id, SETUP_HASH, NOW) for _ in range(100))
    )
    assert sum(won) == 1


async def test_a_new_set_up_link_ends_the_one_before(database: Database, tenant: Tenant) -> None:
    newer = hash_secret("setup two")
    await database.write(replace_setup_link, tenant.project_id, SETUP_HASH, NOW, NOW + DAY)
    await database.write(replace_setup_link, tenant.project_id, newer, NOW, NOW + DAY)
    assert not await database.write(consume_setup_link, tenant.project_id, SETUP_HASH, NOW)
    assert await database.write(consume_setup_link, tenant.project_id, newer, NOW)


@pytest.mark.parametrize(("late_by", "works"), [(-1, True), (0, False)])
async def test_a_set_up_link_works_until_the_millisecond_it_expires(
    database: Database, tenant: Tenant, late_by: int, *, works: bool
) -> None:
    await database.write(replace_setup_link, tenant.project_id, SETUP_HASH, NOW, NOW + DAY)
    now = NOW + DAY + late_by
    assert await database.read(is_setup_link_live, tenant.project_id, SETUP_HASH, now) is works
    assert await database.write(consume_setup_link, tenant.project_id, SETUP_HASH, now) is works
