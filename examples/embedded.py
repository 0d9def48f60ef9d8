"""An MCP server with its authorization server in the same process: one program, one data folder, nothing else to run.

    pip install '.[server,mcp]'                     # in a checkout, where ./dev has done it
    python examples/embedded.py                     # prints the link that makes the first administrator
    python -m doorward.demo.connect http://127.0.0.1:8400/mcp --tool list_notes

In a checkout the command is `.venv/bin/python`. Everything is kept in ./notes-data. With a proxy that speaks https in
front, give its address as `url`. Under a server of your own, such as uvicorn, serve `app` instead:

    uvicorn --app-dir examples embedded:app --port 8400
"""

import os

from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token

from doorward.embedded import embed, serve

server = MCPServer("Notes", log_level="WARNING")
notes: dict[str, list[str]] = {}


@server.tool()
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


app = embed(
    server,
    url=os.environ.get("URL", "http://127.0.0.1:8400"),
    data=os.environ.get("DATA", "notes-data"),
    scopes=["notes:read"],
    tools={"list_notes": ["notes:read"], "add_note": ["notes:write"]},
)

if __name__ == "__main__":
    serve(app)
