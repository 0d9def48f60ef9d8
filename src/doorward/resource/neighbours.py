"""Which Host and Origin a request may carry: the guard against DNS rebinding."""

import re
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": "80", "https": "443"}
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?")
_LOOPBACK = re.compile(r"localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\]")
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)")


class Neighbours:
    """Decides by name who a server may be addressed as, and from which web pages.

    A web page can point a name of its own at 127.0.0.1 or into a private network and then talk to what listens there;
    its Host and Origin give it away. The default allows the resource's own host and origin. A resource on this
    machine is reachable under any loopback name and port, and from pages served by this machine.

    `allowed_hosts` replaces the default: `host`, `host:port`, or `host:*` for any port. `allowed_origins` adds to it:
    exact origins, or `*` for servers that any web page may call with a token of its own. Raises `ValueError` for
    entries that are neither.

    Spec: MCP Transports, Security Warning (TRN-01); T12
    """

    def __init__(
        self, resource: str, *, allowed_hosts: Sequence[str] | None = None, allowed_origins: Iterable[str] = ()
    ) -> None:
        parts = urlsplit(resource.lower())
        self._scheme = parts.scheme
        own = _parse_authority(parts.netloc, self._scheme)
        if own is None:
            raise ValueError(f"resource has no host: {resource!r}.")
        self._is_local = _LOOPBACK.fullmatch(own[0]) is not None
        self._any_loopback_host = self._is_local and allowed_hosts is None
        self._hosts = {own} if allowed_hosts is None else {self._parse_entry(entry) for entry in allowed_hosts}
        origins = [entry.lower() for entry in allowed_origins]
        self._any_origin = "*" in origins
        self._origins = {_normalize_origin(origin) for origin in origins} | {(self._scheme, *own)}

    def allows_host(self, values: Sequence[str]) -> bool:
        """Whether the `Host` header, given once, names this server."""
        authority = _parse_authority(values[0].strip().lower(), self._scheme) if len(values) == 1 else None
        if authority is None:
            return False
        if self._any_loopback_host and _LOOPBACK.fullmatch(authority[0]):
            return True
        return authority in self._hosts or (authority[0], "*") in self._hosts

    def allows_origin(self, values: Sequence[str]) -> bool:
        """Whether the `Origin` header is absent, or names a page that may call this server."""
        if not values:
            return True
        if len(values) > 1:
            return False
        origin = _normalize_origin(values[0].strip().lower())
        if origin in self._origins:
            return True
        if self._is_local and origin[0] in _DEFAULT_PORTS and _LOOPBACK.fullmatch(origin[1]):
            return True
        return self._any_origin

    def _parse_entry(self, entry: str) -> tuple[str, str]:
        host, separator, port = entry.lower().rpartition(":")
        if separator and port == "*" and _AUTHORITY.fullmatch(host):
            return host, "*"
        authority = _parse_authority(entry.lower(), self._scheme)
        if authority is None:
            raise ValueError(f"allowed_hosts takes host, host:port or host:*, not {entry!r}.")
        return authority


def _parse_authority(text: str, scheme: str) -> tuple[str, str] | None:
    """(host, port), the default port of `scheme` filled in."""
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return None
    return match.group(1), match.group(2) or _DEFAULT_PORTS.get(scheme, "")


def _normalize_origin(origin: str) -> tuple[str, str, str]:
    """(scheme, host, port); an origin that is not host-based (`null`, an app's own) stays whole, and equals itself."""
    match = _ORIGIN.fullmatch(origin)
    authority = _parse_authority(match.group(2), match.group(1)) if match else None
    if match is None or authority is None:
        return "", origin, ""
    return match.group(1), *authority
