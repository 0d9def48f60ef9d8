"""Authenticator apps and recovery codes of people. Each code works once: it is taken by one conditional statement."""

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, func, select, update

from doorward.core.factors import TotpSecret
from doorward.oauth.ids import ProjectId, TokenHash, UserId

from .database import Transaction
from .schema_factors import recovery_codes, totp_secrets
from .statements import Statement, insert_row

_TOTP_OF = (totp_secrets.c.project_id == bindparam("project_id"), totp_secrets.c.user_id == bindparam("user_id"))
_THIS_TOTP = (totp_secrets.c.project_id == bindparam("of_project"), totp_secrets.c.user_id == bindparam("of_user"))
_CODES_OF = (
    recovery_codes.c.project_id == bindparam("project_id"),
    recovery_codes.c.user_id == bindparam("user_id"),
)
_PROPOSE = Statement(
    lambda insert: (
        insert(totp_secrets)
        .values({column.name: bindparam(column.name) for column in totp_secrets.columns})
        .on_conflict_do_update(
            index_elements=[totp_secrets.c.project_id, totp_secrets.c.user_id],
            set_={"ciphertext": bindparam("ciphertext"), "created_at": bindparam("created_at")},
            where=totp_secrets.c.confirmed_at.is_(None),
        )
        .returning(totp_secrets.c.user_id)
    )
)
_FIND = Statement(
    select(
        totp_secrets.c.ciphertext, totp_secrets.c.created_at, totp_secrets.c.confirmed_at, totp_secrets.c.last_step
    ).where(*_TOTP_OF)
)
_CONFIRM = Statement(
    update(totp_secrets)
    .where(*_THIS_TOTP, totp_secrets.c.confirmed_at.is_(None), totp_secrets.c.created_at == bindparam("proposed_at"))
    .values(confirmed_at=bindparam("now"), last_step=bindparam("step"))
    .returning(totp_secrets.c.user_id)
)
_SPEND_STEP = Statement(
    update(totp_secrets)
    .where(*_THIS_TOTP, totp_secrets.c.confirmed_at.is_not(None), totp_secrets.c.last_step < bindparam("step"))
    .values(last_step=bindparam("step"))
    .returning(totp_secrets.c.user_id)
)
_OWNERS = Statement(
    select(totp_secrets.c.user_id).where(
        totp_secrets.c.project_id == bindparam("project_id"), totp_secrets.c.confirmed_at.is_not(None)
    )
)
_CIPHERTEXTS = Statement(
    select(totp_secrets.c.user_id, totp_secrets.c.ciphertext).where(
        totp_secrets.c.project_id == bindparam("project_id")
    )
)
_REPLACE = Statement(update(totp_secrets).where(*_THIS_TOTP).values(ciphertext=bindparam("new_ciphertext")))
_REMOVE = Statement(delete(totp_secrets).where(*_TOTP_OF).returning(totp_secrets.c.confirmed_at))
_ADD_CODE = Statement(insert_row(recovery_codes))
_CLEAR_CODES = Statement(delete(recovery_codes).where(*_CODES_OF))
_LIST_CODES = Statement(select(recovery_codes.c.used_at).where(*_CODES_OF).order_by(recovery_codes.c.code_hash))
_SPEND_CODE = Statement(
    update(recovery_codes)
    .where(
        recovery_codes.c.project_id == bindparam("of_project"),
        recovery_codes.c.user_id == bindparam("of_user"),
        recovery_codes.c.code_hash == bindparam("of_code"),
        recovery_codes.c.used_at.is_(None),
    )
    .values(used_at=bindparam("now"))
    .returning(recovery_codes.c.created_at)
)
_COUNT_CODES = Statement(
    select(recovery_codes.c.user_id, func.count())
    .where(recovery_codes.c.project_id == bindparam("project_id"), recovery_codes.c.used_at.is_(None))
    .group_by(recovery_codes.c.user_id)
)


