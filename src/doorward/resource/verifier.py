"""Turning a presented token into a `Principal`, or into a refusal."""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from doorward.oauth.dpop import DpopProof
from doorward.oauth.errors import OAuthError
from doorward.oauth.jwt import (
    InvalidToken,
    VerificationKey,
    VerifiedClaims,
    check_times,
    read_kid,
    verify_access_token,
)
from doorward.oauth.resources import same_resource
from doorward.oauth.scopes import parse_scope

from .issuer import check_url
from .principal import Principal
from .verified_tokens import VerifiedToken, VerifiedTokens, copy_claims, is_flat


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
        """The principal of a bearer token; raises `InvalidToken` or `VerifierUnavailable`, and nothing else.

        A token that is bound to a key is none, whoever calls this. Spec: RS-13, DPOP-07
        """
        ...


@runtime_checkable
class BoundTokenVerifier(Verifier, Protocol):
    """A verifier that also knows tokens bound to a key.

    There is no other way to their principal than with a proof in hand, so that whoever does not check proofs (an
    adapter, a caller of their own making) cannot accept such a token by leaving something out.
    """

    async def verify_bound(self, token: str, proof: DpopProof) -> Principal:
        """The principal of a token that is bound to the key of `proof`, which was checked against it; raises the same.

        The principal's `jkt` is that of the proof. A token that is bound to no key is refused. Spec: DPOP-07
        """
        ...


class KeySource(Protocol):
    """Where the issuer's public keys come from."""

    async def find(self, kid: str) -> VerificationKey | None:
        """The key named `kid`, None when the issuer has no such key; may raise `VerifierUnavailable`.

        The same object as long as it is the same key: a verifier trusts what it verified with it no longer than that.
        """
        ...


class RevocationSource(Protocol):
    """What knows of tokens that were withdrawn before they expire."""

    async def is_revoked(self, claims: Mapping[str, Any]) -> bool:
        """Whether the token with these verified claims was withdrawn; may raise `VerifierUnavailable`."""
        ...


@runtime_checkable
class KeyRevocationSource(RevocationSource, Protocol):
    """A `RevocationSource` that also knows of keys that were withdrawn, before the key source hears of it."""

    async def is_key_revoked(self, kid: str) -> bool:
        """Whether everything that the key named `kid` signed was withdrawn; may raise `VerifierUnavailable`."""
        ...


class JWTVerifier:
    """Accepts `at+jwt` access tokens of one issuer for one resource, and nothing else; bound ones only with a proof.

    There is no way to leave the audience unchecked: without issuer and resource it cannot be made (T9). `leeway` is
    in seconds. Raises `ValueError` at construction for an issuer or resource that cannot be one.

    The signature of a token that was let in is not reckoned again while the key source has the very same key. All
    that can change is judged each time: its times, how it is presented, and whether it or its key was revoked.

    Spec: RFC 9068 §4; RFC 8725; RFC 9449 §7 (RS-03, RS-05, RS-06, RS-13, DPOP-07)
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
        self._key_revocations = revocations if isinstance(revocations, KeyRevocationSource) else None
        self._leeway = leeway
        self._clock = clock
        self._verified = VerifiedTokens()

    async def verify(self, token: str) -> Principal:
        """The principal of a bearer token. Raises `InvalidToken` or `VerifierUnavailable`."""
        return await self._verify(token, None)

    async def verify_bound(self, token: str, proof: DpopProof) -> Principal:
        """The principal of a token bound to the key of `proof`. Raises `InvalidToken` or `VerifierUnavailable`."""
        return await self._verify(token, proof)

    async def _verify(self, token: str, proof: DpopProof | None) -> Principal:
        known = self._verified.find(token)
        kid = read_kid(token) if known is None else known.key.kid
        key = await self._keys.find(kid)
        if key is None:
            raise InvalidToken("kid is not a key of the issuer")
        if known is not None and known.key is not key:
            known = None
        claims = self._check(token, key, known)
        jkt = check_binding(claims, token, proof)
        principal = known.principal if known is not None else None
        if principal is None:
            principal = build_principal(claims, issuer=self._issuer, audience=self._resource, jkt=jkt)
        await self._check_revocations(kid, claims)
        if known is None:
            self._verified.keep(token, VerifiedToken(key, claims, principal if is_flat(claims) else None))
        return principal

    def _check(self, token: str, key: VerificationKey, known: VerifiedToken | None) -> VerifiedClaims:
        """The claims of a token that holds now; of one that is known only the times are judged again."""
        now = int(self._clock())
        if known is not None:
            check_times(known.claims, now=now, leeway=self._leeway)
            return known.claims
        return verify_access_token(
            token,
            key,
            issuer=self._issuer,
            accepts_audience=lambda audience: same_resource(audience, self._resource),
            now=now,
            leeway=self._leeway,
        )

    async def _check_revocations(self, kid: str, claims: Mapping[str, Any]) -> None:
        if self._revocations is not None and await self._revocations.is_revoked(claims):
            raise InvalidToken("token was revoked")
        if self._key_revocations is not None and await self._key_revocations.is_key_revoked(kid):
            raise InvalidToken("the key of the token was revoked")


def check_binding(claims: Mapping[str, Any], token: str, proof: DpopProof | None) -> str | None:
    """The key that a token is rightly presented with, None for a bearer token presented as one.

    Refuses a bound token without proof of its key, and a token with a proof that it is not bound to. It must be bound
    to this key and to nothing else: another confirmation method is one that nobody here checks. Raises `InvalidToken`.

    Spec: RFC 9449 §7.1, §7.2; RFC 7800 §3.1 (RS-13, DPOP-07)
    """
    confirmation = claims.get("cnf")
    if proof is None:
        if confirmation is not None:
            raise InvalidToken("token is bound to a key and was presented without proof of it")
        return None
    if not proof.is_for(token):
        raise InvalidToken("the proof was not made for this token")
    if confirmation is None:
        raise InvalidToken("token is bound to no key and was presented with a proof")
    if confirmation != {"jkt": proof.jkt}:
        raise InvalidToken("token is bound to another key than that of the proof")
    return proof.jkt


def build_principal(claims: Mapping[str, Any], *, issuer: str, audience: str, jkt: str | None) -> Principal:
    """The principal of claims whose issuer, audience and times were checked; `jkt` is from `check_binding`.

    Its claims are its own: whoever changes what is inside them changes nobody else's. Raises `InvalidToken`.

    Spec: RFC 9068 §2.2.3
    """
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
        claims=MappingProxyType(copy_claims(claims)),
        jkt=jkt,
    )
