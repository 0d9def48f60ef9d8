"""JSON-RPC messages on their way between HTTP and a server's standard streams."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json, to_json

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INTERNAL_ERROR = -32603
CANCELLED = -32800
"""What ends the stream of a cancelled request in the revisions that have no other end for it."""
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
LOG_LEVEL = "io.modelcontextprotocol/logLevel"

Json = dict[str, Any]
RequestId = str | int


class MalformedMessage(ValueError):  # noqa: N818  # it is the message that is at fault
    """A body that is no JSON-RPC message of MCP; `code` is the JSON-RPC error code."""

    def __init__(self, reason: str, *, code: int = INVALID_REQUEST) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Posted:
    """What a client posted: its messages in their order, and whether it sent them as a batch."""

    messages: tuple[Json, ...]
    is_batch: bool = False

    @property
    def requests(self) -> tuple[Json, ...]:
        """Those that want an answer."""
        return tuple(message for message in self.messages if is_request(message))


def parse_posted(body: bytes) -> Posted:
    """The messages of a body. Raises `MalformedMessage`.

    Spec: JSON-RPC 2.0 §4, §6; MCP Base Protocol, Messages (an id is a string or an integer)
    """
    try:
        document = from_json(body, allow_inf_nan=False)
    except ValueError:
        raise MalformedMessage("The body is not JSON in UTF-8.", code=PARSE_ERROR) from None
    if not isinstance(document, list):
        return Posted((_check_message(document),))
    if not document:
        raise MalformedMessage("A batch holds at least one message.")
    return Posted(tuple(map(_check_message, document)), is_batch=True)


def parse_line(line: bytes) -> list[Json]:
    """The messages in a line that a server wrote: none if it is something else, as a stray print.

    A server's NaN is taken for null: its result arrives, instead of a client that waits for ever.
    """
    try:
        document = from_json(line)
    except ValueError:
        return []
    listed = document if isinstance(document, list) else [document]
    return [message for message in listed if isinstance(message, dict)]


def encode(message: Json | list[Json]) -> bytes:
    """The message as JSON in UTF-8, and in one line: control characters are escaped."""
    return to_json(message, inf_nan_mode="null")


def is_request(message: Mapping[str, Any]) -> bool:
    """Whether an answer is due."""
    return "method" in message and "id" in message


def build_error(request_id: RequestId | None, code: int, text: str, data: Any = None) -> Json:
    """A JSON-RPC error."""
    error = {"code": code, "message": text} | ({} if data is None else {"data": data})
    return {"jsonrpc": "2.0", "id": request_id, "error": error}


def build_notification(method: str, **params: Any) -> Json:
    """A JSON-RPC notification."""
    return {"jsonrpc": "2.0", "method": method} | ({"params": params} if params else {})


def params_of(message: Mapping[str, Any]) -> Json:
    """The params of a message, empty where it has none."""
    params = message.get("params")
    return params if isinstance(params, dict) else {}


def meta_of(params: Mapping[str, Any]) -> Json:
    """`_meta` of params or of a result, empty where it has none."""
    meta = params.get("_meta")
    return meta if isinstance(meta, dict) else {}


def with_meta(message: Json, member: str, name: str, value: Any) -> Json:
    """The message with one value of `_meta` in its params or its result replaced."""
    inner = message[member]
    return {**message, member: {**inner, "_meta": {**inner["_meta"], name: value}}}


def is_id(value: Any) -> bool:
    """Whether a value may name a request or a progress token."""
    return isinstance(value, str | int) and not isinstance(value, bool)


def _check_message(message: Any) -> Json:
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise MalformedMessage("A message is an object of JSON-RPC 2.0.")
    if "id" in message and not is_id(message["id"]):
        raise MalformedMessage("An id is a string or an integer.")
    if "method" in message:
        if not isinstance(message["method"], str):
            raise MalformedMessage("method is a string.")
        if "params" in message and not isinstance(message["params"], dict):
            raise MalformedMessage("params is an object.")
    elif "id" not in message or ("result" in message) is ("error" in message):
        raise MalformedMessage("A message has a method, or the id and the result or error that it answers with.")
    return message
