"""doorward.oauth.resources: one key for each resource, however it is spelled."""

import pytest

from doorward.oauth.errors import INVALID_TARGET, OAuthError
from doorward.oauth.resources import match_key, parse_resource, same_resource


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("https://h", "https://h/"),
        ("https://h/mcp", "https://h/mcp/"),
        ("https://H.Test/mcp", "https://h.test/mcp"),
        ("HTTPS://h/mcp", "https://h/mcp"),
        ("https://h:443/mcp", "https://h/mcp"),
        ("http://h:80", "http://h"),
        ("https://[::1]:443/mcp", "https://[::1]/mcp"),
        ("https://h/mcp?a=1", "https://h/mcp?a=1"),
        ("urn:example:api", "urn:example:api"),
    ],
)
def test_spellings_of_one_resource_are_the_same_res_11_c15(left: str, right: str) -> None:
    assert same_resource(left, right)
    assert same_resource(right, left)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("https://h/mcp", "https://h"),
        ("https://h/mcp", "https://h/mcp2"),
        ("https://h/mcp", "https://h/mcp/x"),
        ("https://h/mcp", "https://h/MCP"),
        ("https://h/mcp", "https://h/mcp//"),
        ("https://h/mcp", "https://h//mcp"),
        ("https://h/mcp", "https://h/./mcp"),
        ("https://h/mcp", "https://h/%6dcp"),
        ("https://h/mcp", "http://h/mcp"),
        ("https://h/mcp", "https://h:8443/mcp"),
        ("https://h/mcp", "https://h/mcp?a=1"),
        ("https://h/mcp", "https://h/mcp?"),
        ("https://h/mcp", "https://h/mcp#x"),
        ("https://h/mcp", "https://user@h/mcp"),
        ("https://h/mcp", "https://h.evil.test/mcp"),
        ("https://h/mcp", "https://h/mcp\n"),
        ("https://h/mcp", "https://h/m\tcp"),
        ("https://h/mcp", "https://[::1"),
        ("https://h/mcp", "https://h:port/mcp"),
        ("https://h/mcp", ""),
        ("urn:example:api", "URN:example:api"),
    ],
)
def test_what_only_looks_alike_is_another_resource_res_11(left: str, right: str) -> None:
    assert not same_resource(left, right)
    assert not same_resource(right, left)


@pytest.mark.parametrize(
    "uri",
    ["https://h", "https://h/mcp/", "https://H/mcp?tenant=a%20b", "http://127.0.0.1:8400/demo/mcp", "https://[::1]/"],
)
def test_a_resource_comes_back_as_it_was_spelled_res_03(uri: str) -> None:
    assert parse_resource(uri) == uri


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "mcp",
        "/mcp",
        "//h/mcp",
        "https://",
        "https:///mcp",
        "https:h",
        "ftp://h/mcp",
        "urn:example:api",
        "javascript:alert(1)",
        "https://h/mcp#",
        "https://h/mcp#x",
        "https://user@h/mcp",
        "https://user:pass@h/mcp",
        "https://h/m cp",
        "https://h/mcp\n",
        "https://h\\@evil.test/mcp",
        'https://h/"mcp',
        "https://h/<mcp>",
        "https://h/mcp\x00",
        "https://h/é",
        "https://h:port/mcp",
        "https://h:99999/mcp",
        "https://[::1/mcp",
        "https://h/" + "a" * 2048,
    ],
)
def test_what_cannot_name_a_resource_is_invalid_target_res_03(uri: str) -> None:
    with pytest.raises(OAuthError) as caught:
        parse_resource(uri)
    assert caught.value.code == INVALID_TARGET


def test_the_key_keeps_path_and_query() -> None:
    assert match_key("HTTPS://H:443/Mcp/?A=1") == "https://h/Mcp?A=1"
    assert match_key("http://[::1]:8400/mcp") == "http://[::1]:8400/mcp"
