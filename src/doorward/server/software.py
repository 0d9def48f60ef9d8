"""Software statements: a trusted issuer vouches for what a client says of itself.

Spec: RFC 7591 §2.3, §3.1.1 (DCR-06)
"""

import json
from typing import Any

from doorward.oauth.errors import INVALID_SOFTWARE_STATEMENT, UNAPPROVED_SOFTWARE_STATEMENT, OAuthError
from doorward.oauth.jwt import InvalidToken, is_time, parse_jwks, read_unverified, verify_signature
from doorward.storage.registrations import find_software_issuer

from .context import Context
from .tenancy import ProjectView

_ACCEPTED_TYPES = frozenset({"", "jwt", "software-statement+jwt", "application/software-statement+jwt"})
_LEEWAY_SECONDS = 60
_NOT_METADATA = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})


async def apply_software_statement(
    context: Context, view: ProjectView, members: dict[str, Any], *, now: int
) -> tuple[dict[str, Any], str | None]:
    """(metadata with the statement's claims laid over it, the issuer that vouches); (members, None) without one.

    Raises `invalid_software_statement` for one that cannot be right, `unapproved_software_statement` for one of an
    issuer that this project does not trust.
    """
    statement = members.get("software_statement")
    if statement is None:
        return members, None
    try:
        header, claims = read_unverified(
            statement if isinstance(statement, str) else "", accepted_types=_ACCEPTED_TYPES
        )
    except InvalidToken:
        raise OAuthError(INVALID_SOFTWARE_STATEMENT, "The software statement is not a signed JWT.") from None
    issuer = claims.get("iss")
    jwks = (
        await context.database.read(find_software_issuer, view.project.project_id, issuer)
        if isinstance(issuer, str)
        else None
    )
    if jwks is None or not isinstance(issuer, str):
        raise OAuthError(UNAPPROVED_SOFTWARE_STATEMENT, "The software statement's issuer is not trusted here.")
    keys = parse_jwks(json.loads(jwks))
    kid = header.get("kid")
    for key in [keys[kid]] if isinstance(kid, str) and kid in keys else list(keys.values()):
        try:
            verified = verify_signature(statement, key)
        except InvalidToken:
            continue
        _check_times(verified, now // 1000)
        if {"aud", "nonce"} & verified.keys():
            raise OAuthError(INVALID_SOFTWARE_STATEMENT, "This is another kind of token than a software statement.")
        vouched = {name: value for name, value in verified.items() if name not in _NOT_METADATA}
        # Who vouches for a name alone lets its bearer choose where codes go: then nobody vouches.
        return {**members, **vouched}, issuer if "redirect_uris" in vouched else None
    raise OAuthError(INVALID_SOFTWARE_STATEMENT, "No key of the issuer verifies the software statement.")


def _check_times(claims: dict[str, Any], now: int) -> None:
    exp, nbf = claims.get("exp"), claims.get("nbf")
    is_over = exp is not None and (not is_time(exp) or exp + _LEEWAY_SECONDS <= now)
    is_early = nbf is not None and (not is_time(nbf) or nbf - _LEEWAY_SECONDS > now)
    if is_over or is_early:
        raise OAuthError(INVALID_SOFTWARE_STATEMENT, "The software statement is not valid now.")
