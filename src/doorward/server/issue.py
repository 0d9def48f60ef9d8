"""The only place where tokens are made.

In two halves: what has to be stored of a token is stored in the transaction that decided on it, and signing, which
takes longer than anything else, waits for the commit.

Spec: RFC 9068 §2.2 (AT-01 … AT-03); OAuth 2.1 §3.2.3 (TOK-03); RFC 9449 §5 (DPOP-03); clients.md no. 43
"""

import json
from dataclasses import dataclass
from typing import Any

from doorward.core.models import Authorization
from doorward.core.policy import access_token_seconds, asked_alias
from doorward.core.secrets import ACCESS_TOKEN, RefreshTokens, hash_secret, new_id, new_secret
from doorward.oauth.budgets import BUDGETS_CLAIM
from doorward.oauth.jwt import GRANT_CLAIM, TOOLS_CLAIM, sign_access_token
from doorward.oauth.scopes import OFFLINE_ACCESS, format_scope
from doorward.storage.access_tokens import add_access_token
from doorward.storage.database import Transaction

from .tenancy import ProjectView


@dataclass(frozen=True, slots=True)
class Decided:
    """Tokens that were decided on and, where they have to be, stored; `issue_tokens` writes them out."""

    authorization: Authorization
    claims: dict[str, Any]
    opaque: str | None

    @property
    def user_id(self) -> str | None:
        """The person it speaks for, where there is one."""
        return self.authorization.subject if self.authorization.grant_id is not None else None


async def decide_tokens(
    tx: Transaction, view: ProjectView, authorization: Authorization, *, jkt: str | None, now: int
) -> Decided:
    """Settle what the tokens of an authorization say, in the transaction of the grant that gave it.

    `jkt` is the thumbprint of the key that the client proved: the access token is then bound to it.
    """
    claims = _build_claims(view, authorization, jkt, now)
    if authorization.resource.settings.token_format == "jwt":
        return Decided(authorization, claims, None)
    token = new_secret(ACCESS_TOKEN)
    text = json.dumps(claims, separators=(",", ":"))
    await add_access_token(tx, view.project.project_id, hash_secret(token), text, claims["exp"] * 1000)
    return Decided(authorization, claims, token)


def issue_tokens(view: ProjectView, decided: Decided, refresh_tokens: RefreshTokens) -> dict[str, Any]:
    """The token response: an audience-bound access token, and a refresh token when the grant has a lineage.

    No member is ever null and `expires_in` is a number: several clients stop at anything else.
    """
    authorization, claims = decided.authorization, decided.claims
    signer = view.signer(authorization.resource.settings.token_alg)
    answer: dict[str, Any] = {
        "access_token": decided.opaque or sign_access_token(claims, signer),
        "token_type": "DPoP" if "cnf" in claims else "Bearer",
        "expires_in": claims["exp"] - claims["iat"],
        "scope": format_scope(authorization.scope),
        **authorization.answer,
    }
    family = authorization.family
    if family is not None:
        answer["refresh_token"] = refresh_tokens.derive(family.family_id, family.salt, authorization.generation)
    return answer


def _build_claims(view: ProjectView, authorization: Authorization, jkt: str | None, now: int) -> dict[str, Any]:
    resource, issued_at = authorization.resource, now // 1000
    expires_at = issued_at + access_token_seconds(resource, view.project.settings)
    if authorization.not_after is not None:
        expires_at = min(expires_at, authorization.not_after // 1000)
    # An alias that was taken away may be another server's by now.
    alias = asked_alias((authorization.alias,), resource) if authorization.alias else None
    claims: dict[str, Any] = {
        "iss": view.issuer,
        "sub": authorization.subject,
        "aud": [resource.uri, alias] if alias else resource.uri,
        "client_id": authorization.client_id,
        "scope": format_scope(scope for scope in authorization.scope if scope != OFFLINE_ACCESS),
        "jti": new_id("mat"),
        "iat": issued_at,
        "exp": expires_at,
    }
    if authorization.grant_id is not None:
        claims[GRANT_CLAIM] = authorization.grant_id
    tools_at = resource.tools_version if authorization.tools_at is None else authorization.tools_at
    if tools_at:
        claims[TOOLS_CLAIM] = tools_at
    if authorization.auth_time is not None:
        claims["auth_time"] = authorization.auth_time // 1000
    if resource.settings.budgets:
        claims[BUDGETS_CLAIM] = list(resource.settings.budgets)
    if jkt is not None:
        claims["cnf"] = {"jkt": jkt}
    return claims | authorization.claims
