"""`doorward admin user`: people, and passwords that never pass through a command line (T49)."""

from pathlib import Path

import pytest

from tests.cli.conftest import Command

EMAIL = "bob@example.com"
PASSWORD = "another harbour, at noon"


def add_bob(doorward: Command, *options: str) -> dict[str, object]:
    """Bob, with his password on standard input."""
    added: dict[str, object] = doorward.json(
        "admin", "user", "add", EMAIL, "--password-file", "-", *options, stdin=f"{PASSWORD}\n"
    )
    return added


def test_a_person_from_adding_to_removing(doorward: Command) -> None:
    added = add_bob(doorward, "--role", "admin", "--name", "Bob")
    assert added == {
        "user_id": added["user_id"],
        "email": EMAIL,
        "name": "Bob",
        "role": "admin",
        "enabled": True,
        "created_at": added["created_at"],
        "last_login_at": None,
    }
    shown = {**added, "passkeys": 0, "authenticator": False, "recovery_codes": 0}
    assert doorward.json("admin", "user", "list") == [shown]
    assert doorward.json("admin", "user", "show", EMAIL.upper()) == shown
    changed = doorward.json("admin", "user", "set", EMAIL, "--role", "auditor", "--disable")
    assert changed == {**added, "role": "auditor", "enabled": False}
    assert doorward.json("admin", "user", "set", EMAIL, "--enable", "--name", "Robert")["enabled"] is True
    assert doorward("admin", "user", "remove", EMAIL).stdout == f"removed {EMAIL}\n"
    assert doorward.json("admin", "user", "list") == []
    assert f"There is nobody with the address or id {EMAIL}." in doorward.refused("admin", "user", "remove", EMAIL)


def test_a_password_comes_from_a_file_from_standard_input_or_from_a_question(doorward: Command, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    doorward("admin", "user", "add", "file@example.com", "--password-file", str(file))
    doorward("admin", "user", "add", "stdin@example.com", "--password-file", "-", stdin=f"{PASSWORD}\r\n")
    asked = doorward("admin", "user", "add", "asked@example.com", stdin=f"{PASSWORD}\n{PASSWORD}\n")
    assert PASSWORD not in asked.output
    assert len(doorward.json("admin", "user", "list")) == 3


def test_a_password_is_asked_for_twice(doorward: Command) -> None:
    result = doorward("admin", "user", "add", EMAIL, stdin=f"{PASSWORD}\nsomething else\n", code=1)
    assert "do not match" in result.output
    assert doorward.json("admin", "user", "list") == []


def test_there_is_no_option_that_takes_a_password(doorward: Command) -> None:
    for command in ("add", "set"):
        doorward("admin", "user", command, EMAIL, "--password", PASSWORD, code=2)
        assert "--password " not in doorward("admin", "user", command, "--help").stdout


def test_a_password_is_stored_as_a_slow_hash_only(doorward: Command) -> None:
    add_bob(doorward)
    doorward("admin", "user", "set", EMAIL, "--password-file", "-", stdin=f"{PASSWORD} again\n")
    assert PASSWORD not in doorward("admin", "user", "show", EMAIL, "--json").stdout
    assert PASSWORD not in doorward("admin", "audit", "list", "--json").stdout
    content = b"".join(path.read_bytes() for path in doorward.data.iterdir())
    assert PASSWORD.encode() not in content
    assert b"$argon2id$v=19$m=19456,t=2,p=1$" in content


@pytest.mark.parametrize(
    ("words", "stdin", "said"),
    [
        (["add", "no address", "--password-file", "-"], PASSWORD, "This is not an e-mail address."),
        (["add", EMAIL, "--password-file", "-"], "brief", "Use at least 15 characters."),
        (["add", EMAIL, "--password-file", "-"], "", "Use at least 15 characters."),
        (["add", EMAIL, "--password-file", "-", "--role", "king"], PASSWORD, "A role is one of"),
        (["set", EMAIL, "--role", "admin"], "", "There is nobody with the address"),
    ],
)
def test_what_makes_no_sense_is_refused_and_said_why(
    doorward: Command, words: list[str], stdin: str, said: str
) -> None:
    assert said in doorward.refused("admin", "user", *words, stdin=f"{stdin}\n")
    assert doorward.json("admin", "user", "list") == []


def test_a_password_file_that_is_not_there_is_a_wrong_call(doorward: Command, tmp_path: Path) -> None:
    doorward("admin", "user", "add", EMAIL, "--password-file", str(tmp_path / "nothing"), code=2)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    doorward("admin", "user", "add", EMAIL, "--password-file", str(tmp_path / "binary"), code=2)


def test_an_address_is_taken_in_any_case_and_free_in_another_project(doorward: Command) -> None:
    add_bob(doorward)
    words = ("admin", "user", "add", EMAIL.upper(), "--password-file", "-")
    assert "is a person of this project already" in doorward.refused(*words, stdin=f"{PASSWORD}\n")
    doorward("admin", "project", "add", "acme")
    doorward(*words, "--project", "acme", stdin=f"{PASSWORD}\n")


def test_what_somebody_lost_is_reset(doorward: Command) -> None:
    add_bob(doorward)
    assert doorward("admin", "user", "reset-factors", EMAIL).stdout.startswith(f"reset {EMAIL}: ")
    (event,) = [event for event in doorward.json("admin", "audit", "list") if event["action"] == "user.factors_reset"]
    assert event["detail"] == {"passkeys": 0, "authenticator": False, "sessions": 0}
    assert "There is nobody" in doorward.refused("admin", "user", "reset-factors", "nobody@example.com")
