"""doorward.oauth.jwt: only what RFC 9068 and RFC 8725 allow is a token, and only what can be trusted is a key."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import ECKey, OKPKey

from doorward.oauth.jwt import (
    ALGORITHMS,
    MAX_JWT_LENGTH,
    InvalidToken,
    VerifiedClaims,
    generate_signing_key,
    parse_jwks,
    parse_signing_key,
    read_kid,
    sign_access_token,
    verify_access_token,
)
from tests.unit.hostile_jwts import (
    CLAIMS,
    HOSTILE,
    ISSUER,
    KEY,
    KEYS,
    NOW,
    RESOURCE,
    encode,
    sign,
    with_claims,
    with_header,
)

SIGNING_KEYS = {alg: generate_signing_key(alg) for alg in ALGORITHMS}


def verify(token: str, *, now: int = NOW) -> VerifiedClaims:
    """What a resource server does with a token and one known key."""
    kid = read_kid(token)
    if kid not in KEYS:
        raise InvalidToken("unknown kid")
    return verify_access_token(
        token, KEYS[kid], issuer=ISSUER, accepts_audience=lambda audience: audience == RESOURCE, now=now
    )


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(HOSTILE) >= 60


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_token_is_refused_rs_05_rs_06(name: str) -> None:
    with pytest.raises(InvalidToken):
        verify(HOSTILE[name])


def test_the_token_they_are_made_from_is_accepted() -> None:
    assert verify(sign()) == CLAIMS


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_both_spellings_of_the_type_are_accepted_rs_05(typ: str) -> None:
    assert verify(with_header(typ=typ)) == CLAIMS


@pytest.mark.parametrize("aud", [RESOURCE, [RESOURCE], ["https://other.test", RESOURCE]])
def test_the_audience_may_be_one_or_among_several_rs_03(aud: Any) -> None:
    assert verify(with_claims(aud=aud))["aud"] == aud


@pytest.mark.parametrize(
    ("now", "accepted"), [(NOW + 929, True), (NOW + 930, False), (NOW - 30, True), (NOW - 31, False)]
)
def test_the_leeway_is_thirty_seconds_both_ways_gen_07(*, now: int, accepted: bool) -> None:
    if accepted:
        assert verify(sign(), now=now) == CLAIMS
    else:
        with pytest.raises(InvalidToken):
            verify(sign(), now=now)


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_what_is_signed_with_a_key_verifies_with_its_published_half_at_01(alg: str) -> None:
    key = SIGNING_KEYS[alg]
    token = sign_access_token(CLAIMS, key)
    found = parse_jwks({"keys": [key.public_jwk()]})[read_kid(token)]
    assert (found.kid, found.alg) == (key.kid, alg)
    claims = verify_access_token(token, found, issuer=ISSUER, accepts_audience=lambda _: True, now=NOW)
    assert claims == CLAIMS


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_stored_key_signs_as_before(alg: str) -> None:
    key = parse_signing_key(SIGNING_KEYS[alg].private_jwk())
    assert (key.kid, key.alg) == (SIGNING_KEYS[alg].kid, alg)
    token = sign_access_token(CLAIMS, key)
    found = parse_jwks({"keys": [SIGNING_KEYS[alg].public_jwk()]})[read_kid(token)]
    assert verify_access_token(token, found, issuer=ISSUER, accepts_audience=lambda _: True, now=NOW) == CLAIMS


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_published_key_holds_no_private_member(alg: str) -> None:
    assert SIGNING_KEYS[alg].public_jwk().keys() & {"d", "p", "q", "dp", "dq", "qi", "k"} == set()


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_token_verifies_only_with_the_algorithm_of_its_key_rfc8725_3_1(alg: str) -> None:
    token = sign_access_token(CLAIMS, SIGNING_KEYS[alg])
    for other in set(ALGORITHMS) - {alg}:
        key = next(iter(parse_jwks({"keys": [SIGNING_KEYS[other].public_jwk()]}).values()))
        with pytest.raises(InvalidToken):
            verify_access_token(token, key, issuer=ISSUER, accepts_audience=lambda _: True, now=NOW)


def test_an_rsa_key_without_alg_stands_for_rs256_only() -> None:
    jwk = {name: value for name, value in SIGNING_KEYS["RS256"].public_jwk().items() if name != "alg"}
    assert [key.alg for key in parse_jwks({"keys": [jwk]}).values()] == ["RS256"]


def test_keys_that_cannot_be_trusted_or_used_are_left_out_rs_05() -> None:
    good = KEY.public_jwk()
    p384 = ECKey.generate_key("P-384").as_dict(private=False)
    x25519 = OKPKey.generate_key("X25519").as_dict(private=False)
    unusable: list[Any] = [
        None,
        [],
        "key",
        {},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "mac", "alg": "HS256"},
        good | {"use": "enc", "kid": "encrypts"},
        {name: value for name, value in good.items() if name != "kid"},
        good | {"kid": 7},
        good | {"kid": "a", "alg": "none"},
        good | {"kid": "b", "alg": "HS256"},
        good | {"kid": "c", "alg": ["ES256"]},
        good | {"kid": "d", "alg": "RS256"},
        good | {"kid": "e", "crv": ["P-256"]},
        good | {"kid": "f", "x": "AA"},
        good | {"kid": "g", "x": 5},
        p384 | {"kid": "h", "alg": "ES256"},
        x25519 | {"kid": "i", "alg": "EdDSA"},
        {"kty": "RSA", "kid": "j", "alg": "RS256", "n": "AQAB", "e": "AQAB"},
        {"kty": "RSA", "kid": "k", "alg": "RS256", "n": 5, "e": "AQAB"},
        {"kty": "RSA", "kid": "l", "alg": "RS256", "n": SIGNING_KEYS["RS256"].public_jwk()["n"]},
    ]
    assert list(parse_jwks({"keys": [*unusable, good]})) == [KEY.kid]


def test_an_rsa_key_below_2048_bits_verifies_nothing_rfc8725_3_5() -> None:
    modulus = rsa.generate_private_key(65537, 1024).public_key().public_numbers().n  # noqa: S505  # too weak: the point
    weak = {"kty": "RSA", "kid": "weak", "alg": "RS256", "n": encode(modulus.to_bytes(128, "big")), "e": "AQAB"}
    assert parse_jwks({"keys": [weak]}) == {}
    padded = {**weak, "n": encode(modulus.to_bytes(256, "big"))}
    assert parse_jwks({"keys": [padded]}) == {}


@pytest.mark.parametrize(
    "changes", [{"n": encode(b"\xff" * 1025)}, {"e": encode(b"\xff" * 5)}, {"e": ""}, {"n": 5}, {"e": None}]
)
def test_an_rsa_key_that_is_costly_to_reckon_with_verifies_nothing(changes: dict[str, object]) -> None:
    good = generate_signing_key("RS256").public_jwk()
    assert parse_jwks({"keys": [good]}).keys() == {good["kid"]}
    assert parse_jwks({"keys": [{**good, **changes}]}) == {}


@pytest.mark.parametrize("document", [None, [], "keys", {}, {"keys": None}, {"keys": {}}])
def test_what_is_no_key_set_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="not a JWK set"):
        parse_jwks(document)


def test_a_key_set_is_read_up_to_fifty_keys() -> None:
    jwks = {"keys": [KEY.public_jwk() | {"kid": str(number)} for number in range(60)]}
    assert len(parse_jwks(jwks)) == 50


def test_the_longest_token_is_eight_kib() -> None:
    room = (MAX_JWT_LENGTH - len(with_claims(pad=""))) * 3 // 4
    longest = with_claims(pad="x" * (room - 2))
    assert MAX_JWT_LENGTH - 8 <= len(longest) <= MAX_JWT_LENGTH
    assert verify(longest)["sub"] == "user-1"
