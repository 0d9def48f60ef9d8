"""What an HTTP request to a server behind asks for, and what it is refused for before anything reaches the server."""

from typing import Any

from mcp.shared.inbound import find_duplicated_routing_header
from mcp_types import UNSUPPORTED_PROTOCOL_VERSION
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

from .asgi import Receive, Refused, Request, build_json, read_body
from .policy import MAX_BODY_SIZE
from .stdio_messages import INVALID_REQUEST, MalformedMessage, Posted, RequestId, build_error, parse_posted

_MAX_HANDSHAKE_SIZE = 64 * 1024
_VERSION = "mcp-protocol-version"


async def read_messages(request: Request, receive: Receive) -> Posted:
    """The messages of a body. Raises `Refused` and `Disconnected`."""
    if request.value("content-type").partition(";")[0].strip().lower() != "application/json":
        raise refuse(415, INVALID_REQUEST, "The body must be application/json.")
    if not any(parse_accept(request)):
        raise refuse(406, INVALID_REQUEST, "Accept application/json and text/event-stream.")
    body = await read_body(request, receive, limit=MAX_BODY_SIZE)
    if body is None:
        raise refuse(413, INVALID_REQUEST, f"A body may have {MAX_BODY_SIZE} bytes at most.")
    try:
        posted = parse_posted(body)
    except MalformedMessage as error:
        raise refuse(400, error.code, str(error)) from None
    if len(body) > _MAX_HANDSHAKE_SIZE and posted.messages[0].get("method") == "initialize":
        raise refuse(413, INVALID_REQUEST, f"initialize may have {_MAX_HANDSHAKE_SIZE} bytes at most.")
    return posted


def check_version(request: Request) -> str:
    """The revision a request names, empty if none. One that nobody knows is refused. Spec: TRN-04, TRN-13"""
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.scope["headers"]]
    if repeated := find_duplicated_routing_header(pairs):
        raise refuse(400, INVALID_REQUEST, f"Send one {repeated} header.")
    version = request.value(_VERSION)
    if version and version not in HANDSHAKE_PROTOCOL_VERSIONS and version not in MODERN_PROTOCOL_VERSIONS:
        raise refuse_version(version, None)
    return version


def parse_accept(request: Request) -> tuple[bool, bool]:
    """Whether the client takes plain JSON, and whether it takes events; one that does not say takes both."""
    media_types = {
        part.partition(";")[0].strip().lower() for value in request.values("accept") for part in value.split(",")
    }
    if not media_types or "*/*" in media_types:
        return True, True
    return (
        not media_types.isdisjoint({"application/json", "application/*"}),
        not media_types.isdisjoint({"text/event-stream", "text/*"}),
    )


def refuse(status: int, code: int, text: str, request_id: RequestId | None = None, data: Any = None) -> Refused:
    """A refusal that a JSON-RPC client understands."""
    return Refused(build_json(status, build_error(request_id, code, text, data)))


def refuse_version(version: str, request_id: RequestId | None) -> Refused:
    """Name the revisions that have a handshake: clients of several eras then begin with one. Spec: MCP Versioning"""
    data = {"supported": list(HANDSHAKE_PROTOCOL_VERSIONS), "requested": version}
    return refuse(400, UNSUPPORTED_PROTOCOL_VERSION, "Unsupported protocol version", request_id, data)
