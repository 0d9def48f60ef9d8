"""doorward.client.client_auth and keys: the agreed method is used, and what it sends is worth nothing elsewhere."""

import json
from base64 import b64decode, urlsafe_b64decode
from dataclasses import replace
from typing import Any

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey

from doorward.client.client_auth import build_client_authentication, choose_method
from doorward.client.errors import IssuerChanged, RegistrationFailed
from doorward.client.keys import load_signing_key
from doorward.client.records import Registration
from doorward.oauth.assertions import ASSERTION_TYPE, verify_client_assertion
from doorward.oauth.jwt import InvalidToken, SigningKey, generate_signing_key, parse_jwks

ISSUER = "https://auth.example/tenant"
NOW = 1_800_000_000.75
KEY = generate_signing_key()
SECRET = "a secret: 100% käse"
GIVEN = Registration(issuer=ISSUER, kind="preregistered", client_id="https://app.example/id", client_secret=SECRET)


def authenticate(
    registration: Registration,
    *,
    supported: tuple[str, ...] | None = None,
    key: SigningKey | None = None,
    issuer: str = ISSUER,
) -> tuple[dict[str, str], dict[str, str]]:
    return build_client_authentication(registration, issuer=issuer, supported=supported, signing_key=key, now=NOW)


def assertion_of(key: SigningKey = KEY) -> str:
    headers, fields = authenticate(replace(GIVEN, client_secret=None), supported=("private_key_jwt",), key=key)
    assert headers == {}
    assert fields.keys() == {"client_id", "client_assertion_type", "client_assertion"}
    assert fields["client_assertion_type"] == ASSERTION_TYPE
    return fields["client_assertion"]


def part_of(jwt: str, index: int) -> dict[str, Any]:
    segment = jwt.split(".")[index]
    return dict(json.loads(urlsafe_b64decode(segment + "=" * (-len(segment) % 4))))


def test_a_public_client_sends_its_id_alone() -> None:
    assert authenticate(replace(GIVEN, client_secret=None)) == ({}, {"client_id": GIVEN.client_id})


def test_who_has_no_client_id_sends_nothing() -> None:
    assert authenticate(replace(GIVEN, client_secret=None, client_id="")) == ({}, {})


def test_id_and_secret_of_basic_are_form_encoded_before_they_are_joined() -> None:
    headers, fields = authenticate(GIVEN)
    assert fields == {}
    scheme, _, credentials = headers["authorization"].partition(" ")
    assert scheme == "Basic"
    expected = "https%3A%2F%2Fapp.example%2Fid:a%20secret%3A%20100%25%20k%C3%A4se"
    assert b64decode(credentials).decode() == expected


def test_a_secret_goes_into_the_body_where_only_that_is_offered() -> None:
    sent = {"client_id": GIVEN.client_id, "client_secret": SECRET}
    assert authenticate(GIVEN, supported=("none", "client_secret_post")) == ({}, sent)


def test_an_assertion_is_for_the_issuer_alone_and_says_what_it_is_cli_08() -> None:
    jwt = assertion_of()
    assert part_of(jwt, 0) == {"alg": "ES256", "typ": "client-authentication+jwt", "kid": KEY.kid}
    claims = part_of(jwt, 1)
    jti = claims.pop("jti")
    assert len(jti) >= 22
    assert claims == {
        "iss": GIVEN.client_id,
        "sub": GIVEN.client_id,
        "aud": ISSUER,
        "iat": int(NOW),
        "exp": int(NOW) + 60,
    }


def test_every_assertion_is_a_new_one_cli_08() -> None:
    assert part_of(assertion_of(), 1)["jti"] != part_of(assertion_of(), 1)["jti"]


@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "PS256", "RS256"])
def test_the_issuer_accepts_the_assertion_and_nobody_else_does_cli_08_cimd_29(alg: str) -> None:
    key = generate_signing_key(alg)
    jwt, keys = assertion_of(key), parse_jwks({"keys": [key.public_jwk()]})
    accepted = verify_client_assertion(jwt, keys, accepts_audience=ISSUER.__eq__, now=int(NOW) + 1)
    assert accepted.client_id == GIVEN.client_id
    with pytest.raises(InvalidToken, match="aud"):
        verify_client_assertion(jwt, keys, accepts_audience=f"{ISSUER}/token".__eq__, now=int(NOW) + 1)


