"""Tokens of the admin API, kept as the hashes of their secrets."""

from sqlalchemy import bindparam, or_, select, update

from doorward.core.admin_access import AdminToken
from doorward.oauth.ids import ProjectId, TokenHash

from .database import Row, Transaction
from .schema_admin import admin_tokens
from .statements import Statement, insert_row

_COLUMNS = (
    admin_tokens.c.project_id,
    admin_tokens.c.token_id,
    admin_tokens.c.name,
    admin_tokens.c.role,
    admin_tokens.c.scopes,
    admin_tokens.c.created_at,
    admin_tokens.c.expires_at,
    admin_tokens.c.last_used_at,
    admin_tokens.c.revoked_at,
)
_INSERT = Statement(insert_row(admin_tokens))
_BY_HASH = Statement(
    select(*_COLUMNS).where(
        admin_tokens.c.project_id == bindparam("project_id"),
        admin_tokens.c.secret_hash == bindparam("secret_hash"),
        admin_tokens.c.revoked_at.is_(None),
        or_(admin_tokens.c.expires_at.is_(None), admin_tokens.c.expires_at > bindparam("now")),
    )
)
_LIST = Statement(
    select(*_COLUMNS)
    .where(admin_tokens.c.project_id == bindparam("project_id"))
    .order_by(admin_tokens.c.created_at, admin_tokens.c.token_id)
)
_THIS_TOKEN = (admin_tokens.c.project_id == bindparam("of_project"), admin_tokens.c.token_id == bindparam("of_token"))
_TOUCH = Statement(update(admin_tokens).where(*_THIS_TOKEN).values(last_used_at=bindparam("now")))
_REVOKE = Statement(
    update(admin_tokens)
    .where(*_THIS_TOKEN, admin_tokens.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
    .returning(admin_tokens.c.token_id)
)


async def add_admin_token(tx: Transaction, token: AdminToken, secret_hash: TokenHash) -> None:
    """Store a token by the hash of its secret."""
    await tx.run(
        _INSERT,
        project_id=token.project_id,
        token_id=token.token_id,
        name=token.name,
        role=token.role,
        scopes=" ".join(token.scopes),
        secret_hash=secret_hash,
        created_at=token.created_at,
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
        revoked_at=token.revoked_at,
    )


async def find_admin_token(
    tx: Transaction, project_id: ProjectId, secret_hash: TokenHash, now: int
) -> AdminToken | None:
    """The live token of a project with this secret."""
    row = await tx.one(_BY_HASH, project_id=project_id, secret_hash=secret_hash, now=now)
    return _load(row) if row else None


async def list_admin_tokens(tx: Transaction, project_id: ProjectId) -> list[AdminToken]:
    """The tokens of a project, oldest first, ended ones too."""
    return [_load(row) for row in await tx.all(_LIST, project_id=project_id)]


async def touch_admin_token(tx: Transaction, project_id: ProjectId, token_id: str, now: int) -> None:
    """Record a use."""
    await tx.run(_TOUCH, of_project=project_id, of_token=token_id, now=now)


async def revoke_admin_token(tx: Transaction, project_id: ProjectId, token_id: str, now: int) -> bool:
    """End a token; True for the call that ended it."""
    return await tx.one(_REVOKE, of_project=project_id, of_token=token_id, now=now) is not None


def _load(row: Row) -> AdminToken:
    project_id, token_id, name, role, scopes, created_at, expires_at, last_used_at, revoked_at = row
    return AdminToken(
        project_id=ProjectId(project_id),
        token_id=token_id,
        name=name,
        role=role,
        scopes=tuple(scopes.split()),
        created_at=created_at,
        expires_at=expires_at,
        last_used_at=last_used_at,
        revoked_at=revoked_at,
    )
