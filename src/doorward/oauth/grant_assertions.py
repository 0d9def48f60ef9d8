"""Assertions as grants: an issuer that is trusted says for which person, or for which workload, a token may be given.

Two kinds that nobody can take for one another, nor for any other JWT: an ID-JAG is told by its `typ`, a workload's
assertion by having none of its own. What an assertion says is carried as it is; what of it counts is for the trust to
say.

Drafts: draft-ietf-oauth-identity-assertion-authz-grant-04, MCP Enterprise-Managed Authorization (stable), MCP Workload
Identity Federation (draft, SEP-1933)

Spec: RFC 7521 §4.1, §5.2; RFC 7523 §2.1, §3; RFC 8725 §3.11 (JAG-04 … JAG-11, WIF-02, WIF-04, AT-08, T32)
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .errors import OAuthError
from .jwt import InvalidToken, is_time, read_unverified
from .scopes import Scopes, parse_scope

AssertionKind = Literal["id-jag", "workload"]
ID_JAG_TYPE = "oauth-id-jag+jwt"
ID_JAG_PROFILE = "urn:ietf:params:oauth:grant-profile:id-jag"

ID_JAG_MAX_LIFE_SECONDS = 900
"""As long as an access token lives by default: what outlives the token it gives is no short-lived assertion."""
WORKLOAD_MAX_LIFE_SECONDS = 7200
"""Platforms issue their tokens for up to the hour of a job, and the draft's own example lives for longer."""
FUTURE_LEEWAY_SECONDS = 10
MAX_JTI_LENGTH = 256
MAX_SUBJECT_LENGTH = 512
MAX_RESOURCES = 10
_JKT_LENGTH = 43

_ID_JAG_TYPES = frozenset({ID_JAG_TYPE, f"application/{ID_JAG_TYPE}"})
_WORKLOAD_TYPES = frozenset({"", "jwt", "jose"})
# Thumbprints of a certificate, which platforms put beside `kid`: they choose nothing here.
_HEADER_MEMBERS = frozenset({"alg", "kid", "typ", "x5t", "x5t#S256"})


@dataclass(frozen=True, slots=True)
class UnverifiedAssertion:
    """What an assertion says of itself, so that keys can be found. Nothing of it is verified."""

    kind: AssertionKind
    issuer: str
    kid: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantAssertion:
    """An assertion whose claims were checked; `jti` still has to be claimed, once. Times are epoch seconds."""

    issuer: str
    subject: str
    jti: str
    issued_at: int
    expires_at: int
    jkt: str | None
    """Thumbprint of the only key that may present it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityAssertion(GrantAssertion):
    """An ID-JAG: a person, for one client. Spec: JAG-05"""

    tenant: str | None
    """The customer of a shared issuer that the subject belongs to."""
    resources: tuple[str, ...]
    scope: Scopes | None
    """None where it says nothing of scopes."""
    local_subject: str | None
    """Our own id of the person, where the issuer knows it."""
    email: str | None
    """The person's address, unless the issuer says that nobody proved it."""
    auth_time: int | None


def read_assertion(token: str) -> UnverifiedAssertion:
    """What kind of assertion it is, and whose. Raises `InvalidToken` for any other kind of JWT. Spec: JAG-04, AT-08"""
    header, claims = read_unverified(
        token, accepted_types=_ID_JAG_TYPES | _WORKLOAD_TYPES, header_members=_HEADER_MEMBERS
    )
    kind: AssertionKind = "id-jag" if str(header.get("typ", "")).lower() in _ID_JAG_TYPES else "workload"
    issuer, kid = claims.get("iss"), header.get("kid")
    if not isinstance(issuer, str) or not issuer:
        raise InvalidToken("iss is missing")
    if kid is not None and not isinstance(kid, str):
        raise InvalidToken("kid is not a string")
    return UnverifiedAssertion(kind, issuer, kid)


