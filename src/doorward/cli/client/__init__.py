"""`doorward client …`: MCP servers that this person uses, signed in to and called from the command line.

Needs the client extra alone, and nothing of the authorization server.
"""

import typer

from .bridging import bridge
from .documents import cimd
from .servers import add, remove, status
from .sign_in import login, logout, token
from .tools import call, tools

client = typer.Typer(
    help="Use protected MCP servers: sign in, list and call tools, bring stdio clients in.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
for command in (add, remove, login, logout, status, tools, call, token, bridge):
    client.command()(command)
client.add_typer(cimd, name="cimd")
