"""`doorward admin resource …`"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import AsJson, Data, ProjectSlug, make_group, run_on, show_one, show_rows

if TYPE_CHECKING:
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


@resource_commands.command("add")
def resource_add(
    uri: Annotated[str, typer.Argument(help="The URL that people give their client, e.g. https://api.example.com/mcp")],
    *,
    name: Annotated[str, typer.Option(help="Shown at consent.")] = "",
    scope: ScopeOption = None,
    default_scope: DefaultScopeOption = None,
    default: Annotated[bool, typer.Option("--default", help="Meant when a client names no resource.")] = False,
    project: ProjectSlug = "default",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Add an MCP server."""
    from doorward.manage import resources  # keeps --help fast

    added = run_on(
        data,
        project,
        lambda operator, of: resources.add(
            operator,
            of,
            uri,
            name=name,
            scopes=_parse_scopes(scope or []),
            default_scopes=tuple(default_scope or ()),
            is_default=default,
        ),
    )
    show_one(resources.describe(added), as_json=as_json)


@resource_commands.command("list")
def resource_list(*, project: ProjectSlug = "default", data: Data = None, as_json: AsJson = False) -> None:
    """The MCP servers of a project."""
    from doorward.manage import resources  # keeps --help fast

    rows = [resources.describe(resource) for resource in run_on(data, project, resources.list_all)]
    show_rows(rows, ("uri", "name", "scopes", "default"), as_json=as_json)


@resource_commands.command("show")
def resource_show(uri: str, *, project: ProjectSlug = "default", data: Data = None, as_json: AsJson = False) -> None:
    """One MCP server, by id or URL."""
    from doorward.manage import resources  # keeps --help fast

    found = run_on(data, project, lambda operator, of: resources.get(operator, of, uri))
    show_one(resources.describe(found), as_json=as_json)


@resource_commands.command("set")
def resource_set(
    uri: str,
    *,
    name: Annotated[str | None, typer.Option(help="Shown at consent.")] = None,
    scope: ScopeOption = None,
    default_scope: DefaultScopeOption = None,
    default: Annotated[bool, typer.Option("--default", help="Meant when a client names no resource.")] = False,
    project: ProjectSlug = "default",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Change an MCP server; scopes that are given replace all of them."""
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

    async def act(operator: "Operator", of: "Project") -> "Resource":
        return await resources.change(operator, await resources.get(operator, of, uri), **changes)

    show_one(resources.describe(run_on(data, project, act)), as_json=as_json)


@resource_commands.command("remove")
def resource_remove(uri: str, *, project: ProjectSlug = "default", data: Data = None) -> None:
    """Remove an MCP server; every grant for it ends."""
    from doorward.manage import resources  # keeps --help fast

    async def act(operator: "Operator", of: "Project") -> None:
        await resources.remove(operator, await resources.get(operator, of, uri))

    run_on(data, project, act)
    typer.echo(f"removed {uri}")
