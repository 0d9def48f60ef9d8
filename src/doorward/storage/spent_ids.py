"""Ids that work once: of client assertions, of assertions of other issuers, of DPoP proofs. One table, one claim."""

from sqlalchemy import bindparam, delete

from doorward.oauth.ids import ProjectId, TokenHash

from .database import Transaction
from .schema import spent_ids
from .statements import Statement

_CLAIM = Statement(
    lambda insert: (
        insert(spent_ids)
        .values({column.name: bindparam(column.name) for column in spent_ids.columns})
        .on_conflict_do_nothing()
        .returning(spent_ids.c.space)
    )
)
_SWEEP = Statement(delete(spent_ids).where(spent_ids.c.expires_at <= bindparam("now")))


async def claim_id(tx: Transaction, project_id: ProjectId, space: str, id_hash: TokenHash, expires_at: int) -> bool:
    """Spend an id in its space (who presents it); exactly one caller ever gets True, on any node (I1, T32, T35).

    It is remembered until `expires_at`, when what carried it has expired by itself, and never pushed out before.
    """
    row = await tx.one(_CLAIM, project_id=project_id, space=space, id_hash=id_hash, expires_at=expires_at)
    return row is not None


async def sweep_spent_ids(tx: Transaction, now: int) -> int:
    """Forget ids whose bearers have expired, of every project."""
    return await tx.run(_SWEEP, now=now)
