"""Redirect URIs: which may be registered, and when a requested one is the registered one.

Comparison is of strings. Two freedoms only, each needed by clients people use every day: the port of a loopback
http URI, and an empty path of an http(s) URI being `/`.

Spec: OAuth 2.1 §2.3, §8.4 (RDU-01 … RDU-07); RFC 8252 §7.3
"""

import re
from typing import Literal
from urllib.parse import SplitResult, quote, urlsplit

from .errors import INVALID_REDIRECT_URI, OAuthError

RedirectKind = Literal["https", "loopback", "private"]

MAX_REDIRECT_URI_LENGTH = 2048
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
# Schemes that a browser or the system runs, opens or shows as its own: a code sent there is an injection (T21).
_DANGEROUS_SCHEMES = frozenset(
    {
        *("javascript", "data", "vbscript", "blob", "file", "filesystem", "about", "view-source", "jar", "res"),
        *("ws", "wss", "ftp", "mailto", "tel", "sms", "intent", "chrome", "edge", "shell", "search-ms", "ms-msdt"),
        *("ms-officecmd", "microsoft-edge", "googlechrome", "googlechromes", "x-safari-http", "x-safari-https"),
        *("firefox", "opera-http", "opera-https", "brave", "android-app", "feed", "livescript", "mocha"),
    }
)
AUTHORITY = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(?::\d{1,5})?")
"""Host and port as every parser reads them: brackets around the whole of an address, or none."""
# An app's link that carries another address would lead a browser on to that one.
_CARRIES_ADDRESS = re.compile(r"(?:https?|javascript|data|vbscript|livescript|mocha)\s*(?::|%3a)", re.IGNORECASE)
_ALLOWED_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?\[\]@!$&'()+,;=%-]+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_LOOPBACK_PORT = re.compile(r"^(http://(?:127\.0\.0\.1|\[::1\]|localhost))(?::\d{1,5})?(?=[/?]|$)", re.IGNORECASE)


def check_redirect_uri(uri: str) -> RedirectKind:
    """Accept `uri` for registration and say its kind, or raise `invalid_redirect_uri` saying why not.

    Raw characters are checked before any parser sees the string, because every bypass of the last years lived
    between two parsers (T21). Wildcards, userinfo and fragments are refused.

    Spec: RFC 7591 §5; RFC 9700 §2.6 (DCR-09, RDU-01, RDU-03)
    """
    if not uri or len(uri) > MAX_REDIRECT_URI_LENGTH:
        raise _refused(uri, "is empty or too long")
    if not _ALLOWED_CHARACTERS.fullmatch(uri):
        raise _refused(uri, "has a fragment, a wildcard or characters that are not allowed in a URI")
    parts = _split(uri)
    scheme = parts.scheme.lower()
    if not _SCHEME.fullmatch(scheme) or scheme in _DANGEROUS_SCHEMES:
        raise _refused(uri, "uses a scheme that is not allowed")
    if "@" in parts.netloc:
        raise _refused(uri, "has userinfo")
    if scheme in {"http", "https"}:
        return _check_web_uri(uri, parts)
    if _CARRIES_ADDRESS.search(uri[len(scheme) + 1 :]):
        raise _refused(uri, "carries another address")
    if not parts.netloc and not parts.path.strip("/"):
        raise _refused(uri, "has neither host nor path")
    return "private"


def _check_web_uri(uri: str, parts: SplitResult) -> RedirectKind:
    if not AUTHORITY.fullmatch(parts.netloc):
        raise _refused(uri, "has no host, or one that can be read in two ways")
    if parts.scheme.lower() == "https":
        return "https"
    if parts.hostname not in LOOPBACK_HOSTS:
        raise _refused(uri, "is http to a host that is not this machine; use https")
    return "loopback"


def redirect_kind(uri: str) -> RedirectKind:
    """The kind of a URI that `check_redirect_uri` accepted earlier."""
    if is_loopback(uri):
        return "loopback"
    return "https" if uri[:8].lower() == "https://" else "private"


def is_loopback(uri: str) -> bool:
    """Whether a code sent there can only reach this machine over http."""
    if uri[:7].lower() != "http://":
        return False
    return _split(uri).hostname in LOOPBACK_HOSTS


def match_redirect_uri(registered: str, requested: str) -> bool:
    """Whether `requested` is `registered`, with the two freedoms of this module. Spec: RDU-02, RDU-04 … RDU-06"""
    if registered == requested:
        return True
    if len(requested) > MAX_REDIRECT_URI_LENGTH or not _ALLOWED_CHARACTERS.fullmatch(requested):
        return False
    try:
        return _comparable(registered) == _comparable(requested)
    except OAuthError:
        return False


def find_registered(registered: tuple[str, ...], requested: str) -> str | None:
    """The registered URI that `requested` matches, or None."""
    return next((uri for uri in registered if match_redirect_uri(uri, requested)), None)


def without_loopback_port(uri: str) -> str:
    """`uri` as an app registers it that listens on another port each time. Spec: RFC 8252 §7.3 (RDU-04)"""
    return _LOOPBACK_PORT.sub(r"\1", uri) if is_loopback(uri) else uri


def add_parameters(uri: str, parameters: dict[str, str]) -> str:
    """`uri` with `parameters` appended percent-encoded, its own query kept. Spec: AUTHZ-12, AUTHZ-13"""
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())
    separator = "&" if "?" in uri else "?"
    return f"{uri}{separator}{query}"


def display_host(uri: str) -> str:
    """What a person is shown as the place an answer goes to: host and port, or the scheme of an app's own link."""
    parts = _split(uri)
    if parts.scheme.lower() in {"http", "https"}:
        return parts.netloc
    return f"{parts.scheme}:"


def _comparable(uri: str) -> str:
    without_port = without_loopback_port(uri)
    scheme, separator, rest = without_port.partition("://")
    if separator and scheme in {"http", "https"}:
        authority = re.split(r"[/?]", rest, maxsplit=1)[0]
        tail = rest[len(authority) :]
        if not tail.startswith("/"):
            return f"{scheme}://{authority}/{tail}"
    return without_port


def _split(uri: str) -> SplitResult:
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018  # raises for ports that are not numbers
    except ValueError:
        raise _refused(uri, "is not a valid URI") from None
    return parts


def _refused(uri: str, why: str) -> OAuthError:
    shown = uri if len(uri) <= 200 else f"{uri[:200]}…"
    return OAuthError(INVALID_REDIRECT_URI, f"The redirect URI {shown} {why}.")
