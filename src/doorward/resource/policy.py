"""Which scopes a request body needs, read so strictly that the app behind cannot read it otherwise."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from doorward.oauth.errors import OAuthError
from doorward.oauth.scopes import Scopes, parse_scope, union

MAX_BODY_SIZE = 4 * 1024 * 1024
PARSE_ERROR = -32700
INVALID_REQUEST = -32600
_MAX_NAME_LENGTH = 256
_MESSAGE_KEYS = frozenset({"jsonrpc", "method", "params", "id", "result", "error"})
_PARAMS_KEYS = frozenset({"name", "arguments", "_meta", "uri"})


class AmbiguousMessage(ValueError):  # noqa: N818  # it is the message that is at fault
    """A body that two JSON readers could understand differently, or that is no JSON-RPC at all.

    `code` is the JSON-RPC error code.
    """

    def __init__(self, reason: str, *, code: int = INVALID_REQUEST) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Call:
    """One request or notification of a body; `tool` is set for `tools/call`."""

    method: str
    tool: str | None = None


def parse_calls(body: bytes) -> tuple[Call, ...]:
    """The calls that a single message or a batch makes; answers to the server's own requests are none.

    Duplicate members, members that differ from the protocol's only in case, and numbers that are no JSON are refused:
    readers disagree on them, and what is checked here must be what runs there (T14). Raises `AmbiguousMessage`.

    Spec: JSON-RPC 2.0 §4, §6; RFC 8259 §4 (TRN-06)
    """
    try:
        document = json.loads(body.decode("utf-8"), object_pairs_hook=_build_object, parse_constant=_refuse_constant)
    except AmbiguousMessage:
        raise
    except (ValueError, RecursionError):
        raise AmbiguousMessage("The body is not valid JSON in UTF-8.", code=PARSE_ERROR) from None
    messages = document if isinstance(document, list) else [document]
    return tuple(call for call in map(_parse_call, messages) if call is not None)


class ToolPolicy:
    """The scopes that a tool call needs. A tool that is not listed needs `otherwise`. Spec: STEP-02, T20"""

    def __init__(self, tools: Mapping[str, Sequence[str]], *, otherwise: Iterable[str]) -> None:
        self._tools = {name: parse_scopes(scopes, f"the scopes of {name}") for name, scopes in tools.items()}
        self._otherwise = tuple(otherwise)

    def needed(self, calls: Iterable[Call]) -> Scopes:
        """All scopes that these calls need together: a batch runs as a whole or not at all."""
        return union(*(self._tools.get(call.tool, self._otherwise) for call in calls if call.tool is not None))


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
    method, params = message["method"], message.get("params")
    if not _is_name(method):
        raise AmbiguousMessage("method must be a printable string.")
    if isinstance(params, dict):
        _check_spelling(params, _PARAMS_KEYS)
    if method != "tools/call":
        return Call(method)
    tool = params.get("name") if isinstance(params, dict) else None
    if not isinstance(tool, str) or not _is_name(tool):
        raise AmbiguousMessage("tools/call must name a tool in params.name.")
    return Call(method, tool)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_NAME_LENGTH and value.isprintable()


def _check_spelling(members: dict[str, Any], known: frozenset[str]) -> None:
    for name in members:
        # casefold also maps the letters beyond ASCII that some readers take for `s` and `k`.
        if name not in known and name.casefold() in known:
            raise AmbiguousMessage("A member differs from a member of the protocol only in case.")


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise AmbiguousMessage("A member is repeated.")
    return members


def _refuse_constant(_: str) -> None:
    raise AmbiguousMessage("NaN and Infinity are not JSON.", code=PARSE_ERROR)
