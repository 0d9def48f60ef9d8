"""The refresh token grant: rotation that survives real clients without giving up reuse detection.

Concurrent refreshes converge on one successor, a lost answer can be asked for again, and anything older ends the
connection and leaves an incident that names both presenters.

Spec: OAuth 2.1 §4.3 (RT-01 … RT-10, T26, T27, T43); security defaults, refresh token
"""

import hmac
from dataclasses import dataclass

from doorward.core import audit
from doorward.core.models import AuditEvent, Authorization, Grant, RefreshFamily, Refused, Resource
from doorward.core.policy import (
    access_token_seconds,
    check_resource_within,
    judge_refresh,
    judge_reuse,
    narrow_scopes,
    still_offered,
)
from doorward.core.secrets import RefreshTokens
from doorward.oauth.errors import OAuthError, invalid_grant
from doorward.oauth.forms import Form
from doorward.oauth.scopes import Scopes
from doorward.storage.audit import record
from doorward.storage.clients import touch_client
from doorward.storage.database import Transaction
from doorward.storage.grants import find_live_grant, revoke_grant, touch_grant
from doorward.storage.tokens import find_family, revoke_family, rotate_family

from .call import TOUCH_EVERY_MS, TokenCall

GRANT_TYPE = "refresh_token"


@dataclass(frozen=True, slots=True)
class RefreshRequest:
    """The grant's parameters."""

    refresh_token: str
    scope: str | None
    resources: tuple[str, ...]


def parse(form: Form) -> RefreshRequest:
    """Read the parameters."""
    return RefreshRequest(form.require("refresh_token"), form.get("scope"), form.resources)


async def authorize(tx: Transaction, call: TokenCall, request: RefreshRequest) -> Authorization | Refused:
    """Judge everything that could refuse the request first, then rotate; a refusal spends nothing."""
    found = await _find_presented(tx, call, request.refresh_token)
    if found is None:
        return Refused(invalid_grant("not a refresh token of this client, or without the key it is bound to"))
    family, generation = found
    grant = await find_live_grant(tx, family.project_id, family.grant_id, even_stopped=True)
    resource = call.view.resource(grant.resource_id) if grant else None
    if grant is None or resource is None:
        return Refused(invalid_grant("the connection was ended"), family.grant_id)
    try:
        call.check_time(grant)
        call.check_open(resource)
        check_resource_within(request.resources, resource)
        scope = narrow_scopes(request.scope, still_offered(grant.scope, resource))
    except OAuthError as error:
        return Refused(error, grant.grant_id)
    access_token_ms = access_token_seconds(resource, call.view.project.settings) * 1000
    verdict = judge_refresh(family, generation, now=call.now, access_token_ms=access_token_ms)
    if verdict == "rotate":
        return await _rotate(tx, call, family, grant, resource, scope)
    if verdict == "repeat":
        await _record(tx, call, grant, audit.TOKEN_REFRESHED, repeated=True)
        return _authorization(family, generation + 1, grant, resource, scope)
    if verdict == "reused":
        await _end_family(tx, call, family, grant, generation)
        return Refused(invalid_grant("a spent refresh token came back: the connection was ended"), grant.grant_id)
    return Refused(invalid_grant("the refresh token has expired"), grant.grant_id)


async def _find_presented(tx: Transaction, call: TokenCall, token: str) -> tuple[RefreshFamily, int] | None:
    """The family and generation of a token that is genuine and this client's."""
    claimed = RefreshTokens.parse(token)
    if claimed is None:
        return None
    family_id, generation = claimed
    family = await find_family(tx, call.view.project.project_id, family_id)
    if family is None or family.client_id != call.client.client_id or generation > family.generation:
        return None
    if family.dpop_jkt is not None and family.dpop_jkt != call.jkt:
        return None
    genuine = call.refresh_tokens.derive(family_id, family.salt, generation)
    return (family, generation) if hmac.compare_digest(genuine, token) else None


async def _rotate(
    tx: Transaction, call: TokenCall, family: RefreshFamily, grant: Grant, resource: Resource, scope: Scopes
) -> Authorization | Refused:
    idle = call.now + call.view.project.settings.refresh_idle_seconds * 1000
    rotated = await rotate_family(
        tx,
        family.project_id,
        family.family_id,
        family.generation,
        now=call.now,
        idle_expires_at=min(idle, family.absolute_expires_at),
        source=call.source,
        agent=call.agent,
    )
    if rotated is None:
        # Between our look and our step another node ended the line, or rotated: by now this is the predecessor,
        # inside its window unless its policy is strict.
        current = await find_family(tx, family.project_id, family.family_id)
        if current is None or current.revoked_at is not None:
            return Refused(invalid_grant("the connection was ended"), grant.grant_id)
        if family.policy == "strict":
            await _end_family(tx, call, family, grant, family.generation)
            return Refused(invalid_grant("a spent refresh token came back: the connection was ended"), grant.grant_id)
        await _record(tx, call, grant, audit.TOKEN_REFRESHED, repeated=True)
        return _authorization(family, family.generation + 1, grant, resource, scope)
    if grant.last_used_at is None or call.now - grant.last_used_at > TOUCH_EVERY_MS:
        await touch_grant(tx, grant.project_id, grant.grant_id, call.now)
        await touch_client(tx, grant.project_id, grant.client_id, call.now, call.client_expires_at)
    await _record(tx, call, grant, audit.TOKEN_REFRESHED, repeated=False)
    return _authorization(rotated, rotated.generation, grant, resource, scope)


async def _end_family(tx: Transaction, call: TokenCall, family: RefreshFamily, grant: Grant, generation: int) -> None:
    """Reuse outside the windows: the lineage and its grant are over, and an incident names both presenters."""
    await revoke_family(tx, family.project_id, family.family_id, call.now)
    await revoke_grant(tx, family.project_id, family.grant_id, call.now)
    await _record(
        tx,
        call,
        grant,
        audit.REFRESH_REUSED,
        looks_like=judge_reuse(family, source=call.source, agent=call.agent, now=call.now),
        presented_generation=generation,
        current_generation=family.generation,
        rotated_by={"source": family.last_source, "agent": family.last_agent, "ms_ago": call.now - family.rotated_at},
    )


def _authorization(
    family: RefreshFamily, generation: int, grant: Grant, resource: Resource, scope: Scopes
) -> Authorization:
    return Authorization(
        subject=grant.user_id,
        client_id=grant.client_id,
        resource=resource,
        scope=scope,
        grant_id=grant.grant_id,
        family=family,
        generation=generation,
        alias=grant.alias,
        auth_time=grant.auth_time,
        not_after=grant.expires_at,
        tools_at=grant.tools_at,
    )


async def _record(tx: Transaction, call: TokenCall, grant: Grant, action: str, **detail: object) -> None:
    event = AuditEvent(
        action,
        audit.client_actor(grant.client_id),
        grant.grant_id,
        {"source": call.source, "agent": call.agent, **detail},
    )
    await record(tx, grant.project_id, event, call.now)
