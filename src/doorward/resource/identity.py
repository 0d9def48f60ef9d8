"""Who is calling, in words that the server behind the proxy can check."""

import json
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from doorward.oauth.jwt import GRANT_CLAIM, SigningKey, generate_signing_key, sign_jwt

from .principal import Principal

IDENTITY_TYPE = "doorward-identity+jwt"
LIFETIME_SECONDS = 60
"""How long an assertion is good for at most."""
_REUSED_SECONDS = 15
_MAX_REMEMBERED = 1024


class IdentitySigner:
    """Signs short assertions of who is calling, for one server behind at a time.

    An assertion names the person, the client and the scopes; it is no token of the issuer, opens nothing at the
    resource, and is good for a minute at most and never longer than the token it comes from. It is used again for
    some seconds, so that a busy client costs one signature and not hundreds. The key is made at start, or read from
    a file where several processes must sign with one.

    Spec: RFC 7519; RFC 8725 §3.11; RFC 9700 §4.13 (TRN-09)
    """

    def __init__(self, key: SigningKey | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._key = key or generate_signing_key()
        self._clock = clock
        self._remembered: OrderedDict[tuple[object, ...], tuple[float, str]] = OrderedDict()
        self.jwks = json.dumps({"keys": [self._key.public_jwk()]}, separators=(",", ":")).encode()
        """The public key set, as a JSON document. Spec: RFC 7517 §5"""

    @classmethod
    def from_pem(cls, path: Path) -> "IdentitySigner":
        """A signer with the P-256 private key of a PEM file. Raises `ValueError` when there is none in it."""
        try:
            key = ECKey.import_key(path.read_bytes())
        except (OSError, JoseError, ValueError, TypeError):
            raise ValueError(f"{path} holds no private key that can be read.") from None
        if not key.is_private or key.curve_name != "P-256":
            raise ValueError(f"{path} must hold the private key of a P-256 pair.")
        return cls(SigningKey(key.thumbprint(), "ES256", key))

    def sign(self, principal: Principal, *, resource: str, upstream: str) -> str:
        """The assertion for `upstream` of who called `resource`."""
        now = self._clock()
        grant = principal.claims.get(GRANT_CLAIM)
        about = (upstream, resource, principal.identity, principal.scopes, str(grant), principal.expires_at)
        known = self._remembered.get(about)
        if known is not None and now < known[0]:
            return known[1]
        expires_at = int(now) + LIFETIME_SECONDS
        if principal.expires_at:  # the protection itself, which asks for the tools, has no token
            expires_at = min(expires_at, principal.expires_at)
        claims = {
            "iss": resource,
            "aud": upstream,
            "sub": principal.subject,
            "client_id": principal.client_id,
            "scope": " ".join(principal.scopes),
            "iat": int(now),
            "exp": expires_at,
            "jti": secrets.token_urlsafe(12),
        }
        if isinstance(grant, str):
            claims[GRANT_CLAIM] = grant
        token = sign_jwt(IDENTITY_TYPE, claims, self._key)
        self._remember(about, min(now + _REUSED_SECONDS, expires_at), token)
        return token

    def _remember(self, about: tuple[object, ...], until: float, token: str) -> None:
        self._remembered.pop(about, None)
        if len(self._remembered) >= _MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        self._remembered[about] = (until, token)
