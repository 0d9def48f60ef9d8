"""A FastMCP server, protected in five lines.

    pip install '.[server,fastmcp]'                 # in a checkout, where ./dev has done it
    doorward up                                     # the issuer, http://127.0.0.1:8400
    doorward admin resource add http://127.0.0.1:8503/mcp --scope notes:read --scope notes:write
    python examples/protect_fastmcp.py
    python -m doorward.demo.connect http://127.0.0.1:8503/mcp --tool list_notes

In a checkout the commands are `.venv/bin/doorward` and `.venv/bin/python`. Tokens are verified here; what the issuer
revokes is refused within a second. A tool says itself what else it needs: without that scope it is not listed, and
who calls it all the same is told what to ask for.
"""

import os

from fastmcp import FastMCP
from fastmcp.server.auth import require_scopes
from fastmcp.server.dependencies import get_access_token

from doorward.resource.fastmcp import DoorwardAuth

ISSUER = os.environ.get("ISSUER", "http://127.0.0.1:8400")
PORT = int(os.environ.get("PORT", "8503"))
RESOURCE = f"http://127.0.0.1:{PORT}/mcp"

mcp = FastMCP("notes", auth=DoorwardAuth(issuer=ISSUER, resource=RESOURCE, scopes=["notes:read"]))
notes: dict[str, list[str]] = {}


@mcp.tool
def list_notes() -> list[str]:
    """The notes of the user who asks."""
    token = get_access_token()
    return notes.get(token.subject, []) if token and token.subject else []


@mcp.tool(auth=require_scopes("notes:write"))
def add_note(text: str) -> int:
    """Keep a note; answers how many there are."""
    token = get_access_token()
    mine = notes.setdefault(token.subject, []) if token and token.subject else []
    mine.append(text)
    return len(mine)


if __name__ == "__main__":
    print(f"ready {RESOURCE}", flush=True)
    mcp.run(transport="http", port=PORT, show_banner=False, log_level="WARNING")
