"""Tools of a resource, and the scopes they are opened by."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from doorward.oauth.scopes import ALL_TOOLS, OFFLINE_ACCESS, READ_TOOLS, WRITE_TOOLS, Scopes, tool_scope
from doorward.oauth.tools import KnownTool, ListedTool, group_scope, merge_tools

from .models import Resource, Scope, ScopeKind, Tool

GROUPS = (
    Scope(READ_TOOLS, "Tools that only look", "", "read"),
    Scope(WRITE_TOOLS, "Tools that change things", "", "write"),
)
"""The scopes of a server whose tools are told apart by their own hints."""

_WEIGHT: dict[ScopeKind, int] = {"read": 0, "write": 1, "destructive": 2}


def known_tools(scopes: Iterable[Scope]) -> tuple[KnownTool, ...]:
    """The tools that a server told of, each once; what an operator wrote down by hand has no digest."""
    found = {tool.name: tool for scope in scopes for tool in scope.tools if tool.digest}
    return tuple(
        KnownTool(ListedTool(tool.name, tool.title, tool.kind, tool.digest), tool.since, tool.is_listed)
        for tool in found.values()
    )


def learn_tools(
    resource: Resource, listed: Iterable[ListedTool], opened_by: Mapping[str, Sequence[str]], *, now: int
) -> Resource:
    """A resource after its server told a whole list of tools at `now`.

    `opened_by` has the scopes of single tools; any other is opened by the scope of its kind. Words of operators stay.
    The first list is held back like any other: a consent that was given before, while the server was down for
    instance, showed nobody what is in it.

    Spec: product.md, feature 8 (T14)
    """
    before = known_tools(resource.scopes)
    known = merge_tools(before, listed, now=now)
    if not before:
        known = tuple(replace(entry, since=now) for entry in known)
    placed = [(_store(entry), _scopes_of(entry.tool, opened_by)) for entry in known]
    scopes = place_tools(resource.scopes, placed)
    defaults = resource.default_scopes if resource.scopes else tuple(s.name for s in scopes if s.kind == "read")
    return replace(resource, scopes=scopes, default_scopes=defaults)


def find_scopes(resource: Resource, names: Iterable[str]) -> list[Scope]:
    """The scopes with these names, in the resource's own order; a group that has no tools is left out."""
    wanted = frozenset(names)
    return [scope for scope in all_scopes(resource.scopes) if scope.name in wanted and not _is_empty_group(scope)]


def all_scopes(scopes: Sequence[Scope]) -> list[Scope]:
    """The scopes of a resource, then that of all its tools and those of single ones, each in words for a person."""
    tools = {tool.name: tool for scope in scopes for tool in scope.tools if tool.is_listed}
    if not tools:
        return list(scopes)
    every = Scope(ALL_TOOLS, "Every tool", "", strongest(tool.kind for tool in tools.values()), tuple(tools.values()))
    single = [
        Scope(name, tool.title, "", tool.kind, (tool,))
        for tool in tools.values()
        if (name := tool_scope(tool.name)) is not None
    ]
    return [*scopes, every, *single]


def scopes_of_tools(resource: Resource) -> Scopes:
    """The scope of each tool that the server told of and of all, also while it does not list them."""
    told = {tool.name: tool for scope in resource.scopes for tool in scope.tools}
    single = (scope for name in told if (scope := tool_scope(name)) is not None)
    return (*single, ALL_TOOLS) if told else ()


def strongest(kinds: Iterable[ScopeKind]) -> ScopeKind:
    """The kind that a person has to mind most; there has to be one."""
    return max(kinds, key=_WEIGHT.__getitem__)


def scope_kind(scope: Scope) -> ScopeKind:
    """What a scope counts as: its own kind or that of its strongest listed tool, so that nothing understates it."""
    return strongest((scope.kind, *(tool.kind for tool in scope.tools if tool.is_listed)))


def only_reading(resource: Resource, names: Iterable[str]) -> Scopes:
    """Those of the scopes that change nothing, and `offline_access`, which opens no tool."""
    kinds: dict[str, ScopeKind] = {}
    for scope in all_scopes(resource.scopes):  # an operator's may have the name of a tool's: the stronger one counts
        kinds[scope.name] = strongest((scope_kind(scope), kinds.get(scope.name, "read")))
    return tuple(name for name in names if kinds.get(name) == "read" or name == OFFLINE_ACCESS)


def place_tools(scopes: Sequence[Scope], tools: Iterable[tuple[Tool, Scopes]]) -> tuple[Scope, ...]:
    """The scopes of a resource, holding just these tools: each in the scopes that open it.

    A tool that is open to everybody who signed in stands in the first scope that only reads.
    """
    reading = next((scope.name for scope in scopes if scope.kind == "read"), None)
    held: dict[str, list[Tool]] = {scope.name: [] for scope in scopes}
    for tool, names in tools:
        for name in names or ((reading,) if reading is not None else ()):
            held.setdefault(name, []).append(tool)
    known = {scope.name for scope in scopes}
    groups = {scope.name: scope for scope in GROUPS}
    added = [groups.get(name) or Scope(name, name, "", "write") for name in held if name not in known]
    return tuple(replace(scope, tools=tuple(held[scope.name])) for scope in (*scopes, *added))


def _store(entry: KnownTool) -> Tool:
    tool = entry.tool
    return Tool(tool.name, tool.title, tool.kind, entry.since, tool.digest, entry.is_listed)


def _scopes_of(tool: ListedTool, opened_by: Mapping[str, Sequence[str]]) -> Scopes:
    return tuple(opened_by[tool.name]) if tool.name in opened_by else (group_scope(tool.kind),)


def _is_empty_group(scope: Scope) -> bool:
    return scope.name in (READ_TOOLS, WRITE_TOOLS) and bool(scope.tools) and not any(t.is_listed for t in scope.tools)


def changes_between(before: Resource, after: Sequence[Scope]) -> Mapping[str, list[str]]:
    """What an operator wants to know of a new list of tools: which are new, which changed, which are gone."""
    old = {tool.name: tool for tool in before.tools}
    new = {tool.name: tool for scope in after for tool in scope.tools if tool.is_listed}
    return {
        "added": sorted(new.keys() - old.keys()),
        "changed": sorted(name for name in new.keys() & old.keys() if new[name].digest != old[name].digest),
        "removed": sorted(old.keys() - new.keys()),
    }
