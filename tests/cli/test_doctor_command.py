"""`doorward doctor`, run on servers of its own: what it prints, writes and ends with."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner, Result

from doorward.cli.commands import app
from tests.certificates import make_certificate
from tests.doctor.broken import BrokenServer, run_broken
from tests.needs import ROOT, find_free_port

WITHOUT_SERVER = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Missing())
from doorward.cli import main
main()
"""
SERVER_PACKAGES = {
    "aiohttp",
    "alembic",
    "apsw",
    "argon2",
    "babel",
    "granian",
    "jinja2",
    "sqlalchemy",
    "starlette",
    "structlog",
    "uvloop",
}
BROWSER = f"""#!{sys.executable}
import html, re, sys, urllib.request
page = urllib.request.urlopen(sys.argv[1]).read().decode()
form = html.unescape(re.search('action="([^"]*)"', page)[1])
page = urllib.request.urlopen(form, data=b"decision=allow").read().decode()
urllib.request.urlopen(html.unescape(re.search('href="([^"]*)"', page)[1])).read()
"""
"""A person who allows everything."""


def doctor(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["doctor", *words])
    assert result.exit_code == code, (words, result.stdout, result.stderr, result.exception)
    return result


@pytest.fixture(scope="module")
def healthy() -> Iterator[BrokenServer]:
    with run_broken() as server:
        yield server


@pytest.fixture(scope="module")
def broken() -> Iterator[BrokenServer]:
    with run_broken("private-scheme-refused") as server:
        yield server


def test_a_healthy_server_ends_with_0_and_says_that_all_get_in(healthy: BrokenServer) -> None:
    result = doctor(healthy.url)
    assert "clients will get in." in result.stdout
    assert "removed again" in result.stdout
    assert result.stderr == ""


def test_a_fault_ends_with_1_and_is_told_with_what_to_change(broken: BrokenServer) -> None:
    told = doctor(broken.url, code=1).stdout
    assert "will not get in" in told
    assert "Cursor" in told
    assert "private-schemes" in told
    assert "change" in told


def test_json_is_all_there_is_on_standard_output(broken: BrokenServer) -> None:
    result = doctor(broken.url, "--json", code=1)
    document = json.loads(result.stdout)
    assert document["url"] == broken.url
    assert document["outcome"] == "failed"
    assert result.stderr == ""


def test_the_report_is_written_as_junit_and_as_a_page(broken: BrokenServer, tmp_path: Path) -> None:
    junit, page = tmp_path / "doctor.xml", tmp_path / "doctor.html"
    doctor(broken.url, "--junit", str(junit), "--html", str(page), code=1)
    failures = ET.parse(junit).getroot().findall(".//failure")  # noqa: S314  # our own
    assert "private-schemes" in {failure.get("type") for failure in failures}
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_only_the_clients_that_were_named_are_played(broken: BrokenServer) -> None:
    document = json.loads(doctor(broken.url, "--json", "--client", "claude-code", "--client", "vscode").stdout)
    assert [client["client"] for client in document["clients"]] == ["claude-code", "vscode"]


def test_a_warning_ends_with_1_only_when_it_is_to() -> None:
    with run_broken() as server:
        server.is_odd = True
        told = doctor(server.url).stdout
        assert "WARNING" in told
        assert "challenge-error" in told
        doctor(server.url, "--strict", code=1)


