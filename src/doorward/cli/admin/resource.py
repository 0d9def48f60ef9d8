"""`doorward admin resource …`"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import AsJson, Data, ProjectSlug, make_group, run_on, show_one, show_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorward.core.models import Project, Resource, Scope
    from doorward.manage.operator import Operator

resource_commands = make_group("MCP servers that tokens are issued for.")

ScopeOption = Annotated[
    list[str] | None,
    typer.Option("--scope", help="NAME or NAME=Title; may be repeated. Names with write or delete need care."),
]
DefaultScopeOption = Annotated[
    list[str] | None, typer.Option("--default-scope", help="Given when a client asks for nothing; may be repeated.")
]

TokenFormatOption = Annotated[
    str | None, typer.Option("--token-format", help="jwt, or opaque: good for introspection only, ended at once.")
]
TokenAlgOption = Annotated[str | None, typer.Option("--token-alg", help="ES256, EdDSA or RS256, for jwt.")]
LifeOption = Annotated[
    int | None, typer.Option("--access-token-seconds", help="60 to 3600, or 0 for what the project has.")
]
AliasOption = Annotated[
    list[str] | None, typer.Option("--alias", help="Another URI of the same server; may be repeated.")
]
BudgetOption = Annotated[
    list[str] | None, typer.Option("--budget", help='How much may be called: "10/minute per user"; may be repeated.')
]
DpopOption = Annotated[
    bool | None, typer.Option("--dpop-required/--no-dpop-required", help="Only for clients that prove a key.")
]


def _parse_settings(
    token_format: str | None,
    token_alg: str | None,
    access_token_seconds: int | None,
    alias: list[str] | None,
    dpop_required: bool | None,  # noqa: FBT001  # as the option is
    budget: list[str] | None,
) -> dict[str, Any]:
    """The settings that were given, by name; an alias or budget without text takes those that were there away."""
    given = {
        "token_format": token_format,
        "token_alg": token_alg,
        "access_token_seconds": access_token_seconds,
        "aliases": None if alias is None else tuple(uri for uri in alias if uri),
        "dpop_required": dpop_required,
        "budgets": None if budget is None else tuple(text for text in budget if text),
    }
    return {name: value for name, value in given.items() if value is not None}


def _tell_overlaps(resource: "Resource", others: "Sequence[Resource]") -> None:
    from doorward.manage import resources  # keeps --help fast

    for words in resources.find_overlaps(resource, others):
        typer.echo(f"note: {words}", err=True)


def _parse_scopes(texts: list[str]) -> "tuple[Scope, ...]":
    """Scopes as the command line spells them; what a name says of itself decides how a person is shown it."""
    from doorward.core.models import Scope, ScopeKind  # keeps --help fast

    scopes: list[Scope] = []
    for text in texts:
        name, _, title = text.partition("=")
        lowered = name.lower()
        kind: ScopeKind = "destructive" if "delete" in lowered else "write" if "write" in lowered else "read"
        scopes.append(Scope(name=name, title=title or name, kind=kind))
    return tuple(scopes)


def _act_on(
    data: Path | None, project: str, uri: str, action: "Callable[[Operator, Resource], Awaitable[None]]"
) -> None:
    from doorward.manage import resources  # keeps --help fast

    async def act(operator: "Operator", of: "Project") -> None:
        await action(operator, await resources.get(operator, of, uri))

    run_on(data, project, act)


@resource_commands.command("add")
def resource_add(  # noqa: PLR0913  # one for each option
    uri: Annotated[str, typer.Argument(help="The URL that people give their client, e.g. https://api.example.com/mcp")],
    *,
    name: Annotated[str, typer.Option(help="Shown at consent.")] = "",
    scope: ScopeOption = None,
    default_scope: DefaultScopeOption = None,
    default: Annotated[bool, typer.Option("--default", help="Meant when a client names no resource.")] = False,
    token_format: TokenFormatOption = None,
    token_alg: TokenAlgOption = None,
    access_token_seconds: LifeOption = None,
    alias: AliasOption = None,
    dpop_required: DpopOption = None,
    budget: BudgetOption = None,
    project: ProjectSlug = "default",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Add an MCP server."""
    from doorward.core.models import ResourceSettings  # keeps --help fast
    from doorward.manage import resources

    settings = _parse_settings(token_format, token_alg, access_token_seconds, alias, dpop_required, budget)

    async def act(operator: "Operator", of: "Project") -> "tuple[Resource, list[Resource]]":
        added = await resources.add(
            operator,
            of,
            uri,
            name=name,
            scopes=_parse_scopes(scope or []),
            default_scopes=tuple(default_scope or ()),
            is_default=default,
            settings=ResourceSettings(**settings),
        )
        return added, await resources.list_all(operator, of)

    added, others = run_on(data, project, act)
    show_one(resources.describe(added), as_json=as_json)
    _tell_overlaps(added, others)


