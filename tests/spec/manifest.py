"""The requirements we are held to, the tests that show them, and where we differ: data, and how it is read.

A test shows a row by ending its name in the row's id, in lower case and with underscores, as does
`test_a_code_is_redeemed_once_code_02`; it may name several, `…_code_02_03_i1`. What a docstring says of ids helps a
reader and counts for nothing.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.needs import ROOT

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Row:
    """One requirement, threat or invariant."""

    id: str
    title: str
    role: str = ""
    level: str = ""
    later: str = ""  # the part of Doorward that will show it
    elsewhere: str = ""  # who else is bound by it


@dataclass(frozen=True)
class Section:
    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Divergence:
    """A choice of ours where a text says otherwise, or nothing, and the rows that it concerns."""

    where: str
    text: str
    doorward: str
    why: str
    rows: tuple[str, ...]


def _read(name: str, key: str) -> list[dict[str, object]]:
    document = tomllib.loads((HERE / name).read_text(encoding="utf-8"))
    assert list(document) == [key]
    return document[key]


@cache
def read_sections() -> tuple[Section, ...]:
    return tuple(
        Section(str(section["title"]), tuple(Row(name, **row) for name, row in section["rows"].items()))  # type: ignore[attr-defined]  # a table of tables
        for section in _read("requirements.toml", "section")
    )


@cache
def read_rows() -> dict[str, Row]:
    """Every row by its id; an id that two sections hold would hide one of them."""
    rows = [row for section in read_sections() for row in section.rows]
    assert len({row.id for row in rows}) == len(rows)
    return {row.id: row for row in rows}


@cache
def read_divergences() -> tuple[Divergence, ...]:
    return tuple(
        Divergence(**{**entry, "rows": tuple(entry["rows"])})  # type: ignore[arg-type]  # TOML knows strings and lists
        for entry in _read("divergences.toml", "divergence")
    )


@cache
def _id_pattern() -> re.Pattern[str]:
    prefixes = sorted({name.partition("-")[0].lower() for name in read_rows() if "-" in name})
    return re.compile(rf"_(?:({'|'.join(prefixes)})((?:_\d\d)+)|([tic])(\d\d?))(?=_|$)")


def find_ids(name: str) -> list[str]:
    """The ids that the name of a test holds, whether or not there are such rows; `…_asm_05_06` holds two."""
    ids: list[str] = []
    for prefix, numbers, kind, count in _id_pattern().findall(name):
        ids += (
            [f"{prefix}-{number}".upper() for number in numbers[1:].split("_")]
            if prefix
            else [f"{kind}{count}".upper()]
        )
    return ids


def list_tests() -> Iterator[tuple[str, str]]:
    """File, relative to tests/, and name of each test function."""
    tests = ROOT / "tests"
    for path in sorted(tests.rglob("test_*.py")):
        if "node_modules" in path.parts:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield path.relative_to(tests).as_posix(), node.name


@cache
def find_shown() -> dict[str, tuple[str, ...]]:
    """Id → the tests that name it, as `file::test`."""
    shown: dict[str, list[str]] = {}
    for path, name in list_tests():
        for found in dict.fromkeys(find_ids(name)):
            shown.setdefault(found, []).append(f"{path}::{name}")
    return {name: tuple(sorted(tests)) for name, tests in shown.items()}


@cache
def find_differing() -> dict[str, tuple[Divergence, ...]]:
    """Id → the divergences that name it."""
    differing: dict[str, tuple[Divergence, ...]] = {}
    for divergence in read_divergences():
        for name in divergence.rows:
            differing[name] = (*differing.get(name, ()), divergence)
    return differing
