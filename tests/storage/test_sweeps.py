"""Sweeps forget what is over, of every project, and nothing that still means something (I3, I13)."""

from collections.abc import Awaitable, Callable

import pytest

from doorward.core.limits import Limit
from doorward.core.secrets import hash_secret
from doorward.oauth.ids import TokenHash
from doorward.storage.asserted_grants import list_ended_connections
from doorward.storage.clients import add_client, list_clients, remove_client, sweep_clients
from doorward.storage.codes import REPLAY_MEMORY_MS, Reused, add_code, consume_code, find_code, sweep_codes
from doorward.storage.database import Database
from doorward.storage.device_codes import MEMORY_MS, add_device_code, find_device_code, sweep_device_codes
from doorward.storage.grants import add_grant, find_live_grant, revoke_grant, sweep_grants
from doorward.storage.idempotency import claim_idempotency_key, sweep_idempotency_keys
from doorward.storage.interactions import add_interaction, consume_interaction, find_interaction, sweep_interactions
from doorward.storage.pushed_requests import (
    add_pushed_request,
    bind_pushed_request,
    consume_pushed_request,
    find_pushed_request,
    sweep_pushed_requests,
)
from doorward.storage.signing_keys import add_signing_key, list_signing_keys, sweep_signing_keys
from doorward.storage.throttles import is_spent, spend, sweep_throttles
from doorward.storage.tokens import (
    find_family,
    is_access_token_revoked,
    revoke_access_token,
    revoke_family,
    start_family,
    sweep_tokens,
)
from doorward.storage.trusted_issuers import add_trusted_issuer
from doorward.storage.upstream import add_upstream_sign_in, consume_upstream_sign_in, sweep_upstream_sign_ins
from doorward.storage.users import end_session, find_session, start_session, sweep_sessions
from tests.storage.rows import (
    BROWSER_HASH,
    CLIENT,
    CODE_HASH,
    DAY,
    FAMILY,
    FLOW_HASH,
    GRANT,
    NOW,
    PROVIDER,
    SESSION_HASH,
    STATE_HASH,
    TRUST,
    Tenant,
    add_tenant,
    make_client,
    make_code,
    make_device_code,
    make_family,
    make_grant,
    make_interaction,
    make_pushed_request,
    make_session,
    make_signing_key,
    make_trust,
    make_upstream_sign_in,
)

EMPTY_SWEEPS: dict[str, Callable[[Database], Awaitable[int]]] = {
    "clients": lambda database: database.write(sweep_clients, NOW),
    "codes": lambda database: database.write(sweep_codes, NOW),
    "device codes": lambda database: database.write(sweep_device_codes, NOW),
    "grants": lambda database: database.write(sweep_grants, NOW),
    "idempotency keys": lambda database: database.write(sweep_idempotency_keys, NOW),
    "interactions": lambda database: database.write(sweep_interactions, NOW),
    "pushed requests": lambda database: database.write(sweep_pushed_requests, NOW),
    "signing keys": lambda database: database.write(sweep_signing_keys, NOW),
    "throttles": lambda database: database.write(sweep_throttles, NOW),
    "tokens": lambda database: database.write(sweep_tokens, NOW, revoked_before=NOW),
    "ways to providers": lambda database: database.write(sweep_upstream_sign_ins, NOW),
    "sessions": lambda database: database.write(sweep_sessions, NOW),
}


@pytest.mark.parametrize("what", EMPTY_SWEEPS)
async def test_a_sweep_of_nothing_finds_nothing(database: Database, what: str) -> None:
    assert await EMPTY_SWEEPS[what](database) == 0


async def test_unused_codes_go_when_they_expire(database: Database, tenant: Tenant) -> None:
    code = make_code(tenant.project)
    await database.write(add_code, code)
    assert await database.write(sweep_codes, code.expires_at - 1) == 0
    assert await database.write(sweep_codes, code.expires_at) == 1


