"""Whom a server answers, and whom it believes about where a request comes from (T46, rebinding)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from doorward.manage import connections
from tests.inside import Door, open_door
from tests.server.steps import REGISTER, WEB_REDIRECT

METADATA = "/.well-known/oauth-authorization-server"


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Door]:
    """A server on this machine, as `doorward up` starts it."""
    async with open_door(tmp_path / "data", issuer="http://127.0.0.1:8400") as opened:
        yield opened


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8400", "localhost:8400", "LOCALHOST", "[::1]:8400", "127.0.0.1", "127.9.9.9"]
)
async def test_a_server_on_this_machine_answers_names_of_this_machine(local: Door, host: str) -> None:
    assert (await local.call("GET", METADATA, headers={"host": host})).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.test",
        "evil.test:8400",
        "127.0.0.1.evil.test",
        "localhost.evil.test",
        "",
        "[",
        "[::1",
        "a b",
        "192.168.0.1",
    ],
)
@pytest.mark.parametrize("path", [METADATA, "/", "/login", "/api/oauth/token", "/livez"])
async def test_and_no_other_so_that_no_web_page_can_rebind_its_way_in(local: Door, host: str, path: str) -> None:
    answer = await local.call("GET", path, headers={"host": host})
    assert (answer.status, answer.json()) == (421, {"error": "misdirected_request"})


async def test_a_public_server_answers_whatever_name_its_proxy_uses(door: Door) -> None:
    answer = await door.call("GET", METADATA, headers={"host": "internal:8400"})
    assert answer.status == 200


@pytest.mark.parametrize("name", ["host", "content-length"])
async def test_a_header_that_two_readers_could_read_differently_is_refused_t47(door: Door, name: str) -> None:
    headers = [("host", "auth.example.com"), (name, "1"), (name, "2")]
    assert (await door.call("POST", REGISTER, b"{}", headers)).status == 400


async def source_counted(door: Door, peer: str, forwarded: list[str]) -> str:
    """The source that a registration was recorded for."""
    body = f'{{"redirect_uris": ["{WEB_REDIRECT}"]}}'.encode()
    headers = [("content-type", "application/json"), *(("x-forwarded-for", value) for value in forwarded)]
    assert (await door.call("POST", REGISTER, body, headers, source=peer)).status == 201
    events = await connections.recent_events(door.operator, door.project)
    return next(event.actor for event in events if event.action == "client.registered").removeprefix("source:")


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "source"),
    [
        ((), "10.0.0.1", ["198.51.100.7"], "10.0.0.1"),
        (("10.0.0.0/8",), "10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        (("10.0.0.0/8",), "10.0.0.1", ["203.0.113.1, 198.51.100.7"], "198.51.100.7"),
        (("10.0.0.0/8",), "10.0.0.1", ["203.0.113.1", "198.51.100.7"], "198.51.100.7"),
        (("10.0.0.0/8",), "10.0.0.1", ["198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        (("10.0.0.0/8",), "203.0.113.5", ["198.51.100.7"], "203.0.113.5"),
        (("10.0.0.0/8",), "10.0.0.1", [], "10.0.0.1"),
        (("10.0.0.0/8",), "10.0.0.1", ["nonsense"], "unknown"),
        (("10.0.0.0/8",), "10.0.0.1", [""], "unknown"),
        (("10.0.0.1",), "10.0.0.1", ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
        ((), "2001:db8:1:2::9", [], "2001:db8:1:2::/64"),
        ((), "::ffff:198.51.100.7", [], "198.51.100.7"),
    ],
)
async def test_only_a_trusted_proxy_says_where_a_request_comes_from_t46(
    tmp_path: Path, trusted: tuple[str, ...], peer: str, forwarded: list[str], source: str
) -> None:
    async with open_door(tmp_path / "data", trusted_proxies=trusted) as door:
        assert await source_counted(door, peer, forwarded) == source
