"""Client assertions: a client proves who it is with a JWT signed by its own key.

Spec: RFC 7523 §2.2, §3 as changed by rfc7523bis (CAU-07 … CAU-12, T32)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .jwt import InvalidToken, VerificationKey, is_time, read_unverified, verify_with_any

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MAX_LIFE_SECONDS = 300
FUTURE_LEEWAY_SECONDS = 10
# Other kinds of JWT must never pass for this one (AT-08); most clients send no typ, or JWT.
_ACCEPTED_TYPES = frozenset({"", "jwt", "client-authentication+jwt", "application/client-authentication+jwt"})


@dataclass(frozen=True, slots=True)
class ClientAssertion:
    """An assertion whose every claim was checked; `jti` still has to be claimed, once."""

    client_id: str
    jti: str
    expires_at: int


def read_assertion_subject(token: str) -> tuple[str, str | None]:
    """(client_id, kid) that an assertion claims, so that its keys can be found; nothing is verified yet.

    Raises `InvalidToken`.
    """
    header, claims = read_unverified(token, accepted_types=_ACCEPTED_TYPES)
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject or claims.get("iss") != subject:
        raise InvalidToken("iss and sub must both be the client_id")
    kid = header.get("kid")
    return subject, kid if isinstance(kid, str) else None


def verify_client_assertion(
    token: str, keys: Mapping[str, VerificationKey], *, accepts_audience: Callable[[str], bool], now: int
) -> ClientAssertion:
    """The assertion, once signature, audience and times hold. `aud` is one value, and ours. Raises `InvalidToken`."""
    client_id, kid = read_assertion_subject(token)
    claims = verify_with_any(token, keys, kid)
    audience = claims.get("aud")
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    if not isinstance(audience, str) or not accepts_audience(audience):
        raise InvalidToken("aud must be the issuer alone")
    exp, jti = claims.get("exp"), claims.get("jti")
    if not is_time(exp) or exp <= now or exp > now + MAX_LIFE_SECONDS + FUTURE_LEEWAY_SECONDS:
        raise InvalidToken("exp has passed or is too far ahead")
    for name in ("iat", "nbf"):
        value = claims.get(name)
        if value is not None and (not is_time(value) or value > now + FUTURE_LEEWAY_SECONDS):
            raise InvalidToken(f"{name} is in the future")
    if not isinstance(jti, str) or not 0 < len(jti) <= 256:
        raise InvalidToken("jti is missing")
    return ClientAssertion(client_id, jti, int(exp))
