"""Revocation: a client gives a token back.

Spec: RFC 7009 (REV-01 … REV-07, T29); clients.md no. 11
"""

import hmac

from doorward.asgi import Request, Response, json_response
from doorward.core import audit
from doorward.core.limits import REVOKE_TOKENS
from doorward.core.models import AuditEvent, Client
from doorward.core.secrets import RefreshTokens
from doorward.oauth.forms import parse_form
from doorward.oauth.jwt import GRANT_CLAIM, VerifiedClaims
from doorward.storage.audit import record
from doorward.storage.database import Transaction
from doorward.storage.grants import revoke_grant
from doorward.storage.throttles import spend
from doorward.storage.tokens import find_family, revoke_access_token, revoke_family

from .client_auth import authenticate_client
from .context import Context
from .introspection import find_access_token
from .tenancy import ProjectView
from .too_many import TooManyRequests


async def answer_revoke(context: Context, view: ProjectView, request: Request) -> Response:
    """Revoke the client's own token; 200 whether or not there was one to revoke. The type hint is not needed."""
    form = parse_form(await request.body(), request.header("content-type"))
    client = await authenticate_client(context, view, request, form)
    token = form.require("token")
    if RefreshTokens.parse(token) is not None:
        await context.database.write(_revoke_refresh_token, client, context.refresh_tokens, token, request.now)
    else:
        claims = await find_access_token(context, view, token, now=request.now)
        if claims is not None and claims["client_id"] == client.client_id:
            wait = await context.database.write(_revoke_access_token, client, claims, request.now)
            if wait:
                raise TooManyRequests(wait)
    return json_response({})


async def _revoke_refresh_token(
    tx: Transaction, client: Client, refresh_tokens: RefreshTokens, token: str, now: int
) -> None:
    """End the lineage and its grant, and so every access token of it. Spec: RFC 7009 §2.1 (REV-04)"""
    claimed = RefreshTokens.parse(token)
    family = await find_family(tx, client.project_id, claimed[0]) if claimed else None
    if claimed is None or family is None or family.client_id != client.client_id:
        return
    if not hmac.compare_digest(refresh_tokens.derive(family.family_id, family.salt, claimed[1]), token):
        return
    await revoke_family(tx, client.project_id, family.family_id, now)
    if await revoke_grant(tx, client.project_id, family.grant_id, now):
        event = AuditEvent(audit.GRANT_REVOKED, audit.client_actor(client.client_id), family.grant_id)
        await record(tx, client.project_id, event, now)


async def _revoke_access_token(tx: Transaction, client: Client, claims: VerifiedClaims, now: int) -> int:
    """End this access token alone; the milliseconds to wait when too many of its connection were ended so."""
    connection = str(claims.get(GRANT_CLAIM, client.client_id))[:256]
    if wait := await spend(tx, client.project_id, REVOKE_TOKENS, connection, now):
        return wait
    if await revoke_access_token(tx, client.project_id, claims["jti"], int(claims["exp"]) * 1000, now):
        event = AuditEvent(audit.TOKEN_REVOKED, audit.client_actor(client.client_id), claims["jti"])
        await record(tx, client.project_id, event, now)
    return 0
