"""Which scopes a request body needs, read so strictly that the app behind cannot read it otherwise."""

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from doorward.oauth.errors import OAuthError
from doorward.oauth.scopes import ALL_TOOLS, Scopes, missing, parse_scope, tool_scope, union
from doorward.oauth.tools import MAX_TOOLS, ListedTool, group_scope, is_tool_name, parse_tool

from .catalogue import ToolCatalogue
from .principal import Principal

MAX_BODY_SIZE = 4 * 1024 * 1024
MAX_BATCH = 300
"""Messages that may come together: what each of them costs to judge must not add up to a pause for everybody."""
MAX_MEMBERS = 1000
MAX_MEMBER_LENGTH = 256
"""How many members a message, its `params` or its `_meta` may have, and the letters of the longest name of one."""
PARSE_ERROR = -32700
INVALID_REQUEST = -32600
_MESSAGE_KEYS = frozenset({"jsonrpc", "method", "params", "id", "result", "error"})
_PARAMS_KEYS = frozenset({"name", "arguments", "_meta", "uri"})
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
_META_KEYS = frozenset({VERSION_KEY})
NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""The member of `params` that says what such a method is about."""
_JUDGED = frozenset({*NAMED_BY, "tools/list"})


class AmbiguousMessage(ValueError):  # noqa: N818  # it is the message that is at fault
    """A body that two JSON readers could understand differently, or that is no JSON-RPC at all.

    `code` is the JSON-RPC error code.
    """

    def __init__(self, reason: str, *, code: int = INVALID_REQUEST) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Call:
    """One request or notification of a body; `tool` is set for `tools/call`, `id` for what is answered.

    `name` is what the method is about, where it is about one thing by name, and `version` the revision that the body
    says it speaks.
    """

    method: str
    tool: str | None = None
    id: str | int | None = None
    name: str | None = None
    version: Any = field(default=None, hash=False)


def parse_calls(body: bytes) -> tuple[Call, ...]:
    """The calls that a single message or a batch makes; answers to the server's own requests are none.

    Duplicate members, members that differ from the protocol's only in case, and numbers that are no JSON are refused:
    readers disagree on them, and what is checked here must be what runs there (T14). So is what nobody needs and all
    would wait for: `MAX_BATCH`, `MAX_MEMBERS`. Raises `AmbiguousMessage`.

    Spec: JSON-RPC 2.0 §4, §6; RFC 8259 §4 (TRN-06); T48
    """
    try:
        document = json.loads(body.decode("utf-8"), object_pairs_hook=build_object, parse_constant=_refuse_constant)
    except AmbiguousMessage:
        raise
    except (ValueError, RecursionError):
        raise AmbiguousMessage("The body is not valid JSON in UTF-8.", code=PARSE_ERROR) from None
    messages = document if isinstance(document, list) else [document]
    if len(messages) > MAX_BATCH:
        raise AmbiguousMessage(f"A batch may have {MAX_BATCH} messages at most.")
    return tuple(call for call in map(_parse_call, messages) if call is not None)


class ToolPolicy:
    """What a tool call needs, and whether a principal has it.

    `tools` lists the scopes of single tools. One that it does not list needs the scope of its kind where there is a
    `catalogue`, and `otherwise` where there is none. `tool:<name>` and `tool:*` open a tool, too. Of a catalogue's
    tools, those that are newer than what the person was shown are held back from everybody, whatever the scopes.

    Spec: STEP-02, RS-09, T20; product.md, Resources, scopes, tools
    """

    def __init__(
        self,
        tools: Mapping[str, Sequence[str]],
        *,
        otherwise: Iterable[str],
        catalogue: ToolCatalogue | None = None,
    ) -> None:
        self._tools = {name: parse_scopes(scopes, f"the scopes of {name}") for name, scopes in tools.items()}
        self._otherwise = tuple(otherwise)
        self._catalogue = catalogue

    async def find_unknown(self, calls: Iterable[Call]) -> str | None:
        """The first tool called that the server does not list, after asking it again."""
        if self._catalogue is None:
            return None
        tools = [call.tool for call in calls if call.tool is not None]
        for tool in tools:
            if await self._catalogue.find(tool) is None:
                return tool
        # Asking for one may have shown that another is gone; from here on nothing is waited for.
        return next((tool for tool in tools if self._catalogue.get(tool) is None), None)

    @property
    def knows_tools(self) -> bool:
        """Whether the server has told its tools yet, where they have to be known."""
        return self._catalogue is None or self._catalogue.is_read

    def missing(self, calls: Iterable[Call], principal: Principal) -> Scopes | None:
        """All scopes that must be asked for before these calls: a batch runs as a whole or not at all.

        None lets them run. A tool that is held back is so even from a principal with all of its scopes: a person has
        to be shown it, and asking for the same scopes again brings the page.
        """
        refusals = [self._missing_for(call.tool, principal) for call in calls if call.tool is not None]
        asked = [scopes for scopes in refusals if scopes is not None]
        return union(*asked) if asked else None

    def choose(self, members: list[Any], principal: Principal) -> list[Any]:
        """The tools of a list that the principal may call as they are listed there, the first of each name."""
        shown: dict[str, bool] = {}
        kept: list[Any] = []
        for member in members:
            tool = parse_tool(member) if len(shown) < MAX_TOOLS else None
            if tool is None or tool.name in shown:
                continue
            shown[tool.name] = self._is_shown(tool, principal)
            if shown[tool.name]:
                kept.append(member)
        return kept

    def needed(self, tool: str) -> Scopes:
        """The scopes that open a tool, besides its own."""
        if tool in self._tools:
            return self._tools[tool]
        entry = self._catalogue.get(tool) if self._catalogue is not None else None
        return self._otherwise if entry is None else (group_scope(entry.tool.kind),)

    def _is_shown(self, tool: ListedTool, principal: Principal) -> bool:
        if self._catalogue is not None and self._catalogue.is_news((tool,)):
            return False  # the catalogue learns of it in a moment, and it is a new version then
        return self._missing_for(tool.name, principal) is None

    def _missing_for(self, tool: str, principal: Principal) -> Scopes | None:
        own, needed = tool_scope(tool), self.needed(tool)
        is_open = ALL_TOOLS in principal.scopes or (own is not None and own in principal.scopes)
        lacking = () if is_open else missing(needed, principal.scopes)
        if not self._is_held_back(tool, principal):
            return lacking or None
        return union(needed, (own,) if own is not None else ())

    def _is_held_back(self, tool: str, principal: Principal) -> bool:
        entry = self._catalogue.get(tool) if self._catalogue is not None else None
        return entry is not None and entry.since > principal.tools_at


def parse_scopes(scopes: Iterable[str], what: str) -> Scopes:
    """Configured scopes, each of them one scope token. Raises `ValueError` naming `what`."""
    if isinstance(scopes, str):
        raise ValueError(f"{what}: give a list of scopes, not one string.")
    listed = tuple(scopes)
    try:
        well_formed = all(parse_scope(scope) == (scope,) for scope in listed)
    except OAuthError:
        well_formed = False
    if not well_formed:
        raise ValueError(f"{what}: {listed!r} holds something that is not a scope.")
    return union(listed)


def _parse_call(message: Any) -> Call | None:
    if not isinstance(message, dict):
        raise AmbiguousMessage("A JSON-RPC message must be an object.")
    _check_spelling(message, _MESSAGE_KEYS)
    if "method" not in message:
        return None
    method, params, request_id = _parse_method(message), message.get("params"), message.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, str | int | None):
        raise AmbiguousMessage("id must be a string or a whole number.")
    if not isinstance(params, dict):
        params = {}
    _check_spelling(params, _PARAMS_KEYS)
    name = params.get(NAMED_BY[method]) if method in NAMED_BY else None
    if method == "tools/call" and not _is_name(name):
        raise AmbiguousMessage("tools/call must name a tool in params.name.")
    return Call(
        method,
        tool=name if method == "tools/call" else None,
        id=request_id,
        name=name if isinstance(name, str) else None,
        version=_parse_version(params),
    )


def _parse_method(message: dict[str, Any]) -> str:
    """The method of a message that has one; never one that a careless reader takes for one that is judged here."""
    method = message["method"]
    if not isinstance(method, str) or not _is_name(method):
        raise AmbiguousMessage("method must be a printable string.")
    if method not in _JUDGED and _fold(method) in _JUDGED:
        raise AmbiguousMessage("method differs from one of the protocol only in how it is spelled.")
    if "result" in message or "error" in message:
        raise AmbiguousMessage("A message is a call or an answer, not both.")
    return method


def _parse_version(params: dict[str, Any]) -> Any:
    meta = params.get("_meta")
    if not isinstance(meta, dict):
        return None
    _check_spelling(meta, _META_KEYS)
    return meta.get(VERSION_KEY)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and is_tool_name(value)


def _check_spelling(members: dict[str, Any], known: frozenset[str]) -> None:
    if len(members) > MAX_MEMBERS or any(len(name) > MAX_MEMBER_LENGTH for name in members):
        raise AmbiguousMessage("A message has too many members, or one with too long a name.")
    meant = {_fold(name) for name in known}
    for name in members:
        if name not in known and _fold(name) in meant:
            raise AmbiguousMessage("A member differs from a member of the protocol only in how it is spelled.")


def _fold(name: str) -> str:
    """What a careless reader takes a name for: one that ignores case, trims, or ends it at a NUL as C does.

    Case folding also maps the letters beyond ASCII that some readers take for `s` and `k`.
    """
    text = name.partition("\0")[0]
    if text.isascii() and text.isprintable():
        return text.strip().casefold()
    return "".join(map(_fold_letter, text)).strip()


@lru_cache(maxsize=4096)
def _fold_letter(letter: str) -> str:
    """Letter by letter, since some become many: no name of the protocol has one that is put together of several."""
    return "".join(part for part in unicodedata.normalize("NFKC", letter) if part.isprintable()).casefold()


def build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose members have names of their own. Raises `AmbiguousMessage`; for `json.loads`."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise AmbiguousMessage("A member is repeated.")
    return members


def _refuse_constant(_: str) -> None:
    raise AmbiguousMessage("NaN and Infinity are not JSON.", code=PARSE_ERROR)
