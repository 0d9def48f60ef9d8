"""The listener that a browser comes back to: one answer gets in, everything else is answered and forgotten."""

import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest

from doorward.client import listener as module
from doorward.client.callback import MAX_HEAD_BYTES
from doorward.client.errors import AccessDenied
from doorward.client.listener import LoopbackListener, listen, own_ports
from tests.client.wire import PATIENCE_SECONDS, exchange, raw_request, visit
from tests.waiting import until

STATE = "Zm9yIHRoaXMgb25l"
GOOD = f"code=c%2F1&state={STATE}&iss=https%3A%2F%2Fas.example.com"


@dataclass
class Waiting:
    """A login that waits for its answer."""

    listener: LoopbackListener
    queries: list[str] = field(default_factory=list)

    @property
    def uri(self) -> str:
        return self.listener.redirect_uri

    async def is_waiting(self) -> bool:
        return self.listener._state is not None

    async def answered(self) -> str:
        async def there() -> bool:
            return bool(self.queries)

        await until(there, seconds=PATIENCE_SECONDS)
        return self.queries[0]


@asynccontextmanager
async def waiting(ports: tuple[int, ...] = ()) -> AsyncIterator[Waiting]:
    async with listen(ports) as listener, anyio.create_task_group() as tasks:
        login = Waiting(listener)

        async def wait() -> None:
            login.queries.append(await listener.wait(STATE))

        tasks.start_soon(wait)
        await until(login.is_waiting)
        yield login
        tasks.cancel_scope.cancel()


async def test_the_answer_with_the_state_arrives_undecoded_and_the_page_says_to_close_it_authz_17_authz_18() -> None:
    async with waiting() as login:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/callback", login.uri)
        answer = await visit(login.uri, GOOD)
        assert answer.status == 200
        assert "You can close this page." in answer.text
        assert await login.answered() == GOOD


async def test_the_page_holds_nothing_of_the_answer_and_loads_nothing_iss_07_rdu_09() -> None:
    async with waiting() as login:
        query = f"error=%3Cb%3Eoops&error_description=call+555&next=https://evil.example&state={STATE}"
        answer = await visit(login.uri, query)
        assert answer.status == 200
        assert not any(word in answer.text for word in ("oops", "555", "evil", STATE))
        assert "location" not in answer.headers
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert re.findall(r"(?:src|href|action)\s*=\s*[\"']?([^\"'\s>]*)", answer.text) == ["data:,"]
        assert "prefers-color-scheme:dark" in answer.text


@pytest.mark.parametrize(
    "query",
    [
        "code=stolen&state=another",
        "code=stolen",
        "error=access_denied&error_description=words-of-somebody&state=another",
        f"code=stolen&state={STATE}&state={STATE}",
        f"code=stolen&state={STATE}&state=another",
        f"code=stolen&State={STATE}",
        f"code=stolen&state={STATE}%00",
        "",
        "&".join(f"n{number}=1" for number in range(100)) + f"&state={STATE}",
    ],
)
async def test_an_answer_with_another_state_is_refused_and_the_wait_goes_on_authz_17_iss_07_t36(query: str) -> None:
    async with waiting() as login:
        answer = await visit(login.uri, query)
        assert answer.status == 400
        assert "words-of-somebody" not in answer.text
        assert login.queries == []
        assert (await visit(login.uri, GOOD)).status == 200
        assert await login.answered() == GOOD
        assert login.listener.foreign == 1


async def test_a_state_is_good_for_one_answer_authz_17() -> None:
    async with waiting() as login:
        assert (await visit(login.uri, GOOD)).status == 200
        assert await login.answered() == GOOD
        assert (await visit(login.uri, GOOD)).status == 200, "the same page, loaded again"
        assert (await visit(login.uri, f"code=other&state={STATE}")).status == 400
        assert login.queries == [GOOD]


async def test_an_answer_before_anybody_waits_is_refused_t36() -> None:
    async with listen() as listener:
        assert (await visit(listener.redirect_uri, GOOD)).status == 400
        assert (await visit(listener.redirect_uri, "code=c&state=None")).status == 400
        assert (await visit(listener.redirect_uri, "code=c&state=")).status == 400


async def test_head_is_answered_without_a_page_and_ends_nothing() -> None:
    async with waiting() as login:
        answer = await visit(login.uri, GOOD, method="HEAD")
        assert (answer.status, answer.text) == (200, "")
        assert login.queries == []


@pytest.mark.parametrize(
    "path", ["/", "/favicon.ico", "/callback/", "/Callback", "/callback%2F", "//callback", "/x?/callback"]
)
async def test_every_other_address_is_not_found(path: str) -> None:
    async with waiting() as login:
        assert (await visit(login.uri, GOOD, path=path)).status == 404
        assert login.queries == []


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:{other}",
        "127.0.0.1:{port}.evil.example",
        "0.0.0.0:{port}",
        "",
        "[::]:{port}",
    ],
)
async def test_a_host_that_is_not_this_listener_is_refused(host: str) -> None:
    async with waiting() as login:
        port = login.listener.port
        field = host.format(port=port, other=port - 1)
        request = f"GET /callback?{GOOD} HTTP/1.1\r\nHost: {field}\r\n\r\n".encode()
        answer = await exchange(login.uri, request)
        assert answer is not None
        assert answer.status == 400
        assert login.queries == []


