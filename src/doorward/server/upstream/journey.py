"""To a provider and back: what is written down before somebody leaves, and what has to hold of what comes back.

The way back is of the browser that left, of the provider it left for, and taken once. Of the state only a hash is
stored, and the nonce and the PKCE verifier are derived from it under a key of ours: a reader of the database can
neither finish a sign-in nor exchange a code.

Spec: RFC 9700 §2.1.1, §4.4, §4.5; RFC 9207 §2.4; RFC 7636 (PXY-05, PXY-07, PXY-10; T36)
"""

from dataclasses import dataclass
from urllib.parse import urlencode

from doorward.core.limits import UPSTREAM_PROJECT, UPSTREAM_SOURCE
from doorward.core.models import Session
from doorward.core.secrets import (
    UPSTREAM_BROWSER,
    UPSTREAM_STATE,
    hash_secret,
    is_well_formed,
    new_secret,
    sign_value,
)
from doorward.core.upstream import (
    PENDING_LIFE_MS,
    UpstreamIdentity,
    UpstreamProvider,
    UpstreamSignIn,
    upstream_secret_purpose,
)
from doorward.oauth.forms import Form
from doorward.oauth.pkce import build_challenge
from doorward.server.context import Context
from doorward.server.limiter import spend_limit
from doorward.server.tenancy import ProjectView
from doorward.storage.upstream import add_upstream_sign_in, consume_upstream_sign_in, find_upstream_secret

from .failing import ProviderFailed, name_error
from .github import endpoints_of, identify_at_github
from .oidc import Answered, find_metadata, identify

MAX_CODE_LENGTH = 4096


@dataclass(frozen=True, slots=True)
class Errand:
    """Why somebody goes to a provider. `now` is epoch milliseconds."""

    next_path: str
    source: str
    browser_token: str
    """What this browser was given when it left before; empty where it never did."""
    now: int
    login_hint: str = ""
    prompt: str = ""
    adds_to: Session | None = None
    """The session of the person who adds a way in, rather than signing in."""


@dataclass(frozen=True, slots=True)
class Departure:
    """Where the browser is sent, and what it has to keep to be let back in."""

    url: str
    browser_token: str


def callback_url(view: ProjectView, provider: UpstreamProvider) -> str:
    """The redirect URI to enter at the provider: one for each, so that no provider's answer passes for another's."""
    return f"{view.issuer}/login/callback/{provider.slug}"


async def depart(context: Context, view: ProjectView, provider: UpstreamProvider, errand: Errand) -> Departure:
    """Write down that somebody leaves, and say where to. Raises `ProviderFailed`, `TooManyRequests`."""
    project_id = view.project.project_id
    await spend_limit(context, project_id, UPSTREAM_SOURCE, errand.source, errand.now)
    await spend_limit(context, project_id, UPSTREAM_PROJECT, "all", errand.now)
    if provider.kind == "github":
        endpoint = endpoints_of(provider.issuer).authorization
    else:
        endpoint = (await find_metadata(context, provider)).authorization_endpoint
    state = new_secret(UPSTREAM_STATE)
    is_kept = is_well_formed(errand.browser_token, UPSTREAM_BROWSER)
    browser_token = errand.browser_token if is_kept else new_secret(UPSTREAM_BROWSER)
    pending = UpstreamSignIn(
        project_id=project_id,
        state_hash=hash_secret(state),
        browser_hash=hash_secret(browser_token),
        slug=provider.slug,
        next_path=errand.next_path,
        link_user_id=errand.adds_to.user_id if errand.adds_to else None,
        session_hash=errand.adds_to.session_hash if errand.adds_to else None,
        expires_at=errand.now + PENDING_LIFE_MS,
    )
    await context.database.write(add_upstream_sign_in, pending, errand.now)
    parameters = _parameters(context, view, provider, state, errand)
    separator = "&" if "?" in endpoint else "?"
    return Departure(f"{endpoint}{separator}{urlencode(parameters)}", browser_token)


async def come_back(
    context: Context, view: ProjectView, provider: UpstreamProvider, answer: Form, browser_token: str, now: int
) -> UpstreamSignIn | None:
    """The errand that this browser left on, spent now; None for any other browser, provider, time or second try."""
    state = answer.get("state", "")
    if not is_well_formed(state, UPSTREAM_STATE) or not is_well_formed(browser_token, UPSTREAM_BROWSER):
        return None
    return await context.database.write(
        consume_upstream_sign_in,
        view.project.project_id,
        hash_secret(state),
        hash_secret(browser_token),
        provider.slug,
        now,
    )


async def learn_who(
    context: Context, view: ProjectView, provider: UpstreamProvider, answer: Form, now: int
) -> UpstreamIdentity:
    """Who the provider says it is, for an answer whose way back was just spent. Raises `ProviderFailed`."""
    await _check_issuer(context, provider, answer.get("iss"))
    if "error" in answer:
        error = name_error(answer["error"])
        raise ProviderFailed(
            f"it answered with {error}",
            is_away=error in ("temporarily_unavailable", "server_error"),
            was_stopped=error == "access_denied",
        )
    code, state = answer.get("code", ""), answer["state"]
    if not 0 < len(code) <= MAX_CODE_LENGTH:
        raise ProviderFailed("its answer has no code")
    answered = Answered(
        provider=provider,
        secret=await _read_secret(context, view, provider),
        code=code,
        verifier=_verifier(context, state),
        nonce=_nonce(context, state),
        redirect_uri=callback_url(view, provider),
        now=now,
    )
    return await (identify_at_github if provider.kind == "github" else identify)(context, answered)


async def _check_issuer(context: Context, provider: UpstreamProvider, sent: str | None) -> None:
    """An answer that says whose it is must be this provider's; one that has to say so and does not is nobody's.

    Spec: RFC 9207 §2.4
    """
    if sent is not None and sent != provider.answers_as:
        raise ProviderFailed("its answer is of another issuer")
    if sent is None and provider.kind == "oidc" and (await find_metadata(context, provider)).sends_iss:
        raise ProviderFailed("its answer does not say whose it is, although it promised to")


async def _read_secret(context: Context, view: ProjectView, provider: UpstreamProvider) -> str:
    ciphertext = await context.database.read(find_upstream_secret, view.project.project_id, provider.slug)
    if ciphertext is None:
        raise ProviderFailed("it was removed meanwhile")
    purpose = upstream_secret_purpose(view.project.project_id, provider.slug)
    return context.vault.decrypt(ciphertext, purpose).decode()


def _parameters(
    context: Context, view: ProjectView, provider: UpstreamProvider, state: str, errand: Errand
) -> dict[str, str]:
    parameters = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": callback_url(view, provider),
        "scope": " ".join(provider.scopes),
        "state": state,
        "nonce": _nonce(context, state),
        "code_challenge": build_challenge(_verifier(context, state)),
        "code_challenge_method": "S256",
        "login_hint": errand.login_hint,
        "prompt": errand.prompt,
    }
    if provider.kind == "github":
        del parameters["nonce"]
        parameters["login"] = parameters.pop("login_hint")
        parameters["prompt"] = "select_account" if errand.prompt else ""
    return {name: value for name, value in parameters.items() if value}


def _nonce(context: Context, state: str) -> str:
    return sign_value(context.form_key, "upstream-nonce", state)


def _verifier(context: Context, state: str) -> str:
    """43 characters that nobody can make who knows the state alone."""
    return sign_value(context.form_key, "upstream-verifier", state)
