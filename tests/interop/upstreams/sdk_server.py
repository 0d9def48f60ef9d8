"""A server of the MCP Python SDK, 2.x, that knows nothing of Doorward: `PORT=3000 python sdk_server.py`, or on
standard streams without a port."""

import asyncio
import os
from typing import Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp_types import ToolAnnotations
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

READS = ToolAnnotations(read_only_hint=True)
DELETES = ToolAnnotations(destructive_hint=True)

server: MCPServer[Any] = MCPServer("Notes", log_level="WARNING")
notes: list[str] = []
held: list[asyncio.Event] = []


class Name(BaseModel):
    name: str


@server.tool(annotations=READS)
def list_notes() -> list[str]:
    """All notes."""
    return notes


@server.tool()
def add_note(text: str) -> int:
    """Keep a note; answers how many there are."""
    notes.append(text)
    return len(notes)


@server.tool(annotations=DELETES)
def clear_notes() -> None:
    """Forget all notes."""
    notes.clear()


@server.tool(annotations=READS)
async def count(steps: int, context: Context) -> int:
    """Count, and tell of each step."""
    for step in range(steps):
        await context.report_progress(step + 1, steps, f"step {step + 1}")
    return steps


async def ask_name() -> Elicit[Name]:
    return Elicit("Who are you?", Name)


@server.tool(annotations=READS)
async def greet(who: Annotated[Name, Resolve(ask_name)]) -> str:
    """Ask for a name, and greet."""
    return f"Hello, {who.name}!"


@server.tool(annotations=READS)
async def headers(context: Context) -> dict[str, str]:
    """What came with this request."""
    return dict(context.headers or {})


@server.resource("notes://all")
def all_notes() -> str:
    """All notes as a text."""
    return "\n".join(notes) or "no notes"


@server.prompt()
def summary(style: str) -> str:
    """Asks for a summary."""
    return f"Sum up my notes: {style}"


@server.custom_route("/tools/{name}", methods=["PUT"])
async def add_tool(request: Request) -> Response:
    """Whoever runs the server gives it another tool, which its clients have never seen."""
    name, told = request.path_params["name"], await request.json()

    async def run() -> str:
        if told.get("holds"):
            held.append(asyncio.Event())
            await held[-1].wait()
        return f"{name} has run"

    if name in {tool.name for tool in await server.list_tools()}:
        server.remove_tool(name)
    annotations = ToolAnnotations(read_only_hint=told.get("reads", False))
    server.add_tool(run, name, description=told.get("description"), annotations=annotations)
    return JSONResponse(sorted(tool.name for tool in await server.list_tools()))


@server.custom_route("/held", methods=["GET", "DELETE"])
async def release(request: Request) -> Response:
    """How many calls are being held, until somebody lets them go."""
    count = sum(not event.is_set() for event in held)
    if request.method == "DELETE":
        for event in held:
            event.set()
    return JSONResponse(count)


if __name__ == "__main__":
    if "PORT" in os.environ:
        server.run("streamable-http", port=int(os.environ["PORT"]))
    else:
        server.run()
