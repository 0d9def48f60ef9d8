"""Programs that open a browser, as files on a PATH: they write down what they were given, or play the browser."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_RECORDER = """#!{python} -IS
import json, os, sys
with open({record!r}, "a") as record:
    record.write(json.dumps([sys.argv, os.environ.get("BROWSER")]) + "\\n")
sys.exit({code})
"""
_BROWSER = """#!{python} -IS
import sys, urllib.parse, urllib.request
parameters = urllib.parse.parse_qs(urllib.parse.urlsplit(sys.argv[1]).query)
query = urllib.parse.urlencode({{"code": "c 1", "state": parameters["state"][0]}})
direct = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))
direct.open(parameters["redirect_uri"][0] + "?" + query, timeout=30)
sys.exit({code})
"""


@dataclass(frozen=True)
class Openers:
    """A folder of such programs that is all of the PATH."""

    folder: Path

    @property
    def record(self) -> Path:
        return self.folder / "record"

    @property
    def environment(self) -> Mapping[str, str]:
        return {"PATH": str(self.folder), "DISPLAY": ":0"}

    def add(self, name: str, *, code: int = 0) -> Path:
        """A program that notes its arguments and ends with `code`."""
        return self._write(name, _RECORDER.format(python=sys.executable, record=str(self.record), code=code))

    def add_browser(self, name: str, *, code: int = 0) -> Path:
        """A program that goes to the address and is led back with a code."""
        return self._write(name, _BROWSER.format(python=sys.executable, code=code))

    def started(self) -> list[tuple[str, list[str]]]:
        """Name and arguments of every program that was started."""
        if not self.record.exists():
            return []
        lines = [json.loads(line) for line in self.record.read_text().splitlines()]
        return [(Path(argv[0]).name, argv[1:]) for argv, _ in lines]

    def _write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)
        return path
