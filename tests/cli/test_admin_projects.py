"""`doorward admin project`, `resource`, `sealing-key`, `audit`: from making to removing."""

import json
from typing import Any

import pytest

from tests.cli.conftest import Command

DEFAULT = {
    "slug": "default",
    "name": "Doorward",
    "path": "/",
    "default": True,
    "stopped_at": None,
    "registration_mode": "open",
    "access_token_seconds": 900,
    "code_seconds": 300,
    "refresh_idle_seconds": 2_592_000,
    "refresh_absolute_seconds": 7_776_000,
}
URI = "https://api.example.com/mcp"


def part_of(whole: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Those members of `whole` that `part` speaks of."""
    return {name: whole[name] for name in part}


def test_a_new_folder_has_one_project(doorward: Command) -> None:
    (project,) = doorward.json("admin", "project", "list")
    assert part_of(project, DEFAULT) == DEFAULT
    assert doorward.json("admin", "project", "show") == project


def test_a_project_is_made_listed_and_shown(doorward: Command) -> None:
    made = doorward.json("admin", "project", "add", "acme", "--name", "Acme")
    expected = {**DEFAULT, "slug": "acme", "name": "Acme", "path": "/p/acme", "default": False}
    assert part_of(made, expected) == expected
    assert doorward.json("admin", "project", "show", "acme") == made
    assert [project["slug"] for project in doorward.json("admin", "project", "list")] == ["default", "acme"]
    assert "a project acme already" in doorward.refused("admin", "project", "add", "acme")


def test_settings_of_a_project_are_set_together(doorward: Command) -> None:
    changed = doorward.json(
        "admin", "project", "set", "name=Acme & Söhne = 1", "registration_mode=protected", "code_seconds=60"
    )
    expected = {**DEFAULT, "name": "Acme & Söhne = 1", "registration_mode": "protected", "code_seconds": 60}
    assert part_of(changed, expected) == expected
    assert doorward.json("admin", "project", "show") == changed


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ("name", 2, "write NAME=VALUE"),
        ("colour=red", 1, "There is no setting colour."),
        ("registration_mode=ajar", 1, "registration_mode is one of"),
        ("code_seconds=1", 1, "code_seconds is a number of seconds from 60 to 600."),
        ("code_seconds=soon", 1, "code_seconds is a number of seconds"),
        ("code_seconds=²", 1, "code_seconds is a number of seconds"),
        ("code_seconds=", 1, "code_seconds is a number of seconds"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_and_said_why(
    doorward: Command, change: str, code: int, words: str
) -> None:
    assert words in doorward.refused("admin", "project", "set", change, code=code)


def test_a_resource_from_adding_to_removing(doorward: Command) -> None:
    added = doorward.json(
        "admin", "resource", "add", URI, "--name", "Weather", "--scope", "tools:read=Look up", "--scope", "tools:write"
    )
    assert added == {
        "resource_id": added["resource_id"],
        "uri": URI,
        "name": "Weather",
        "scopes": [
            {"name": "tools:read", "title": "Look up", "description": "", "kind": "read", "tools": []},
            {"name": "tools:write", "title": "tools:write", "description": "", "kind": "write", "tools": []},
        ],
        "default_scopes": ["tools:read"],
        "default": True,
        "token_format": "jwt",
        "token_alg": "ES256",
        "access_token_seconds": 0,
        "aliases": [],
        "dpop_required": False,
        "budgets": [],
        "stopped_at": None,
    }
    assert doorward.json("admin", "resource", "list") == [added]
    for reference in (URI, f"{URI}/", added["resource_id"]):
        assert doorward.json("admin", "resource", "show", reference) == added
    changed = doorward.json("admin", "resource", "set", URI, "--name", "New", "--scope", "items:delete", "--scope", "x")
    assert [(scope["name"], scope["kind"]) for scope in changed["scopes"]] == [
        ("items:delete", "destructive"),
        ("x", "read"),
    ]
    assert (changed["name"], changed["default_scopes"]) == ("New", ["x"])
    assert doorward("admin", "resource", "remove", URI).stdout == f"removed {URI}\n"
    assert doorward.json("admin", "resource", "list") == []
    assert f"There is no resource {URI}." in doorward.refused("admin", "resource", "show", URI)


def test_what_tokens_of_a_resource_are_like_is_chosen_shown_and_changed(doorward: Command) -> None:
    words = ("--token-format", "opaque", "--token-alg", "RS256", "--access-token-seconds", "60", "--dpop-required")
    aliases = ("https://old.example.com/mcp", f"{URI}/v1")
    budgets = ("--budget", "10/minute  per user", "--budget", "cost 500/86400s per client")
    added = doorward.json(
        "admin", "resource", "add", URI, *words, "--alias", aliases[0], "--alias", aliases[1], *budgets
    )
    chosen = {
        "token_format": "opaque",
        "token_alg": "RS256",
        "access_token_seconds": 60,
        "aliases": list(aliases),
        "dpop_required": True,
        "budgets": ["10/minute per user", "cost 500/day per client"],
    }
    assert part_of(added, chosen) == chosen
    for reference in (URI, *aliases):
        assert doorward.json("admin", "resource", "show", reference) == added
    assert doorward.json("admin", "resource", "set", URI, "--name", "New") == {**added, "name": "New"}
    changed = doorward.json(
        *("admin", "resource", "set", URI, "--no-dpop-required", "--alias", "", "--token-alg", "EdDSA", "--budget", "")
    )
    expected = {**chosen, "dpop_required": False, "aliases": [], "token_alg": "EdDSA", "budgets": []}
    assert part_of(changed, expected) == expected
    assert doorward.json("admin", "resource", "list") == [changed]
    assert "opaque" in doorward("admin", "resource", "list").stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--token-format", "jwe"), 1, "token_format is one of jwt, opaque."),
        (("--token-alg", "none"), 1, "token_alg is one of ES256, EdDSA, RS256."),
        (("--access-token-seconds", "59"), 1, "access_token_seconds is from 60 to 3600"),
        (("--access-token-seconds", "soon"), 2, "should be a valid integer"),
        (("--alias", "/mcp"), 1, "must be an absolute http or https URI"),
        (("--alias", f"{URI}/"), 1, "is a name of this resource already"),
        (("--budget", "10/minute"), 1, "'10/minute' is no budget. It is spelled like 10/minute per user"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(
    doorward: Command, words: tuple[str, ...], code: int, said: str
) -> None:
    assert said in " ".join(doorward.refused("admin", "resource", "add", URI, *words, code=code).split())
    doorward("admin", "resource", "add", URI)
    assert said in " ".join(doorward.refused("admin", "resource", "set", URI, *words, code=code).split())


def test_a_resource_within_another_is_added_with_a_note(doorward: Command) -> None:
    assert doorward("admin", "resource", "add", URI).stderr == ""
    added = doorward("admin", "resource", "add", f"{URI}/admin")
    assert added.stderr.startswith(f"note: {URI}/admin lies within {URI}: ")


def test_one_resource_is_the_default(doorward: Command) -> None:
    doorward("admin", "resource", "add", URI)
    doorward("admin", "resource", "add", f"{URI}/two", "--default")
    assert [resource["default"] for resource in doorward.json("admin", "resource", "list")] == [False, True]
    doorward("admin", "resource", "set", URI, "--default")
    assert [resource["default"] for resource in doorward.json("admin", "resource", "list")] == [True, False]


@pytest.mark.parametrize("reference", ["http://[", "not a url", "https://api.example.com/mcp/x"])
def test_a_reference_to_nothing_is_refused_in_words(doorward: Command, reference: str) -> None:
    doorward("admin", "resource", "add", URI)
    assert f"There is no resource {reference}." in doorward.refused("admin", "resource", "show", reference)


def test_resources_of_one_project_are_not_in_another(doorward: Command) -> None:
    doorward("admin", "project", "add", "acme")
    doorward("admin", "resource", "add", URI, "--project", "acme")
    assert doorward.json("admin", "resource", "list") == []
    assert len(doorward.json("admin", "resource", "list", "--project", "acme")) == 1


def test_a_sealing_key_is_rotated_and_the_old_one_dropped(doorward: Command) -> None:
    assert doorward.json("admin", "sealing-key", "list") == [{"number": 0, "seals": True}]
    assert "rotate first" in doorward.refused("admin", "sealing-key", "drop", "0")
    assert doorward.json("admin", "sealing-key", "rotate") == {"number": 1}
    doorward("admin", "sealing-key", "drop", "0")
    assert doorward.json("admin", "sealing-key", "list") == [{"number": 1, "seals": True}]


def test_what_was_done_is_in_the_audit_trail_by_the_operator(doorward: Command) -> None:
    doorward("admin", "resource", "add", URI)
    doorward("admin", "project", "set", "name=New")
    events = doorward.json("admin", "audit", "list")
    assert [(event["action"], event["actor"]) for event in events] == [
        ("project.changed", "operator:cli"),
        ("resource.added", "operator:cli"),
        ("project.created", "operator:cli"),
    ]
    assert events[0]["detail"] == {"name": "New"}
    assert [event["action"] for event in doorward.json("admin", "audit", "list", "--limit", "1")] == ["project.changed"]


@pytest.mark.parametrize("limit", ["0", "-1", "10001", "many"])
def test_a_limit_that_makes_no_sense_is_a_wrong_call(doorward: Command, limit: str) -> None:
    doorward("admin", "audit", "list", "--limit", limit, code=2)


def test_people_read_tables_and_times_machines_read_json(doorward: Command) -> None:
    doorward("admin", "resource", "add", URI, "--name", "Weather")
    table = doorward("admin", "resource", "list").stdout
    assert "Weather" in table
    assert URI in table
    shown = doorward("admin", "resource", "show", URI).stdout
    assert any(line.split() == ["default", "yes"] for line in shown.splitlines())
    assert doorward("admin", "client", "list").stdout == "none\n"
    with pytest.raises(json.JSONDecodeError):
        json.loads(table)
    assert "20" in doorward("admin", "audit", "list").stdout
