"""`doorward admin audit …`"""

from dataclasses import asdict
from typing import Annotated

import typer

from .common import AsJson, Data, ProjectSlug, make_group, run_on, show_rows

audit_commands = make_group("What happened.")
incident_commands = make_group("Credentials that came back after they were spent.")


@audit_commands.command("list")
def audit_list(
    *,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
    project: ProjectSlug = "default",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """The newest events."""
    from doorward.manage import connections  # keeps --help fast

    events = run_on(data, project, lambda operator, of: connections.recent_events(operator, of, at_most=limit))
    show_rows([asdict(event) for event in events], ("at", "action", "actor", "target", "detail"), as_json=as_json)


@incident_commands.command("list")
def incident_list(
    *,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
    project: ProjectSlug = "default",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """The newest incidents, with who used the credential first and who came with it again."""
    from doorward.manage import incidents  # keeps --help fast

    found = run_on(data, project, lambda operator, of: incidents.list_recent(operator, of, at_most=limit))
    show_rows([asdict(event) for event in found], ("at", "action", "actor", "target", "detail"), as_json=as_json)
