"""Authorization codes: one winner, whoever else tries (I1, T23, T24)."""

import asyncio
from collections import Counter

import pytest

from doorward.core.secrets import hash_secret
from doorward.oauth.ids import ClientId
from doorward.storage.codes import (
    MAX_FAILED_TRIES,
    Consumed,
    Reused,
    Unknown,
    add_code,
    consume_code,
    count_failed_try,
    find_code,
)
from doorward.storage.database import Database, Transaction
from tests.storage.rows import CLIENT, CODE_HASH, MINUTE, NOW, Tenant, make_code


async def test_a_code_is_found_as_it_was_stored(database: Database, tenant: Tenant) -> None:
    code = make_code(tenant.project, redirect_uri_sent=False)
    await database.write(add_code, code)
    assert await database.read(find_code, tenant.project_id, CODE_HASH) == code


async def test_a_code_is_consumed_once_and_reused_after_that_code_02(database: Database, tenant: Tenant) -> None:
    code = make_code(tenant.project)
    await database.write(add_code, code)
    spent = make_code(tenant.project, used_at=NOW + 1)
    for expected in (Consumed(spent), Reused(spent), Reused(spent)):
        assert await database.write(consume_code, tenant.project_id, CODE_HASH, CLIENT, NOW + 1) == expected


async def test_a_code_nobody_issued_is_unknown(database: Database, tenant: Tenant) -> None:
    assert await database.write(consume_code, tenant.project_id, CODE_HASH, CLIENT, NOW) == Unknown()


async def test_another_client_neither_spends_a_code_nor_learns_that_it_was_spent_t24(
    database: Database, tenant: Tenant
) -> None:
    await database.write(add_code, make_code(tenant.project))
    other = ClientId("mcl_other")
    assert await database.write(consume_code, tenant.project_id, CODE_HASH, other, NOW) == Unknown()
    assert isinstance(await database.write(consume_code, tenant.project_id, CODE_HASH, CLIENT, NOW), Consumed)
    assert await database.write(consume_code, tenant.project_id, CODE_HASH, other, NOW) == Unknown()


@pytest.mark.parametrize(("late_by", "works"), [(-1, True), (0, False), (MINUTE, False)])
async def test_a_code_works_until_the_very_millisecond_it_expires_code_01(
    database: Database, tenant: Tenant, late_by: int, *, works: bool
) -> None:
    code = make_code(tenant.project)
    await database.write(add_code, code)
    outcome = await database.write(consume_code, tenant.project_id, CODE_HASH, CLIENT, code.expires_at + late_by)
    assert isinstance(outcome, Consumed if works else Unknown)


@pytest.mark.parametrize(("tries", "works"), [(MAX_FAILED_TRIES - 1, True), (MAX_FAILED_TRIES, False)])
async def test_a_code_dies_of_too_many_wrong_verifiers(
    database: Database, tenant: Tenant, tries: int, *, works: bool
) -> None:
    await database.write(add_code, make_code(tenant.project))
    for _ in range(tries):
        await database.write(count_failed_try, tenant.project_id, CODE_HASH)
    outcome = await database.write(consume_code, tenant.project_id, CODE_HASH, CLIENT, NOW)
    assert isinstance(outcome, Consumed if works else Unknown)


async def test_wrong_verifiers_after_the_redemption_do_not_make_a_code_forget_that_it_was_used(
    database: Database, tenant: Tenant
) -> None:
    await database.write(add_code, make_code(tenant.project))
    await database.write(consume_code, tenant.project_id, CODE_HASH, CLIENT, NOW)
    for _ in range(MAX_FAILED_TRIES):
        await database.write(count_failed_try, tenant.project_id, CODE_HASH)
    assert isinstance(await database.write(consume_code, tenant.project_id, CODE_HASH, CLIENT, NOW), Reused)


async def test_of_many_redemptions_at_once_each_code_has_one_winner_t23(database: Database, tenant: Tenant) -> None:
    hashes = [hash_secret(f"code {number}") for number in range(20)]
    for code_hash in hashes:
        await database.write(add_code, make_code(tenant.project, code_hash))
    outcomes = await asyncio.gather(
        *(
            database.write(consume_code, tenant.project_id, code_hash, CLIENT, NOW)
            for _ in range(25)
            for code_hash in hashes
        )
    )
    winners = Counter(outcome.code.code_hash for outcome in outcomes if isinstance(outcome, Consumed))
    losers = Counter(outcome.code.code_hash for outcome in outcomes if isinstance(outcome, Reused))
    assert winners == dict.fromkeys(hashes, 1)
    assert losers == dict.fromkeys(hashes, 24)


async def test_two_redemptions_in_one_transaction_have_one_winner(database: Database, tenant: Tenant) -> None:
    await database.write(add_code, make_code(tenant.project))

    async def twice(tx: Transaction) -> list[type]:
        return [type(await consume_code(tx, tenant.project_id, CODE_HASH, CLIENT, NOW)) for _ in range(2)]

    assert await database.write(twice) == [Consumed, Reused]
