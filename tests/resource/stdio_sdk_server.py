"""A server of the official SDK on standard streams: it speaks the era that its client opens with."""

import os

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("of the SDK")


@server.tool()
async def echo(text: str) -> str:
    return f"{os.getpid()} {text}"


@server.tool()
async def count(to: int, ctx: Context) -> int:
    for step in range(to):
        await ctx.report_progress(step, to)
    return to


@server.tool()
async def change(ctx: Context) -> str:
    await ctx.notify_tools_changed()
    return "changed"


if __name__ == "__main__":
    server.run("stdio")
