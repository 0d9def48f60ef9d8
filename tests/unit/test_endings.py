"""What is known to have ended: it only grows, is bounded, and lapses when no token can be left (I3, I13)."""

import pytest

from doorward.oauth.revocations import RevocationEntry, RevocationState
from doorward.resource import endings as module
from doorward.resource.endings import Endings

NOW = 1_000_000


def entry(digest: str, state: RevocationState = "void", at: int = NOW, until: int = NOW + 3720) -> RevocationEntry:
    return RevocationEntry(digest, state, at, until)


def learn(endings: Endings, *entries: RevocationEntry, from_beginning: bool = False, now: float = NOW) -> int:
    return endings.learn(entries, from_beginning=from_beginning, now=now)


def test_tokens_up_to_an_end_are_over_and_later_ones_are_not() -> None:
    known = Endings()
    learn(known, entry("a", at=100))
    assert [known.has_ended("a", issued_at, NOW) for issued_at in (99, 100, 101)] == [True, True, False]
    assert known.is_over("a")
    assert not known.is_over("b")


def test_an_earlier_end_does_not_take_a_later_one_back() -> None:
    known = Endings()
    learn(known, entry("a", at=100), entry("a", at=50))
    assert known.has_ended("a", 100, NOW)


def test_a_hold_and_an_end_are_two_things() -> None:
    known = Endings()
    learn(known, entry("a", at=100), entry("a", "hold", at=110), entry("a", "free", at=120))
    assert known.has_ended("a", 100, NOW)
    assert not known.has_ended("a", 101, NOW)
    learn(known, entry("b", "hold"))
    assert known.has_ended("b", NOW + 999, NOW)
    assert not known.is_over("b")


def test_the_last_word_of_a_running_list_counts_whatever_the_clock_was() -> None:
    known = Endings()
    learn(known, entry("a", "hold", at=100))
    learn(known, entry("a", "free", at=90))
    assert not known.has_ended("a", NOW, NOW)


def test_what_is_repeated_from_the_beginning_undoes_nothing_that_came_after_it() -> None:
    known = Endings()
    learn(known, entry("a", "hold", at=100), entry("b", "free", at=100))
    learn(known, entry("a", "free", at=90), entry("b", "hold", at=90), from_beginning=True)
    assert known.has_ended("a", NOW, NOW)
    assert not known.has_ended("b", NOW, NOW)
    learn(known, entry("a", "free", at=100), from_beginning=True)
    assert not known.has_ended("a", NOW, NOW)


def test_endings_lapse_and_are_forgotten() -> None:
    known = Endings()
    learn(known, entry("old", until=NOW + 10), entry("new", until=NOW + 20), entry("gone", until=NOW))
    assert len(known) == 2
    learn(known, now=NOW + 9)
    assert len(known) == 2
    learn(known, now=NOW + 10)
    assert (known.is_over("old"), known.is_over("new")) == (False, True)


def test_a_hold_that_was_never_lifted_lapses_with_the_last_token_it_could_concern() -> None:
    known = Endings()
    learn(known, entry("a", "hold", until=NOW + 10), entry("a", at=5, until=NOW + 500))
    assert known.has_ended("a", NOW, NOW + 9)
    assert not known.has_ended("a", NOW, NOW + 10)
    assert known.has_ended("a", 5, NOW + 10)


def test_they_are_bounded_and_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KNOWN", 100)
    known = Endings()
    assert learn(known, *(entry(f"a{number}") for number in range(100))) == 0
    learn(known, entry("a0", at=NOW + 1))  # heard of again: the youngest now
    assert learn(known, entry("b1"), entry("b2")) == 2
    assert len(known) == 100
    assert [known.is_over(name) for name in ("a0", "a1", "a2", "a3", "b2")] == [True, False, False, True, True]
