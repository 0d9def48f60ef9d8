"""How a client's OAuth requests are sent, over real sockets, to servers that are up to no good.

Spec: CLI-04, CLI-05, ASM-22; T8
"""

import asyncio
import contextlib
import gzip
import ssl
from pathlib import Path

import anyio
import httpx2
import pytest

from doorward import __version__
from doorward.client.effects import MAX_ANSWER_BYTES, Answer
from doorward.client.errors import AddressRefused, AnswerRefused, ClientError, RedirectRefused, Unreachable
from doorward.client.transport import Sender
from tests.client.listening import Asked, Listener, Reply, has_ipv6, listening, redirect
from tests.client.sending import AS, MCP, SECRET, Pages, get, leading_to, post, sender
from tests.needs import require
from tests.registration.site import Authority

STATUSES = [301, 302, 303, 307, 308]


async def test_an_answer_comes_back_whole_with_every_field(pages: Pages, server: Listener) -> None:
    challenges = (("WWW-Authenticate", "Bearer"), ("www-authenticate", 'DPoP algs="ES256"'))
    pages.by_path["/x"] = Reply(b"x" * MAX_ANSWER_BYTES, 401, challenges)
    answer = await sender(server).send(get(server.url("/x?a=b%20c"), accept="application/json"))
    assert (answer.status, len(answer.body)) == (401, MAX_ANSWER_BYTES)
    assert answer.header_values("www-authenticate") == ["Bearer", 'DPoP algs="ES256"']
    assert answer.received_at > 1_700_000_000
    assert server.asked == [
        Asked(
            "GET",
            "/x?a=b%20c",
            {
                "host": f"127.0.0.1:{server.port}",
                "user-agent": f"Doorward/{__version__}",
                "accept": "application/json",
                "accept-encoding": "identity",
            },
            b"",
        )
    ]


async def test_a_body_is_sent_once_and_as_it_is(pages: Pages, server: Listener) -> None:
    pages.by_path["/token"] = Reply(b"{}", 400)
    assert (await sender(server).send(post(server.url("/token")))).status == 400
    assert [asked.body for asked in server.asked] == [f"refresh_token={SECRET}".encode()]


async def test_no_cookie_goes_back(pages: Pages, server: Listener) -> None:
    pages.by_path["/x"] = Reply(headers=(("set-cookie", "a=b; Path=/"),))
    one = sender(server)
    for _ in range(2):
        await one.send(get(server.url("/x")))
    assert [asked.headers.get("cookie") for asked in server.asked] == [None, None]


@pytest.mark.parametrize("status", STATUSES)
async def test_a_redirect_of_a_post_is_refused_and_the_body_is_sent_nowhere_else_t8(
    pages: Pages, server: Listener, other: Listener, status: int
) -> None:
    for location in (other.url("/token"), server.url("/other"), "/other", f"//127.0.0.1:{other.port}/token"):
        pages.by_path["/token"] = redirect(status, location)
        with pytest.raises(RedirectRefused) as refused:
            await sender(server).send(post(server.url("/token")))
        assert SECRET not in str(refused.value)
    assert other.connections == 0
    assert server.paths() == ["/token"] * 4


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("name", ["authorization", "Authorization", "cookie", "DPoP"])
async def test_a_redirect_of_a_get_with_credentials_is_refused_t8(
    pages: Pages, server: Listener, status: int, name: str
) -> None:
    pages.by_path["/x"] = redirect(status, "/y")
    with pytest.raises(RedirectRefused, match="carries secrets"):
        await sender(server).send(get(server.url("/x"), **{name: SECRET}))
    assert server.paths() == ["/x"]


