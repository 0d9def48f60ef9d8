"""Authorization codes: the first single-use credential, and the form of all others."""

from dataclasses import dataclass

from sqlalchemy import bindparam, delete, or_, select, update

from doorward.core.models import Code
from doorward.oauth.ids import ClientId, GrantId, ProjectId, TokenHash

from .database import Row, Transaction
from .schema import codes
from .statements import Statement, insert_row

MAX_FAILED_TRIES = 5
REPLAY_MEMORY_MS = 24 * 3600 * 1000
"""How long a used code is remembered, so that its replay still revokes what it gave."""

_COLUMNS = (
    codes.c.project_id,
    codes.c.code_hash,
    codes.c.grant_id,
    codes.c.client_id,
    codes.c.redirect_uri,
    codes.c.redirect_uri_sent,
    codes.c.code_challenge,
    codes.c.expires_at,
    codes.c.used_at,
    codes.c.dpop_jkt,
)
_THIS_CODE = (codes.c.project_id == bindparam("of_project"), codes.c.code_hash == bindparam("of_code"))
_INSERT = Statement(insert_row(codes))
_FIND = Statement(select(*_COLUMNS).where(*_THIS_CODE))
_CONSUME = Statement(
    update(codes)
    .where(
        *_THIS_CODE,
        codes.c.client_id == bindparam("of_client"),
        codes.c.used_at.is_(None),
        codes.c.expires_at > bindparam("now"),
        codes.c.failed_tries < MAX_FAILED_TRIES,
    )
    .values(used_at=bindparam("now"))
    .returning(*_COLUMNS)
)
_COUNT_FAILURE = Statement(
    update(codes).where(*_THIS_CODE, codes.c.used_at.is_(None)).values(failed_tries=codes.c.failed_tries + 1)
)
_SWEEP = Statement(
    delete(codes).where(
        codes.c.expires_at <= bindparam("now"),
        or_(codes.c.used_at.is_(None), codes.c.expires_at <= bindparam("forget_used_before")),
    )
)


@dataclass(frozen=True, slots=True)
class Consumed:
    """This caller, and no other, spent the code."""

    code: Code


@dataclass(frozen=True, slots=True)
class Reused:
    """The right client presented a code that was spent before."""

    code: Code


@dataclass(frozen=True, slots=True)
class Unknown:
    """Never issued, not this client's, expired, or guessed at too often."""


CodeOutcome = Consumed | Reused | Unknown


async def add_code(tx: Transaction, code: Code) -> None:
    """Store a fresh code."""
    await tx.run(
        _INSERT,
        project_id=code.project_id,
        code_hash=code.code_hash,
        grant_id=code.grant_id,
        client_id=code.client_id,
        redirect_uri=code.redirect_uri,
        redirect_uri_sent=int(code.redirect_uri_sent),
        code_challenge=code.code_challenge,
        expires_at=code.expires_at,
        used_at=None,
        failed_tries=0,
        dpop_jkt=code.dpop_jkt,
    )


async def find_code(tx: Transaction, project_id: ProjectId, code_hash: TokenHash) -> Code | None:
    """A code as stored, used or not, so that a request can be judged before anything is spent."""
    row = await tx.one(_FIND, of_project=project_id, of_code=code_hash)
    return _load(row) if row else None


async def consume_code(
    tx: Transaction, project_id: ProjectId, code_hash: TokenHash, client_id: ClientId, now: int
) -> CodeOutcome:
    """Spend a code: exactly one caller is ever answered `Consumed` (I1, T23, T24)."""
    row = await tx.one(_CONSUME, of_project=project_id, of_code=code_hash, of_client=client_id, now=now)
    if row is not None:
        return Consumed(_load(row))
    code = await find_code(tx, project_id, code_hash)
    if code is None or code.client_id != client_id or code.used_at is None:
        return Unknown()
    return Reused(code)


async def count_failed_try(tx: Transaction, project_id: ProjectId, code_hash: TokenHash) -> None:
    """Record a wrong verifier; after a few the code is dead."""
    await tx.run(_COUNT_FAILURE, of_project=project_id, of_code=code_hash)


async def sweep_codes(tx: Transaction, now: int) -> int:
    """Forget codes that expired unused, and used ones once their replay no longer matters, of every project."""
    return await tx.run(_SWEEP, now=now, forget_used_before=now - REPLAY_MEMORY_MS)


def _load(row: Row) -> Code:
    project_id, code_hash, grant_id, client_id, redirect_uri, redirect_uri_sent, challenge, expires_at, *rest = row
    used_at, dpop_jkt = rest
    return Code(
        project_id=ProjectId(project_id),
        code_hash=TokenHash(code_hash),
        grant_id=GrantId(grant_id),
        client_id=ClientId(client_id),
        redirect_uri=redirect_uri,
        redirect_uri_sent=bool(redirect_uri_sent),
        code_challenge=challenge,
        expires_at=expires_at,
        used_at=used_at,
        dpop_jkt=dpop_jkt,
    )
