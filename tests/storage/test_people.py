"""People, their passwords and sessions, and what they let in."""

import asyncio
from dataclasses import replace

import pytest

from doorward.core.secrets import hash_secret
from doorward.oauth.ids import TokenHash, UserId
from doorward.storage.database import Database
from doorward.storage.grants import (
    add_grant,
    find_live_grant,
    list_connections,
    revoke_grant,
    revoke_own_grant,
    touch_grant,
)
from doorward.storage.users import (
    add_user,
    count_staff,
    end_other_sessions,
    end_session,
    find_credentials,
    find_session,
    find_user,
    list_sessions,
    list_users,
    remove_user,
    set_password,
    start_session,
    touch_session,
    update_user,
)
from tests.storage.rows import (
    DAY,
    GRANT,
    MINUTE,
    NOW,
    SESSION_HASH,
    USER,
    Tenant,
    make_grant,
    make_session,
    make_user,
)

IDLE = 60 * MINUTE


async def test_a_person_is_found_by_address_and_by_id(database: Database, tenant: Tenant) -> None:
    found = await database.read(find_credentials, tenant.project_id, tenant.user.email)
    assert found == (tenant.user, "argon2 hash")
    assert await database.read(find_user, tenant.project_id, USER) == tenant.user
    assert await database.read(find_credentials, tenant.project_id, "nobody@example.com") is None
    assert await database.read(find_user, tenant.project_id, "usr_nobody") is None


async def test_of_many_people_with_one_address_one_is_stored(database: Database, tenant: Tenant) -> None:
    stored = await asyncio.gather(
        *(
            database.write(add_user, make_user(tenant.project, f"usr_{number}"), "same@example.com", "hash")
            for number in range(20)
        )
    )
    assert sum(stored) == 1
    assert len(await database.read(list_users, tenant.project_id)) == 2


async def test_a_persons_name_role_and_access_change_and_the_rest_stays(database: Database, tenant: Tenant) -> None:
    changed = replace(tenant.user, name="Zoë", role="admin", enabled=False)
    assert await database.write(update_user, replace(changed, email="ignored@example.com"), NOW)
    assert await database.read(find_user, tenant.project_id, USER) == changed
    assert not await database.write(update_user, make_user(tenant.project, "usr_nobody"), NOW)


async def test_a_new_password_replaces_the_old(database: Database, tenant: Tenant) -> None:
    await database.write(set_password, tenant.project_id, USER, "new hash")
    found = await database.read(find_credentials, tenant.project_id, tenant.user.email)
    assert found == (tenant.user, "new hash")


async def test_only_enabled_owners_and_admins_are_staff(database: Database, tenant: Tenant) -> None:
    assert await database.read(count_staff, tenant.project_id) == 0
    for number, (role, enabled) in enumerate([("owner", True), ("admin", True), ("auditor", True), ("owner", False)]):
        user = make_user(tenant.project, f"usr_{number}", role=role, enabled=enabled)
        assert await database.write(add_user, user, user.email, "hash")
    assert await database.read(count_staff, tenant.project_id) == 2


async def test_a_session_is_found_with_its_person_and_notes_the_sign_in(database: Database, tenant: Tenant) -> None:
    session = make_session(tenant.project, created_at=NOW + 7)
    await database.write(start_session, session)
    found = await database.read(find_session, tenant.project_id, SESSION_HASH, now=NOW, idle_ms=IDLE)
    assert found == (session, replace(tenant.user, last_login_at=NOW + 7))


@pytest.mark.parametrize(
    ("seen_at", "now", "is_live"),
    [
        (NOW, NOW + IDLE - 1, True),
        (NOW, NOW + IDLE, False),
        (NOW + DAY - MINUTE, NOW + DAY - 1, True),
        (NOW + DAY - MINUTE, NOW + DAY, False),
    ],
)
async def test_a_session_ends_idle_or_at_its_end(
    database: Database, tenant: Tenant, seen_at: int, now: int, *, is_live: bool
) -> None:
    await database.write(start_session, make_session(tenant.project))
    await database.write(touch_session, tenant.project_id, SESSION_HASH, seen_at)
    found = await database.read(find_session, tenant.project_id, SESSION_HASH, now=now, idle_ms=IDLE)
    assert (found is not None) is is_live


