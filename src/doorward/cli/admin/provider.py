"""`doorward admin provider …`: identity providers that people sign in by."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import AsJson, Data, ProjectSlug, make_group, run_on, show_one, show_rows

if TYPE_CHECKING:
    from doorward.core.models import Project
    from doorward.core.upstream import ProviderKind, UpstreamProvider
    from doorward.manage.operator import Operator

provider_commands = make_group("Identity providers that people sign in by.")

Slug = Annotated[str, typer.Argument(metavar="SLUG", help="Names the provider here, and in its redirect URI.")]
SecretFile = Annotated[
    Path | None, typer.Option(help="File holding the client secret; - reads standard input. Without it you are asked.")
]
NameOption = Annotated[str | None, typer.Option("--name", help="What the button says: Continue with NAME.")]
SignUpOption = Annotated[
    str | None,
    typer.Option(help="Who may join that nobody knows here: closed (nobody), domains, open. Always by proven address."),
]
Domains = Annotated[list[str] | None, typer.Option("--domain", help="Of addresses that may join; may be repeated.")]
Scopes = Annotated[list[str] | None, typer.Option("--scope", help="What is asked of the provider; may be repeated.")]


@provider_commands.command("add")
def provider_add(  # noqa: PLR0913  # each is an option of the command, and keyword-only
    slug: Slug,
    *,
    client_id: Annotated[str, typer.Option(help="What the provider calls this server.")],
    secret_file: SecretFile = None,
    google: Annotated[bool, typer.Option("--google", help="Google.")] = False,
    github: Annotated[bool, typer.Option("--github", help="GitHub.")] = False,
    github_host: Annotated[str, typer.Option(help="GitHub Enterprise Server at this host.")] = "",
    entra: Annotated[str, typer.Option(metavar="TENANT", help="Microsoft Entra ID, by the id of your tenant.")] = "",
    okta: Annotated[str, typer.Option(metavar="DOMAIN", help="Okta, such as example.okta.com.")] = "",
    issuer: Annotated[str, typer.Option(help="Any other provider of OpenID Connect, by its issuer.")] = "",
    name: NameOption = None,
    scope: Scopes = None,
    sign_up: SignUpOption = None,
    domain: Domains = None,
    project: ProjectSlug = "default",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Let people sign in by a provider, and print the redirect URI to enter there."""
    from doorward.manage import providers  # keeps --help fast

    secret = _read_secret(secret_file)

    async def act(operator: "Operator", of: "Project") -> "UpstreamProvider":
        kind, found, preset = _read_preset(
            google=google, github=github, github_host=github_host, entra=entra, okta=okta, issuer=issuer
        )
        return await providers.add(
            operator,
            of,
            slug,
            kind=kind,
            issuer=found,
            client_id=client_id,
            secret=secret,
            name=name or preset,
            scopes=tuple(scope or ()),
            sign_up=providers.build_sign_up(sign_up or ("domains" if domain else "closed"), domain or ()),
        )

    added = run_on(data, project, act)
    show_one({**providers.describe(added), "redirect_uri": _redirect_uri(data, project, slug)}, as_json=as_json)


@provider_commands.command("list")
def provider_list(*, project: ProjectSlug = "default", data: Data = None, as_json: AsJson = False) -> None:
    """The providers of a project, in the order of the sign-in page."""
    from doorward.manage import providers  # keeps --help fast

    rows = [providers.describe(found) for found in run_on(data, project, providers.list_all)]
    show_rows(rows, ("slug", "name", "issuer", "sign_up", "enabled"), as_json=as_json)


@provider_commands.command("show")
def provider_show(slug: Slug, *, project: ProjectSlug = "default", data: Data = None, as_json: AsJson = False) -> None:
    """One provider, and the redirect URI to enter there."""
    from doorward.manage import providers  # keeps --help fast

    found = run_on(data, project, lambda operator, of: providers.get(operator, of, slug))
    show_one({**providers.describe(found), "redirect_uri": _redirect_uri(data, project, slug)}, as_json=as_json)


