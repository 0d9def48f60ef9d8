"""`doorward admin token create|list|remove`: what programs use the admin API with."""

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from .common import AsJson, Data, ProjectSlug, run_on, show_one, show_rows
from .connection import token_commands

if TYPE_CHECKING:
    from doorward.core.admin_access import TokenRole

DAY_SECONDS = 86_400


@token_commands.command("create")
def token_create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    *,
    role: Annotated[str, typer.Option(help="owner, admin or auditor: what it may do at most.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="read, or AREA:read or AREA:write, such as clients:write; may be repeated. Without, all."),
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, max=3650, help="How long it works; for ever when not given.")
    ] = None,
    project: ProjectSlug = "default",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a token for the admin API of one project; it is printed once."""
    from doorward.manage import admin_tokens  # keeps --help fast

    token, secret = run_on(
        data,
        project,
        lambda operator, of: admin_tokens.create(
            operator,
            of,
            name,
            cast("TokenRole", role),
            scopes=tuple(scope or ()),
            seconds=days * DAY_SECONDS if days else None,
        ),
    )
    show_one({**_shown(admin_tokens.describe(token)), "secret": secret}, as_json=as_json)


@token_commands.command("list")
def token_list(*, project: ProjectSlug = "default", data: Data = None, as_json: AsJson = False) -> None:
    """The tokens of the admin API of a project, without their secrets."""
    from doorward.manage import admin_tokens  # keeps --help fast

    rows = [admin_tokens.describe(token) for token in run_on(data, project, admin_tokens.list_all)]
    columns = ("token_id", "name", "role", "scopes", "expires_at", "last_used_at", "revoked_at")
    show_rows(rows, columns, as_json=as_json)


@token_commands.command("remove")
def token_remove(token_id: str, *, project: ProjectSlug = "default", data: Data = None) -> None:
    """End a token of the admin API at once."""
    from doorward.manage import admin_tokens  # keeps --help fast

    run_on(data, project, lambda operator, of: admin_tokens.revoke(operator, of, token_id))
    typer.echo(f"removed {token_id}")


def _shown(token: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in token.items() if value not in (None, [])}
