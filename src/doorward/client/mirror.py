"""The HTTP headers that repeat what a message says, for messages that another program made.

The SDK's session writes them beside its own messages; a bridge has none, and servers of 2026-07-28 insist.

Spec: MCP 2026-07-28, Streamable HTTP, Standard Headers and Custom Headers
"""

from collections.abc import Mapping
from typing import Any

from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
    find_invalid_x_mcp_header,
    mcp_param_headers,
    x_mcp_header_map,
)
from mcp_types import PROTOCOL_VERSION_META_KEY, JSONRPCMessage, JSONRPCNotification, JSONRPCRequest


class Mirror:
    """Learns from what passes by, and says what headers the next message needs."""

    def __init__(self) -> None:
        self._version: str | None = None
        self._parameters: dict[str, dict[tuple[str, ...], str]] = {}

    def learn(self, request: JSONRPCRequest, result: Mapping[str, Any]) -> None:
        """Take note of a protocol version that was agreed on, and of tools whose arguments are repeated."""
        if request.method == "initialize" and isinstance(version := result.get("protocolVersion"), str):
            self._version = version
        if request.method != "tools/list" or not isinstance(tools := result.get("tools"), list):
            return
        for tool in tools:
            if isinstance(tool, dict) and isinstance(name := tool.get("name"), str):
                schema = tool.get("inputSchema")
                is_valid = find_invalid_x_mcp_header(schema) is None
                self._parameters[name] = x_mcp_header_map(schema) if is_valid else {}

    def headers(self, message: JSONRPCMessage) -> dict[str, str] | None:
        """What goes beside `message`; None where nothing does. No version is agreed on before `initialize`."""
        if isinstance(message, JSONRPCRequest) and message.method == "initialize":
            return None
        params = (message.params or {}) if isinstance(message, JSONRPCRequest | JSONRPCNotification) else {}
        meta = params.get("_meta")
        version = meta.get(PROTOCOL_VERSION_META_KEY) if isinstance(meta, dict) else None
        if not isinstance(version, str) or not isinstance(message, JSONRPCRequest):
            return None if self._version is None else {MCP_PROTOCOL_VERSION_HEADER: self._version}
        headers = {MCP_PROTOCOL_VERSION_HEADER: version, MCP_METHOD_HEADER: message.method}
        name = params.get(NAME_BEARING_METHODS.get(message.method, ""))
        if isinstance(name, str):
            headers[MCP_NAME_HEADER] = encode_header_value(name)
        arguments = params.get("arguments")
        if message.method == "tools/call" and isinstance(name, str) and isinstance(arguments, dict):
            headers.update(mcp_param_headers(self._parameters.get(name, {}), arguments))
        return headers
