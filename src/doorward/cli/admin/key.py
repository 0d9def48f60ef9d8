"""`doorward admin key …` and `doorward admin sealing-key …`"""

from typing import TYPE_CHECKING, Annotated, cast

import typer

from .common import AsJson, Data, ProjectSlug, make_group, run, run_on, show_one, show_rows

if TYPE_CHECKING:
    from doorward.core.models import Capability, Project, ProjectKey
    from doorward.manage.operator import Operator

key_commands = make_group("Secrets of your own backends, with the few things each may do.")
sealing_key_commands = make_group("Keys that make the ids of public clients ours; of the whole server.")


@key_commands.command("create")
def key_create(
    *,
    capability: Annotated[str, typer.Option(help="register, introspect, mint: one or several, comma separated.")],
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    resource: Annotated[str | None, typer.Option(help="Introspect and mint for this MCP server only.")] = None,
    project: ProjectSlug = "default",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a key; its secret is printed once."""
    from doorward.manage import keys, resources  # keeps --help fast

    asked = tuple(part.strip() for part in capability.split(",") if part.strip())

    async def act(operator: "Operator", of: "Project") -> "tuple[ProjectKey, str]":
        bound = await resources.get(operator, of, resource) if resource else None
        return await keys.create(operator, of, cast("tuple[Capability, ...]", asked), name=name, resource=bound)

    key, secret = run_on(data, project, act)
    show_one({**keys.describe(key), "secret": secret}, as_json=as_json)


@key_commands.command("list")
def key_list(*, project: ProjectSlug = "default", data: Data = None, as_json: AsJson = False) -> None:
    """The keys of a project, without their secrets."""
    from doorward.manage import keys  # keeps --help fast

    rows = [keys.describe(key) for key in run_on(data, project, keys.list_all)]
    show_rows(rows, ("key_id", "name", "capabilities", "created_at", "revoked_at"), as_json=as_json)


@key_commands.command("remove")
def key_remove(key_id: str, *, project: ProjectSlug = "default", data: Data = None) -> None:
    """End a key at once."""
    from doorward.manage import keys  # keeps --help fast

    run_on(data, project, lambda operator, of: keys.revoke(operator, of, key_id))
    typer.echo(f"removed {key_id}")


@sealing_key_commands.command("list")
def sealing_key_list(*, data: Data = None, as_json: AsJson = False) -> None:
    """The keys whose client ids are accepted; the last one seals."""
    from doorward.manage import sealing

    numbers = run(data, sealing.list_numbers)
    rows = [{"number": number, "seals": number == numbers[-1]} for number in numbers]
    show_rows(rows, ("number", "seals"), as_json=as_json)


@sealing_key_commands.command("rotate")
def sealing_key_rotate(*, data: Data = None, as_json: AsJson = False) -> None:
    """Add a key that seals from the next start on; ids of the old ones stay good."""
    from doorward.manage import sealing

    show_one({"number": run_on(data, "default", sealing.rotate)}, as_json=as_json)


@sealing_key_commands.command("drop")
def sealing_key_drop(number: int, *, data: Data = None) -> None:
    """Stop accepting ids of an old key from the next start on; its clients have to register again."""
    from doorward.manage import sealing

    run_on(data, "default", lambda operator, of: sealing.drop(operator, of, number))
    typer.echo(f"dropped {number}")
