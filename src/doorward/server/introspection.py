"""Introspection: whether an access token is live, told only to those it concerns.

Spec: RFC 7662 (INT-01 … INT-07, T28)
"""

import json
from collections.abc import Mapping
from typing import Any

from doorward.asgi import Request, Response, json_response
from doorward.core.models import Client, ProjectKey, Resource
from doorward.core.secrets import ACCESS_TOKEN, hash_secret, is_well_formed
from doorward.oauth.budgets import BUDGETS_CLAIM
from doorward.oauth.forms import parse_form
from doorward.oauth.jwt import (
    CAME_FROM_CLAIM,
    CAME_THROUGH_CLAIM,
    GRANT_CLAIM,
    TOOLS_CLAIM,
    InvalidToken,
    VerifiedClaims,
)
from doorward.storage.access_tokens import Standing, find_access_token_claims, is_token_live

from .client_auth import authenticate_client
from .context import Context
from .registration import authenticate_key, unauthorized
from .tenancy import ProjectView

_MEMBERS = (
    *("iss", "sub", "aud", "client_id", "scope", "jti", "iat", "exp"),
    *("auth_time", "cnf", "act", "may_act", GRANT_CLAIM, TOOLS_CLAIM, BUDGETS_CLAIM),
)


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
    token_type = "DPoP" if "cnf" in claims else "Bearer"
    return json_response({"active": True, "token_type": token_type, "username": claims["sub"], **members})


async def find_access_token(context: Context, view: ProjectView, token: str, *, now: int) -> VerifiedClaims | None:
    """The claims of a live access token of this project: of its making, unexpired, and nothing it hangs off ended."""
    claims = await _read_claims(context, view, token, now=now)
    if claims is None or await is_revoked(context, view, claims):
        return None
    return claims


async def is_revoked(context: Context, view: ProjectView, claims: VerifiedClaims) -> bool:
    """Whether a token that verifies was ended before its time."""
    return not await context.database.read(is_token_live, view.project.project_id, standing_of(view, claims))


def standing_of(view: ProjectView, claims: Mapping[str, Any]) -> Standing:
    """What a token of this project hangs off, by its verified claims."""
    resource = find_audience(view, claims["aud"])
    passed = [(entry["client_id"], find_audience(view, entry["aud"])) for entry in claims.get(CAME_THROUGH_CLAIM, ())]
    return Standing(
        jti=claims["jti"],
        client_id=claims["client_id"],
        issued_at=int(claims["iat"]) * 1000,
        grant_id=claims.get(GRANT_CLAIM),
        resource_id=resource.resource_id if resource else None,
        came_from=claims.get(CAME_FROM_CLAIM, ()),
        came_through=[(client_id, through.resource_id if through else None) for client_id, through in passed],
    )


def find_audience(view: ProjectView, audience: str | list[str]) -> Resource | None:
    """The resource that a token's audience names."""
    named = [audience] if isinstance(audience, str) else audience
    found = next((resource for resource in view.resources if resource.uri in named), None)
    # A name that it does not have any more may be another server's by now: then the token is nobody's.
    return found if found is not None and {*named} <= {found.uri, *found.settings.aliases} else None


async def _read_claims(context: Context, view: ProjectView, token: str, *, now: int) -> VerifiedClaims | None:
    if is_well_formed(token, ACCESS_TOKEN):
        text = await context.database.read(find_access_token_claims, view.project.project_id, hash_secret(token), now)
        return VerifiedClaims(json.loads(text)) if text else None
    try:
        return context.verified_tokens.read(view, token, now=now // 1000)
    except InvalidToken:
        return None


def _concerns(view: ProjectView, caller: ProjectKey | Client, claims: VerifiedClaims) -> bool:
    """A key sees the tokens of its resource, or of every resource when it names none; a client its own."""
    if isinstance(caller, Client):
        return bool(claims["client_id"] == caller.client_id)
    if caller.resource_id is None:
        return True
    resource = find_audience(view, claims["aud"])
    return resource is not None and resource.resource_id == caller.resource_id
