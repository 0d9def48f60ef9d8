"""What holds for every command: help, exit codes, and that each one is known to these tests."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import doorward as package
from doorward.cli.commands import app
from tests.cli.conftest import Command

CLIENT = {"add", "remove", "login", "logout", "status", "tools", "call", "token", "bridge", "cimd create"}
# Every command below `admin` with arguments it can be called with.
ADMIN: dict[str, list[str]] = {
    "project add": ["acme"],
    "project list": [],
    "project show": [],
    "project set": ["name=New"],
    "project revoke": [],
    "project stop": [],
    "project resume": [],
    "resource add": ["https://api.example.com/mcp"],
    "resource list": [],
    "resource show": ["https://api.example.com/mcp"],
    "resource set": ["https://api.example.com/mcp", "--name", "New"],
    "resource remove": ["https://api.example.com/mcp"],
    "resource revoke": ["https://api.example.com/mcp"],
    "resource stop": ["https://api.example.com/mcp"],
    "resource resume": ["https://api.example.com/mcp"],
    "client add": ["--redirect-uri", "http://127.0.0.1/callback"],
    "client list": [],
    "client show": ["mcl_x"],
    "client set": ["mcl_x", "--scope", "a"],
    "client remove": ["mcl_x"],
    "client queue": [],
    "client families": [],
    "client approve": ["mcl_x"],
    "client deny": ["mcl_x"],
    "client suspend": ["mcl_x"],
    "client reactivate": ["mcl_x"],
    "client reinstate": ["mcl_x"],
    "client revoke": ["mcl_x"],
    "client rotate-secret": ["mcl_x"],
    "user add": ["bob@example.com", "--password-file", "-"],
    "user list": [],
    "user show": ["bob@example.com"],
    "user set": ["bob@example.com", "--role", "admin"],
    "user remove": ["bob@example.com"],
    "user revoke": ["bob@example.com"],
    "connection list": ["bob@example.com"],
    "connection revoke": ["bob@example.com", "grt_x"],
    "token revoke": ["--file", "-"],
    "user ended": ["bob@example.com"],
    "user reopen": ["bob@example.com", "grt_x"],
    "key create": ["--capability", "register"],
    "key list": [],
    "key remove": ["key_x"],
    "signing-key list": [],
    "signing-key rotate": [],
    "sealing-key list": [],
    "sealing-key rotate": [],
    "sealing-key drop": ["0"],
    "master-key rotate": [],
    "master-key rewrap": [],
    "initial-token create": [],
    "initial-token list": [],
    "software add": ["https://vendor.example.com", "--jwks-file", "pyproject.toml"],
    "software list": [],
    "software remove": ["https://vendor.example.com"],
    "exchange add": ["mcl_x", "--to", "https://api.example.com/mcp"],
    "exchange list": [],
    "exchange remove": ["rule_x"],
    "trust add": ["https://idp.example.com", "--kind", "id-jag", "--jwks-uri", "https://idp.example.com/keys"],
    "trust list": [],
    "trust show": ["tru_x"],
    "trust remove": ["tru_x"],
    "trust revoke": ["tru_x"],
    "trust link": ["https://idp.example.com", "U1", "bob@example.com"],
    "trust links": [],
    "trust unlink": ["https://idp.example.com", "U1"],
    "audit list": [],
    "incident list": [],
    "timeline list": [],
    "timeline show": ["0000000000"],
    "user reset-factors": ["bob@example.com"],
    "token create": ["ci", "--role", "auditor"],
    "token list": [],
    "token remove": ["adt_x"],
    "provider add": ["work", "--issuer", "https://idp.example.com", "--client-id", "us", "--secret-file", "-"],
    "provider list": [],
    "provider show": ["work"],
    "provider set": ["work", "--name", "New"],
    "provider remove": ["work"],
    "provider check": ["work"],
}
OF_THE_SERVER = {
    "project add",
    "project list",
    "project show",
    "sealing-key list",
    "sealing-key rotate",
    "sealing-key drop",
    "master-key rotate",
    "master-key rewrap",
}


def leaves(command: Any, *path: str) -> set[str]:
    """The words of every command that does something."""
    if not hasattr(command, "commands"):
        return {" ".join(path)}
    return {words for name, below in command.commands.items() for words in leaves(below, *path, name)}


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "doorward.cli", *words], capture_output=True, text=True, timeout=60, check=False
    )


def test_every_command_is_known_here() -> None:
    found = {path for path in leaves(get_command(app)) if path.startswith("admin ")}
    assert found == {f"admin {path}" for path in ADMIN}
    assert leaves(get_command(app)) - found == {
        "up",
        "protect",
        "doctor",
        "version",
        *(f"client {path}" for path in CLIENT),
    }


@pytest.mark.parametrize(
    "path",
    [
        *(f"admin {path}" for path in ADMIN),
        *(f"client {path}" for path in sorted(CLIENT)),
        "up",
        "doctor",
        "version",
        "admin",
        "client",
        "",
    ],
)
def test_every_command_explains_itself(path: str) -> None:
    for option in ("--help", "-h"):
        result = CliRunner().invoke(app, [*path.split(), option])
        assert result.exit_code == 0, result.output
        assert "Usage:" in result.stdout


@pytest.mark.parametrize(
    "path", ["", "client", "client cimd", "admin", *sorted({f"admin {path.split()[0]}" for path in ADMIN})]
)
def test_a_group_called_alone_says_what_is_in_it(path: str) -> None:
    result = CliRunner().invoke(app, path.split())
    assert result.exit_code == 2
    assert "Commands" in result.output


@pytest.mark.parametrize("path", ADMIN)
def test_a_command_called_wrongly_ends_with_2_and_touches_nothing(doorward: Command, path: str) -> None:
    doorward("admin", *path.split(), *ADMIN[path], "--nonsense", code=2)
    assert not doorward.data.exists()


@pytest.mark.parametrize("path", sorted(ADMIN.keys() - OF_THE_SERVER))
def test_a_project_that_is_not_there_ends_with_1(doorward: Command, path: str) -> None:
    words = ("admin", *path.split(), *ADMIN[path], "--project", "nowhere")
    assert "There is no project nowhere." in doorward.refused(*words, stdin="a quiet harbour at dawn\n")


@pytest.mark.parametrize("path", ADMIN)
def test_an_unsafe_folder_ends_every_command_with_78_and_names_the_setting(doorward: Command, path: str) -> None:
    doorward.data.mkdir()
    doorward.data.chmod(0o755)
    said = doorward.refused("admin", *path.split(), *ADMIN[path], code=78, stdin="a quiet harbour at dawn\n")
    assert "doorward: DOORWARD_DATA: others can read" in said
    assert list(doorward.data.iterdir()) == []


def test_a_broken_setting_ends_with_78_and_is_named(doorward: Command) -> None:
    result = doorward("admin", "project", "list", code=78, env={"DOORWARD_COLOUR": "red"})
    assert result.stderr == "doorward: DOORWARD_COLOUR: there is no such setting\n"


def test_a_database_that_is_none_ends_with_1_and_no_traceback(doorward: Command) -> None:
    doorward("admin", "project", "list")
    (doorward.data / "doorward.db").write_bytes(b"this is no database" * 1000)
    said = doorward.refused("admin", "project", "list")
    assert said.startswith("doorward: The database cannot be opened: ")
    assert "Traceback" not in said


def test_the_version_is_the_packages() -> None:
    assert CliRunner().invoke(app, ["version"]).stdout.strip() == package.__version__


def test_the_command_itself_keeps_the_contract_of_exit_codes(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    done = run("admin", "project", "list", "--json", "--data", data)
    assert (done.returncode, done.stderr) == (0, "")
    refused = run("admin", "project", "show", "nowhere", "--data", data)
    assert (refused.returncode, refused.stdout, refused.stderr) == (1, "", "doorward: There is no project nowhere.\n")
    assert run("admin", "project", "nonsense").returncode == 2
    (tmp_path / "data").chmod(0o755)
    unsafe = run("admin", "project", "list", "--data", data)
    assert (unsafe.returncode, unsafe.stdout) == (78, "")
    assert "DOORWARD_DATA" in unsafe.stderr
