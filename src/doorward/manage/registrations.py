"""What lets others register: initial access tokens and trusted issuers of software statements."""

import json

from doorward.core import audit
from doorward.core.models import AuditEvent, Project
from doorward.core.secrets import INITIAL_ACCESS_TOKEN, hash_secret, new_secret
from doorward.oauth.ids import TokenHash
from doorward.oauth.jwt import parse_jwks
from doorward.storage.audit import record
from doorward.storage.database import Transaction
from doorward.storage.registrations import (
    InitialAccessToken,
    add_initial_access_token,
    distrust_software_issuer,
    list_initial_access_tokens,
    list_software_issuers,
    trust_software_issuer,
)

from .operator import ActionRefused, NotFound, Operator

MAX_USES = 10_000


async def create_initial_token(
    operator: Operator, project: Project, *, name: str = "", uses: int = 1, seconds: int | None = None
) -> tuple[InitialAccessToken, str]:
    """Make a token that registers so many clients, and show it this once. Raises `ActionRefused`."""
    if not 1 <= uses <= MAX_USES:
        raise ActionRefused(f"A token has 1 to {MAX_USES} uses.")
    if seconds is not None and seconds < 1:
        raise ActionRefused("A token lives for at least a second.")
    secret, now = new_secret(INITIAL_ACCESS_TOKEN), operator.clock()
    token = InitialAccessToken(name.strip()[:128], now, now + seconds * 1000 if seconds else None, uses)
    await operator.database.write(_create, project, hash_secret(secret), token, operator.actor, now)
    return token, secret


async def list_initial_tokens(operator: Operator, project: Project) -> list[InitialAccessToken]:
    """The tokens of a project that were not used up."""
    return await operator.database.read(list_initial_access_tokens, project.project_id)


async def trust_issuer(operator: Operator, project: Project, issuer: str, jwks: str) -> None:
    """Trust software statements of an issuer, signed by these keys. Raises `ActionRefused`."""
    try:
        keys = parse_jwks(json.loads(jwks))
    except (ValueError, RecursionError):
        raise ActionRefused("This is not a JWK set.") from None
    if not keys:
        raise ActionRefused("The key set holds no public key that can verify a signature.")
    await operator.database.write(_trust, project, issuer, jwks, operator.actor, operator.clock())


async def list_issuers(operator: Operator, project: Project) -> list[tuple[str, int]]:
    """(issuer, trusted since) of every trusted issuer."""
    return await operator.database.read(list_software_issuers, project.project_id)


async def distrust_issuer(operator: Operator, project: Project, issuer: str) -> None:
    """Stop trusting an issuer. Raises `ActionRefused`."""
    if not await operator.database.write(_distrust, project, issuer, operator.actor, operator.clock()):
        raise NotFound(f"{issuer} is not trusted.")


async def _create(
    tx: Transaction, project: Project, token_hash: TokenHash, token: InitialAccessToken, actor: str, now: int
) -> None:
    await add_initial_access_token(tx, project.project_id, token_hash, token)
    event = AuditEvent(
        audit.INITIAL_TOKEN_CREATED, actor, token.name or "initial access token", {"uses": token.uses_left}
    )
    await record(tx, project.project_id, event, now)


async def _trust(tx: Transaction, project: Project, issuer: str, jwks: str, actor: str, now: int) -> None:
    await trust_software_issuer(tx, project.project_id, issuer, jwks, now)
    await record(tx, project.project_id, AuditEvent(audit.SOFTWARE_TRUSTED, actor, issuer), now)


async def _distrust(tx: Transaction, project: Project, issuer: str, actor: str, now: int) -> bool:
    if not await distrust_software_issuer(tx, project.project_id, issuer):
        return False
    await record(tx, project.project_id, AuditEvent(audit.SOFTWARE_DISTRUSTED, actor, issuer), now)
    return True
