"""doorward.oauth.redirects: where a code may go (T21)."""

import pytest

from doorward.oauth.errors import INVALID_REDIRECT_URI, OAuthError
from doorward.oauth.redirects import (
    add_parameters,
    check_redirect_uri,
    display_host,
    find_registered,
    is_loopback,
    match_redirect_uri,
    redirect_kind,
)

ACCEPTED = [
    ("https://client.test/cb", "https"),
    ("https://client.test", "https"),
    ("HTTPS://Client.Test/cb", "https"),
    ("https://client.test:8443/cb?tenant=a%20b", "https"),
    ("https://client.test/cb;v=1", "https"),
    ("https://127.0.0.1/cb", "https"),
    ("http://127.0.0.1/callback", "loopback"),
    ("http://127.0.0.1:1/callback", "loopback"),
    ("http://localhost:33418/", "loopback"),
    ("http://localhost", "loopback"),
    ("http://[::1]:9000/cb", "loopback"),
    ("cursor://anysphere.cursor-mcp/oauth/callback", "private"),
    ("com.example.app:/oauth", "private"),
    ("com.raycast:/oauth", "private"),
    ("warp://mcp/oauth2callback", "private"),
]

HOSTILE = [
    "",
    " ",
    "/callback",
    "//evil.test/cb",
    "callback",
    "https:",
    "https://",
    "https:///cb",
    "https:/evil.test/cb",
    "https:evil.test/cb",
    "http://client.test/cb",
    "http://10.0.0.1/cb",
    "http://127.0.0.2/cb",
    "http://127.1/cb",
    "http://0x7f000001/cb",
    "http://2130706433/cb",
    "http://0.0.0.0/cb",
    "http://localhost.evil.test/cb",
    "http://127.0.0.1.evil.test/cb",
    "http://evil-localhost/cb",
    "http://[::ffff:127.0.0.1]/cb",
    "https://client.test@evil.test/cb",
    "https://user:pass@client.test/cb",
    "https://client.test:80@evil.test/cb",
    "http://localhost:80@evil.test/cb",
    "http://evil.test@localhost/cb",
    "https://client.test\\@evil.test/cb",
    "https://client.test\\.evil.test/cb",
    "https:\\\\evil.test\\cb",
    "https://evil.test#@client.test/cb",
    "https://client.test/cb#",
    "https://client.test/cb#fragment",
    "https://*.client.test/cb",
    "https://client.test/*",
    "https://client.test/c b",
    "https://client.test/cb\n",
    "https://client.test/cb\r\nLocation: https://evil.test",
    "https://client.test/\tcb",
    "\thttps://client.test/cb",
    "https://client.test/cb\x00",
    "https://cliént.test/cb",
    "https://client\u3002test/cb",
    "https://client.test\uff0f.evil.test/cb",
    "https://client.test/\u202ebc",
    'https://client.test/"><script>',
    "https://client.test/cb|x",
    "https://client.test/{cb}",
    "https://client.test:port/cb",
    "https://client.test:99999/cb",
    "https://client.test:-1/cb",
    "https://[::1/cb",
    "https://[evil.test]/cb",
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "javascript://client.test/%0aalert(1)",
    "java%73cript:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "blob:https://client.test/x",
    "file:///etc/passwd",
    "about:blank",
    "filesystem:https://client.test/x",
    "view-source:https://client.test/",
    "ws://client.test/cb",
    "wss://client.test/cb",
    "ftp://client.test/cb",
    "mailto:a@client.test",
    "myapp:",
    "myapp:/",
    "myapp://",
    "1app://cb",
    "-app://cb",
    "my_app://cb",
    "https://client.test/" + "a" * 2048,
]


@pytest.mark.parametrize(("uri", "kind"), ACCEPTED)
def test_a_redirect_uri_is_accepted_as_what_it_is_rdu_01_c2(uri: str, kind: str) -> None:
    assert check_redirect_uri(uri) == kind
    assert redirect_kind(uri) == kind


@pytest.mark.parametrize("uri", HOSTILE)
def test_a_hostile_redirect_uri_is_refused_dcr_09_rdu_01_03_t21(uri: str) -> None:
    with pytest.raises(OAuthError) as caught:
        check_redirect_uri(uri)
    assert caught.value.code == INVALID_REDIRECT_URI
    assert len(caught.value.description) < 400


