"""`doorward client tools` and `call`."""

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from doorward.cli.output import printable, render_json

from .arguments import read_arguments, split_pairs, type_arguments
from .common import AsJson, NameOrUrl, Teller, build_auth_options, choose_interaction, run, show

if TYPE_CHECKING:
    from mcp_types import CallToolResult, ContentBlock, Tool

    from doorward.client.connect import DoorwardClient

T = TypeVar("T")
_AT_A_TERMINAL = "Run this at a terminal, where you can be asked."


def tools(server: NameOrUrl, *, as_json: AsJson = False) -> None:
    """List the tools of a server; signs in first where that is needed."""

    async def act(client: "DoorwardClient", _: Callable[[str], None]) -> "list[Tool]":
        return await client.list_tools()

    found = _connected(server, act)
    if as_json:
        show([_dump(tool) for tool in found], as_json=True)
    else:
        show([_describe(tool) for tool in found], as_json=False, columns=("name", "does", "description"))


def call(
    server: NameOrUrl,
    tool: Annotated[str, typer.Argument(help="Name of the tool.")],
    pairs: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]…", help="Its arguments, such as city=Lisbon days=3.")
    ] = None,
    *,
    arguments: Annotated[
        str | None,
        typer.Option(help="Its arguments as a JSON object, or @FILE that holds one, or @- for standard input."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Call a tool and print what it answers; signs in first where that is needed."""
    try:
        texts = split_pairs(pairs or ())
        given = None if arguments is None else read_arguments(arguments)
        if texts and given is not None:
            raise ValueError("give NAME=VALUE or --arguments, not both")  # one way out
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None

    async def act(client: "DoorwardClient", tell: Callable[[str], None]) -> "CallToolResult":
        async def report(progress: float, total: float | None, message: str | None) -> None:
            share = f"{progress:g} of {total:g}" if total else f"{progress:g}"
            tell(f"{tool}: {message or share}")

        wanted = type_arguments(texts, await _find_schema(client, tool)) if texts else given
        return await client.call_tool(tool, wanted or {}, progress=report)

    try:
        result = _connected(server, act)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if as_json:
        show(_dump(result), as_json=True)
    else:
        _print_result(result)
    if result.is_error:
        raise typer.Exit(1)


def _connected(server: str, act: "Callable[[DoorwardClient, Callable[[str], None]], Awaitable[T]]") -> T:
    """Do something with a connected client; a line on the terminal moves meanwhile."""
    from mcp import MCPError

    from doorward.client.connect import DoorwardClient
    from doorward.client.errors import ClientError, LoginRequired
    from doorward.client.stores import open_store

    from .known import ServersFile

    async def work() -> T:
        teller = Teller()
        known = ServersFile().resolve(server)
        options = build_auth_options(known, open_store(), choose_interaction(known, teller))
        with teller.waiting(f"Talking to {known.called} …", quiet=known.way == "paste") as tell:
            async with DoorwardClient(known.url, transport="auto", **options) as client:
                try:
                    return await act(client, tell)
                except LoginRequired:
                    if _is_signed_in(client):
                        message = f"{known.called} asks for more than you allowed. {_AT_A_TERMINAL}"
                        raise ClientError(message) from None
                    raise
                except MCPError as error:
                    raise ClientError(f"{known.called} answered with an error: {error.message}") from None

    return run(work, server)


def _is_signed_in(client: "DoorwardClient") -> bool:
    from doorward.client.auth import DoorwardAuth

    return isinstance(client.auth, DoorwardAuth) and client.auth.session.is_signed_in


async def _find_schema(client: "DoorwardClient", name: str) -> dict[str, Any] | None:
    """The schema of a tool's arguments, or None where the server does not list the tool: it may still have it."""
    return next((tool.input_schema for tool in await client.list_tools() if tool.name == name), None)


def _describe(tool: "Tool") -> dict[str, Any]:
    hints = tool.annotations
    does = "reads" if hints and hints.read_only_hint else "changes"
    lines = (tool.description or tool.title or "").strip().splitlines()
    return {"name": tool.name, "does": does, "description": lines[0] if lines else ""}


def _dump(value: Any) -> Any:
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)


def _print_result(result: "CallToolResult") -> None:
    """The texts of an answer, and what else is in it in words; on standard error where the tool failed."""
    stream = sys.stderr if result.is_error else sys.stdout
    texts = [_text(block) for block in result.content]
    if not texts and result.structured_content is not None:
        texts = [render_json(result.structured_content)]
    for text in texts:
        print(printable(text) if stream.isatty() else text, file=stream)


def _text(block: "ContentBlock") -> str:
    match block.type:
        case "text":
            return block.text
        case "resource_link":
            return f"[{block.name}: {block.uri}]"
        case "resource":
            text = getattr(block.resource, "text", None)
            return text if isinstance(text, str) else f"[{block.resource.uri}]"
        case "image" | "audio":
            return f"[{block.type}, {block.mime_type}; --json has it whole]"
