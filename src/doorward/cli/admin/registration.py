"""`doorward admin initial-token …` and `doorward admin software …`: what lets others register."""

from pathlib import Path
from typing import Annotated

import typer

from .common import AsJson, Data, ProjectSlug, make_group, run_on, show_one, show_rows

initial_token_commands = make_group("Tokens that register so many clients and no more.")
software_commands = make_group("Issuers whose software statements vouch for clients.")


@initial_token_commands.command("create")
def initial_token_create(
    *,
    name: Annotated[str, typer.Option(help="Who it is for.")] = "",
    uses: Annotated[int, typer.Option(min=1, help="How many clients it registers.")] = 1,
    hours: Annotated[int | None, typer.Option(min=1, help="How long it can be used.")] = None,
    project: ProjectSlug = "default",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a token; it is printed once."""
    from doorward.manage import registrations

    token, secret = run_on(
        data,
        project,
        lambda operator, of: registrations.create_initial_token(
            operator, of, name=name, uses=uses, seconds=hours * 3600 if hours else None
        ),
    )
    shown = {"name": token.name, "uses_left": token.uses_left, "expires_at": token.expires_at, "token": secret}
    show_one(shown, as_json=as_json)


@initial_token_commands.command("list")
def initial_token_list(*, project: ProjectSlug = "default", data: Data = None, as_json: AsJson = False) -> None:
    """The tokens that were not used up."""
    from doorward.manage import registrations

    rows = [
        {"name": t.name, "uses_left": t.uses_left, "created_at": t.created_at, "expires_at": t.expires_at}
        for t in run_on(data, project, registrations.list_initial_tokens)
    ]
    show_rows(rows, ("name", "uses_left", "created_at", "expires_at"), as_json=as_json)


@software_commands.command("add")
def software_add(
    issuer: Annotated[str, typer.Argument(help="The iss of its statements.")],
    *,
    jwks_file: Annotated[Path, typer.Option(help="File with its public keys, a JWK set.")],
    project: ProjectSlug = "default",
    data: Data = None,
) -> None:
    """Trust an issuer of software statements."""
    from doorward.manage import registrations

    try:
        jwks = jwks_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{jwks_file}: {error}") from None
    run_on(data, project, lambda operator, of: registrations.trust_issuer(operator, of, issuer, jwks))
    typer.echo(f"trusted {issuer}")


@software_commands.command("list")
def software_list(*, project: ProjectSlug = "default", data: Data = None, as_json: AsJson = False) -> None:
    """The trusted issuers."""
    from doorward.manage import registrations

    found = run_on(data, project, registrations.list_issuers)
    show_rows([{"issuer": i, "created_at": since} for i, since in found], ("issuer", "created_at"), as_json=as_json)


@software_commands.command("remove")
def software_remove(issuer: str, *, project: ProjectSlug = "default", data: Data = None) -> None:
    """Stop trusting an issuer."""
    from doorward.manage import registrations

    run_on(data, project, lambda operator, of: registrations.distrust_issuer(operator, of, issuer))
    typer.echo(f"removed {issuer}")
