"""Identity providers that people of a project sign in by, as operators set them up, and people's own links to them."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from doorward.core import audit
from doorward.core.models import AuditEvent, Project, User
from doorward.core.passwords import email_key
from doorward.core.upstream import (
    GITHUB,
    KINDS,
    SIGN_UP_MODES,
    ProviderKind,
    SignUp,
    UpstreamProvider,
    is_slug,
    upstream_secret_purpose,
)
from doorward.fetch import Fetched, FetchFailed, FetchRefused, GuardedFetcher
from doorward.oauth.jwt import parse_jwks
from doorward.oauth.provider_metadata import (
    InvalidProvider,
    is_https_url,
    offers_pkce,
    parse_provider_metadata,
    well_known_url,
)
from doorward.oauth.strict_json import parse_strict_json
from doorward.storage.audit import record
from doorward.storage.database import Transaction
from doorward.storage.encryption import encrypt_at_rest
from doorward.storage.identities import LinkedIdentity, list_identities_of, unlink_identity
from doorward.storage.passkeys import list_passkeys
from doorward.storage.projects import hold_project
from doorward.storage.upstream import (
    add_upstream_provider,
    list_upstream_providers,
    remove_upstream_provider,
    replace_upstream_secret,
    update_upstream_provider,
)
from doorward.storage.users import find_credentials

from .operator import ActionRefused, Operator

MAX_PROVIDERS = 20
MAX_NAME = 64
MAX_DOMAINS = 100
MAX_DOCUMENT_BYTES = 64 * 1024
GOOGLE = "https://accounts.google.com"
OIDC_SCOPES = ("openid", "email", "profile")
GITHUB_SCOPES = ("read:user", "user:email")
_SHARED_TENANTS = frozenset({"common", "organizations", "consumers"})


async def add(  # noqa: PLR0913  # what a provider is made of, keyword-only
    operator: Operator,
    project: Project,
    slug: str,
    *,
    kind: ProviderKind,
    issuer: str,
    client_id: str,
    secret: str,
    name: str = "",
    scopes: Collection[str] = (),
    sign_up: SignUp | None = None,
) -> UpstreamProvider:
    """Let people sign in by a provider. Raises `ActionRefused`. Nobody is let in whom it was not linked to before,
    unless `sign_up` says so.
    """
    if not is_slug(slug):
        raise ActionRefused("A slug has lower-case letters, digits and dashes; it becomes part of the redirect URI.")
    if kind not in KINDS:
        raise ActionRefused(f"A kind is one of {', '.join(KINDS)}.")
    if not is_https_url(issuer) or "?" in issuer:
        raise ActionRefused("An issuer is an https address, without a query.")
    _check_secret(secret)
    provider = UpstreamProvider(
        project_id=project.project_id,
        slug=slug,
        kind=kind,
        name=_check_name(name or slug.capitalize()),
        issuer=issuer,
        client_id=_check_client_id(client_id),
        scopes=_check_scopes(kind, scopes or (GITHUB_SCOPES if kind == "github" else OIDC_SCOPES)),
        sign_up=_check_sign_up(sign_up or SignUp()),
        enabled=True,
        created_at=operator.clock(),
    )
    await operator.database.write(_add, operator, provider, secret)
    return provider


def entra_issuer(tenant: str) -> str:
    """The issuer of one tenant. Those that stand for many have no issuer of their own. Raises `ActionRefused`."""
    if tenant.lower() in _SHARED_TENANTS or not tenant or not tenant.replace("-", "").replace(".", "").isalnum():
        raise ActionRefused("Name your own tenant, by its id: common, organizations and consumers are everybody's.")
    return f"https://login.microsoftonline.com/{tenant}/v2.0"


def okta_issuer(domain: str) -> str:
    """The issuer of an Okta organization; one with a path is an authorization server of its own."""
    return f"https://{domain.removeprefix('https://').rstrip('/')}"


def github_issuer(host: str) -> str:
    """github.com, or an Enterprise Server."""
    return f"https://{host.removeprefix('https://').rstrip('/')}" if host else GITHUB


def build_sign_up(mode: str, domains: Collection[str]) -> SignUp:
    """The policy that options name. Raises `ActionRefused`."""
    if mode not in SIGN_UP_MODES:
        raise ActionRefused(f"Sign-up is one of {', '.join(SIGN_UP_MODES)}.")
    spelled = (domain.strip().removeprefix("@").lower() for domain in domains)
    return _check_sign_up(SignUp(mode, tuple(spelled)))


async def list_all(operator: Operator, project: Project) -> list[UpstreamProvider]:
    """The providers of a project, in the order of the sign-in page."""
    return await operator.database.read(list_upstream_providers, project.project_id)


async def get(operator: Operator, project: Project, slug: str) -> UpstreamProvider:
    """A provider by its slug. Raises `ActionRefused`."""
    found = [provider for provider in await list_all(operator, project) if provider.slug == slug]
    if not found:
        raise ActionRefused(f"There is no provider {slug}.")
    return found[0]


async def change(
    operator: Operator, provider: UpstreamProvider, *, secret: str | None = None, **changes: Any
) -> UpstreamProvider:
    """Change what of a provider can change; kind and issuer cannot. Raises `ActionRefused`."""
    changed = replace(provider, **changes)
    _check_name(changed.name)
    _check_client_id(changed.client_id)
    _check_scopes(changed.kind, changed.scopes)
    _check_sign_up(changed.sign_up)
    if secret is not None:
        _check_secret(secret)
    await operator.database.write(_change, operator, changed, secret, tuple(changes))
    return changed


async def remove(operator: Operator, provider: UpstreamProvider) -> None:
    """Stop letting people in by it. Whom its subjects stand for is kept, for when it is added again."""
    await operator.database.write(_remove, operator, provider)


async def check(fetcher: GuardedFetcher, provider: UpstreamProvider) -> list[str]:
    """What is wrong with what a provider publishes, in sentences; empty when people can be signed in by it.

    A client id or secret that the provider does not know shows only when somebody signs in.
    """
    if provider.kind == "github":
        return []
    try:
        document = await _fetch_json(fetcher, well_known_url(provider.issuer))
        metadata = parse_provider_metadata(document, issuer=provider.issuer)
        keys = await _fetch_json(fetcher, metadata.jwks_uri)
    except (FetchRefused, FetchFailed, InvalidProvider) as failed:
        return [str(failed)]
    problems = []
    try:
        if not parse_jwks(keys):
            problems.append("Its key set has no key that an ID token can be verified with.")
    except ValueError:
        problems.append("What it publishes at jwks_uri is not a key set.")
    if not offers_pkce(document):
        problems.append("It does not say that it checks PKCE (S256). It is sent all the same.")
    return problems


async def list_own(operator: Operator, user: User) -> list[LinkedIdentity]:
    """What stands for a person elsewhere."""
    return await operator.database.read(list_identities_of, user.project_id, user.user_id)


async def unlink_own(operator: Operator, user: User, issuer: str, subject: str) -> None:
    """Take one of the person's own identities away. Raises `ActionRefused` when nothing would let them in any more."""
    await operator.database.write(_unlink_own, operator, user, issuer, subject)