async def test_a_used_code_is_remembered_so_that_its_replay_still_counts_code_02(
    database: Database, tenant: Tenant
) -> None:
    code = make_code(tenant.project)
    await database.write(add_code, code)
    await database.write(consume_code, tenant.project_id, CODE_HASH, CLIENT, NOW)
    late = code.expires_at + REPLAY_MEMORY_MS
    assert await database.write(sweep_codes, late - 1) == 0
    assert isinstance(await database.write(consume_code, tenant.project_id, CODE_HASH, CLIENT, late - 1), Reused)
    assert await database.write(sweep_codes, late) == 1
    assert await database.read(find_code, tenant.project_id, CODE_HASH) is None


async def test_waiting_requests_go_when_they_expire_decided_or_not(database: Database, tenant: Tenant) -> None:
    for name in ("decided", "ignored"):
        await database.write(add_interaction, make_interaction(tenant.project, hash_secret(name)), NOW)
    await database.write(consume_interaction, tenant.project_id, hash_secret("decided"), SESSION_HASH, NOW)
    later = make_interaction(tenant.project, expires_at=NOW + DAY)
    await database.write(add_interaction, later, NOW)
    assert await database.write(sweep_interactions, NOW + DAY - 1) == 2
    found = await database.read(find_interaction, tenant.project_id, FLOW_HASH, SESSION_HASH, NOW)
    assert found == later


async def test_pushed_requests_go_when_they_expire_spent_or_not_and_stay_as_long_as_a_browser_has_them(
    database: Database, tenant: Tenant
) -> None:
    for name in ("spent", "ignored", "opened"):
        await database.write(add_pushed_request, make_pushed_request(tenant.project, hash_secret(name)), NOW)
    assert await database.write(consume_pushed_request, tenant.project_id, hash_secret("spent"), NOW)
    opened = (tenant.project_id, hash_secret("opened"), CLIENT)
    await database.write(bind_pushed_request, *opened, BROWSER_HASH, now=NOW, until=NOW + DAY)
    unused = make_pushed_request(tenant.project).expires_at
    assert await database.write(sweep_pushed_requests, unused - 1) == 0
    assert await database.write(sweep_pushed_requests, unused) == 2
    assert await database.read(find_pushed_request, *opened, unused) is not None
    assert await database.write(sweep_pushed_requests, NOW + DAY) == 1


async def test_device_codes_are_remembered_for_a_while_so_that_a_device_is_told_that_they_ran_out(
    database: Database, tenant: Tenant
) -> None:
    code = make_device_code(tenant.project)
    await database.write(add_device_code, code)
    late = code.expires_at + MEMORY_MS
    assert await database.write(sweep_device_codes, late - 1) == 0
    assert await database.read(find_device_code, tenant.project_id, code.device_hash) == code
    assert await database.write(sweep_device_codes, late) == 1
    assert await database.read(find_device_code, tenant.project_id, code.device_hash) is None


async def test_a_way_to_a_provider_is_taken_once_by_its_browser_and_goes_when_it_is_too_late_pxy_05(
    database: Database, tenant: Tenant
) -> None:
    pending = make_upstream_sign_in(tenant.project)
    await database.write(add_upstream_sign_in, pending, NOW)
    way = (tenant.project_id, STATE_HASH, BROWSER_HASH, PROVIDER)
    for wrong in ((*way[:2], hash_secret("another"), PROVIDER), (*way[:3], "evil")):
        assert await database.write(consume_upstream_sign_in, *wrong, NOW) is None
    assert await database.write(consume_upstream_sign_in, *way, pending.expires_at) is None
    assert await database.write(consume_upstream_sign_in, *way, pending.expires_at - 1) == pending
    assert await database.write(consume_upstream_sign_in, *way, NOW) is None
    assert await database.write(sweep_upstream_sign_ins, pending.expires_at - 1) == 0
    assert await database.write(sweep_upstream_sign_ins, pending.expires_at) == 1


