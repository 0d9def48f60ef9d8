"""Signing keys of a project: published, followed by one other and no more, withdrawn (AT-06, I8)."""

import asyncio
import json
from dataclasses import replace

import pytest

from doorward.core.rotation import PUBLISH_BEFORE_SIGNING_MS, VERIFY_AFTER_SIGNING_MS, signing_key_purpose
from doorward.core.vault import Vault
from doorward.oauth.jwt import generate_signing_key, parse_signing_key
from doorward.storage.database import Database
from doorward.storage.key_rotation import publish_first_key, publish_key_at_once, publish_next_key
from doorward.storage.revocations import list_revocations
from doorward.storage.signing_keys import (
    StoredSigningKey,
    add_first_signing_key,
    add_signing_key,
    list_signing_keys,
    remove_signing_keys,
    retire_signing_keys,
    sweep_signing_keys,
)
from tests.storage.rows import DAY, NOW, Tenant, make_signing_key

VAULT = Vault([bytes(range(32))])
LEAVES_AFTER = PUBLISH_BEFORE_SIGNING_MS + VERIFY_AFTER_SIGNING_MS


async def listed(database: Database, tenant: Tenant, now: int = NOW) -> list[StoredSigningKey]:
    return await database.read(list_signing_keys, tenant.project_id, now)


async def test_signing_keys_are_listed_the_next_signer_last(database: Database, tenant: Tenant) -> None:
    first, second = make_signing_key("kid-b"), make_signing_key("kid-a", signs_from=NOW + 10)
    for key in (second, first):
        await database.write(add_signing_key, tenant.project_id, key)
    assert await listed(database, tenant) == [first, second]


async def test_a_retired_key_stays_published_until_its_last_token_expired_i8(
    database: Database, tenant: Tenant
) -> None:
    old = make_signing_key("old")
    await database.write(add_signing_key, tenant.project_id, old)
    retired = await database.write(retire_signing_keys, tenant.project_id, "ES256", NOW + DAY, made_before=NOW)
    assert retired == ["old"]
    assert await listed(database, tenant, NOW + DAY - 1) == [replace(old, removed_at=NOW + DAY)]
    assert await listed(database, tenant, NOW + DAY) == []


async def test_a_key_that_is_leaving_already_keeps_its_time(database: Database, tenant: Tenant) -> None:
    await database.write(add_signing_key, tenant.project_id, make_signing_key("old", removed_at=NOW + 5))
    retired = await database.write(retire_signing_keys, tenant.project_id, "ES256", NOW + DAY, made_before=NOW)
    assert retired == []
    assert [key.removed_at for key in await listed(database, tenant)] == [NOW + 5]


@pytest.mark.parametrize(("made_before", "retires"), [(NOW - 1, False), (NOW, True)])
async def test_a_key_is_retired_from_the_millisecond_it_is_old_enough(
    database: Database, tenant: Tenant, made_before: int, *, retires: bool
) -> None:
    await database.write(add_signing_key, tenant.project_id, make_signing_key("old"))
    retired = await database.write(retire_signing_keys, tenant.project_id, "ES256", NOW, made_before=made_before)
    assert (retired == ["old"]) is retires


async def test_keys_of_one_algorithm_are_retired_and_removed_without_the_others(
    database: Database, tenant: Tenant
) -> None:
    for number, alg in enumerate(("ES256", "EdDSA", "RS256")):
        await database.write(add_signing_key, tenant.project_id, make_signing_key(f"kid-{number}", alg=alg))
    await database.write(retire_signing_keys, tenant.project_id, "EdDSA", NOW + DAY, made_before=NOW)
    assert [key.removed_at for key in await listed(database, tenant)] == [None, NOW + DAY, None]
    assert await database.write(remove_signing_keys, tenant.project_id, "EdDSA", NOW) == ["kid-1"]
    assert [key.kid for key in await listed(database, tenant)] == ["kid-0", "kid-2"]


