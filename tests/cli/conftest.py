"""The `doorward` command, run in this process on a data folder of its own."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from doorward.cli.commands import app
from tests.cli.doors import Start
from tests.running import RunningDoorward, start_protect


@dataclass(frozen=True)
class Command:
    """`doorward … --data DIR`, what it printed, and the code it ended with."""

    data: Path

    def __call__(
        self, *words: str, code: int = 0, stdin: str | None = None, env: dict[str, str] | None = None
    ) -> Result:
        result = CliRunner().invoke(app, [*words, "--data", str(self.data)], input=stdin, env=env or {})
        assert result.exit_code == code, (words, result.output, result.stderr, result.exception)
        return result

    def json(self, *words: str, stdin: str | None = None) -> Any:
        """What it prints for machines: one JSON value on standard output, and nothing beside it."""
        result = self(*words, "--json", stdin=stdin)
        assert result.stderr == ""
        return json.loads(result.stdout)

    def refused(self, *words: str, code: int = 1, stdin: str | None = None) -> str:
        """What it says, on standard error alone, when it does not do it."""
        result = self(*words, code=code, stdin=stdin)
        assert result.stdout == "" or stdin is not None
        return result.stderr


@pytest.fixture
def doorward(tmp_path: Path) -> Command:
    return Command(tmp_path / "data")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start doors over one folder; whatever still runs at the end is stopped."""
    running: list[RunningDoorward] = []

    def start_one(*words: str, **given: Any) -> RunningDoorward:
        running.append(start_protect(tmp_path / "data", *words, **given))
        return running[-1]

    yield start_one
    for door in running:
        door.stop()
