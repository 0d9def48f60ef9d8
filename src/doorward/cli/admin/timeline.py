"""`doorward admin timeline …`"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import AsJson, Data, ProjectSlug, make_group, run_on, show_one, show_rows

if TYPE_CHECKING:
    from doorward.core.models import Project
    from doorward.core.timeline import Story
    from doorward.manage.operator import Operator

timeline_commands = make_group("What clients did on their way in, and where they stopped.")


@timeline_commands.command("list")
def timeline_list(
    *,
    client: Annotated[str, typer.Option(help="Attempts of this client_id only.")] = "",
    user: Annotated[str, typer.Option(help="Attempts of the person with this e-mail only.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many, newest first.")] = 20,
    project: ProjectSlug = "default",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """The newest attempts to connect, with how far each came."""
    from doorward.manage import timeline, users

    async def act(operator: "Operator", of: "Project") -> "list[Story]":
        user_id = (await users.get(operator, of, user)).user_id if user else ""
        return await timeline.list_stories(operator, of, client_id=client, user_id=user_id, at_most=limit)

    rows = [_row(timeline.describe(story)) for story in run_on(data, project, act)]
    show_rows(rows, ("began_at", "client_id", "steps_taken", "verdict", "reference"), as_json=as_json)


@timeline_commands.command("show")
def timeline_show(
    reference: Annotated[str, typer.Argument(help="The reference printed on a page or in an error.")],
    *,
    project: ProjectSlug = "default",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """The whole attempt that a reference belongs to, step by step."""
    from doorward.manage import timeline

    story = timeline.describe(run_on(data, project, lambda operator, of: timeline.find_story(operator, of, reference)))
    if as_json:
        show_one(story, as_json=True)
        return
    show_one({name: story[name] for name in ("client_id", "user_id", "verdict")}, as_json=False)
    for step in story["steps"]:
        at = datetime.fromtimestamp(step["at"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        line = f"{at}  {step['step']:<18}{step['outcome']:<9}{step.get('reference', ''):<12}{step.get('source', '')}"
        typer.echo(line.rstrip())
        if step.get("reason"):
            typer.echo(f"{'':21}{step['reason']}")


def _row(story: dict[str, Any]) -> dict[str, Any]:
    refused = [step for step in story["steps"] if step["outcome"] != "ok"]
    quoted = (refused or story["steps"])[-1].get("reference", "")
    return {**story, "steps_taken": len(story["steps"]), "reference": quoted}