@pytest.mark.parametrize("uri", HOSTILE)
def test_a_hostile_redirect_uri_matches_no_registered_one_rdu_02_t21(uri: str) -> None:
    assert find_registered(tuple(registered for registered, _ in ACCEPTED), uri) is None


@pytest.mark.parametrize(
    ("registered", "requested"),
    [
        ("https://client.test/cb", "https://client.test/cb"),
        ("https://client.test", "https://client.test/"),
        ("https://client.test/", "https://client.test"),
        ("https://client.test?a=1", "https://client.test/?a=1"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:51234/cb"),
        ("http://127.0.0.1:1/cb", "http://127.0.0.1:2/cb"),
        ("http://127.0.0.1:1/cb", "http://127.0.0.1/cb"),
        ("http://localhost/cb", "http://localhost:8080/cb"),
        ("http://[::1]:1/cb", "http://[::1]:2/cb"),
        ("http://localhost:1", "http://localhost:2/"),
        ("http://localhost:1?a=1", "http://localhost:2?a=1"),
    ],
)
def test_port_of_loopback_and_empty_path_are_the_only_freedoms_rdu_04_05(registered: str, requested: str) -> None:
    assert match_redirect_uri(registered, requested)


@pytest.mark.parametrize(
    ("registered", "requested"),
    [
        ("https://client.test/cb", "https://client.test/cb/"),
        ("https://client.test/cb", "https://client.test/cb?x=1"),
        ("https://client.test/cb", "https://client.test/cb;x"),
        ("https://client.test/cb", "https://client.test/CB"),
        ("https://client.test/cb", "https://client.test/%63b"),
        ("https://client.test/cb", "https://client.test/x/../cb"),
        ("https://client.test/cb", "https://client.test:443/cb"),
        ("https://client.test/cb", "https://CLIENT.test/cb"),
        ("https://client.test/cb", "https://client-test/cb"),
        ("https://client.test/cb", "https://clientXtest/cb"),
        ("https://client.test/cb", "https://sub.client.test/cb"),
        ("https://client.test/cb", "https://client.test.evil.test/cb"),
        ("https://client.test/cb", "http://client.test/cb"),
        ("https://client.test:1/cb", "https://client.test:2/cb"),
        ("https://127.0.0.1:1/cb", "https://127.0.0.1:2/cb"),
        ("http://127.0.0.1/cb", "http://localhost/cb"),
        ("http://localhost/cb", "http://[::1]/cb"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:51234/cb2"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:51234/cb?x=1"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:51234@evil.test/cb"),
        ("http://127.0.0.1/cb", "http://user@127.0.0.1:51234/cb"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:999999/cb"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:51234"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:/cb:51234/cb"),
        ("cursor://mcp/cb", "cursor://mcp:1/cb"),
        ("com.example.app:/cb", "com.example.app:/cb/"),
    ],
)
def test_nothing_else_matches_rdu_02_06_t21_c3(registered: str, requested: str) -> None:
    assert not match_redirect_uri(registered, requested)


def test_the_registered_uri_that_matched_is_found() -> None:
    registered = ("https://client.test/cb", "http://127.0.0.1/cb")
    assert find_registered(registered, "http://127.0.0.1:7/cb") == "http://127.0.0.1/cb"
    assert find_registered((), "http://127.0.0.1:7/cb") is None


def test_parameters_are_appended_encoded_and_the_query_is_kept_authz_13() -> None:
    assert (
        add_parameters("https://h/cb", {"code": "a b&c", "iss": "https://i"})
        == "https://h/cb?code=a%20b%26c&iss=https%3A%2F%2Fi"
    )
    assert add_parameters("https://h/cb?x=1", {"state": "=é"}) == "https://h/cb?x=1&state=%3D%C3%A9"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://client.test:8443/cb", "client.test:8443"),
        ("http://127.0.0.1:7/cb", "127.0.0.1:7"),
        ("cursor://anysphere/cb", "cursor:"),
    ],
)
def test_a_person_is_shown_the_host_or_the_apps_scheme(uri: str, shown: str) -> None:
    assert display_host(uri) == shown


def test_only_plain_http_to_this_machine_is_loopback() -> None:
    assert is_loopback("http://localhost:1/cb")
    assert not is_loopback("https://localhost:1/cb")
    assert not is_loopback("http://localhost.evil.test/cb")
