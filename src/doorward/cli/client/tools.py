"""`doorward client tools` and `call`."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from doorward.cli.output import printable, render_json

from .arguments import check_arguments, describe_arguments, read_arguments, split_pairs, type_arguments
from .common import AsJson, NameOrUrl, Teller, build_auth_options, choose_interaction, refuse, run, show

if TYPE_CHECKING:
    from mcp_types import CallToolResult, ContentBlock, Tool

    from doorward.client.connect import DoorwardClient

T = TypeVar("T")
_AT_A_TERMINAL = "Run this at a terminal, where you can be asked."


def tools(
    server: NameOrUrl,
    tool: Annotated[
        str | None, typer.Argument(metavar="TOOL", help="One tool, with what it takes.", show_default="all")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List the tools of a server, or tell what one takes; signs in first where that is needed."""

    async def act(client: "DoorwardClient", _: Callable[[str], None]) -> "list[Tool]":
        return await client.list_tools()

    found = _connected(server, act)
    if tool is not None:
        one = _find(found, tool)
        if one is None:
            refuse(_list_names(found, tool))
        show(_dump(one) if as_json else _describe_whole(one), as_json=as_json)
    elif as_json:
        show([_dump(tool) for tool in found], as_json=True)
    else:
        show([_describe(tool) for tool in found], as_json=False, columns=("name", "does", "description"))


def call(
    server: NameOrUrl,
    tool: Annotated[str, typer.Argument(help="Name of the tool.")],
    pairs: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=VALUE", help="Its arguments, such as city=Lisbon days=3.")
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

        wanted = await _build_arguments(client, tool, texts, unlisted) if given is None else given
        return await client.call_tool(tool, wanted, progress=report)

    unlisted: list[str] = []
    try:
        result = _connected(server, act, unlisted)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if as_json:
        show(_dump(result), as_json=True)
    else:
        _print_result(result)
    if result.is_error:
        for told in unlisted:
            print(f"doorward: {printable(told)}", file=sys.stderr)
        raise typer.Exit(1)


def _connected(
    server: str, act: "Callable[[DoorwardClient, Callable[[str], None]], Awaitable[T]]", hints: Sequence[str] = ()
) -> T:
    """Do something with a connected client; a line on the terminal moves meanwhile.

    `hints` are said beside what the server answers in place of a result.
    """
    from mcp import MCPError

    from doorward.client.connect import DoorwardClient
    from doorward.client.errors import ClientError, LoginRequired
    from doorward.client.stores import DefaultStore

    from .known import ServersFile

    async def work() -> T:
        teller = Teller()
        known = ServersFile().resolve(server)
        options = await build_auth_options(known, DefaultStore(), choose_interaction(known, teller))
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
                    message = f"{known.called} answered with an error: {error.message}"
                    raise ClientError("\n".join((message, *hints))) from None

    return run(work, server)


def _is_signed_in(client: "DoorwardClient") -> bool:
    from doorward.client.auth import DoorwardAuth

    return isinstance(client.auth, DoorwardAuth) and client.auth.session.is_signed_in


async def _build_arguments(
    client: "DoorwardClient", tool: str, texts: dict[str, str], unlisted: list[str]
) -> dict[str, Any]:
    """What the tool's schema makes of the texts. A tool that is not listed is noted: the server may still have it.

    Raises `ValueError`.
    """
    listed = await client.list_tools()
    found = _find(listed, tool)
    if found is None:
        unlisted.append(_list_names(listed, tool))
        return type_arguments(texts, None)
    check_arguments(tool, texts.keys(), found.input_schema)
    return type_arguments(texts, found.input_schema)


def _find(listed: "list[Tool]", name: str) -> "Tool | None":
    return next((tool for tool in listed if tool.name == name), None)


def _list_names(listed: "list[Tool]", name: str) -> str:
    names = ", ".join(tool.name for tool in listed)
    return f"No tool called {name} is listed. There are: {names}." if names else "No tool is listed."


def _describe_whole(tool: "Tool") -> dict[str, Any]:
    """Everything that a person needs to call it."""
    properties = tool.input_schema.get("properties", {})
    takes = {}
    for name, kind in describe_arguments(tool.input_schema).items():
        member = properties[name]
        told = member.get("description") if isinstance(member, dict) else None
        takes[f"  {name}"] = f"{kind}: {told}" if isinstance(told, str) else kind
    return {**_describe(tool), "description": (tool.description or tool.title or "").strip(), **takes}


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
