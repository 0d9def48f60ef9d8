"""What a client may contact and what it may open: every address of a login was chosen by somebody else.

Spec: CLI-04, CLI-05, AUTHZ-16; T11
"""

import ipaddress

import pytest

from doorward.client.addresses import (
    check_browsable,
    check_contactable,
    check_server_url,
    is_inside_host,
    may_be_reached,
    same_origin,
)
from doorward.client.errors import AddressRefused

PUBLIC = "https://mcp.example.com/mcp"
LOOPBACK = "http://127.0.0.1:8000/mcp"
PRIVATE = "https://192.168.1.20/mcp"
NOBODYS = [
    "",
    "https://",
    "https:///token",
    "//as.example/token",
    "as.example/token",
    "/token",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "data:text/html,x",
    "ftp://as.example/token",
    "ws://as.example/token",
    "https+unix://as.example/token",
    "https:as.example/token",
    "https:/as.example/token",
    "https://user@as.example/token",
    "https://user:pw@as.example/token",
    "https://@as.example/token",
    "https://as.example#@evil.example/token",
    "https://as.example/token#x",
    "https://as.example/token#",
    "https://as.example\\@evil.example/token",
    "https://as.example\\token",
    "https://as.example/\ttoken",
    "https://as.exa\nmple/token",
    "https://as.example/token\r\nx-evil: 1",
    " https://as.example/token",
    "https://as.example /token",
    "https://as.example/token\x00",
    "https://ⓐs.example/token",
    "https://as.example\uff0ftoken",
    "https://\u0430s.example/token",
    "https://as%2eexample/token",
    "https://[::1/token",
    "https://::1/token",
    "https://[fe80::1%25eth0]/token",
    "https://as.example:0/token",
    "https://as.example:99999/token",
    "https://as.example:-1/token",
    "https://as.example:4 43/token",
    "https://as.example:443:443/token",
    "https://as.example,evil.example/token",
    "https://as.example/" + "a" * 2048,
]
TWO_READINGS = [
    "https://2130706433/x",
    "https://0x7f000001/x",
    "https://0177.0.0.1/x",
    "https://127.1/x",
    "https://0x7f.1/x",
    "https://8.8.8.8./x",
    "https://0/x",
]
NOBODYS_MACHINE = [
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "0.0.0.0",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:a9fe:a9fe]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "224.0.0.1",
    "255.255.255.255",
    "[ff02::1]",
    "192.0.2.1",
]
INSIDE = [
    "127.0.0.1",
    "127.9.9.9",
    "[::1]",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "198.18.0.9",
    "[fd12:3456::1]",
]


@pytest.mark.parametrize("url", NOBODYS)
def test_what_is_no_plain_web_address_is_neither_contacted_nor_opened_nor_a_server_cli_05_authz_16_t11(
    url: str,
) -> None:
    for server_url in (PUBLIC, LOOPBACK):
        with pytest.raises(AddressRefused):
            check_contactable(url, what="the token endpoint", server_url=server_url)
    for loopback_http in (False, True):
        with pytest.raises(AddressRefused):
            check_browsable(url, loopback_http=loopback_http)
    with pytest.raises(AddressRefused):
        check_server_url(url)


@pytest.mark.parametrize("url", TWO_READINGS)
def test_a_host_that_can_be_read_in_two_ways_is_refused_cli_05(url: str) -> None:
    for server_url in (PUBLIC, LOOPBACK, PRIVATE):
        with pytest.raises(AddressRefused):
            check_contactable(url, what="the token endpoint", server_url=server_url)
    with pytest.raises(AddressRefused):
        check_browsable(url)
    with pytest.raises(AddressRefused):
        check_server_url(url)


@pytest.mark.parametrize("host", NOBODYS_MACHINE)
def test_an_address_that_is_no_servers_is_refused_to_everybody_cli_05(host: str) -> None:
    for server_url in (PUBLIC, LOOPBACK, PRIVATE, f"https://{host}/mcp"):
        with pytest.raises(AddressRefused):
            check_contactable(f"https://{host}/x", what="the token endpoint", server_url=server_url)
    with pytest.raises(AddressRefused):
        check_browsable(f"https://{host}/x", loopback_http=True)
    with pytest.raises(AddressRefused):
        check_server_url(f"https://{host}/x")


@pytest.mark.parametrize("host", [*INSIDE, "localhost", "localhost.", "as.localhost"])
def test_a_server_of_the_internet_leads_nowhere_inside_cli_04_cli_05(host: str) -> None:
    for server_url in (PUBLIC, "https://8.8.8.8/mcp"):
        with pytest.raises(AddressRefused, match="has no business in"):
            check_contactable(f"https://{host}/x", what="the token endpoint", server_url=server_url)


@pytest.mark.parametrize("host", [*INSIDE, "localhost", "as.example"])
def test_a_server_inside_may_lead_inside_and_out_cli_05(host: str) -> None:
    for server_url in (LOOPBACK, PRIVATE, "https://intranet/mcp", "https://mcp.home.arpa/mcp"):
        check_contactable(f"https://{host}:8443/x?y=z", what="the token endpoint", server_url=server_url)