@pytest.mark.parametrize("host", ["localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}"])
async def test_every_name_of_loopback_is_a_host(host: str) -> None:
    async with waiting() as login:
        request = f"GET /callback?{GOOD} HTTP/1.1\r\nhost:{host.format(port=login.listener.port)}\r\n\r\n".encode()
        answer = await exchange(login.uri, request)
        assert answer is not None
        assert answer.status == 200


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /callback?{q} HTTP/1.1\r\n{h}\r\n\r\n",
        b"get /callback?{q} HTTP/1.1\r\n{h}\r\n\r\n",
        b"GET http://127.0.0.1/callback?{q} HTTP/1.1\r\n{h}\r\n\r\n",
        b"GET  /callback?{q} HTTP/1.1\r\n{h}\r\n\r\n",
        b"GET /callback?{q}&x=a b HTTP/1.1\r\n{h}\r\n\r\n",
        b"GET /callback?{q}&x=\xc3\xa4 HTTP/1.1\r\n{h}\r\n\r\n",
        b"GET /callback?{q} HTTP/2.0\r\n{h}\r\n\r\n",
        b"GET /callback?{q}\r\n{h}\r\n\r\n",
        b"GET /callback?{q} HTTP/1.1\r\n\r\n",
        b"GET /callback?{q} HTTP/1.1\r\n{h}\r\n{h}\r\n\r\n",
        b"GET /callback?{q} HTTP/1.1\r\n{h}\r\n folded: x\r\n\r\n",
        b"GET /callback?{q} HTTP/1.1\r\n{h}\r\nname : x\r\n\r\n",
        b"GET /callback?{q} HTTP/1.1\r\n{h}\r\nname: x\x00y\r\n\r\n",
        b"GET /callback?{q} HTTP/1.1\r\n{h}\r\nname: x\ny: z\r\n\r\n",
        b"GET /callback?{q} HTTP/1.1\r\n{h}\r\nno field\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"\r\n\r\n",
    ],
)
async def test_a_malformed_request_is_refused(request_: bytes) -> None:
    async with waiting() as login:
        host = f"Host: 127.0.0.1:{login.listener.port}".encode()
        answer = await exchange(login.uri, request_.replace(b"{q}", GOOD.encode()).replace(b"{h}", host))
        assert answer is not None
        assert answer.status == 400
        assert login.queries == []


async def test_a_head_that_is_too_long_is_refused_and_one_with_many_cookies_is_not() -> None:
    async with waiting() as login:
        request = raw_request(login.uri, GOOD)
        long = request.replace(b"Accept: */*", b"Cookie: " + b"x" * MAX_HEAD_BYTES)
        answer = await exchange(login.uri, long)
        assert answer is None or answer.status == 400
        assert login.queries == []
        cookies = request.replace(b"Accept: */*", b"Cookie: " + b"x" * 8192)
        answer = await exchange(login.uri, cookies)
        assert answer is not None
        assert answer.status == 200


async def test_idle_connections_do_not_keep_the_answer_out() -> None:
    async with waiting() as login:
        held = [await anyio.connect_tcp("127.0.0.1", login.listener.port) for _ in range(3 * module.MAX_CONNECTIONS)]
        try:
            assert (await visit(login.uri, GOOD)).status == 200
            assert await login.answered() == GOOD
        finally:
            for stream in held:
                await stream.aclose()


async def test_a_connection_that_sends_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECTION_SECONDS", 0.05)
    async with waiting() as login:
        assert await exchange(login.uri, b"GET /call") is None
        assert login.queries == []


async def test_it_listens_on_both_addresses_of_loopback_only_while_it_is_open_rdu_08() -> None:
    async with waiting() as login:
        port = login.listener.port
        if _has_ipv6():
            answer = await exchange(login.uri, raw_request(login.uri, GOOD), host="::1")
            assert answer is not None
            assert answer.status == 200
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
    with pytest.raises(OSError):  # noqa: PT011  # each system words it otherwise
        await anyio.connect_tcp("127.0.0.1", port)


async def test_a_wait_that_is_cancelled_leaves_nothing_open() -> None:
    with anyio.CancelScope() as scope:
        async with listen() as listener:
            scope.cancel()
            await listener.wait(STATE)
    assert scope.cancelled_caught
    for host in ("127.0.0.1", "::1"):
        with pytest.raises(OSError):  # noqa: PT011  # each system words it otherwise
            await anyio.connect_tcp(host, listener.port)


async def test_the_first_port_that_is_free_is_taken_else_any_rdu_08(free_port: int) -> None:
    async with listen([free_port]) as first:
        assert first.port == free_port
        async with listen([free_port]) as second:
            assert second.port != free_port
            async with listen([free_port, second.port]) as third:
                assert third.port not in {free_port, second.port}
    async with listen([free_port]) as again:
        assert again.port == free_port


def test_the_ports_of_earlier_redirects_are_those_of_a_listener_like_this_rdu_08() -> None:
    earlier = (
        "http://127.0.0.1:4711/callback",
        "http://127.0.0.1/callback",
        "https://127.0.0.1:1/callback",
        "http://127.0.0.1:2/other",
        "http://127.0.0.1:99999/callback",
        "http://evil.example:3/callback",
    )
    assert own_ports(earlier) == [4711]


async def test_what_is_raised_inside_comes_out_as_it_is() -> None:
    with pytest.raises(AccessDenied, match="said no"):
        async with listen():
            raise AccessDenied("The person said no.")


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
