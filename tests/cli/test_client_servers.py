"""The servers that a person gave names to, and what becomes of a client secret: no server is contacted here."""

import json
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from doorward.cli.client.known import KnownServer, ServersFile
from doorward.cli.commands import app
from tests.cli.browsing import as_a_person

URL = "https://api.example.com/mcp"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def run(home: Path, *words: str, code: int = 0, stdin: str | None = None) -> Result:
    """`doorward client …` in this process."""
    result = CliRunner().invoke(app, ["client", *words], input=stdin, env=as_a_person(home))
    assert result.exit_code == code, (words, result.output, result.stderr, result.exception)
    return result


def test_a_server_is_added_shown_and_removed(home: Path) -> None:
    assert run(home, "add", "acme", URL).stdout == "acme is added. Sign in with: doorward client login acme\n"
    (row,) = json.loads(run(home, "status", "--json").stdout)
    assert (row["name"], row["url"], row["state"]) == ("acme", URL, "signed out")
    assert "signed out" in run(home, "status").stdout
    assert json.loads(run(home, "status", "https://API.example.com/mcp/", "--json").stdout)["name"] == "acme"
    assert run(home, "remove", "acme").stdout == "acme is removed.\n"
    assert json.loads(run(home, "status", "--json").stdout) == []
    assert run(home, "status").stdout.startswith("No server was added yet.")


def test_what_was_said_of_a_server_is_kept_and_nothing_else(home: Path) -> None:
    options = [
        "--scope",
        "a",
        "--scope",
        "b",
        "--issuer",
        "https://as.example.com",
        "--port",
        "4711",
        "--device",
        "--dpop",
    ]
    run(home, "add", "acme", URL, *options, "--metadata-url", "https://me.example.com/client.json", "--account", "work")
    file = home / "servers.json"
    assert json.loads(file.read_text())["servers"] == {
        "acme": {
            "url": URL,
            "scopes": ["a", "b"],
            "issuer": "https://as.example.com",
            "metadata_url": "https://me.example.com/client.json",
            "port": 4711,
            "way": "device",
            "account": "work",
            "dpop": True,
        }
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_a_client_secret_is_in_the_store_alone_and_goes_with_its_server_cli_03_t17(home: Path, tmp_path: Path) -> None:
    secret = "s3cret-of-acme"
    file = tmp_path / "secret"
    file.write_text(f"{secret}\n")
    file.chmod(0o644)
    said = run(home, "add", "acme", URL, "--client-id", "me", "--client-secret-file", str(file)).stderr
    assert said == f"doorward: others can read {file}; make it private: chmod 600 '{file}'\n"
    run(home, "add", "other", URL, "--client-id", "me", "--client-secret-file", "-", stdin=f"{secret}\n")
    kept = [path for path in home.rglob("*") if path.is_file()]
    assert len(kept) > 2
    assert not any(secret.encode() in path.read_bytes() for path in kept)
    run(home, "remove", "acme")
    run(home, "remove", "other")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a b", URL], "a name is made of"),
        (["../x", URL], "a name is made of"),
        (["acme", URL, "--device", "--paste"], "give --device or --paste, not both"),
        (["acme", URL, "--client-secret-file", "-"], "--client-secret-file needs --client-id"),
        (
            ["acme", URL, "--client-id", "x", "--metadata-url", "https://me.example.com/c.json"],
            "--client-id or --metadata-url, not both",
        ),
        (["acme", URL, "--metadata-url", "http://me.example.com/c.json"], "--metadata-url: "),
        (["acme", URL, "--client-id", "x", "--client-secret-file", "/does/not/exist"], "cannot be read"),
        (["acme", URL, "--port", "70000"], "--port"),
        (["acme", URL, "--client-id", "x", "--signing-key", "/does/not/exist"], "There is no key in /does/not/exist"),
        (["acme"], "Missing argument"),
    ],
)
def test_what_cannot_be_is_wrong_usage_and_changes_nothing(home: Path, words: list[str], said: str) -> None:
    assert said in run(home, "add", *words, code=2, stdin="secret\n").stderr
    assert not home.exists()


@pytest.mark.parametrize(
    "url", ["http://api.example.com/mcp", "file:///etc/passwd", "api.example.com", "https://169.254.169.254/"]
)
def test_an_address_that_must_not_be_contacted_is_not_added_cli_05(home: Path, url: str) -> None:
    assert "The server" in run(home, "add", "acme", url, code=1).stderr
    assert not home.exists()


