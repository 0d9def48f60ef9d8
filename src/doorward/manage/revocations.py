"""Ending what was let in, and stopping it for a while: of a token, a person, a server, a whole project.

"Everything so far" is one number on the person, server or project, whatever hangs off it. Its time is read inside the
transaction, behind the lock that every token was issued under, so that nothing committed before carries a later one.

Spec: REV-03, REV-04; T43; I3; complaint 22; product.md, feature 7
"""

import hmac
import json
from typing import Any, Literal

from doorward.core import audit
from doorward.core.models import AuditEvent, Project, Resource, User
from doorward.core.secrets import ACCESS_TOKEN, RefreshTokens, hash_secret, is_well_formed
from doorward.oauth.jwt import InvalidToken, parse_jwks, read_kid, verify_signature
from doorward.storage.access_tokens import find_access_token_claims
from doorward.storage.audit import record
from doorward.storage.database import Transaction
from doorward.storage.grants import revoke_grant
from doorward.storage.projects import list_server_secrets, resume_project, stop_project, void_project_grants
from doorward.storage.resources import resume_resource, stop_resource, void_resource_grants
from doorward.storage.signing_keys import list_signing_keys
from doorward.storage.tokens import find_family, revoke_access_token, revoke_family
from doorward.storage.users import void_user_grants

from .operator import ActionRefused, Conflict, Operator

_REFRESH_TOKENS = "refresh-tokens"


async def revoke_user(operator: Operator, user: User) -> None:
    """End every connection and session of a person; they may sign in and let apps in again."""
    await operator.database.write(_revoke_user, user, operator)


async def revoke_resource(operator: Operator, resource: Resource) -> None:
    """End every grant and token for a server; people may let apps in again."""
    await operator.database.write(_revoke_resource, resource, operator)


async def revoke_project(operator: Operator, project: Project) -> None:
    """End every grant, token and session of a project."""
    await operator.database.write(_revoke_project, project, operator)


async def stop_server(operator: Operator, resource: Resource) -> None:
    """Let nothing for a server in until it is resumed. Raises `ActionRefused` when it is stopped already."""
    if not await operator.database.write(_switch_resource, resource, "stop", operator.actor, operator.clock()):
        raise Conflict(f"{resource.uri} is stopped already.")


async def resume_server(operator: Operator, resource: Resource) -> None:
    """Take a stop back; what was not ended meanwhile works again. Raises `ActionRefused` when nothing is stopped."""
    if not await operator.database.write(_switch_resource, resource, "resume", operator.actor, operator.clock()):
        raise Conflict(f"{resource.uri} is not stopped.")


async def stop_everything(operator: Operator, project: Project) -> None:
    """Let nothing of a project in until it is resumed. Raises `ActionRefused` when it is stopped already."""
    if not await operator.database.write(_switch_project, project, "stop", operator.actor, operator.clock()):
        raise Conflict(f"The project {project.slug} is stopped already.")


async def resume_everything(operator: Operator, project: Project) -> None:
    """Take a stop back; what was not ended meanwhile works again. Raises `ActionRefused` when nothing is stopped."""
    if not await operator.database.write(_switch_project, project, "resume", operator.actor, operator.clock()):
        raise Conflict(f"The project {project.slug} is not stopped.")


async def revoke_token(operator: Operator, project: Project, token: str) -> str:
    """End a token that came into wrong hands; the audited name of what ended.

    An access token ends alone, a refresh token with its connection, as when the client itself gives it back. Raises
    `ActionRefused` for what is no live token of the project.
    """
    if RefreshTokens.parse(token) is not None:
        secrets = await operator.database.read(list_server_secrets)
        derive = RefreshTokens(operator.vault.decrypt(secrets[_REFRESH_TOKENS], _REFRESH_TOKENS))
        ended = await operator.database.write(_revoke_refresh_token, project, derive, token, operator)
    else:
        claims = await _read_access_token(operator, project, token)
        ended = await operator.database.write(_revoke_access_token, project, claims, operator) if claims else None
    if ended is None:
        raise ActionRefused("This is no live token of the project.")
    return ended