def test_http_is_for_this_machine_alone_and_only_where_the_server_is_on_it_cli_05() -> None:
    for host in ("127.0.0.1:9000", "localhost:9000", "[::1]:9000", "LOCALHOST"):
        check_contactable(f"http://{host}/x", what="the issuer", server_url=LOOPBACK)
        check_server_url(f"http://{host}/x")
        check_browsable(f"http://{host}/x", loopback_http=True)
        with pytest.raises(AddressRefused, match="is not https"):
            check_browsable(f"http://{host}/x")
        for server_url in (PUBLIC, PRIVATE):
            with pytest.raises(AddressRefused):
                check_contactable(f"http://{host}/x", what="the issuer", server_url=server_url)
    for host in ("as.example", "192.168.0.1", "127.0.0.2", "localhost.evil.example", "127.0.0.1.evil.example"):
        with pytest.raises(AddressRefused):
            check_contactable(f"http://{host}/x", what="the issuer", server_url=LOOPBACK)
        with pytest.raises(AddressRefused):
            check_server_url(f"http://{host}/x")
        with pytest.raises(AddressRefused):
            check_browsable(f"http://{host}/x", loopback_http=True)


@pytest.mark.parametrize(
    "url", ["https://mcp.example.com", "https://mcp.example.com/mcp?a=b", "https://10.0.0.1/mcp", LOOPBACK, PRIVATE]
)
def test_the_server_itself_may_be_wherever_its_person_says(url: str) -> None:
    check_server_url(url)
    check_contactable(url, what="the server", server_url=url)


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/$(touch x)",
        "https://a.example/`touch x`",
        "https://a.example/authorize;calc.exe",
        "https://a.example/authorize|calc.exe",
        'https://a.example/authorize"&calc.exe',
        "https://a.example/authorize'x",
        "https://a.example/%PATH%",
        "https://a.example/%!x",
        "https://a.example/^x",
        "https://a.example/<script>",
        "https://a.example/{x,y}",
        "https://a.example/*",
        "--new-window https://a.example/",
        "https://a.example/authorize?x=$(touch%20x)",
    ],
)
def test_what_a_shell_would_read_as_more_than_an_address_is_not_opened_t11_authz_16(url: str) -> None:
    with pytest.raises(AddressRefused):
        check_browsable(url, loopback_http=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://login.example.com/tenant_1.example/B2C~x/oauth2/v2.0/authorize?p=a&b=c%20d",
        "https://login.example.com:8443/authorize",
        "https://192.168.1.20/authorize",
        "https://login.example.com/authorize?" + "&".join(f"p{number}=" + "x" * 100 for number in range(40)),
    ],
)
def test_an_ordinary_page_to_sign_in_at_is_opened_authz_16(url: str) -> None:
    check_browsable(url)


def test_an_error_tells_the_address_in_characters_that_are_safe_to_print() -> None:
    with pytest.raises(AddressRefused) as refused:
        check_contactable("https://as.example/\x1b[2J\n\u202e", what="the token endpoint", server_url=PUBLIC)
    assert str(refused.value) == (
        "The token endpoint, https://as.example/?[2J??, is not a plain http or https address. It was not contacted."
    )


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("https://a.example/x", "https://a.example/y?z", True),
        ("https://a.example", "HTTPS://A.EXAMPLE:443/x", True),
        ("http://127.0.0.1:80/", "http://127.0.0.1", True),
        ("https://a.example", "http://a.example", False),
        ("https://a.example", "https://a.example:8443", False),
        ("https://a.example", "https://b.a.example", False),
        ("https://a.example", "https://a.example.", False),
        ("http://localhost", "http://127.0.0.1", False),
    ],
)
def test_an_origin_is_scheme_host_and_port_t8(left: str, right: str, *, same: bool) -> None:
    assert same_origin(left, right) is same
    assert same_origin(right, left) is same


def test_an_error_tells_no_password() -> None:
    with pytest.raises(AddressRefused) as refused:
        check_server_url("https://ada:hush@mcp.example/mcp")
    assert "https://***@mcp.example/mcp" in str(refused.value)
    assert "hush" not in str(refused.value)


def test_which_hosts_are_inside_by_their_text() -> None:
    inside = ["localhost", "127.0.0.1", "::1", "10.0.0.1", "fd00::1", "printer", "nas.local", "git.internal"]
    assert [host for host in inside if not is_inside_host(host)] == []
    outside = ["a.example", "8.8.8.8", "2606:4700::1111", "local.example", "169.254.169.254", "x.locals"]
    assert [host for host in outside if is_inside_host(host)] == []


def test_a_translated_address_is_judged_by_what_is_behind_it_cli_05() -> None:
    def judged(text: str) -> bool:
        return may_be_reached(ipaddress.ip_address(text), chosen=True, inside=True)

    assert judged("64:ff9b::808:808")
    assert not judged("64:ff9b::a00:1")
    assert not judged("64:ff9b::a9fe:a9fe")
