"""More than sixty tokens that must not be accepted, each wrong in one way, and the one they are made from (T33)."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from doorward.oauth.jwt import SigningKey, VerificationKey, generate_signing_key, parse_jwks

ISSUER = "https://auth.test"
RESOURCE = "https://api.test/mcp"
NOW = 1_800_000_000

KEY = generate_signing_key()
STRANGER = generate_signing_key()
KEYS: dict[str, VerificationKey] = parse_jwks({"keys": [KEY.public_jwk()]})

HEADER: dict[str, Any] = {"alg": "ES256", "typ": "at+jwt", "kid": KEY.kid}
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": RESOURCE,
    "sub": "user-1",
    "client_id": "client-1",
    "jti": "token-1",
    "iat": NOW,
    "exp": NOW + 900,
    "scope": "tools:read",
}
_ABSENT = object()


def encode(part: bytes | dict[str, Any] | list[Any]) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def sign(header: Any = HEADER, claims: Any = CLAIMS, key: SigningKey = KEY, *, der: bool = False) -> str:
    """A token with a true ES256 signature, whatever its header and claims say."""
    signing_input = f"{encode(header)}.{encode(claims)}"
    private = cast("ec.EllipticCurvePrivateKey", key.key.get_op_key("sign"))
    signature = private.sign(signing_input.encode(), ec.ECDSA(hashes.SHA256()))
    r, s = decode_dss_signature(signature)
    raw = signature if der else r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return f"{signing_input}.{encode(raw)}"


@dataclass(frozen=True)
class Base:
    """The right token that the wrong ones are made from, each by one change."""

    header: dict[str, Any]
    claims: dict[str, Any]

    def sign(self, header: Any = None, claims: Any = None, key: SigningKey = KEY, *, der: bool = False) -> str:
        given = self.header if header is None else header
        return sign(given, self.claims if claims is None else claims, key, der=der)

    def with_header(self, **changes: Any) -> str:
        return self.sign(header=_present(self.header | changes))

    def with_claims(self, **changes: Any) -> str:
        return self.sign(claims=_present(self.claims | changes))

    def mac(self, alg: str, secret: bytes) -> str:
        signing_input = f"{encode(self.header | {'alg': alg})}.{encode(self.claims)}"
        digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[alg]
        return f"{signing_input}.{encode(hmac.new(secret, signing_input.encode(), digest).digest())}"


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not _ABSENT}


_ACCESS_TOKEN = Base(HEADER, CLAIMS)


def with_header(**changes: Any) -> str:
    return _ACCESS_TOKEN.with_header(**changes)


def with_claims(**changes: Any) -> str:
    return _ACCESS_TOKEN.with_claims(**changes)


def _wrong_algorithms(base: Base) -> Iterator[tuple[str, str]]:
    public = cast("ec.EllipticCurvePublicKey", KEYS[KEY.kid].key.get_op_key("verify"))
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    unsigned = encode(base.claims)
    for alg in ("none", "None", "NONE", "nOnE"):
        yield f"alg {alg} without signature", f"{encode(base.header | {'alg': alg})}.{unsigned}."
        yield f"alg {alg} with a signature", base.with_header(alg=alg)
    yield "HS256 with the public PEM", base.mac("HS256", pem)
    yield "HS384 with the public PEM", base.mac("HS384", pem)
    yield "HS512 with the public PEM", base.mac("HS512", pem)
    yield "HS256 with the public JWK", base.mac("HS256", json.dumps(KEY.public_jwk()).encode())
    yield "HS256 with an empty secret", base.mac("HS256", b"")
    others: list[Any] = [
        "RS256",
        "PS256",
        "EdDSA",
        "ES384",
        "ES256K",
        "es256",
        "ES256 ",
        "A256KW",
        "",
        None,
        256,
        ["ES256"],
    ]
    for alg in others:
        yield f"alg {alg!r}", base.with_header(alg=alg)
    yield "alg missing", base.with_header(alg=_ABSENT)


def _wrong_headers(base: Base) -> Iterator[tuple[str, str]]:
    kids: list[Any] = ["", None, 7, ["a"], "unknown", "../../etc/passwd", "' OR 1=1 --", "a" * 2000]
    for kid in kids:
        yield f"kid {str(kid)[:20]!r}", base.with_header(kid=kid)
    yield "kid of a stranger's key", base.with_header(kid=STRANGER.kid)
    yield "kid missing", base.with_header(kid=_ABSENT)
    for typ in (
        "JWT",
        "jwt",
        "id+jwt",
        "dpop+jwt",
        "oauth-id-jag+jwt",
        "client-authentication+jwt",
        "at+jwt;v=1",
        "",
        1,
    ):
        yield f"typ {typ!r}", base.with_header(typ=typ)
    yield "typ missing", base.with_header(typ=_ABSENT)
    jwk = STRANGER.public_jwk()
    yield "own key in jwk", base.sign(base.header | {"jwk": jwk}, key=STRANGER)
    yield "own key in jwk, without kid", base.sign({"alg": "ES256", "typ": "at+jwt", "jwk": jwk}, key=STRANGER)
    yield "true signature, jwk added", base.with_header(jwk=KEY.public_jwk())
    for name, value in (
        ("jku", "https://evil.test/jwks"),
        ("x5u", "https://evil.test/cert"),
        ("x5c", ["MIIB"]),
        ("x5t", "abc"),
        ("crit", ["exp"]),
        ("crit", []),
        ("b64", False),
        ("zip", "DEF"),
        ("enc", "A256GCM"),
        ("cty", "JWT"),
        ("p2c", 10_000_000),
        ("nonce", "x"),
    ):
        yield f"header member {name}={value!r}", base.with_header(**{name: value})
    yield "header is a list", base.sign(header=[base.header])
    yield "header is not JSON", base.sign(header=b"alg: ES256")
    yield "header is empty", base.sign(header=b"")
    yield "header is nested deeply", base.sign(header=b"[" * 3000)


def _wrong_signatures(base: Base) -> Iterator[tuple[str, str]]:
    good = base.sign()
    head, payload, signature = good.split(".")
    yield "no signature", f"{head}.{payload}"
    yield "empty signature", f"{head}.{payload}."
    yield "signature cut short", good[:-10]
    yield "signature too long", good + "AAAA"
    yield "signature of zeros", f"{head}.{payload}.{encode(bytes(64))}"
    yield "signature in DER", base.sign(der=True)
    yield "signature of another token", f"{head}.{encode(base.claims | {'sub': 'admin'})}.{signature}"
    yield "signature of a stranger under our kid", base.sign(key=STRANGER)
    yield (
        "first character of the signature changed",
        f"{head}.{payload}.{'B' if signature[0] != 'B' else 'C'}{signature[1:]}",
    )


def _wrong_shapes(base: Base) -> Iterator[tuple[str, str]]:
    good = base.sign()
    head, payload, signature = good.split(".")
    yield "empty", ""
    yield "one part", "abc"
    yield "dots", ".."
    yield "four parts", f"{good}.{signature}"
    yield "five parts, as JWE has", f"{good}.{signature}.{signature}"
    yield "JSON serialization", json.dumps({"protected": head, "payload": payload, "signature": signature})
    yield "newline at the end", f"{good}\n"
    yield "space within", f"{head}. {payload}.{signature}"
    yield "NUL within", f"{head}\x00.{payload}.{signature}"
    yield "padded base64", f"{head}==.{payload}.{signature}"
    yield "plain base64 alphabet", f"{head}.{payload}.{'+/' + signature[2:]}"
    yield "letters beyond ASCII", f"{head}.{payload}.{signature[:-1]}é"
    yield "impossible base64 length", f"{head[:-3]}A.{payload}.{signature}"
    yield "just too long", base.with_claims(pad="x" * 6000)
    yield "100 KB", base.with_claims(pad="x" * 100_000)
    yield "payload is not JSON", base.sign(claims=b"sub=user-1")
    yield "payload is a list", base.sign(claims=[base.claims])
    yield "payload is empty", base.sign(claims=b"")
    yield "payload is nested deeply", base.sign(claims=b'{"a":' * 1000)
    yield "payload has an endless number", base.sign(claims=b'{"exp":' + b"9" * 5000 + b"}")
    yield "payload is not UTF-8", base.sign(claims=b"\xff\xfe{\x00}")


_WRONG_VALUES: dict[str, list[Any]] = {
    "iss": [_ABSENT, None, "https://evil.test", f"{ISSUER}/", "HTTPS://AUTH.TEST", [ISSUER]],
    "aud": [
        _ABSENT,
        None,
        "",
        [],
        {},
        [None],
        "https://api.test",
        "https://api.test/mc",
        "https://api.test/mcp/admin",
        "https://api.test/mcp.evil.test",
        "https://api.test/mcp?x=1",
        "https://api.test/mcp#x",
        "https://user@api.test/mcp",
        "https://api.test/mcp\n",
        "https://api.test:8443/mcp",
        "http://api.test/mcp",
        "https://api.test/MCP",
        "https://[::1",
        "https://api.test:port/mcp",
        ["https://other.test/mcp"],
    ],
    "exp": [_ABSENT, NOW - 31, 0, -1, str(NOW + 900), True, None, float("nan"), float("inf"), 1e300, [NOW + 900]],
    "iat": [NOW + 31, str(NOW), float("nan"), True],
    "nbf": [NOW + 31, str(NOW), float("nan"), True],
    "sub": [_ABSENT, "", 1, None, ["x"]],
    "client_id": [_ABSENT, "", 1, None, ["x"]],
    "jti": [_ABSENT, "", 1, None, ["x"]],
    "scope": [["tools:read"], 1, None, {"tools:read": True}],
}


def _wrong_claims(base: Base) -> Iterator[tuple[str, str]]:
    for name, values in _WRONG_VALUES.items():
        for value in values:
            yield f"{name} {'missing' if value is _ABSENT else repr(value)}", base.with_claims(**{name: value})


def build_hostile(base: Base) -> dict[str, str]:
    """What is wrong with any JWT, whatever its claims mean, by what is wrong with it."""
    return dict([*_wrong_algorithms(base), *_wrong_headers(base), *_wrong_signatures(base), *_wrong_shapes(base)])


HOSTILE: dict[str, str] = build_hostile(_ACCESS_TOKEN) | dict(_wrong_claims(_ACCESS_TOKEN))