def test_a_signing_key_is_used_from_where_it_is_and_its_server_can_be_forgotten_without_it_cimd_29_t17(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    document = "https://me.example.com/client.json"
    told = run(home, "cimd", "create", document, "--signing-key", "key.pem").stderr
    assert told.endswith(f"then use it with --metadata-url {document} --signing-key key.pem.\n")
    key, options = tmp_path / "key.pem", ["--signing-key", "key.pem"]
    for words, said in (
        (["acme", URL, *options], "--signing-key needs --client-id or --metadata-url"),
        (["acme", URL, *options, "--client-id", "me", "--client-secret-file", "-"], "--signing-key, not both"),
    ):
        assert said in run(home, "add", *words, code=2, stdin="secret\n").stderr
    run(home, "add", "acme", URL, "--metadata-url", document, *options)
    assert json.loads((home / "servers.json").read_text())["servers"]["acme"]["signing_key"] == str(key)
    key.chmod(0o644)
    assert f"chmod 600 '{key}'" in run(home, "tools", "acme", code=78).stderr
    key.unlink()
    assert f"There is no key in {key}" in run(home, "tools", "acme", code=78).stderr
    assert json.loads(run(home, "status", "--json").stdout)[0]["state"] == "signed out"
    run(home, "remove", "acme")


def test_an_address_without_its_beginning_is_told_from_a_name(home: Path) -> None:
    for words in (["tools", "127.0.0.1:8400/mcp"], ["status", "api.example.com/mcp"]):
        assert "is neither the name of a server nor an address: one begins with https://" in (
            run(home, *words, code=1).stderr
        )
    assert "does not begin with https:// or http://" in run(home, "add", "acme", "api.example.com", code=1).stderr


def test_a_name_is_taken_once_and_a_missing_one_is_told_with_those_there_are(home: Path) -> None:
    run(home, "add", "acme", URL)
    assert f"a server called acme already, at {URL}" in run(home, "add", "acme", "https://b.example/", code=1).stderr
    said = run(home, "login", "acne", code=1).stderr
    assert said == ("doorward: There is no server called acne. Known are: acme. Add it: doorward client add acne URL\n")
    run(home, "add", "again", URL, "--account", "other")
    assert "Several servers are at that address: acme, again." in run(home, "status", URL, code=1).stderr


@pytest.mark.parametrize("content", ["", "no JSON", "[]", '{"servers": [1]}', '{"servers": {"a": {"colour": "red"}}}'])
def test_a_broken_list_of_servers_ends_with_78_and_is_named(home: Path, content: str) -> None:
    run(home, "add", "acme", URL)
    (home / "servers.json").write_text(content)
    for words in (["status"], ["login", "acme"], ["add", "b", URL], ["remove", "acme"]):
        assert f"doorward: {home / 'servers.json'} does not hold a list" in run(home, *words, code=78).stderr
    assert (home / "servers.json").read_text() == content


def test_a_folder_that_others_may_enter_ends_with_78_and_says_what_to_do_t17(home: Path) -> None:
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    assert f"chmod 700 '{home}'" in run(home, "add", "acme", URL, code=78).stderr


def test_commands_that_run_side_by_side_lose_no_server(home: Path) -> None:
    names = [f"s{number}" for number in range(16)]
    with ThreadPoolExecutor(8) as workers:
        list(workers.map(lambda name: ServersFile(home).add(KnownServer(name, URL)), names))
    assert sorted(ServersFile(home).read()) == sorted(names)


def test_a_metadata_document_is_ready_to_be_published_cimd_29(home: Path) -> None:
    result = run(home, "cimd", "create", "https://me.example.com/client.json", "--name", "Mine")
    document = json.loads(result.stdout)
    assert (document["client_id"], document["client_name"]) == ("https://me.example.com/client.json", "Mine")
    assert "http://127.0.0.1/callback" in document["redirect_uris"]
    assert "Publish this at https://me.example.com/client.json" in result.stderr
    assert "Invalid value" in run(home, "cimd", "create", "http://me.example.com/client.json", code=2).stderr


def test_a_document_is_made_for_a_key_which_is_made_once_cimd_29_t17(home: Path) -> None:
    key = home.parent / "client.key"
    words = ("cimd", "create", "https://me.example.com/client.json", "--signing-key", str(key))
    run(home, "cimd", "create", "https://me.example.com/", "--signing-key", str(key), code=2)
    assert not key.exists()
    first, again = run(home, *words), run(home, *words)
    assert first.stdout == again.stdout
    assert ("A private key was made" in first.stderr, "A private key was made" in again.stderr) == (True, False)
    document = json.loads(first.stdout)
    assert document["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert [member for member in document["jwks"]["keys"][0] if member == "d"] == []
    assert key.stat().st_mode & 0o777 == 0o600
    key.chmod(0o644)
    assert "chmod 600" in " ".join(run(home, *words, code=2).stderr.split())


# What the authorization server alone is made of.
_OF_THE_SERVER = "aiohttp alembic apsw argon2 babel granian jinja2 sqlalchemy structlog uvloop"
# `--help` does not wait for what is slow to import.
_WITHOUT = """
import sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    names = sys.argv.pop(1).split()
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Absent())
import doorward.cli.commands
assert not {"mcp", "httpx2", "rich", "keyring", "cryptography"} & set(sys.modules)
from doorward.cli import main
main()
"""


def test_a_command_needs_the_packages_of_its_own_extra_and_names_one_that_is_not_there(home: Path) -> None:
    def start(absent: str, *words: str) -> tuple[int, str]:
        command = [sys.executable, "-c", _WITHOUT, absent, *words]
        done = subprocess.run(command, env=as_a_person(home), capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stderr

    tools = ("client", "tools", "http://127.0.0.1:1/mcp")
    needs = "doorward: this needs a package that is not installed,"
    assert start(_OF_THE_SERVER, "--help") == (0, "")
    assert "Nothing answers at http://127.0.0.1:1/mcp" in start(_OF_THE_SERVER, *tools)[1]
    code, said = start(_OF_THE_SERVER, "up")
    assert (code, said.startswith(needs), said.endswith(": pip install 'doorward[server,proxy]'\n")) == (1, True, True)
    assert start("mcp", *tools) == (1, f"{needs} mcp: pip install 'doorward[client]'\n")
