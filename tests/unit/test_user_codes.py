"""User codes: easy to read off and to type, and of no use to a reader of the database (DEV-04).

Spec: DEV-04; RFC 8628 §5.1, §6.1
"""

from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core.user_codes import (
    ALPHABET,
    LENGTH,
    format_user_code,
    hash_user_code,
    new_user_code,
    parse_user_code,
)
from doorward.oauth.ids import ProjectId

ALPHA, BETA = ProjectId("prj_alpha"), ProjectId("prj_beta")
CODES = st.text(ALPHABET, min_size=LENGTH, max_size=LENGTH)
BETWEEN = st.text(" -\t\n.,_–—\u00a0\u2009\u200b", max_size=3)


def test_a_code_has_34_bits_of_letters_that_are_not_mistaken_for_others() -> None:
    assert LENGTH * log2(len(set(ALPHABET))) > 34.5
    assert set(ALPHABET).isdisjoint("AEIOUY0123456789")  # no words, no O for 0, no I for 1
    codes = {new_user_code() for _ in range(500)}
    assert len(codes) == 500
    assert {letter for code in codes for letter in code} == set(ALPHABET)
    assert {len(code) for code in codes} == {LENGTH}


@given(CODES)
def test_a_code_is_shown_in_two_halves_and_read_back(code: str) -> None:
    shown = format_user_code(code)
    assert (len(shown), shown[4]) == (9, "-")
    assert parse_user_code(shown) == code


@given(CODES, st.lists(BETWEEN, min_size=LENGTH, max_size=LENGTH), st.integers(min_value=0, max_value=255))
def test_case_blanks_and_hyphens_are_forgiven(code: str, between: list[str], lower: int) -> None:
    letters = [letter.lower() if lower >> at & 1 else letter for at, letter in enumerate(code)]
    assert parse_user_code("".join(pair for both in zip(between, letters, strict=True) for pair in both)) == code


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("wdjb-mjht", "WDJBMJHT"),
        (" WDJB – MJHT ", "WDJBMJHT"),
        ("".join(chr(ord(letter) + 0xFEE0) for letter in "WDJBMJHT"), "WDJBMJHT"),
        ("W.D.J.B.M.J.H.T", "WDJBMJHT"),
    ],
)
def test_what_a_telephone_makes_of_a_code_is_the_code(typed: str, code: str) -> None:
    assert parse_user_code(typed) == code


@pytest.mark.parametrize(
    "typed",
    [
        *("", "-", "WDJB-MJH", "WDJB-MJHTT", "WDJBMJHT" * 2),
        *("WDJB-MJH0", "WDJB-MJHA", "WDJB-MJHÉ", "ẞẞẞẞ", "\ud800WDJBMJH", "БДЖБМЖХТ"),
        *("\x00" * 8, " " * 60 + "WDJB-MJHT"),
    ],
)
def test_what_can_be_no_code_is_none(typed: str) -> None:
    assert parse_user_code(typed) is None


@given(st.text())
def test_any_text_is_a_code_or_none(typed: str) -> None:
    code = parse_user_code(typed)
    assert code is None or parse_user_code(format_user_code(code)) == code


def test_the_stored_form_needs_the_servers_key_and_is_of_one_project() -> None:
    stored = hash_user_code(b"key one", ALPHA, "WDJBMJHT")
    assert hash_user_code(b"key one", ALPHA, "WDJBMJHT") == stored
    others = [
        hash_user_code(b"key two", ALPHA, "WDJBMJHT"),
        hash_user_code(b"key one", BETA, "WDJBMJHT"),
        hash_user_code(b"key one", ALPHA, "WDJBMJHX"),
    ]
    assert len({stored, *others}) == 4
    assert len(stored) == 32
