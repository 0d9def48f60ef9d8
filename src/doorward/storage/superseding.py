"""Registrations that a later one of the same program takes the place of.

An app that keeps no registration makes one at every login, and most of them are never used. Rows of the same program
have the same fingerprint until somebody does something with one: a first use, a change, a decision takes it away. So
what matters to anybody is never removed here, and few rows are looked at however many clients a project holds.
"""

from sqlalchemy import bindparam, delete, exists, func, select

from doorward.oauth.ids import ProjectId

from .database import Transaction
from .schema import clients, grants
from .statements import Statement

MAX_SUPERSEDED = 20
"""At once, the oldest first: what is left is for the next registration."""

_earlier = clients.alias("earlier")
_newest = clients.alias("newest")
_SUPERSEDED_SINCE = (
    select(func.max(_newest.c.created_at))
    .where(
        _newest.c.project_id == bindparam("of_project"),
        _newest.c.fingerprint == bindparam("of_fingerprint"),
        _newest.c.created_at <= bindparam("before"),
    )
    .scalar_subquery()
)
# Fewer than two that are old enough, and none of them took another's place: the usual case, at the price of one look.
_OLD_ENOUGH = Statement(
    select(clients.c.client_id)
    .where(
        clients.c.project_id == bindparam("of_project"),
        clients.c.fingerprint == bindparam("of_fingerprint"),
        clients.c.created_at <= bindparam("before"),
    )
    .limit(2)
)
_SUPERSEDE = Statement(
    delete(clients)
    .where(
        clients.c.project_id == bindparam("of_project"),
        clients.c.client_id.in_(
            select(_earlier.c.client_id)
            .where(
                _earlier.c.project_id == bindparam("of_project"),
                _earlier.c.fingerprint == bindparam("of_fingerprint"),
                _earlier.c.kind == "registered",
                _earlier.c.activated_at.is_(None),
                _earlier.c.status == "active",
                _earlier.c.created_at < _SUPERSEDED_SINCE,
                ~exists().where(
                    grants.c.project_id == _earlier.c.project_id,
                    grants.c.client_id == _earlier.c.client_id,
                    grants.c.revoked_at.is_(None),
                ),
            )
            .order_by(_earlier.c.created_at)
            .limit(MAX_SUPERSEDED)
        ),
    )
    .returning(clients.c.client_id)
)


async def supersede_clients(tx: Transaction, project_id: ProjectId, fingerprint: str, before: int) -> int:
    """Remove registrations that nobody did anything with, once a later one of the same program is from `before`.

    Until then a login that is under way may still use them. They leave no tombstone, since that would be a row again.
    Returns how many.

    Spec: clients.md no. 22; T15
    """
    same = {"of_project": project_id, "of_fingerprint": fingerprint, "before": before}
    if len(await tx.all(_OLD_ENOUGH, **same)) < 2:
        return 0
    return len(await tx.all(_SUPERSEDE, **same))
