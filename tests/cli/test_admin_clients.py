"""`doorward admin client`, `key`, `initial-token`, `software`: secrets are printed once and are nowhere else (T49)."""

import json
from pathlib import Path
from typing import Any

import pytest

from doorward.oauth.jwt import generate_signing_key
from tests.cli.conftest import Command

WEB = "https://client.example.com/callback"
LOOPBACK = "http://127.0.0.1/callback"
LISTS = [("client", "list"), ("key", "list"), ("initial-token", "list"), ("audit", "list"), ("client", "families")]


def assert_printed_once(doorward: Command, secret: str) -> None:
    """No list, no trail and no file of the folder tells it again."""
    assert len(secret) > 40
    for words in LISTS:
        assert secret not in doorward("admin", *words, "--json").stdout
        assert secret not in doorward("admin", *words).stdout
    for path in doorward.data.iterdir():
        assert secret.encode() not in path.read_bytes()


def test_a_public_client_from_adding_to_removing(doorward: Command) -> None:
    added = doorward.json(
        "admin", "client", "add", "--redirect-uri", LOOPBACK, "--redirect-uri", WEB, "--name", "Known", "--scope", "a b"
    )
    assert added == {
        "client_id": added["client_id"],
        "kind": "manual",
        "status": "active",
        "confidential": False,
        "created_at": added["created_at"],
        "last_used_at": None,
        "redirect_uris": [LOOPBACK, WEB],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "application_type": "native",
        "client_name": "Known",
        "scope": "a b",
    }
    assert doorward.json("admin", "client", "list") == [added]
    client_id = added["client_id"]
    assert doorward.json("admin", "client", "show", client_id) == added
    assert doorward.json("admin", "client", "set", client_id, "--scope", "c") == {**added, "scope": "c"}
    assert doorward("admin", "client", "remove", client_id).stdout == f"removed {client_id}\n"
    assert doorward.json("admin", "client", "list") == []
    assert f"There is no client {client_id}." in doorward.refused("admin", "client", "show", client_id)


def test_the_secret_of_a_confidential_client_is_printed_once(doorward: Command) -> None:
    added = doorward.json("admin", "client", "add", "--redirect-uri", WEB, "--confidential")
    assert added["confidential"] is True
    assert_printed_once(doorward, added["client_secret"])
    assert "client_secret" not in doorward.json("admin", "client", "show", added["client_id"])
    rotated = doorward.json("admin", "client", "rotate-secret", added["client_id"])
    assert rotated.keys() == {"client_id", "client_secret", "client_secret_expires_at"}
    assert rotated["client_secret_expires_at"] == 0
    assert rotated["client_secret"] != added["client_secret"]
    assert_printed_once(doorward, rotated["client_secret"])


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ([], 2, "give --redirect-uri, --document, --template or --grant"),
        (["--redirect-uri", "http://client.example.com/cb"], 1, "use https"),
        (["--redirect-uri", "javascript:alert(1)"], 1, "scheme that is not allowed"),
        (["--template", "nobody"], 1, "Known: "),
        (["--document", "http://client.example.com/app.json"], 1, "must be https"),
        (["--document", "https://127.0.0.1/app.json"], 1, "only names"),
        (["--document", "https://localhost/app.json"], 1, "must not be reached"),
        (["--grant", "password"], 1, "Known: authorization_code, refresh_token, client_credentials, device_code"),
        (["--grant", "refresh_token"], 1, "None of the grant_types"),
        (["--grant", "authorization_code"], 1, "redirect_uris must be a non-empty array"),
        (["--grant", "client_credentials", "--redirect-uri", WEB], 1, "name that grant, too"),
        (["--grant", "client_credentials", "--jwks-uri", "http://keys.example.com"], 1, "must be an https URL"),
        (["--grant", "client_credentials", "--jwks-file", "/nowhere/keys.json"], 2, "No such file"),
    ],
)
def test_a_client_that_makes_no_sense_is_refused_and_said_why(
    doorward: Command, options: list[str], code: int, words: str
) -> None:
    assert words in doorward.refused("admin", "client", "add", *options, code=code)


@pytest.mark.parametrize("template", ["claude", "chatgpt", "vscode", "cursor"])
def test_a_known_client_is_added_by_its_name(doorward: Command, template: str) -> None:
    added = doorward.json("admin", "client", "add", "--template", template)
    assert added["client_name"]
    assert added["redirect_uris"]


def test_a_client_is_suspended_reactivated_and_left_without_grants(doorward: Command) -> None:
    client_id = doorward.json("admin", "client", "add", "--redirect-uri", WEB)["client_id"]
    assert "active already" in doorward.refused("admin", "client", "reactivate", client_id)
    for command, status in (("suspend", "suspended"), ("reactivate", "active"), ("revoke", "active")):
        assert client_id in doorward("admin", "client", command, client_id).stdout
        assert doorward.json("admin", "client", "show", client_id)["status"] == status
    for command in ("approve", "deny"):
        assert "does not wait for approval" in doorward.refused("admin", "client", command, client_id)
    assert doorward.json("admin", "client", "queue") == []
    (family,) = doorward.json("admin", "client", "families")
    assert (family["clients"], family["connections"]) == ([client_id], 0)


def test_a_key_from_making_to_removing(doorward: Command) -> None:
    made = doorward.json("admin", "key", "create", "--capability", "register, introspect", "--name", "backend")
    secret = made.pop("secret")
    assert made == {
        "key_id": made["key_id"],
        "name": "backend",
        "capabilities": ["register", "introspect"],
        "resource_id": None,
        "created_at": made["created_at"],
        "revoked_at": None,
    }
    assert secret.startswith("mrs_")
    assert_printed_once(doorward, secret)
    assert doorward.json("admin", "key", "list") == [made]
    doorward("admin", "key", "remove", made["key_id"])
    (listed,) = doorward.json("admin", "key", "list")
    assert listed["revoked_at"] is not None
    assert "There is no live key" in doorward.refused("admin", "key", "remove", made["key_id"])


