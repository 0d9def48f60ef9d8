"""doorward.oauth.scopes: what was asked, what is allowed, what is missing."""

import pytest

from doorward.oauth.errors import INVALID_SCOPE, OAuthError
from doorward.oauth.scopes import MAX_SCOPES, format_scope, missing, narrow, parse_scope, union


@pytest.mark.parametrize(
    ("text", "scopes"),
    [
        (None, ()),
        ("", ()),
        (" ", ()),
        ("a", ("a",)),
        ("b a", ("b", "a")),
        ("a b a", ("a", "b")),
        (" a  b ", ("a", "b")),
        ("tools:read tool:x/y!#$%&'()*+,-.<=>?@[]^_`{|}~", ("tools:read", "tool:x/y!#$%&'()*+,-.<=>?@[]^_`{|}~")),
    ],
)
def test_scopes_keep_their_order_and_come_once(text: str | None, scopes: tuple[str, ...]) -> None:
    assert parse_scope(text) == scopes


@pytest.mark.parametrize(
    "text",
    [
        'a"b',
        "a\\b",
        "a\tb",
        "a\nb",
        "é",
        "a\x00",
        "a\x7f",
        "x" * 129,
        " ".join(map(str, range(MAX_SCOPES + 1))),
        "a " * 500_000,
    ],
)
def test_what_cannot_be_a_scope_is_invalid_scope_scp_07(text: str) -> None:
    with pytest.raises(OAuthError) as caught:
        parse_scope(text)
    assert caught.value.code == INVALID_SCOPE


def test_narrowing_grants_no_more_than_either_side_scp_06() -> None:
    assert narrow(["c", "a", "x"], ["a", "b", "c"]) == ("c", "a")
    assert narrow(["a"], []) == ()


def test_missing_is_what_is_needed_and_not_held() -> None:
    assert missing(["a", "b"], ["b", "c"]) == ("a",)
    assert missing([], []) == ()


def test_a_union_names_everything_once_in_the_order_of_first_mention() -> None:
    assert union(["b", "a"], ["a", "c"], []) == ("b", "a", "c")
    assert union() == ()


def test_the_wire_form_is_separated_by_one_space() -> None:
    assert format_scope(("a", "b")) == "a b"
