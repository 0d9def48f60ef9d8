"""Client ids that lead astray: each ends in a clear page, and none opens a connection to an address that is refused.

Asked at the authorization endpoint, as an attacker would; a listener on this machine is the witness.

Spec: T5; CIMD-03, CIMD-06, CIMD-07, CIMD-09, CIMD-11 … CIMD-13, CIMD-16
"""

import asyncio
import contextlib
import gzip
import socket
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from doorward import fetch
from doorward.app import Doorward
from doorward.fetch import FetchFailed, GuardedFetcher
from doorward.server.document_source import DocumentSource
from tests.inside import Door
from tests.registration.site import HOST, Authority, Page, Site
from tests.registration.steps import APP_REDIRECT, told
from tests.registration.test_fetch import BAD_PAGES, LITERALS, PRIVATE, listening

INSIDE = "127.0.0.2"
"""Where the witness listens: loopback, and none of the addresses that are allowed."""
BOMB = b"\0" * 2**20
SITE_PAGES = {
    **BAD_PAGES,
    **{
        f"redirect {status}": Page(status=status, headers=(("location", "https://inside.example/"),))
        for status in (301, 302, 303, 307, 308)
    },
    **{f"status {status}": Page(status=status) for status in (201, 203, 204, 206, 304, 400, 401, 403, 404, 500, 503)},
    "deflate": Page(zlib.compress(BOMB), headers=(("content-encoding", "deflate"),)),
    "gzip without a word": Page(gzip.compress(BOMB)),
    "html": Page(media="text/html"),
    "text": Page(media="text/plain"),
    "javascript": Page(media="text/javascript"),
    "no type": Page(media=""),
    "slow head": Page(raw=b"HTTP/1.1 200 OK\r\nx: y\r\n", silent=True),
    "slow body": Page(
        raw=b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{", silent=True
    ),
    "silence": Page(raw=b"", silent=True),
    "a list": Page(b"[]"),
    "no JSON": Page(b"{"),
    "a key that is secret": Page(b'{"client_id": "x", "client_secret": "x"}'),
}
HOSTILE = [
    *(f"https://{literal}:{{port}}/client.json" for literal in LITERALS),
    *(f"https://name-{number}.example:{{port}}/client.json" for number in range(len(PRIVATE))),
    "https://inside.example:{port}/client.json",
    "https://localhost:{port}/client.json",
    "https://inside.example:22/client.json",
    "https://app.example@inside.example:{port}/client.json",
    "https://inside.example:{port}/a/../client.json",
    "https://inside.example:{port}/%2e%2e/client.json",
    "https://inside.example:{port}\\@app.example/client.json",
    "https://inside.example:{port}#.app.example/client.json",
]


class Witness:
    """Everybody who came to an address that is refused."""

    def __init__(self) -> None:
        self.came = 0
        self.port = 0
        self.lookups: list[str] = []

    def accept(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came += 1
        writer.close()

    async def resolve(self, host: str, port: int) -> list[str]:
        """What a name leads to; `rebinding.example` leads inside from the second look-up on."""
        del port
        self.lookups.append(host)
        if host.startswith("name-"):
            return PRIVATE[int(host.partition("-")[2].partition(".")[0])]
        if host == "rebinding.example":
            return ["127.0.0.1"] if self.lookups.count(host) == 1 else [INSIDE]
        return ["127.0.0.1"] if host == HOST else [INSIDE]


@pytest.fixture
async def witness(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Witness]:
    """A listener on the port that https has in this test, at every loopback address but the site's own."""
    seen = Witness()
    server = await asyncio.start_server(seen.accept, INSIDE, 0)
    seen.port = server.sockets[0].getsockname()[1]
    others = []
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with contextlib.suppress(OSError):  # a machine may have no IPv6
            others.append(await asyncio.start_server(seen.accept, address, seen.port, family=family))
    monkeypatch.setattr(fetch, "HTTPS_PORT", seen.port)
    monkeypatch.setattr(fetch, "TOTAL_SECONDS", 0.5)
    try:
        yield seen
    finally:
        for listener in (server, *others):
            listener.close()
            await listener.wait_closed()


def guarded(door: Door, authority: Authority, witness: Witness, *allowed: str) -> Door:
    """The server with its guard as it is, but for the addresses that are allowed."""
    fetcher = GuardedFetcher(allow_cidrs=allowed, trust=authority.trust, resolve=witness.resolve)
    source = DocumentSource(fetcher, door.clock, max_bytes=door.context.settings.cimd.max_bytes)
    door.context = replace(door.context, documents=source)
    door.app = Doorward(door.context)
    return door


async def ask(door: Door, client_id: str) -> str:
    """What the page says, which leads nowhere."""
    door.clock.advance(seconds=60)  # past the limits of a source and of a host
    answer = await door.call("GET", door.authorization_url(client_id, "v" * 43, redirect_uri=APP_REDIRECT))
    return told(answer)


def test_there_are_more_than_sixty_of_them() -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) >= 60
    assert len(SITE_PAGES) >= 30


async def test_a_client_id_that_leads_inside_ends_in_a_page_and_nobody_is_called_cimd_11_cimd_16_t5(
    door: Door, witness: Witness, authority: Authority
) -> None:
    guarded(door, authority, witness)
    for url in (template.format(port=witness.port) for template in HOSTILE):
        text = await ask(door, url)
        assert "This app's description could not be" in text, url
        assert url in text
    assert witness.came == 0
    allowing = GuardedFetcher(allow_cidrs=[f"{INSIDE}/32"], trust=authority.trust, resolve=witness.resolve)
    with pytest.raises(FetchFailed):
        await allowing.get(f"https://inside.example:{witness.port}/client.json", max_bytes=5120)
    assert witness.came == 1  # it would have heard of the others


async def test_a_name_that_leads_inside_at_the_second_look_is_looked_up_once(
    door: Door, witness: Witness, authority: Authority
) -> None:
    guarded(door, authority, witness, "127.0.0.1/32")
    async with listening() as (port, judged):
        client_id = f"https://rebinding.example:{port}/client.json"
        assert client_id in await ask(door, client_id)
        assert (len(judged), witness.came, witness.lookups) == (1, 0, ["rebinding.example"])
        assert "must not be reached" in await ask(door, client_id)
        assert (len(judged), witness.came) == (1, 0)


@pytest.mark.parametrize("name", SITE_PAGES)
async def test_a_site_that_answers_badly_ends_in_a_page_and_leads_nobody_inside_cimd_06_07_09(
    door: Door, site: Site, witness: Witness, authority: Authority, name: str
) -> None:
    guarded(door, authority, witness, "127.0.0.1/32")
    client_id = site.publish()
    page, right = SITE_PAGES[name], site.pages["/client.json"].body
    # What is wrong is the answer around it: the document itself is the right one wherever there is room for one.
    site.pages["/client.json"] = replace(page, body=right) if page.body == b"{}" else page
    text = await ask(door, client_id)
    assert "This app's description could not be" in text
    assert client_id in text
    assert site.requests == ["/client.json"]
    assert (witness.came, witness.lookups) == (0, [HOST])
