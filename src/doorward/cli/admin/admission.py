"""`doorward admin client approve|deny|suspend|…`: who is let in, and what is ended."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .common import AsJson, Data, ProjectSlug, run_on, show_one, show_rows

if TYPE_CHECKING:
    from doorward.core.models import Client, Project
    from doorward.manage.operator import Operator

admission_commands = typer.Typer()
"""Joins the group of clients."""


def _act_on(
    data: Path | None, project: str, client_id: str, action: "Callable[[Operator, Client], Awaitable[None]]", done: str
) -> None:
    from doorward.manage import clients

    async def act(operator: "Operator", of: "Project") -> None:
        await action(operator, await clients.get(operator, of, client_id))

    run_on(data, project, act)
    typer.echo(f"{done} {client_id}")


@admission_commands.command("queue")
def client_queue(*, project: ProjectSlug = "default", data: Data = None, as_json: AsJson = False) -> None:
    """What waits for approval, with what is new about it."""
    from doorward.manage import admission

    rows = [admission.describe_queued(queued) for queued in run_on(data, project, admission.list_queue)]
    show_rows(rows, ("client_id", "client_name", "kind", "waits_as", "created_at", "changes"), as_json=as_json)


@admission_commands.command("families")
def client_families(*, project: ProjectSlug = "default", data: Data = None, as_json: AsJson = False) -> None:
    """The same software as one, however it came to be known."""
    from doorward.manage import admission

    rows = [admission.describe_family(family) for family in run_on(data, project, admission.list_families)]
    show_rows(rows, ("name", "redirects", "kinds", "connections", "clients"), as_json=as_json)


@admission_commands.command("approve")
def client_approve(client_id: str, *, project: ProjectSlug = "default", data: Data = None) -> None:
    """Let a waiting client in, or take over its changed document."""
    from doorward.manage import admission

    _act_on(data, project, client_id, admission.approve, "approved")


@admission_commands.command("deny")
def client_deny(client_id: str, *, project: ProjectSlug = "default", data: Data = None) -> None:
    """Keep a waiting client out."""
    from doorward.manage import admission

    _act_on(data, project, client_id, admission.deny, "denied")


@admission_commands.command("suspend")
def client_suspend(client_id: str, *, project: ProjectSlug = "default", data: Data = None) -> None:
    """Keep a client out; its tokens stop working at once."""
    from doorward.manage import admission

    _act_on(data, project, client_id, admission.suspend, "suspended")


@admission_commands.command("reactivate")
def client_reactivate(client_id: str, *, project: ProjectSlug = "default", data: Data = None) -> None:
    """Let a suspended client back in."""
    from doorward.manage import admission

    _act_on(data, project, client_id, admission.reactivate, "reactivated")


@admission_commands.command("reinstate")
def client_reinstate(client_id: str, *, project: ProjectSlug = "default", data: Data = None) -> None:
    """Forget that a client was removed or denied, so that it may come back."""
    from doorward.manage import admission

    run_on(data, project, lambda operator, of: admission.reinstate(operator, of, client_id))
    typer.echo(f"reinstated {client_id}")


@admission_commands.command("revoke")
def client_revoke(client_id: str, *, project: ProjectSlug = "default", data: Data = None) -> None:
    """End every grant of a client at once; people may let it in again."""
    from doorward.manage import admission

    _act_on(data, project, client_id, admission.revoke_everything, "revoked everything of")


@admission_commands.command("rotate-secret")
def client_rotate_secret(
    client_id: str,
    *,
    overlap_hours: Annotated[int, typer.Option(min=0, max=24, help="How long the old secret works as well.")] = 24,
    project: ProjectSlug = "default",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Give a client a new secret, printed once."""
    from doorward.manage import clients

    async def act(operator: "Operator", of: "Project") -> tuple[str, int | None]:
        client = await clients.get(operator, of, client_id)
        return await clients.rotate_secret(operator, of, client, overlap_ms=overlap_hours * 3_600_000)

    secret, expires_at = run_on(data, project, act)
    shown = {"client_id": client_id, "client_secret": secret, "client_secret_expires_at": (expires_at or 0) // 1000}
    show_one(shown, as_json=as_json)
