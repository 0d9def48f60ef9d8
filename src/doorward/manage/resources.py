"""Resources of a project: the MCP servers it opens the door to."""

from dataclasses import asdict, replace
from typing import Any

from doorward.core import audit
from doorward.core.models import AuditEvent, Project, Resource, Scope
from doorward.core.secrets import new_id
from doorward.oauth.errors import OAuthError
from doorward.oauth.ids import ResourceId
from doorward.oauth.resources import parse_resource, same_resource
from doorward.oauth.scopes import OFFLINE_ACCESS, parse_scope, union
from doorward.storage.audit import record
from doorward.storage.database import Transaction
from doorward.storage.resources import add_resource, list_resources, remove_resource, update_resource

from .operator import ActionRefused, Operator


async def add(
    operator: Operator,
    project: Project,
    uri: str,
    *,
    name: str = "",
    scopes: tuple[Scope, ...] = (),
    default_scopes: tuple[str, ...] = (),
    is_default: bool = False,
) -> Resource:
    """Register an MCP server. The first one of a project is its default. Raises `ActionRefused`."""
    _check_scopes(scopes, default_scopes)
    try:
        parse_resource(uri)
    except OAuthError as error:
        raise ActionRefused(error.description) from None
    now = operator.clock()
    existing = await operator.database.read(list_resources, project.project_id)
    resource = Resource(
        project_id=project.project_id,
        resource_id=ResourceId(new_id("rsc")),
        uri=uri,
        name=name.strip()[:128] or uri,
        scopes=scopes,
        default_scopes=default_scopes or tuple(scope.name for scope in scopes if scope.kind == "read"),
        is_default=is_default or not existing,
        created_at=now,
    )
    if not await operator.database.write(_add, resource, operator.actor, now):
        raise ActionRefused(f"{uri} is a resource of this project already.")
    return resource


async def list_all(operator: Operator, project: Project) -> list[Resource]:
    """The resources of a project, oldest first."""
    return await operator.database.read(list_resources, project.project_id)


async def get(operator: Operator, project: Project, reference: str) -> Resource:
    """A resource by id or by any spelling of its URI. Raises `ActionRefused`."""
    for resource in await list_all(operator, project):
        if reference == resource.resource_id or same_resource(reference, resource.uri):
            return resource
    raise ActionRefused(f"There is no resource {reference}.")


async def change(operator: Operator, resource: Resource, **changes: Any) -> Resource:
    """Change name, scopes, default scopes or the default mark of a resource. Raises `ActionRefused`."""
    changed = replace(resource, **changes)
    _check_scopes(changed.scopes, changed.default_scopes)
    await operator.database.write(_change, changed, sorted(changes), operator.actor, operator.clock())
    return changed


async def remove(operator: Operator, resource: Resource) -> None:
    """Remove a resource; every grant for it ends."""
    await operator.database.write(_remove, resource, operator.actor, operator.clock())


def describe(resource: Resource) -> dict[str, Any]:
    """A resource as operators see it."""
    return {
        "resource_id": resource.resource_id,
        "uri": resource.uri,
        "name": resource.name,
        "scopes": [asdict(scope) for scope in resource.scopes],
        "default_scopes": list(resource.default_scopes),
        "default": resource.is_default,
    }


def _check_scopes(scopes: tuple[Scope, ...], default_scopes: tuple[str, ...]) -> None:
    names = [scope.name for scope in scopes]
    try:
        for name in (*names, *default_scopes):
            if parse_scope(name) != (name,):
                raise ActionRefused(f"{name!r} is not one scope token.")
    except OAuthError as error:
        raise ActionRefused(error.description) from None
    if len(set(names)) != len(names):
        raise ActionRefused("A scope is named twice.")
    if OFFLINE_ACCESS in names:
        raise ActionRefused("offline_access exists by itself; a resource does not define it.")
    if unknown := set(default_scopes) - set(names):
        raise ActionRefused(f"Default scopes that the resource does not have: {', '.join(sorted(unknown))}.")


async def _add(tx: Transaction, resource: Resource, actor: str, now: int) -> bool:
    if not await add_resource(tx, resource):
        return False
    detail = {"uri": resource.uri, "scopes": list(union(resource.scope_names))}
    event = AuditEvent(audit.RESOURCE_ADDED, actor, resource.resource_id, detail)
    await record(tx, resource.project_id, event, now)
    return True


async def _change(tx: Transaction, resource: Resource, changed: list[str], actor: str, now: int) -> None:
    if not await update_resource(tx, resource):
        raise ActionRefused(f"{resource.uri} was removed meanwhile.")  # and the default mark stays where it was
    event = AuditEvent(audit.RESOURCE_CHANGED, actor, resource.resource_id, {"changed": changed})
    await record(tx, resource.project_id, event, now)


async def _remove(tx: Transaction, resource: Resource, actor: str, now: int) -> None:
    if await remove_resource(tx, resource.project_id, resource.resource_id):
        event = AuditEvent(audit.RESOURCE_REMOVED, actor, resource.resource_id, {"uri": resource.uri})
        await record(tx, resource.project_id, event, now)
