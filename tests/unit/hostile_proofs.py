"""DPoP proofs that must not be accepted, each wrong in one way, and the one they are made from (DPOP-02, T33)."""

import hmac
import json
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, OKPKey

from doorward.oauth.dpop import MAX_JTI_LENGTH, PROOF_ALGORITHMS, build_proof
from doorward.oauth.jwt import SigningKey, generate_signing_key, sign_access_token
from tests.unit.hostile_jwts import NOW, encode, sign

URL = "https://api.test/mcp"
KEYS = {alg: generate_signing_key(alg) for alg in PROOF_ALGORITHMS}
KEY = KEYS["ES256"]
PUBLIC = {name: value for name, value in KEY.public_jwk().items() if name in {"kty", "crv", "x", "y"}}
HEADER: dict[str, Any] = {"alg": "ES256", "typ": "dpop+jwt", "jwk": PUBLIC}
CLAIMS: dict[str, Any] = {"jti": "once", "htm": "POST", "htu": URL, "iat": NOW}
ABSENT = object()


def with_header(**changes: Any) -> str:
    return sign({name: value for name, value in (HEADER | changes).items() if value is not ABSENT}, CLAIMS, KEY)


def with_claims(**changes: Any) -> str:
    return sign(HEADER, {name: value for name, value in (CLAIMS | changes).items() if value is not ABSENT}, KEY)


def with_key(key: SigningKey, **changes: Any) -> str:
    """A proof that verifies with `key`, whose public half may be written otherwise."""
    return sign(HEADER | {"jwk": {**PUBLIC, **key.public_jwk(), **changes}}, CLAIMS, key)


def _weak_rsa() -> dict[str, str]:
    numbers = rsa.generate_private_key(65537, 1024).public_key().public_numbers()  # noqa: S505  # too weak: the point
    return {"kty": "RSA", "n": encode(numbers.n.to_bytes(128, "big")), "e": "AQAB"}


def _hostile_keys() -> Iterator[tuple[str, str]]:
    rsa_key, okp = KEYS["RS256"].public_jwk(), KEYS["EdDSA"].public_jwk()
    modulus = rsa_key["n"]
    yield "jwk missing", with_header(jwk=ABSENT)
    shapes: dict[str, Any] = {"null": None, "number": 7, "text": json.dumps(PUBLIC), "list": [PUBLIC], "empty": {}}
    for name, jwk in shapes.items():
        yield f"jwk is {name}", with_header(jwk=jwk)
    yield "jwk is a set", with_header(jwk={"keys": [PUBLIC]})
    yield "jwk without numbers", with_header(jwk={"kty": "EC", "crv": "P-256"})
    yield "symmetric key", with_header(jwk={"kty": "oct", "k": encode(b"k" * 32)})
    yield "public key with a secret", with_header(jwk=PUBLIC | {"k": encode(b"k" * 32)})
    yield "P-384", with_header(jwk=ECKey.generate_key("P-384").as_dict(private=False))
    yield "P-256 called P-384", with_key(KEY, crv="P-384")
    yield "X25519 under EdDSA", with_header(alg="EdDSA", jwk=OKPKey.generate_key("X25519").as_dict(private=False))
    yield "P-256 under Ed25519", with_header(alg="Ed25519")
    yield "Ed25519 under ES256", with_header(jwk=okp)
    yield "RSA under ES256", with_header(jwk=rsa_key)
    yield "EC under RS256", with_header(alg="RS256")
    yield "alg of the key is another", with_key(KEY, alg="EdDSA")
    yield "key for encryption", with_key(KEY, use="enc")
    yield "point not on the curve", with_key(KEY, y=PUBLIC["x"])
    yield "x of zeros", with_key(KEY, x=encode(bytes(32)))
    yield "x is a number", with_key(KEY, x=7)
    yield "x with padding", with_key(KEY, x=PUBLIC["x"] + "=")
    yield "x with a byte more", with_key(KEY, x=encode(b"\0" + urlsafe_b64decode(PUBLIC["x"] + "=")))
    yield "x with a foreign letter", with_key(KEY, x=PUBLIC["x"][:-1] + "\u00e9")
    # The two lowest bits of the last letter are spare.
    yield "x in a second spelling", with_key(KEY, x=PUBLIC["x"][:-1] + chr(ord(PUBLIC["x"][-1]) + 1))
    yield "short RSA", with_header(alg="RS256", jwk=_weak_rsa())
    weak = _weak_rsa()["n"]
    yield "short RSA, padded with zeros", with_header(alg="RS256", jwk=_weak_rsa() | {"n": "A" * 176 + weak})
    yield (
        "RSA padded with a zero",
        with_header(alg="RS256", jwk=rsa_key | {"n": encode(b"\0" + urlsafe_b64decode(modulus + "=="))}),
    )
    yield "RSA of 8192 bits", with_header(alg="RS256", jwk=rsa_key | {"n": encode(b"\xff" * 1024)})
    yield "RSA with exponent 1", with_header(alg="RS256", jwk=rsa_key | {"e": "AQ"})
    yield "RSA with exponent 3", with_header(alg="RS256", jwk=rsa_key | {"e": "Aw"})
    yield "RSA with a costly exponent", with_header(alg="RS256", jwk=rsa_key | {"e": modulus})
    yield "key by reference", with_header(jwk=ABSENT, jku="https://evil.test/jwks")
    yield "certificate chain", with_header(jwk=ABSENT, x5c=["AAAA"])
    yield "crit", with_header(crit=["exp"], exp=1)
    yield "b64", with_header(b64=False, crit=["b64"])


