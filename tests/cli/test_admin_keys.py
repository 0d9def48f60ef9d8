"""`doorward admin signing-key` and `master-key`: another key in the place of one, with the server off."""

from pathlib import Path

import pytest

from tests.cli.conftest import Command

URI = "https://api.example.com/mcp"
OLD, NEW, OTHER = ("".join(f"{number + start:02x}" for number in range(32)) for start in (1, 2, 3))


def test_a_signing_key_is_published_before_it_signs(doorward: Command) -> None:
    (old,) = doorward.json("admin", "signing-key", "list")
    (new,) = doorward.json("admin", "signing-key", "rotate")
    listed = doorward.json("admin", "signing-key", "list")
    assert [key["kid"] for key in listed] == [old["kid"], new["kid"]]
    assert listed[1] == new
    assert new["signs_from"] - new["created_at"] == 600_000
    assert listed[0]["removed_at"] - new["signs_from"] == 3_660_000
    assert all(key.keys() == {"kid", "alg", "created_at", "signs_from", "removed_at"} for key in listed)


def test_keys_of_one_algorithm_are_rotated_alone_and_without_one_all_are(doorward: Command) -> None:
    doorward("admin", "resource", "add", URI, "--token-alg", "EdDSA")
    first = doorward.json("admin", "signing-key", "list")
    assert [key["alg"] for key in first] == ["ES256", "EdDSA"]
    (second,) = doorward.json("admin", "signing-key", "rotate", "--alg", "EdDSA")
    assert second["alg"] == "EdDSA"
    leaving = {key["kid"] for key in doorward.json("admin", "signing-key", "list") if key["removed_at"]}
    assert leaving == {first[1]["kid"]}
    both = doorward.json("admin", "signing-key", "rotate")
    assert [key["alg"] for key in both] == ["ES256", "EdDSA"]
    assert "one of ES256, EdDSA, RS256" in doorward.refused("admin", "signing-key", "rotate", "--alg", "HS256")


def test_in_an_emergency_the_new_key_signs_now_and_is_the_only_one(doorward: Command) -> None:
    doorward("admin", "signing-key", "rotate")
    (new,) = doorward.json("admin", "signing-key", "rotate", "--emergency")
    assert new["signs_from"] == new["created_at"]
    assert doorward.json("admin", "signing-key", "list") == [new]
    event, *_ = doorward.json("admin", "audit", "list")
    assert (event["action"], event["target"]) == ("signing_key.added", new["kid"])
    assert len(event["detail"]["removed"]) == 2
    words = ("--emergency", "--alg", "RS256")
    assert "There is no key of RS256." in doorward.refused("admin", "signing-key", "rotate", *words)


def test_people_are_shown_a_table(doorward: Command) -> None:
    assert "ES256" in doorward("admin", "signing-key", "rotate").stdout
    assert doorward("admin", "master-key", "rotate").stdout.startswith("encrypted anew  ")


def test_a_master_key_is_replaced_and_everything_opens_with_the_new_one_alone(doorward: Command) -> None:
    before = doorward.json("admin", "signing-key", "list")
    old = (doorward.data / "master.key").read_text()
    done = doorward.json("admin", "master-key", "rotate")
    assert done == {"encrypted_anew": 4}
    new = (doorward.data / "master.key").read_text()
    assert new != old
    assert len(bytes.fromhex(new)) == 32
    assert sorted(path.name for path in doorward.data.iterdir()) == ["doorward.db", "master.key"]
    assert not any(key.encode() in (doorward.data / "doorward.db").read_bytes() for key in (old, new))
    doorward("admin", "project", "add", "acme")
    assert doorward.json("admin", "signing-key", "list") == before
    event = doorward.json("admin", "audit", "list", "--limit", "1")[0]
    assert (event["action"], event["detail"]) == ("master_key.changed", {"secrets": 4})
    (doorward.data / "master.key").write_text(old)
    assert "DOORWARD_MASTER_KEY: " in doorward.refused("admin", "signing-key", "list", code=78)


def test_a_rotation_that_broke_off_is_ended_by_another_or_by_rewrapping(doorward: Command) -> None:
    doorward("admin", "project", "list")
    file = doorward.data / "master.key"
    file.write_text(f"{NEW}\n{file.read_text()}")
    assert doorward.json("admin", "master-key", "rewrap") == {"encrypted_anew": 4}
    assert file.read_text() == NEW
    file.write_text(f"{OTHER}\n{NEW}\n")
    assert doorward.json("admin", "master-key", "rotate") == {"encrypted_anew": 4}
    assert len(file.read_text().split()) == 1
    assert file.read_text() not in (OTHER, NEW)
    assert doorward.json("admin", "master-key", "rewrap") == {"encrypted_anew": 0}


def test_keys_that_the_settings_give_are_replaced_in_the_settings(doorward: Command, tmp_path: Path) -> None:
    def run(keys: str, *words: str, code: int = 0) -> str:
        result = doorward(*words, code=code, env={"DOORWARD_MASTER_KEY": keys})
        return result.stdout + result.stderr

    run(OLD, "admin", "project", "list")
    said = run(OLD, "admin", "master-key", "rotate", code=1)
    assert "DOORWARD_MASTER_KEY gives the master key" in said
    assert "master-key rewrap" in said
    run(NEW, "admin", "project", "list", code=78)
    run(f"{NEW},{OLD}", "admin", "project", "add", "beside")
    run(OLD, "admin", "project", "list")
    assert run(f"{NEW},{OLD}", "admin", "master-key", "rewrap").split()[-1] == "5"
    run(OLD, "admin", "project", "list", code=78)
    run(NEW, "admin", "project", "add", "after")
    assert not (doorward.data / "master.key").exists()
    file = tmp_path / "keys"
    file.write_text(f"{OTHER}\n{NEW}\n")
    doorward("admin", "master-key", "rewrap", env={"DOORWARD_MASTER_KEY_FILE": str(file)})
    run(OTHER, "admin", "project", "list")


@pytest.mark.parametrize("content", ["changeme", "", f"{OLD} {OLD[:-2]}", f"{OLD}\n-\n"])
def test_a_broken_key_file_is_refused_and_named(doorward: Command, content: str) -> None:
    doorward("admin", "project", "list")
    (doorward.data / "master.key").write_text(content)
    for words in (("rotate",), ("rewrap",)):
        said = doorward.refused("admin", "master-key", *words, code=78)
        assert "DOORWARD_MASTER_KEY: " in said
        assert "must hold 64 hex digits" in said
    assert (doorward.data / "master.key").read_text() == content
