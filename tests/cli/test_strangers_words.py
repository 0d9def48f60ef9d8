"""What servers say of themselves is shown on a terminal, and does nothing there."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from doorward.cli.client.common import Teller, show

# A colour as one character (C1), DEL, words turned around, and a line of its own.
EVIL = "\x9b31m \x7f \u202egnp.exe \x1b]0;title\x07 \ud800"


@contextmanager
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    yield


@pytest.mark.parametrize("words", ["half [/] done", "[/bold]", "[link=https://evil.example]click[/link]", "[red", EVIL])
def test_what_a_tool_says_of_its_progress_is_no_markup_t11(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    with at_a_terminal(monkeypatch), Teller().waiting(words) as tell:
        tell(words)
    shown = capsys.readouterr().err
    assert "]8;" not in shown, "no link"
    if words.isprintable():
        assert words in shown


def test_json_for_programs_moves_nothing_on_a_terminal_and_says_the_same_t11(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show({"name": EVIL}, as_json=True)
    show([{"name": EVIL, EVIL: ["Lisbon, Åland, 東京"]}], as_json=True)
    shown = capsys.readouterr().out
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert "Lisbon, Åland, 東京" in shown
    one, _, many = shown.partition("}\n[")
    assert json.loads(one + "}") == {"name": EVIL}
    assert json.loads(f"[{many}") == [{"name": EVIL, EVIL: ["Lisbon, Åland, 東京"]}]


def test_a_name_of_several_lines_is_one_row_of_a_table_t11(capsys: pytest.CaptureFixture[str]) -> None:
    show([{"name": "delete_all\nharmless  reads", "does": "changes"}], as_json=False, columns=("name", "does"))
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_an_address_to_copy_is_told_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    address = "https://as.example:8443/realm:key:1/authorize?[bold]"
    Teller().say(f"Open this:\n\n  {address}\n")
    assert address in capsys.readouterr().err
