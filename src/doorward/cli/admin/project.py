"""`doorward admin project …`"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import AsJson, Data, ProjectSlug, make_group, run, run_on, show_one, show_rows

if TYPE_CHECKING:
    from doorward.core.models import Project
    from doorward.manage.operator import Operator

project_commands = make_group("Tenants: each has its own issuer, keys, people and servers.")


@project_commands.command("add")
def project_add(
    slug: Annotated[str, typer.Argument(help="It lives under /p/SLUG.")],
    *,
    name: Annotated[str, typer.Option(help="Shown on pages.")] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a project with its own issuer and signing key."""
    from doorward.manage import projects  # keeps --help fast

    made = run(data, lambda operator: projects.create_project(operator, slug, name))
    show_one(projects.describe(made), as_json=as_json)


@project_commands.command("list")
def project_list(*, data: Data = None, as_json: AsJson = False) -> None:
    """Every project."""
    from doorward.manage import projects  # keeps --help fast

    found = run(data, projects.list_all)
    rows = [projects.describe(project) for project in found]
    show_rows(rows, ("slug", "name", "path", "registration_mode"), as_json=as_json)


@project_commands.command("show")
def project_show(
    slug: Annotated[str, typer.Argument(help="Which one.")] = "default", *, data: Data = None, as_json: AsJson = False
) -> None:
    """One project with its settings."""
    from doorward.manage import projects  # keeps --help fast

    async def act(_: "Operator", project: "Project") -> "Project":
        return project

    show_one(projects.describe(run_on(data, slug, act)), as_json=as_json)


@project_commands.command("set")
def project_set(
    changes: Annotated[list[str], typer.Argument(help="NAME=VALUE …, e.g. registration_mode=protected")],
    *,
    project: ProjectSlug = "default",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Change a project's name or settings."""
    from doorward.manage import projects  # keeps --help fast

    parsed: dict[str, Any] = {}
    for change in changes:
        name, separator, value = change.partition("=")
        if not separator:
            raise typer.BadParameter(f"{change}: write NAME=VALUE")
        parsed[name] = projects.parse_setting(name, value)
    changed = run_on(data, project, lambda operator, found: projects.change_project(operator, found, parsed))
    show_one(projects.describe(changed), as_json=as_json)


@project_commands.command("revoke")
def project_revoke(*, project: ProjectSlug = "default", data: Data = None) -> None:
    """End every grant, token and session of a project at once."""
    from doorward.manage import revocations  # keeps --help fast

    run_on(data, project, revocations.revoke_project)
    typer.echo(f"revoked everything of {project}")


@project_commands.command("stop")
def project_stop(*, project: ProjectSlug = "default", data: Data = None) -> None:
    """Let nothing of a project in until it is resumed."""
    from doorward.manage import revocations  # keeps --help fast

    run_on(data, project, revocations.stop_everything)
    typer.echo(f"stopped {project}")


@project_commands.command("resume")
def project_resume(*, project: ProjectSlug = "default", data: Data = None) -> None:
    """Take a stop back; what was not ended meanwhile works again."""
    from doorward.manage import revocations  # keeps --help fast

    run_on(data, project, revocations.resume_everything)
    typer.echo(f"resumed {project}")
