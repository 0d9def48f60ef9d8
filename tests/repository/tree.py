"""The repository as its own rules see it: the files git tracks or would track."""

import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.needs import ROOT


@cache
def list_files() -> tuple[Path, ...]:
    """Every file that is tracked, or new and not ignored, relative to the root."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    names = sorted(set(filter(None, listing.split("\0"))))
    return tuple(Path(name) for name in names if (ROOT / name).is_file())


def read_texts() -> Iterator[tuple[Path, str]]:
    """Each file that is text, with its text."""
    for path in list_files():
        try:
            yield path, (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
