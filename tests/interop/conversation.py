"""One conversation with an MCP server, the same wherever it is held: what the server said is compared."""

from dataclasses import dataclass, field
from typing import Any

import fastmcp
import mcp
from mcp_types import CreateMessageResult, ElicitResult, ListRootsResult, Root, TextContent

NOTES = ["add_note", "clear_notes", "count", "greet", "headers", "list_notes"]


@dataclass
class Answering:
    """A client's app that can do all that a server may ask of it, and what it was asked."""

    asked: list[str] = field(default_factory=list)

    async def elicit(self, _: Any, params: Any) -> ElicitResult:
        self.asked.append(f"elicitation: {params.message}")
        return ElicitResult(action="accept", content={next(iter(params.requested_schema["properties"])): "Ada"})

    async def sample(self, _: Any, params: Any) -> CreateMessageResult:
        self.asked.append(f"sampling: {params.max_tokens}")
        return CreateMessageResult(role="assistant", content=TextContent(type="text", text="a poem"), model="test")

    async def list_roots(self, _: Any) -> ListRootsResult:
        self.asked.append("roots")
        return ListRootsResult(roots=[Root(uri="file:///ada", name="Ada's")])

    @property
    def options(self) -> dict[str, Any]:
        """For `mcp.Client`."""
        return {
            "elicitation_callback": self.elicit,
            "sampling_callback": self.sample,
            "list_roots_callback": self.list_roots,
        }


async def call(client: mcp.Client | fastmcp.Client[Any], tool: str, **arguments: Any) -> str:
    """The text that a tool answered with."""
    result: Any = await client.call_tool(tool, arguments)
    return "\n".join(content.text for content in result.content if isinstance(content, TextContent))


async def talk_of_notes(client: mcp.Client) -> list[Any]:
    """Use all that the servers of the SDKs have, and tell what they said."""
    steps: list[Any] = []

    async def note_step(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, total, message))

    counted = await client.call_tool("count", {"steps": 3}, progress_callback=note_step)
    assert [step[:2] for step in steps] == [(1, 3), (2, 3), (3, 3)]
    return [
        client.protocol_version,
        client.server_info,
        client.server_capabilities,
        (await client.list_tools()).tools,
        await call(client, "add_note", text="milk\u2028 & \N{SNOWMAN}"),
        await client.call_tool("list_notes", {}),
        (await client.read_resource("notes://all")).contents,
        await call(client, "clear_notes"),
        counted,
        steps,
        await client.call_tool("greet", {}),
        await client.call_tool("add_note", {"words": "of another kind"}),
        (await client.list_resources()).resources,
        (await client.list_prompts()).prompts,
        (await client.get_prompt("summary", {"style": "short"})).messages,
    ]


async def talk_of_everything(client: mcp.Client) -> list[Any]:
    """Use all that the reference server has, and tell what it said."""
    steps: list[Any] = []

    async def note_step(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, total, message))

    counted = await client.call_tool(
        "trigger-long-running-operation", {"duration": 0.1, "steps": 4}, progress_callback=note_step
    )
    assert [step[:2] for step in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    return [
        client.protocol_version,
        client.server_info,
        client.server_capabilities,
        client.instructions,
        (await client.list_tools()).tools,
        await client.call_tool("echo", {"message": "\u2028 \N{SNOWMAN}"}),
        await client.call_tool("get-tiny-image", {}),
        await client.call_tool("get-structured-content", {"location": "Chicago"}),
        counted,
        await call(client, "trigger-elicitation-request"),
        await call(client, "trigger-sampling-request", prompt="Write a poem", maxTokens=7),
        await call(client, "get-roots-list"),
        await client.call_tool("get-sum", {"a": "one"}),
        (await client.list_resources()).resources,
        (await client.list_resource_templates()).resource_templates,
        (await client.list_prompts()).prompts,
        (await client.get_prompt("args-prompt", {"city": "Lisbon"})).messages,
    ]