@resource_commands.command("list")
def resource_list(*, project: ProjectSlug = "default", data: Data = None, as_json: AsJson = False) -> None:
    """The MCP servers of a project."""
    from doorward.manage import resources  # keeps --help fast

    rows = [resources.describe(resource) for resource in run_on(data, project, resources.list_all)]
    show_rows(rows, ("uri", "name", "scopes", "token_format", "default"), as_json=as_json)


@resource_commands.command("show")
def resource_show(uri: str, *, project: ProjectSlug = "default", data: Data = None, as_json: AsJson = False) -> None:
    """One MCP server, by id or URL."""
    from doorward.manage import resources  # keeps --help fast

    found = run_on(data, project, lambda operator, of: resources.get(operator, of, uri))
    show_one(resources.describe(found), as_json=as_json)


@resource_commands.command("set")
def resource_set(  # noqa: PLR0913  # one for each option
    uri: str,
    *,
    name: Annotated[str | None, typer.Option(help="Shown at consent.")] = None,
    scope: ScopeOption = None,
    default_scope: DefaultScopeOption = None,
    default: Annotated[bool, typer.Option("--default", help="Meant when a client names no resource.")] = False,
    token_format: TokenFormatOption = None,
    token_alg: TokenAlgOption = None,
    access_token_seconds: LifeOption = None,
    alias: AliasOption = None,
    dpop_required: DpopOption = None,
    budget: BudgetOption = None,
    project: ProjectSlug = "default",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Change an MCP server; scopes, aliases and budgets that are given replace all of them."""
    from doorward.manage import resources  # keeps --help fast

    changes: dict[str, Any] = {}
    if name is not None:
        changes["name"] = name
    if scope is not None:
        changes["scopes"] = _parse_scopes(scope)
    if default_scope is not None or scope is not None:
        chosen = changes.get("scopes", ())
        changes["default_scopes"] = tuple(default_scope or (entry.name for entry in chosen if entry.kind == "read"))
    if default:
        changes["is_default"] = True
    settings = _parse_settings(token_format, token_alg, access_token_seconds, alias, dpop_required, budget)

    async def act(operator: "Operator", of: "Project") -> "Resource":
        found = await resources.get(operator, of, uri)
        return await resources.change(operator, found, **settings, **changes)

    show_one(resources.describe(run_on(data, project, act)), as_json=as_json)


@resource_commands.command("revoke")
def resource_revoke(uri: str, *, project: ProjectSlug = "default", data: Data = None) -> None:
    """End every grant and token for an MCP server at once; people may let apps in again."""
    from doorward.manage import revocations  # keeps --help fast

    _act_on(data, project, uri, revocations.revoke_resource)
    typer.echo(f"revoked everything for {uri}")


@resource_commands.command("stop")
def resource_stop(uri: str, *, project: ProjectSlug = "default", data: Data = None) -> None:
    """Let nothing for an MCP server in until it is resumed."""
    from doorward.manage import revocations  # keeps --help fast

    _act_on(data, project, uri, revocations.stop_server)
    typer.echo(f"stopped {uri}")


@resource_commands.command("resume")
def resource_resume(uri: str, *, project: ProjectSlug = "default", data: Data = None) -> None:
    """Take a stop back; what was not ended meanwhile works again."""
    from doorward.manage import revocations  # keeps --help fast

    _act_on(data, project, uri, revocations.resume_server)
    typer.echo(f"resumed {uri}")


@resource_commands.command("remove")
def resource_remove(uri: str, *, project: ProjectSlug = "default", data: Data = None) -> None:
    """Remove an MCP server; every grant for it ends."""
    from doorward.manage import resources  # keeps --help fast

    _act_on(data, project, uri, resources.remove)
    typer.echo(f"removed {uri}")
