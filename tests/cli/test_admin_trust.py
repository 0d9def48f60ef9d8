"""`doorward admin trust` and the connections that assertions made: from trusting to removing, by command alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from doorward.oauth.jwt import generate_signing_key
from tests.cli.conftest import Command

ISSUER = "https://acme.idp.example"
PLATFORM = "https://token.platform.example"
RESOURCE = "https://api.example.com/mcp"
ADA = "ada@example.com"


@pytest.fixture
def jwks(tmp_path: Path) -> str:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [generate_signing_key().public_jwk()]}))
    return str(path)


def add_ada(doorward: Command, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("another harbour, at noon")
    doorward("admin", "user", "add", ADA, "--password-file", str(password))


def test_an_identity_provider_from_trusting_to_removing(doorward: Command, jwks: str) -> None:
    doorward("admin", "resource", "add", RESOURCE, "--scope", "tools:read")
    client = doorward.json("admin", "client", "add", "--redirect-uri", "https://x.example/cb", "--confidential")
    added = doorward.json(
        *("admin", "trust", "add", ISSUER, "--kind", "id-jag", "--jwks-file", jwks),
        *("--client", client["client_id"], "--resource", f"{RESOURCE}/", "--scope", "tools:read"),
        *("--subject-by", "email", "--claim", "tenant=acme", "--claim", "group=a=b", "--reusable"),
        *("--create-people", "--public-clients"),
    )
    assert added == {
        "trust_id": added["trust_id"],
        "issuer": ISSUER,
        "kind": "id-jag",
        "keys": "given",
        "clients": [client["client_id"]],
        "resources": [RESOURCE],
        "scopes": ["tools:read"],
        "subject_by": "email",
        "claims": ["tenant=acme", "group=a=b"],
        "reusable": True,
        "create_people": True,
        "public_clients": True,
        "created_at": added["created_at"],
        "revoked_at": None,
    }
    trust_id = added["trust_id"]
    assert trust_id.startswith("tru_")
    assert doorward.json("admin", "trust", "list") == [added]
    assert doorward.json("admin", "trust", "show", trust_id) == added
    assert doorward.json("admin", "trust", "show", ISSUER) == added
    assert ISSUER in doorward("admin", "trust", "show", trust_id).stdout
    assert doorward("admin", "trust", "revoke", ISSUER).stdout == f"revoked everything of {trust_id}\n"
    assert doorward.json("admin", "trust", "show", trust_id)["revoked_at"] is not None
    assert doorward("admin", "trust", "remove", trust_id).stdout == f"removed {trust_id}\n"
    assert doorward.json("admin", "trust", "list") == []
    assert "There is no trust" in doorward.refused("admin", "trust", "remove", trust_id)
    actions = [event["action"] for event in doorward.json("admin", "audit", "list")]
    assert actions[:3] == ["trust.removed", "trust.revoked", "trust.added"]


def test_a_platform_is_trusted_by_the_address_of_its_keys(doorward: Command) -> None:
    uri = f"{PLATFORM}/.well-known/jwks"
    added = doorward.json(
        *("admin", "trust", "add", PLATFORM, "--kind", "workload", "--jwks-uri", uri),
        *("--claim", "repository=acme/deploy"),
    )
    assert (added["keys"], added["claims"], added["reusable"]) == (uri, ["repository=acme/deploy"], False)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--kind", "workload", "--claim", "repository=x"], 1, "Give the issuer's keys"),
        (["--kind", "workload", "--jwks-uri", "https://x.example/jwks"], 1, "Say which workloads"),
        (["--kind", "workload", "--jwks-uri", "https://x.example/jwks", "--claim", "repository"], 1, "NAME=VALUE"),
        (["--kind", "saml", "--jwks-uri", "https://x.example/jwks"], 1, "A kind is one of"),
        (["--jwks-uri", "https://x.example/jwks"], 2, "--kind"),
        (["--kind", "id-jag", "--jwks-file", "/nowhere/jwks.json"], 2, "jwks.json"),
    ],
)
def test_a_trust_that_makes_no_sense_is_refused_and_said_why(
    doorward: Command, options: list[str], code: int, words: str
) -> None:
    assert words in doorward.refused("admin", "trust", "add", PLATFORM, *options, code=code)
    assert doorward.json("admin", "trust", "list") == []


def test_subjects_are_linked_and_unlinked(doorward: Command, tmp_path: Path) -> None:
    add_ada(doorward, tmp_path)
    assert doorward("admin", "trust", "link", ISSUER, "U1", ADA).stdout == f"linked U1 to {ADA}\n"
    doorward("admin", "trust", "link", ISSUER, "U1", ADA, "--tenant", "acme")
    rows = doorward.json("admin", "trust", "links")
    assert [(row["issuer"], row["subject"], row["email"]) for row in rows] == [
        (ISSUER, "U1", ADA),
        (f"{ISSUER} acme", "U1", ADA),
    ]
    assert "stands for somebody already" in doorward.refused("admin", "trust", "link", ISSUER, "U1", ADA)
    assert "There is nobody" in doorward.refused("admin", "trust", "link", ISSUER, "U2", "bob@example.com")
    assert doorward("admin", "trust", "unlink", ISSUER, "U1", "--tenant", "acme").stdout == "unlinked U1\n"
    assert [row["issuer"] for row in doorward.json("admin", "trust", "links")] == [ISSUER]
    assert "stands for nobody" in doorward.refused("admin", "trust", "unlink", ISSUER, "U1", "--tenant", "acme")


def test_nothing_was_ended_and_nothing_is_reopened(doorward: Command, tmp_path: Path) -> None:
    add_ada(doorward, tmp_path)
    ended: list[Any] = doorward.json("admin", "user", "ended", ADA)
    assert ended == []
    said = doorward.refused("admin", "user", "reopen", ADA, "grt_nothing")
    assert f"{ADA} has no ended connection grt_nothing." in said
