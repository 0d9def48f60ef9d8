"""Budgets: one spelling that is read back as it was written, and nothing else is taken for one."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.oauth.budgets import (
    MAX_BUDGETS,
    MAX_LIMIT,
    MAX_SECONDS,
    MAX_TEXT_LENGTH,
    Budget,
    Part,
    Unit,
    describe_amount,
    parse_budget,
    parse_budgets,
    parse_budgets_claim,
)

TOOLS = st.lists(st.text(st.sampled_from("abz_-./:09"), min_size=1, max_size=12), max_size=8, unique=True)
BUDGETS = st.builds(
    Budget,
    limit=st.integers(1, MAX_LIMIT),
    seconds=st.one_of(st.sampled_from([1, 60, 3600, 86_400]), st.integers(1, MAX_SECONDS)),
    per=st.sets(st.sampled_from(get_args(Part))).map(lambda per: tuple(part for part in get_args(Part) if part in per)),
    tools=TOOLS.map(lambda tools: tuple(sorted(tools))),
    unit=st.sampled_from(get_args(Unit)),
)


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("10/minute per user", Budget(10, 60, ("user",))),
        ("1000/day per client", Budget(1000, 86_400, ("client",))),
        ("1/second per server", Budget(1, 1)),
        ("5/hour per tool and user", Budget(5, 3600, ("user", "tool"))),
        ("3/90s per connection", Budget(3, 90, ("connection",))),
        ("cost 500/day per user and client", Budget(500, 86_400, ("user", "client"), unit="cost")),
        ("2/minute per user on b, a,b", Budget(2, 60, ("user",), ("a", "b"))),
        ("  10/minute \t per   user ", Budget(10, 60, ("user",))),
    ],
)
def test_a_budget_is_spelled_in_a_few_words(text: str, budget: Budget) -> None:
    assert parse_budget(text) == budget


@given(BUDGETS)
def test_a_budget_is_read_back_from_its_own_spelling(budget: Budget) -> None:
    if len(str(budget)) <= MAX_TEXT_LENGTH:
        assert parse_budget(str(budget)) == budget


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no budget"),
        ("10/minute", "is no budget"),
        ("10 per user", "is no budget"),
        ("-1/minute per user", "is no budget"),
        ("1.5/minute per user", "is no budget"),
        ("\u0661\u0660/minute per user", "is no budget"),
        ("10/minute per user on", "is no budget"),
        (f"10/minute per user on {'a' * 128}, {'b' * 128}", "is no budget"),
        ("10/Minute per user", "is no budget"),
        ("0/minute per user", "limit from 1 to 1,000,000,000"),
        ("1000000001/minute per user", "limit from 1 to 1,000,000,000"),
        ("10/week per user", "week is no period"),
        ("10/s per user", "s is no period"),
        ("10/0s per user", "for 1 to 2,678,400 seconds"),
        ("10/2678401s per user", "for 1 to 2,678,400 seconds"),
        ("10/minute per team", "not per team"),
        ("10/minute per user and user", "each thing it is counted per once"),
        ("10/minute per server and user", "for all callers together"),
        ("10/minute per user on a,,b", "without spaces and commas"),
        ("10/minute per user on a b", "without spaces and commas"),
        (f"10/minute per user on {','.join('abcdefghijk')}", "10 tools at most"),
    ],
)
def test_what_is_no_budget_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_budget(text)


@given(st.text(max_size=300))
def test_any_text_is_a_budget_or_a_value_error(text: str) -> None:
    try:
        budget = parse_budget(text)
    except ValueError:
        return
    assert parse_budget(str(budget)) == budget


@pytest.mark.parametrize(
    "members",
    [
        {"limit": 0},
        {"seconds": 0},
        {"per": ("client", "user")},
        {"per": ("user", "user")},
        {"per": ("team",)},
        {"tools": ("b", "a")},
        {"tools": ("a", "a")},
        {"tools": ("with space",)},
        {"tools": ("",)},
        {"unit": "money"},
    ],
)
def test_a_budget_that_cannot_be_is_not_made(members: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="A budget"):
        Budget(**{"limit": 1, "seconds": 60, **members})


def test_budgets_are_each_taken_once_and_are_few() -> None:
    assert parse_budgets(["1/day per user", "1/86400s per user"]) == (Budget(1, 86_400, ("user",)),)
    with pytest.raises(ValueError, match="8 budgets at most"):
        parse_budgets(f"{limit}/day per user" for limit in range(1, MAX_BUDGETS + 2))


def test_a_token_without_budgets_carries_none() -> None:
    assert parse_budgets_claim(None) == ()
    assert parse_budgets_claim([]) == ()
    assert parse_budgets_claim(["1/day per user"]) == (Budget(1, 86_400, ("user",)),)


@pytest.mark.parametrize(
    "claim", ["1/day per user", {}, 7, False, [7], [None], ["10/minute"], [{"limit": 1}], ["1/day per user"] * 9]
)
def test_a_claim_that_is_anything_else_is_refused(claim: Any) -> None:
    with pytest.raises(ValueError, match=r"claim is not|is no budget"):
        parse_budgets_claim(claim)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1/second per user", "1 tool call a second"),
        ("10/minute per user", "10 tool calls a minute"),
        ("1000/day per user", "1,000 tool calls a day"),
        ("5/hour per user", "5 tool calls an hour"),
        ("5/90s per user", "5 tool calls in 90 seconds"),
        ("cost 1/day per user", "1 unit of use a day"),
        ("cost 5000/day per user", "5,000 units of use a day"),
    ],
)
def test_a_budget_is_told_in_words(text: str, words: str) -> None:
    assert describe_amount(parse_budget(text)) == words