def test_a_key_may_be_for_one_resource(doorward: Command) -> None:
    uri = "https://api.example.com/mcp"
    resource = doorward.json("admin", "resource", "add", uri)
    made = doorward.json("admin", "key", "create", "--capability", "introspect", "--resource", f"{uri}/")
    assert made["resource_id"] == resource["resource_id"]
    said = doorward.refused("admin", "key", "create", "--capability", "introspect", "--resource", "https://x.example")
    assert "There is no resource https://x.example." in said


@pytest.mark.parametrize("capability", ["", "rule", "register,rule", ","])
def test_a_key_can_only_do_what_there_is(doorward: Command, capability: str) -> None:
    said = doorward.refused("admin", "key", "create", "--capability", capability)
    assert "Name capabilities out of register, introspect, mint." in said


def test_an_initial_token_is_printed_once(doorward: Command) -> None:
    made = doorward.json("admin", "initial-token", "create", "--name", "partner", "--uses", "3", "--hours", "2")
    secret = made.pop("token")
    assert (made["name"], made["uses_left"]) == ("partner", 3)
    assert_printed_once(doorward, secret)
    (listed,) = doorward.json("admin", "initial-token", "list")
    assert listed["expires_at"] - listed["created_at"] == 2 * 3_600_000
    assert {name: listed[name] for name in made} == made


def test_an_issuer_of_software_statements_is_trusted_and_distrusted(doorward: Command, tmp_path: Path) -> None:
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps({"keys": [generate_signing_key().public_jwk()]}))
    issuer = "https://vendor.example.com"
    assert doorward("admin", "software", "add", issuer, "--jwks-file", str(jwks)).stdout == f"trusted {issuer}\n"
    (listed,) = doorward.json("admin", "software", "list")
    assert listed["issuer"] == issuer
    doorward("admin", "software", "remove", issuer)
    assert doorward.json("admin", "software", "list") == []
    assert "is not trusted" in doorward.refused("admin", "software", "remove", issuer)


@pytest.mark.parametrize(("content", "code"), [(None, 2), ("{", 1), ('{"keys": []}', 1), ("[]", 1)])
def test_keys_that_cannot_be_read_trust_nobody(
    doorward: Command, tmp_path: Path, content: str | None, code: int
) -> None:
    jwks = tmp_path / "jwks.json"
    if content is not None:
        jwks.write_text(content)
    doorward.refused("admin", "software", "add", "https://vendor.example.com", "--jwks-file", str(jwks), code=code)
    listed: list[Any] = doorward.json("admin", "software", "list")
    assert listed == []


def test_a_client_without_a_browser_needs_no_address(doorward: Command) -> None:
    added = doorward.json(
        "admin", "client", "add", "--grant", "client_credentials", "--name", "Nightly", "--scope", "a b"
    )
    secret = added.pop("client_secret")
    assert added == {
        "client_id": added["client_id"],
        "kind": "manual",
        "status": "active",
        "confidential": True,
        "created_at": added["created_at"],
        "last_used_at": None,
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": ["client_credentials"],
        "application_type": "web",
        "client_name": "Nightly",
        "scope": "a b",
    }
    assert_printed_once(doorward, secret)
    assert doorward.json("admin", "client", "show", added["client_id"]) == added
    (family,) = doorward.json("admin", "client", "families")
    assert (family["name"], family["redirects"]) == ("Nightly", [])


def test_a_client_with_keys_of_its_own_gets_no_secret(doorward: Command, tmp_path: Path) -> None:
    key = generate_signing_key()
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps({"keys": [key.public_jwk()]}))
    grant = ("--grant", "client_credentials", "--grant", "urn:ietf:params:oauth:grant-type:token-exchange")
    added = doorward.json("admin", "client", "add", *grant, "--jwks-file", str(jwks))
    assert "client_secret" not in added
    assert (added["confidential"], added["token_endpoint_auth_method"]) == (True, "private_key_jwt")
    assert added["jwks"] == {"keys": [key.public_jwk()]}
    assert added["grant_types"] == [grant[1], grant[3]]
    assert "has no secret" in doorward.refused("admin", "client", "rotate-secret", added["client_id"])
    uri = "https://keys.example.com/jwks.json"
    assert doorward.json("admin", "client", "add", *grant, "--jwks-uri", uri)["jwks_uri"] == uri


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        ("{", 2, "jwks.json"),
        ("[]", 1, "not a key set"),
        ('{"keys": []}', 1, "no public key"),
        ('{"keys": [{"kty": "EC", "crv": "P-384"}]}', 1, "no public key"),
        (json.dumps({"keys": [generate_signing_key().private_jwk()]}), 1, "private or symmetric keys"),
        ('{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}', 1, "private or symmetric keys"),
    ],
)
def test_keys_that_prove_nothing_make_no_client(
    doorward: Command, tmp_path: Path, content: str, code: int, words: str
) -> None:
    jwks = tmp_path / "jwks.json"
    jwks.write_text(content)
    said = doorward.refused(
        "admin", "client", "add", "--grant", "client_credentials", "--jwks-file", str(jwks), code=code
    )
    assert words in said
    both = ("--jwks-uri", "https://keys.example.com", "--jwks-file", str(jwks))
    if code == 1:
        assert "not both" in doorward.refused("admin", "client", "add", "--grant", "client_credentials", *both)
    assert doorward.json("admin", "client", "list") == []