def _hostile_signatures() -> Iterator[tuple[str, str]]:
    pem = cast("ec.EllipticCurvePublicKey", KEY.key.get_op_key("verify")).public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    for name, secret in (("PEM", pem), ("JWK", json.dumps(PUBLIC).encode()), ("nothing", b"")):
        signing_input = f"{encode(HEADER | {'alg': 'HS256'})}.{encode(CLAIMS)}"
        mac = encode(hmac.digest(secret, signing_input.encode(), "sha256"))
        yield f"HS256 with the public {name}", f"{signing_input}.{mac}"
    yield "none without signature", f"{encode(HEADER | {'alg': 'none'})}.{encode(CLAIMS)}."
    head, payload, signature = with_claims().split(".")
    yield "no signature", f"{head}.{payload}."
    yield (
        "PS256 under RS256",
        build_proof(SigningKey("x", "PS256", KEYS["RS256"].key), method="POST", url=URL, now=NOW, jti="once").replace(
            encode({"alg": "PS256"}), encode({"alg": "RS256"})
        )[:-4],
    )
    yield "an access token", sign_access_token(CLAIMS, KEY)
    rsa_head = encode({"alg": "RS256", "typ": "dpop+jwt", "jwk": KEYS["RS256"].public_jwk()})
    pss = build_proof(KEYS["PS256"], method="POST", url=URL, now=NOW, jti="once")
    yield "PS256 under RS256", ".".join([rsa_head, *pss.split(".")[1:]])
    yield "JSON serialization", json.dumps({"protected": head, "payload": payload, "signature": signature})


def _hostile_shapes() -> Iterator[tuple[str, str]]:
    head, payload, signature = with_claims().split(".")
    for text in ("", " ", ".", "..", "a.b.c", "DPoP", f"DPoP {with_claims()}", f'"{with_claims()}"'):
        yield f"text {text[:8]!r}", text
    yield "four parts", f"{head}.{payload}.{signature}.{signature}"
    yield "NUL at the end", f"{with_claims()}\0"
    yield "letters beyond ASCII", f"{with_claims()}\u00e9"
    yield "too long", with_claims(pad="x" * 7000)
    yield "100 KB", with_claims(pad="x" * 100_000)
    member = json.dumps(CLAIMS)[1:]
    yield "duplicate claim", sign(HEADER, f'{{"htm": "GET", {member}'.encode(), KEY)
    yield "duplicate header member", sign(f'{{"alg": "none", {json.dumps(HEADER)[1:]}'.encode(), CLAIMS, KEY)
    yield (
        "duplicate member of the key",
        sign(json.dumps(HEADER).replace('"jwk": {', '"jwk": {"kty": "oct", ').encode(), CLAIMS, KEY),
    )
    for claims in (b"", b"[]", b"null", b'"x"', b"{", b'{"a":' * 5000, b"\xff", b'{"iat":' + b"9" * 5000 + b"}"):
        yield f"claims {claims[:8]!r}", sign(HEADER, claims, KEY)
    jtis: list[Any] = ["", None, 7, ["x"], "j" * (MAX_JTI_LENGTH + 1)]
    for jti in jtis:
        yield f"jti {str(jti)[:8]!r}", with_claims(jti=jti)


HOSTILE_KEYS = dict(_hostile_keys())
HOSTILE = {**HOSTILE_KEYS, **dict([*_hostile_signatures(), *_hostile_shapes()])}
