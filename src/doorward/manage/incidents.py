"""Incidents: credentials that came back after they were spent, with who presented them."""

from doorward.core.models import Project
from doorward.storage.audit import RecordedEvent, list_incidents

from .operator import Operator


async def list_recent(operator: Operator, project: Project, *, at_most: int = 100) -> list[RecordedEvent]:
    """The newest incidents of a project; `detail` names both presenters, and what it looks like."""
    return await operator.database.read(list_incidents, project.project_id, at_most=at_most)
