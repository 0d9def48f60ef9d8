"""The tools that a resource tells of, for one that is served beside its authorization server."""

from collections.abc import Mapping, Sequence
from functools import partial

from doorward.core.models import Resource
from doorward.core.tools import learn_tools
from doorward.oauth.tools import ListedTool
from doorward.storage.tools import change_tools

from .operator import NotFound, Operator


async def learn(
    operator: Operator,
    resource: Resource,
    listed: Sequence[ListedTool],
    opened_by: Mapping[str, Sequence[str]],
    *,
    now: int,
) -> Resource:
    """The resource after a whole list of its tools, as `core.tools.learn_tools` has it.

    Raises `ActionRefused` when it was removed.
    """
    change = partial(learn_tools, listed=listed, opened_by=opened_by, now=now)
    changed = await operator.database.write(
        change_tools, resource.project_id, resource.resource_id, change, actor=operator.actor, now=operator.clock()
    )
    if changed is None:
        raise NotFound("The resource was removed meanwhile.")
    return changed
