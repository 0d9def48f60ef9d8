"""Who a person is elsewhere: (issuer, subject) → person. An address is never an identity (T37)."""

from sqlalchemy import bindparam

from doorward.oauth.ids import ProjectId, UserId

from .database import Transaction
from .schema import identities
from .statements import Statement

_LINK = Statement(
    lambda insert: (
        insert(identities)
        .values({column.name: bindparam(column.name) for column in identities.columns})
        .on_conflict_do_nothing()
        .returning(identities.c.user_id)
    )
)


async def link_identity(
    tx: Transaction, project_id: ProjectId, issuer: str, subject: str, user_id: UserId, now: int
) -> bool:
    """Make a subject stand for a person from now on; False when it stands for somebody already."""
    row = await tx.one(_LINK, project_id=project_id, issuer=issuer, subject=subject, user_id=user_id, created_at=now)
    return row is not None
