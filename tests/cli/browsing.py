"""The person's browser, as a program that the command line starts: it signs in, allows, and goes where it is led."""

import os
import sys
from pathlib import Path

from tests.needs import ROOT

_SCRIPT = """#!{python}
import sys
sys.path[:0] = [{source!r}, {root!r}]
import asyncio
import httpx2
from tests.interop.browsers import FormBrowser
from tests.person import Person

async def browse():
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        await FormBrowser(Person(http), {decision!r}).visit(sys.argv[1])

asyncio.run(browse())
"""


def write_browser(folder: Path, *, decision: str = "allow") -> Path:
    """A program for $BROWSER, in a folder of its own."""
    path = folder / f"browser-{decision}"
    script = _SCRIPT.format(python=sys.executable, source=str(ROOT / "src"), root=str(ROOT), decision=decision)
    path.write_text(script, encoding="utf-8")
    path.chmod(0o755)
    return path


def as_a_person(home: Path, browser: Path | None = None) -> dict[str, str]:
    """The environment of somebody's terminal: a home for their client, and a browser or none."""
    left_out = ("DOORWARD_", "BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "XDG_", "WSL_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return {**kept, "DOORWARD_CLIENT_HOME": str(home), **({"BROWSER": str(browser)} if browser else {})}
