"""`doorward admin provider`: from adding to removing, by command alone; the secret is shown by none."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command

SECRET = "a secret that nobody sees"
OURS = {"DOORWARD_ISSUER": "https://auth.example.com"}


@pytest.fixture
def secret(tmp_path: Path) -> str:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    return str(path)


def test_a_provider_from_adding_to_removing(doorward: Command, secret: str) -> None:
    doorward("admin", "resource", "add", "https://api.example.com/mcp")
    added = doorward.json(
        *("admin", "provider", "add", "google", "--google", "--client-id", "abc.apps.example", "--secret-file", secret),
        *("--domain", "@Example.com"),
    )
    uri = added.pop("redirect_uri")
    assert uri.endswith("/login/callback/google")
    assert added == {
        "slug": "google",
        "kind": "oidc",
        "name": "Google",
        "issuer": "https://accounts.google.com",
        "client_id": "abc.apps.example",
        "scopes": ["openid", "email", "profile"],
        "sign_up": "domains",
        "domains": ["example.com"],
        "enabled": True,
        "created_at": added["created_at"],
    }
    assert doorward.json("admin", "provider", "list") == [added]
    shown = doorward("admin", "provider", "show", "google", env=OURS).stdout
    assert "https://auth.example.com/login/callback/google" in shown
    changed = doorward.json("admin", "provider", "set", "google", "--off", "--sign-up", "closed", "--name", "Work")
    assert changed == {**added, "enabled": False, "sign_up": "closed", "domains": [], "name": "Work"}
    doorward("admin", "provider", "set", "google", "--secret-file", "-", stdin="another secret\n")
    doorward("admin", "provider", "remove", "google")
    assert doorward.json("admin", "provider", "list") == []
    trail = doorward("admin", "audit", "list", "--json").stdout
    assert [action in trail for action in ("provider.added", "provider.changed", "provider.removed")] == [True] * 3
    assert "secret that nobody sees" not in trail + shown + json.dumps(changed)


@pytest.mark.parametrize(
    ("options", "issuer", "kind"),
    [
        (("--github",), "https://github.com", "github"),
        (("--github-host", "git.example.com"), "https://git.example.com", "github"),
        (("--entra", "3aa4a235-b6e2-48d5-9195-7fcf05b459b0"), None, "oidc"),
        (("--okta", "example.okta.com"), "https://example.okta.com", "oidc"),
        (("--issuer", "https://id.example.com/realms/one"), "https://id.example.com/realms/one", "oidc"),
    ],
)
def test_presets_know_their_issuers(
    doorward: Command, secret: str, options: tuple[str, ...], issuer: str | None, kind: str
) -> None:
    doorward("admin", "resource", "add", "https://api.example.com/mcp")
    added = doorward.json("admin", "provider", "add", "p", *options, "--client-id", "abc", "--secret-file", secret)
    entra = "https://login.microsoftonline.com/3aa4a235-b6e2-48d5-9195-7fcf05b459b0/v2.0"
    assert (added["issuer"], added["kind"], added["sign_up"]) == (issuer or entra, kind, "closed")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "Name one provider"),
        (("--google", "--github"), "Name one provider"),
        (("--entra", "common"), "Name your own tenant"),
        (("--issuer", "http://id.example.com"), "An issuer is an https address"),
        (("--google", "--sign-up", "everybody"), "Sign-up is one of"),
        (("--google", "--sign-up", "domains"), "needs at least one"),
        (("--google", "--domain", "not a domain"), "A domain is what comes after the @"),
        (("--google", "--scope", "email"), "needs the scope openid"),
    ],
)
def test_what_cannot_work_is_refused_in_words(
    doorward: Command, secret: str, options: tuple[str, ...], words: str
) -> None:
    doorward("admin", "resource", "add", "https://api.example.com/mcp")
    add = ("admin", "provider", "add", "p", "--client-id", "abc", "--secret-file", secret)
    assert words in doorward(*add, *options, code=1).stderr
    assert doorward.json("admin", "provider", "list") == []


def test_a_provider_that_does_not_answer_is_told_and_the_code_is_1(doorward: Command, secret: str) -> None:
    doorward("admin", "resource", "add", "https://api.example.com/mcp")
    issuer = "https://127.0.0.1:9"
    doorward("admin", "provider", "add", "p", "--issuer", issuer, "--client-id", "abc", "--secret-file", secret)
    refused = doorward("admin", "provider", "check", "p", code=1)
    assert "problem: Addresses of machines are not fetched, only names." in refused.stdout
    away = doorward("admin", "provider", "check", "p", code=1, env={"DOORWARD_UPSTREAM__ALLOW_CIDRS": "127.0.0.0/8"})
    assert "could not be fetched" in away.stdout
    assert "redirect URI to enter there: " in away.stdout
