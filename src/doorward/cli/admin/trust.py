"""`doorward admin trust …`: issuers that say for whom, or for which workload, tokens are given."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from .common import AsJson, Data, ProjectSlug, make_group, read_json, run_on, show_one, show_rows

if TYPE_CHECKING:
    from doorward.core.models import Project
    from doorward.core.trust import SubjectBy, TrustedIssuer
    from doorward.manage.operator import Operator
    from doorward.oauth.grant_assertions import AssertionKind

trust_commands = make_group("Identity providers and platforms whose assertions give tokens.")

Trust = Annotated[str, typer.Argument(metavar="TRUST", help="Id of the trust, or its issuer where it has only one.")]
Tenant = Annotated[str, typer.Option(help="The customer of a shared issuer that the subject belongs to.")]


@trust_commands.command("add")
def trust_add(  # noqa: PLR0913  # each is an option of the command, and keyword-only
    issuer: Annotated[str, typer.Argument(help="The iss of its assertions.")],
    *,
    kind: Annotated[str, typer.Option(help="id-jag for people, workload for programs of a platform.")],
    jwks_file: Annotated[Path | None, typer.Option(help="File with its public keys, a JWK set.")] = None,
    jwks_uri: Annotated[str, typer.Option(help="Where it publishes them, an https address.")] = "",
    client: Annotated[list[str] | None, typer.Option(help="The only clients that may present them.")] = None,
    resource: Annotated[list[str] | None, typer.Option(help="The only MCP servers that it opens.")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="The most that it gives; may be repeated.")] = None,
    subject_by: Annotated[str, typer.Option(help="How people are known: sub, or email for the first time.")] = "sub",
    claim: Annotated[list[str] | None, typer.Option(help="NAME=VALUE that has to hold; may be repeated.")] = None,
    reusable: Annotated[bool, typer.Option("--reusable", help="An assertion works until it expires.")] = False,
    create_people: Annotated[bool, typer.Option("--create-people", help="Make people that nobody knows yet.")] = False,
    public_clients: Annotated[
        bool, typer.Option("--public-clients", help="Let clients present them that do not authenticate.")
    ] = False,
    project: ProjectSlug = "default",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Trust an issuer."""
    from doorward.core.trust import TrustPolicy
    from doorward.manage import trust

    rules = [rule.partition("=") for rule in claim or ()]
    policy = TrustPolicy(
        clients=tuple(client or ()),
        resources=tuple(resource or ()),
        scopes=tuple(scope or ()),
        subject_by=cast("SubjectBy", subject_by),
        claims=tuple((name, value) for name, _, value in rules),
        reusable=reusable,
        create_people=create_people,
        public_clients=public_clients,
    )
    jwks = read_json(jwks_file) if jwks_file else None
    added = run_on(
        data,
        project,
        lambda operator, of: trust.add(
            operator, of, issuer, cast("AssertionKind", kind), policy=policy, jwks=jwks, jwks_uri=jwks_uri
        ),
    )
    show_one(trust.describe(added), as_json=as_json)


@trust_commands.command("list")
def trust_list(*, project: ProjectSlug = "default", data: Data = None, as_json: AsJson = False) -> None:
    """The trusts of a project, oldest first: of several that fit an assertion, the oldest counts."""
    from doorward.manage import trust

    rows = [trust.describe(found) for found in run_on(data, project, trust.list_all)]
    show_rows(rows, ("trust_id", "kind", "issuer", "claims", "clients", "resources"), as_json=as_json)


@trust_commands.command("show")
def trust_show(
    trust_id: Trust, *, project: ProjectSlug = "default", data: Data = None, as_json: AsJson = False
) -> None:
    """One trust with its policy."""
    from doorward.manage import trust

    found = run_on(data, project, lambda operator, of: trust.get(operator, of, trust_id))
    show_one(trust.describe(found), as_json=as_json)


@trust_commands.command("remove")
def trust_remove(trust_id: Trust, *, project: ProjectSlug = "default", data: Data = None) -> None:
    """Stop trusting; everything that it gave ends."""
    typer.echo(f"removed {_act_on(data, project, trust_id, revoke=False)}")


@trust_commands.command("revoke")
def trust_revoke(trust_id: Trust, *, project: ProjectSlug = "default", data: Data = None) -> None:
    """End everything that it ever gave; it is trusted as before."""
    typer.echo(f"revoked everything of {_act_on(data, project, trust_id, revoke=True)}")


@trust_commands.command("link")
def trust_link(
    issuer: Annotated[str, typer.Argument(help="The iss of its assertions.")],
    subject: Annotated[str, typer.Argument(help="The sub that the person has there.")],
    email: Annotated[str, typer.Argument(help="Address of the person here.")],
    *,
    tenant: Tenant = "",
    project: ProjectSlug = "default",
    data: Data = None,
) -> None:
    """Make a subject of an issuer stand for a person."""
    from doorward.manage import trust, users

    async def act(operator: "Operator", of: "Project") -> None:
        user = await users.get(operator, of, email)
        await trust.link(operator, user, issuer, subject, tenant=tenant)

    run_on(data, project, act)
    typer.echo(f"linked {subject} to {email}")


@trust_commands.command("links")
def trust_links(*, project: ProjectSlug = "default", data: Data = None, as_json: AsJson = False) -> None:
    """Which subjects stand for which people."""
    from dataclasses import asdict

    from doorward.manage import trust

    rows = [asdict(found) for found in run_on(data, project, trust.list_links)]
    show_rows(rows, ("issuer", "subject", "email", "created_at"), as_json=as_json)


@trust_commands.command("unlink")
def trust_unlink(
    issuer: Annotated[str, typer.Argument(help="The iss of its assertions.")],
    subject: Annotated[str, typer.Argument(help="The sub that the person has there.")],
    *,
    tenant: Tenant = "",
    project: ProjectSlug = "default",
    data: Data = None,
) -> None:
    """Forget whom a subject stands for."""
    from doorward.manage import trust

    run_on(data, project, lambda operator, of: trust.unlink(operator, of, issuer, subject, tenant=tenant))
    typer.echo(f"unlinked {subject}")


def _act_on(data: Path | None, project: str, trust_id: str, *, revoke: bool) -> str:
    from doorward.manage import trust

    async def act(operator: "Operator", of: "Project") -> "TrustedIssuer":
        found = await trust.get(operator, of, trust_id)
        await (trust.revoke_everything if revoke else trust.remove)(operator, found)
        return found

    return run_on(data, project, act).trust_id