def test_nothing_is_registered_when_nothing_is_to_be() -> None:
    with run_broken() as server:
        document = json.loads(doctor(server.url, "--json", "--no-register").stdout)
        assert document["registered"] == []
        assert not server.issuer.registered
        assert not server.issuer.removed


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--client", "nobody"], "--client nobody: no such client is known. Known are claude-ai, "),
        (["--tool", "greet"], "--tool needs --login"),
        (["--client-id", "mine"], "--client-id needs --login"),
        (["--sibling", "https://other.example/mcp"], "--sibling needs --login"),
        (["--login", "--sibling", "file:///etc/passwd"], "--sibling: The server, file:///etc/passwd, is not"),
        (["--login", "--arguments", "{}"], "--arguments needs --tool"),
        (["--login", "--tool", "greet", "--arguments", "[1]"], "--arguments: the arguments are no JSON object"),
        (["--login", "--tool", "greet", "--arguments", "{"], "--arguments: the arguments are no JSON"),
        (["--junit", "nowhere/doctor.xml"], "--junit nowhere/doctor.xml: there is no folder"),
        (["--html", "nowhere/doctor.html"], "--html nowhere/doctor.html: there is no folder"),
        (["--ca-file", "nowhere.pem"], "--ca-file nowhere.pem: there is no such file"),
        (["--ca-file", __file__], "--ca-file"),
    ],
)
def test_wrong_usage_ends_with_2_before_anything_is_asked(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = doctor(f"http://127.0.0.1:{find_free_port()}/mcp", *words, code=2)
    assert result.stdout == ""
    assert told in result.stderr


@pytest.mark.parametrize(
    "url",
    ["mcp.example.com/mcp", "ftp://mcp.example.com/mcp", "https://ada:s3cret@mcp.example.com/mcp", "http://x.test/mcp"],
)
def test_what_is_no_address_of_a_server_is_wrong_usage(url: str) -> None:
    result = doctor(url, code=2)
    assert result.stderr.startswith("doorward: ")
    assert "s3cret" not in result.stderr


def test_where_nobody_answers_nothing_is_examined() -> None:
    result = doctor(f"http://127.0.0.1:{find_free_port()}/mcp", code=78)
    assert result.stderr.startswith("doorward: ")
    assert result.stdout == ""


def test_a_certificate_is_trusted_by_its_file_alone(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    with run_broken(certificate=certificate) as server:
        doctor(server.url, "--ca-file", str(certificate[0]))
        assert "certificate" in doctor(server.url, code=1).stdout


def test_the_client_extra_alone_is_enough(healthy: BrokenServer) -> None:
    code = WITHOUT_SERVER.format(missing=SERVER_PACKAGES)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor", healthy.url],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert "will get in" in done.stdout


@pytest.fixture
def allowing_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = tmp_path / "browser"
    browser.write_text(BROWSER, encoding="utf-8")
    browser.chmod(0o700)
    monkeypatch.setenv("BROWSER", str(browser))


def test_a_login_may_be_that_of_a_client_that_is_known(allowing_browser: None) -> None:
    with run_broken() as server:
        server.issuer.registered["mine"] = {"redirect_uris": ["http://127.0.0.1/callback"]}
        document = json.loads(doctor(server.url, "--json", "--login", "--client-id", "mine", "--no-register").stdout)
    outcomes = {check["check"]: check["outcome"] for check in document["checks"]}
    assert outcomes["first-call"] == "passed"
    assert document["registered"] == []


def test_a_server_that_takes_the_token_of_another_is_told(allowing_browser: None) -> None:
    with run_broken() as server:
        result = doctor(server.url, "--login", "--sibling", f"{server.url}/", code=1)
    assert "Other servers refuse the token" in result.stdout
    assert "check   audience (RS-02, AT-06)" in result.stdout


def test_a_login_goes_through_the_browser_calls_a_tool_and_no_secret_is_shown(
    allowing_browser: None, tmp_path: Path
) -> None:
    files = [tmp_path / "doctor.xml", tmp_path / "doctor.html"]
    words = ["--login", "--tool", "greet", "--arguments", '{"name": "Ada"}', "--all"]
    with run_broken() as server:
        result = doctor(server.url, *words, "--junit", str(files[0]), "--html", str(files[1]))
        assert server.calls[-1] == ("greet", {"name": "Ada"})
        assert server.issuer.given
        assert not server.issuer.tokens
    assert "passed  The tool can be called" in result.stdout
    told = result.stdout + "".join(path.read_text(encoding="utf-8") for path in files)
    assert [secret for secret in server.issuer.given if secret in told] == []