async def test_of_twenty_who_see_a_key_due_one_puts_the_next_in_its_place_at_06(
    database: Database, tenant: Tenant
) -> None:
    await database.write(add_signing_key, tenant.project_id, make_signing_key("old"))
    pairs = [generate_signing_key() for _ in range(20)]
    published = await asyncio.gather(
        *(
            database.write(publish_next_key, VAULT, tenant.project_id, pair, now=NOW + 1, made_before=NOW)
            for pair in pairs
        )
    )
    (next_key,) = [key for key in published if key is not None]
    old = make_signing_key("old", removed_at=NOW + 1 + LEAVES_AFTER)
    assert await listed(database, tenant) == [old, next_key]
    assert (next_key.signs_from, next_key.removed_at) == (NOW + 1 + PUBLISH_BEFORE_SIGNING_MS, None)


async def test_of_twenty_who_miss_a_first_key_one_publishes_it(database: Database, tenant: Tenant) -> None:
    await database.write(add_signing_key, tenant.project_id, make_signing_key("other"))
    pairs = [generate_signing_key("EdDSA") for _ in range(20)]
    published = await asyncio.gather(
        *(database.write(publish_first_key, VAULT, tenant.project_id, pair, NOW) for pair in pairs)
    )
    (first,) = [key for key in published if key is not None]
    assert await listed(database, tenant) == [make_signing_key("other"), first]
    assert first.signs_from == NOW + PUBLISH_BEFORE_SIGNING_MS


async def test_an_algorithm_whose_keys_are_all_leaving_has_none_that_stays(database: Database, tenant: Tenant) -> None:
    leaving, stays = make_signing_key("leaving", removed_at=NOW + DAY), make_signing_key("stays")
    await database.write(add_signing_key, tenant.project_id, leaving)
    assert await database.write(add_first_signing_key, tenant.project_id, stays)
    assert not await database.write(add_first_signing_key, tenant.project_id, make_signing_key("second"))
    assert await listed(database, tenant) == [leaving, stays]


async def test_a_key_that_signs_at_once_is_the_only_one_left_and_the_others_are_destroyed(
    database: Database, tenant: Tenant
) -> None:
    for key in (make_signing_key("leaving", removed_at=NOW + DAY), make_signing_key("newest")):
        await database.write(add_signing_key, tenant.project_id, key)
    pair = generate_signing_key()
    stored, removed = await database.write(publish_key_at_once, VAULT, tenant.project_id, pair, NOW)
    assert sorted(removed) == ["leaving", "newest"]
    assert (stored.kid, stored.signs_from) == (pair.kid, NOW)
    assert await listed(database, tenant) == [stored]
    assert await database.write(sweep_signing_keys, NOW) == 2
    assert [key.kid for key in await listed(database, tenant, 0)] == [pair.kid]


async def test_keys_that_are_taken_away_are_announced_and_that_what_they_sign_later_is_void_too_i3(
    database: Database, tenant: Tenant
) -> None:
    for kid in ("one", "two"):
        await database.write(add_signing_key, tenant.project_id, make_signing_key(kid))
    await database.write(publish_key_at_once, VAULT, tenant.project_id, generate_signing_key(), NOW)
    told = await database.read(list_revocations, tenant.project_id, 0, at_most=10)
    assert sorted((entry.kind, entry.subject, entry.state) for entry in told) == [
        ("key", "one", "void"),
        ("key", "two", "void"),
    ]
    assert all(entry.void_before >= entry.expires_at > NOW for entry in told)


async def test_a_private_part_is_encrypted_for_this_very_key_t49(database: Database, tenant: Tenant) -> None:
    pair = generate_signing_key("EdDSA")
    stored = await database.write(publish_first_key, VAULT, tenant.project_id, pair, NOW)
    assert stored is not None
    purpose = signing_key_purpose(tenant.project_id, pair.kid)
    private = json.loads(VAULT.decrypt(stored.private_ciphertext, purpose))
    assert parse_signing_key(private).public_jwk() == pair.public_jwk() == json.loads(stored.public_jwk)
    assert private["d"].encode() not in stored.private_ciphertext
    assert "d" not in json.loads(stored.public_jwk)
