"""The documents that guide work on the repository stay true to it."""

import re
from pathlib import Path

from tests.needs import ROOT
from tests.repository.tree import list_files, read_texts

LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{path}: {target}"
        for path, text in read_texts()
        if path.suffix == ".md" or path.name == "llms.txt"
        for target in LINK.findall(text)
        if not re.match(r"[a-z]+:|#", target) and not (ROOT / path.parent / target.partition("#")[0]).resolve().exists()
    ]
    assert broken == []


def test_a_changelog_fragment_has_a_slug_a_kind_and_a_text() -> None:
    fragments = [path for path in list_files() if path.parent == Path("changelog.d") and path.name != "README.md"]
    misnamed = [
        path.name
        for path in fragments
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*\.(added|changed|fixed|security)\.md", path.name)
    ]
    assert misnamed == []
    assert [path.name for path in fragments if not (ROOT / path).read_text(encoding="utf-8").strip()] == []


def test_every_decision_has_a_number_of_its_own_and_is_listed() -> None:
    folder = ROOT / "docs" / "adr"
    records = sorted(path.name for path in folder.glob("[0-9]*.md") if path.name != "0000-template.md")
    numbers = [name[:4] for name in records]  # a gap is a decision that is still on its way
    assert sorted(set(numbers)) == numbers
    index = (folder / "README.md").read_text(encoding="utf-8")
    assert [name for name in records if f"]({name})" not in index] == []


def test_agents_are_told_no_more_than_they_keep_in_mind() -> None:
    assert len((ROOT / "AGENTS.md").read_text(encoding="utf-8").splitlines()) < 80