async def propose_totp(tx: Transaction, project_id: ProjectId, user_id: UserId, ciphertext: bytes, now: int) -> bool:
    """Keep the secret of an app until its first code is seen; False when the person has one already."""
    row = await tx.one(
        _PROPOSE,
        project_id=project_id,
        user_id=user_id,
        ciphertext=ciphertext,
        created_at=now,
        confirmed_at=None,
        last_step=0,
    )
    return row is not None


async def find_totp(tx: Transaction, project_id: ProjectId, user_id: UserId) -> TotpSecret | None:
    """A person's authenticator app, or the one that is proposed to them."""
    row = await tx.one(_FIND, project_id=project_id, user_id=user_id)
    return TotpSecret(*row) if row else None


async def confirm_totp(
    tx: Transaction, project_id: ProjectId, user_id: UserId, *, proposed_at: int, step: int, now: int
) -> bool:
    """Make a proposed app the person's own; False when it was confirmed or replaced meanwhile."""
    row = await tx.one(_CONFIRM, of_project=project_id, of_user=user_id, proposed_at=proposed_at, step=step, now=now)
    return row is not None


async def spend_totp_step(tx: Transaction, project_id: ProjectId, user_id: UserId, step: int) -> bool:
    """Take the code of a period; False when one of it or of a later one was taken before (I1, RFC 6238 §5.2)."""
    return await tx.one(_SPEND_STEP, of_project=project_id, of_user=user_id, step=step) is not None


async def list_totp_owners(tx: Transaction, project_id: ProjectId) -> frozenset[UserId]:
    """The people of a project who have an authenticator app."""
    return frozenset(UserId(row[0]) for row in await tx.all(_OWNERS, project_id=project_id))


async def list_totp_ciphertexts(tx: Transaction, project_id: ProjectId) -> list[tuple[UserId, bytes]]:
    """Every encrypted secret of a project, of proposals, too."""
    rows = await tx.all(_CIPHERTEXTS, project_id=project_id)
    return [(UserId(user_id), ciphertext) for user_id, ciphertext in rows]


async def replace_totp_ciphertext(tx: Transaction, project_id: ProjectId, user_id: UserId, ciphertext: bytes) -> int:
    """Store the same secret under another master key; how many there were."""
    return await tx.run(_REPLACE, of_project=project_id, of_user=user_id, new_ciphertext=ciphertext)


async def remove_totp(tx: Transaction, project_id: ProjectId, user_id: UserId) -> bool:
    """Remove a person's app; False when they had none, or only a proposal."""
    row = await tx.one(_REMOVE, project_id=project_id, user_id=user_id)
    return row is not None and row[0] is not None


async def replace_recovery_codes(
    tx: Transaction, project_id: ProjectId, user_id: UserId, hashes: Sequence[TokenHash], now: int
) -> None:
    """Make these a person's only recovery codes."""
    await tx.run(_CLEAR_CODES, project_id=project_id, user_id=user_id)
    for code_hash in hashes:
        await tx.run(
            _ADD_CODE, project_id=project_id, code_hash=code_hash, user_id=user_id, created_at=now, used_at=None
        )


async def list_recovery_codes(tx: Transaction, project_id: ProjectId, user_id: UserId) -> list[int | None]:
    """When each of a person's recovery codes was used; None for those that were not."""
    return [row[0] for row in await tx.all(_LIST_CODES, project_id=project_id, user_id=user_id)]


async def spend_recovery_code(
    tx: Transaction, project_id: ProjectId, user_id: UserId, code_hash: TokenHash, now: int
) -> bool:
    """Take a recovery code; exactly one caller ever gets True (I1)."""
    row = await tx.one(_SPEND_CODE, of_project=project_id, of_user=user_id, of_code=code_hash, now=now)
    return row is not None


async def count_recovery_codes(tx: Transaction, project_id: ProjectId) -> dict[UserId, int]:
    """How many unused recovery codes each person of a project has who has any."""
    return {UserId(user_id): count for user_id, count in await tx.all(_COUNT_CODES, project_id=project_id)}
