"""The command tree. Every command's work is imported when it runs."""

import gc
from pathlib import Path
from typing import Annotated

import typer

import doorward

from .admin import admin
from .client import client

app = typer.Typer(
    name="doorward",
    help="Lets any MCP client into any MCP server, safely: an OAuth 2.1 authorization server made for MCP.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(admin, name="admin")
app.add_typer(client, name="client")


Data = Annotated[Path | None, typer.Option(help="Folder of the database and keys.", show_default="./doorward-data")]
Host = Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")]
Port = Annotated[int | None, typer.Option(help="Port to listen on.", show_default="8400")]
KeyFile = Annotated[
    Path | None, typer.Option(help="File of a key of the issuer, to tell it of tools and clients with.")
]
IdentityKey = Annotated[
    Path | None,
    typer.Option(help="PEM file of the P-256 key that tells the server behind who calls; made when it is missing."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print what was started as one JSON line.")]


@app.command()
def up(
    *,
    data: Data = None,
    host: Host = None,
    port: Port = None,
    issuer: Annotated[str | None, typer.Option(help="Public https URL when behind a proxy.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Serve a demo MCP server at /demo/mcp as well.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start everything on this machine: database, keys, authorization server and pages."""
    # Nothing that is loaded now becomes garbage, and looking for some takes a fifth of the start; see `run_up`.
    gc.disable()
    from .up import run_up  # keeps --help fast

    options = {"data": data, "host": host, "port": port, "issuer": issuer}
    raise typer.Exit(run_up(options, demo=demo, as_json=as_json))


@app.command()
def protect(  # noqa: PLR0913  # one parameter for each option, all named
    target: Annotated[
        list[str] | None, typer.Argument(metavar="URL | -- COMMAND…", help="The MCP server, or what starts one.")
    ] = None,
    *,
    data: Data = None,
    host: Host = None,
    port: Port = None,
    public_url: Annotated[str | None, typer.Option(help="Origin that clients reach this by, when it differs.")] = None,
    path: Annotated[str | None, typer.Option(help="Where the server appears.", show_default="its own, or /mcp")] = None,
    name: Annotated[str, typer.Option(help="What people are told it is called.")] = "",
    shared: Annotated[bool, typer.Option("--shared", help="One process of the command for all users.")] = False,
    env: Annotated[list[str] | None, typer.Option(help="Name of a variable the command gets; repeatable.")] = None,
    headers_file: Annotated[
        Path | None, typer.Option(help="File of headers for the server behind, such as its credential.")
    ] = None,
    budget: Annotated[
        list[str] | None, typer.Option(help='How much may be called, such as "10/minute per user"; repeatable.')
    ] = None,
    show_all_tools: Annotated[bool, typer.Option("--show-all-tools", help="List tools still closed, too.")] = False,
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="Web origin whose pages may call the server; repeatable.")
    ] = None,
    servers: Annotated[Path | None, typer.Option(help="TOML file of several servers.")] = None,
    issuer: Annotated[str | None, typer.Option(help="Authorization server whose tokens to take.")] = None,
    key_file: KeyFile = None,
    introspect: Annotated[bool, typer.Option("--introspect", help="Ask the issuer about each token.")] = False,
    legacy_clients: Annotated[bool, typer.Option("--legacy-clients", help="Lead clients of 2025-03-26 to it.")] = False,
    identity_key: IdentityKey = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM file of a certificate chain.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of its key, as PKCS #8.")] = None,
    as_json: AsJson = False,
) -> None:
    """Put a door in front of an unmodified MCP server: sign-in, consent by tool, tokens."""
    from .protect import run_protect  # keeps --help fast
    from .upstreams import Choices

    choices = Choices(
        target=tuple(target or ()),
        path=path,
        name=name,
        shared=shared,
        headers_file=headers_file,
        environment=tuple(env or ()),
        budgets=tuple(budget or ()),
        show_all_tools=show_all_tools,
        allowed_origins=tuple(allow_origin or ()),
        servers=servers,
        issuer=issuer,
        key_file=key_file,
        introspects=introspect,
        legacy_clients=legacy_clients,
        identity_key=identity_key,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        as_json=as_json,
    )
    options = {"data": data, "host": host, "port": port, "issuer": public_url}
    raise typer.Exit(run_protect(options, choices))


@app.command()
def doctor(  # noqa: PLR0913  # one parameter for each option, all named
    url: Annotated[str, typer.Argument(metavar="URL", help="The MCP server, as people give it to their client.")],
    *,
    login: Annotated[bool, typer.Option("--login", help="Sign in with a browser, and look at tokens, too.")] = False,
    tool: Annotated[str | None, typer.Option(help="Tool to call after the login.")] = None,
    arguments: Annotated[str | None, typer.Option(metavar="JSON", help="What to call the tool with.")] = None,
    client_id: Annotated[
        str | None, typer.Option(help="With --login: whom to sign in as, instead of registering.")
    ] = None,
    sibling: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="With --login: another server of yours, which must refuse the token."),
    ] = None,
    client: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Tell of this client alone; repeatable.")
    ] = None,
    no_register: Annotated[bool, typer.Option("--no-register", help="Register no client.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    junit: Annotated[Path | None, typer.Option(help="Write the report as JUnit XML.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as one page to share.")] = None,
    show_all: Annotated[bool, typer.Option("--all", help="Show what passed, too.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for warnings, too.")] = False,
    ca_file: Annotated[Path | None, typer.Option(help="PEM file of a certificate authority to trust, too.")] = None,
) -> None:
    """Say which MCP clients will get into a server, which will not, why, and what to change."""
    from .doctor import Wishes, run_doctor  # keeps --help fast

    wishes = Wishes(
        url=url,
        signs_in=login,
        tool=tool,
        arguments=arguments,
        client_id=client_id,
        siblings=tuple(sibling or ()),
        clients=tuple(client or ()),
        registers=not no_register,
        as_json=as_json,
        junit=junit,
        html=html,
        shows_all=show_all,
        is_strict=strict,
        ca_file=ca_file,
    )
    raise typer.Exit(run_doctor(wishes))


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(doorward.__version__)
