"""`doorward admin client …`"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import AsJson, Data, ProjectSlug, make_group, read_json, run_on, show_one, show_rows

if TYPE_CHECKING:
    from doorward.core.models import Client, Project
    from doorward.manage.operator import Operator

client_commands = make_group("Applications that ask for tokens.")


@client_commands.command("add")
def client_add(  # noqa: PLR0913  # each is an option of the command, and keyword-only
    *,
    redirect_uri: Annotated[list[str] | None, typer.Option(help="Where answers go; may be repeated.")] = None,
    document: Annotated[str, typer.Option(help="The URL of its metadata document, in place of all the others.")] = "",
    template: Annotated[str, typer.Option(help="A known client, such as claude, chatgpt, vscode, cursor.")] = "",
    name: Annotated[str, typer.Option(help="Shown at consent.")] = "",
    confidential: Annotated[bool, typer.Option("--confidential", help="Give it a secret.")] = False,
    scope: Annotated[str, typer.Option(help="The most it may ask for, space separated.")] = "",
    grant: Annotated[
        list[str] | None, typer.Option(help="What it may do instead of signing people in, such as client_credentials.")
    ] = None,
    jwks_file: Annotated[Path | None, typer.Option(help="Its public keys, a JWK set, in place of a secret.")] = None,
    jwks_uri: Annotated[str, typer.Option(help="Where its public keys are published.")] = "",
    project: ProjectSlug = "default",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Add a client by hand; a confidential one's secret is printed once."""
    from doorward.manage import clients  # keeps --help fast

    if document:
        show_one(clients.describe(_add_document(data, project, document)), as_json=as_json)
        return
    if not redirect_uri and not template and not grant:
        raise typer.BadParameter("give --redirect-uri, --document, --template or --grant")
    keys: dict[str, Any] = {"jwks": read_json(jwks_file)} if jwks_file else {}
    keys |= {"jwks_uri": jwks_uri} if jwks_uri else {}

    async def act(operator: "Operator", of: "Project") -> "tuple[Client, str | None]":
        known_name, known_uris = clients.template(template) if template else ("", ())
        uris = (*(redirect_uri or ()), *known_uris)
        return await clients.add(
            operator,
            of,
            uris,
            name=name or known_name,
            confidential=confidential,
            scope=scope,
            grants=tuple(grant or ()),
            keys=keys,
        )

    client, secret = run_on(data, project, act)
    shown_once = {"client_secret": secret} if secret else {}
    show_one({**clients.describe(client), **shown_once}, as_json=as_json)


def _add_document(data: Path | None, project: str, url: str) -> "Client":
    from doorward.app import build_fetcher  # keeps --help fast
    from doorward.manage import documents
    from doorward.starting import read_settings

    async def act(operator: "Operator", of: "Project") -> "Client":
        settings = read_settings({"data": data})
        return await documents.add_document(
            operator, of, url, build_fetcher(settings), max_bytes=settings.cimd.max_bytes
        )

    return run_on(data, project, act)


@client_commands.command("list")
def client_list(*, project: ProjectSlug = "default", data: Data = None, as_json: AsJson = False) -> None:
    """The newest clients."""
    from doorward.manage import clients  # keeps --help fast

    rows = [clients.describe(client) for client in run_on(data, project, clients.list_all)]
    show_rows(rows, ("client_id", "client_name", "kind", "created_at", "last_used_at"), as_json=as_json)


@client_commands.command("set")
def client_set(
    client_id: str,
    *,
    scope: Annotated[str, typer.Option(help="The most it may ask for, space separated; empty for no bound.")],
    project: ProjectSlug = "default",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Set what a client may ask for at most."""
    from doorward.manage import clients  # keeps --help fast

    async def act(operator: "Operator", of: "Project") -> "Client":
        return await clients.change_scope(operator, await clients.get(operator, of, client_id), scope)

    show_one(clients.describe(run_on(data, project, act)), as_json=as_json)


@client_commands.command("show")
def client_show(
    client_id: str, *, project: ProjectSlug = "default", data: Data = None, as_json: AsJson = False
) -> None:
    """One client with its metadata."""
    from doorward.manage import clients  # keeps --help fast

    found = run_on(data, project, lambda operator, of: clients.get(operator, of, client_id))
    show_one(clients.describe(found), as_json=as_json)


@client_commands.command("remove")
def client_remove(client_id: str, *, project: ProjectSlug = "default", data: Data = None) -> None:
    """Remove a client; every grant it holds ends."""
    from doorward.manage import clients  # keeps --help fast

    async def act(operator: "Operator", of: "Project") -> None:
        await clients.remove(operator, await clients.get(operator, of, client_id))

    run_on(data, project, act)
    typer.echo(f"removed {client_id}")
