"""Headers that repeat what the body says: since 2026-07-28 gateways route by them, so they must not say otherwise.

Nothing is ever decided by them here. A message whose headers and body disagree is refused, since somebody on the way
may have gone by the one and the app would go by the other.

Spec: MCP Transports 2026-07-28, Server Validation, Value Encoding (TRN-04 … TRN-08, TRN-13); T14
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence

from .asgi import Header
from .policy import NAMED_BY, Call

HEADER_MISMATCH = -32020
FIRST_MIRRORED_REVISION = "2026-07-28"
VERSION_HEADER = "mcp-protocol-version"
METHOD_HEADER = "mcp-method"
NAME_HEADER = "mcp-name"
PARAMETER_PREFIX = "mcp-param-"

_MIRRORS = frozenset({VERSION_HEADER, METHOD_HEADER, NAME_HEADER, PARAMETER_PREFIX})
_PARAMETER_SPELLINGS = ("mcp-param-", "mcp-param_", "mcp_param-", "mcp_param_")
_REVISION = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# In any case of its letters: a reader of MIME headers would decode those, too, and the protocol has one spelling.
_ENCODED = re.compile(r"=\?base64\?.*\?=", re.IGNORECASE)
_PRINTABLE = re.compile(r"[\x20-\x7e]*")


class HeaderMismatch(ValueError):  # noqa: N818  # the protocol's name of it
    """A header that is missing, cannot be read in one way only, or says something else than the body."""


def check_mirrored_headers(headers: Iterable[Header], calls: Sequence[Call]) -> None:
    """Refuse a message unless its headers say what `calls`, all that its body asks for, say.

    From 2026-07-28 on, and for a revision that is not known here, version, method and name must be there; before, and
    without a version, they may be missing. Whatever is there must agree with every call of the body. Parameters are
    compared by the app, which knows the tool's schema; here they must be readable. Raises `HeaderMismatch`.

    Spec: TRN-04 … TRN-08, TRN-13
    """
    mirrored = _collect(headers)
    version, method = mirrored.get(VERSION_HEADER), mirrored.get(METHOD_HEADER)
    if method is not None and not calls:
        raise HeaderMismatch(f"{METHOD_HEADER} header names a method and the body has none")
    for call in calls:
        _check_version(version, call)
        is_due = version is not None and _must_mirror(version) and not call.method.startswith("notifications/")
        if method != call.method and (is_due or method is not None):
            raise HeaderMismatch(f"{METHOD_HEADER} header does not match the request body's method")
        _check_name(mirrored.get(NAME_HEADER), call, is_due=is_due)


def _collect(headers: Iterable[Header]) -> Mapping[str, str]:
    """The mirroring headers by name, decoded; none of them twice, and none that some reader takes for one of them."""
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name = raw_name.decode("latin-1").lower()
        start = name[: len(PARAMETER_PREFIX)] if name.startswith(_PARAMETER_SPELLINGS) else name
        if start.replace("_", "-") not in _MIRRORS:
            continue
        if "_" in start:  # CGI, and all that came after it, reads a hyphen there (T46)
            raise HeaderMismatch(f"{start} header is spelled with an underscore")
        if name in found:
            raise HeaderMismatch(f"{name} header appears more than once")
        text = _decode(name, raw_value.decode("latin-1").strip(" \t"))
        if text is None:
            raise HeaderMismatch(f"{name} header has characters or an encoding that are not allowed")
        found[name] = text
    return found


def _decode(name: str, value: str) -> str | None:
    """What a header says, None if it cannot be read; a name and a parameter may be encoded. Spec: TRN-05"""
    if not _PRINTABLE.fullmatch(value):
        return None
    if name in (VERSION_HEADER, METHOD_HEADER) or not _ENCODED.fullmatch(value):
        return value
    encoded = value.removeprefix("=?base64?").removesuffix("?=")
    try:
        decoded = b64decode(encoded, validate=True)
        text = decoded.decode("utf-8")
    except ValueError:
        return None
    # Padding and spare bits have one spelling, too.
    return text if b64encode(decoded).decode("ascii") == encoded else None


def _must_mirror(version: str) -> bool:
    """Whether a revision asks for the headers; one that is no date is taken for a new one."""
    return _REVISION.fullmatch(version) is None or version >= FIRST_MIRRORED_REVISION


def _check_version(version: str | None, call: Call) -> None:
    """A body that names its revision, as bodies do since 2026-07-28, names that of the header. Spec: TRN-04, TRN-13"""
    if call.version is not None and call.version != version:
        raise HeaderMismatch(f"{VERSION_HEADER} header does not match the request envelope's protocol version")


def _check_name(name: str | None, call: Call, *, is_due: bool) -> None:
    """The name is that of what is called, read or got; what another method puts there is the app's to judge."""
    member = NAMED_BY.get(call.method)
    if member is not None and name != call.name and (is_due or name is not None):
        raise HeaderMismatch(f"{NAME_HEADER} header does not match the request body's {member!r} parameter")
