"""What a browser has to be told so that a page may speak MCP to this server.

Tokens travel in a header that a page must set itself; cookies are never allowed along, so an allowed origin gains
nothing that a user did not hand to it.

Spec: Fetch Standard, CORS protocol (WWW-08, PRM-14)
"""

import re

from .asgi import Answer, Header, Request, build_header

_EXPOSED = "WWW-Authenticate, Mcp-Session-Id, Mcp-Protocol-Version, Retry-After, DPoP-Nonce"
_ALLOWED_HEADERS = frozenset({"accept", "authorization", "cache-control", "content-type", "dpop", "last-event-id"})
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]{1,64}")
_MAX_AGE = "600"
RESPONSE_HEADERS = frozenset({b"access-control-allow-origin", b"access-control-expose-headers"})
"""Headers that `build_cors` decides, whatever the app behind says."""


def build_cors(request: Request) -> list[Header]:
    """The headers of every answer on the resource itself, for an origin that was found to be allowed."""
    headers = [build_header("access-control-expose-headers", _EXPOSED), build_header("vary", "Origin")]
    origin = request.value("origin")
    if origin:
        headers.append(build_header("access-control-allow-origin", origin))
    return headers


def build_preflight(request: Request, *, methods: str, origin: str | None = None) -> Answer:
    """The answer to OPTIONS; a page may send any `Mcp-*` header, of this revision or the next.

    With `origin` the answer is complete, without it the caller adds `build_cors`.
    """
    asked = [name.strip().lower() for name in request.value("access-control-request-headers").split(",")[:64]]
    allowed = [n for n in asked if n in _ALLOWED_HEADERS or (n.startswith("mcp-") and _TOKEN.fullmatch(n))]
    headers = [
        build_header("allow", methods),
        build_header("access-control-allow-methods", methods),
        build_header("access-control-max-age", _MAX_AGE),
    ]
    if allowed:
        headers.append(build_header("access-control-allow-headers", ", ".join(allowed)))
    if origin is not None:
        headers.append(build_header("access-control-allow-origin", origin))
    return Answer(204, tuple(headers))
