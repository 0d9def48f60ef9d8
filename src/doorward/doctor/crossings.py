"""What a page of another origin may read of an answer, as browsers decide it. Pure.

Spec: Fetch §3.2, §4.8; WWW-08, PRM-14, ASM-18, DCR-22, TOK-09; complaint 16
"""

from .visits import Crossing, Seen

ORIGIN = "http://localhost:6274"
"""Where MCP Inspector runs: a page of the person's own machine, which a server on it may let in where no other is."""
NAMES = {
    "challenge": ("challenge", "POST", ("content-type", "mcp-protocol-version")),
    "resource-metadata": ("resource's metadata", "GET", ()),
    "issuer-metadata": ("authorization server's metadata", "GET", ()),
    "register": ("registration endpoint", "POST", ("content-type",)),
    "token": ("token endpoint", "POST", ()),
}
"""What is asked across origins: in words, the method, and the headers that make a browser ask first."""


def can_read(seen: Seen) -> bool:
    """Whether a script of another origin gets to see the answer."""
    return seen.header("access-control-allow-origin").strip() in ("*", ORIGIN)


def may_send(name: str, preflight: Seen) -> bool:
    """Whether the browser would send the request at all after that preflight."""
    _, method, headers = NAMES[name]
    if not headers:
        return True
    if not 200 <= preflight.status < 300 or not can_read(preflight):
        return False
    methods = _words(preflight, "access-control-allow-methods")
    allowed = _words(preflight, "access-control-allow-headers")
    return ("*" in allowed or set(headers) <= allowed) and (
        method == "POST" or method.lower() in methods or "*" in methods
    )


def crosses(name: str, crossing: Crossing) -> bool:
    """Whether a browser client gets its answer."""
    return may_send(name, crossing.preflight) and can_read(crossing.actual)


def exposes(seen: Seen, header: str) -> bool:
    """Whether a script may read that header of an answer it may read."""
    exposed = _words(seen, "access-control-expose-headers")
    return "*" in exposed or header.lower() in exposed


def _words(seen: Seen, name: str) -> set[str]:
    return {word.strip().lower() for value in seen.header_values(name) for word in value.split(",")}
