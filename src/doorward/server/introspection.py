"""Introspection: whether an access token is live, told only to those it concerns.

Spec: RFC 7662 (INT-01 … INT-07, T28)
"""

from doorward.asgi import Request, Response, json_response
from doorward.core.models import Client, ProjectKey
from doorward.oauth.forms import parse_form
from doorward.oauth.ids import ProjectId
from doorward.oauth.jwt import InvalidToken, VerifiedClaims, read_kid, verify_access_token
from doorward.storage.database import Transaction
from doorward.storage.grants import find_live_grant
from doorward.storage.tokens import is_access_token_revoked

from .client_auth import authenticate_client
from .context import Context
from .issue import GRANT_CLAIM
from .registration import authenticate_key, unauthorized
from .tenancy import ProjectView

_MEMBERS = ("iss", "sub", "aud", "client_id", "scope", "jti", "iat", "exp")


async def answer_introspect(context: Context, view: ProjectView, request: Request) -> Response:
    """Answer a project key that may introspect, or a confidential client about its own tokens."""
    form = parse_form(await request.body(), request.header("content-type"))
    caller: ProjectKey | Client | None = await authenticate_key(context, view, request, "introspect")
    if caller is None:
        caller = await authenticate_client(context, view, request, form)
        if caller.is_public:
            raise unauthorized("Introspection needs a project key or a client secret.", presented=False)
    claims = await find_access_token(context, view, form.require("token"), now=request.now)
    if claims is None or not _concerns(view, caller, claims):
        return json_response({"active": False})
    members = {name: claims[name] for name in _MEMBERS if name in claims}
    return json_response({"active": True, "token_type": "Bearer", "username": claims["sub"], **members})


async def find_access_token(context: Context, view: ProjectView, token: str, *, now: int) -> VerifiedClaims | None:
    """The claims of a live access token of this project: signed by it, unexpired, not revoked, its grant alive."""
    try:
        key = view.keys.get(read_kid(token))
        if key is None:
            return None
        claims = verify_access_token(
            token, key, issuer=view.issuer, accepts_audience=lambda _: True, now=now // 1000, leeway=0
        )
    except InvalidToken:
        return None
    live = await context.database.read(_is_live, view.project.project_id, claims["jti"], claims.get(GRANT_CLAIM, ""))
    return claims if live else None


async def is_revoked(context: Context, view: ProjectView, claims: VerifiedClaims) -> bool:
    """Whether a token that verifies was ended before its time."""
    grant_id = claims.get(GRANT_CLAIM, "")
    return not await context.database.read(_is_live, view.project.project_id, claims["jti"], grant_id)


async def _is_live(tx: Transaction, project_id: ProjectId, jti: str, grant_id: str) -> bool:
    if await find_live_grant(tx, project_id, grant_id) is None:
        return False
    return not await is_access_token_revoked(tx, project_id, jti)


def _concerns(view: ProjectView, caller: ProjectKey | Client, claims: VerifiedClaims) -> bool:
    """A key sees the tokens of its resource, or of every resource when it names none; a client its own."""
    if isinstance(caller, Client):
        return bool(claims["client_id"] == caller.client_id)
    if caller.resource_id is None:
        return True
    resource = view.resource(caller.resource_id)
    return resource is not None and claims["aud"] == resource.uri
