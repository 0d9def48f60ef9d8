"""The log: one event is one line, whatever is in it."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import sys
from doorward.logs import configure_logs, log
from doorward.settings import LogSettings
configure_logs(LogSettings(level="debug", format=sys.argv[1]))
log.error("first", path=sys.argv[2], reason=sys.argv[2])
log.error("second")
"""
HOSTILE = '/a\r\n2026-01-01 [info] forged\x1b[2K\u2028\u0085{"event": "forged"}'


@pytest.mark.parametrize("form", ["json", "console"])
def test_nothing_that_is_logged_begins_a_line_of_its_own_authz_10(form: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, form, HOSTILE], check=True, capture_output=True, text=True, timeout=60
    )
    assert "\x1b[2K" not in done.stderr
    first, second = done.stderr.splitlines()
    assert ("first" in first, "second" in second) == (True, True)
    if form == "json":
        assert (json.loads(first)["path"], json.loads(second)["event"]) == (HOSTILE, "second")
