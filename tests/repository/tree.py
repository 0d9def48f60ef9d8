"""The repository as its own rules see it: the files git tracks or would track."""

import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.needs import ROOT

_GENERATED = {".venv", "node_modules", "__pycache__", "dist", "doorward-data", "output"}


def _list_names() -> list[str]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    except (FileNotFoundError, subprocess.CalledProcessError):
        # An unpacked archive, or no git on the machine.
        names = (path.relative_to(ROOT) for path in ROOT.rglob("*"))
        return [str(name) for name in names if _GENERATED.isdisjoint(name.parts) and "_cache/" not in str(name)]


@cache
def list_files() -> tuple[Path, ...]:
    """Every file that is tracked, or new and not ignored, relative to the root."""
    return tuple(Path(name) for name in sorted(set(_list_names())) if (ROOT / name).is_file())


def read_texts() -> Iterator[tuple[Path, str]]:
    """Each file that is text, with its text."""
    for path in list_files():
        try:
            yield path, (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
