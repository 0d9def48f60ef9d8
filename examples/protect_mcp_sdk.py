"""A server of the MCP Python SDK, protected in five lines.

    pip install '.[server,mcp]'                     # in a checkout, where ./dev has done it
    doorward up                                     # the issuer, http://127.0.0.1:8400
    doorward admin resource add http://127.0.0.1:8501/mcp --scope notes:read --scope notes:write
    python examples/protect_mcp_sdk.py
    python -m doorward.demo.connect http://127.0.0.1:8501/mcp --tool list_notes

In a checkout the commands are `.venv/bin/doorward` and `.venv/bin/python`. Tokens are verified here; what the issuer
revokes is refused within a second. With a key that may introspect in INTROSPECT_KEY, each token is looked up at the
issuer instead, which opaque tokens need.
"""

import os

import uvicorn
from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp_types import ToolAnnotations

from doorward.resource import IntrospectionVerifier
from doorward.resource.mcp import protect

ISSUER = os.environ.get("ISSUER", "http://127.0.0.1:8400")
PORT = int(os.environ.get("PORT", "8501"))
RESOURCE = f"http://127.0.0.1:{PORT}/mcp"
KEY = os.environ.get("INTROSPECT_KEY")

server = MCPServer("notes", log_level="WARNING")
notes: dict[str, list[str]] = {}


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def list_notes() -> list[str]:
    """The notes of the user who asks."""
    token = get_access_token()
    return notes.get(token.subject, []) if token and token.subject else []


@server.tool()
def add_note(text: str) -> int:
    """Keep a note; answers how many there are."""
    token = get_access_token()
    mine = notes.setdefault(token.subject, []) if token and token.subject else []
    mine.append(text)
    return len(mine)


app = protect(
    server,
    issuer=ISSUER,
    resource=RESOURCE,
    scopes=["notes:read"],
    tools={"list_notes": ["notes:read"], "add_note": ["notes:write"]},
    verifier=IntrospectionVerifier(issuer=ISSUER, resource=RESOURCE, key=KEY) if KEY else None,
)

if __name__ == "__main__":
    print(f"ready {RESOURCE}", flush=True)
    uvicorn.run(app, port=PORT, log_level="warning")