async def _read_access_token(operator: Operator, project: Project, token: str) -> dict[str, Any] | None:
    """The claims of an access token that the project issued and that has not expired."""
    now = operator.clock()
    if is_well_formed(token, ACCESS_TOKEN):
        text = await operator.database.read(find_access_token_claims, project.project_id, hash_secret(token), now)
        return dict(json.loads(text)) if text else None
    stored = await operator.database.read(list_signing_keys, project.project_id, now)
    keys = parse_jwks({"keys": [json.loads(key.public_jwk) for key in stored]})
    try:
        key = keys.get(read_kid(token))
        claims = verify_signature(token, key) if key else None
    except InvalidToken:
        return None
    return claims if claims is not None and now < claims["exp"] * 1000 else None


async def _revoke_user(tx: Transaction, user: User, operator: Operator) -> None:
    now = operator.clock()
    if await void_user_grants(tx, user.project_id, user.user_id, now):
        event = AuditEvent(audit.USER_GRANTS_REVOKED, operator.actor, audit.user_actor(user.user_id))
        await record(tx, user.project_id, event, now)


async def _revoke_resource(tx: Transaction, resource: Resource, operator: Operator) -> None:
    now = operator.clock()
    if await void_resource_grants(tx, resource.project_id, resource.resource_id, now):
        event = AuditEvent(audit.RESOURCE_GRANTS_REVOKED, operator.actor, resource.resource_id, {"uri": resource.uri})
        await record(tx, resource.project_id, event, now)


async def _revoke_project(tx: Transaction, project: Project, operator: Operator) -> None:
    now = operator.clock()
    if await void_project_grants(tx, project.project_id, now):
        event = AuditEvent(audit.PROJECT_GRANTS_REVOKED, operator.actor, project.slug)
        await record(tx, project.project_id, event, now)


async def _switch_resource(
    tx: Transaction, resource: Resource, to: Literal["stop", "resume"], actor: str, now: int
) -> bool:
    switch = stop_resource if to == "stop" else resume_resource
    if not await switch(tx, resource.project_id, resource.resource_id, now):
        return False
    action = audit.RESOURCE_STOPPED if to == "stop" else audit.RESOURCE_RESUMED
    event = AuditEvent(action, actor, resource.resource_id, {"uri": resource.uri})
    await record(tx, resource.project_id, event, now)
    return True


async def _switch_project(
    tx: Transaction, project: Project, to: Literal["stop", "resume"], actor: str, now: int
) -> bool:
    switch = stop_project if to == "stop" else resume_project
    if not await switch(tx, project.project_id, now):
        return False
    action = audit.PROJECT_STOPPED if to == "stop" else audit.PROJECT_RESUMED
    await record(tx, project.project_id, AuditEvent(action, actor, project.slug), now)
    return True


async def _revoke_refresh_token(
    tx: Transaction, project: Project, derive: RefreshTokens, token: str, operator: Operator
) -> str | None:
    claimed = RefreshTokens.parse(token)
    family = await find_family(tx, project.project_id, claimed[0]) if claimed else None
    if claimed is None or family is None:
        return None
    if not hmac.compare_digest(derive.derive(family.family_id, family.salt, claimed[1]), token):
        return None
    now = operator.clock()
    await revoke_family(tx, project.project_id, family.family_id, now)
    if not await revoke_grant(tx, project.project_id, family.grant_id, now):
        return None
    event = AuditEvent(audit.GRANT_REVOKED, operator.actor, family.grant_id, {"client": family.client_id})
    await record(tx, project.project_id, event, now)
    return family.grant_id


async def _revoke_access_token(
    tx: Transaction, project: Project, claims: dict[str, Any], operator: Operator
) -> str | None:
    now, jti = operator.clock(), str(claims["jti"])
    if not await revoke_access_token(tx, project.project_id, jti, int(claims["exp"]) * 1000, now):
        return None
    await record(tx, project.project_id, AuditEvent(audit.TOKEN_REVOKED, operator.actor, jti), now)
    return jti
