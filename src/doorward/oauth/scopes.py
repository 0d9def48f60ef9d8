"""Scope strings: parse, narrow, join. Spec: OAuth 2.1 §1.4.1; MCP Authorization, Scope Selection"""

import re
from collections.abc import Iterable

from .errors import INVALID_SCOPE, OAuthError

OFFLINE_ACCESS = "offline_access"
READ_TOOLS = "tools:read"
WRITE_TOOLS = "tools:write"
ALL_TOOLS = "tool:*"
"""The scopes of tools by what they do, and of all of them; `tool_scope` is that of one."""
MAX_SCOPES = 100
MAX_SCOPE_LENGTH = 128
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")

Scopes = tuple[str, ...]
"""Scope tokens in the order they were given, without repeats."""


def parse_scope(text: str | None) -> Scopes:
    """Split a `scope` parameter. Raises `invalid_scope` for characters or sizes outside the rules. Spec: SCP-07"""
    if not text:
        return ()
    tokens = text.split(" ")
    if len(tokens) > MAX_SCOPES:
        raise OAuthError(INVALID_SCOPE, f"At most {MAX_SCOPES} scopes are accepted.")
    scopes = [token for token in tokens if token]
    for token in scopes:
        if not is_scope(token):
            raise OAuthError(INVALID_SCOPE, "A scope token is too long or has characters that are not allowed.")
    return union(scopes)


def is_scope(token: str) -> bool:
    """Whether it is one scope: no blank, no quote, no control character. Spec: RFC 6749 §3.3"""
    return len(token) <= MAX_SCOPE_LENGTH and _SCOPE_TOKEN.fullmatch(token) is not None


def format_scope(scopes: Iterable[str]) -> str:
    """The wire form: tokens separated by one space."""
    return " ".join(scopes)


def union(*groups: Iterable[str]) -> Scopes:
    """All tokens once, first mention first."""
    return tuple(dict.fromkeys(token for group in groups for token in group))


def narrow(requested: Iterable[str], allowed: Iterable[str]) -> Scopes:
    """The requested tokens that are allowed; never more than either side. Spec: SCP-06"""
    permitted = frozenset(allowed)
    return tuple(token for token in requested if token in permitted)


def missing(needed: Iterable[str], held: Iterable[str]) -> Scopes:
    """What is needed and not held."""
    have = frozenset(held)
    return tuple(token for token in needed if token not in have)


def tool_scope(name: str) -> str | None:
    """The scope of one tool, None where its name cannot be part of a scope. Spec: RFC 6749 §3.3"""
    scope = f"tool:{name}"
    return scope if name != "*" and is_scope(scope) else None
