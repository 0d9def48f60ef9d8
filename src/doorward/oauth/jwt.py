"""Signing and verifying JWT access tokens, and the JWKS that goes with them. Wraps joserfc.

joserfc checks the signature with an algorithm pinned per key; the checks no library makes (type, header members,
size, issuer, audience) are here, and run before a key is touched.

Spec: RFC 9068; RFC 8725
"""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Collection, Mapping
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NewType, TypeGuard

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey, import_key

from .strict_json import parse_strict_json

VerifiedClaims = NewType("VerifiedClaims", Mapping[str, Any])
"""Claims of a token whose signature, type, issuer, audience and time were checked."""

ALGORITHMS = ("ES256", "EdDSA", "PS256", "RS256")
EMBEDDED_KEY_ALGORITHMS = (*ALGORITHMS, "Ed25519")
"""What a token may be signed with that carries its key. RFC 9864 calls EdDSA by its curve, and libraries follow it."""
MAX_JWT_LENGTH = 8192
MAX_KEYS_TRIED = 10
ACCESS_TOKEN_TYPE = "at+jwt"
GRANT_CLAIM = "grant_id"
"""Ties an access token to its grant, so that introspection and the revocation feed can end it at once."""
TOOLS_CLAIM = "tools_at"
"""The version of the server's list of tools that the person was shown: tools that are newer stay closed."""
CAME_FROM_CLAIM = "came_from"
"""The ids of the tokens it was exchanged from: ending one of them ends it."""
CAME_THROUGH_CLAIM = "came_through"
"""The `client_id` and `aud` of each of those, and the trust by whose assertion it was given: ending everything of such
a client, trust or server ends it, too."""
_ACCEPTED_TYPES = frozenset({"at+jwt", "application/at+jwt"})
_HEADER_MEMBERS = frozenset({"alg", "kid", "typ"})
_COMPACT_JWS = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_LAST_CHARACTERS = (_BASE64URL, "", _BASE64URL[::16], _BASE64URL[::4])
"""What base64url can end in, by its length modulo four: bits that stand for nothing are zero."""


def _build_registry(alg: str) -> jws.JWSRegistry:
    """What joserfc may do with a key: one algorithm, so that neither header nor key can choose another."""
    registry = jws.JWSRegistry(algorithms=[alg])
    # joserfc warns of the name EdDSA, which leaves the curve open (RFC 9864); here a key pins it when it is parsed.
    only = copy(registry.algorithms[alg])
    only.security_warning = None
    registry.algorithms = {alg: only}
    # Room for a header with an RSA key in it; MAX_JWT_LENGTH bounds the whole token before it comes here.
    registry.max_header_length = MAX_JWT_LENGTH
    return registry


