"""Requirements and tests hold each other: no row without a test or a reason, no test for a row that is not there."""

import re

import pytest

from tests.needs import ROOT, require
from tests.spec.manifest import find_differing, find_ids, find_shown, list_tests, read_rows
from tests.spec.write import PAGES

# The documents that the ids come from lie beside the checkout, where they are at all.
SHARED = ROOT.parent / "shared"


def test_every_id_in_the_name_of_a_test_is_a_row() -> None:
    unknown = {name: tests for name, tests in find_shown().items() if name not in read_rows()}
    assert unknown == {}


def test_every_row_is_shown_by_a_test_or_says_why_not() -> None:
    # A row that is shown needs the suffix of its id at a test's name; see CONTRIBUTING.md.
    silent = [
        f"{row.id}: {row.title}"
        for row in read_rows().values()
        if not (row.later or row.elsewhere or row.id in find_shown() or row.id in find_differing())
    ]
    assert silent == []


def test_a_row_that_is_shown_gives_no_reason_why_it_is_not() -> None:
    # Its part was built meanwhile: take `later` or `elsewhere` out of requirements.toml.
    stale = [row.id for row in read_rows().values() if (row.later or row.elsewhere) and row.id in find_shown()]
    assert stale == []


def test_a_row_is_put_off_or_left_to_somebody_else_or_met_differently_and_never_two_of_these() -> None:
    torn = [
        row.id
        for row in read_rows().values()
        if bool(row.later) + bool(row.elsewhere) + (row.id in find_differing()) > 1
    ]
    assert torn == []


def test_every_divergence_is_from_rows_that_are_there() -> None:
    assert [name for name in find_differing() if name not in read_rows()] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_written_from_the_manifest_as_it_is(page: str) -> None:
    committed = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert committed == PAGES[page](), f"docs/{page} is made of tests/spec/*.toml and test names: run ./dev docs"


def test_ids_are_read_from_the_end_of_a_name() -> None:
    assert find_ids("test_what_no_rule_names_is_refused_t30_tx_04") == ["T30", "TX-04"]
    assert find_ids("test_of_fifty_decisions_at_once_one_gives_a_code_i1") == ["I1"]
    assert find_ids("test_the_metadata_is_complete_asm_02_05_i1_at_01") == ["ASM-02", "ASM-05", "I1", "AT-01"]
    assert find_ids("test_a_page_says_why_complaint_9") == []
    assert find_ids("test_an_access_token_holds_the_claims_of_rfc_9068_and_one_more_at_02") == ["AT-02"]
    assert ("spec/test_manifest.py", "test_ids_are_read_from_the_end_of_a_name") in set(list_tests())


def test_the_rows_are_those_of_the_checklist_and_of_the_threats() -> None:
    require("the checklist", available=SHARED.is_dir(), reason="it is kept beside the repository, as ../shared")
    rows = read_rows().values()
    checklist = (SHARED / "spec" / "mcp-authorization.md").read_text(encoding="utf-8")
    assert {row.id: (row.role, row.level) for row in rows if row.role} == dict(_read_checklist(checklist))
    text = (SHARED / "security" / "threats-and-defaults.md").read_text(encoding="utf-8")
    threats = re.findall(r"^\| (T\d+) \|", text, re.MULTILINE)
    invariants = re.findall(r"^- \*\*(I\d+)\*\*", text, re.MULTILINE)
    choices = re.findall(r"^\| (C\d+) \|", checklist, re.MULTILINE)
    assert [row.id for row in rows if not row.role] == choices + threats + invariants


def _read_checklist(text: str) -> list[tuple[str, tuple[str, str]]]:
    """Id, role and level of each row; the tables of legacy rows name their one role in the line above."""
    found: list[tuple[str, tuple[str, str]]] = []
    columns: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if "Lvl" in cells:
            columns = cells
        elif cells and re.fullmatch(r"[A-Z]+-\d\d", cells[0]):
            row = dict(zip(columns, cells, strict=False))
            found.append((row["Id"], (row.get("Role", "RS/PX"), row["Lvl"])))
    return found
