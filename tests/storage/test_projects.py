"""Projects, their resources, and the server's own secrets."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import select

from doorward.core.models import ProjectSettings
from doorward.oauth.ids import ProjectId, ResourceId
from doorward.storage.database import Database, Transaction
from doorward.storage.grants import find_live_grant
from doorward.storage.projects import (
    add_project,
    add_server_secret,
    find_project,
    list_projects,
    list_server_secrets,
    update_project,
)
from doorward.storage.resources import add_resource, list_resources, remove_resource, update_resource
from doorward.storage.schema import projects
from tests.storage.rows import GRANT, NOW, RESOURCE, URI, Tenant, make_project, make_resource, unlisted

_SETTINGS = unlisted(select(projects.c.settings))


async def test_a_project_is_found_under_its_slug(database: Database) -> None:
    project = make_project()
    assert await database.write(add_project, project)
    assert await database.read(find_project, "alpha") == project
    assert await database.read(find_project, "beta") is None
    assert await database.read(list_projects) == [project]


async def test_of_many_projects_with_one_slug_one_is_stored(database: Database) -> None:
    rivals = [replace(make_project(), project_id=ProjectId(f"prj_{number}")) for number in range(20)]
    stored = await asyncio.gather(*(database.write(add_project, rival) for rival in rivals))
    assert sum(stored) == 1
    assert len(await database.read(list_projects)) == 1


async def test_a_project_keeps_only_the_settings_that_differ_from_the_defaults(
    database: Database, tenant: Tenant
) -> None:
    changed = replace(tenant.project, name="New", settings=ProjectSettings(registration_mode="closed"))
    assert await database.write(update_project, changed)
    assert await database.read(find_project, "alpha") == changed

    async def read_settings(tx: Transaction) -> object:
        return await tx.one(_SETTINGS)

    assert await database.read(read_settings) == ('{"registration_mode": "closed"}',)


async def test_a_project_that_is_not_there_is_not_updated(database: Database, tenant: Tenant) -> None:
    assert not await database.write(update_project, make_project("nowhere"))
    assert await database.read(list_projects) == [tenant.project]


async def test_a_resource_is_listed_as_it_was_stored(database: Database, tenant: Tenant) -> None:
    assert await database.read(list_resources, tenant.project_id) == [tenant.resource]


@pytest.mark.parametrize(
    "uri", [URI, f"{URI}/", URI.replace("https://api", "HTTPS://API"), URI.replace("/mcp", ":443/mcp")]
)
async def test_another_spelling_of_a_resource_is_the_same_resource_res_11(
    database: Database, tenant: Tenant, uri: str
) -> None:
    assert not await database.write(add_resource, make_resource(tenant.project, "rsc_two", uri=uri))
    assert await database.read(list_resources, tenant.project_id) == [replace(tenant.resource, is_default=False)]


async def test_a_new_default_resource_replaces_the_old(database: Database, tenant: Tenant) -> None:
    second = make_resource(tenant.project, "rsc_two", uri=f"{URI}/two", created_at=NOW + 1)
    assert await database.write(add_resource, second)
    assert [r.is_default for r in await database.read(list_resources, tenant.project_id)] == [False, True]
    assert await database.write(update_resource, replace(tenant.resource, name="First again"))
    assert await database.read(list_resources, tenant.project_id) == [
        replace(tenant.resource, name="First again"),
        replace(second, is_default=False),
    ]


async def test_a_resource_keeps_its_uri_for_good(database: Database, tenant: Tenant) -> None:
    assert await database.write(update_resource, replace(tenant.resource, uri="https://other.example.com", scopes=()))
    assert await database.read(list_resources, tenant.project_id) == [replace(tenant.resource, scopes=())]
    assert not await database.write(update_resource, make_resource(tenant.project, "rsc_nothing", is_default=False))


async def test_with_a_resource_go_the_grants_for_it(database: Database, tenant: Tenant) -> None:
    assert await database.write(remove_resource, tenant.project_id, RESOURCE, NOW)
    assert not await database.write(remove_resource, tenant.project_id, RESOURCE, NOW)
    assert not await database.write(remove_resource, tenant.project_id, ResourceId("rsc_nothing"), NOW)
    assert await database.read(find_live_grant, tenant.project_id, GRANT) is None


async def test_the_servers_own_secrets_are_kept_by_purpose(database: Database) -> None:
    for purpose in ("forms", "refresh-tokens"):
        await database.write(add_server_secret, purpose, purpose.encode(), NOW)
    assert await database.read(list_server_secrets) == {"forms": b"forms", "refresh-tokens": b"refresh-tokens"}
