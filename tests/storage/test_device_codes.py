"""Devices that wait: one person who may decide, one decision, one answer with tokens (I1, T42).

Spec: DEV-06, DEV-07
"""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from doorward.core.models import DeviceDecision
from doorward.core.secrets import hash_secret
from doorward.oauth.ids import ClientId, GrantId, TokenHash, UserId
from doorward.storage.database import Database
from doorward.storage.device_codes import (
    LENIENCY_MS,
    SLOW_DOWN_MS,
    Claimed,
    ClaimedByAnother,
    NotWaiting,
    add_device_code,
    claim_user_code,
    consume_device_code,
    decide_device_code,
    find_device_code,
    find_waiting_device,
    is_client_awaited,
    poll_device_code,
)
from tests.storage.rows import CLIENT, DEVICE_HASH, GRANT, NOW, USER, USER_CODE_HASH, Tenant, make_device_code

OTHER_USER = UserId("usr_other")
OTHER_CLIENT = ClientId("mcl_other")
INTERVAL = 5000


async def interval_of(database: Database, tenant: Tenant) -> int:
    found = await database.read(find_device_code, tenant.project_id, DEVICE_HASH)
    assert found is not None
    return found.interval_ms


async def poll(database: Database, tenant: Tenant, after: int, client_id: ClientId = CLIENT) -> bool:
    return await database.write(poll_device_code, tenant.project_id, DEVICE_HASH, client_id, NOW + after)


async def test_a_device_is_found_as_it_was_stored(database: Database, tenant: Tenant) -> None:
    code = make_device_code(
        tenant.project,
        alias="https://old.example.com/mcp",
        dpop_jkt="t" * 43,
        polled_at=NOW,
        user_id=USER,
        decision="allowed",
        grant_id=GRANT,
        used_at=NOW,
    )
    assert await database.write(add_device_code, code)
    assert await database.read(find_device_code, tenant.project_id, DEVICE_HASH) == code


async def test_a_user_code_in_use_is_not_given_out_twice(database: Database, tenant: Tenant) -> None:
    code = make_device_code(tenant.project)
    assert await database.write(add_device_code, code)
    twin = replace(code, device_hash=TokenHash(b"twin"))
    assert not await database.write(add_device_code, twin)
    assert await database.read(find_device_code, tenant.project_id, twin.device_hash) is None
    assert await database.write(add_device_code, replace(twin, user_code_hash=TokenHash(b"another")))


async def test_the_first_person_holds_a_device_and_may_come_back_to_it_t42(database: Database, tenant: Tenant) -> None:
    code = make_device_code(tenant.project)
    await database.write(add_device_code, code)
    held = Claimed(replace(code, user_id=USER))
    for person, outcome in ((USER, held), (OTHER_USER, ClaimedByAnother()), (USER, held)):
        assert await database.write(claim_user_code, tenant.project_id, USER_CODE_HASH, person, NOW) == outcome


async def test_of_many_people_at_once_one_gets_the_device(database: Database, tenant: Tenant) -> None:
    await database.write(add_device_code, make_device_code(tenant.project))
    people = [UserId(f"usr_{number}") for number in range(50)]
    outcomes = await asyncio.gather(
        *(database.write(claim_user_code, tenant.project_id, USER_CODE_HASH, person, NOW) for person in people)
    )
    assert Counter(type(outcome) for outcome in outcomes) == {Claimed: 1, ClaimedByAnother: 49}


@pytest.mark.parametrize("decision", ["allowed", "denied"])
async def test_what_was_decided_waits_no_more(database: Database, tenant: Tenant, decision: DeviceDecision) -> None:
    await database.write(add_device_code, make_device_code(tenant.project, user_id=USER))
    decided = (tenant.project_id, USER_CODE_HASH, USER, decision, GRANT, NOW)
    assert await database.write(decide_device_code, *decided) is not None
    assert await database.write(decide_device_code, *decided) is None
    for person in (USER, OTHER_USER):
        assert await database.write(claim_user_code, tenant.project_id, USER_CODE_HASH, person, NOW) == NotWaiting()


@pytest.mark.parametrize("holder", [None, OTHER_USER])
async def test_only_who_entered_the_code_decides_t42(database: Database, tenant: Tenant, holder: UserId | None) -> None:
    code = make_device_code(tenant.project, user_id=holder)
    await database.write(add_device_code, code)
    choices: tuple[DeviceDecision, ...] = ("allowed", "denied")
    for decision in choices:
        decided = (tenant.project_id, USER_CODE_HASH, USER, decision, GRANT, NOW)
        assert await database.write(decide_device_code, *decided) is None
    assert await database.read(find_device_code, tenant.project_id, DEVICE_HASH) == code


async def test_of_many_decisions_at_once_one_counts(database: Database, tenant: Tenant) -> None:
    await database.write(add_device_code, make_device_code(tenant.project, user_id=USER))
    choices: list[tuple[DeviceDecision, GrantId | None]] = [
        ("allowed", GrantId(f"grt_{number}")) if number % 2 else ("denied", None) for number in range(50)
    ]
    outcomes = await asyncio.gather(
        *(
            database.write(decide_device_code, tenant.project_id, USER_CODE_HASH, USER, *choice, NOW)
            for choice in choices
        )
    )
    (won,) = [outcome for outcome in outcomes if outcome is not None]
    assert await database.read(find_device_code, tenant.project_id, DEVICE_HASH) == won


