"""Turning a presented token into a `Principal`, or into a refusal."""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from doorward.oauth.errors import OAuthError
from doorward.oauth.jwt import InvalidToken, VerificationKey, read_kid, verify_access_token
from doorward.oauth.resources import same_resource
from doorward.oauth.scopes import parse_scope

from .issuer import check_url
from .principal import Principal


class VerifierUnavailable(Exception):  # noqa: N818  # a state of our own side, not an error of the token
    """Nothing can be said about the token now, because our authorization server or its keys cannot be reached.

    The answer is 503 with `retry_after` seconds, never 401: a client that is told its good token is bad throws the
    whole grant away. The text is for the log.
    """

    def __init__(self, reason: str, *, retry_after: int = 5) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Verifier(Protocol):
    """What decides whether a token is good here."""

    async def verify(self, token: str) -> Principal:
        """The principal of `token`; raises `InvalidToken` or `VerifierUnavailable`, and nothing else."""
        ...


class KeySource(Protocol):
    """Where the issuer's public keys come from."""

    async def find(self, kid: str) -> VerificationKey | None:
        """The key named `kid`, None when the issuer has no such key; may raise `VerifierUnavailable`."""
        ...


class RevocationSource(Protocol):
    """What knows of tokens that were withdrawn before they expire."""

    async def is_revoked(self, claims: Mapping[str, Any]) -> bool:
        """Whether the token with these verified claims was withdrawn; may raise `VerifierUnavailable`."""
        ...


class JWTVerifier:
    """Accepts `at+jwt` access tokens of one issuer for one resource, and nothing else.

    There is no way to leave the audience unchecked: without issuer and resource it cannot be made (T9). `leeway` is
    in seconds. Raises `ValueError` at construction for an issuer or resource that cannot be one.

    Spec: RFC 9068 §4; RFC 8725 (RS-03, RS-05, RS-06, RS-13)
    """

    def __init__(
        self,
        *,
        issuer: str,
        resource: str,
        keys: KeySource,
        revocations: RevocationSource | None = None,
        leeway: int = 30,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_url(issuer, "issuer", insecure_http=True)
        check_url(resource, "resource", insecure_http=True)
        if not 0 <= leeway <= 60:
            raise ValueError("leeway must be between 0 and 60 seconds.")
        self._issuer = issuer
        self._resource = resource
        self._keys = keys
        self._revocations = revocations
        self._leeway = leeway
        self._clock = clock

    async def verify(self, token: str) -> Principal:
        """The principal of `token`. Raises `InvalidToken` or `VerifierUnavailable`."""
        kid = read_kid(token)
        key = await self._keys.find(kid)
        if key is None:
            raise InvalidToken("kid is not a key of the issuer")
        claims = verify_access_token(
            token,
            key,
            issuer=self._issuer,
            accepts_audience=lambda audience: same_resource(audience, self._resource),
            now=int(self._clock()),
            leeway=self._leeway,
        )
        principal = build_principal(claims, issuer=self._issuer, audience=self._resource)
        if self._revocations is not None and await self._revocations.is_revoked(claims):
            raise InvalidToken("token was revoked")
        return principal


def build_principal(claims: Mapping[str, Any], *, issuer: str, audience: str) -> Principal:
    """The principal of claims whose issuer, audience and times were checked.

    Refuses a sender-constrained token, which proves nothing as a plain bearer token. Raises `InvalidToken`.

    Spec: RFC 9449 §7.2 (RS-13); RFC 9068 §2.2.3
    """
    if claims.get("cnf"):
        raise InvalidToken("token is bound to a key and was presented without proof of it")
    try:
        scopes = parse_scope(claims.get("scope"))
    except OAuthError:
        raise InvalidToken("scope is malformed") from None
    return Principal(
        subject=claims["sub"],
        client_id=claims["client_id"],
        issuer=issuer,
        scopes=scopes,
        audience=audience,
        expires_at=int(claims["exp"]),
        claims=MappingProxyType(dict(claims)),
    )
