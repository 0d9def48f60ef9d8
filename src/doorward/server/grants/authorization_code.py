"""The authorization code grant.

A request that fails leaves the code usable by its owner; one that succeeds spends it for good; a valid replay ends
everything the code ever gave.

Spec: OAuth 2.1 §4.1.3 (CODE-01 … CODE-06, T22 … T24, T31)
"""

import hmac
from dataclasses import dataclass

from doorward.core import audit
from doorward.core.models import AuditEvent, Authorization, Code, Grant, RefreshFamily, Refused, Resource
from doorward.core.policy import check_resource_within, reuse_policy
from doorward.core.secrets import CODE, hash_secret, is_well_formed, new_family_id, new_salt
from doorward.oauth.errors import OAuthError, invalid_grant
from doorward.oauth.forms import Form
from doorward.oauth.ids import TokenHash
from doorward.oauth.pkce import build_challenge, parse_verifier
from doorward.storage.audit import record
from doorward.storage.clients import touch_client
from doorward.storage.codes import Consumed, Reused, consume_code, count_failed_try, find_code
from doorward.storage.database import Transaction
from doorward.storage.grants import find_live_grant, revoke_grant, touch_grant
from doorward.storage.tokens import start_family

from .call import TokenCall

GRANT_TYPE = "authorization_code"


@dataclass(frozen=True, slots=True)
class CodeRequest:
    """The grant's parameters; an impossible code is carried as None, so that it is refused like an unknown one."""

    code_hash: TokenHash | None
    code_verifier: str
    redirect_uri: str | None
    resources: tuple[str, ...]


def parse(form: Form) -> CodeRequest:
    """Read the parameters; `scope` is ignored here, as some clients send it."""
    code = form.require("code")
    return CodeRequest(
        code_hash=hash_secret(code) if is_well_formed(code, CODE) else None,
        code_verifier=parse_verifier(form.get("code_verifier")),
        redirect_uri=form.get("redirect_uri"),
        resources=form.resources,
    )


async def authorize(tx: Transaction, call: TokenCall, request: CodeRequest) -> Authorization | Refused:
    """Judge the request against the stored code, then spend it: one winner, whoever else tries."""
    judged = await _judge(tx, call, request)
    if isinstance(judged, Refused):
        return judged
    code, grant, resource = judged
    outcome = await consume_code(tx, code.project_id, code.code_hash, call.client.client_id, call.now)
    if isinstance(outcome, Consumed):
        return await open_connection(tx, call, grant, resource, audit.CODE_REDEEMED)
    if isinstance(outcome, Reused):
        await revoke_grant(tx, grant.project_id, grant.grant_id, call.now)
        await _record(tx, call, grant, audit.CODE_REUSED)
        return Refused(invalid_grant("the code was redeemed before: everything it gave was ended"), grant.grant_id)
    return Refused(invalid_grant("the code has expired, or was guessed at too often"), grant.grant_id)


async def _judge(tx: Transaction, call: TokenCall, request: CodeRequest) -> tuple[Code, Grant, Resource] | Refused:
    """Everything that can refuse the request without spending the code."""
    project_id = call.view.project.project_id
    code = await find_code(tx, project_id, request.code_hash) if request.code_hash else None
    if code is None:
        return Refused(invalid_grant("there is no such code"))
    if (reason := _find_mismatch(call, code, request)) is not None:
        return Refused(invalid_grant(reason), code.grant_id)
    if not hmac.compare_digest(build_challenge(request.code_verifier), code.code_challenge):
        await count_failed_try(tx, project_id, code.code_hash)
        return Refused(invalid_grant("the code_verifier does not match the code_challenge"), code.grant_id)
    grant = await find_live_grant(tx, project_id, code.grant_id, even_stopped=True)
    resource = call.view.resource(grant.resource_id) if grant else None
    if grant is None or resource is None:
        return Refused(invalid_grant("the connection was ended"), code.grant_id)
    try:
        call.check_time(grant)
        call.check_open(resource)
        check_resource_within(request.resources, resource)
    except OAuthError as error:
        return Refused(error, grant.grant_id)
    return code, grant, resource


async def open_connection(
    tx: Transaction, call: TokenCall, grant: Grant, resource: Resource, action: str
) -> Authorization:
    """What a connection is given first, whatever was spent for it: a token and, for clients that refresh, a lineage."""
    family = None
    if "refresh_token" in call.client.metadata.grant_types:
        family = build_family(call, grant)
        await start_family(tx, family)
    await touch_grant(tx, grant.project_id, grant.grant_id, call.now)
    if call.is_first_use_in_a_while:
        await touch_client(tx, grant.project_id, grant.client_id, call.now, call.client_expires_at)
    await _record(tx, call, grant, action)
    return Authorization(
        subject=grant.user_id,
        client_id=grant.client_id,
        resource=resource,
        scope=grant.scope,
        grant_id=grant.grant_id,
        family=family,
        alias=grant.alias,
        auth_time=grant.auth_time,
        not_after=grant.expires_at,
        tools_at=grant.tools_at,
    )


def build_family(call: TokenCall, grant: Grant) -> RefreshFamily:
    """The lineage of a connection's refresh tokens; a public client's is bound to the key it proved. Spec: DPOP-04"""
    settings = call.view.project.settings
    bound_to = call.jkt if call.client.is_public else None
    absolute = call.now + settings.refresh_absolute_seconds * 1000
    if grant.expires_at is not None:
        absolute = min(absolute, grant.expires_at)
    return RefreshFamily(
        project_id=grant.project_id,
        family_id=new_family_id(),
        grant_id=grant.grant_id,
        client_id=grant.client_id,
        salt=new_salt(),
        policy=reuse_policy(call.client, settings, is_bound=bound_to is not None),
        generation=0,
        rotated_at=call.now,
        previous_rotated_at=call.now,
        idle_expires_at=min(absolute, call.now + settings.refresh_idle_seconds * 1000),
        absolute_expires_at=absolute,
        dpop_jkt=bound_to,
        last_source=call.source,
        last_agent=call.agent,
    )


def _find_mismatch(call: TokenCall, code: Code, request: CodeRequest) -> str | None:
    """What of the request is not as the code was asked for.

    OAuth 2.1 clients send no redirect URI here, others send the one they sent before (CODE-04). Without its key, a
    code that was asked for with one was stolen on its way (CODE-05).
    """
    if code.client_id != call.client.client_id:
        return "the code was given to another client"
    if request.redirect_uri is not None and request.redirect_uri != code.redirect_uri:
        return "the redirect_uri is not the one of the authorization request"
    if code.dpop_jkt is not None and code.dpop_jkt != call.jkt:
        return "the code was asked for with a key that was not proven"
    return None


async def _record(tx: Transaction, call: TokenCall, grant: Grant, action: str) -> None:
    detail = {"source": call.source, "agent": call.agent, "resource": grant.resource_id}
    await record(
        tx, grant.project_id, AuditEvent(action, audit.client_actor(grant.client_id), grant.grant_id, detail), call.now
    )