def test_credentials_of_one_issuer_never_go_to_another_cred_02() -> None:
    with pytest.raises(IssuerChanged) as refused:
        authenticate(GIVEN, issuer=f"{ISSUER}/")
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("answered", ["client_secret_basic", "client_secret_post", "none"])
def test_the_method_the_registration_answered_is_used_whatever_the_metadata_lists_dcr_18(answered: str) -> None:
    registered = replace(GIVEN, kind="dynamic", token_endpoint_auth_method=answered)
    headers, fields = authenticate(registered, supported=("client_secret_post", "client_secret_basic", "none"))
    assert ("authorization" in headers, "client_secret" in fields) == (
        answered == "client_secret_basic",
        answered == "client_secret_post",
    )


BASIC, POST, KEYED, NONE = "client_secret_basic", "client_secret_post", "private_key_jwt", "none"


@pytest.mark.parametrize(
    ("supported", "has_secret", "has_key", "registered", "chosen"),
    [
        (None, True, False, None, BASIC),  # the default of RFC 8414
        (None, False, False, None, NONE),
        (None, False, True, None, KEYED),
        ((), True, False, None, BASIC),
        ((BASIC, POST), True, False, None, BASIC),
        ((POST, NONE, BASIC), True, False, None, POST),  # the server's own order
        ((POST,), True, False, None, POST),
        ((KEYED, POST), True, False, None, POST),
        ((KEYED, BASIC), True, True, None, KEYED),
        ((BASIC,), True, True, None, BASIC),
        ((NONE,), True, False, None, NONE),
        ((BASIC,), False, False, None, NONE),
        ((NONE, KEYED), False, True, None, KEYED),
        ((BASIC,), True, False, NONE, NONE),
        ((BASIC,), True, False, POST, POST),
        ((BASIC, POST), False, False, BASIC, NONE),  # it answered no secret to go with it
        ((KEYED,), False, True, KEYED, KEYED),
    ],
)
def test_the_method_is_the_first_that_both_sides_can_do_dcr_18(
    supported: tuple[str, ...] | None, *, has_secret: bool, has_key: bool, registered: str | None, chosen: str
) -> None:
    assert choose_method(supported, has_secret=has_secret, has_key=has_key, registered=registered) == chosen


def test_an_answered_method_that_nobody_has_is_said_dcr_18() -> None:
    with pytest.raises(RegistrationFailed, match="a way to authenticate"):
        choose_method(None, has_secret=True, has_key=False, registered="tls_client_auth")


@pytest.mark.parametrize(
    ("made", "alg"),
    [
        (ECKey.generate_key("P-256"), "ES256"),
        (OKPKey.generate_key("Ed25519"), "EdDSA"),
        (RSAKey.generate_key(2048), "RS256"),
    ],
)
def test_a_key_is_loaded_from_pem_and_from_a_jwk(made: ECKey | OKPKey | RSAKey, alg: str) -> None:
    for text in (made.as_pem(private=True), made.as_pem(private=True).decode(), made.as_dict(private=True)):
        loaded = load_signing_key(text)
        assert (loaded.alg, loaded.kid) == (alg, made.thumbprint())
        assertion_of(loaded)


def test_a_key_keeps_the_name_and_the_algorithm_it_was_registered_with() -> None:
    jwk = {**RSAKey.generate_key(2048).as_dict(private=True), "kid": "2026-11", "alg": "PS256"}
    assert (load_signing_key(jwk).kid, load_signing_key(jwk).alg) == ("2026-11", "PS256")
    assert (load_signing_key(jwk, kid="other", alg="RS256").kid, load_signing_key(jwk, alg="RS256").alg) == (
        "other",
        "RS256",
    )


@pytest.mark.parametrize(
    "key",
    [
        "-----BEGIN PRIVATE KEY-----\nMIIB-SECRET-PART\n-----END PRIVATE KEY-----\n",
        {"kty": "oct", "k": "SECRET-PART"},
        {"kty": "EC", "crv": "P-256", "d": "SECRET-PART"},
        ECKey.generate_key("P-256").as_dict(private=False),
        ECKey.generate_key("P-384").as_dict(private=True),
        {**ECKey.generate_key("P-256").as_dict(private=True), "alg": "RS256"},
        {**RSAKey.generate_key(2048).as_dict(private=True), "alg": "none"},
    ],
)
def test_what_is_no_usable_key_is_refused_without_repeating_it(key: str | dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="signing key") as refused:
        load_signing_key(key)
    assert "SECRET-PART" not in str(refused.value)
    assert refused.value.__cause__ is None