def describe(provider: UpstreamProvider) -> dict[str, Any]:
    """A provider as operators see it, without its secret."""
    return {
        "slug": provider.slug,
        "kind": provider.kind,
        "name": provider.name,
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "scopes": list(provider.scopes),
        "sign_up": provider.sign_up.mode,
        "domains": list(provider.sign_up.domains),
        "enabled": provider.enabled,
        "created_at": provider.created_at,
    }


def _check_name(name: str) -> str:
    if not 0 < len(name.strip()) <= MAX_NAME or not name.isprintable():
        raise ActionRefused(f"A name has at most {MAX_NAME} characters, and at least one.")
    return name.strip()


def _check_client_id(client_id: str) -> str:
    if not 0 < len(client_id) <= 512 or not client_id.isascii() or not client_id.isprintable() or " " in client_id:
        raise ActionRefused("The client id is what the provider calls this server; it has no spaces.")
    return client_id


def _check_secret(secret: str) -> None:
    if not 0 < len(secret) <= 4096 or not secret.isprintable():
        raise ActionRefused("The client secret is empty, or no plain text.")


def _check_scopes(kind: ProviderKind, scopes: Collection[str]) -> tuple[str, ...]:
    if any(not scope.isascii() or not scope.isprintable() or " " in scope or not scope for scope in scopes):
        raise ActionRefused("A scope is a word without spaces.")
    if kind == "oidc" and "openid" not in scopes:
        raise ActionRefused("A provider of OpenID Connect needs the scope openid.")
    return tuple(dict.fromkeys(scopes))


