"""DPoP as a client does it: every request, and every retry of it, carries a proof of its own.

Spec: RFC 9449 §4 … §9 (DPOP-11)
"""

import re
import secrets
from collections.abc import Iterable, Sequence
from typing import Any

from doorward.oauth.challenges import parse_challenges
from doorward.oauth.dpop import build_proof
from doorward.oauth.errors import USE_DPOP_NONCE
from doorward.oauth.jwt import SigningKey, generate_signing_key, parse_signing_key
from doorward.oauth.strict_json import parse_strict_json

from .effects import Answer
from .errors import DiscoveryFailed

PREFERRED_ALGORITHMS = ("ES256", "Ed25519", "EdDSA", "PS256", "RS256")
HEADER = "dpop"
NONCE_HEADER = "dpop-nonce"
_ORIGIN = re.compile(r"(https?://[^/?#]+)", re.IGNORECASE)
_NONCE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]{1,2048}")


class ProofKey:
    """A key that tokens are bound to, and the nonces that servers want to see in its proofs.

    Nonces are kept for each origin, and apart for what is an authorization server and what is a protected server
    there: neither knows those of the other. They live as long as this object; the key is kept with the tokens.
    """

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self._nonces: dict[tuple[str, bool], str] = {}

    @classmethod
    def generate(cls, supported: Sequence[str] = ()) -> "ProofKey":
        """A new key for an algorithm that the server takes; `supported` is empty where it does not say.

        Raises `DiscoveryFailed` when there is none in common. Spec: RFC 9449 §5.1
        """
        algorithm = next((alg for alg in PREFERRED_ALGORITHMS if not supported or alg in supported), None)
        if algorithm is None:
            raise DiscoveryFailed(
                "The authorization server takes DPoP proofs only with algorithms that Doorward does not have."
            )
        return cls(generate_signing_key(algorithm))

    @classmethod
    def load(cls, jwk: dict[str, Any]) -> "ProofKey":
        """The key that `dump` wrote. Raises `KeyError` or `ValueError` for anything else."""
        return cls(parse_signing_key(jwk))

    def dump(self) -> dict[str, Any]:
        """The private JWK, to be kept where the tokens are: they are worth nothing without it."""
        return self._key.private_jwk()

    @property
    def thumbprint(self) -> str:
        """What tokens are bound to, and the `dpop_jkt` of an authorization request. Spec: RFC 9449 §6.1, §10"""
        return self._key.key.thumbprint()

    def build(self, method: str, url: str, *, now: float, access_token: str | None = None) -> str:
        """A new proof for one request, with the newest nonce of its server.

        With `access_token` it is for a protected server, without for an authorization server. `url` is the one that
        is requested; its query and fragment are left out.

        Spec: RFC 9449 §4.2, §7, §8, §9 (DPOP-11)
        """
        return build_proof(
            self._key,
            method=method,
            url=url,
            now=int(now),
            jti=secrets.token_urlsafe(24),
            access_token=access_token,
            nonce=self._nonces.get((_origin_of(url), access_token is not None)),
        )

    def learn(self, url: str, fields: Iterable[str], *, at_resource: bool) -> bool:
        """Take the nonce of an answer's `DPoP-Nonce` fields, whatever its status; says whether it is a new one.

        Several fields, or a malformed one, teach nothing: one of them could be anybody's.

        Spec: RFC 9449 §8.1, §8.2, §9
        """
        nonces = list(fields)
        if len(nonces) != 1 or not _NONCE.fullmatch(nonces[0]):
            return False
        known = (_origin_of(url), at_resource)
        is_new = self._nonces.get(known) != nonces[0]
        self._nonces[known] = nonces[0]
        return is_new


def wants_nonce(answer: Answer) -> bool:
    """Whether an authorization server refused a request only for its nonce: then it is sent once more, with that one.

    Spec: RFC 9449 §8 (DPOP-11)
    """
    if answer.status not in {400, 401} or not answer.header_values(NONCE_HEADER):
        return False
    try:
        body = parse_strict_json(answer.body)
    except ValueError:
        return False
    return isinstance(body, dict) and body.get("error") == USE_DPOP_NONCE


def challenges_for_nonce(status: int, www_authenticate: Iterable[str]) -> bool:
    """Whether a protected server refused a request only for its nonce: then it is sent once more, with that one.

    Spec: RFC 9449 §9 (DPOP-11)
    """
    return status == 401 and any(
        challenge.scheme == "dpop" and challenge.error == USE_DPOP_NONCE
        for challenge in parse_challenges(www_authenticate)
    )


def _origin_of(url: str) -> str:
    """Scheme and authority in lower case; what is no such URL is an origin of its own."""
    match = _ORIGIN.match(url)
    return match[1].lower() if match else url
