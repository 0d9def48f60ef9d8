"""Signing in with a browser on another machine: the address goes there by hand, the answer comes back by hand."""

import os
import pty
import termios
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import anyio
import pytest
from anyio import to_thread

from doorward.client.errors import AddressRefused, LoginRequired
from doorward.client.pasting import LineReader, PasteInteraction, parse_pasted
from tests.client.wire import PATIENCE_SECONDS, visit
from tests.waiting import until

URI = "http://127.0.0.1:4711/callback"
PAGE = "https://as.example.com/authorize?client_id=a&state=s-1"
QUERY = "code=a%2Fb+c&state=s-1&iss=https%3A%2F%2Fas.example.com"


class Input:
    """A person who enters lines, each made when it is asked for."""

    def __init__(self, *lines: str) -> None:
        self.lines = iter(lines)

    async def __call__(self) -> str:
        return next(self.lines, "")


async def paste(interaction: PasteInteraction, state: str = "s-1") -> str:
    with anyio.fail_after(PATIENCE_SECONDS):
        async with interaction.open() as redirect:
            return await redirect.visit(PAGE, state=state)


@pytest.mark.parametrize(
    "text",
    [
        f"{URI}?{QUERY}",
        f"  {URI}?{QUERY}\r\n",
        f"127.0.0.1:4711/callback?{QUERY}\n",
        f"?{QUERY}",
        QUERY,
        f'"{URI}?{QUERY}"',
        f"'{URI}?{QUERY}'",
        f"<{URI}?{QUERY}>",
        f"{URI}?{QUERY}#_=_",
    ],
)
def test_an_address_or_its_query_is_understood_and_stays_undecoded(text: str) -> None:
    assert parse_pasted(text, redirect_uri=URI) == QUERY


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "a%2Fb+c",
        PAGE,
        URI,
        f"{URI}?state=s-1",
        f"http://127.0.0.1:4712/callback?{QUERY}",
        f"https://127.0.0.1:4711/callback?{QUERY}",
        f"https://evil.example/callback?{QUERY}",
        f"{URI}?code=ä&state=s-1",
        f"{URI}?code=a b&state=s-1",
        f"{URI}?code=a\x1b[2J&state=s-1",
    ],
)
def test_what_is_no_answer_of_this_sign_in_is_not_taken_for_one(text: str) -> None:
    assert parse_pasted(text, redirect_uri=URI) is None


async def test_a_wrong_paste_is_told_and_another_may_follow_authz_17_t36() -> None:
    said: list[str] = []
    lines = Input("what now?\n", "\n", PAGE, "code=stolen&state=other", "code=c&state=s-1&state=s-1", QUERY)
    assert await paste(PasteInteraction(announce=said.append, read=lines)) == QUERY
    first, *complaints = said
    assert PAGE in first
    assert "paste it here" in first
    assert [text.partition(":")[0].split(" that")[0] for text in complaints] == [
        "That is not the address",
        "That is not the address",
        "That is the answer to another sign-in. Sign in at the address above, and paste what comes then",
        "That is the answer to another sign-in. Sign in at the address above, and paste what comes then",
    ]
    assert not any("stolen" in text for text in said)


async def test_a_synchronous_reader_is_asked_in_a_thread() -> None:
    threads: list[bool] = []

    def read() -> str:
        threads.append(threading.current_thread() is not threading.main_thread())
        return QUERY

    assert await paste(PasteInteraction(announce=lambda _: None, read=read)) == QUERY
    assert threads == [True]


async def test_the_end_of_all_input_ends_the_wait_and_says_so() -> None:
    with pytest.raises(LoginRequired, match="standard input has ended"):
        await paste(PasteInteraction(announce=lambda _: None, read=Input("nonsense\n")))


async def test_the_end_of_input_may_be_an_exception_as_that_of_the_builtin_is() -> None:
    def read() -> str:
        raise EOFError

    with pytest.raises(LoginRequired, match="standard input has ended"):
        await paste(PasteInteraction(announce=lambda _: None, read=read))


async def test_a_reader_that_breaks_is_heard() -> None:
    def read() -> str:
        raise OSError("the cable is out")

    with pytest.raises(OSError, match="the cable is out"):
        await paste(PasteInteraction(announce=lambda _: None, read=read))