async def test_a_disabled_person_has_no_session_t43(database: Database, tenant: Tenant) -> None:
    await database.write(start_session, make_session(tenant.project))
    await database.write(update_user, replace(tenant.user, enabled=False), NOW)
    assert await database.read(find_session, tenant.project_id, SESSION_HASH, now=NOW, idle_ms=IDLE) is None


async def test_a_session_is_ended_once(database: Database, tenant: Tenant) -> None:
    await database.write(start_session, make_session(tenant.project))
    assert await database.write(end_session, tenant.project_id, SESSION_HASH) == USER
    assert await database.write(end_session, tenant.project_id, SESSION_HASH) is None
    assert await database.read(find_session, tenant.project_id, SESSION_HASH, now=NOW, idle_ms=IDLE) is None


async def test_other_sessions_end_but_the_one_that_asked(database: Database, tenant: Tenant) -> None:
    hashes = [hash_secret(f"session {number}") for number in range(3)]
    for number, session_hash in enumerate(hashes):
        await database.write(start_session, make_session(tenant.project, session_hash, last_seen_at=NOW + number))
    listed = await database.read(list_sessions, tenant.project_id, USER)
    assert [session.session_hash for session in listed] == hashes[::-1]
    assert await database.write(end_other_sessions, tenant.project_id, USER, hashes[1]) == 2
    listed = await database.read(list_sessions, tenant.project_id, USER)
    assert [session.session_hash for session in listed] == [hashes[1]]
    assert await database.write(end_other_sessions, tenant.project_id, USER, TokenHash(b"")) == 1


async def test_with_a_person_go_sessions_and_grants(database: Database, tenant: Tenant) -> None:
    await database.write(start_session, make_session(tenant.project))
    assert await database.write(remove_user, tenant.project_id, USER, NOW)
    assert not await database.write(remove_user, tenant.project_id, USER, NOW)
    assert await database.read(find_session, tenant.project_id, SESSION_HASH, now=NOW, idle_ms=IDLE) is None
    assert await database.read(find_live_grant, tenant.project_id, GRANT) is None


async def test_a_grant_of_a_disabled_person_is_not_live_until_they_are_enabled_again_t43(
    database: Database, tenant: Tenant
) -> None:
    await database.write(update_user, replace(tenant.user, enabled=False), NOW)
    assert await database.read(find_live_grant, tenant.project_id, GRANT) is None
    await database.write(update_user, tenant.user, NOW)
    assert await database.read(find_live_grant, tenant.project_id, GRANT) == tenant.grant


async def test_only_its_owner_ends_a_grant_as_their_own(database: Database, tenant: Tenant) -> None:
    other = make_user(tenant.project, "usr_other")
    await database.write(add_user, other, other.email, "hash")
    assert await database.write(revoke_own_grant, tenant.project_id, other.user_id, GRANT, NOW) is None
    assert await database.read(find_live_grant, tenant.project_id, GRANT) is not None
    assert await database.write(revoke_own_grant, tenant.project_id, USER, GRANT, NOW) == tenant.client.client_id
    assert await database.write(revoke_own_grant, tenant.project_id, USER, GRANT, NOW) is None


async def test_a_person_sees_the_live_grants_that_were_used_newest_first(database: Database, tenant: Tenant) -> None:
    for number, name in enumerate(["grt_used", "grt_newer", "grt_revoked"], 1):
        grant = make_grant(tenant.project, name, created_at=NOW + number)
        await database.write(add_grant, grant)
        await database.write(touch_grant, tenant.project_id, grant.grant_id, NOW + 10)
    await database.write(revoke_grant, tenant.project_id, make_grant(tenant.project, "grt_revoked").grant_id, NOW)
    connections = await database.read(list_connections, tenant.project_id, USER, NOW)
    assert [connection.grant for connection in connections] == [
        make_grant(tenant.project, "grt_newer", created_at=NOW + 2, last_used_at=NOW + 10),
        make_grant(tenant.project, "grt_used", created_at=NOW + 1, last_used_at=NOW + 10),
    ]
    assert {connection.resource_name for connection in connections} == {tenant.resource.name}
    assert await database.read(list_connections, tenant.project_id, UserId("usr_nobody"), NOW) == []
