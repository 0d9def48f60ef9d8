"""Resources: the MCP servers a project issues tokens for."""

import json
from dataclasses import asdict
from typing import Any

from sqlalchemy import bindparam, delete, null, select, update

from doorward.core.models import Resource, ResourceSettings, Scope, Tool
from doorward.oauth.ids import ProjectId, ResourceId
from doorward.oauth.resources import match_key

from .database import Row, Transaction
from .revocations import announce
from .schema import resources
from .statements import Statement, later_of

_COLUMNS = (
    resources.c.project_id,
    resources.c.resource_id,
    resources.c.uri,
    resources.c.name,
    resources.c.scopes,
    resources.c.default_scopes,
    resources.c.is_default,
    resources.c.created_at,
    resources.c.settings,
    resources.c.void_before,
    resources.c.stopped_at,
)
_INSERT = Statement(
    lambda insert: (
        insert(resources)
        .values({column.name: bindparam(column.name) for column in resources.columns})
        .on_conflict_do_nothing()
        .returning(resources.c.resource_id)
    )
)
_OF_PROJECT = Statement(
    select(*_COLUMNS)
    .where(resources.c.project_id == bindparam("project_id"))
    .order_by(resources.c.created_at, resources.c.resource_id)
)
_CLEAR_DEFAULT = Statement(
    update(resources).where(resources.c.project_id == bindparam("of_project")).values(is_default=0)
)
_UPDATE = Statement(
    update(resources)
    .where(resources.c.project_id == bindparam("of_project"), resources.c.resource_id == bindparam("of_resource"))
    .values(
        name=bindparam("new_name"),
        scopes=bindparam("new_scopes"),
        default_scopes=bindparam("new_default_scopes"),
        is_default=bindparam("new_is_default"),
        settings=bindparam("new_settings"),
    )
)
_DELETE = Statement(
    delete(resources)
    .where(resources.c.project_id == bindparam("project_id"), resources.c.resource_id == bindparam("resource_id"))
    .returning(resources.c.uri, resources.c.stopped_at)
)
_THIS_RESOURCE = (
    resources.c.project_id == bindparam("of_project"),
    resources.c.resource_id == bindparam("of_resource"),
)
_VOID = Statement(
    update(resources)
    .where(*_THIS_RESOURCE)
    .values(void_before=later_of(resources.c.void_before, "now"))
    .returning(resources.c.uri)
)
_STOP = Statement(
    update(resources)
    .where(*_THIS_RESOURCE, resources.c.stopped_at.is_(None))
    .values(stopped_at=bindparam("now"))
    .returning(resources.c.uri)
)
_RESUME = Statement(
    update(resources)
    .where(*_THIS_RESOURCE, resources.c.stopped_at.is_not(None))
    .values(stopped_at=null())
    .returning(resources.c.uri)
)


async def add_resource(tx: Transaction, resource: Resource) -> bool:
    """Store a resource; False when another of the project is the same server. A new default replaces the old."""
    if resource.is_default:
        await tx.run(_CLEAR_DEFAULT, of_project=resource.project_id)
    row = await tx.one(
        _INSERT,
        project_id=resource.project_id,
        resource_id=resource.resource_id,
        uri=resource.uri,
        match_key=match_key(resource.uri),
        name=resource.name,
        scopes=dump_scopes(resource.scopes),
        default_scopes=" ".join(resource.default_scopes),
        is_default=int(resource.is_default),
        created_at=resource.created_at,
        settings=_dump_settings(resource.settings),
        void_before=resource.void_before,
        stopped_at=resource.stopped_at,
    )
    return row is not None


async def list_resources(tx: Transaction, project_id: ProjectId) -> list[Resource]:
    """The resources of a project, oldest first."""
    return [_load(row) for row in await tx.all(_OF_PROJECT, project_id=project_id)]


