"""`WWW-Authenticate` fields as they are met in the field, and as nobody should send them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.oauth.challenges import Challenge, find_challenge, parse_challenges

METADATA = "https://mcp.example/.well-known/oauth-protected-resource/mcp"


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        (
            [f'Bearer resource_metadata="{METADATA}", scope="a b"'],
            [("bearer", {"resource_metadata": METADATA, "scope": "a b"})],
        ),
        (
            [f'DPoP algs="ES256", Bearer resource_metadata={METADATA}'],
            [("dpop", {"algs": "ES256"}), ("bearer", {"resource_metadata": METADATA})],
        ),
        (["Negotiate abc==, Bearer scope=a"], [("negotiate", {}), ("bearer", {"scope": "a"})]),
        (["Negotiate", "bearer SCOPE = a"], [("negotiate", {}), ("bearer", {"scope": "a"})]),
        (['Basic realm="a, Bearer b=c", Bearer'], [("basic", {"realm": "a, Bearer b=c"}), ("bearer", {})]),
        (['Bearer error_description="say \\"no\\""'], [("bearer", {"error_description": 'say "no"'})]),
        (["Bearer scope=first, scope=second"], [("bearer", {"scope": "first"})]),
        (['=,,"\x00 Bearer a=b'], [("bearer", {"a": "b"})]),
        ([], []),
    ],
)
def test_a_challenge_is_read_in_every_spelling_www_09(
    fields: list[str], found: list[tuple[str, dict[str, str]]]
) -> None:
    assert parse_challenges(fields) == [Challenge(scheme, parameters) for scheme, parameters in found]


@given(st.lists(st.text(max_size=200), max_size=3))
def test_no_field_stops_the_reader_www_09(fields: list[str]) -> None:
    parse_challenges(fields)


def test_the_challenge_with_metadata_goes_before_others_of_its_kind_www_09() -> None:
    fields = ["Bearer realm=x", f"DPoP algs=ES256, Bearer resource_metadata={METADATA}"]
    found = find_challenge(fields, "bearer", "dpop")
    assert found is not None
    assert found.resource_metadata == METADATA
    assert find_challenge(["Basic realm=x"], "bearer") is None