_REGISTRIES = {alg: _build_registry(alg) for alg in EMBEDDED_KEY_ALGORITHMS}
_KEY_TYPES: dict[str, type[ECKey | OKPKey | RSAKey]] = {
    "ES256": ECKey,
    "EdDSA": OKPKey,
    "Ed25519": OKPKey,
    "PS256": RSAKey,
    "RS256": RSAKey,
}
_CURVES = {("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
_MIN_RSA_MODULUS = 256  # bytes
_MAX_RSA_MODULUS = 512
_MAX_PUBLISHED_MODULUS = 1024
_MAX_EXPONENT = 4
_PUBLIC_MEMBERS = {"EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "RSA": ("e", "n")}
_SECRET_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class InvalidToken(Exception):  # noqa: N818  # the RFC's word, and not a fault of ours
    """A presented token that must not be accepted; the text says why, for the log, never for the caller."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key ready to sign, parsed once."""

    kid: str
    alg: str
    key: Key

    def public_jwk(self) -> dict[str, Any]:
        """The members to publish in a JWKS. Spec: RFC 7517 §4"""
        return {**self.key.as_dict(private=False), "kid": self.kid, "alg": self.alg, "use": "sig"}

    def private_jwk(self) -> dict[str, Any]:
        """The members to encrypt and store."""
        return {**self.key.as_dict(private=True), "kid": self.kid, "alg": self.alg, "use": "sig"}


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key and the only algorithm it may verify. Spec: RFC 8725 §3.1"""

    kid: str
    alg: str
    key: Key


def generate_signing_key(alg: str = "ES256") -> SigningKey:
    """A new key pair whose `kid` is its RFC 7638 thumbprint."""
    if alg == "ES256":
        key: Key = ECKey.generate_key("P-256", private=True)
    elif alg in {"EdDSA", "Ed25519"}:
        key = OKPKey.generate_key("Ed25519", private=True)
    else:
        key = RSAKey.generate_key(2048, private=True)
    return SigningKey(key.thumbprint(), alg, key)


def parse_signing_key(jwk: dict[str, Any]) -> SigningKey:
    """Load a private key that `SigningKey.private_jwk` wrote."""
    return SigningKey(str(jwk["kid"]), str(jwk["alg"]), import_key(jwk))


def parse_jwks(document: Any) -> dict[str, VerificationKey]:
    """Verification keys of a JWKS by `kid`; keys that are not for signatures or not understood are left out.

    Raises `ValueError` when the document is not a key set. Spec: RFC 7517 §5 (RS-05)
    """
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("The document is not a JWK set.")
    keys: dict[str, VerificationKey] = {}
    for jwk in document["keys"][:50]:
        parsed = _parse_verification_key(jwk)
        if parsed is not None:
            keys[parsed.kid] = parsed
    return keys


def parse_embedded_key(jwk: Any, alg: str) -> VerificationKey:
    """The public key that a token carries in its own header, for `alg` alone; its `kid` is its thumbprint.

    The sender chose the key, so nothing is lenient: no private member, no second spelling of a number (one key has
    one thumbprint), and RSA only in sizes that are safe and cheap to verify. Raises `InvalidToken`.

    Spec: RFC 7515 §4.1.3; RFC 7638 §3; RFC 9449 §4.3 (DPOP-02)
    """
    if not isinstance(jwk, dict) or jwk.keys() & _SECRET_MEMBERS:
        raise InvalidToken("jwk is not a public key")
    if not _fits(jwk, alg) or jwk.get("alg", alg) != alg or jwk.get("use", "sig") != "sig":
        raise InvalidToken("jwk is not a key for this alg")
    kty = str(jwk["kty"])
    _check_numbers(jwk, kty)
    try:
        key = _KEY_TYPES[alg].import_key({"kty": kty, **{name: jwk[name] for name in _PUBLIC_MEMBERS[kty]}})
    except (JoseError, ValueError, TypeError) as error:
        raise InvalidToken("jwk is not a valid key") from error
    return VerificationKey(key.thumbprint(), alg, key)


def sign_access_token(claims: Mapping[str, Any], key: SigningKey) -> str:
    """A signed `at+jwt`. Spec: RFC 9068 §2.1 (AT-01)"""
    return _sign(_access_token_header(key.alg, key.kid), claims, key)


def sign_jwt(typ: str, claims: Mapping[str, Any], key: SigningKey) -> str:
    """A signed JWT of type `typ` that names its key, as an access token does. Spec: RFC 8725 §3.11 (AT-08)"""
    return _sign(_encode_json({"alg": key.alg, "typ": typ, "kid": key.kid}), claims, key)


def sign_with_embedded_key(typ: str, claims: Mapping[str, Any], key: SigningKey) -> str:
    """A signed JWT of type `typ` that carries the public half of `key`. Spec: RFC 7515 §4.1.3"""
    public = key.key.as_dict(private=False)
    jwk = {name: public[name] for name in ("kty", *_PUBLIC_MEMBERS[str(public["kty"])])}
    return _sign(_encode_json({"alg": key.alg, "typ": typ, "jwk": jwk}), claims, key)


def read_kid(token: str) -> str:
    """The `kid` of an access token whose header is acceptable, so that its key can be looked up.

    Nothing is verified yet. Raises `InvalidToken`. Spec: RS-05, RS-06; RFC 8725 §3.10, §3.11
    """
    header, _ = read_unverified(token, accepted_types=_ACCEPTED_TYPES)
    kid = header.get("kid")
    if not isinstance(kid, str) or not kid:
        raise InvalidToken("header has no kid")
    return kid


def read_unverified(
    token: str,
    *,
    accepted_types: frozenset[str],
    header_members: frozenset[str] = _HEADER_MEMBERS,
    algorithms: Collection[str] = ALGORITHMS,
    max_length: int = MAX_JWT_LENGTH,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(header, claims) of a JWT of one of the types, before its signature is checked.

    `accepted_types` are in lower case; an empty one stands for a missing `typ`. A header with any other member than
    `header_members` is refused, so that only the kind of JWT that defines `jwk` can bring one. Raises `InvalidToken`.
    """
    if len(token) > max_length:
        raise InvalidToken("token is too long")
    match = _COMPACT_JWS.fullmatch(token)
    if match is None:
        raise InvalidToken("token is not a compact JWS")
    signature = match.group(3)
    if signature[-1] not in _LAST_CHARACTERS[len(signature) % 4]:
        raise InvalidToken("signature has a second spelling")
    header = _json_object(match.group(1))
    if not header.keys() <= header_members:
        raise InvalidToken("header has members that are not accepted")
    typ = header.get("typ", "")
    if not isinstance(typ, str) or typ.lower() not in accepted_types:
        raise InvalidToken("header typ is another kind of token")
    if header.get("alg") not in algorithms:
        raise InvalidToken("header alg is not accepted")
    return header, _json_object(match.group(2))


def verify_signature(token: str, key: VerificationKey) -> dict[str, Any]:
    """The claims of a token that `key` signed, by its one algorithm. Raises `InvalidToken`."""
    try:
        signed = jws.deserialize_compact(token, key.key, registry=_REGISTRIES[key.alg])
    except (JoseError, ValueError, TypeError) as error:
        raise InvalidToken("signature does not verify") from error
    return _json_payload(signed.payload)


def verify_with_any(token: str, keys: Mapping[str, VerificationKey], kid: str | None) -> dict[str, Any]:
    """The claims of a token that one of an issuer's keys signed: the key it names, or any when it names none.

    Raises `InvalidToken`. Spec: RFC 7515 §4.1.4, Appendix D
    """
    candidates = list(keys.values()) if kid is None else [keys[kid]] if kid in keys else []
    for key in candidates[:MAX_KEYS_TRIED]:
        try:
            return verify_signature(token, key)
        except InvalidToken:
            continue
    raise InvalidToken("no key of the issuer verifies the signature")


def verify_access_token(
    token: str,
    key: VerificationKey,
    *,
    issuer: str,
    accepts_audience: Callable[[str], bool],
    now: int,
    leeway: int = 30,
) -> VerifiedClaims:
    """The claims of `token`, once everything RFC 9068 §4 asks for holds. `read_kid` tells which `key` to find.

    `now` and `leeway` are seconds. Raises `InvalidToken`.

    Spec: RFC 9068 §4 (RS-03, RS-05, AT-08)
    """
    if read_kid(token) != key.kid:
        raise InvalidToken("the key is not the one the token names")
    claims = verify_signature(token, key)
    if claims.get("iss") != issuer:
        raise InvalidToken("iss is another issuer")
    _check_audience(claims.get("aud"), accepts_audience)
    check_times(claims, now=now, leeway=leeway)
    for name in ("sub", "client_id", "jti"):
        if not isinstance(claims.get(name), str) or not claims[name]:
            raise InvalidToken(f"{name} is missing")
    if not isinstance(claims.get("scope", ""), str):
        raise InvalidToken("scope is not a string")
    return VerifiedClaims(claims)


def _check_audience(audience: Any, accepts: Callable[[str], bool]) -> None:
    entries = [audience] if isinstance(audience, str) else audience
    if not isinstance(entries, list) or not any(isinstance(entry, str) and accepts(entry) for entry in entries):
        raise InvalidToken("aud is not this resource")


def check_times(claims: Mapping[str, Any], *, now: int, leeway: int) -> None:
    """Refuse a token that has expired, or whose time has not come. Both in seconds. Raises `InvalidToken`."""
    exp = claims.get("exp")
    if not is_time(exp) or now >= exp + leeway:
        raise InvalidToken("token has expired")
    for name in ("iat", "nbf"):
        value = claims.get(name)
        if value is not None and (not is_time(value) or value > now + leeway):
            raise InvalidToken(f"{name} is in the future")


def is_time(value: Any) -> TypeGuard[float]:
    """Whether a claim is a time in seconds, and not a number that overflows when it is compared."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12


def _parse_verification_key(jwk: Any) -> VerificationKey | None:
    if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig":
        return None
    suited = _algorithms_of(jwk)
    alg = jwk.get("alg") or (suited[0] if suited else None)
    if not isinstance(alg, str) or alg not in suited:
        return None
    try:
        key = _KEY_TYPES[alg].import_key({name: jwk[name] for name in jwk if name not in {"d", "p", "q", "dp", "dq"}})
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    kid = jwk.get("kid") or key.thumbprint()
    return VerificationKey(kid, alg, key) if isinstance(kid, str) else None


def _algorithms_of(jwk: dict[str, Any]) -> tuple[str, ...]:
    """What a key of this type and size may verify, the one it stands for when it names none first.

    An algorithm that does not fit the key's curve, and an RSA key too short to trust or too long to reckon with,
    verify nothing.

    Spec: RFC 8725 §3.2, §3.5
    """
    if jwk.get("kty") == "RSA":
        modulus, exponent = (_canonical_bytes(jwk.get(name)).lstrip(b"\x00") for name in ("n", "e"))
        sound = _MIN_RSA_MODULUS <= len(modulus) <= _MAX_PUBLISHED_MODULUS and 0 < len(exponent) <= _MAX_EXPONENT
        return ("RS256", "PS256") if sound else ()
    curve = _CURVES.get((str(jwk.get("kty")), str(jwk.get("crv"))))
    return (curve,) if curve else ()


def _fits(jwk: dict[str, Any], alg: str) -> bool:
    return ("EdDSA" if alg == "Ed25519" else alg) in _algorithms_of(jwk)


def _check_numbers(jwk: dict[str, Any], kty: str) -> None:
    """Refuse numbers in any but their one shortest or full-length spelling, and those that are costly to reckon with.

    Spec: RFC 7518 §6.2.1, §6.3.1; RFC 8037 §2
    """
    if kty == "RSA":
        modulus = _canonical_bytes(jwk.get("n"))
        sizes = range(_MIN_RSA_MODULUS, _MAX_RSA_MODULUS + 1)
        # A long exponent makes verifying as dear as signing; this is the one that is in use.
        sound = modulus[:1] > b"\x00" and len(modulus) in sizes and jwk.get("e") == "AQAB"
    else:
        sound = all(len(_canonical_bytes(jwk.get(name))) == 32 for name in _PUBLIC_MEMBERS[kty] if name != "crv")
    if not sound:
        raise InvalidToken("jwk has numbers that are not accepted")


def _canonical_bytes(value: Any) -> bytes:
    """What base64url text stands for, if there is no other text for it; nothing otherwise."""
    if not isinstance(value, str) or not value.isascii():
        return b""
    try:
        raw = urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except ValueError:
        return b""
    return raw if urlsafe_b64encode(raw).rstrip(b"=").decode() == value else b""


def _sign(header: bytes, claims: Mapping[str, Any], key: SigningKey) -> str:
    """A compact JWS of an encoded header.

    Put together here: the library would judge header, algorithm and key anew for each token, which costs as much as
    signing does, and all three are our own.
    """
    signing_input = b"%b.%b" % (header, _encode_json(claims))
    signature = _REGISTRIES[key.alg].get_alg(key.alg).sign(signing_input, key.key)
    return f"{signing_input.decode()}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@lru_cache(maxsize=256)
def _access_token_header(alg: str, kid: str) -> bytes:
    return _encode_json({"alg": alg, "typ": ACCESS_TOKEN_TYPE, "kid": kid})


def _encode_json(members: Mapping[str, Any]) -> bytes:
    return urlsafe_b64encode(json.dumps(members, separators=(",", ":")).encode()).rstrip(b"=")


def _json_object(segment: str) -> dict[str, Any]:
    try:
        raw = urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError:
        raise InvalidToken("header is not base64url") from None
    return _json_payload(raw)


def _json_payload(raw: bytes | None) -> dict[str, Any]:
    try:
        value = parse_strict_json(raw or b"")
    except ValueError:
        raise InvalidToken("token part is not JSON") from None
    if not isinstance(value, dict):
        raise InvalidToken("token part is not a JSON object")
    return value
