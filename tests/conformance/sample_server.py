"""A server of the MCP Python SDK with what the official suite's server scenarios look for: `PORT=3000 python …`.

It knows nothing of Doorward. What it lacks fails alike with and without the door.
"""

import os
from typing import Annotated, Any

from mcp.server.mcpserver import Context, Elicit, ListRoots, MCPServer, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp_types import (
    AudioContent,
    Completion,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    JSONRPCMessage,
    ListRootsResult,
    SamplingMessage,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
)
from pydantic import BaseModel, Field

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
READS = ToolAnnotations(read_only_hint=True)

server: MCPServer[Any] = MCPServer("mcp-conformance-sample", log_level="ERROR")


class Events(EventStore):
    """What was sent on streams, so that a client that lost one goes on where it was."""

    def __init__(self) -> None:
        self._events: list[tuple[str, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        seen = int(last_event_id)
        stream_id = self._events[seen - 1][0]
        for number, (stream, message) in enumerate(self._events[seen:], seen + 1):
            if stream == stream_id and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream_id


def embed(uri: str, text: str) -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type="text/plain", text=text))


@server.tool(annotations=READS)
def test_simple_text() -> str:
    """One text."""
    return "This is a simple text response for testing."


@server.tool(annotations=READS)
def test_image_content() -> ImageContent:
    """One image."""
    return ImageContent(type="image", data=PNG, mime_type="image/png")


@server.tool(annotations=READS)
def test_audio_content() -> AudioContent:
    """One sound."""
    return AudioContent(type="audio", data=WAV, mime_type="audio/wav")


@server.tool(annotations=READS, structured_output=False)
def test_embedded_resource() -> list[ContentBlock]:
    """One resource."""
    return [embed("test://embedded-resource", "This is an embedded resource content.")]


@server.tool(annotations=READS, structured_output=False)
def test_multiple_content_types() -> list[ContentBlock]:
    """One of each."""
    return [
        TextContent(type="text", text="Multiple content types test:"),
        ImageContent(type="image", data=PNG, mime_type="image/png"),
        embed("test://mixed-content-resource", '{"test": "data"}'),
    ]


@server.tool()
async def test_tool_with_logging(context: Context) -> str:
    """Logs three times."""
    for step in ("started", "processing data", "completed"):
        await context.info(f"Tool execution {step}")
    return "logged"


@server.tool()
async def test_logging_tool(context: Context) -> str:
    """Logs once, for those who asked for logs."""
    await context.info("logged")
    return "done"


@server.tool()
async def test_tool_with_progress(context: Context) -> str:
    """Tells of its progress three times."""
    for progress in (0, 50, 100):
        await context.report_progress(progress, 100)
    return "done"


@server.tool(annotations=READS)
def test_error_handling() -> str:
    """Fails."""
    raise ToolError("This tool intentionally returns an error for testing")


@server.tool()
async def test_sampling(prompt: str, context: Context) -> str:
    """Asks the client's model."""
    message = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
    result = await context.session.create_message([message], max_tokens=100, related_request_id=context.request_id)
    return f"LLM response: {result.content}"


class Answer(BaseModel):
    username: str = Field(description="User's response")
    email: str = Field(description="User's email address")


@server.tool()
async def test_elicitation(message: str, context: Context) -> str:
    """Asks the client's user."""
    result = await context.elicit(message, Answer)
    return f"User response: {result.action}"


class WithDefaults(BaseModel):
    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    verified: bool = True


@server.tool()
async def test_elicitation_sep1034_defaults(context: Context) -> str:
    """Asks with answers filled in."""
    result = await context.elicit("Please review these values", WithDefaults)
    return f"Elicitation completed: {result.action}"


@server.tool()
async def test_reconnection(context: Context) -> str:
    """Closes its stream before it answers."""
    await context.close_sse_stream()
    return "Reconnection test completed successfully."


class Name(BaseModel):
    name: str


async def ask_name() -> Elicit[Name]:
    return Elicit("What is your name?", Name)


async def ask_roots() -> ListRoots:
    return ListRoots()


@server.tool()
async def test_input_required_result_elicitation(who: Annotated[Name, Resolve(ask_name)]) -> str:
    """Asks the user, in whichever way the revision has."""
    return f"Hello, {who.name}!"


@server.tool()
async def test_streaming_elicitation(who: Annotated[Name, Resolve(ask_name)]) -> str:
    """The same, for another scenario."""
    return f"Hello, {who.name}!"


@server.tool()
async def test_input_required_result_list_roots(roots: Annotated[ListRootsResult, Resolve(ask_roots)]) -> str:
    """Asks for the roots."""
    return f"{len(roots.roots)} roots"


@server.resource("test://static-text", mime_type="text/plain")
def static_text() -> str:
    return "This is the content of the static text resource."


@server.resource("test://static-binary", mime_type="image/png")
def static_binary() -> bytes:
    return b"\x89PNG"


@server.resource("test://template/{id}/data", mime_type="application/json")
def template(id: str) -> str:  # noqa: A002  # the suite's word
    return f'{{"id": "{id}", "templateTest": true, "data": "Data for ID: {id}"}}'


@server.prompt()
def test_simple_prompt() -> str:
    """A prompt without arguments."""
    return "This is a simple prompt for testing."


@server.prompt()
def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    """A prompt with arguments."""
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


@server.prompt()
def test_prompt_with_image() -> list[UserMessage]:
    """A prompt with an image."""
    return [UserMessage(ImageContent(type="image", data=PNG, mime_type="image/png")), UserMessage("Look at it.")]


@server.prompt()
def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:  # noqa: N803  # the suite's word
    """A prompt with a resource."""
    return [UserMessage(embed(resourceUri, "Embedded resource content.")), UserMessage("Process it.")]


@server.completion()  # type: ignore[no-untyped-call]  # the SDK left its types out
async def complete(*_: object) -> Completion:
    """Suggest nothing."""
    return Completion(values=[], total=0, has_more=False)


if __name__ == "__main__":
    server.run("streamable-http", port=int(os.environ["PORT"]), event_store=Events(), retry_interval=100)
