"""Sign-ins that wait for their second step: not a session, and taken by one conditional statement (T41)."""

from sqlalchemy import bindparam, delete, select, update

from doorward.core.factors import PendingSignIn
from doorward.oauth.ids import ProjectId, TokenHash, UserId

from .database import Row, Transaction
from .schema import projects, users
from .schema_factors import pending_sign_ins
from .statements import Statement, insert_row

_COLUMNS = (
    pending_sign_ins.c.project_id,
    pending_sign_ins.c.token_hash,
    pending_sign_ins.c.user_id,
    pending_sign_ins.c.browser_hash,
    pending_sign_ins.c.created_at,
    pending_sign_ins.c.expires_at,
)
_INSERT = Statement(insert_row(pending_sign_ins))
_SAME_PERSON = (users.c.project_id == pending_sign_ins.c.project_id) & (users.c.user_id == pending_sign_ins.c.user_id)
_FIND = Statement(
    select(*_COLUMNS)
    .join(users, _SAME_PERSON)
    .join(projects, projects.c.project_id == pending_sign_ins.c.project_id)
    .where(
        pending_sign_ins.c.project_id == bindparam("project_id"),
        pending_sign_ins.c.token_hash == bindparam("token_hash"),
        pending_sign_ins.c.browser_hash == bindparam("browser_hash"),
        pending_sign_ins.c.used_at.is_(None),
        pending_sign_ins.c.expires_at > bindparam("now"),
        pending_sign_ins.c.created_at > users.c.void_before,
        pending_sign_ins.c.created_at > projects.c.void_before,
        users.c.enabled == 1,
    )
)
_CONSUME = Statement(
    update(pending_sign_ins)
    .where(
        pending_sign_ins.c.project_id == bindparam("of_project"),
        pending_sign_ins.c.token_hash == bindparam("of_token"),
        pending_sign_ins.c.browser_hash == bindparam("of_browser"),
        pending_sign_ins.c.used_at.is_(None),
        pending_sign_ins.c.expires_at > bindparam("now"),
    )
    .values(used_at=bindparam("now"))
    .returning(*_COLUMNS)
)
_END = Statement(
    delete(pending_sign_ins).where(
        pending_sign_ins.c.project_id == bindparam("project_id"), pending_sign_ins.c.user_id == bindparam("user_id")
    )
)
_SWEEP = Statement(delete(pending_sign_ins).where(pending_sign_ins.c.expires_at <= bindparam("now")))


async def add_pending_sign_in(tx: Transaction, pending: PendingSignIn) -> None:
    """Store a sign-in that waits for its second step."""
    await tx.run(
        _INSERT,
        project_id=pending.project_id,
        token_hash=pending.token_hash,
        user_id=pending.user_id,
        browser_hash=pending.browser_hash,
        created_at=pending.created_at,
        expires_at=pending.expires_at,
        used_at=None,
    )


async def find_pending_sign_in(
    tx: Transaction, project_id: ProjectId, token_hash: TokenHash, browser_hash: TokenHash, now: int
) -> PendingSignIn | None:
    """A sign-in that still waits in this browser, of a person who may still sign in."""
    row = await tx.one(_FIND, project_id=project_id, token_hash=token_hash, browser_hash=browser_hash, now=now)
    return _load(row) if row else None


async def consume_pending_sign_in(
    tx: Transaction, project_id: ProjectId, token_hash: TokenHash, browser_hash: TokenHash, now: int
) -> PendingSignIn | None:
    """Spend a waiting sign-in: one caller gets it, from the browser that gave the password, once (I1)."""
    row = await tx.one(_CONSUME, of_project=project_id, of_token=token_hash, of_browser=browser_hash, now=now)
    return _load(row) if row else None


async def end_pending_sign_ins(tx: Transaction, project_id: ProjectId, user_id: UserId) -> int:
    """End every half-done sign-in of a person; how many there were."""
    return await tx.run(_END, project_id=project_id, user_id=user_id)


async def sweep_pending_sign_ins(tx: Transaction, now: int) -> int:
    """Forget sign-ins that nobody finished in time, of every project."""
    return await tx.run(_SWEEP, now=now)


def _load(row: Row) -> PendingSignIn:
    project_id, token_hash, user_id, browser_hash, created_at, expires_at = row
    return PendingSignIn(
        ProjectId(project_id), TokenHash(token_hash), UserId(user_id), TokenHash(browser_hash), created_at, expires_at
    )