async def test_families_go_when_idle_over_or_long_revoked(database: Database, tenant: Tenant) -> None:
    ends = {"idle": {"idle_expires_at": NOW}, "old": {"absolute_expires_at": NOW}, "revoked": {}, "live": {}}
    for name, changes in ends.items():
        await database.write(start_family, make_family(tenant.project, name, **changes))
    revoked = make_family(tenant.project, "revoked").family_id
    await database.write(revoke_family, tenant.project_id, revoked, NOW - DAY)
    assert await database.write(sweep_tokens, NOW - 1, revoked_before=NOW - DAY - 1) == 0
    assert await database.write(sweep_tokens, NOW, revoked_before=NOW - DAY) == 3
    assert await database.read(find_family, tenant.project_id, make_family(tenant.project, "live").family_id)


async def test_a_void_access_token_is_forgotten_once_it_has_expired_anyway(database: Database, tenant: Tenant) -> None:
    await database.write(revoke_access_token, tenant.project_id, "mat_1", NOW + DAY, NOW)
    assert await database.write(sweep_tokens, NOW + DAY - 1, revoked_before=NOW) == 0
    assert await database.read(is_access_token_revoked, tenant.project_id, "mat_1")
    assert await database.write(sweep_tokens, NOW + DAY, revoked_before=NOW) == 1


async def test_a_grant_goes_when_nothing_hangs_off_it_any_more(database: Database, tenant: Tenant) -> None:
    bare = make_grant(tenant.project, "grt_bare")
    with_code = make_grant(tenant.project, "grt_code")
    young = make_grant(tenant.project, "grt_young", created_at=NOW + DAY)
    for grant in (bare, with_code, young):
        await database.write(add_grant, grant)
    await database.write(add_code, make_code(tenant.project, grant_id=with_code.grant_id))
    await database.write(start_family, make_family(tenant.project))
    assert await database.write(sweep_grants, NOW - 1) == 0
    assert await database.write(sweep_grants, NOW) == 1
    for grant in (tenant.grant, with_code, young):
        assert await database.read(find_live_grant, tenant.project_id, grant.grant_id) == grant


async def test_what_assertions_gave_goes_when_it_is_not_used_for_long_and_never_once_it_was_ended(
    database: Database, tenant: Tenant
) -> None:
    await database.write(add_trusted_issuer, make_trust(tenant.project, created_at=NOW - DAY))
    asserted = {"kind": "assertion", "granted_by": TRUST}
    idle = make_grant(tenant.project, "grt_idle", last_used_at=NOW, **asserted)
    used = make_grant(tenant.project, "grt_used", last_used_at=NOW + 1, **asserted)
    ended = make_grant(tenant.project, "grt_ended", last_used_at=NOW, revoked_at=NOW, **asserted)
    for grant in (idle, used, ended):
        await database.write(add_grant, grant)
    await database.write(start_family, make_family(tenant.project))
    assert await database.write(sweep_grants, NOW + 90 * DAY) == 0
    assert await database.write(sweep_grants, NOW + 90 * DAY, unused_since=NOW - 1) == 0
    assert await database.write(sweep_grants, NOW - 1, unused_since=NOW) == 0
    assert await database.write(sweep_grants, NOW + 90 * DAY, unused_since=NOW) == 1
    assert await database.read(find_live_grant, tenant.project_id, used.grant_id) == used
    assert len(await database.read(list_ended_connections, tenant.project_id, tenant.user.user_id)) == 1


async def test_what_somebody_ended_keeps_its_client_and_goes_with_it_when_that_is_removed(
    database: Database, tenant: Tenant
) -> None:
    client = make_client(tenant.project, "mcl_held", expires_at=NOW)
    await database.write(add_client, client)
    ended = make_grant(
        tenant.project, "grt_ended", client_id=client.client_id, kind="assertion", granted_by=TRUST, revoked_at=NOW
    )
    await database.write(add_grant, ended)
    assert await database.write(sweep_clients, NOW + DAY) == 0
    await database.write(remove_client, tenant.project_id, client.client_id, NOW)
    assert await database.read(list_ended_connections, tenant.project_id, tenant.user.user_id) == []


