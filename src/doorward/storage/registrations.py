"""What registering needs beside the clients: initial access tokens, trusted software, tombstones."""

from dataclasses import dataclass

from sqlalchemy import bindparam, delete, or_, select, update

from doorward.oauth.ids import ClientId, ProjectId, TokenHash

from .database import Transaction
from .schema import client_tombstones, initial_access_tokens, software_issuers
from .statements import Statement, insert_row

TOMBSTONE_LIFE_MS = 30 * 86_400_000

_tokens = initial_access_tokens.c
_ADD_TOKEN = Statement(insert_row(initial_access_tokens))
_CONSUME_TOKEN = Statement(
    update(initial_access_tokens)
    .where(
        _tokens.project_id == bindparam("of_project"),
        _tokens.token_hash == bindparam("of_token"),
        _tokens.uses_left > 0,
        or_(_tokens.expires_at.is_(None), _tokens.expires_at > bindparam("now")),
    )
    .values(uses_left=_tokens.uses_left - 1)
    .returning(_tokens.name)
)
_LIST_TOKENS = Statement(
    select(_tokens.name, _tokens.created_at, _tokens.expires_at, _tokens.uses_left)
    .where(_tokens.project_id == bindparam("project_id"))
    .order_by(_tokens.created_at)
)
_SWEEP_TOKENS = Statement(
    delete(initial_access_tokens).where(or_(_tokens.uses_left <= 0, _tokens.expires_at <= bindparam("now")))
)
_stones = client_tombstones.c
_BURY = Statement(
    lambda insert: (
        insert(client_tombstones)
        .values({column.name: bindparam(column.name) for column in client_tombstones.columns})
        .on_conflict_do_nothing()
    )
)
_FIND_STONE = Statement(
    select(_stones.reason, _stones.removed_at).where(
        _stones.project_id == bindparam("project_id"), _stones.client_id == bindparam("client_id")
    )
)
# What an operator decided stays decided: a sealed id or a document would come back as if nothing had happened.
_SWEEP_STONES = Statement(
    delete(client_tombstones).where(
        _stones.removed_at <= bindparam("before"), or_(_stones.reason == "expired", _stones.reason == "deleted")
    )
)
_LIFT_STONE = Statement(
    delete(client_tombstones)
    .where(_stones.project_id == bindparam("project_id"), _stones.client_id == bindparam("client_id"))
    .returning(_stones.reason)
)
_issuers = software_issuers.c
_TRUST = Statement(
    lambda insert: (
        insert(software_issuers)
        .values({column.name: bindparam(column.name) for column in software_issuers.columns})
        .on_conflict_do_update(
            index_elements=[_issuers.project_id, _issuers.issuer],
            set_={"jwks": bindparam("jwks"), "created_at": bindparam("created_at")},
        )
    )
)
_FIND_ISSUER = Statement(
    select(_issuers.jwks).where(_issuers.project_id == bindparam("project_id"), _issuers.issuer == bindparam("issuer"))
)
_LIST_ISSUERS = Statement(
    select(_issuers.issuer, _issuers.created_at)
    .where(_issuers.project_id == bindparam("project_id"))
    .order_by(_issuers.issuer)
)
_DISTRUST = Statement(
    delete(software_issuers)
    .where(_issuers.project_id == bindparam("project_id"), _issuers.issuer == bindparam("issuer"))
    .returning(_issuers.issuer)
)


@dataclass(frozen=True, slots=True)
class InitialAccessToken:
    """A token that lets somebody register, as listed; never the token itself."""

    name: str
    created_at: int
    expires_at: int | None
    uses_left: int


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Why and when a client was removed."""

    reason: str
    removed_at: int


async def add_initial_access_token(
    tx: Transaction, project_id: ProjectId, token_hash: TokenHash, token: InitialAccessToken
) -> None:
    """Store a token that lets its holder register so many clients."""
    await tx.run(
        _ADD_TOKEN,
        project_id=project_id,
        token_hash=token_hash,
        name=token.name,
        created_at=token.created_at,
        expires_at=token.expires_at,
        uses_left=token.uses_left,
    )


async def consume_initial_access_token(
    tx: Transaction, project_id: ProjectId, token_hash: TokenHash, now: int
) -> str | None:
    """Spend one use; the token's name, or None when it has none left or never existed (I1)."""
    row = await tx.one(_CONSUME_TOKEN, of_project=project_id, of_token=token_hash, now=now)
    return str(row[0]) if row else None


async def list_initial_access_tokens(tx: Transaction, project_id: ProjectId) -> list[InitialAccessToken]:
    """The tokens of a project that were not used up."""
    return [InitialAccessToken(*row) for row in await tx.all(_LIST_TOKENS, project_id=project_id)]


async def bury_client(
    tx: Transaction, project_id: ProjectId, client_id: ClientId, reason: str, removed_at: int
) -> None:
    """Remember for a while that a client was here, so that it can be told what happened."""
    await tx.run(_BURY, project_id=project_id, client_id=client_id, reason=reason, removed_at=removed_at)


async def find_tombstone(tx: Transaction, project_id: ProjectId, client_id: str) -> Tombstone | None:
    """What became of a client that is not known any more."""
    row = await tx.one(_FIND_STONE, project_id=project_id, client_id=client_id)
    return Tombstone(*row) if row else None


async def lift_tombstone(tx: Transaction, project_id: ProjectId, client_id: str) -> bool:
    """Forget that a client was removed, so that it may come back; True for the call that did."""
    return await tx.one(_LIFT_STONE, project_id=project_id, client_id=client_id) is not None


async def trust_software_issuer(tx: Transaction, project_id: ProjectId, issuer: str, jwks: str, now: int) -> None:
    """Trust an issuer of software statements, by these keys from now on."""
    await tx.run(_TRUST, project_id=project_id, issuer=issuer, jwks=jwks, created_at=now)


async def find_software_issuer(tx: Transaction, project_id: ProjectId, issuer: str) -> str | None:
    """The keys of a trusted issuer, as JSON."""
    row = await tx.one(_FIND_ISSUER, project_id=project_id, issuer=issuer)
    return str(row[0]) if row else None


async def list_software_issuers(tx: Transaction, project_id: ProjectId) -> list[tuple[str, int]]:
    """(issuer, trusted since) of every trusted issuer."""
    return [(issuer, since) for issuer, since in await tx.all(_LIST_ISSUERS, project_id=project_id)]


async def distrust_software_issuer(tx: Transaction, project_id: ProjectId, issuer: str) -> bool:
    """Stop trusting an issuer; True for the call that did."""
    return await tx.one(_DISTRUST, project_id=project_id, issuer=issuer) is not None


async def sweep_registrations(tx: Transaction, now: int) -> int:
    """Forget used-up tokens and old tombstones, of every project."""
    swept = await tx.run(_SWEEP_TOKENS, now=now)
    return swept + await tx.run(_SWEEP_STONES, before=now - TOMBSTONE_LIFE_MS)
