"""Clients: found as stored, activated by their first use, gone with everything they hold."""

from dataclasses import replace

from doorward.core.secrets import hash_secret
from doorward.oauth.ids import ClientId
from doorward.storage.clients import add_client, count_clients, find_client, list_clients, remove_client, touch_client
from doorward.storage.codes import add_code, find_code
from doorward.storage.database import Database
from doorward.storage.grants import find_live_grant
from doorward.storage.tokens import find_family, start_family
from tests.storage.rows import (
    CLIENT,
    CODE_HASH,
    DAY,
    FAMILY,
    GRANT,
    NOW,
    Tenant,
    make_client,
    make_code,
    make_family,
)


async def test_a_client_is_found_as_it_was_stored(database: Database, tenant: Tenant) -> None:
    client = make_client(
        tenant.project,
        "mcl_two",
        kind="manual",
        secret_hash=hash_secret("mcs"),
        activated_at=NOW,
        last_used_at=NOW + 1,
        expires_at=NOW + DAY,
    )
    client = replace(client, metadata=replace(client.metadata, client_name="Zwölf “quotes” 🚪", contacts=("a@b.c",)))
    await database.write(add_client, client)
    assert await database.read(find_client, tenant.project_id, "mcl_two") == client


async def test_a_client_nobody_added_is_not_there(database: Database, tenant: Tenant) -> None:
    assert await database.read(find_client, tenant.project_id, "mcl_nobody") is None
    assert not await database.write(remove_client, tenant.project_id, ClientId("mcl_nobody"), NOW)


async def test_the_first_use_activates_a_client_and_each_one_renews_its_life(
    database: Database, tenant: Tenant
) -> None:
    for now in (NOW + 1, NOW + 2):
        await database.write(touch_client, tenant.project_id, CLIENT, now, now + DAY)
    expected = replace(tenant.client, activated_at=NOW + 1, last_used_at=NOW + 2, expires_at=NOW + 2 + DAY)
    assert await database.read(find_client, tenant.project_id, CLIENT) == expected


async def test_clients_are_listed_newest_first_and_counted(database: Database, tenant: Tenant) -> None:
    for number in range(1, 4):
        await database.write(add_client, make_client(tenant.project, f"mcl_{number}", created_at=NOW + number))
    listed = await database.read(list_clients, tenant.project_id, at_most=3)
    assert [client.client_id for client in listed] == ["mcl_3", "mcl_2", "mcl_1"]
    assert await database.read(count_clients, tenant.project_id) == 4


async def test_with_a_client_go_its_grants_codes_and_refresh_families(database: Database, tenant: Tenant) -> None:
    await database.write(add_code, make_code(tenant.project))
    await database.write(start_family, make_family(tenant.project))
    assert await database.write(remove_client, tenant.project_id, CLIENT, NOW)
    assert not await database.write(remove_client, tenant.project_id, CLIENT, NOW)
    assert await database.read(find_live_grant, tenant.project_id, GRANT) is None
    assert await database.read(find_code, tenant.project_id, CODE_HASH) is None
    assert await database.read(find_family, tenant.project_id, FAMILY) is None
