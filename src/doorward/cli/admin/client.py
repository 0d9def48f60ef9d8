"""`doorward admin client …`"""

from typing import TYPE_CHECKING, Annotated

import typer

from .common import AsJson, Data, ProjectSlug, make_group, run_on, show_one, show_rows

if TYPE_CHECKING:
    from doorward.core.models import Client, Project
    from doorward.manage.operator import Operator

client_commands = make_group("Applications that ask for tokens.")


@client_commands.command("add")
def client_add(
    *,
    redirect_uri: Annotated[list[str] | None, typer.Option(help="Where answers go; may be repeated.")] = None,
    template: Annotated[str, typer.Option(help="A known client, such as claude, chatgpt, vscode, cursor.")] = "",
    name: Annotated[str, typer.Option(help="Shown at consent.")] = "",
    confidential: Annotated[bool, typer.Option("--confidential", help="Give it a secret.")] = False,
    scope: Annotated[str, typer.Option(help="The most it may ask for, space separated.")] = "",
    project: ProjectSlug = "default",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Add a client by hand; a confidential one's secret is printed once."""
    from doorward.manage import clients  # keeps --help fast

    if not redirect_uri and not template:
        raise typer.BadParameter("give --redirect-uri or --template")

    async def act(operator: "Operator", of: "Project") -> "tuple[Client, str | None]":
        known_name, known_uris = clients.template(template) if template else ("", ())
        uris = (*(redirect_uri or ()), *known_uris)
        return await clients.add(operator, of, uris, name=name or known_name, confidential=confidential, scope=scope)

    client, secret = run_on(data, project, act)
    shown_once = {"client_secret": secret} if secret else {}
    show_one({**clients.describe(client), **shown_once}, as_json=as_json)


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
