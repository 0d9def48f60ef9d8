"""Registrations that a later one takes the place of: the unused ones, so many at once, and no others."""

from typing import Any

import pytest

from doorward.core.secrets import hash_secret
from doorward.oauth.ids import TokenHash
from doorward.storage.clients import (
    add_client,
    find_client,
    list_clients,
    rotate_client_secret,
    set_client_status,
    touch_client,
    update_client_metadata,
)
from doorward.storage.database import Database
from doorward.storage.grants import add_grant, revoke_grant
from doorward.storage.superseding import MAX_SUPERSEDED, supersede_clients
from tests.storage.rows import DAY, NOW, Tenant, make_client, make_grant

SAME = "fingerprint"


async def add(database: Database, tenant: Tenant, client_id: str, created_at: int, **changes: Any) -> None:
    changes = {"fingerprint": SAME, "secret_hash": hash_secret("mcs"), **changes}
    await database.write(add_client, make_client(tenant.project, client_id, created_at=created_at, **changes))


async def supersede(database: Database, tenant: Tenant, before: int) -> int:
    return await database.write(supersede_clients, tenant.project_id, SAME, before)


async def left(database: Database, tenant: Tenant) -> set[str]:
    found = await database.read(list_clients, tenant.project_id)
    return {str(client.client_id) for client in found} - {tenant.client.client_id}


async def test_the_latest_of_those_that_are_old_enough_stays(database: Database, tenant: Tenant) -> None:
    for number in range(5):
        await add(database, tenant, f"mcl_{number}", NOW + number)
    assert await supersede(database, tenant, NOW) == 0
    assert await supersede(database, tenant, NOW + 2) == 2
    assert await left(database, tenant) == {"mcl_2", "mcl_3", "mcl_4"}
    assert await supersede(database, tenant, NOW + DAY) == 2
    assert await left(database, tenant) == {"mcl_4"}
    assert await supersede(database, tenant, NOW + DAY) == 0


async def test_registrations_of_one_moment_are_not_later_than_each_other(database: Database, tenant: Tenant) -> None:
    for number in range(3):
        await add(database, tenant, f"mcl_{number}", NOW)
    assert await supersede(database, tenant, NOW + DAY) == 0


async def test_a_registration_removes_so_many_at_once_and_the_oldest_first(database: Database, tenant: Tenant) -> None:
    for number in range(MAX_SUPERSEDED + 5):
        await add(database, tenant, f"mcl_{number:02}", NOW + number)
    assert await supersede(database, tenant, NOW + DAY) == MAX_SUPERSEDED
    assert "mcl_19" not in await left(database, tenant)
    assert "mcl_20" in await left(database, tenant)
    assert await supersede(database, tenant, NOW + DAY) == 4


@pytest.mark.parametrize(
    "changes",
    [
        {"fingerprint": None},
        {"fingerprint": "other"},
        {"activated_at": NOW},
        {"status": "pending"},
        {"status": "suspended"},
        {"kind": "manual"},
        {"kind": "sealed"},
        {"kind": "document"},
    ],
    ids=str,
)
async def test_only_an_unused_registration_of_the_same_program_is_removed(
    database: Database, tenant: Tenant, changes: dict[str, Any]
) -> None:
    await add(database, tenant, "mcl_kept", NOW - DAY, **changes)
    await add(database, tenant, "mcl_later", NOW)
    assert await supersede(database, tenant, NOW) == 0
    assert await left(database, tenant) == {"mcl_kept", "mcl_later"}


async def test_one_that_holds_a_live_grant_stays_until_that_is_over(database: Database, tenant: Tenant) -> None:
    await add(database, tenant, "mcl_held", NOW - DAY)
    await add(database, tenant, "mcl_later", NOW)
    grant = make_grant(tenant.project, "grt_two", client_id="mcl_held")
    await database.write(add_grant, grant)
    assert await supersede(database, tenant, NOW) == 0
    await database.write(revoke_grant, tenant.project_id, grant.grant_id, NOW)
    assert await supersede(database, tenant, NOW) == 1


@pytest.mark.parametrize("deed", ["use", "status", "metadata", "secret"])
async def test_whatever_is_done_with_a_registration_takes_its_fingerprint_away(
    database: Database, tenant: Tenant, deed: str
) -> None:
    await add(database, tenant, "mcl_first", NOW - DAY)
    await add(database, tenant, "mcl_later", NOW)
    client = await database.read(find_client, tenant.project_id, "mcl_first")
    assert client is not None
    if deed == "use":
        await database.write(touch_client, tenant.project_id, client.client_id, NOW, NOW + DAY)
    elif deed == "status":
        await database.write(set_client_status, tenant.project_id, client.client_id, "active", NOW)
    elif deed == "metadata":
        await database.write(update_client_metadata, client, client.metadata)
    else:
        new = TokenHash(b"new")
        assert await database.write(rotate_client_secret, client, new, expires_at=None, overlap_until=NOW)
    changed = await database.read(find_client, tenant.project_id, "mcl_first")
    assert changed is not None
    assert changed.fingerprint is None
    assert await supersede(database, tenant, NOW) == 0