@pytest.mark.parametrize(("late_by", "works"), [(-1, True), (0, False)])
async def test_everything_ends_in_the_very_millisecond_the_code_runs_out(
    database: Database, tenant: Tenant, late_by: int, *, works: bool
) -> None:
    waiting = make_device_code(tenant.project)
    allowed = replace(waiting, device_hash=TokenHash(b"a"), user_code_hash=TokenHash(b"a"), decision="allowed")
    for code in (waiting, allowed):
        await database.write(add_device_code, code)
    at, of = waiting.expires_at + late_by, tenant.project_id
    assert (await database.read(find_waiting_device, of, USER_CODE_HASH, at) is not None) is works
    assert await database.read(is_client_awaited, of, CLIENT, at) is works
    assert isinstance(await database.write(claim_user_code, of, USER_CODE_HASH, USER, at), Claimed) is works
    assert (await database.write(consume_device_code, of, TokenHash(b"a"), CLIENT, at) is not None) is works
    decided = await database.write(decide_device_code, of, USER_CODE_HASH, USER, "denied", None, at)
    assert (decided is not None) is works


async def test_asking_in_time_leaves_the_interval_and_asking_early_adds_five_seconds_for_good_dev_06(
    database: Database, tenant: Tenant
) -> None:
    await database.write(add_device_code, make_device_code(tenant.project))
    times = (0, INTERVAL, 9_000, 19_000, 28_000, 43_000, 58_000)
    told = [(await poll(database, tenant, at), await interval_of(database, tenant)) for at in times]
    assert told == [
        (True, 5_000),  # the first question is never early
        (True, 5_000),
        (False, 10_000),  # after 4 s
        (True, 10_000),
        (False, 15_000),  # after 9 s
        (True, 15_000),
        (True, 15_000),
    ]
    assert SLOW_DOWN_MS == 5_000


@pytest.mark.parametrize(("early_by", "in_time"), [(LENIENCY_MS, True), (LENIENCY_MS + 1, False)])
async def test_a_quick_network_makes_nobody_wait_longer(
    database: Database, tenant: Tenant, early_by: int, *, in_time: bool
) -> None:
    await database.write(add_device_code, make_device_code(tenant.project))
    await poll(database, tenant, 0)
    assert await poll(database, tenant, INTERVAL - early_by) is in_time


async def test_another_clients_questions_change_nothing(database: Database, tenant: Tenant) -> None:
    code = make_device_code(tenant.project)
    await database.write(add_device_code, code)
    for _ in range(3):
        await poll(database, tenant, 0, OTHER_CLIENT)
    assert await database.read(find_device_code, tenant.project_id, DEVICE_HASH) == code


async def test_a_decided_device_is_not_slowed_down(database: Database, tenant: Tenant) -> None:
    await database.write(add_device_code, make_device_code(tenant.project, decision="allowed", polled_at=NOW))
    assert await poll(database, tenant, 1)
    assert await interval_of(database, tenant) == INTERVAL


@pytest.mark.parametrize("decision", ["waiting", "denied"])
async def test_what_nobody_allowed_cannot_be_spent(
    database: Database, tenant: Tenant, decision: DeviceDecision
) -> None:
    await database.write(add_device_code, make_device_code(tenant.project, decision=decision))
    assert await database.write(consume_device_code, tenant.project_id, DEVICE_HASH, CLIENT, NOW) is None


async def test_another_client_cannot_spend_an_allowed_code_dev_07(database: Database, tenant: Tenant) -> None:
    await database.write(add_device_code, make_device_code(tenant.project, decision="allowed"))
    assert await database.write(consume_device_code, tenant.project_id, DEVICE_HASH, OTHER_CLIENT, NOW) is None
    assert await database.write(consume_device_code, tenant.project_id, DEVICE_HASH, CLIENT, NOW) is not None


async def test_of_many_at_once_each_code_has_one_winner_dev_07(database: Database, tenant: Tenant) -> None:
    hashes = [hash_secret(f"device {number}") for number in range(20)]
    for device_hash in hashes:
        code = make_device_code(tenant.project, device_hash, user_code_hash=device_hash, decision="allowed")
        await database.write(add_device_code, code)
    outcomes = await asyncio.gather(
        *(
            database.write(consume_device_code, tenant.project_id, device_hash, CLIENT, NOW)
            for _ in range(25)
            for device_hash in hashes
        )
    )
    winners = Counter(outcome.device_hash for outcome in outcomes if outcome is not None)
    assert winners == dict.fromkeys(hashes, 1)


async def test_a_client_is_awaited_until_its_device_has_its_tokens(database: Database, tenant: Tenant) -> None:
    await database.write(add_device_code, make_device_code(tenant.project, decision="allowed"))
    awaited = (tenant.project_id, CLIENT, NOW)
    assert await database.read(is_client_awaited, *awaited)
    assert not await database.read(is_client_awaited, tenant.project_id, OTHER_CLIENT, NOW)
    await database.write(consume_device_code, tenant.project_id, DEVICE_HASH, CLIENT, NOW)
    assert not await database.read(is_client_awaited, *awaited)
