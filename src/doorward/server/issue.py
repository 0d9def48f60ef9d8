"""The only place where tokens are made.

Spec: RFC 9068 §2.2 (AT-01 … AT-03); OAuth 2.1 §3.2.3 (TOK-03); clients.md no. 43
"""

from typing import Any

from doorward.core.models import Authorization
from doorward.core.secrets import RefreshTokens, new_id
from doorward.oauth.jwt import sign_access_token
from doorward.oauth.scopes import OFFLINE_ACCESS, format_scope

from .tenancy import ProjectView

GRANT_CLAIM = "grant_id"
"""Ties an access token to its grant, so that introspection and the revocation feed can end it at once."""


def issue_tokens(
    view: ProjectView, authorization: Authorization, refresh_tokens: RefreshTokens, *, now: int
) -> dict[str, Any]:
    """The token response: an audience-bound access token, and a refresh token when the grant has a lineage.

    No member is ever null and `expires_in` is a number: several clients stop at anything else.
    """
    lifetime = view.project.settings.access_token_seconds
    answer: dict[str, Any] = {
        "access_token": sign_access_token(_claims(view, authorization, now // 1000, lifetime), view.signer),
        "token_type": "Bearer",
        "expires_in": lifetime,
        "scope": format_scope(authorization.scope),
    }
    family = authorization.family
    if family is not None:
        answer["refresh_token"] = refresh_tokens.derive(family.family_id, family.salt, authorization.generation)
    return answer


def _claims(view: ProjectView, authorization: Authorization, now: int, lifetime: int) -> dict[str, Any]:
    return {
        "iss": view.issuer,
        "sub": authorization.user_id,
        "aud": authorization.resource.uri,
        "client_id": authorization.client_id,
        "scope": format_scope(scope for scope in authorization.scope if scope != OFFLINE_ACCESS),
        "jti": new_id("mat"),
        "iat": now,
        "exp": now + lifetime,
        GRANT_CLAIM: authorization.grant_id,
    }
