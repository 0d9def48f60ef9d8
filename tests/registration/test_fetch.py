"""The only fetch of what strangers name: ways to lead it astray, and none of them leads anywhere.

Spec: T5; CIMD-06, CIMD-07, CIMD-11 … CIMD-13, DCR-20
"""

import asyncio
import gzip
import ipaddress
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpcore2
import pytest

from doorward import fetch
from doorward.fetch import FetchFailed, FetchRefused, GuardedFetcher
from tests.registration.site import HOST, Authority, Page, Site

LIMIT = 5120
LITERALS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0x7F.0x0.0x0.0x1",
    "017700000001",
    "0177.0.0.01",
    "127.0.0.1.",
    "0",
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "8.8.8.8",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::1]",
    "[2002:7f00:1::]",
    "[2001:0:4136:e378::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[5f00::1]",
    "[100::1]",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[::1%25lo]",
    "[fec0::1]",
    "[ff02::1]",
    "[2606:4700::1111]",
]
SPELLINGS = [
    "http://app.example/c",
    "ftp://app.example/c",
    "file:///etc/passwd",
    "gopher://app.example/c",
    "//app.example/c",
    "app.example/c",
    "",
    "https://",
    "https:///c",
    "https://user@app.example/c",
    "https://user:pw@app.example/c",
    "https://app.example@127.0.0.1/c",
    "https://@app.example/c",
    "https://app.example\\@127.0.0.1/c",
    "https://app.example\\c",
    "https://app.example/c\tx",
    "https://app.exa\nmple/c",
    " https://app.example/c",
    "https://app.example /c",
    "https://app.example/c\x00",
    "https://\u24d0pp.example/c",
    "https://app.example\uff0fc",
    "https://\uff11\uff12\uff17.0.0.1/c",
    "https://[::1/c",
    "https://::1/c",
    "https://app.example:80/c",
    "https://app.example:8443/c",
    "https://app.example:0/c",
    "https://app.example:99999/c",
    "https://app.example:-1/c",
    "https://app.example:4 43/c",
    "https://app.example/" + "a" * 2048,
]
PRIVATE = [
    ["127.0.0.1"],
    ["10.1.2.3"],
    ["169.254.169.254"],
    ["100.64.1.1"],
    ["192.0.0.8"],
    ["::1"],
    ["fe80::1%eth0"],
    ["::ffff:10.0.0.1"],
    ["64:ff9b::a00:1"],
    ["2002:a00:1::1"],
    ["93.184.215.14", "127.0.0.1"],
    ["2606:4700::1111", "fd00::1"],
    ["not an address"],
]


SPECIAL = [
    # IANA IPv4 Special-Purpose Address Registry, and multicast
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    # IANA IPv6 Special-Purpose Address Registry, multicast, and what was withdrawn but is still routed somewhere
    "::/96",
    "::ffff:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
]
PUBLIC = [
    "1.0.0.0",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2001:200::",
    "2003::",
    "2606:4700::1111",
    "2a00::1",
    "3ffe:ffff::1",
]


