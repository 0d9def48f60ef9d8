"""Access tokens as the server knows them: opaque ones by their hash, and whether any token still lives.

What ends a token is never a row of its own, but what it hangs off: its grant, its client, its server, its project.
Only a token that was ended alone is in the short list of void ones (storage/tokens).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, select

from doorward.oauth.ids import ProjectId, ResourceId, TokenHash

from .database import Transaction
from .grants import find_live_grant
from .schema import access_tokens, clients, projects, resources, trusted_issuers
from .statements import Statement, insert_row
from .tokens import is_access_token_revoked

WORKLOAD_PREFIX = "tru_"
"""What the client_id of a token starts with whose bearer is known by a trusted issuer alone."""
_INSERT = Statement(insert_row(access_tokens))
_FIND = Statement(
    select(access_tokens.c.claims).where(
        access_tokens.c.project_id == bindparam("project_id"),
        access_tokens.c.token_hash == bindparam("token_hash"),
        access_tokens.c.expires_at > bindparam("now"),
    )
)
_SWEEP = Statement(delete(access_tokens).where(access_tokens.c.expires_at <= bindparam("now")))
_CLIENT_STANDS = Statement(
    select(clients.c.client_id)
    .join(projects, projects.c.project_id == clients.c.project_id)
    .where(
        clients.c.project_id == bindparam("project_id"),
        clients.c.client_id == bindparam("client_id"),
        clients.c.status == "active",
        clients.c.void_before < bindparam("issued_at"),
        projects.c.void_before < bindparam("issued_at"),
        projects.c.stopped_at.is_(None),
    )
)
_WORKLOAD_STANDS = Statement(
    select(trusted_issuers.c.trust_id)
    .join(projects, projects.c.project_id == trusted_issuers.c.project_id)
    .where(
        trusted_issuers.c.project_id == bindparam("project_id"),
        trusted_issuers.c.trust_id == bindparam("trust_id"),
        trusted_issuers.c.void_before < bindparam("issued_at"),
        projects.c.void_before < bindparam("issued_at"),
        projects.c.stopped_at.is_(None),
    )
)
_RESOURCE_STANDS = Statement(
    select(resources.c.resource_id).where(
        resources.c.project_id == bindparam("project_id"),
        resources.c.resource_id == bindparam("resource_id"),
        resources.c.void_before < bindparam("issued_at"),
        resources.c.stopped_at.is_(None),
    )
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a verified token hangs off. `issued_at` is its `iat` in milliseconds, the start of that second."""

    jti: str
    client_id: str
    issued_at: int
    grant_id: str | None = None
    resource_id: ResourceId | None = None
    """The resource of its audience; None where that is not known here any more."""
    came_from: Sequence[str] = ()
    """The ids of the tokens it was exchanged from, which take it with them."""
    came_through: Sequence[tuple[str, ResourceId | None]] = ()
    """(client_id, resource) of each of those: whom they were given to, and for which server."""


async def add_access_token(
    tx: Transaction, project_id: ProjectId, token_hash: TokenHash, claims: str, expires_at: int
) -> None:
    """Store what an opaque token stands for."""
    await tx.run(_INSERT, project_id=project_id, token_hash=token_hash, claims=claims, expires_at=expires_at)


async def find_access_token_claims(
    tx: Transaction, project_id: ProjectId, token_hash: TokenHash, now: int
) -> str | None:
    """The claims of an unexpired opaque token, as JSON; whether it lives is for `is_token_live` to say."""
    row = await tx.one(_FIND, project_id=project_id, token_hash=token_hash, now=now)
    return str(row[0]) if row else None


async def is_token_live(tx: Transaction, project_id: ProjectId, token: Standing) -> bool:
    """Whether nothing that a verified token hangs off was ended since it was issued (I3, I5, T43).

    A token that was issued in the very second of such an end is counted as ended.
    """
    grant = await find_live_grant(tx, project_id, token.grant_id) if token.grant_id is not None else None
    if grant is None and token.grant_id is not None:
        return False
    for client_id, resource_id in ((token.client_id, token.resource_id), *token.came_through):
        # The client and the server of the grant stand with it, and need no look of their own.
        is_granted = grant is not None and grant.client_id == client_id
        if not is_granted and not await _bearer_stands(tx, project_id, client_id, token.issued_at):
            return False
        is_granted = grant is not None and grant.resource_id == resource_id
        if not is_granted and not await _resource_stands(tx, project_id, resource_id, token.issued_at):
            return False
    for jti in (token.jti, *token.came_from):
        if await is_access_token_revoked(tx, project_id, jti):
            return False
    return True


async def sweep_access_tokens(tx: Transaction, now: int) -> int:
    """Forget opaque tokens that have expired, of every project."""
    return await tx.run(_SWEEP, now=now)


async def _bearer_stands(tx: Transaction, project_id: ProjectId, client_id: str, issued_at: int) -> bool:
    """Whether the client, or the trust in the workload's issuer, is what it was when the token was issued."""
    if client_id.startswith(WORKLOAD_PREFIX):
        row = await tx.one(_WORKLOAD_STANDS, project_id=project_id, trust_id=client_id, issued_at=issued_at)
    else:
        row = await tx.one(_CLIENT_STANDS, project_id=project_id, client_id=client_id, issued_at=issued_at)
    return row is not None


async def _resource_stands(
    tx: Transaction, project_id: ProjectId, resource_id: ResourceId | None, issued_at: int
) -> bool:
    if resource_id is None:
        return False
    row = await tx.one(_RESOURCE_STANDS, project_id=project_id, resource_id=resource_id, issued_at=issued_at)
    return row is not None