async def update_resource(tx: Transaction, resource: Resource) -> bool:
    """Store a resource's new name, scopes and default mark; its URI is its identity and stays."""
    if resource.is_default:
        await tx.run(_CLEAR_DEFAULT, of_project=resource.project_id)
    changed = await tx.run(
        _UPDATE,
        of_project=resource.project_id,
        of_resource=resource.resource_id,
        new_name=resource.name,
        new_scopes=dump_scopes(resource.scopes),
        new_default_scopes=" ".join(resource.default_scopes),
        new_is_default=int(resource.is_default),
        new_settings=_dump_settings(resource.settings),
    )
    return changed == 1


async def void_resource_grants(tx: Transaction, project_id: ProjectId, resource_id: ResourceId, now: int) -> bool:
    """End every grant for a resource, however many there are, in one step, and announce it."""
    row = await tx.one(_VOID, of_project=project_id, of_resource=resource_id, now=now)
    if row is None:
        return False
    await announce(tx, project_id, "resource", row[0], "void", now, now)
    return True


async def stop_resource(tx: Transaction, project_id: ProjectId, resource_id: ResourceId, now: int) -> bool:
    """Let nothing for a resource in until it is resumed, and announce it; True for the call that stopped it."""
    row = await tx.one(_STOP, of_project=project_id, of_resource=resource_id, now=now)
    if row is None:
        return False
    await announce(tx, project_id, "resource", row[0], "hold", now, now)
    return True


async def resume_resource(tx: Transaction, project_id: ProjectId, resource_id: ResourceId, now: int) -> bool:
    """Take a stop back and announce it; True for the call that did."""
    row = await tx.one(_RESUME, of_project=project_id, of_resource=resource_id)
    if row is None:
        return False
    await announce(tx, project_id, "resource", row[0], "free", now, now)
    return True


async def remove_resource(tx: Transaction, project_id: ProjectId, resource_id: ResourceId, now: int) -> bool:
    """Remove a resource with every grant for it, and so every token, and announce it."""
    row = await tx.one(_DELETE, project_id=project_id, resource_id=resource_id)
    if row is None:
        return False
    uri, stopped_at = row
    await announce(tx, project_id, "resource", uri, "void", now, now)
    if stopped_at is not None:  # the same server may be added again, and is not stopped then
        await announce(tx, project_id, "resource", uri, "free", now, now)
    return True


def dump_scopes(scopes: tuple[Scope, ...]) -> str:
    """The stored form of a resource's scopes."""
    return json.dumps([asdict(scope) for scope in scopes], ensure_ascii=False)


def load_scopes(text: str) -> tuple[Scope, ...]:
    """Read back what `dump_scopes` wrote."""
    return tuple(_load_scope(members) for members in json.loads(text))


def load_settings(text: str) -> ResourceSettings:
    """Read back the settings of a resource as they are stored."""
    stored = json.loads(text).items()
    chosen: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in stored}
    return ResourceSettings(**chosen)


def _load_scope(members: dict[str, Any]) -> Scope:
    return Scope(**{**members, "tools": tuple(Tool(**tool) for tool in members["tools"])})


def _dump_settings(settings: ResourceSettings) -> str:
    """Only what differs from the defaults, so that a better default reaches old resources."""
    defaults = asdict(ResourceSettings())
    return json.dumps({name: value for name, value in asdict(settings).items() if value != defaults[name]})


def _load(row: Row) -> Resource:
    project_id, resource_id, uri, name, scopes, default_scopes, is_default, created_at, *rest = row
    settings, void_before, stopped_at = rest
    return Resource(
        project_id=ProjectId(project_id),
        resource_id=ResourceId(resource_id),
        uri=uri,
        name=name,
        scopes=load_scopes(scopes),
        default_scopes=tuple(default_scopes.split()),
        is_default=bool(is_default),
        created_at=created_at,
        settings=load_settings(settings),
        void_before=void_before,
        stopped_at=stopped_at,
    )
