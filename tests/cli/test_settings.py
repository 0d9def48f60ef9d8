"""Settings: where they come from, which wins, and that an unsafe or unknown one stops the start by name (T51)."""

import re
from pathlib import Path
from typing import Any

import pytest

from doorward.settings import Settings, UnsafeConfiguration, load_settings

KEY = "0123456789abcdef" * 4
PASSWORD = "a quiet harbour at dawn"
ADMIN = {"DOORWARD_ADMIN_EMAIL": "ada@example.com", "DOORWARD_ADMIN_PASSWORD": PASSWORD}

REFUSED: list[tuple[dict[str, str], str, str]] = [
    ({"DOORWARD_COLOUR": "red"}, "DOORWARD_COLOUR", "no such setting"),
    ({"DOORWARD_LOG__COLOUR": "red"}, "DOORWARD_LOG__COLOUR", "no such setting"),
    ({"DOORWARD_ADMIN_EMAIL_FILE": "/x"}, "DOORWARD_ADMIN_EMAIL_FILE", "no such setting"),
    ({"DOORWARD_PORT": "http"}, "DOORWARD_PORT", "integer"),
    ({"DOORWARD_PORT": "0"}, "DOORWARD_PORT", "greater"),
    ({"DOORWARD_PORT": "65536"}, "DOORWARD_PORT", "less"),
    ({"DOORWARD_LOG__LEVEL": "loud"}, "DOORWARD_LOG__LEVEL", "debug"),
    ({"DOORWARD_LOG": "debug"}, "DOORWARD_LOG", "dictionary"),
    ({"DOORWARD_LOG": "debug", "DOORWARD_LOG__LEVEL": "debug"}, "DOORWARD_LOG", "dictionary"),
    ({"DOORWARD_PORT__NUMBER": "1"}, "DOORWARD_PORT", "integer"),
    ({"DOORWARD_ISSUER": "http://auth.example.com"}, "DOORWARD_ISSUER", "https"),
    ({"DOORWARD_ISSUER": "http://10.0.0.1:8400"}, "DOORWARD_ISSUER", "https"),
    ({"DOORWARD_ISSUER": "http://127.0.0.1.example.com"}, "DOORWARD_ISSUER", "https"),
    ({"DOORWARD_ISSUER": "auth.example.com"}, "DOORWARD_ISSUER", "absolute https URL"),
    ({"DOORWARD_ISSUER": "ftp://auth.example.com"}, "DOORWARD_ISSUER", "absolute https URL"),
    ({"DOORWARD_ISSUER": "HTTPS://auth.example.com"}, "DOORWARD_ISSUER", "absolute https URL"),
    ({"DOORWARD_ISSUER": "https://"}, "DOORWARD_ISSUER", "absolute https URL"),
    ({"DOORWARD_ISSUER": "https://auth.example.com/"}, "DOORWARD_ISSUER", "bare origin"),
    ({"DOORWARD_ISSUER": "https://auth.example.com/sso"}, "DOORWARD_ISSUER", "bare origin"),
    ({"DOORWARD_ISSUER": "https://auth.example.com?x=1"}, "DOORWARD_ISSUER", "bare origin"),
    ({"DOORWARD_ISSUER": "https://auth.example.com#"}, "DOORWARD_ISSUER", "bare origin"),
    ({"DOORWARD_ISSUER": "https://ada@auth.example.com"}, "DOORWARD_ISSUER", "bare origin"),
    ({"DOORWARD_ISSUER": "https://["}, "DOORWARD_ISSUER", "not a valid URL"),
    ({"DOORWARD_ISSUER": "https://auth.example.com:port"}, "DOORWARD_ISSUER", "not a valid URL"),
    ({"DOORWARD_ISSUER": "https://auth.example.com:99999"}, "DOORWARD_ISSUER", "not a valid URL"),
    ({"DOORWARD_ISSUER": 'https://auth.example.com"'}, "DOORWARD_ISSUER", "not a valid URL"),
    ({"DOORWARD_ISSUER": "https://auth.exa mple.com"}, "DOORWARD_ISSUER", "not a valid URL"),
    ({"DOORWARD_ISSUER": "https://auth.example\n.com"}, "DOORWARD_ISSUER", "not a valid URL"),
    ({"DOORWARD_ISSUER": "https://äuth.example.com"}, "DOORWARD_ISSUER", "not a valid URL"),
    ({"DOORWARD_HOST": "0.0.0.0"}, "DOORWARD_ISSUER", "set it when listening on a public address"),
    ({"DOORWARD_HOST": "192.168.1.1"}, "DOORWARD_ISSUER", "set it when listening on a public address"),
    (
        {"DOORWARD_HOST": "0.0.0.0", "DOORWARD_ISSUER": "http://localhost:8400"},
        "DOORWARD_HOST",
        "needs an https DOORWARD_ISSUER",
    ),
    ({"DOORWARD_ADMIN_EMAIL": "ada@example.com"}, "DOORWARD_ADMIN_PASSWORD_FILE", "together"),
    ({"DOORWARD_ADMIN_PASSWORD": PASSWORD}, "DOORWARD_ADMIN_EMAIL", "together"),
    ({**ADMIN, "DOORWARD_ADMIN_PASSWORD": "changeme"}, "DOORWARD_ADMIN_PASSWORD", "at least 15 characters"),
    ({"DOORWARD_ADMIN_PASSWORD_FILE": "/nothing"}, "DOORWARD_ADMIN_PASSWORD_FILE", "cannot be read"),
    ({"DOORWARD_MASTER_KEY": "changeme"}, "DOORWARD_MASTER_KEY", "64 random hex digits"),
    ({"DOORWARD_MASTER_KEY": KEY[:-2]}, "DOORWARD_MASTER_KEY", "64 random hex digits"),
    ({"DOORWARD_MASTER_KEY": "00" * 32}, "DOORWARD_MASTER_KEY", "64 random hex digits"),
    ({"DOORWARD_MASTER_KEY": f",{KEY}"}, "DOORWARD_MASTER_KEY", "64 random hex digits"),
    ({"DOORWARD_MASTER_KEY": f"changeme,{KEY}"}, "DOORWARD_MASTER_KEY", "64 random hex digits"),
    ({"DOORWARD_MASTER_KEY": "é" * 64}, "DOORWARD_MASTER_KEY", "64 random hex digits"),
    ({"DOORWARD_MASTER_KEY_FILE": "/nothing"}, "DOORWARD_MASTER_KEY_FILE", "cannot be read"),
    ({"DOORWARD_TRUSTED_PROXIES": "everybody"}, "DOORWARD_TRUSTED_PROXIES", "IP addresses or networks"),
    ({"DOORWARD_TRUSTED_PROXIES": "10.0.0.1/8"}, "DOORWARD_TRUSTED_PROXIES", "IP addresses or networks"),
    ({"DOORWARD_TRUSTED_PROXIES": '["10.0.0.1"'}, "DOORWARD_TRUSTED_PROXIES", "delimiter"),
    ({"DOORWARD_CONFIG": "/nothing.toml"}, "DOORWARD_CONFIG", "cannot be read"),
]


