"""Tokens of the admin API: what an operator's programs act with, each as itself in the audit trail."""

from typing import Any

from doorward.core import audit
from doorward.core.admin_access import AREAS, TOKEN_ROLES, AdminToken, TokenRole, is_admin_scope
from doorward.core.models import AuditEvent, Project
from doorward.core.secrets import ADMIN_TOKEN, hash_secret, is_well_formed, new_id, new_secret
from doorward.oauth.ids import TokenHash
from doorward.storage.admin_tokens import (
    add_admin_token,
    find_admin_token,
    list_admin_tokens,
    revoke_admin_token,
    touch_admin_token,
)
from doorward.storage.audit import record
from doorward.storage.database import Database, Transaction

from .operator import ActionRefused, NotFound, Operator

MAX_SECONDS = 3650 * 86_400
TOUCH_MS = 60_000
"""How old a token's last use may be before it is written again."""


async def create(
    operator: Operator,
    project: Project,
    name: str,
    role: TokenRole,
    *,
    scopes: tuple[str, ...] = (),
    seconds: int | None = None,
) -> tuple[AdminToken, str]:
    """Make a token for one project, and show its secret this once. Raises `ActionRefused`."""
    if role not in TOKEN_ROLES:
        raise ActionRefused(f"A role is one of {', '.join(TOKEN_ROLES)}.", about="role")
    if unknown := [scope for scope in scopes if not is_admin_scope(scope)]:
        raise ActionRefused(
            f"There is no scope {unknown[0]}. A scope is read, or one of {', '.join(AREAS)} with :read or :write.",
            about="scopes",
        )
    if seconds is not None and not 1 <= seconds <= MAX_SECONDS:
        raise ActionRefused("A token lives for a second to ten years, or until it is removed.", about="expires_in")
    name = name.strip()[:128]
    if not name:
        raise ActionRefused("Name what the token is for.", about="name")
    secret, now = new_secret(ADMIN_TOKEN), operator.clock()
    token = AdminToken(
        project_id=project.project_id,
        token_id=new_id("adt"),
        name=name,
        role=role,
        scopes=tuple(dict.fromkeys(scopes)),
        created_at=now,
        expires_at=now + seconds * 1000 if seconds else None,
        last_used_at=None,
        revoked_at=None,
    )
    await operator.database.write(_create, token, hash_secret(secret), operator.actor, now)
    return token, secret


async def list_all(operator: Operator, project: Project) -> list[AdminToken]:
    """The tokens of a project, ended ones too; never their secrets."""
    return await operator.database.read(list_admin_tokens, project.project_id)


async def revoke(operator: Operator, project: Project, token_id: str) -> None:
    """End a token at once. Raises `NotFound`."""
    if not await operator.database.write(_revoke, project, token_id, operator.actor, operator.clock()):
        raise NotFound(f"There is no live token {token_id}.")


async def authenticate(database: Database, project: Project, secret: str, now: int) -> AdminToken | None:
    """The live token of the project with this secret; None for what is anything else, of whatever project."""
    if not is_well_formed(secret, ADMIN_TOKEN):
        return None
    token = await database.read(find_admin_token, project.project_id, hash_secret(secret), now)
    if token is not None and (token.last_used_at is None or token.last_used_at <= now - TOUCH_MS):
        await database.write(touch_admin_token, project.project_id, token.token_id, now)
    return token


def describe(token: AdminToken) -> dict[str, Any]:
    """A token as operators see it."""
    return {
        "token_id": token.token_id,
        "name": token.name,
        "role": token.role,
        "scopes": list(token.scopes),
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "last_used_at": token.last_used_at,
        "revoked_at": token.revoked_at,
    }


async def _create(tx: Transaction, token: AdminToken, secret_hash: TokenHash, actor: str, now: int) -> None:
    await add_admin_token(tx, token, secret_hash)
    detail = {"name": token.name, "role": token.role, "scopes": list(token.scopes), "expires_at": token.expires_at}
    event = AuditEvent(audit.ADMIN_TOKEN_CREATED, actor, audit.admin_token_actor(token.token_id), detail)
    await record(tx, token.project_id, event, now)


async def _revoke(tx: Transaction, project: Project, token_id: str, actor: str, now: int) -> bool:
    if not await revoke_admin_token(tx, project.project_id, token_id, now):
        return False
    event = AuditEvent(audit.ADMIN_TOKEN_REVOKED, actor, audit.admin_token_actor(token_id))
    await record(tx, project.project_id, event, now)
    return True
