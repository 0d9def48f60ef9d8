"""Project keys and the audit trail of a project."""

import asyncio

import pytest

from doorward.core.models import AuditEvent
from doorward.core.secrets import hash_secret
from doorward.storage.audit import RecordedEvent, list_events, record
from doorward.storage.database import Database
from doorward.storage.keys import (
    add_project_key,
    find_project_key,
    list_project_keys,
    revoke_project_key,
)
from tests.storage.rows import DAY, KEY, KEY_HASH, NOW, RESOURCE, Tenant, make_key


async def test_a_project_key_is_found_by_its_secret(database: Database, tenant: Tenant) -> None:
    key = make_key(tenant.project, capabilities=("introspect", "register"), resource_id=RESOURCE, expires_at=NOW + DAY)
    await database.write(add_project_key, key, KEY_HASH)
    assert await database.read(find_project_key, tenant.project_id, KEY_HASH, NOW) == key
    assert await database.read(find_project_key, tenant.project_id, hash_secret("wrong"), NOW) is None
    assert await database.read(list_project_keys, tenant.project_id) == [key]


@pytest.mark.parametrize(("late_by", "works"), [(-1, True), (0, False)])
async def test_a_project_key_works_until_the_millisecond_it_expires(
    database: Database, tenant: Tenant, late_by: int, *, works: bool
) -> None:
    await database.write(add_project_key, make_key(tenant.project, expires_at=NOW + DAY), KEY_HASH)
    found = await database.read(find_project_key, tenant.project_id, KEY_HASH, NOW + DAY + late_by)
    assert (found is not None) is works


async def test_one_caller_ends_a_project_key_and_it_stays_listed(database: Database, tenant: Tenant) -> None:
    await database.write(add_project_key, make_key(tenant.project), KEY_HASH)
    ended = await asyncio.gather(
        *(database.write(revoke_project_key, tenant.project_id, KEY, NOW + 1) for _ in range(20))
    )
    assert sum(ended) == 1
    assert await database.read(find_project_key, tenant.project_id, KEY_HASH, NOW) is None
    assert await database.read(list_project_keys, tenant.project_id) == [make_key(tenant.project, revoked_at=NOW + 1)]
    assert not await database.write(revoke_project_key, tenant.project_id, "key_nothing", NOW)


async def test_events_are_listed_newest_first_as_they_were_recorded_i7(database: Database, tenant: Tenant) -> None:
    for number in range(3):
        event = AuditEvent("user.added", "operator:cli", f"user:{number}", {"name": "Zoë", "n": number})
        await database.write(record, tenant.project_id, event, NOW + number)
    await database.write(record, tenant.project_id, AuditEvent("bare", "system", ""), NOW + 3)
    listed = await database.read(list_events, tenant.project_id, at_most=2)
    assert listed == [
        RecordedEvent(NOW + 3, listed[0].event_id, "bare", "system", "", {}),
        RecordedEvent(NOW + 2, listed[1].event_id, "user.added", "operator:cli", "user:2", {"name": "Zoë", "n": 2}),
    ]


async def test_events_of_one_moment_are_all_kept(database: Database, tenant: Tenant) -> None:
    event = AuditEvent("same", "system", "")
    await asyncio.gather(*(database.write(record, tenant.project_id, event, NOW) for _ in range(50)))
    events = await database.read(list_events, tenant.project_id, at_most=100)
    assert len({event.event_id for event in events}) == 50
