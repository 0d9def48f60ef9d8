"""The tools of a server that is protected in this very process, kept where its consent page finds them."""

from collections.abc import Mapping, Sequence
from functools import partial

from doorward.core import audit
from doorward.core.models import Resource, Scope, Tool
from doorward.core.tools import place_tools
from doorward.manage import resources, tools
from doorward.manage.operator import Operator, get_project
from doorward.oauth.scopes import Scopes
from doorward.resource.tools import KnownTool, ListedTool, group_scope, merge_tools
from doorward.server.context import Context


class LocalTools:
    """A `CatalogueStore` in the database of this very server.

    `scopes` are those of single tools, as the guard has them; others have the scope of their kind. Several processes
    over one database agree on every version: the list is merged where it is stored.

    Spec: product.md, Resources, scopes, tools; feature 8
    """

    def __init__(self, context: Context, resource: Resource, scopes: Mapping[str, Sequence[str]] | None = None) -> None:
        actor = audit.resource_actor(resource.resource_id)
        self._operator = Operator(context.database, context.vault, context.clock, actor)
        self._resource = resource
        self._scopes = scopes or {}

    async def load(self) -> tuple[KnownTool, ...]:
        """What is known. Raises `ActionRefused` when the resource was removed."""
        project = await get_project(self._operator)
        return _read((await resources.get(self._operator, project, self._resource.resource_id)).scopes)

    async def learn(self, listed: Sequence[ListedTool], now: int) -> tuple[KnownTool, ...]:
        """Merge a whole list. Raises `ActionRefused` when the resource was removed."""
        arrange = partial(self._arrange, tuple(listed), now)
        return _read((await tools.learn(self._operator, self._resource, arrange)).scopes)

    def _arrange(self, listed: tuple[ListedTool, ...], now: int, scopes: tuple[Scope, ...]) -> tuple[Scope, ...]:
        known = merge_tools(_read(scopes), listed, now=now)
        return place_tools(scopes, [(_store(entry), self._scopes_of(entry.tool)) for entry in known])

    def _scopes_of(self, tool: ListedTool) -> Scopes:
        return tuple(self._scopes[tool.name]) if tool.name in self._scopes else (group_scope(tool.kind),)


def _read(scopes: Sequence[Scope]) -> tuple[KnownTool, ...]:
    """The tools as a catalogue has them; those that an operator wrote down by hand were read from no list."""
    found = {tool.name: tool for scope in scopes for tool in scope.tools if tool.digest}
    return tuple(
        KnownTool(ListedTool(tool.name, tool.title, tool.kind, tool.digest), tool.since, tool.is_listed)
        for tool in found.values()
    )


def _store(entry: KnownTool) -> Tool:
    tool = entry.tool
    return Tool(tool.name, tool.title, tool.kind, entry.since, tool.digest, entry.is_listed)
