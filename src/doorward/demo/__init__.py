"""A small public MCP server, protected by Doorward, to try a client on: weather, stocks, flights, a booking.

Owns the demo's tools, their sample data and the command that connects to them. Must not touch storage or server: it
is an MCP server like anybody's, and proves that `doorward.resource` is enough to protect one. Needs the `mcp` package.
"""

from typing import TYPE_CHECKING, Any

from .scopes import DEMO_SCOPES, DEMO_TOOLS

if TYPE_CHECKING:
    from .server import Demo, build_demo

__all__ = ["DEMO_SCOPES", "DEMO_TOOLS", "Demo", "build_demo"]


def __getattr__(name: str) -> Any:
    """Load the server when it is asked for: the `mcp` package takes its time, and the scopes are needed before it."""
    if name in {"Demo", "build_demo"}:
        from . import server  # noqa: PLC0415  # see above

        return getattr(server, name)
    raise AttributeError(name)
