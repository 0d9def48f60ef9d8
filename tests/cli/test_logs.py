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


STANDARD = """
import logging, sys
from doorward.logs import configure_logs
from doorward.settings import LogSettings
configure_logs(LogSettings(level=sys.argv[2], format=sys.argv[1]))
configure_logs(LogSettings(level=sys.argv[2], format=sys.argv[1]))
told = logging.getLogger("doorward.resource.anything")
told.info("for the %s", "curious")
told.warning("took %s\\n%s", "Bearer " + "secret" * 4, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.x")
"""


def log_by_standard(form: str, level: str) -> list[str]:
    command = [sys.executable, "-c", STANDARD, form, level]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stderr.splitlines()


def test_what_the_sdk_logs_has_the_form_and_the_level_of_the_settings() -> None:
    told = [json.loads(line) for line in log_by_standard("json", "info")]
    assert [(one["level"], one["event"]) for one in told] == [("info", "for the curious"), ("warning", "took … …")]
    assert all(one["timestamp"] for one in told)
    (line,) = log_by_standard("console", "warning")
    assert "warning" in line
    assert "took … …" in line


def test_a_program_with_logging_of_its_own_keeps_it() -> None:
    program = STANDARD.replace(
        "from doorward.logs", "logging.basicConfig(format='mine: %(message)s')\nfrom doorward.logs"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "json", "info"], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stderr.splitlines()[0] == "mine: for the curious"
