"""What ended, in the order it was committed: the memory behind the revocation feed.

Verbs that end something announce it themselves, in the transaction that ends it, so that whoever verifies tokens
offline cannot be forgotten.
"""

from dataclasses import dataclass

from sqlalchemy import bindparam, delete, select, update

from doorward.core.secrets import new_id
from doorward.oauth.ids import ProjectId
from doorward.oauth.revocations import RevocationKind, RevocationState

from .database import Transaction
from .schema import projects, revocations
from .statements import Statement, insert_row

KEPT_MS = 3_720_000
"""The longest life of an access token, an hour, and two minutes for clocks that differ: then it is over by itself."""

_NEXT = Statement(
    update(projects)
    .where(projects.c.project_id == bindparam("of_project"))
    .values(revocation_seq=projects.c.revocation_seq + 1)
    .returning(projects.c.revocation_seq)
)
_INSERT = Statement(insert_row(revocations))
_NEWEST = Statement(select(projects.c.revocation_seq).where(projects.c.project_id == bindparam("project_id")))
_IS_KNOWN = Statement(
    select(revocations.c.seq).where(
        revocations.c.project_id == bindparam("project_id"),
        revocations.c.seq == bindparam("seq"),
        revocations.c.mark == bindparam("mark"),
    )
)
_LIST = Statement(
    select(
        revocations.c.seq,
        revocations.c.mark,
        revocations.c.kind,
        revocations.c.subject,
        revocations.c.state,
        revocations.c.void_before,
        revocations.c.expires_at,
    )
    .where(revocations.c.project_id == bindparam("project_id"), revocations.c.seq > bindparam("after"))
    .order_by(revocations.c.seq)
    .limit(bindparam("at_most"))
)
_SWEEP = Statement(
    delete(revocations).where(
        revocations.c.expires_at <= bindparam("now"),
        revocations.c.seq
        < select(projects.c.revocation_seq).where(projects.c.project_id == revocations.c.project_id).scalar_subquery(),
    )
)


@dataclass(frozen=True, slots=True)
class Revocation:
    """An announcement. `mark` is random: it tells this row from one that has its number in another copy."""

    seq: int
    mark: str
    kind: RevocationKind
    subject: str
    state: RevocationState
    void_before: int
    expires_at: int


async def announce(
    tx: Transaction,
    project_id: ProjectId,
    kind: RevocationKind,
    subject: str,
    state: RevocationState,
    void_before: int,
    now: int,
) -> None:
    """Tell what ended, or is held or free again, to whoever verifies offline (I2, I3).

    Raising the project's number holds its row until the commit, so that numbers are seen in their order.
    """
    row = await tx.one(_NEXT, of_project=project_id)
    if row is None:
        return
    await tx.run(
        _INSERT,
        project_id=project_id,
        seq=row[0],
        mark=new_id("rvk"),
        kind=kind,
        subject=subject,
        state=state,
        void_before=void_before,
        expires_at=now + KEPT_MS,
    )


async def find_newest_revocation(tx: Transaction, project_id: ProjectId) -> int:
    """The number of the newest announcement, 0 before the first."""
    row = await tx.one(_NEWEST, project_id=project_id)
    return int(row[0]) if row else 0


async def is_revocation_known(tx: Transaction, project_id: ProjectId, seq: int, mark: str) -> bool:
    """Whether this very announcement is remembered here."""
    return await tx.one(_IS_KNOWN, project_id=project_id, seq=seq, mark=mark) is not None


async def list_revocations(tx: Transaction, project_id: ProjectId, after: int, *, at_most: int) -> list[Revocation]:
    """The oldest of what was announced after a number."""
    rows = await tx.all(_LIST, project_id=project_id, after=after, at_most=at_most)
    return [Revocation(*row) for row in rows]


async def sweep_revocations(tx: Transaction, now: int) -> int:
    """Forget what cannot matter any more, of every project; the newest stays, for followers to continue from."""
    return await tx.run(_SWEEP, now=now)