async def test_nobody_is_sent_to_what_is_no_web_address_authz_16_t11() -> None:
    said: list[str] = []
    async with PasteInteraction(announce=said.append, read=Input(QUERY)).open() as redirect:
        with pytest.raises(AddressRefused):
            await redirect.visit("javascript:alert(1)", state="s-1")
    assert said == []


async def test_nothing_needs_to_be_pasted_where_the_browser_reaches_this_machine_rdu_08(terminal: "Terminal") -> None:
    reader = LineReader(terminal.inside)
    answered: list[str] = []
    async with (
        PasteInteraction(announce=lambda _: None, read=reader).open() as redirect,
        anyio.create_task_group() as tasks,
    ):

        async def go() -> None:
            answered.append(await redirect.visit(PAGE, state="s-1"))

        async def is_received() -> bool:
            return (await visit(redirect.redirect_uri, QUERY)).status == 200

        tasks.start_soon(go)
        await until(is_received)
    assert answered == [QUERY]
    terminal.enter("for the next program\n")
    assert os.read(terminal.inside, 100) == b"for the next program\n", "what is entered later is not ours"


async def test_it_gives_up_in_time_and_leaves_the_terminal_alone(terminal: "Terminal") -> None:
    reader = LineReader(terminal.inside)
    with pytest.raises(LoginRequired, match="within 0 seconds"):
        await paste(PasteInteraction(announce=lambda _: None, read=reader, timeout_seconds=0.01))


async def test_a_line_may_come_in_pieces_and_with_the_next_from_a_terminal_or_a_pipe(terminal: "Terminal") -> None:
    reader = LineReader(terminal.inside)
    terminal.enter("one\ntwo\n")
    assert [await reader(), await reader()] == ["one\n", "two\n"]
    receiving, sending = os.pipe()
    reader = LineReader(receiving)
    os.write(sending, b"no end of ")
    os.write(sending, b"line")
    os.close(sending)
    assert [await reader(), await reader()] == ["no end of line", ""]
    os.close(receiving)


async def test_a_line_longer_than_a_terminal_gathers_is_read_whole(terminal: "Terminal") -> None:
    before = termios.tcgetattr(terminal.inside)
    answer = f"{URI}?code={'c' * 6000}&state=s-1"
    lines: list[str] = []
    async with anyio.create_task_group() as tasks:

        async def read() -> None:
            lines.append(await LineReader(terminal.inside)())

        tasks.start_soon(read)
        await until(terminal.is_ready)
        await to_thread.run_sync(terminal.enter, f"{answer}\n")
    assert lines == [f"{answer}\n"]
    assert termios.tcgetattr(terminal.inside) == before, "the terminal is as it was"


async def test_what_is_erased_at_the_terminal_is_not_read_and_its_end_key_ends_the_input(terminal: "Terminal") -> None:
    lines: list[str] = []
    async with anyio.create_task_group() as tasks:

        async def read() -> None:
            reader = LineReader(terminal.inside)
            lines.extend([await reader(), await reader()])

        tasks.start_soon(read)
        await until(terminal.is_ready)
        terminal.enter("\x7fabx\x7fc\n")
        terminal.enter("\x04")
    assert lines == ["abc\n", ""]


async def test_the_redirect_uri_is_one_of_loopback_although_nobody_may_listen(free_port: int) -> None:
    registered = (f"http://127.0.0.1:{free_port}/callback",)
    async with PasteInteraction(announce=lambda _: None, read=Input()).open(registered=registered) as redirect:
        assert redirect.redirect_uri == registered[0]
        assert urlsplit(redirect.redirect_uri).port == free_port


class Terminal:
    """Both ends of one."""

    def __init__(self) -> None:
        self.outside, self.inside = pty.openpty()

    async def is_ready(self) -> bool:
        """Whether it hands over what is pasted as it comes."""
        return not termios.tcgetattr(self.inside)[3] & termios.ICANON

    def enter(self, text: str) -> None:
        os.write(self.outside, text.encode())


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    ends = Terminal()
    yield ends
    os.close(ends.outside)
    os.close(ends.inside)
