"""Whatever ends a token is announced in the transaction that ends it, and remembered for as long as it matters.

Spec: REV-03, REV-04; I2, I3, I9; T43
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from doorward.storage import clients, grants, projects, resources, tokens, trusted_issuers, users
from doorward.storage.access_tokens import Standing, is_token_live
from doorward.storage.database import Database, Transaction
from doorward.storage.executor_sqlite import SqliteDatabase
from doorward.storage.revocations import (
    KEPT_MS,
    Revocation,
    announce,
    find_newest_revocation,
    is_revocation_known,
    list_revocations,
    sweep_revocations,
)
from tests.storage.filled import fill
from tests.storage.rows import CLIENT, DAY, GRANT, NOW, RESOURCE, TRUST, URI, USER, Tenant, dump
from tests.storage.test_isolation import CHANGES, name_of
from tests.storage.test_processes_sqlite import prepare, run_on_each

ENDS = {
    clients.set_client_status,
    clients.void_client_grants,
    clients.remove_client,
    grants.revoke_grant,
    grants.revoke_own_grant,
    projects.void_project_grants,
    projects.stop_project,
    resources.void_resource_grants,
    resources.stop_resource,
    resources.remove_resource,
    tokens.revoke_access_token,
    trusted_issuers.remove_trusted_issuer,
    trusted_issuers.void_trusted_issuer,
    users.update_user,
    users.void_user_grants,
    users.remove_user,
}
TOKENS = (
    Standing("mat_new", CLIENT, NOW, GRANT, RESOURCE),
    Standing("mat_new", CLIENT, NOW, None, RESOURCE),
    Standing("mat_exchanged", CLIENT, NOW, GRANT, RESOURCE, came_from=("mat_older", "mat_new")),
    Standing("mat_job", TRUST, NOW, None, RESOURCE),
)


async def list_all(database: Database, tenant: Tenant) -> list[Revocation]:
    return await database.read(list_revocations, tenant.project_id, 0, at_most=1000)


async def see_live(tx: Transaction, tenant: Tenant) -> list[bool]:
    return [await is_token_live(tx, tenant.project_id, token) for token in TOKENS]


@pytest.mark.parametrize("verb", CHANGES, ids=name_of)
async def test_no_verb_ends_a_token_without_announcing_it(
    database: Database, tenant: Tenant, verb: Callable[..., Any]
) -> None:
    await database.write(fill, tenant)
    before = await database.read(see_live, tenant)
    assert before == [True] * len(TOKENS)
    told = await list_all(database, tenant)
    await database.write(CHANGES[verb], tenant)
    ended = await database.read(see_live, tenant) != before
    assert ended is (verb in ENDS)
    assert not ended or len(await list_all(database, tenant)) > len(told)


async def test_an_ending_that_is_undone_is_announced_as_well(database: Database, tenant: Tenant) -> None:
    async def switch(tx: Transaction) -> None:
        project_id = tenant.project_id
        await projects.stop_project(tx, project_id, NOW)
        await projects.resume_project(tx, project_id, NOW + 1)
        await resources.stop_resource(tx, project_id, RESOURCE, NOW)
        await resources.resume_resource(tx, project_id, RESOURCE, NOW + 1)
        await clients.set_client_status(tx, project_id, CLIENT, "suspended", NOW)
        await clients.set_client_status(tx, project_id, CLIENT, "active", NOW + 1)

    await database.write(switch)
    told = [(r.seq, r.kind, r.subject, r.state, r.void_before, r.expires_at) for r in await list_all(database, tenant)]
    assert told == [
        (1, "project", "", "hold", NOW, NOW + KEPT_MS),
        (2, "project", "", "free", NOW + 1, NOW + 1 + KEPT_MS),
        (3, "resource", URI, "hold", NOW, NOW + KEPT_MS),
        (4, "resource", URI, "free", NOW + 1, NOW + 1 + KEPT_MS),
        (5, "client", CLIENT, "hold", NOW, NOW + KEPT_MS),
        (6, "client", CLIENT, "free", NOW + 1, NOW + 1 + KEPT_MS),
    ]


async def test_what_is_removed_while_it_is_held_is_not_held_when_it_comes_back(
    database: Database, tenant: Tenant
) -> None:
    async def remove(tx: Transaction) -> None:
        await resources.stop_resource(tx, tenant.project_id, RESOURCE, NOW)
        await resources.remove_resource(tx, tenant.project_id, RESOURCE, NOW)
        await clients.set_client_status(tx, tenant.project_id, CLIENT, "suspended", NOW)
        await clients.remove_client(tx, tenant.project_id, CLIENT, NOW)

    await database.write(remove)
    told = [(revocation.kind, revocation.state) for revocation in await list_all(database, tenant)]
    assert told == [(kind, state) for kind in ("resource", "client") for state in ("hold", "void", "free")]


async def test_only_a_change_is_announced(database: Database, tenant: Tenant) -> None:
    async def change_nothing(tx: Transaction) -> None:
        project_id = tenant.project_id
        await users.update_user(tx, tenant.user, NOW)
        await projects.resume_project(tx, project_id, NOW)
        await resources.resume_resource(tx, project_id, RESOURCE, NOW)
        await grants.revoke_grant(tx, project_id, GRANT, NOW)
        await grants.revoke_grant(tx, project_id, GRANT, NOW)
        await grants.revoke_own_grant(tx, project_id, USER, GRANT, NOW)
        for _ in range(2):
            await tokens.revoke_access_token(tx, project_id, "mat_1", NOW + DAY, NOW)

    await database.write(change_nothing)
    told = [(revocation.kind, revocation.subject) for revocation in await list_all(database, tenant)]
    assert told == [("grant", GRANT), ("jti", "mat_1")]


async def test_an_ending_that_fails_is_not_announced(database: Database, tenant: Tenant) -> None:
    before = await database.read(see_live, tenant)

    async def fail(tx: Transaction) -> None:
        await grants.revoke_grant(tx, tenant.project_id, GRANT, NOW)
        raise RuntimeError("power is gone")

    with pytest.raises(RuntimeError, match="power is gone"):
        await database.write(fail)
    assert await list_all(database, tenant) == []
    assert await database.read(find_newest_revocation, tenant.project_id) == 0
    assert await database.read(see_live, tenant) == before


VOIDS: dict[str, Callable[[Transaction, Tenant, int], Awaitable[bool]]] = {
    "client": lambda tx, t, now: clients.void_client_grants(tx, t.project_id, CLIENT, now),
    "user": lambda tx, t, now: users.void_user_grants(tx, t.project_id, USER, now),
    "resource": lambda tx, t, now: resources.void_resource_grants(tx, t.project_id, RESOURCE, now),
    "project": lambda tx, t, now: projects.void_project_grants(tx, t.project_id, now),
    "trust": lambda tx, t, now: trusted_issuers.void_trusted_issuer(tx, t.project_id, TRUST, now),
}


@pytest.mark.parametrize("kind", VOIDS)
async def test_an_epoch_never_goes_back_i9(database: Database, tenant: Tenant, kind: str) -> None:
    await database.write(fill, tenant)
    assert await database.write(VOIDS[kind], tenant, NOW + 5)
    before = await dump(database, tenant.project_id)
    assert await database.write(VOIDS[kind], tenant, NOW - 5)  # by a clock that was set back
    after = await dump(database, tenant.project_id)
    assert {table for table in after if after[table] != before[table]} == {"projects", "revocations"}
    (project,) = after["projects"]
    assert (NOW + 5 in project) is (kind == "project")
    assert False in await database.read(see_live, tenant)


async def test_a_cursor_is_known_by_its_mark_and_not_by_its_number(database: Database, tenant: Tenant) -> None:
    await database.write(announce, tenant.project_id, "key", "kid", "void", NOW, NOW)
    (told,) = await list_all(database, tenant)
    assert await database.read(is_revocation_known, tenant.project_id, 1, told.mark)
    assert not await database.read(is_revocation_known, tenant.project_id, 1, "rvk_of_another_copy")
    assert not await database.read(is_revocation_known, tenant.project_id, 2, told.mark)


async def test_announcements_are_forgotten_when_no_token_can_be_left_except_the_newest_i13(
    database: Database, tenant: Tenant
) -> None:
    for number in range(3):
        await database.write(announce, tenant.project_id, "jti", f"mat_{number}", "void", NOW, NOW + number)
    assert await database.write(sweep_revocations, NOW + KEPT_MS - 1) == 0
    assert await database.write(sweep_revocations, NOW + KEPT_MS) == 1
    assert await database.write(sweep_revocations, NOW + DAY) == 1
    assert [(r.seq, r.subject) for r in await list_all(database, tenant)] == [(3, "mat_2")]
    await database.write(announce, tenant.project_id, "jti", "mat_3", "void", NOW, NOW + DAY)
    assert await database.write(sweep_revocations, NOW + DAY) == 1
    assert [r.seq for r in await list_all(database, tenant)] == [4]


def test_two_servers_share_one_sequence_without_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "doorward.db"

    async def nothing(_: SqliteDatabase, __: Tenant) -> None:
        return

    project_id = prepare(path, nothing).project_id

    async def announce_some(database: SqliteDatabase) -> None:
        for _ in range(10):
            await asyncio.gather(
                *(database.write(announce, project_id, "jti", "mat_1", "void", NOW, NOW) for _ in range(10))
            )

    async def read(database: SqliteDatabase) -> list[int]:
        await announce_some(database)
        return [row.seq for row in await database.read(list_revocations, project_id, 0, at_most=1000)]

    seen = max(run_on_each(path, read), key=len)
    assert seen == list(range(1, 201))
