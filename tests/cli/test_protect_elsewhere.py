"""`doorward protect` with an authorization server elsewhere: what it refuses to start with."""

import subprocess
import sys
from pathlib import Path

import pytest

from doorward.cli.protect import _announce
from tests.needs import find_free_port

ISSUER = ["--issuer", "https://auth.example.com"]


def run_protect(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    own = ["--data", str(folder / "data"), "--port", str(find_free_port())]
    command = [sys.executable, "-m", "doorward.cli", "protect", "http://127.0.0.1:9/mcp", *own, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=folder)


@pytest.mark.parametrize(
    ("words", "key", "code", "said"),
    [
        ([*ISSUER, "--introspect"], "mrs_x", 2, "--introspect needs a key of the issuer: give --key-file."),
        (["--key-file", "key"], "mrs_x", 2, "--key-file is for an authorization server elsewhere: give --issuer."),
        (["--introspect"], "mrs_x", 2, "--introspect is for an authorization server elsewhere: give --issuer."),
        (["--legacy-clients"], "mrs_x", 2, "--legacy-clients is for an authorization server elsewhere: give --issuer."),
        ([*ISSUER, "--key-file", "key"], "\n", 78, "key holds no key."),
        ([*ISSUER, "--key-file", "key"], "mrs_x\nmrs_y\n", 78, "key holds no key."),
        ([*ISSUER, "--key-file", "key"], "mrs_ü", 78, "key holds no key."),
        ([*ISSUER, "--key-file", "none"], "mrs_x", 78, "none: No such file or directory"),
        (["--issuer", "http://auth.example.com", "--key-file", "key"], "mrs_x", 78, "issuer must be https"),
    ],
)
def test_a_door_without_what_it_needs_does_not_start_and_says_why(
    tmp_path: Path, words: list[str], key: str, code: int, said: str
) -> None:
    (tmp_path / "key").write_text(key, encoding="utf-8")
    (tmp_path / "key").chmod(0o600)
    result = run_protect(tmp_path, *words)
    assert (result.returncode, result.stdout) == (code, "")
    assert result.stderr.startswith(f"doorward: {said}")
    assert len(result.stderr.splitlines()) == 1
    assert "mrs_" not in result.stderr


def test_a_key_that_others_can_read_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("mrs_x", encoding="utf-8")
    (tmp_path / "key").chmod(0o640)
    result = run_protect(tmp_path, "--issuer", "http://auth.example.com", "--key-file", "key")
    warning, refusal = result.stderr.splitlines()
    assert "other users of this machine can read" in warning
    assert "file=key" in warning
    assert refusal.startswith("doorward: issuer must be https")


def test_a_door_alone_tells_how_its_issuer_learns_of_each_server(capsys: pytest.CaptureFixture[str]) -> None:
    url = "https://mcp.example.com/notes"
    facts = {"issuer": "https://auth.example.com", "is_local": False, "servers": {url: "cat"}, "setup_link": None}
    _announce(facts, as_json=False)
    shown = capsys.readouterr().out
    assert f"    doorward admin resource add {url} --scope tools:read --scope tools:write\n" in shown
    assert shown.endswith(f"\nready {url}\n")
    _announce({**facts, "is_local": True}, as_json=False)
    assert "resource add" not in capsys.readouterr().out
