"""doorward.oauth.pkce: S256 or nothing."""

import pytest

from doorward.oauth.errors import INVALID_REQUEST, OAuthError
from doorward.oauth.pkce import build_challenge, parse_challenge, parse_verifier

# RFC 7636, Appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_the_challenge_of_the_rfcs_own_example_comes_out_right() -> None:
    assert build_challenge(VERIFIER) == CHALLENGE
    assert parse_challenge(CHALLENGE, "S256") == CHALLENGE


@pytest.mark.parametrize(
    ("challenge", "method"),
    [
        (None, None),
        (None, "S256"),
        (CHALLENGE, None),
        (CHALLENGE, "plain"),
        (CHALLENGE, "s256"),
        (CHALLENGE, ""),
        (CHALLENGE, "S512"),
        ("", "S256"),
        (CHALLENGE[:-1], "S256"),
        (f"{CHALLENGE}A", "S256"),
        (f"{CHALLENGE[:-1]}=", "S256"),
        (f"{CHALLENGE[:-1]}+", "S256"),
        (f"{CHALLENGE[:-1]}\n", "S256"),
        (f"{CHALLENGE[:-1]}é", "S256"),
    ],
)
def test_anything_but_an_s256_challenge_is_refused_pkce_02_pkce_03_pkce_05(
    challenge: str | None, method: str | None
) -> None:
    with pytest.raises(OAuthError) as caught:
        parse_challenge(challenge, method)
    assert caught.value.code == INVALID_REQUEST


@pytest.mark.parametrize("verifier", [VERIFIER, "a" * 43, "~._-" * 32])
def test_a_verifier_has_43_to_128_unreserved_characters_pkce_05(verifier: str) -> None:
    assert parse_verifier(verifier) == verifier


@pytest.mark.parametrize(
    "verifier", [None, "", "a" * 42, "a" * 129, "a" * 42 + "+", "a" * 42 + "\n", "a" * 43 + "\n", "é" * 43]
)
def test_any_other_verifier_is_refused_pkce_05(verifier: str | None) -> None:
    with pytest.raises(OAuthError) as caught:
        parse_verifier(verifier)
    assert caught.value.code == INVALID_REQUEST