def _check_sign_up(sign_up: SignUp) -> SignUp:
    if (sign_up.mode == "domains") != bool(sign_up.domains):
        raise ActionRefused("Domains are for the sign-up `domains`, which needs at least one.")
    if len(sign_up.domains) > MAX_DOMAINS or any(email_key(f"a@{domain}") is None for domain in sign_up.domains):
        raise ActionRefused("A domain is what comes after the @ of an address, such as example.com.")
    return sign_up


async def _fetch_json(fetcher: GuardedFetcher, url: str) -> Any:
    fetched: Fetched = await fetcher.get(url, max_bytes=MAX_DOCUMENT_BYTES)
    if fetched.status != 200:
        raise FetchFailed(f"{url} answered {fetched.status} instead of 200.")
    try:
        return parse_strict_json(fetched.body)
    except ValueError:
        raise FetchFailed(f"{url} did not answer with JSON.") from None


async def _add(tx: Transaction, operator: Operator, provider: UpstreamProvider, secret: str) -> None:
    await hold_project(tx, provider.project_id)
    if len(await list_upstream_providers(tx, provider.project_id)) >= MAX_PROVIDERS:
        raise ActionRefused(f"A project has at most {MAX_PROVIDERS} providers.")
    purpose = upstream_secret_purpose(provider.project_id, provider.slug)
    ciphertext = await encrypt_at_rest(tx, operator.vault, secret.encode(), purpose)
    if not await add_upstream_provider(tx, provider, ciphertext):
        raise ActionRefused(f"There is a provider {provider.slug} already.")
    detail = {"issuer": provider.issuer, "sign_up": provider.sign_up.mode}
    await _record(tx, operator, provider, audit.PROVIDER_ADDED, provider.created_at, **detail)


async def _change(
    tx: Transaction, operator: Operator, provider: UpstreamProvider, secret: str | None, changed: tuple[str, ...]
) -> None:
    now = operator.clock()
    if not await update_upstream_provider(tx, provider):
        raise ActionRefused(f"{provider.slug} was removed meanwhile.")
    if secret is not None:
        purpose = upstream_secret_purpose(provider.project_id, provider.slug)
        ciphertext = await encrypt_at_rest(tx, operator.vault, secret.encode(), purpose)
        await replace_upstream_secret(tx, provider.project_id, provider.slug, ciphertext)
    names = [*changed, *(["secret"] if secret is not None else [])]
    await _record(tx, operator, provider, audit.PROVIDER_CHANGED, now, changed=names, sign_up=provider.sign_up.mode)


async def _remove(tx: Transaction, operator: Operator, provider: UpstreamProvider) -> None:
    now = operator.clock()
    if await remove_upstream_provider(tx, provider.project_id, provider.slug):
        await _record(tx, operator, provider, audit.PROVIDER_REMOVED, now, issuer=provider.issuer)


async def _unlink_own(tx: Transaction, operator: Operator, user: User, issuer: str, subject: str) -> None:
    now = operator.clock()
    await hold_project(tx, user.project_id)
    own = await list_identities_of(tx, user.project_id, user.user_id)
    if not any((link.issuer, link.subject) == (issuer, subject) for link in own):
        return
    credentials = await find_credentials(tx, user.project_id, email_key(user.email) or "")
    has_password = credentials is not None and bool(credentials.password_hash)
    has_passkey = bool(await list_passkeys(tx, user.project_id, user.user_id))
    if not has_password and not has_passkey and len(own) == 1:
        raise ActionRefused("This is the only way you can sign in. Add another one before you remove it.")
    await unlink_identity(tx, user.project_id, issuer, subject)
    detail = {"issuer": issuer, "subject": subject}
    event = AuditEvent(audit.IDENTITY_UNLINKED, operator.actor, audit.user_actor(user.user_id), detail)
    await record(tx, user.project_id, event, now)


async def _record(
    tx: Transaction, operator: Operator, provider: UpstreamProvider, action: str, now: int, **detail: Any
) -> None:
    event = AuditEvent(action, operator.actor, audit.provider_actor(provider.slug), detail)
    await record(tx, provider.project_id, event, now)