@pytest.mark.parametrize("status", STATUSES)
async def test_a_redirect_of_a_plain_get_is_followed_inside_its_origin_cli_05(
    pages: Pages, server: Listener, status: int
) -> None:
    for location in ("/y?z", "y?z", "./y?z#fragment", server.url("/y?z"), f"//127.0.0.1:{server.port}/y?z"):
        server.asked.clear()
        pages.by_path["/x"] = redirect(status, location)
        pages.by_path["/y"] = Reply(b'{"found": true}')
        answer = await sender(server).send(get(server.url("/x"), accept="application/json"))
        assert answer.body == b'{"found": true}'
        assert [(asked.target, asked.headers["accept"]) for asked in server.asked] == [
            ("/x", "application/json"),
            ("/y?z", "application/json"),
        ]


@pytest.mark.parametrize("status", STATUSES)
async def test_a_redirect_to_another_origin_is_refused_and_only_its_origin_is_told_t8_cli_05(
    pages: Pages, server: Listener, other: Listener, status: int
) -> None:
    for origin in (
        other.origin,
        f"http://localhost:{server.port}",
        f"https://127.0.0.1:{server.port}",
        "https://evil.example",
    ):
        pages.by_path["/x"] = redirect(status, f"{origin}/y?code={SECRET}")
        with pytest.raises(RedirectRefused) as refused:
            await sender(server).send(get(server.url("/x")))
        assert str(refused.value) == (
            f"The token endpoint at {server.origin} redirects to {origin}, which is somewhere else. "
            "It was not followed."
        )
    pages.by_path["/x"] = redirect(status, f"//127.0.0.1:{other.port}/y")
    with pytest.raises(RedirectRefused):
        await sender(server).send(get(server.url("/x")))
    assert other.connections == 0
    assert set(server.paths()) == {"/x"}


@pytest.mark.parametrize(
    "location",
    [
        "",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:text/html,x",
        "\\\\evil.example/x",
        "/\\evil.example/x",
        "http://[::1/x",
        "https://user@evil.example/x",
        "http://169.254.169.254/latest/meta-data/",
        "/a b",
        "/\xe9",
        "http://127.0.0.1:99999/x",
    ],
)
async def test_a_redirect_that_can_be_read_in_two_ways_is_refused_t8(
    pages: Pages, server: Listener, location: str
) -> None:
    pages.by_path["/x"] = redirect(302, location)
    with pytest.raises(RedirectRefused):
        await sender(server).send(get(server.url("/x")))
    assert server.paths() == ["/x"]


async def test_a_redirect_with_userinfo_of_its_own_origin_is_refused(pages: Pages, server: Listener) -> None:
    pages.by_path["/x"] = redirect(302, f"http://me@127.0.0.1:{server.port}/y")
    with pytest.raises(AddressRefused):
        await sender(server).send(get(server.url("/x")))
    assert server.paths() == ["/x"]


async def test_two_locations_are_none(pages: Pages, server: Listener) -> None:
    pages.by_path["/x"] = Reply(b"", 302, (("location", "/y"), ("location", "/z")))
    with pytest.raises(RedirectRefused, match="without saying where to"):
        await sender(server).send(get(server.url("/x")))


async def test_redirects_end_after_the_third_cli_05(pages: Pages, server: Listener) -> None:
    for number in range(6):
        pages.by_path[f"/{number}"] = redirect(307, f"/{number + 1}")
    pages.by_path["/6"] = Reply(b"six")
    assert (await sender(server).send(get(server.url("/3")))).body == b"six"
    server.asked.clear()
    with pytest.raises(RedirectRefused, match="more than 3 times"):
        await sender(server).send(get(server.url("/2")))
    assert server.paths() == ["/2", "/3", "/4", "/5"]


async def test_other_answers_of_that_hundred_are_answers(pages: Pages, server: Listener) -> None:
    for status in (300, 304):
        pages.by_path["/x"] = Reply(b"", status, (("location", "/y"),))
        assert (await sender(server).send(get(server.url("/x")))).status == status


