"""What an app asks for, as the pages of a decision show it: in groups by what is done, every tool once."""

from collections.abc import Iterable, Sequence
from typing import Any, get_args

from doorward.core.models import Scope, ScopeKind, Tool
from doorward.core.tools import scope_kind, strongest
from doorward.oauth.scopes import ALL_TOOLS, tool_scope


def describe_scopes(scopes: Sequence[Scope]) -> list[dict[str, Any]]:
    """The groups that are not empty, from those that only look to those that delete, with the scopes in each.

    A scope whose tools do different things stands in several groups, so that the heading of each is true of all that
    is below it; but no tool stands below less than what an operator says of its scope. A tool that is asked for by
    itself is left out where a scope that is asked for, too, has it.
    """
    groups: dict[ScopeKind, list[dict[str, Any]]] = {kind: [] for kind in get_args(ScopeKind)}
    singles = [scope for scope in scopes if _is_single(scope)]
    others = [scope for scope in scopes if not _is_single(scope)]
    named = {tool.name for scope in others if scope.name != ALL_TOOLS for tool in scope.tools}
    for scope in others:
        parts = _split(scope, named if scope.name == ALL_TOOLS else ())
        for position, (kind, tools) in enumerate(parts.items()):
            description = scope.description if position == 0 else ""
            groups[kind].append(_describe(scope.name, scope.title or scope.name, description, tools))
    named |= {tool.name for scope in others for tool in scope.tools}
    for kind, entries in groups.items():
        alone = [scope.tools[0] for scope in singles if scope.kind == kind and scope.tools[0].name not in named]
        if alone:
            entries.append(_describe("", "", "", alone))
    return [{"kind": kind, "scopes": entries} for kind, entries in groups.items() if entries]


def name_tool(tool: Tool) -> dict[str, str]:
    """What a tool is called; once, where its title is its name, be it in other letters."""
    if tool.title in ("", tool.name):
        return {"title": "", "name": tool.name}
    return {"title": tool.title, "name": "" if _letters(tool.title) == _letters(tool.name) else tool.name}


def _is_single(scope: Scope) -> bool:
    """Whether it is the scope of one tool and says nothing of its own."""
    if len(scope.tools) != 1 or scope.description:
        return False
    (tool,) = scope.tools
    return (scope.name, scope.title) == (tool_scope(tool.name), tool.title)


def _split(scope: Scope, left_out: Iterable[str]) -> dict[ScopeKind, list[Tool]]:
    """The tools of a scope by what they do, the weakest first; without any, the scope by itself."""
    found: dict[ScopeKind, list[Tool]] = {kind: [] for kind in get_args(ScopeKind)}
    for tool in scope.tools:
        if tool.is_listed and tool.name not in left_out:
            # That of all tools is no operator's word: it has the kind of the strongest.
            found[tool.kind if scope.name == ALL_TOOLS else strongest((scope.kind, tool.kind))].append(tool)
    return {kind: tools for kind, tools in found.items() if tools} or {scope_kind(scope): []}


def _describe(scope: str, title: str, description: str, tools: Iterable[Tool]) -> dict[str, Any]:
    return {
        "id": scope,
        "title": title,
        "description": description,
        "tools": [name_tool(tool) | {"id": tool.name, "kind": tool.kind, "since": tool.since} for tool in tools],
    }


def _letters(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum()) or text
