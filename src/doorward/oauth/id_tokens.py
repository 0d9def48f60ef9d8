"""ID tokens of providers: who somebody is, said to us, in answer to this very request.

Nothing here looks a key up: `read_id_token` tells which one is needed, and `check_id_token` is for claims whose
signature was verified.

Spec: OpenID Connect Core 1.0 §2, §3.1.3.7 (T33, T36, T37)
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .jwt import InvalidToken, check_times, is_time, read_unverified

LEEWAY_SECONDS = 60
MAX_AGE_SECONDS = 900
"""How long ago an ID token that was just fetched may have been made."""
MAX_SUBJECT_LENGTH = 255
MAX_TEXT_LENGTH = 512
_TYPES = frozenset({"", "jwt", "jose", "id+jwt"})
_HEADER_MEMBERS = frozenset({"alg", "kid", "typ", "x5t", "x5t#S256"})
_ENTRA = "https://login.microsoftonline.com/"


@dataclass(frozen=True, slots=True)
class Claims:
    """What of an identity is used. `email` is empty where there is none, or it is no plain text."""

    issuer: str
    subject: str
    email: str
    is_email_proven: bool
    name: str


def read_id_token(token: str) -> str | None:
    """The `kid` of an ID token, or None where it names no key. Raises `InvalidToken`, also for `none` and HMAC.

    Spec: RFC 8725 §3.1, §3.2, §3.11
    """
    header, _ = read_unverified(token, accepted_types=_TYPES, header_members=_HEADER_MEMBERS)
    kid = header.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise InvalidToken("kid is not a string")
    return kid


def check_id_token(claims: Mapping[str, Any], *, issuer: str, client_id: str, nonce: str, now: int) -> Claims:
    """The identity, once the token is of this issuer, for this client, for this request, and for now.

    `now` is seconds. Raises `InvalidToken`. Spec: OpenID Connect Core 1.0 §3.1.3.7
    """
    if claims.get("iss") != issuer:
        raise InvalidToken("iss is another issuer")
    _check_audience(claims, client_id)
    check_times(claims, now=now, leeway=LEEWAY_SECONDS)
    issued_at = claims.get("iat")
    if not is_time(issued_at) or issued_at < now - MAX_AGE_SECONDS:
        raise InvalidToken("iat is missing or too long ago")
    sent = claims.get("nonce")
    if not isinstance(sent, str) or not hmac.compare_digest(sent.encode("utf-8", "surrogatepass"), nonce.encode()):
        raise InvalidToken("nonce is not that of this sign-in")
    return read_claims(claims, issuer)


def read_claims(claims: Mapping[str, Any], issuer: str) -> Claims:
    """The members of verified claims, or of a provider's answer about a person, that say who it is.

    Raises `InvalidToken` without a subject. Spec: OpenID Connect Core 1.0 §5.1, §5.7
    """
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_LENGTH or not subject.isprintable():
        raise InvalidToken("sub is missing, too long or not text")
    email = _text(claims.get("email"))
    return Claims(issuer, subject, email, bool(email) and _is_proven(claims, issuer), _text(claims.get("name")))


def _check_audience(claims: Mapping[str, Any], client_id: str) -> None:
    """One token for several parties has to say that we are the one that asked for it."""
    audience, party = claims.get("aud"), claims.get("azp")
    entries = [audience] if isinstance(audience, str) else audience
    if not isinstance(entries, list) or client_id not in entries:
        raise InvalidToken("aud is another client")
    if party is not None and party != client_id:
        raise InvalidToken("azp is another client")
    if len(entries) > 1 and party is None:
        raise InvalidToken("aud names several clients and azp none")


def _is_proven(claims: Mapping[str, Any], issuer: str) -> bool:
    """Whether the provider vouches for the address. Some spell the truth as text; silence is no proof.

    Entra says nothing of the kind, and lets administrators write any address: what it knows is whether the owner of
    the domain was verified (`xms_edov`).
    """
    if issuer.startswith(_ENTRA):
        return claims.get("xms_edov") in (True, "1", "true")  # and 1, which is the same as True here
    proven = claims.get("email_verified")
    return proven is True or proven == "true"


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) and len(value) <= MAX_TEXT_LENGTH and value.isprintable() else ""
