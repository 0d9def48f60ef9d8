"""`doorward admin token`: tokens of the admin API, made, listed and ended."""

from tests.cli.conftest import Command


def test_a_token_is_printed_once_and_listed_without_its_secret(doorward: Command) -> None:
    words = ("--role", "admin", "--scope", "clients:write", "--scope", "read", "--days", "30")
    made = doorward.json("admin", "token", "create", "ci", *words)
    assert made["secret"].startswith("mad_")
    assert (made["role"], made["scopes"]) == ("admin", ["clients:write", "read"])
    assert made["expires_at"] - made["created_at"] == 30 * 86_400_000
    (listed,) = doorward.json("admin", "token", "list")
    assert listed["token_id"] == made["token_id"]
    assert "secret" not in listed
    assert "ci" in doorward("admin", "token", "list").stdout


def test_a_removed_token_is_listed_as_ended_and_ended_once(doorward: Command) -> None:
    made = doorward.json("admin", "token", "create", "ci", "--role", "auditor")
    doorward("admin", "token", "remove", made["token_id"])
    (listed,) = doorward.json("admin", "token", "list")
    assert listed["revoked_at"] is not None
    assert "There is no live token" in doorward.refused("admin", "token", "remove", made["token_id"])
    event, *_ = doorward.json("admin", "audit", "list")
    assert (event["action"], event["target"]) == ("admin_token.revoked", f"admin-token:{made['token_id']}")


def test_what_is_no_role_or_scope_is_refused_with_what_there_is(doorward: Command) -> None:
    assert "owner, admin, auditor" in doorward.refused("admin", "token", "create", "ci", "--role", "member")
    refused = doorward.refused("admin", "token", "create", "ci", "--role", "admin", "--scope", "client:write")
    assert "There is no scope client:write." in refused
    assert "Name what" in doorward.refused("admin", "token", "create", " ", "--role", "admin")
