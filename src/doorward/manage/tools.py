"""The tools that a resource tells of, kept where the consent page finds them."""

from collections.abc import Callable
from dataclasses import replace

from doorward.core import audit
from doorward.core.models import AuditEvent, Resource, Scope
from doorward.core.tools import changes_between
from doorward.oauth.ids import ProjectId, ResourceId
from doorward.storage.audit import record
from doorward.storage.database import Transaction
from doorward.storage.projects import hold_project
from doorward.storage.resources import list_resources, update_resource

from .operator import ActionRefused, Operator

Arrange = Callable[[tuple[Scope, ...]], tuple[Scope, ...]]
"""The scopes of a resource with the tools they hold now, made of those as they are stored."""


async def learn(operator: Operator, resource: Resource, arrange: Arrange) -> Resource:
    """Change the tools of a resource as it is stored at this moment, whoever else learns of them.

    Raises `ActionRefused` when it was removed.
    """
    return await operator.database.write(_learn, operator, resource.project_id, resource.resource_id, arrange)


async def _learn(
    tx: Transaction, operator: Operator, project_id: ProjectId, resource_id: ResourceId, arrange: Arrange
) -> Resource:
    await hold_project(tx, project_id)
    stored = next((r for r in await list_resources(tx, project_id) if r.resource_id == resource_id), None)
    if stored is None:
        raise ActionRefused("The resource was removed meanwhile.")
    scopes = arrange(stored.scopes)
    if scopes == stored.scopes:
        return stored
    changed = replace(stored, scopes=scopes)
    await update_resource(tx, changed)
    event = AuditEvent(audit.RESOURCE_TOOLS_CHANGED, operator.actor, resource_id, {**changes_between(stored, scopes)})
    await record(tx, project_id, event, operator.clock())
    return changed
