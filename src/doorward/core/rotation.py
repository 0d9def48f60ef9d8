"""When a signing key is published, signs, is replaced, and leaves: decisions without I/O. Times are in milliseconds.

Each algorithm has one newest key, which nothing has replaced; all others are on their way out and have a time at
which they leave the JWKS.

Spec: RFC 8725 §3.1 (AT-06, I8, T34); threats, finding 17
"""

from collections.abc import Iterable

from doorward.oauth.ids import ProjectId

from .models import ProjectSettings, Resource

DEFAULT_ALGORITHM = "ES256"
"""Every project has keys of it: what signs while another algorithm has no key that may."""
SIGNING_ALGORITHMS = (DEFAULT_ALGORITHM, "EdDSA", "RS256")
PUBLISH_BEFORE_SIGNING_MS = 600_000
"""A new key is in every cached JWKS before it signs: twice the 300 s that documents may be cached (T34)."""
VERIFY_AFTER_SIGNING_MS = 3_660_000
"""A key stays published for the longest life of an access token and a minute after it signed the last one (I8)."""
DAY_MS = 86_400_000


def signs_at(now: int, signs_from: int, removed_at: int | None) -> bool:
    """Whether a key signs: not before every cache has it, and nothing that could outlive it in the JWKS (I8)."""
    return signs_from <= now and (removed_at is None or now < removed_at - VERIFY_AFTER_SIGNING_MS)


def signing_key_purpose(project_id: ProjectId, kid: str) -> str:
    """What the private part of a key is encrypted for: this very key, in its project."""
    return f"signing-key/{project_id}/{kid}"


def algorithms_in_use(resources: Iterable[Resource]) -> set[str]:
    """The algorithms that a project needs keys of."""
    return {DEFAULT_ALGORITHM, *(r.settings.token_alg for r in resources if r.settings.token_format == "jwt")}


def due_before(settings: ProjectSettings, now: int) -> int | None:
    """Newest keys made up to then are to be replaced now; None when the project replaces none by itself."""
    return now - settings.signing_key_days * DAY_MS if settings.signing_key_days else None
