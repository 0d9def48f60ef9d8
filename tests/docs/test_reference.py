"""The reference pages say what the code does: every setting, command, address and error code is on its page."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from typer.main import get_command

from doorward.cli.commands import app
from doorward.oauth import errors
from doorward.routes import ROUTES
from doorward.settings import Settings
from tests.needs import ROOT

DOCS = Path(ROOT) / "docs"


def _settings(model: type[BaseModel], prefix: str = "DOORWARD_") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, field in model.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            found += _settings(section, f"{prefix}{name.upper()}__")
        else:
            found.append((f"{prefix}{name.upper()}", field.description or ""))
    return found


@pytest.mark.parametrize(("setting", "description"), _settings(Settings))
def test_every_setting_is_documented_in_the_words_of_the_code(setting: str, description: str) -> None:
    page = (DOCS / "configuration.md").read_text()
    assert f"| `{setting}` |" in page
    assert description in page


def _commands(command: Any, path: str) -> list[str]:
    children = getattr(command, "commands", None)
    if children is None:
        return [path]
    return [found for name, child in children.items() for found in _commands(child, f"{path} {name}")]


COMMANDS = _commands(get_command(app), "doorward")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command: str) -> None:
    assert f"`{command}" in (DOCS / "commands.md").read_text()


@pytest.mark.parametrize("path", sorted(ROUTES))
def test_every_address_is_documented(path: str) -> None:
    assert f"`{path}`" in (DOCS / "endpoints.md").read_text()


def test_every_error_code_is_documented() -> None:
    page = (DOCS / "endpoints.md").read_text()
    codes = {value for name, value in vars(errors).items() if name.isupper() and not name.startswith("_")}
    assert codes
    assert {code for code in codes if f"`{code}`" not in page} == set()


def test_commands_of_the_readme_exist() -> None:
    text = (Path(ROOT) / "README.md").read_text()
    known = {command.removeprefix("doorward ") for command in COMMANDS}
    used = {" ".join(match.split()) for match in re.findall(r"\.venv/bin/doorward (admin \S+ \S+|up)", text)}
    assert used
    assert used <= known


def test_snippets_in_the_documentation_are_python() -> None:
    for page in DOCS.glob("*.md"):
        for snippet in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
            finished = subprocess.run([sys.executable, "-c", f"compile({snippet!r}, 'page', 'exec')"], check=False)
            assert finished.returncode == 0, page
