"""`doorward admin connection …` and `doorward admin token …`: one app of one person, and one token."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import AsJson, Data, ProjectSlug, make_group, run_on, show_rows

if TYPE_CHECKING:
    from doorward.core.models import Project
    from doorward.manage.operator import Operator

connection_commands = make_group("Apps that people let in.")
token_commands = make_group("Tokens of the admin API, and ending tokens that came into wrong hands.")


@connection_commands.command("list")
def connection_list(
    email: str, *, project: ProjectSlug = "default", data: Data = None, as_json: AsJson = False
) -> None:
    """The apps that a person let in, newest first."""
    from doorward.manage import connections, users  # keeps --help fast

    async def act(operator: "Operator", of: "Project") -> list[dict[str, Any]]:
        user = await users.get(operator, of, email)
        return [connections.describe(app) for app in await connections.list_apps(operator, of, user)]

    columns = ("connection_id", "client_name", "resource", "device", "created_at", "last_used_at", "expires_at")
    show_rows(run_on(data, project, act), columns, as_json=as_json)


@connection_commands.command("revoke")
def connection_revoke(email: str, connection_id: str, *, project: ProjectSlug = "default", data: Data = None) -> None:
    """End one connection of a person at once."""
    from doorward.manage import connections, users  # keeps --help fast
    from doorward.manage.operator import ActionRefused

    async def act(operator: "Operator", of: "Project") -> None:
        if not await connections.revoke(operator, of, await users.get(operator, of, email), connection_id):
            raise ActionRefused(f"{email} has no connection {connection_id}.")

    run_on(data, project, act)
    typer.echo(f"revoked {connection_id}")


@token_commands.command("revoke")
def token_revoke(
    *,
    file: Annotated[
        Path | None, typer.Option(help="File holding the token; - reads standard input. Without it you are asked.")
    ] = None,
    project: ProjectSlug = "default",
    data: Data = None,
) -> None:
    """End an access token alone, or a refresh token with its connection."""
    from doorward.manage import revocations  # keeps --help fast

    token = _read_token(file)
    ended = run_on(data, project, lambda operator, of: revocations.revoke_token(operator, of, token))
    typer.echo(f"revoked {ended}")


def _read_token(file: Path | None) -> str:
    if file is None:
        return str(typer.prompt("Token", hide_input=True)).strip()
    if str(file) == "-":
        return typer.get_text_stream("stdin").readline().strip()
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file}: {error}") from None
