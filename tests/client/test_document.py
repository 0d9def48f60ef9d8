"""A client's own document, and the key that may go with it."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from doorward.client.callback import PATH
from doorward.client.document import LOOPBACK_REDIRECTS, build_client_document, render_client_document
from doorward.client.errors import StoreUnavailable
from doorward.client.key_files import resolve_signing_key
from doorward.oauth.client_documents import parse_client_document
from doorward.oauth.jwt import generate_signing_key
from doorward.oauth.redirects import find_registered

URL = "https://app.example/client.json"
GRANTS = ("authorization_code", "refresh_token")
KEY = generate_signing_key()


def test_a_program_of_this_machine_is_described_in_every_form_in_use_cimd_02_cimd_30_cimd_31() -> None:
    assert build_client_document(URL, "Tide tables") == {
        "client_id": URL,
        "client_name": "Tide tables",
        "application_type": "native",
        "redirect_uris": ["http://127.0.0.1/callback", "http://[::1]/callback", "http://localhost/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "token_endpoint_auth_methods_supported": ["none"],
    }


def test_a_server_reads_back_what_was_meant_cimd_02_cimd_30() -> None:
    document = build_client_document(
        URL, "Gezeiten – Fluß", signing_key=KEY, client_uri="https://app.example/", scope="read write"
    )
    read = parse_client_document(URL, render_client_document(document), supported_grants=GRANTS)
    assert read.client_name == "Gezeiten – Fluß"
    assert read.redirect_uris == LOOPBACK_REDIRECTS
    assert read.grant_types == GRANTS
    assert read.accepted_methods == ("private_key_jwt",)
    assert read.jwks == {"keys": [KEY.public_jwk()]}
    assert (read.application_type, read.scope, read.client_uri) == ("native", ("read", "write"), "https://app.example/")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_a_server_lets_the_program_listen_on_any_port_cimd_31(host: str) -> None:
    document = build_client_document(URL, "Tide tables")
    assert find_registered(tuple(document["redirect_uris"]), f"http://{host}:49213{PATH}") is not None


def test_a_hosted_application_names_its_own_address_cimd_02() -> None:
    document = build_client_document(URL, "Tide tables", redirect_uris=["https://app.example/back"], signing_key=KEY)
    assert (document["application_type"], document["redirect_uris"]) == ("web", ["https://app.example/back"])


def test_a_client_with_a_key_is_nobody_without_it_and_its_private_half_is_not_published_cimd_31() -> None:
    document = build_client_document(URL, "Tide tables", signing_key=KEY)
    assert document["token_endpoint_auth_method"] == "private_key_jwt"
    assert document["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert document["token_endpoint_auth_signing_alg"] == "ES256"
    assert KEY.private_jwk()["d"] not in render_client_document(document).decode()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"url": "http://app.example/client.json"}, "https"),
        ({"url": "https://app.example"}, "path"),
        ({"url": "https://app.example/"}, "path"),
        ({"url": "https://app.example/client.json?v=2"}, "query"),
        ({"url": "https://app.example/client.json#me"}, "fragment"),
        ({"url": "https://user@app.example/client.json"}, "user"),
        ({"url": "https://app.example/a/../client.json"}, "dot segments"),
        ({"client_name": " "}, "client name"),
        ({"client_name": "x" * 65}, "client name"),
        ({"client_name": "Tide\u202etables"}, "client name"),
        ({"redirect_uris": []}, "redirect_uris"),
        ({"redirect_uris": ["http://app.example/callback"]}, "http to a host that is not this machine"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "scheme"),
        ({"redirect_uris": [LOOPBACK_REDIRECTS[0]] * 2}, "redirect_uris"),
        ({"logo_uri": "http://app.example/logo.png"}, "logo_uri"),
        ({"client_uri": "javascript:alert(1)"}, "client_uri"),
        ({"redirect_uris": [f"https://app.example/{'x' * 1000}{n}" for n in range(6)]}, "5 kB"),
    ],
)
def test_what_a_server_would_refuse_or_leave_out_is_said_before_it_is_published_cimd_02(
    change: dict[str, Any], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        build_client_document(**{"url": URL, "client_name": "Tide tables", **change})


def test_what_is_rendered_is_what_was_built() -> None:
    document = build_client_document(URL, "Tide tables")
    assert json.loads(render_client_document(document)) == document


def test_a_key_is_made_once_and_is_its_owners_alone_t17(tmp_path: Path) -> None:
    path = tmp_path / "client.key"
    key, was_made = resolve_signing_key(path)
    again, was_made_again = resolve_signing_key(path)
    assert (was_made, was_made_again) == (True, False)
    assert (again.private_jwk(), again.alg) == (key.private_jwk(), "ES256")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")


def test_a_key_of_another_kind_is_made_and_kept_when_asked_for(tmp_path: Path) -> None:
    key, _ = resolve_signing_key(tmp_path / "rsa.key", alg="RS256")
    assert resolve_signing_key(tmp_path / "rsa.key")[0].private_jwk() == key.private_jwk()
    with pytest.raises(ValueError, match=r"rsa\.key"):
        resolve_signing_key(tmp_path / "rsa.key", alg="ES256")


def test_what_is_no_key_of_its_owners_alone_is_refused_and_left_as_it_is_t17(tmp_path: Path) -> None:
    path = tmp_path / "client.key"
    path.write_text("my shopping list")
    path.chmod(0o600)
    with pytest.raises(ValueError, match=r"client\.key"):
        resolve_signing_key(path)
    path.chmod(0o644)
    with pytest.raises(StoreUnavailable, match="chmod 600"):
        resolve_signing_key(path)
    assert path.read_text() == "my shopping list"
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        resolve_signing_key(tmp_path / "no such folder" / "client.key")
