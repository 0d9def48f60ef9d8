"""`doorward admin exchange …`"""

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from .common import AsJson, Data, ProjectSlug, make_group, run_on, show_one, show_rows

if TYPE_CHECKING:
    from doorward.core.models import ExchangeMode, Project
    from doorward.manage.operator import Operator

exchange_commands = make_group("Which clients may exchange which tokens; nothing that is not here.")


@exchange_commands.command("add")
def exchange_add(
    client_id: str,
    *,
    to: Annotated[str, typer.Option("--to", help="The MCP server that it gets tokens for.")],
    from_: Annotated[
        str, typer.Option("--from", help="The MCP server whose tokens it may exchange; any when not given.")
    ] = "",
    scope: Annotated[str, typer.Option(help="The most it may ask for, space separated.")] = "",
    mode: Annotated[
        str, typer.Option(help="delegation says who acts in the token; impersonation does not.")
    ] = "delegation",
    project: ProjectSlug = "default",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Let a client exchange tokens for one MCP server for tokens for another."""
    from doorward.manage import clients, exchange, resources  # keeps --help fast

    async def act(operator: "Operator", of: "Project") -> dict[str, Any]:
        rule = await exchange.add(
            operator,
            await clients.get(operator, of, client_id),
            source=await resources.get(operator, of, from_) if from_ else None,
            target=await resources.get(operator, of, to),
            scope=scope,
            mode=cast("ExchangeMode", mode),
        )
        return exchange.describe(rule, await resources.list_all(operator, of))

    show_one(run_on(data, project, act), as_json=as_json)


@exchange_commands.command("list")
def exchange_list(*, project: ProjectSlug = "default", data: Data = None, as_json: AsJson = False) -> None:
    """Who may exchange what."""
    from doorward.manage import exchange, resources  # keeps --help fast

    async def act(operator: "Operator", of: "Project") -> list[dict[str, Any]]:
        known = await resources.list_all(operator, of)
        return [exchange.describe(rule, known) for rule in await exchange.list_all(operator, of)]

    columns = ("rule_id", "client_id", "from", "to", "mode", "scope")
    show_rows(run_on(data, project, act), columns, as_json=as_json)


@exchange_commands.command("remove")
def exchange_remove(rule_id: str, *, project: ProjectSlug = "default", data: Data = None) -> None:
    """Take a rule back."""
    from doorward.manage import exchange  # keeps --help fast

    run_on(data, project, lambda operator, of: exchange.remove(operator, of, rule_id))
    typer.echo(f"removed {rule_id}")
