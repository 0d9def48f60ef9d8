"""Connect the official MCP client to a protected server: sign in through the browser, list the tools, call one.

    python -m doorward.demo.connect http://127.0.0.1:8400/demo/mcp
    python -m doorward.demo.connect URL --tool stock_quotes --arguments '{"symbols": ["ACME", "DOOR"]}'

Nothing is stored: each run registers, signs in and forgets. Exit codes: 0 the tool answered, 1 it did not, 2 the
command line is wrong, 130 interrupted.
"""

import argparse
import json
import logging
import re
import sys
import webbrowser
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TextIO
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import httpx2
from mcp import Client, MCPError
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, OAuthFlowError
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from mcp_types import CallToolResult, TextContent, Tool
from pydantic import AnyUrl

from .listener import LoopbackListener, SignInRefused, listen

_PATIENCE_SECONDS = 300
_TIMEOUT = httpx2.Timeout(30, read=300)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s")
_FIRST_CALL = ("weather_forecast", {"city": "Lisbon"})


@dataclass(frozen=True, slots=True)
class Command:
    """What the command line asks for; without `tool`, the demo's weather is asked for where there is one."""

    url: str
    tool: str | None
    arguments: dict[str, Any]
    browser: bool


class MemoryStorage:
    """Tokens and registration of one run."""

    def __init__(self) -> None:
        self._tokens: OAuthToken | None = None
        self._client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self._tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self._tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self._client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self._client = client_info


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    command = _parse(arguments)
    # The SDK logs a traceback for what is told in one line below.
    logging.getLogger("mcp").setLevel(logging.CRITICAL)
    try:
        return anyio.run(_connect, command)
    except KeyboardInterrupt:
        _say("Stopped.", to=sys.stderr)
        return 130
    except Exception as error:  # noqa: BLE001  # the last line of a program: whatever it was is told, not thrown
        _say(f"Error: {_explain(error, command.url)}", to=sys.stderr)
        return 1


async def _connect(command: Command) -> int:
    async with listen() as listener:
        provider = _build_provider(command, listener)
        async with (
            httpx2.AsyncClient(auth=provider, timeout=_TIMEOUT) as http_client,
            Client(streamable_http_client(command.url, http_client=http_client)) as client,
        ):
            tools = (await client.list_tools()).tools
            _say(f"\nConnected to {command.url}. It has {len(tools)} {'tool' if len(tools) == 1 else 'tools'}:")
            width = max((len(tool.name) for tool in tools), default=0)
            for tool in tools:
                _say(_describe(tool, width))
            name, arguments = command.tool, command.arguments
            if name is None:
                name, arguments = _FIRST_CALL
                if name not in {tool.name for tool in tools}:
                    _say("\nCall one with --tool NAME --arguments JSON.")
                    return 0
            _say(f"\n{name}({json.dumps(arguments, ensure_ascii=False)})")
            result = await client.call_tool(name, arguments)
            if result.is_error:
                _say(f"Error: the tool failed: {_render(result)}", to=sys.stderr)
                return 1
            _say(_render(result))
            return 0


def _build_provider(command: Command, listener: LoopbackListener) -> OAuthClientProvider:
    """The SDK's own OAuth client, unmodified, with a browser and a listener at its ends."""

    async def open_browser(url: str) -> None:
        if urlsplit(url).scheme not in {"http", "https"}:
            raise SignInRefused("The server's sign-in address is not a web page.")
        _say(f"Sign in and allow access in the browser:\n\n  {url}\n")
        if command.browser:
            await anyio.to_thread.run_sync(webbrowser.open, url)

    async def wait_for_code() -> AuthorizationCodeResult:
        with anyio.fail_after(_PATIENCE_SECONDS):
            return await listener.wait()

    metadata = OAuthClientMetadata(
        client_name="Doorward demo client",
        redirect_uris=[AnyUrl(listener.redirect_uri)],
        token_endpoint_auth_method="none",
    )
    return OAuthClientProvider(command.url, metadata, MemoryStorage(), open_browser, wait_for_code)


def _parse(arguments: list[str] | None) -> Command:
    parser = argparse.ArgumentParser(
        prog="python -m doorward.demo.connect", description="Sign in to an MCP server, list its tools and call one."
    )
    parser.add_argument("url", help="address of the MCP server, such as http://127.0.0.1:8400/demo/mcp")
    parser.add_argument("--tool", help="the tool to call (default: the demo's weather_forecast)")
    parser.add_argument("--arguments", default="{}", metavar="JSON", help="its arguments, as a JSON object")
    parser.add_argument("--no-browser", action="store_true", help="print the sign-in address and open nothing")
    given = parser.parse_args(arguments)
    parts = urlsplit(given.url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        parser.error(f"not an http or https address: {given.url}")
    try:
        call_arguments = json.loads(given.arguments)
    except ValueError:
        call_arguments = None
    if not isinstance(call_arguments, dict):
        parser.error(f"--arguments is not a JSON object: {given.arguments}")
    if call_arguments and given.tool is None:
        parser.error("--arguments needs --tool")
    return Command(given.url, given.tool, call_arguments, browser=not given.no_browser)


def _describe(tool: Tool, width: int) -> str:
    """One line: its name in a column of `width`, its kind, and the first sentence of what it says of itself."""
    reads = tool.annotations is not None and tool.annotations.read_only_hint
    first_line = (tool.description or "").strip().partition("\n")[0]
    sentence = _SENTENCE_END.split(first_line, maxsplit=1)[0]
    return f"  {tool.name:<{width}}  {'reads ' if reads else 'writes'}  {sentence}".rstrip()


def _render(result: CallToolResult) -> str:
    if result.structured_content is not None:
        return json.dumps(result.structured_content, indent=2, ensure_ascii=False)
    texts = [block.text if isinstance(block, TextContent) else f"[{block.type}]" for block in result.content]
    return "\n".join(texts)


def _explain(error: BaseException, url: str) -> str:
    """One line for a person. What the SDK throws is often wrapped in groups; the innermost one is what happened."""
    for leaf in _leaves(error):
        if isinstance(leaf, SignInRefused):
            return str(leaf)
        if isinstance(leaf, TimeoutError):
            return "Nobody signed in within five minutes."
        if isinstance(leaf, httpx2.ConnectError | httpx2.ConnectTimeout):
            return f"Nothing answers at {url}. If it is the demo, start it with: doorward up --demo"
        if isinstance(leaf, OAuthFlowError):
            return f"The sign-in failed. {str(leaf).strip()}"
        if isinstance(leaf, MCPError):
            return f"The MCP server answered: {leaf}"
    leaf = next(_leaves(error))
    return f"{type(leaf).__name__}: {leaf}"


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _say(text: str, *, to: TextIO | None = None) -> None:
    print(text, file=to or sys.stdout, flush=True)


if __name__ == "__main__":
    sys.exit(main())
