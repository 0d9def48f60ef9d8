"""Lock files pin by hash, name no index, and say nothing of the machine that wrote them."""

import json
import re
import tomllib

import pytest

from tests.needs import ROOT
from tests.repository.tree import list_files, read_texts

PYTHON_LOCKS = sorted(path.name for path in (ROOT / "requirements").glob("*.txt"))
NPM_LOCKS = [str(path) for path in list_files() if path.name == "package-lock.json"]

PIN = re.compile(r"^([a-z0-9-]+)(?:\[[a-z0-9,-]+\])?==([^\s;]+)( ; .*?)?(?: \\)?$", re.MULTILINE)


def read_pins(lock: str) -> dict[tuple[str, str], str]:
    """(name, marker) → version: one name may be pinned twice, for different Pythons."""
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    return {(name, marker or ""): version for name, version, marker in PIN.findall(text)}


def test_the_three_lock_sets_are_there() -> None:
    assert PYTHON_LOCKS == ["dev.txt", "up.txt", "uv.txt"]


@pytest.mark.parametrize("lock", PYTHON_LOCKS)
def test_a_python_lock_holds_pins_and_hashes_and_nothing_else(lock: str) -> None:
    lines = (ROOT / "requirements" / lock).read_text(encoding="utf-8").splitlines()
    statements = [line for line in lines if not line.lstrip().startswith("#")]
    foreign = [
        line
        for line in statements
        if not PIN.match(line) and not re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line)
    ]
    assert foreign == []
    # A pin continues into its hashes, so each must end in a backslash.
    assert [line for line in statements if PIN.match(line) and not line.endswith("\\")] == []


@pytest.mark.parametrize("lock", PYTHON_LOCKS)
def test_a_python_lock_names_no_address_and_no_path(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    assert re.findall(r".*(?:://|--find-links|--index|file:|\s/).*", text) == []


def test_what_up_installs_is_a_part_of_what_dev_installs() -> None:
    dev = {name: version for (name, _), version in read_pins("dev.txt").items()}
    up = {name: version for (name, _), version in read_pins("up.txt").items()}
    assert {name: (version, dev.get(name)) for name, version in up.items() if dev.get(name) != version} == {}


def test_the_lock_knows_every_dependency_of_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["server"], *extras["mcp"], *extras["dev"]]
    names = {re.split(r"[\[<>=;! ]", requirement)[0] for requirement in wanted} - {"doorward"}
    assert names - {name for name, _ in read_pins("dev.txt")} == set()


@pytest.mark.parametrize("lock", NPM_LOCKS)
def test_an_npm_lock_pins_by_hash_and_names_no_registry(lock: str) -> None:
    packages = json.loads((ROOT / lock).read_text(encoding="utf-8"))["packages"]
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert [name for name, package in packages.items() if name and "integrity" not in package] == []
    npmrc = (ROOT / lock).with_name(".npmrc").read_text(encoding="utf-8")
    assert "omit-lockfile-registry-resolved=true" in npmrc.splitlines()


@pytest.mark.parametrize("lock", NPM_LOCKS)
def test_an_npm_lock_holds_every_package_that_another_needs(lock: str) -> None:
    packages = json.loads((ROOT / lock).read_text(encoding="utf-8"))["packages"]
    there = {name.rpartition("node_modules/")[2] for name in packages}
    wanted = {name for package in packages.values() for name in package.get("dependencies", {})}
    assert wanted - there == set()


def test_no_file_tells_where_it_was_written() -> None:
    # The checkout itself where its path is telling enough, and anyone's home; images may well use a home.
    here = [re.escape(str(ROOT))] if len(ROOT.parts) > 2 else []
    telling = re.compile("|".join([*here, r"(?<![\w.~-])/(?:root|home/\w+|Users/\w+)/"]))
    found = [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for path, text in read_texts()
        if path.parts[0] != "deploy"
        for match in telling.finditer(text)
    ]
    assert found == []