@provider_commands.command("set")
def provider_set(  # noqa: PLR0913  # each is an option of the command, and keyword-only
    slug: Slug,
    *,
    name: NameOption = None,
    client_id: Annotated[str | None, typer.Option(help="What the provider calls this server.")] = None,
    secret_file: SecretFile = None,
    scope: Scopes = None,
    sign_up: SignUpOption = None,
    domain: Domains = None,
    enabled: Annotated[bool | None, typer.Option("--on/--off", help="Whether people may sign in by it.")] = None,
    project: ProjectSlug = "default",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Change a provider; what is not named stays as it is."""
    from doorward.manage import providers  # keeps --help fast

    secret = _read_secret(secret_file) if secret_file else None

    async def act(operator: "Operator", of: "Project") -> "UpstreamProvider":
        found = await providers.get(operator, of, slug)
        policy = providers.build_sign_up(sign_up or "domains", domain or ()) if sign_up or domain else None
        wanted: dict[str, Any] = {
            "name": name,
            "client_id": client_id,
            "scopes": tuple(scope) if scope else None,
            "sign_up": policy,
            "enabled": enabled,
        }
        changes = {key: value for key, value in wanted.items() if value is not None}
        return await providers.change(operator, found, secret=secret, **changes)

    show_one(providers.describe(run_on(data, project, act)), as_json=as_json)


@provider_commands.command("remove")
def provider_remove(slug: Slug, *, project: ProjectSlug = "default", data: Data = None) -> None:
    """Stop letting people in by it; whom its accounts stand for is kept."""
    from doorward.manage import providers  # keeps --help fast

    async def act(operator: "Operator", of: "Project") -> None:
        await providers.remove(operator, await providers.get(operator, of, slug))

    run_on(data, project, act)
    typer.echo(f"removed {slug}")


@provider_commands.command("check")
def provider_check(slug: Slug, *, project: ProjectSlug = "default", data: Data = None) -> None:
    """Fetch what a provider publishes, and say what is wrong with it; exit code 1 when something is."""
    from doorward.app import build_provider_fetcher  # keeps --help fast
    from doorward.manage import providers
    from doorward.starting import read_settings

    async def act(operator: "Operator", of: "Project") -> list[str]:
        found = await providers.get(operator, of, slug)
        return await providers.check(build_provider_fetcher(read_settings({"data": data})), found)

    problems = run_on(data, project, act)
    for problem in problems:
        typer.echo(f"problem: {problem}")
    typer.echo(f"redirect URI to enter there: {_redirect_uri(data, project, slug)}")
    if problems:
        raise typer.Exit(1)
    typer.echo("ok")


def _read_preset(
    *, google: bool, github: bool, github_host: str, entra: str, okta: str, issuer: str
) -> "tuple[ProviderKind, str, str]":
    """(kind, issuer, name) of the one provider that is named. Raises `ActionRefused`."""
    from doorward.manage import providers  # keeps --help fast
    from doorward.manage.operator import ActionRefused

    if sum(map(bool, (google, github or github_host, entra, okta, issuer))) != 1:
        raise ActionRefused("Name one provider: --google, --github, --entra, --okta or --issuer.")
    if github or github_host:
        return "github", providers.github_issuer(github_host), "GitHub"
    if google:
        return "oidc", providers.GOOGLE, "Google"
    if entra:
        return "oidc", providers.entra_issuer(entra), "Microsoft"
    if okta:
        return "oidc", providers.okta_issuer(okta), "Okta"
    return "oidc", issuer, ""


def _redirect_uri(data: Path | None, project: str, slug: str) -> str:
    """As far as this process knows the public URL: that of its settings."""
    from doorward.core.models import DEFAULT_SLUG  # keeps --help fast
    from doorward.starting import read_settings

    prefix = "" if project == DEFAULT_SLUG else f"/p/{project}"
    return f"{read_settings({'data': data}).public_url}{prefix}/login/callback/{slug}"


def _read_secret(file: Path | None) -> str:
    if file is None:
        return str(typer.prompt("Client secret", hide_input=True))
    if str(file) == "-":
        return typer.get_text_stream("stdin").readline().rstrip("\r\n")
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file}: {error}") from None