class Dials:
    """Every connection that anything tried to open, none of which was."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.addresses: list[str] = []
        monkeypatch.setattr(httpcore2.AnyIOBackend, "connect_tcp", self.connect)

    async def connect(self, host: str, *_: object) -> httpcore2.AsyncNetworkStream:
        self.addresses.append(host)
        raise httpcore2.ConnectError


@pytest.fixture
def dials(monkeypatch: pytest.MonkeyPatch) -> Dials:
    return Dials(monkeypatch)


def leading_to(*answers: list[str], **options: object) -> GuardedFetcher:
    """A fetcher whose names have these addresses, another set at every look-up, the last one for good."""
    left = list(answers)

    async def resolve(host: str, port: int) -> list[str]:
        del host, port
        return left.pop(0) if len(left) > 1 else left[0]

    return GuardedFetcher(resolve=resolve, **options)  # type: ignore[arg-type] # options as they are named there


def of_the_site(authority: Authority, **options: object) -> GuardedFetcher:
    return leading_to(["127.0.0.1"], allow_cidrs=["127.0.0.0/8"], trust=authority.trust, **options)


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[int, list[int]]]:
    """(port, connections so far) of a listener on every loopback address of this machine."""
    came: list[int] = []

    def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(1)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], came
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("literal", LITERALS)
async def test_the_address_of_a_machine_is_refused_in_every_spelling(dials: Dials, literal: str) -> None:
    for url in (f"https://{literal}/c", f"https://{literal}:443/c", f"https://{literal.upper()}/c"):
        with pytest.raises(FetchRefused):
            await leading_to(["127.0.0.1"]).get(url, max_bytes=LIMIT)
    assert dials.addresses == []


@pytest.mark.parametrize("url", SPELLINGS)
async def test_what_is_not_a_plain_https_address_is_refused(dials: Dials, url: str) -> None:
    with pytest.raises(FetchRefused):
        await leading_to(["93.184.215.14"]).get(url, max_bytes=LIMIT)
    assert dials.addresses == []


@pytest.mark.parametrize("addresses", PRIVATE, ids=str)
async def test_a_name_that_leads_inside_is_refused_even_with_one_of_many_cimd_11_t5(
    dials: Dials, addresses: list[str]
) -> None:
    for order in (addresses, addresses[::-1]):
        with pytest.raises(FetchRefused):
            await leading_to(order).get("https://app.example/c", max_bytes=LIMIT)
    assert dials.addresses == []


@pytest.mark.parametrize("special", SPECIAL)
async def test_no_address_of_any_special_range_is_reached_cimd_11_t5_c6(dials: Dials, special: str) -> None:
    network = ipaddress.ip_network(special)
    for address in {network[0], network[1], network[network.num_addresses // 2], network[-1]}:
        with pytest.raises(FetchRefused):
            await leading_to([str(address)]).get("https://app.example/c", max_bytes=LIMIT)
    assert dials.addresses == []


@pytest.mark.parametrize("address", PUBLIC)
async def test_an_address_beside_those_ranges_is(dials: Dials, address: str) -> None:
    with pytest.raises(FetchFailed):
        await leading_to([address]).get("https://app.example/c", max_bytes=LIMIT)
    assert dials.addresses == [address]


async def test_a_listener_on_this_machine_never_hears_of_it(authority: Authority) -> None:
    async with listening() as (port, came):
        for host in (*LITERALS[:12], "localhost", "app.example", "[::1]", "[::ffff:127.0.0.1]"):
            for fetcher in (leading_to(["127.0.0.1"]), leading_to(["127.0.0.1"], allow_cidrs=["10.0.0.0/8"])):
                with pytest.raises(FetchRefused):
                    await fetcher.get(f"https://{host}:{port}/c", max_bytes=LIMIT)
        assert came == []
        with pytest.raises(FetchFailed):  # and it would have heard
            await of_the_site(authority).get(f"https://{HOST}:{port}/c", max_bytes=LIMIT)
        assert came == [1]


async def test_a_name_that_changes_its_mind_is_asked_once_and_dialled_as_judged_cimd_12_t5(dials: Dials) -> None:
    fetcher = leading_to(["93.184.215.14"], ["127.0.0.1"])
    with pytest.raises(FetchFailed):
        await fetcher.get("https://app.example/c", max_bytes=LIMIT)
    with pytest.raises(FetchRefused):
        await fetcher.get("https://app.example/c", max_bytes=LIMIT)
    assert dials.addresses == ["93.184.215.14"]


async def test_an_address_of_this_very_machine_is_refused_though_public(
    dials: Dials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "_DENIED_V4", ())
    with pytest.raises(FetchRefused):
        await leading_to(["127.0.0.1"]).get("https://app.example/c", max_bytes=LIMIT)
    assert dials.addresses == []


@pytest.mark.parametrize("fault", [socket.gaierror(-2, "unknown"), TimeoutError(), UnicodeError("label too long")])
async def test_a_name_that_cannot_be_resolved_is_a_failure(dials: Dials, fault: Exception) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise fault

    with pytest.raises(FetchFailed, match="cannot be resolved"):
        await GuardedFetcher(resolve=resolve).get("https://app.example/c", max_bytes=LIMIT)
    with pytest.raises(FetchFailed, match="has no address"):
        await leading_to([]).get("https://app.example/c", max_bytes=LIMIT)
    assert dials.addresses == []


@pytest.mark.parametrize("name", ["a..example", f"{'a' * 64}.example", "-.example", "xn--a.example"])
async def test_a_name_that_no_name_can_be_is_a_failure(dials: Dials, name: str) -> None:
    with pytest.raises((FetchFailed, FetchRefused)):
        await GuardedFetcher().get(f"https://{name}/c", max_bytes=LIMIT)
    assert dials.addresses == []


async def test_what_is_served_is_fetched_whole(site: Site, authority: Authority) -> None:
    site.pages["/c"] = Page(b"x" * LIMIT, headers=(("X-Thing", "1"),))
    fetched = await of_the_site(authority).get(site.url("/c"), max_bytes=LIMIT)
    assert (fetched.status, fetched.body) == (200, b"x" * LIMIT)
    assert fetched.headers["x-thing"] == "1"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_told_and_never_followed_cimd_07(site: Site, authority: Authority, status: int) -> None:
    site.pages["/c"] = Page(status=status, headers=(("location", site.url("/other")),))
    site.pages["/other"] = Page(b'{"here": true}')
    fetched = await of_the_site(authority).get(site.url("/c"), max_bytes=LIMIT)
    assert fetched.status == status
    assert site.requests == ["/c"]


BOMB = gzip.compress(b"\0" * 2**20)
BAD_PAGES = {
    "too large": Page(b"x" * (LIMIT + 1)),
    "too large without a length": Page(raw=b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + b"x" * (LIMIT + 1)),
    "endless": Page(b"x" * 1000, endless=True),
    "gzip that says so": Page(BOMB, headers=(("content-encoding", "gzip"),)),
    "brotli": Page(b"x", headers=(("content-encoding", "br"),)),
    "gzip twice": Page(BOMB, headers=(("Content-Encoding", "gzip, gzip"),)),
    "large headers": Page(headers=tuple((f"x-{number}", "y" * 1000) for number in range(20))),
    "endless header": Page(raw=b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000),
    "nothing": Page(raw=b""),
    "not HTTP": Page(raw=b"SSH-2.0-OpenSSH\r\n\r\n"),
    "half an answer": Page(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"),
    "two lengths": Page(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx"),
    "bad chunks": Page(raw=b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nxx\r\n"),
}


@pytest.mark.parametrize("name", BAD_PAGES)
async def test_an_answer_beyond_the_caps_is_a_failure_cimd_13(site: Site, authority: Authority, name: str) -> None:
    site.pages["/c"] = BAD_PAGES[name]
    with pytest.raises(FetchFailed):
        await of_the_site(authority).get(site.url("/c"), max_bytes=LIMIT)


async def test_a_bomb_that_does_not_say_so_stays_packed(site: Site, authority: Authority) -> None:
    site.pages["/c"] = Page(BOMB)
    fetched = await of_the_site(authority).get(site.url("/c"), max_bytes=LIMIT)
    assert fetched.body == BOMB


@pytest.mark.parametrize(
    "page",
    [
        Page(raw=b"", silent=True),
        Page(raw=b"HTTP/1.1 200 OK\r\nx: y\r\n", silent=True),
        Page(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", silent=True),
    ],
    ids=["nothing", "headers", "body"],
)
async def test_an_answer_that_takes_too_long_is_a_failure_cimd_12(
    site: Site, authority: Authority, monkeypatch: pytest.MonkeyPatch, page: Page
) -> None:
    monkeypatch.setattr(fetch, "TOTAL_SECONDS", 0.3)
    site.pages["/c"] = page
    with pytest.raises(FetchFailed, match="did not answer within"):
        await of_the_site(authority).get(site.url("/c"), max_bytes=LIMIT)


async def test_a_resolver_that_takes_too_long_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "TOTAL_SECONDS", 0.1)

    async def resolve(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(FetchFailed, match="did not answer within"):
        await GuardedFetcher(resolve=resolve).get("https://app.example/c", max_bytes=LIMIT)


async def test_a_certificate_must_be_of_the_name_and_of_somebody_trusted(site: Site, authority: Authority) -> None:
    with pytest.raises(FetchFailed, match="could not be fetched"):
        await of_the_site(authority).get(site.url("/c", "stranger.example"), max_bytes=LIMIT)
    unknown = leading_to(["127.0.0.1"], allow_cidrs=["127.0.0.0/8"])
    with pytest.raises(FetchFailed, match="could not be fetched"):
        await unknown.get(site.url("/c"), max_bytes=LIMIT)
    assert site.requests == []


async def test_a_site_without_tls_is_a_failure(authority: Authority) -> None:
    async with listening() as (port, _):
        with pytest.raises(FetchFailed):
            await of_the_site(authority).get(f"https://{HOST}:{port}/c", max_bytes=LIMIT)


async def test_nobody_there_is_a_failure(authority: Authority, free_port: int) -> None:
    with pytest.raises(FetchFailed):
        await of_the_site(authority).get(f"https://{HOST}:{free_port}/c", max_bytes=LIMIT)


async def test_the_proxy_of_the_environment_is_not_used(
    site: Site, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening() as (port, came):
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        site.pages["/c"] = Page()
        assert (await of_the_site(authority).get(site.url("/c"), max_bytes=LIMIT)).status == 200
        assert came == []


async def test_behind_a_proxy_the_guard_holds_too_and_its_faults_are_failures(authority: Authority) -> None:
    async with listening() as (port, came):
        proxied = leading_to(["10.0.0.1"], proxy=f"http://127.0.0.1:{port}")
        with pytest.raises(FetchRefused):
            await proxied.get("https://app.example/c", max_bytes=LIMIT)
        assert came == []
        proxied = of_the_site(authority, proxy=f"http://127.0.0.1:{port}")
        with pytest.raises(FetchFailed):
            await proxied.get("https://app.example/c", max_bytes=LIMIT)
        assert came == [1]


async def test_a_proxy_that_refuses_is_a_failure(authority: Authority) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    try:
        proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(FetchFailed):
            await of_the_site(authority, proxy=proxy).get("https://app.example/c", max_bytes=LIMIT)
    finally:
        server.close()
        await server.wait_closed()
