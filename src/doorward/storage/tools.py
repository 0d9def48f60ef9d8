"""The tools that a resource tells of, kept where the consent page finds them."""

from collections.abc import Callable

from doorward.core import audit
from doorward.core.models import AuditEvent, Resource
from doorward.core.tools import changes_between
from doorward.oauth.ids import ProjectId, ResourceId

from .audit import record
from .database import Transaction
from .projects import hold_project
from .resources import list_resources, update_resource


async def change_tools(
    tx: Transaction,
    project_id: ProjectId,
    resource_id: ResourceId,
    change: Callable[[Resource], Resource],
    *,
    actor: str,
    now: int,
) -> Resource | None:
    """Make what `change` makes of a resource as it is stored at this moment, whoever else tells of its tools.

    Only a difference is written and audited. None when the resource was removed.
    """
    await hold_project(tx, project_id)
    stored = next((r for r in await list_resources(tx, project_id) if r.resource_id == resource_id), None)
    if stored is None:
        return None
    changed = change(stored)
    if changed != stored:
        await update_resource(tx, changed)
        detail = {**changes_between(stored, changed.scopes)}
        await record(tx, project_id, AuditEvent(audit.RESOURCE_TOOLS_CHANGED, actor, resource_id, detail), now)
    return changed
