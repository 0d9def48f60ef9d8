"""What a protected server spends on a token, beside what the signature alone costs with the bare library."""

import hashlib
import statistics
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from doorward.oauth.jwt import ALGORITHMS, SigningKey, VerificationKey, generate_signing_key, sign_access_token
from doorward.resource import JWTVerifier, RevocationFeed

ISSUER, RESOURCE = "https://auth.example.com", "https://api.example.com/mcp"
TOKENS, TIMES = 500, 5000
Row = dict[str, Any]


class _Keys:
    def __init__(self, key: SigningKey) -> None:
        self._key = VerificationKey(key.kid, key.alg, key.key)

    async def find(self, kid: str) -> VerificationKey | None:
        return self._key if kid == self._key.kid else None


class _FollowedFeed(RevocationFeed):
    """A feed that has just heard from its issuer: what a token costs while it is followed."""

    def _start(self) -> None:
        self._fresh_at = self._clock()


async def measure_verifications() -> list[Row]:
    """One row for each algorithm: medians in microseconds of tokens seen for the first time, and again."""
    return [await _measure(alg) for alg in ALGORITHMS]


async def _measure(alg: str) -> Row:
    key = generate_signing_key(alg)
    tokens = [_mint(key, number) for number in range(TOKENS)]
    alone = JWTVerifier(issuer=ISSUER, resource=RESOURCE, keys=_Keys(key))
    following = JWTVerifier(issuer=ISSUER, resource=RESOURCE, keys=_Keys(key), revocations=_FollowedFeed(issuer=ISSUER))
    return {
        "verification": alg,
        "first_us": await _verify_all(alone, tokens),
        "signature_us": _median(_bare_check(key, tokens[0])),
        "again_us": await _verify_all(alone, tokens[-1:] * TIMES),
        "again_with_feed_us": await _verify_all(following, tokens[-1:] * TIMES),
        "digest_us": _median(lambda: hashlib.sha256(tokens[0].encode()).digest()),
    }


async def _verify_all(verifier: JWTVerifier, tokens: list[str]) -> float:
    took = []
    for token in tokens:
        started = time.perf_counter()
        await verifier.verify(token)
        took.append(time.perf_counter() - started)
    return _us(took)


def show(row: Row) -> Row:
    print(
        f"{row['verification']:<8} first {row['first_us']:>6} µs, {row['first_us'] / row['signature_us']:.1f} times the"
        f" signature alone ({row['signature_us']} µs) · again {row['again_us']} µs,"
        f" {row['again_us'] / row['digest_us']:.1f} times its digest ({row['digest_us']} µs)"
        f" · again, following revocations {row['again_with_feed_us']} µs",
        flush=True,
    )
    return row


def _mint(key: SigningKey, number: int) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": RESOURCE, "sub": "usr_0123456789", "client_id": "app_0123456789", "iat": now}
    scope = "tools:read tools:write"
    return sign_access_token({**claims, "exp": now + 900, "jti": f"{number:032}", "grant_id": "g", "scope": scope}, key)


def _bare_check(key: SigningKey, token: str) -> Callable[[], object]:
    """Checking the signature with the library below, with everything else done before."""
    text, _, encoded = token.rpartition(".")
    signed, signature = text.encode(), urlsafe_b64decode(f"{encoded}==")
    public = key.key.get_op_key("verify")
    sha256 = hashes.SHA256()
    if isinstance(public, ec.EllipticCurvePublicKey):
        halves = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
        der, how = encode_dss_signature(*halves), ec.ECDSA(sha256)
        return lambda: public.verify(der, signed, how)
    if isinstance(public, ed25519.Ed25519PublicKey):
        return lambda: public.verify(signature, signed)
    assert isinstance(public, rsa.RSAPublicKey)
    pad = padding.PSS(padding.MGF1(sha256), 32) if key.alg == "PS256" else padding.PKCS1v15()
    return lambda: public.verify(signature, signed, pad, sha256)


def _median(step: Callable[[], object]) -> float:
    took = []
    for _ in range(TOKENS):
        started = time.perf_counter()
        step()
        took.append(time.perf_counter() - started)
    return _us(took)


def _us(seconds: list[float]) -> float:
    return round(statistics.median(seconds) * 1e6, 1)
