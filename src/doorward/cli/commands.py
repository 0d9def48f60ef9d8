"""The command tree. Every command's work is imported when it runs."""

import gc
from pathlib import Path
from typing import Annotated

import typer

import doorward

from .admin import admin

app = typer.Typer(
    name="doorward",
    help="Lets any MCP client into any MCP server, safely: an OAuth 2.1 authorization server made for MCP.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(admin, name="admin")


@app.command()
def up(
    *,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the database and keys.", show_default="./doorward-data")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", show_default="8400")] = None,
    issuer: Annotated[str | None, typer.Option(help="Public https URL when behind a proxy.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Serve a demo MCP server at /demo/mcp as well.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was started as one JSON line.")] = False,
) -> None:
    """Start everything on this machine: database, keys, authorization server and pages."""
    # Nothing that is loaded now becomes garbage, and looking for some takes a fifth of the start; see `run_up`.
    gc.disable()
    from .up import run_up  # keeps --help fast

    options = {"data": data, "host": host, "port": port, "issuer": issuer}
    raise typer.Exit(run_up(options, demo=demo, as_json=as_json))


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(doorward.__version__)
