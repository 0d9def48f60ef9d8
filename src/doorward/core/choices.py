"""What a person may make of what an app asks for: single tools in place of whole groups, and for how long.

Spec: product.md, features 8 and 9; complaint 25
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from doorward.oauth.scopes import Scopes, tool_scope, union

from .models import Resource, Scope, ScopeKind, Tool
from .tools import all_scopes, find_scopes, strongest

Lasts = Literal["until_revoked", "hour", "day"]
LASTS: tuple[Lasts, ...] = get_args(Lasts)
LIFE_MS: dict[Lasts, int] = {"hour": 3_600_000, "day": 86_400_000}
SHORTEST_SECONDS = 3600
"""What ends sooner by itself needs no choice of how long it lasts."""
MAX_CHOSEN = 80
"""How many tools may be chosen one by one: each is a scope of the token, which travels with every call in a header."""
MAX_CHOSEN_LENGTH = 4096
"""Of the scopes that a choice comes to, for the same reason."""


@dataclass(frozen=True, slots=True)
class Choosable:
    """A tool that is asked for. `kind` is what it counts as: an operator's word for its scope, where that is more.

    `scope` is the one that opens it alone; None where it has none, so that it is had with its whole group only.
    """

    tool: Tool
    kind: ScopeKind
    scope: str | None


def find_choosable(resource: Resource, asked: Iterable[str]) -> list[Choosable]:
    """The listed tools that the scopes open, each once, those that only look first."""
    kinds: dict[str, ScopeKind] = {}
    tools: dict[str, Tool] = {}
    own = {scope.name: scope for scope in resource.scopes}
    for scope in find_scopes(resource, asked):
        said = scope.kind if scope.name in own else "read"  # of all tools, or of one: no operator's word
        for tool in scope.tools:
            if tool.is_listed:
                tools[tool.name] = tool
                kinds[tool.name] = strongest((said, tool.kind, kinds.get(tool.name, "read")))
    found = [Choosable(tool, kinds[name], _own_scope(tool, own.get(f"tool:{name}"))) for name, tool in tools.items()]
    weights = get_args(ScopeKind)
    return sorted(found, key=lambda each: weights.index(each.kind))


def choose_tools(resource: Resource, asked: Scopes, names: Collection[str], *, tools_at: int) -> Scopes | None:
    """The scopes of just these tools, and those of what was asked for that open no tool at all.

    None when one of them is not asked for, is no single scope, is gone, or is newer than the list `tools_at` that was
    on the page: what the person ticked is not there any more as they saw it (T14).
    """
    choosable = {each.tool.name: each for each in find_choosable(resource, asked)}
    chosen = [choosable[name] for name in choosable if name in names]
    scopes = [each.scope for each in chosen if each.scope is not None and each.tool.since <= tools_at]
    if len(scopes) != len(frozenset(names)):
        return None
    return union(scopes, opening_nothing(resource, asked))


def opening_nothing(resource: Resource, asked: Scopes) -> Scopes:
    """Those of the scopes that have no tools: none that is listed, and none that may come back."""
    with_tools = {scope.name for scope in all_scopes(resource.scopes) if scope.tools}
    return tuple(name for name in asked if name not in with_tools)


def find_end(lasts: Lasts, now: int) -> int | None:
    """When what is given now ends by itself; None is never."""
    life = LIFE_MS.get(lasts)
    return None if life is None else now + life


def _own_scope(tool: Tool, named_alike: Scope | None) -> str | None:
    """The scope of the tool alone; none where an operator's scope of that name opens anything else."""
    if named_alike is not None and {other.name for other in named_alike.tools} != {tool.name}:
        return None
    return tool_scope(tool.name)
