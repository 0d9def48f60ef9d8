"""Assertions of issuers: which trusts an assertion comes under, by whose key it is signed. Nothing else is judged here.

Keys come from the trust itself or from the one place that an operator wrote into it, through the same guard as every
other document; nothing that an assertion says leads anywhere.

Spec: RFC 7521 §5.2; RFC 7523 §3 (JAG-06, JAG-15, WIF-03; T5, T33, T34)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from doorward.core.trust import TrustedIssuer
from doorward.oauth.errors import OAuthError
from doorward.oauth.grant_assertions import read_assertion
from doorward.oauth.jwt import InvalidToken, verify_with_any
from doorward.storage.trusted_issuers import find_trusts_in

from .context import Context
from .published_keys import find_published_keys
from .tenancy import ProjectView


@dataclass(frozen=True, slots=True)
class SignedAssertion:
    """An assertion that an issuer of the project's signed. Its claims are as they are: nothing of them is judged."""

    issuer: str
    trusts: tuple[TrustedIssuer, ...]
    """The trusts whose keys verify it, oldest first; at least one."""
    claims: Mapping[str, Any]


async def verify_assertion(context: Context, view: ProjectView, assertion: str) -> SignedAssertion:
    """The assertion, once a key of a trusted issuer verifies it. Raises `InvalidToken`, and 503 without the keys.

    This very server is nobody's issuer here, whatever was written down: what it says of itself proves nothing (JAG-15).
    """
    told = read_assertion(assertion)
    if told.issuer == context.settings.public_url or told.issuer.startswith(f"{context.settings.public_url}/"):
        raise InvalidToken("its issuer is this server itself")
    trusts = await context.database.read(find_trusts_in, view.project.project_id, told.issuer, told.kind)
    if not trusts:
        raise InvalidToken("its issuer is not trusted here for this kind of assertion")
    verified: list[TrustedIssuer] = []
    claims: dict[str, Any] = {}
    failed: InvalidToken | OAuthError | None = None
    for trust in trusts:
        try:
            keys = await find_published_keys(context, trust.jwks, trust.jwks_uri, told.kid)
            claims = verify_with_any(assertion, keys, told.kid)
            verified.append(trust)
        except (InvalidToken, OAuthError) as reason:
            failed = reason
    if failed is not None and not verified:
        raise failed
    return SignedAssertion(told.issuer, tuple(verified), claims)