async def test_an_expired_client_goes_unless_it_holds_a_live_grant(database: Database, tenant: Tenant) -> None:
    for name, expires_at in {"mcl_gone": NOW, "mcl_later": NOW + 1, "mcl_holder": NOW, "mcl_revoked": NOW}.items():
        await database.write(add_client, make_client(tenant.project, name, expires_at=expires_at))
    for name in ("mcl_holder", "mcl_revoked"):
        holder = make_client(tenant.project, name).client_id
        await database.write(add_grant, make_grant(tenant.project, f"grt_{name}", client_id=holder))
    await database.write(revoke_grant, tenant.project_id, make_grant(tenant.project, "grt_mcl_revoked").grant_id, NOW)
    assert await database.write(sweep_clients, NOW) == 2
    left = {client.client_id for client in await database.read(list_clients, tenant.project_id)}
    assert left == {CLIENT, "mcl_later", "mcl_holder"}


async def test_sessions_go_when_they_are_over(database: Database, tenant: Tenant) -> None:
    await database.write(start_session, make_session(tenant.project))
    await database.write(start_session, make_session(tenant.project, TokenHash(b"over"), expires_at=NOW))
    assert await database.write(sweep_sessions, NOW) == 1
    assert await database.read(find_session, tenant.project_id, SESSION_HASH, now=NOW, idle_ms=DAY) is not None
    assert await database.write(end_session, tenant.project_id, TokenHash(b"over")) is None


async def test_a_signing_key_is_destroyed_when_its_time_has_come(database: Database, tenant: Tenant) -> None:
    await database.write(add_signing_key, tenant.project_id, make_signing_key("old", removed_at=NOW))
    await database.write(add_signing_key, tenant.project_id, make_signing_key("leaving", removed_at=NOW + 1))
    await database.write(add_signing_key, tenant.project_id, make_signing_key("staying"))
    assert await database.write(sweep_signing_keys, NOW) == 1
    kids = [key.kid for key in await database.read(list_signing_keys, tenant.project_id, 0)]
    assert kids == ["leaving", "staying"]


async def test_a_bucket_goes_when_it_is_empty_again(database: Database, tenant: Tenant) -> None:
    limit = Limit("test", burst=1, period_ms=1000)
    await database.write(spend, tenant.project_id, limit, "somebody", NOW)
    assert await database.write(sweep_throttles, NOW + 999) == 0
    assert await database.read(is_spent, tenant.project_id, limit, "somebody", NOW + 999) == 1
    assert await database.write(sweep_throttles, NOW + 1000) == 1


async def test_a_sweep_reaches_every_project(database: Database) -> None:
    for slug in ("alpha", "beta"):
        tenant = await add_tenant(database, slug)
        await database.write(add_code, make_code(tenant.project))
        await database.write(start_family, make_family(tenant.project))
    assert await database.write(sweep_codes, NOW + DAY) == 2
    assert await database.write(sweep_tokens, NOW + 90 * DAY, revoked_before=NOW) == 2
    assert await database.write(sweep_grants, NOW) == 2


async def test_sweeping_twice_is_sweeping_once(database: Database, tenant: Tenant) -> None:
    await database.write(add_code, make_code(tenant.project))
    assert [await database.write(sweep_codes, NOW + DAY) for _ in range(2)] == [1, 0]
    assert await database.read(find_live_grant, tenant.project_id, GRANT) is not None
    assert await database.read(find_family, tenant.project_id, FAMILY) is None


async def test_an_idempotency_key_is_free_again_once_it_has_expired(database: Database, tenant: Tenant) -> None:
    def claim(now: int) -> Awaitable[bool]:
        key, said = TokenHash(b"key"), TokenHash(b"said")
        return database.write(claim_idempotency_key, tenant.project_id, key, said, now=now, until=now + DAY)

    assert await claim(NOW)
    assert not await claim(NOW + DAY - 1)
    assert await claim(NOW + DAY)
    assert await database.write(sweep_idempotency_keys, NOW + 2 * DAY - 1) == 0
    assert await database.write(sweep_idempotency_keys, NOW + 2 * DAY) == 1
