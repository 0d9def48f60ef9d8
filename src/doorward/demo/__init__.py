"""A small public MCP server, protected by Doorward, to try a client on: weather, stocks, flights, a booking.

Owns the demo's tools, their sample data and the command that connects to them. Must not touch storage or server: it
is an MCP server like anybody's, and proves that `doorward.resource` is enough to protect one. Needs the `mcp` package.
"""

from .scopes import DEMO_SCOPES, DEMO_TOOLS
from .server import Demo, build_demo

__all__ = ["DEMO_SCOPES", "DEMO_TOOLS", "Demo", "build_demo"]
