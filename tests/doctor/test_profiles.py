"""The profiles of known clients are whole, and say what the records say."""

import json
import re
from importlib.resources import files
from urllib.parse import urlsplit

import pytest

from doorward.doctor.profiles import OTHER_PORT, PORT, Profile, _build, fill_port, find_profile, known_profiles
from doorward.oauth.redirects import redirect_kind

ENTRIES = json.loads((files("doorward.doctor") / "profiles.json").read_text(encoding="utf-8"))["profiles"]


def test_the_clients_that_people_use_most_are_played() -> None:
    needed = """
        claude-ai claude-code chatgpt vscode cursor codex-cli mcp-inspector-2 mcp-remote python-sdk-2 fastmcp-client-4
        typescript-sdk-1 typescript-sdk-2
    """
    assert set(needed.split()) <= {profile.id for profile in known_profiles()}


def test_the_file_is_small_and_holds_every_client_once() -> None:
    assert len((files("doorward.doctor") / "profiles.json").read_bytes()) < 20_000
    assert len({entry["id"] for entry in ENTRIES}) == len({entry["name"] for entry in ENTRIES}) == len(ENTRIES)


@pytest.mark.parametrize("profile", known_profiles(), ids=lambda profile: profile.id)
def test_each_client_registers_with_a_body_that_may_be_sent(profile: Profile) -> None:
    body = profile.registration_body("read write")
    assert "{" not in json.dumps(body).replace("{", "", 1)
    assert body["redirect_uris"]
    assert body["client_name"]
    assert set(body) <= {
        *("client_name", "client_uri", "redirect_uris", "grant_types", "response_types", "scope", "application_type"),
        *("token_endpoint_auth_method", "software_id", "software_version"),
    }
    for uri in (*body["redirect_uris"], *profile.used_redirects):
        assert redirect_kind(uri) in ("loopback", "https", "private"), uri


@pytest.mark.parametrize("profile", known_profiles(), ids=lambda profile: profile.id)
def test_a_document_is_an_https_address_and_its_redirect_has_no_port_of_a_machine(profile: Profile) -> None:
    if profile.document:
        assert urlsplit(profile.document).scheme == "https"
        assert PORT not in profile.published_redirect
        assert re.sub(f":{PORT}", "", profile.redirect_of_document) == profile.published_redirect


def test_a_scope_that_is_empty_is_left_out_of_a_registration() -> None:
    assert "scope" not in find_profile("codex-cli").registration_body("")
    assert find_profile("codex-cli").registration_body("read")["scope"] == "read"


def test_a_client_is_like_another_but_for_what_is_said_of_it() -> None:
    first, second = find_profile("typescript-sdk-1"), find_profile("typescript-sdk-2")
    assert (second.iss, first.iss) == ("exact", "ignored")
    assert first.refuses_nulls == second.refuses_nulls == ("metadata", "registration", "token")


def test_a_port_of_the_machine_is_filled_in() -> None:
    assert fill_port("http://127.0.0.1:{port}/x") == f"http://127.0.0.1:{PORT}/x"
    assert fill_port("http://127.0.0.1:{port}/x", OTHER_PORT) == f"http://127.0.0.1:{OTHER_PORT}/x"
    assert fill_port("https://example.com/x") == "https://example.com/x"


@pytest.mark.parametrize("wrong", [{"first": "PATCH"}, {"refuses_nulls": ["everything"]}, {"misspelled": True}])
def test_a_file_with_anything_that_nobody_reads_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="codex-cli"):
        _build({"id": "codex-cli", "registration": {}, **wrong})
