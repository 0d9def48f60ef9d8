"""`doorward admin user …`"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from .common import AsJson, Data, ProjectSlug, make_group, run_on, show_one, show_rows

if TYPE_CHECKING:
    from doorward.core.models import Project, Role, User
    from doorward.manage.operator import Operator

user_commands = make_group("People who sign in.")

PasswordFile = Annotated[
    Path | None, typer.Option(help="File holding the password; - reads standard input. Without it you are asked.")
]
RoleOption = Annotated[str, typer.Option(help="owner, admin, auditor or member.")]


def _read_password(file: Path | None) -> str:
    if file is None:
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    if str(file) == "-":
        return typer.get_text_stream("stdin").readline().rstrip("\r\n")
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file}: {error}") from None


async def _describe(operator: "Operator", of: "Project", people: "list[User]") -> list[dict[str, Any]]:
    """People with what they sign in with besides a password."""
    from doorward.manage import factors, users  # keeps --help fast

    found = await factors.describe_all(operator, of, people)
    return [{**users.describe(user), **theirs} for user, theirs in zip(people, found, strict=True)]


@user_commands.command("add")
def user_add(
    email: str,
    *,
    password_file: PasswordFile = None,
    role: RoleOption = "member",
    name: Annotated[str, typer.Option(help="Shown on pages.")] = "",
    project: ProjectSlug = "default",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Add a person."""
    from doorward.manage import users  # keeps --help fast

    password = _read_password(password_file)
    added = run_on(
        data,
        project,
        lambda operator, of: users.add(operator, of, email, password, role=cast("Role", role), name=name),
    )
    show_one(users.describe(added), as_json=as_json)


@user_commands.command("list")
def user_list(*, project: ProjectSlug = "default", data: Data = None, as_json: AsJson = False) -> None:
    """The people of a project."""
    from doorward.manage import users  # keeps --help fast

    async def act(operator: "Operator", of: "Project") -> list[dict[str, Any]]:
        return await _describe(operator, of, await users.list_all(operator, of))

    columns = ("email", "user_id", "name", "role", "enabled", "passkeys", "authenticator", "last_login_at")
    show_rows(run_on(data, project, act), columns, as_json=as_json)


@user_commands.command("show")
def user_show(email: str, *, project: ProjectSlug = "default", data: Data = None, as_json: AsJson = False) -> None:
    """One person."""
    from doorward.manage import users  # keeps --help fast

    async def act(operator: "Operator", of: "Project") -> dict[str, Any]:
        (described,) = await _describe(operator, of, [await users.get(operator, of, email)])
        return described

    show_one(run_on(data, project, act), as_json=as_json)


@user_commands.command("set")
def user_set(
    email: str,
    *,
    role: Annotated[str | None, typer.Option(help="owner, admin, auditor or member.")] = None,
    name: Annotated[str | None, typer.Option(help="Shown on pages.")] = None,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Disabling ends sessions and tokens.")
    ] = None,
    password_file: PasswordFile = None,
    project: ProjectSlug = "default",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Change a person."""
    from doorward.manage import users  # keeps --help fast

    changes: dict[str, Any] = {"role": role, "name": name, "enabled": enabled}
    changes = {member: value for member, value in changes.items() if value is not None}
    password = _read_password(password_file) if password_file is not None else None

    async def act(operator: "Operator", of: "Project") -> "User":
        user = await users.get(operator, of, email)
        if password is not None:
            await users.change_password(operator, user, password)
        return await users.change(operator, user, **changes) if changes else user

    show_one(users.describe(run_on(data, project, act)), as_json=as_json)


@user_commands.command("revoke")
def user_revoke(email: str, *, project: ProjectSlug = "default", data: Data = None) -> None:
    """End every connection and session of a person at once; they may sign in again."""
    from doorward.manage import revocations, users  # keeps --help fast

    async def act(operator: "Operator", of: "Project") -> None:
        await revocations.revoke_user(operator, await users.get(operator, of, email))

    run_on(data, project, act)
    typer.echo(f"revoked everything of {email}")


@user_commands.command("reset-factors")
def user_reset_factors(email: str, *, project: ProjectSlug = "default", data: Data = None) -> None:
    """Remove the passkeys, authenticator app and recovery codes of somebody who lost them, and end every session."""
    from doorward.manage import factors, users  # keeps --help fast

    async def act(operator: "Operator", of: "Project") -> None:
        await factors.reset(operator, await users.get(operator, of, email))

    run_on(data, project, act)
    typer.echo(f"reset {email}: a password is all they sign in with now")


@user_commands.command("remove")
def user_remove(email: str, *, project: ProjectSlug = "default", data: Data = None) -> None:
    """Remove a person with sessions and grants."""
    from doorward.manage import users  # keeps --help fast

    async def act(operator: "Operator", of: "Project") -> None:
        await users.remove(operator, await users.get(operator, of, email))

    run_on(data, project, act)
    typer.echo(f"removed {email}")


@user_commands.command("ended")
def user_ended(email: str, *, project: ProjectSlug = "default", data: Data = None, as_json: AsJson = False) -> None:
    """Connections that a trusted issuer had made and that were ended: no assertion brings them back."""
    from doorward.manage import connections, users  # keeps --help fast

    async def act(operator: "Operator", of: "Project") -> "list[dict[str, Any]]":
        ended = await connections.list_ended(operator, of, await users.get(operator, of, email))
        return [connections.describe_ended(app) for app in ended]

    columns = ("connection", "client_name", "client_id", "resource", "ended_at")
    show_rows(run_on(data, project, act), columns, as_json=as_json)


@user_commands.command("reopen")
def user_reopen(email: str, connection: str, *, project: ProjectSlug = "default", data: Data = None) -> None:
    """Let a trusted issuer make an ended connection anew."""
    from doorward.manage import connections, users  # keeps --help fast
    from doorward.manage.operator import ActionRefused

    async def act(operator: "Operator", of: "Project") -> None:
        if not await connections.reopen(operator, of, await users.get(operator, of, email), connection):
            raise ActionRefused(f"{email} has no ended connection {connection}.")

    run_on(data, project, act)
    typer.echo(f"reopened {connection}")
