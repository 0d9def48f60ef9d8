"""Identity providers that people of a project may sign in by, and what one of them says of a person.

A person is an issuer and a subject there, and never an address: what an address does is said by `SignUp`.

Spec: OpenID Connect Core 1.0 §5.7 (T37)
"""

import json
import re
from dataclasses import asdict, dataclass
from typing import Literal

from doorward.oauth.ids import ProjectId, TokenHash, UserId

from .passwords import email_key

ProviderKind = Literal["oidc", "github"]
KINDS: tuple[ProviderKind, ...] = ("oidc", "github")
SignUpMode = Literal["closed", "domains", "open"]
SIGN_UP_MODES: tuple[SignUpMode, ...] = ("closed", "domains", "open")
PENDING_LIFE_MS = 600_000
"""How long somebody may be away at a provider."""
LINK_WITHIN_MS = 900_000
"""How fresh a sign-in has to be for adding another way in."""
GITHUB = "https://github.com"
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class SignUp:
    """Who becomes a person of the project that was none before; always with an address that the provider proved."""

    mode: SignUpMode = "closed"
    domains: tuple[str, ...] = ()
    """Of addresses, in the mode `domains`; a subdomain is another domain."""

    def allows(self, email: str) -> bool:
        """Whether a proven address is enough."""
        domain = (email_key(email) or "").rpartition("@")[2]
        return bool(domain) and (self.mode == "open" or (self.mode == "domains" and domain in self.domains))


@dataclass(frozen=True, slots=True)
class UpstreamProvider:
    """One provider, as its operator registered this server there. Its secret is in the vault alone."""

    project_id: ProjectId
    slug: str
    kind: ProviderKind
    name: str
    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    sign_up: SignUp
    enabled: bool
    created_at: int

    @property
    def answers_as(self) -> str:
        """What its authorization responses carry as `iss`. Spec: RFC 9207 §2"""
        return f"{self.issuer}/login/oauth" if self.kind == "github" else self.issuer


@dataclass(frozen=True, slots=True)
class UpstreamSignIn:
    """Somebody who was sent to a provider, and what for. It is of one browser, and spent by one answer."""

    project_id: ProjectId
    state_hash: TokenHash
    browser_hash: TokenHash
    slug: str
    next_path: str
    link_user_id: UserId | None
    """Who adds a way in, rather than signing in; `session_hash` is where they are signed in."""
    session_hash: TokenHash | None
    expires_at: int


@dataclass(frozen=True, slots=True)
class UpstreamIdentity:
    """Who a provider says it is. `email` is None unless the provider proved it."""

    issuer: str
    subject: str
    email: str | None = None
    name: str = ""
    claimed_email: str = ""
    """An address that nobody proved: it opens nothing, and is said to nobody but the operator."""


def is_slug(text: str) -> bool:
    """Whether it can name a provider in an address."""
    return _SLUG.fullmatch(text) is not None


def upstream_secret_purpose(project_id: ProjectId, slug: str) -> str:
    """What a provider's secret is encrypted for."""
    return f"upstream/{project_id}/{slug}"


def dump_sign_up(sign_up: SignUp) -> str:
    """The stored form."""
    return json.dumps(asdict(sign_up))


def load_sign_up(text: str) -> SignUp:
    """Read back what `dump_sign_up` wrote."""
    members = json.loads(text)
    return SignUp(members["mode"], tuple(members["domains"]))
