"""What every admin command shares: options, running an action on a project, printing."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from doorward.core.models import Project
    from doorward.manage.operator import Operator
    from doorward.storage.opening import Store

T = TypeVar("T")

Data = Annotated[Path | None, typer.Option(help="Folder of the database and keys.", show_default="./doorward-data")]
ProjectSlug = Annotated[str, typer.Option("--project", help="Slug of the project.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


def make_group(help_text: str) -> typer.Typer:
    """A group of commands that explains itself when it is called alone."""
    return typer.Typer(help=help_text, no_args_is_help=True, rich_markup_mode=None)


def run(data: Path | None, action: "Callable[[Operator], Awaitable[T]]") -> T:
    """Run an action on the data folder."""
    from doorward.cli.opening import run_command  # keeps --help fast

    return run_command({"data": data}, lambda operator, _: action(operator))


def run_on_store(data: Path | None, action: "Callable[[Operator, Project, Store], Awaitable[T]]") -> T:
    """Run an action on what the whole data folder has one of; it is told in the trail of the default project."""
    from doorward.cli.opening import run_command  # keeps --help fast
    from doorward.manage.operator import get_project

    async def act(operator: "Operator", store: "Store") -> T:
        return await action(operator, await get_project(operator), store)

    return run_command({"data": data}, act)


def run_on(data: Path | None, slug: str, action: "Callable[[Operator, Project], Awaitable[T]]") -> T:
    """Run an action on one project of the data folder."""
    from doorward.manage.operator import get_project  # keeps --help fast

    async def act(operator: "Operator") -> T:
        return await action(operator, await get_project(operator, slug))

    return run(data, act)


def read_json(path: Path) -> Any:
    """What a JSON file holds."""
    import json  # keeps --help fast

    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{path}: {error}") from None


def show_rows(rows: Sequence[dict[str, Any]], columns: tuple[str, ...], *, as_json: bool) -> None:
    """Print many things."""
    from doorward.cli.output import print_rows  # keeps --help fast

    print_rows(rows, columns, as_json=as_json)


def show_one(members: dict[str, Any], *, as_json: bool) -> None:
    """Print one thing."""
    from doorward.cli.output import print_one  # keeps --help fast

    print_one(members, as_json=as_json)
