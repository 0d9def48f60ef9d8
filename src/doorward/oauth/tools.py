"""What a protected server's tools are, as it lists them, and since when each is what it is now."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast, get_args

from .scopes import READ_TOOLS, WRITE_TOOLS

ToolKind = Literal["read", "write", "destructive"]

MAX_TOOLS = 1000
MAX_KNOWN_TOOLS = 4000
"""How many tools are remembered, those that are no longer listed among them."""
MAX_NAME_LENGTH = 256
_MAX_TITLE_LENGTH = 128
_DIGEST = re.compile(r"[A-Za-z0-9_-]{1,64}")
# What is told of a tool in every revision: servers tell older clients less, and the tool is the same.
_TOLD = ("name", "description", "inputSchema")
_HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")


@dataclass(frozen=True, slots=True)
class ListedTool:
    """A tool as the server lists it. `digest` changes with everything that tells a model what it does and takes."""

    name: str
    title: str
    kind: ToolKind
    digest: str


@dataclass(frozen=True, slots=True)
class KnownTool:
    """A tool with the version of the list in which it became what it is, and whether it is still on the list.

    `since` is in epoch milliseconds, and grows from change to change whatever the clock does. It is 0 for the tools
    of the first list there was.
    """

    tool: ListedTool
    since: int
    is_listed: bool = True


def parse_tool(member: Any) -> ListedTool | None:
    """A tool of a `tools/list` result; None for what no client could call, or what is nested beyond reading.

    A tool that does not say what it does is taken to change things, and one that changes things to delete none unless
    it says so.

    Spec: MCP Tools, Tool Annotations
    """
    if not isinstance(member, Mapping):
        return None
    name = member.get("name")
    if not isinstance(name, str) or not is_tool_name(name):
        return None
    annotations = member.get("annotations")
    hints: Mapping[str, Any] = annotations if isinstance(annotations, Mapping) else {}
    kind: ToolKind = "write"
    if hints.get("readOnlyHint") is True:
        kind = "read"
    elif hints.get("destructiveHint") is True:
        kind = "destructive"
    told = [member.get(key) for key in _TOLD] + [hints.get(key) for key in _HINTS]
    try:
        text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except (RecursionError, TypeError, ValueError):
        return None
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return ListedTool(name, _build_title(name, member.get("title") or hints.get("title")), kind, digest)


def parse_tools(members: Any) -> tuple[ListedTool, ...]:
    """The tools of a list, the first of each name, and `MAX_TOOLS` at most."""
    found: dict[str, ListedTool] = {}
    for member in members if isinstance(members, Sequence) else ():
        tool = parse_tool(member)
        if tool is not None and len(found) < MAX_TOOLS:
            found.setdefault(tool.name, tool)
    return tuple(found.values())


def parse_told_tool(member: Any) -> ListedTool:
    """A tool as a guard tells its authorization server of it. Raises `ValueError`."""
    match member:
        case {"name": str(name), "title": str(title), "kind": str(kind), "digest": str(digest)}:
            if is_tool_name(name) and kind in get_args(ToolKind) and _DIGEST.fullmatch(digest):
                return ListedTool(name, _build_title(name, title), cast("ToolKind", kind), digest)
    raise ValueError("A tool has a name, a title, a kind and a digest.")


def parse_known_tool(member: Any) -> KnownTool:
    """A tool with its version, as an authorization server answers. Raises `ValueError`."""
    tool = parse_told_tool(member)
    since, is_listed = member.get("since"), member.get("is_listed")
    if not isinstance(since, int) or isinstance(since, bool) or since < 0 or not isinstance(is_listed, bool):
        raise ValueError("A tool has a version, and is listed or not.")
    return KnownTool(tool, since, is_listed)


def describe_tool(entry: KnownTool) -> dict[str, Any]:
    """What `parse_known_tool` reads."""
    return {**asdict(entry.tool), "since": entry.since, "is_listed": entry.is_listed}


def is_tool_name(value: str) -> bool:
    """Whether a text can be the name of a tool: printable, and not too long to be told apart."""
    return 0 < len(value) <= MAX_NAME_LENGTH and value.isprintable()


def merge_tools(known: Iterable[KnownTool], listed: Iterable[ListedTool], *, now: int) -> tuple[KnownTool, ...]:
    """What is known after a whole list was read at `now`.

    A tool that is new, or not what it was, is of a version of its own, later than all before; so is one that was
    taken off the list and came back changed. What was seen once is remembered, so that an empty list in between makes
    no tool an old one.

    Spec: product.md, feature 8 (T14)
    """
    before = {entry.tool.name: entry for entry in known}
    version = max(now, 1 + latest_version(before.values())) if before else 0
    after: dict[str, KnownTool] = {}
    for tool in listed:
        entry = before.pop(tool.name, None)
        is_same = entry is not None and entry.tool.digest == tool.digest
        after[tool.name] = KnownTool(tool, entry.since if entry is not None and is_same else version)
    gone = [KnownTool(entry.tool, entry.since, is_listed=False) for entry in before.values()]
    room = max(0, MAX_KNOWN_TOOLS - len(after))
    return (*after.values(), *sorted(gone, key=lambda entry: entry.since, reverse=True)[:room])


def latest_version(known: Iterable[KnownTool]) -> int:
    """The version of the list: the latest of its tools'. Whoever was shown this list has seen all of them."""
    return max((entry.since for entry in known), default=0)


def group_scope(kind: ToolKind) -> str:
    """The scope of all tools of a kind."""
    return READ_TOOLS if kind == "read" else WRITE_TOOLS


def _build_title(name: str, title: Any) -> str:
    """The words a person is shown; what does not print is left out, since it could turn the rest around."""
    if not isinstance(title, str):
        return name
    return "".join(letter for letter in title if letter.isprintable()).strip()[:_MAX_TITLE_LENGTH] or name
