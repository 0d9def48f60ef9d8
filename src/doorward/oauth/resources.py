"""Resource indicators: one canonical key, one match, used by authorization server and protected server alike."""

import re
from urllib.parse import urlsplit

from .errors import INVALID_TARGET, OAuthError

MAX_RESOURCE_LENGTH = 2048
_DEFAULT_PORTS = {"https": 443, "http": 80}
# RFC 3986, reserved and unreserved: what has no place in a URI would break out of a header's quotes or a log's line.
_URI_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")


def parse_resource(uri: str) -> str:
    """Check that `uri` can name a protected resource and return it unchanged.

    Raises `invalid_target` for relative URIs, fragments, userinfo and characters a URI cannot have.

    Spec: RFC 8707 §2 (RES-03)
    """
    if len(uri) > MAX_RESOURCE_LENGTH or not _URI_CHARACTERS.fullmatch(uri):
        raise _invalid("The resource is not a valid URI.")
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018  # raises for ports that are not numbers
    except ValueError:
        raise _invalid("The resource is not a valid URI.") from None
    if parts.scheme.lower() not in _DEFAULT_PORTS or not parts.hostname:
        raise _invalid("The resource must be an absolute http or https URI.")
    if "#" in uri:
        raise _invalid("The resource must not have a fragment.")
    if "@" in parts.netloc:
        raise _invalid("The resource must not have userinfo.")
    return uri


def match_key(uri: str) -> str:
    """The form in which two spellings of one resource are equal; prefixes never are.

    Scheme and host are lower-cased, a default port and one trailing slash of the path are dropped: real clients
    add and strip that slash (RES-11 with the team's decision on clients.md no. 50). Nothing else is normalised.

    Spec: RFC 3986 §6.2; RFC 8707 §2
    """
    parts = urlsplit(uri)
    scheme = parts.scheme.lower()
    host = (parts.hostname or "").lower()
    if ":" in host:
        host = f"[{host}]"
    port = parts.port
    authority = host if port is None or port == _DEFAULT_PORTS.get(scheme) else f"{host}:{port}"
    path = parts.path.removesuffix("/")
    query = f"?{parts.query}" if "?" in uri else ""
    return f"{scheme}://{authority}{path}{query}"


def same_resource(left: str, right: str) -> bool:
    """Whether both spell the same resource; what cannot name a resource equals only itself. Never raises."""
    if left == right:
        return True
    try:
        return match_key(parse_resource(left)) == match_key(parse_resource(right))
    except OAuthError:
        return False


def _invalid(description: str) -> OAuthError:
    return OAuthError(INVALID_TARGET, description)
