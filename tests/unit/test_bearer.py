"""doorward.oauth.bearer: one header in, one challenge out."""

import pytest

from doorward.oauth.bearer import (
    MAX_TOKEN_LENGTH,
    build_challenge,
    build_dpop_challenge,
    parse_access_token,
    parse_authorization,
    parse_bearer,
)
from doorward.oauth.errors import INVALID_REQUEST, OAuthError


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER   abc  ", "abc"),
        ("Bearer a-._~+/b==", "a-._~+/b=="),
        ("Basic dXNlcjpwYXNz", None),
        ("DPoP abc", None),
        ("AWS4-HMAC-SHA256 Credential=x, Signature=y", None),
    ],
)
def test_the_token_is_taken_from_the_bearer_scheme_alone_rs_01(header: str, token: str | None) -> None:
    assert parse_bearer([header]) == token


@pytest.mark.parametrize(
    ("header", "found"),
    [("DPoP abc", ("dpop", "abc")), ("Bearer abc", ("bearer", "abc")), ("Basic abc", None)],
)
def test_the_scheme_of_a_token_is_told_dpop_07(header: str, found: tuple[str, str] | None) -> None:
    assert parse_access_token([header], schemes=("bearer", "dpop")) == found
    assert parse_access_token([header], schemes=()) is None


def test_without_a_header_there_is_no_token() -> None:
    assert parse_bearer([]) is None
    assert parse_authorization([]) is None


@pytest.mark.parametrize(
    "headers",
    [
        [""],
        [" "],
        ["Bearer"],
        ["Bearer "],
        ["Bearer a b"],
        ["Bearer a,b"],
        ["Bearer a\tb"],
        ["Bearer =="],
        ["Bearer é"],
        ["Bearer a\r\nX: y"],
        ["Bearer a\x00"],
        ["Bearer a\n"],
        ["Bearer a\xa0"],
        ["Bearer\tabc"],
        ["Bearer:abc"],
        ["(Bearer) abc"],
        ["Bearer " + "a" * (MAX_TOKEN_LENGTH + 1)],
        ["Bearer " + "a" * 1_000_000],
        ["Bearer a", "Bearer a"],
        ["Bearer a", "Basic b"],
        ["Basic"],
    ],
)
def test_malformed_credentials_are_an_invalid_request_rs_16(headers: list[str]) -> None:
    with pytest.raises(OAuthError) as caught:
        parse_bearer(headers)
    assert (caught.value.code, caught.value.status) == (INVALID_REQUEST, 400)


def test_the_longest_token_is_accepted() -> None:
    token = "a" * MAX_TOKEN_LENGTH
    assert parse_bearer([f"Bearer {token}"]) == token


def test_a_challenge_is_one_line_in_the_order_clients_parse_www_01_www_02() -> None:
    challenge = build_challenge(
        resource_metadata="https://h/.well-known/oauth-protected-resource/mcp",
        scope=["tools:read", "tools:write"],
        error="insufficient_scope",
        description="More is needed.",
    )
    assert challenge == (
        'Bearer error="insufficient_scope", error_description="More is needed.", '
        'resource_metadata="https://h/.well-known/oauth-protected-resource/mcp", scope="tools:read tools:write"'
    )


def test_offline_access_is_never_in_a_challenge_www_03() -> None:
    assert build_challenge(scope=["offline_access", "a"]) == 'Bearer scope="a"'


def test_a_challenge_always_has_a_parameter_www_06() -> None:
    assert build_challenge() == 'Bearer realm="OAuth"'
    assert build_challenge(scope=["offline_access"]) == 'Bearer realm="OAuth"'


def test_a_description_cannot_break_out_of_its_quotes_www_07() -> None:
    challenge = build_challenge(error="invalid_token", description='a"b\\c\r\nSet-Cookie: d=é')
    assert challenge == "Bearer error=\"invalid_token\", error_description=\"a'b'c''Set-Cookie: d='\""


def test_a_dpop_challenge_names_its_algorithms_and_what_a_bearer_challenge_names_dpop_06() -> None:
    assert build_dpop_challenge(algs=["ES256", "EdDSA"]) == 'DPoP algs="ES256 EdDSA"'
    challenge = build_dpop_challenge(
        algs=["ES256"],
        resource_metadata="https://h/m",
        scope=["a", "offline_access"],
        error="invalid_dpop_proof",
        description='a"b',
    )
    assert challenge == (
        'DPoP error="invalid_dpop_proof", error_description="a\'b", algs="ES256", '
        'resource_metadata="https://h/m", scope="a"'
    )