def load(environ: dict[str, str] | None = None, **options: Any) -> Settings:
    return load_settings(options, environ or {})


@pytest.mark.parametrize(("environ", "setting", "words"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_is_unsafe_or_unknown_stops_the_start_by_name_authz_19_t51_c18(
    environ: dict[str, str], setting: str, words: str
) -> None:
    with pytest.raises(UnsafeConfiguration, match=re.escape(words)) as caught:
        load(environ)
    assert caught.value.setting == setting
    assert str(caught.value).startswith(f"{setting}: ")


@pytest.mark.parametrize(
    "name",
    ["DOORWARD_ADMIN_PASSWORD", "DOORWARD_MASTER_KEY", "DOORWARD_ISSUER", "DOORWARD_PORT", "DOORWARD_LOG__LEVEL"],
)
def test_a_refusal_never_repeats_the_value(name: str) -> None:
    with pytest.raises(UnsafeConfiguration) as caught:
        load({"DOORWARD_ADMIN_EMAIL": "ada@example.com", name: "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_without_any_setting_the_server_is_on_this_machine_trn_02() -> None:
    settings = load()
    assert (settings.data, settings.host, settings.port) == (Path("doorward-data"), "127.0.0.1", 8400)
    assert (settings.public_url, settings.is_secure) == ("http://127.0.0.1:8400", False)
    assert (settings.log.level, settings.log.format) == ("info", "console")


@pytest.mark.parametrize(
    ("environ", "url", "is_secure"),
    [
        ({"DOORWARD_ISSUER": "https://auth.example.com"}, "https://auth.example.com", True),
        ({"DOORWARD_ISSUER": "https://auth.example.com:8443"}, "https://auth.example.com:8443", True),
        ({"DOORWARD_ISSUER": "http://localhost:8400"}, "http://localhost:8400", False),
        ({"DOORWARD_ISSUER": "http://[::1]:8400"}, "http://[::1]:8400", False),
        ({"DOORWARD_HOST": "::1", "DOORWARD_PORT": "9000"}, "http://[::1]:9000", False),
        ({"DOORWARD_HOST": "localhost"}, "http://localhost:8400", False),
        ({"DOORWARD_HOST": "0.0.0.0", "DOORWARD_ISSUER": "https://auth.example.com"}, "https://auth.example.com", True),
    ],
)
def test_the_issuer_is_the_string_that_was_given_or_where_the_server_listens(
    environ: dict[str, str], url: str, *, is_secure: bool
) -> None:
    settings = load(environ)
    assert (settings.public_url, settings.is_secure) == (url, is_secure)


def test_a_file_gives_way_to_the_environment_and_both_to_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "doorward.toml"
    file.write_text(
        'port = 1\nhost = "localhost"\nissuer = "https://a.example"\n[log]\nlevel = "debug"\nformat = "json"\n'
    )
    environ = {"DOORWARD_CONFIG": str(file), "DOORWARD_PORT": "2", "DOORWARD_LOG__LEVEL": "error"}
    settings = load(environ, port=3, issuer=None)
    assert (settings.port, settings.host, settings.issuer) == (3, "localhost", "https://a.example")
    assert (settings.log.level, settings.log.format) == ("error", "json")
    assert load(environ).port == 2
    assert load({"DOORWARD_CONFIG": str(file)}).port == 1
    assert load({"DOORWARD_CLIENT_HOME": "/srv/client"}) == load(), "the client's own is no setting of the server"


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ('colour = "red"', "DOORWARD_COLOUR"),
        ("[log]\ncolour = 1", "DOORWARD_LOG__COLOUR"),
        ("port =", "DOORWARD_CONFIG"),
    ],
)
def test_a_file_is_held_to_the_same_rules(tmp_path: Path, text: str, setting: str) -> None:
    file = tmp_path / "doorward.toml"
    file.write_text(text)
    with pytest.raises(UnsafeConfiguration) as caught:
        load({"DOORWARD_CONFIG": str(file)})
    assert caught.value.setting == setting


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    for name, value in (("password", PASSWORD), ("key", KEY)):
        (tmp_path / name).write_text(f"{value}\n")
    settings = load(
        {
            "DOORWARD_ADMIN_EMAIL": "ada@example.com",
            "DOORWARD_ADMIN_PASSWORD_FILE": str(tmp_path / "password"),
            "DOORWARD_MASTER_KEY_FILE": str(tmp_path / "key"),
        }
    )
    assert (settings.admin_password, settings.master_key) == (PASSWORD, KEY)


def test_secrets_are_in_no_representation_of_the_settings_t49() -> None:
    settings = load({**ADMIN, "DOORWARD_MASTER_KEY": KEY})
    for text in (repr(settings), str(settings)):
        assert PASSWORD not in text
        assert KEY not in text


@pytest.mark.parametrize(
    ("value", "networks"),
    [
        ("10.0.0.0/8", ("10.0.0.0/8",)),
        ("10.0.0.1, 2001:db8::/32", ("10.0.0.1", "2001:db8::/32")),
        ('["10.0.0.1"]', ("10.0.0.1",)),
        ("", ()),
        ("10.0.0.1,", ("10.0.0.1",)),
    ],
)
def test_trusted_proxies_are_a_list_however_it_is_spelled(value: str, networks: tuple[str, ...]) -> None:
    assert load({"DOORWARD_TRUSTED_PROXIES": value}).trusted_proxies == networks


def test_other_peoples_variables_are_nobodys_business() -> None:
    assert load({"PATH": "/bin", "DOORWARDEN_X": "1", "MY_DOORWARD_X": "1", "doorward_x": "1"}) == load()


def test_settings_do_not_change_once_they_are_made() -> None:
    with pytest.raises(ValueError, match="frozen"):
        setattr(load(), "port", 1)  # noqa: B010  # mypy would not let it be written
