"""Refresh families rotate by compare-and-set, and what was revoked stays so (I1, I3, I4)."""

import asyncio
from dataclasses import replace

from doorward.core.models import Grant
from doorward.core.secrets import hash_secret
from doorward.oauth.ids import ClientId, ResourceId, UserId
from doorward.storage.codes import add_code
from doorward.storage.database import Database
from doorward.storage.grants import add_grant, find_last_decided, find_live_grant, revoke_grant
from doorward.storage.tokens import (
    find_family,
    is_access_token_revoked,
    revoke_access_token,
    revoke_family,
    rotate_family,
    start_family,
)
from tests.storage.rows import (
    CLIENT,
    DAY,
    FAMILY,
    GRANT,
    MINUTE,
    NOW,
    RESOURCE,
    USER,
    Tenant,
    make_code,
    make_family,
    make_grant,
)


async def test_a_family_is_found_as_it_was_stored(database: Database, tenant: Tenant) -> None:
    family = make_family(tenant.project, policy="strict", generation=3, revoked_at=NOW + 5)
    await database.write(start_family, family)
    assert await database.read(find_family, tenant.project_id, FAMILY) == family


async def test_a_rotation_moves_one_generation_and_remembers_the_one_before(database: Database, tenant: Tenant) -> None:
    family = make_family(tenant.project)
    await database.write(start_family, family)
    first = await database.write(
        rotate_family, tenant.project_id, FAMILY, 0, now=NOW + MINUTE, idle_expires_at=NOW + DAY
    )
    assert first == replace(
        family, generation=1, rotated_at=NOW + MINUTE, idle_expires_at=NOW + DAY, last_source="", last_agent=""
    )
    second = await database.write(
        rotate_family,
        tenant.project_id,
        FAMILY,
        1,
        now=NOW + 2 * MINUTE,
        idle_expires_at=NOW + 2 * DAY,
        source="192.0.2.7",
        agent="app/1.0",
    )
    assert second == replace(
        family,
        generation=2,
        rotated_at=NOW + 2 * MINUTE,
        previous_rotated_at=NOW + MINUTE,
        idle_expires_at=NOW + 2 * DAY,
        last_source="192.0.2.7",
        last_agent="app/1.0",
    )
    assert await database.read(find_family, tenant.project_id, FAMILY) == second


async def test_only_the_current_generation_rotates(database: Database, tenant: Tenant) -> None:
    await database.write(start_family, make_family(tenant.project, generation=5))
    for generation in (4, 6, 0):
        rotated = await database.write(
            rotate_family, tenant.project_id, FAMILY, generation, now=NOW, idle_expires_at=NOW + DAY
        )
        assert rotated is None
    unchanged = await database.read(find_family, tenant.project_id, FAMILY)
    assert unchanged == make_family(tenant.project, generation=5)


async def test_of_many_rotations_at_once_one_happens_rt_10(database: Database, tenant: Tenant) -> None:
    await database.write(start_family, make_family(tenant.project))
    outcomes = await asyncio.gather(
        *(
            database.write(rotate_family, tenant.project_id, FAMILY, 0, now=NOW, idle_expires_at=NOW + DAY)
            for _ in range(100)
        )
    )
    assert sum(outcome is not None for outcome in outcomes) == 1
    family = await database.read(find_family, tenant.project_id, FAMILY)
    assert family is not None
    assert family.generation == 1


async def test_a_revoked_family_rotates_no_more(database: Database, tenant: Tenant) -> None:
    await database.write(start_family, make_family(tenant.project))
    assert await database.write(revoke_family, tenant.project_id, FAMILY, NOW + 1)
    rotated = await database.write(rotate_family, tenant.project_id, FAMILY, 0, now=NOW, idle_expires_at=NOW + DAY)
    assert rotated is None


async def test_one_caller_revokes_a_family_and_the_first_time_stands_i3(database: Database, tenant: Tenant) -> None:
    await database.write(start_family, make_family(tenant.project))
    revoked = [await database.write(revoke_family, tenant.project_id, FAMILY, NOW + n) for n in (1, 2)]
    assert revoked == [True, False]
    found = await database.read(find_family, tenant.project_id, FAMILY)
    assert found == make_family(tenant.project, revoked_at=NOW + 1)


async def test_a_family_nobody_started_is_not_there(database: Database, tenant: Tenant) -> None:
    assert await database.read(find_family, tenant.project_id, FAMILY) is None
    assert not await database.write(revoke_family, tenant.project_id, FAMILY, NOW)
    assert await database.write(rotate_family, tenant.project_id, FAMILY, 0, now=NOW, idle_expires_at=NOW + DAY) is None


async def test_one_caller_revokes_an_access_token(database: Database, tenant: Tenant) -> None:
    assert not await database.read(is_access_token_revoked, tenant.project_id, "mat_1")
    revoked = await asyncio.gather(
        *(database.write(revoke_access_token, tenant.project_id, "mat_1", NOW + MINUTE, NOW) for _ in range(20))
    )
    assert sum(revoked) == 1
    assert await database.read(is_access_token_revoked, tenant.project_id, "mat_1")
    assert not await database.read(is_access_token_revoked, tenant.project_id, "mat_2")


async def test_one_caller_ends_a_grant(database: Database, tenant: Tenant) -> None:
    assert await database.read(find_live_grant, tenant.project_id, GRANT) == tenant.grant
    ended = await asyncio.gather(*(database.write(revoke_grant, tenant.project_id, GRANT, NOW + 1) for _ in range(20)))
    assert sum(ended) == 1
    assert await database.read(find_live_grant, tenant.project_id, GRANT) is None


async def test_a_grant_has_as_many_codes_and_families_as_it_needs(database: Database, tenant: Tenant) -> None:
    for name in ("a", "b"):
        await database.write(add_code, make_code(tenant.project, hash_secret(name)))
        await database.write(start_family, make_family(tenant.project, name))
        assert await database.read(find_family, tenant.project_id, make_family(tenant.project, name).family_id)


async def test_the_last_decision_is_the_newest_of_a_person_that_was_not_ended(
    database: Database, tenant: Tenant
) -> None:
    async def find(user: UserId = USER, client: ClientId = CLIENT, resource: ResourceId = RESOURCE) -> Grant | None:
        return await database.read(find_last_decided, tenant.project_id, user, client, resource, NOW)

    assert await find() == tenant.grant
    newer = make_grant(tenant.project, "grt_newer", kind="device", created_at=NOW + 1, tools_at=7)
    of_an_operator = make_grant(tenant.project, "grt_minted", kind="mint", created_at=NOW + 2, tools_at=9)
    for grant in (newer, of_an_operator):
        await database.write(add_grant, grant)
    assert await find() == newer
    await database.write(revoke_grant, tenant.project_id, newer.grant_id, NOW + 3)
    assert await find() == tenant.grant
    assert await find(user=UserId("usr_x")) is None
    assert await find(client=ClientId("mcl_x")) is None
    assert await find(resource=ResourceId("res_x")) is None
