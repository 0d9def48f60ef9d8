"""The command that tries a server out: the official client, a browser, one answer in the terminal."""

import json
import signal
import sys
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread
import httpx2
import pytest
from anyio.streams.text import TextReceiveStream
from mcp_types import Tool

from doorward.demo import build_demo, connect
from doorward.demo.listener import SignInRefused, listen
from doorward.resource import JWKSKeys, JWTVerifier
from tests.resource.world import TinyIssuer, bind, run_issuer, serve


@asynccontextmanager
async def demo_with_issuer() -> AsyncIterator[tuple[str, TinyIssuer]]:
    listener, url = bind()
    resource = f"{url}/demo/mcp"
    async with run_issuer(resource) as issuer:
        verifier = JWTVerifier(issuer=issuer.url, resource=resource, keys=JWKSKeys(issuer.url))
        async with serve(build_demo(resource, issuer.url, verifier), listener):
            yield resource, issuer


@pytest.fixture
def visited(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A browser whose person allows everything at once; the addresses it was sent to."""
    urls: list[str] = []

    def visit(url: str) -> bool:
        urls.append(url)
        return httpx2.get(url, follow_redirects=True).is_success

    monkeypatch.setattr(webbrowser, "open", visit)
    return urls


async def run(url: str, tool: str | None = None, arguments: dict[str, Any] | None = None) -> int:
    with anyio.fail_after(30):
        return await connect._connect(connect.Command(url, tool, arguments or {}, browser=True))


async def test_a_first_run_ends_with_a_forecast(visited: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    async with demo_with_issuer() as (url, issuer):
        assert await run(url) == 0
        assert visited[0].startswith(f"{issuer.url}/authorize?")
    shown = capsys.readouterr().out
    assert visited[0] in shown
    assert "It has 4 tools" in shown
    assert "writes  Book a flight" in shown
    assert '"city": "Lisbon"' in shown
    assert "Sample data" in shown


async def test_a_tool_that_needs_more_sends_the_person_back_once_step_06(
    visited: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    async with demo_with_issuer() as (url, _):
        booking = {"flight_number": "DW101", "passenger_name": "Ada"}
        assert await run(url, "book_flight", booking) == 0
    assert ["scope=tools%3Aread&" in f"{url}&" for url in visited] == [True, False]
    assert "tools%3Awrite" in visited[1]
    assert '"reference"' in capsys.readouterr().out


async def test_an_error_of_the_tool_is_an_exit_code(visited: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    async with demo_with_issuer() as (url, _):
        assert await run(url, "weather_forecast", {"city": "Atlantis"}) == 1
    said = capsys.readouterr().err
    assert said.startswith("Error: the tool failed: ")
    assert "knows these cities" in said


def test_tools_are_told_in_columns_with_the_first_sentence_of_each() -> None:
    told = "Reads v1.5 notes. Never more than ten.\nSecond line."
    tool = Tool(name="a_tool_with_a_name_of_length", description=told, input_schema={"type": "object"})
    assert connect._describe(tool, 30) == "  a_tool_with_a_name_of_length    writes  Reads v1.5 notes."
    assert connect._describe(tool.model_copy(update={"name": "b", "description": None}), 30).split() == ["b", "writes"]


async def test_a_refusal_in_the_browser_is_told_as_one(visited: list[str]) -> None:
    async with demo_with_issuer() as (url, issuer):
        issuer.refuse_consent = True
        with pytest.raises(BaseExceptionGroup) as caught:
            await run(url)
    assert connect._explain(caught.value, url) == "Access was not allowed. The user said no."


@asynccontextmanager
async def program(*arguments: str) -> AsyncIterator[anyio.abc.Process]:
    command = [sys.executable, "-W", "error", "-m", "doorward.demo.connect", *arguments]
    async with await anyio.open_process(command) as process:
        yield process


async def read_address(process: anyio.abc.Process) -> str:
    assert process.stdout is not None
    text = ""
    async for chunk in TextReceiveStream(process.stdout):
        text += chunk
        addresses = [
            line.strip() for line in text.splitlines(keepends=True) if "/authorize?" in line and line[-1] == "\n"
        ]
        if addresses:
            return addresses[0]
    raise AssertionError(text)


async def test_the_program_prints_the_address_and_exits_with_0() -> None:
    async with demo_with_issuer() as (url, _):
        with anyio.fail_after(60):
            async with program(
                url, "--no-browser", "--tool", "stock_quotes", "--arguments", '{"symbols": ["ACME"]}'
            ) as process:
                address = await read_address(process)
                async with httpx2.AsyncClient(follow_redirects=True) as browser:
                    page = await browser.get(address)
                assert "Signed in" in page.text
                assert page.headers["content-security-policy"] == "default-src 'none'"
                assert process.stdout is not None
                rest = "".join([chunk async for chunk in TextReceiveStream(process.stdout)])
                assert await process.wait() == 0
    assert json.loads(rest[rest.index("\n{") :])["quotes"][0]["name"] == "Acme Anvils"


async def test_control_c_while_it_waits_is_quiet() -> None:
    async with demo_with_issuer() as (url, _):
        with anyio.fail_after(60):
            async with program(url, "--no-browser") as process:
                await read_address(process)
                process.send_signal(signal.SIGINT)
                assert process.stderr is not None
                said = "".join([chunk async for chunk in TextReceiveStream(process.stderr)])
                assert await process.wait() == 130
    assert said == "Stopped.\n"


async def test_nobody_listening_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    listener, url = bind()
    listener.close()
    assert await anyio.to_thread.run_sync(connect.main, [f"{url}/demo/mcp", "--no-browser"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"Error: Nothing answers at {url}/demo/mcp.")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["demo"],
        ["ftp://127.0.0.1/mcp"],
        ["javascript:alert(1)"],
        ["http://h/mcp", "--tool", "a", "--arguments", "[]"],
        ["http://h/mcp", "--tool", "a", "--arguments", "{"],
        ["http://h/mcp", "--arguments", '{"a": 1}'],
    ],
)
def test_a_wrong_command_line_is_exit_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        connect.main(arguments)
    assert caught.value.code == 2


@pytest.mark.parametrize(
    "request_line",
    ["GET /other?code=a HTTP/1.1", "POST /callback?code=a HTTP/1.1", "GET /callback HTTP/1.1", "nonsense", "\x00\xff"],
)
async def test_only_the_callback_ends_the_waiting(request_line: str) -> None:
    async with listen() as listener:
        host, port = listener.redirect_uri.split("/")[2].split(":")
        assert host == "127.0.0.1"
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(f"{request_line}\r\n\r\n".encode("latin-1"))
            assert (await stream.receive()).startswith(b"HTTP/1.1 404")
        async with httpx2.AsyncClient() as browser:
            answered = await browser.get(f"{listener.redirect_uri}?error=access_denied&code2=x")
        assert "Not signed in" in answered.text
        with anyio.fail_after(10), pytest.raises(SignInRefused, match=r"Access was not allowed\."):
            await listener.wait()


async def test_a_sign_in_address_that_is_no_web_page_is_not_opened_t11(visited: list[str]) -> None:
    async with listen() as listener:
        provider = connect._build_provider(connect.Command("http://h/mcp", None, {}, browser=True), listener)
        assert provider.context.redirect_handler is not None
        for url in ("file:///etc/passwd", "javascript:alert(1)", "vscode://x", ""):
            with pytest.raises(SignInRefused):
                await provider.context.redirect_handler(url)
    assert visited == []