BOMB = gzip.compress(b"\0" * 2**20)
BEYOND = {
    "too large": Reply(b"x" * (MAX_ANSWER_BYTES + 1)),
    "too large without a length": Reply(
        raw=b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + b"x" * (MAX_ANSWER_BYTES + 1)
    ),
    "endless": Reply(b"x" * 65536, endless=True),
    "gzip": Reply(BOMB, headers=(("content-encoding", "gzip"),)),
    "brotli": Reply(b"x", headers=(("Content-Encoding", "br"),)),
    "gzip twice": Reply(BOMB, headers=(("content-encoding", "gzip"), ("content-encoding", "identity"))),
    "large headers": Reply(headers=tuple((f"x-{number}", "y" * 1000) for number in range(70))),
}
BROKEN = {
    "another protocol": Reply(
        raw=b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", silent=True
    ),
    "endless header": Reply(raw=b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000),
    "nothing": Reply(raw=b""),
    "not HTTP": Reply(raw=b"SSH-2.0-OpenSSH\r\n\r\n"),
    "half an answer": Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"),
    "two lengths": Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx"),
    "bad chunks": Reply(raw=b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nxx\r\n"),
}
SLOW = {
    "nothing": Reply(raw=b"", silent=True),
    "headers": Reply(raw=b"HTTP/1.1 200 OK\r\nx: y\r\n", silent=True),
    "body": Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", silent=True),
    "drop by drop": Reply(b"x", drip=True),
    "endless preludes": Reply(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", raw=b"", endless=True),
}


@pytest.mark.parametrize("name", BEYOND)
async def test_an_answer_beyond_the_caps_is_refused_t8(pages: Pages, server: Listener, name: str) -> None:
    pages.by_path["/x"] = BEYOND[name]
    with pytest.raises(AnswerRefused) as refused:
        await sender(server).send(get(server.url("/x")))
    assert type(refused.value) is AnswerRefused


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_answer_is_none(pages: Pages, server: Listener, name: str) -> None:
    pages.by_path["/x"] = BROKEN[name]
    with pytest.raises(Unreachable, match="could not be reached"):
        await sender(server).send(get(server.url("/x")))


@pytest.mark.parametrize("name", SLOW)
async def test_an_answer_that_takes_too_long_is_none(pages: Pages, server: Listener, name: str) -> None:
    pages.by_path["/x"] = SLOW[name]
    with pytest.raises(Unreachable, match="did not answer within"):
        await sender(server, seconds=0.3).send(get(server.url("/x")))


async def test_the_time_is_for_all_redirects_together(pages: Pages, server: Listener) -> None:
    pages.by_path["/x"] = redirect(302, "/y")
    pages.by_path["/y"] = Reply(raw=b"", silent=True)
    with pytest.raises(Unreachable, match="did not answer within"):
        await sender(server, seconds=2).send(get(server.url("/x")))
    assert server.paths() == ["/x", "/y"]


async def test_a_bomb_that_does_not_say_so_stays_packed(pages: Pages, server: Listener) -> None:
    pages.by_path["/x"] = Reply(BOMB)
    assert (await sender(server).send(get(server.url("/x")))).body == BOMB


async def test_a_login_that_is_given_up_leaves_no_connection(pages: Pages, server: Listener) -> None:
    pages.by_path["/x"] = Reply(b"x", drip=True)
    async with asyncio.timeout(20):
        task = asyncio.create_task(sender(server).send(get(server.url("/x"))))
        while not server.asked:
            await anyio.lowlevel.checkpoint()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert task.cancelled()


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\0b", "é", "a\x7f"])
async def test_what_an_answer_said_cannot_end_a_header(server: Listener, value: str) -> None:
    with pytest.raises(AnswerRefused) as refused:
        await sender(server).send(get(server.url("/x"), authorization=f"Bearer {value}"))
    assert value not in str(refused.value)
    assert server.connections == 0


async def test_an_address_that_must_not_be_contacted_is_not(server: Listener) -> None:
    public = Sender("https://mcp.example/mcp", resolve=leading_to("127.0.0.1"))
    for one, url in (
        (public, f"http://127.0.0.1:{server.port}/x"),
        (public, f"https://127.0.0.1:{server.port}/x"),
        (public, f"https://localhost:{server.port}/x"),
        (sender(server), "https://169.254.169.254/latest/meta-data/"),
        (sender(server), f"http://mcp.example:{server.port}/x"),
        (sender(server), "file:///etc/passwd"),
    ):
        with pytest.raises(AddressRefused):
            await one.send(get(url))
    assert server.connections == 0


async def test_an_address_of_ipv6_is_reached(pages: Pages) -> None:
    require("IPv6", available=has_ipv6(), reason="this machine has no loopback of IPv6")
    pages.by_path["/x"] = Reply()
    async with listening(pages, host="::1") as listener:
        assert (await sender(listener).send(get(listener.url("/x")))).status == 200
        assert listener.asked[0].headers["host"] == f"[::1]:{listener.port}"
        named = f"http://localhost:{listener.port}/x"
        assert (await Sender(named).send(get(named))).status == 200


async def test_the_proxy_of_the_environment_is_not_used_and_a_given_one_is(
    pages: Pages, server: Listener, authority: Authority, other: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, other.origin)
    pages.by_path["/x"] = Reply()
    assert (await sender(server).send(get(server.url("/x")))).status == 200
    assert other.connections == 0
    proxied = Sender(MCP, proxy=other.origin, resolve=leading_to("10.0.0.1"))
    with contextlib.suppress(Unreachable):
        await proxied.send(post(AS))
    assert [(asked.method, asked.target) for asked in other.asked][:1] == [("CONNECT", "as.example:443")]
    assert SECRET.encode() not in other.received


async def test_a_given_transport_is_kept_within_the_same_rules_t8() -> None:
    seen: list[str] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append(str(request.url))
        if request.url.path == "/large":
            return httpx2.Response(200, content=b"x" * (MAX_ANSWER_BYTES + 1))
        if request.url.path == "/fault":
            raise httpx2.ReadTimeout("x")
        if request.url.path == "/moved":
            return httpx2.Response(307, headers={"location": "https://evil.example/token"})
        return httpx2.Response(200, json={"a": 1})

    one = Sender(MCP, transport=httpx2.MockTransport(handle))
    answer = await one.send(get("https://as.example/x"))
    assert answer == Answer(200, answer.headers, b'{"a":1}', answer.received_at)
    for path, error in (("/large", AnswerRefused), ("/fault", Unreachable), ("/moved", RedirectRefused)):
        with pytest.raises(error):
            await one.send(post(f"https://as.example{path}"))
    with pytest.raises(AddressRefused):
        await one.send(get("https://127.0.0.1/x"))
    assert seen == [f"https://as.example{path}" for path in ("/x", "/large", "/fault", "/moved")]


async def test_no_error_tells_a_secret(pages: Pages, server: Listener, authority: Authority, tmp_path: Path) -> None:
    """Neither its text, nor what it was raised from, nor the effect in a log."""
    pages.by_path |= {"/token": redirect(307, f"https://evil.example/?{SECRET}"), "/broken": Reply(raw=b"junk\r\n\r\n")}
    effect = post(server.url(f"/token?x={SECRET}"))
    for one in (effect, post(server.url(f"/broken?x={SECRET}")), post(f"http://127.0.0.1:1/{SECRET}")):
        with pytest.raises(ClientError) as raised:
            await sender(server).send(one)
        told: BaseException | None = raised.value
        while told is not None:
            assert SECRET not in f"{told} {told!r}"
            told = told.__cause__
    assert "refresh_token" not in repr(effect)


def test_one_sender_serves_several_event_loops(authority: Authority) -> None:
    assert ssl.HAS_TLSv1_2
    one = Sender(MCP, transport=None, resolve=leading_to())
    for _ in range(2):
        with pytest.raises(Unreachable):
            anyio.run(one.send, get(AS))