def check_identity_assertion(claims: Mapping[str, Any], *, issuer: str, client_id: str, now: int) -> IdentityAssertion:
    """An ID-JAG for this server and this client, valid now. Raises `InvalidToken`.

    `issuer` is our own. What we cannot honour is refused rather than passed over: `authorization_details` would
    narrow what is given, a confirmation other than a DPoP key would bind it.

    Spec: JAG-05, JAG-07 … JAG-09, JAG-14; EMA §7.6
    """
    common = _check_common(claims, audiences={issuer}, max_life=ID_JAG_MAX_LIFE_SECONDS, now=now)
    if claims.get("client_id") != client_id:
        raise InvalidToken("client_id is another client")
    if claims.get("authorization_details"):
        raise InvalidToken("authorization_details are not offered here")
    auth_time = claims.get("auth_time")
    is_unproven = claims.get("email_verified", True) is not True
    return IdentityAssertion(
        **common,
        tenant=_optional_text(claims, "tenant"),
        resources=_resources(claims),
        scope=_scope(claims),
        local_subject=None if "aud_tenant" in claims else _optional_text(claims, "aud_sub"),
        email=None if is_unproven else _optional_text(claims, "email"),
        auth_time=int(auth_time) if is_time(auth_time) and auth_time <= now + FUTURE_LEEWAY_SECONDS else None,
    )


def check_workload_assertion(claims: Mapping[str, Any], *, audiences: Collection[str], now: int) -> GrantAssertion:
    """An assertion of a platform for one of its workloads, meant for this server and valid now. Raises `InvalidToken`.

    One whose subject is its issuer is how a client proves itself, and is nobody's workload.

    Spec: WIF-02, WIF-04; RFC 7523 §3
    """
    common = _check_common(claims, audiences=audiences, max_life=WORKLOAD_MAX_LIFE_SECONDS, now=now)
    if common["subject"] == common["issuer"]:
        raise InvalidToken("sub is the issuer itself")
    return GrantAssertion(**common)


def _check_common(claims: Mapping[str, Any], *, audiences: Collection[str], max_life: int, now: int) -> dict[str, Any]:
    audience = claims.get("aud")
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    if not isinstance(audience, str) or audience not in audiences:
        raise InvalidToken("aud is not this server alone")
    exp, iat, nbf = claims.get("exp"), claims.get("iat"), claims.get("nbf", 0)
    if not is_time(exp) or exp <= now:
        raise InvalidToken("exp has passed or is missing")
    if not is_time(iat) or iat > now + FUTURE_LEEWAY_SECONDS:
        raise InvalidToken("iat is in the future or is missing")
    if exp - iat > max_life:
        raise InvalidToken("it lives too long")
    if not is_time(nbf) or nbf > now + FUTURE_LEEWAY_SECONDS:
        raise InvalidToken("nbf is in the future")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI_LENGTH:
        raise InvalidToken("jti is missing or too long")
    subject = _optional_text(claims, "sub")
    if subject is None:
        raise InvalidToken("sub is missing")
    return {
        "issuer": claims["iss"],
        "subject": subject,
        "jti": jti,
        "issued_at": int(iat),
        "expires_at": int(exp),
        "jkt": _confirmation(claims),
    }


def _optional_text(claims: Mapping[str, Any], name: str) -> str | None:
    """A claim that names somebody or something: bounded, and without characters that nobody sees."""
    value = claims.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= MAX_SUBJECT_LENGTH or not value.isprintable():
        raise InvalidToken(f"{name} is empty, too long or not text")
    return value


def _confirmation(claims: Mapping[str, Any]) -> str | None:
    """The key that the assertion is bound to. Spec: JAG-14"""
    if "cnf" not in claims:
        return None
    confirmation = claims["cnf"]
    if not isinstance(confirmation, dict) or confirmation.keys() != {"jkt"}:
        raise InvalidToken("cnf is not the thumbprint of a DPoP key")
    jkt = confirmation["jkt"]
    if not isinstance(jkt, str) or len(jkt) != _JKT_LENGTH:
        raise InvalidToken("cnf is not the thumbprint of a DPoP key")
    return jkt


def _resources(claims: Mapping[str, Any]) -> tuple[str, ...]:
    value = claims.get("resource")
    if value is None:
        return ()
    named = [value] if isinstance(value, str) else value
    if not isinstance(named, list) or not 0 < len(named) <= MAX_RESOURCES:
        raise InvalidToken("resource is not a URI or a few of them")
    if not all(isinstance(uri, str) and uri for uri in named):
        raise InvalidToken("resource is not a URI or a few of them")
    return tuple(dict.fromkeys(named))


def _scope(claims: Mapping[str, Any]) -> Scopes | None:
    value = claims.get("scope")
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidToken("scope is not a string")
    try:
        return parse_scope(value)
    except OAuthError:
        raise InvalidToken("scope is malformed") from None
