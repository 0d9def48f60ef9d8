"""A server of FastMCP, 4.x, that knows nothing of Doorward: `PORT=3000 python fastmcp_server.py`."""

import os
from typing import Any

from fastmcp import Context, FastMCP
from fastmcp.server.dependencies import get_http_headers

READS = {"readOnlyHint": True}

server: FastMCP[Any] = FastMCP("Notes")
notes: list[str] = []


@server.tool(annotations=READS)
def list_notes() -> list[str]:
    """All notes."""
    return notes


@server.tool
def add_note(text: str) -> int:
    """Keep a note; answers how many there are."""
    notes.append(text)
    return len(notes)


@server.tool(annotations={"destructiveHint": True})
def clear_notes() -> None:
    """Forget all notes."""
    notes.clear()


@server.tool(annotations=READS)
async def count(steps: int, context: Context) -> int:
    """Count, and tell of each step."""
    for step in range(steps):
        await context.report_progress(step + 1, steps, f"step {step + 1}")
    return steps


@server.tool(annotations=READS)
async def greet(context: Context) -> str:
    """Ask for a name, and greet."""
    answer = await context.elicit("Who are you?", str)
    return f"Hello, {answer.data}!" if answer.action == "accept" else "Never mind."


@server.tool(annotations=READS)
def headers() -> dict[str, str]:
    """What came with this request."""
    return get_http_headers(include_all=True)


@server.resource("notes://all")
def all_notes() -> str:
    """All notes as a text."""
    return "\n".join(notes) or "no notes"


@server.prompt
def summary(style: str) -> str:
    """Asks for a summary."""
    return f"Sum up my notes: {style}"


if __name__ == "__main__":
    server.run("http", host="127.0.0.1", port=int(os.environ["PORT"]), show_banner=False, log_level="WARNING")
