"""What a person can make of a request: the tools to tick, and what of them they allowed before.

Spec: product.md, features 8 and 9; STEP-08; T14
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from doorward.core.choices import MAX_CHOSEN, Choosable, find_choosable, opening_nothing
from doorward.core.models import Grant, Resource, ScopeKind
from doorward.core.tools import find_scopes
from doorward.oauth.scopes import OFFLINE_ACCESS, Scopes

from .consent_scopes import name_tool


@dataclass(frozen=True, slots=True)
class Held:
    """What a person last allowed an app: its scopes, the tools they open, and the version of the list they saw."""

    scope: Scopes
    tools: frozenset[str]
    tools_at: int


def find_held(resource: Resource, before: Grant | None) -> Held | None:
    """What the last decision of the person still comes to; a tool that changed since is none of it."""
    if before is None:
        return None
    opened = (tool for scope in find_scopes(resource, before.scope) for tool in scope.tools if tool.is_listed)
    tools = frozenset(tool.name for tool in opened if tool.since <= before.tools_at)
    return Held(before.scope, tools, before.tools_at)


def describe_choices(resource: Resource, asked: Scopes, held: Held | None) -> dict[str, Any] | None:
    """The tools to tick, in groups by what they do; None where there is nothing to choose from.

    Ticked already is what was allowed before, else what only looks; never what deletes, and never what is new.
    """
    found = find_choosable(resource, asked)
    single = [each for each in found if each.scope is not None]
    if len(single) < 2:
        return None
    ticked = {each.tool.name for each in single if _is_ticked(each, held)}
    if len(ticked) > MAX_CHOSEN:
        ticked = set()
    kept = frozenset(opening_nothing(resource, asked)) - {OFFLINE_ACCESS}
    groups = [(kind, [each for each in single if each.kind == kind]) for kind in get_args(ScopeKind)]
    return {
        "groups": [
            {"kind": kind, "tools": [_describe(each, ticked, held) for each in members]}
            for kind, members in groups
            if members
        ],
        "kept": [scope.title or scope.name for scope in find_scopes(resource, kept)],
        "left_out": [each.tool.title or each.tool.name for each in found if each.scope is None],
        "at_most": MAX_CHOSEN if len(single) > MAX_CHOSEN else None,
    }


def find_news(groups: Sequence[dict[str, Any]], held: Held | None) -> dict[str, Any] | None:
    """What of the groups of `describe_scopes` is not as it was last allowed; None when there is nothing to tell.

    `new` has what nobody was shown yet, `more` what was not allowed, by what it does; `kept` is how many tools stay.
    `new` is empty, and `is_everything`, where all there is is new.
    """
    if held is None:
        return None
    told = [(group["kind"], _entries(group)) for group in groups]
    new = _pick(told, lambda entry: entry["since"] > held.tools_at)
    more = _pick(told, lambda entry: entry["since"] <= held.tools_at and not _is_held(entry, held))
    if not new and not more:
        return None
    entries = [entry for _, listed in told for entry in listed]
    is_everything = all(entry["since"] > held.tools_at for entry in entries)
    kept = {entry["id"] for entry in entries if _is_held(entry, held)}
    strongest = max((part["kind"] for part in (*new, *more)), key=get_args(ScopeKind).index)
    return {
        "new": [] if is_everything else new,
        "more": more,
        "is_everything": is_everything,
        "kept": len(kept),
        "kind": strongest,
    }


def _entries(group: dict[str, Any]) -> list[dict[str, Any]]:
    """The tools of a group, and the scopes in it that have none."""
    entries: list[dict[str, Any]] = []
    for scope in group["scopes"]:
        entries += scope["tools"] or [
            {"title": scope["title"], "name": "", "id": None, "scope": scope["id"], "since": 0}
        ]
    return entries


def _is_held(entry: dict[str, Any], held: Held) -> bool:
    return entry["id"] in held.tools if entry["id"] is not None else entry["scope"] in held.scope


def _pick(told: list[tuple[str, list[dict[str, Any]]]], is_meant: Any) -> list[dict[str, Any]]:
    picked = [(kind, [entry for entry in entries if is_meant(entry)]) for kind, entries in told]
    return [
        {"kind": kind, "tools": list(dict.fromkeys(entry["title"] or entry["name"] for entry in entries))}
        for kind, entries in picked
        if entries
    ]


def _is_ticked(each: Choosable, held: Held | None) -> bool:
    if each.kind == "destructive":
        return False
    return each.kind == "read" if held is None else each.tool.name in held.tools


def _describe(each: Choosable, ticked: set[str], held: Held | None) -> dict[str, Any]:
    name = each.tool.name
    is_new = held is not None and name not in held.tools
    return {**name_tool(each.tool), "id": name, "ticked": name in ticked, "is_new": is_new}
