"""Lists of tools on their way to a client: what it may not call is not on them.

Only lists are held back until they are whole; every other event of a stream goes on the moment it is complete.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from .asgi import Header, Message, Send

MAX_LIST_SIZE = 8 * 1024 * 1024
"""How long a list, or one event of a stream that may hold one, may be; nothing beyond it is passed on unread."""
_END_OF_EVENT = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n|\r\n\n")
_LINE = re.compile(r"\r\n|\r|\n")

Choose = Callable[[list[Any]], list[Any]]
"""The tools of a list that are shown, of all that the server listed."""


class UnreadableList(Exception):  # noqa: N818  # the server's doing
    """A list of tools, or an event that may be one, that is too long or compressed: it cannot be passed on unread."""


def filter_message(message: Any, choose: Choose) -> bool:
    """Take the tools that are not shown out of a JSON-RPC message; whether it was a list of tools.

    What remains is one person's list, so no cache may give it to another. Spec: RS-11, STA-04
    """
    if isinstance(message, list):
        return sum(filter_message(one, choose) for one in message) > 0
    result = message.get("result") if isinstance(message, dict) else None
    tools = result.get("tools") if isinstance(result, dict) else None
    if not isinstance(result, dict) or not isinstance(tools, list):
        return False
    result["tools"] = choose(tools)
    if "cacheScope" in result:
        result["cacheScope"] = "private"
    return True


def filter_json(body: bytes, choose: Choose) -> bytes:
    """The body of an answer without the tools that are not shown; one that holds no list is as it was."""
    if b"tools" not in body:
        return body
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return body
    return _dump(message).encode() if filter_message(message, choose) else body


class EventFilter:
    """The same for an event stream, event by event. Spec: HTML Standard, Server-sent events"""

    def __init__(self, choose: Choose) -> None:
        self._choose = choose
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """What can go on: all events that are complete. Raises `UnreadableList`."""
        self._held += chunk
        end = 0
        for match in _END_OF_EVENT.finditer(self._held, max(0, len(self._held) - len(chunk) - 3)):
            end = match.end()
        if not end:
            if len(self._held) > MAX_LIST_SIZE:
                raise UnreadableList
            return b""
        whole, self._held = self._held[:end], self._held[end:]
        if b"tools" not in whole:
            return whole
        return b"".join(self._filter(event) for event in _split(whole))

    def finish(self) -> bytes:
        """What is left at the end: an event that was not completed, which no client dispatches."""
        held, self._held = self._held, b""
        return held

    def _filter(self, event: bytes) -> bytes:
        lines = _LINE.split(event.decode("utf-8", "surrogateescape"))
        data = [line[5:].removeprefix(" ") for line in lines if line.startswith("data:")]
        try:
            message = json.loads("\n".join(data))
        except (ValueError, RecursionError):
            return event
        if not filter_message(message, self._choose):
            return event
        others = [line for line in lines if line and not line.startswith("data:")]
        return "\n".join([*others, f"data: {_dump(message)}", "", ""]).encode("utf-8", "surrogateescape")


class ListingSend:
    """A `send` for the answer to one request that may bring a list of tools.

    An answer in JSON is held until it is whole, streams pass through an `EventFilter`, and what is neither goes on
    untouched. Compressed answers are refused: the request did not allow them.
    """

    def __init__(self, send: Send, choose: Choose) -> None:
        self._send = send
        self._choose = choose
        self._start: Message | None = None
        self._body = bytearray()
        self._events: EventFilter | None = None
        self._passes = False

    async def __call__(self, message: Message) -> None:
        """Take one message of the app. Raises `UnreadableList`."""
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif message["type"] == "http.response.body" and not self._passes:
            await self._continue(message)
        else:
            await self._send(message)

    async def _begin(self, message: Message) -> None:
        headers: list[Header] = list(message.get("headers", ()))
        if _value(headers, b"content-encoding") not in (b"", b"identity"):
            raise UnreadableList
        media_type = _value(headers, b"content-type").partition(b";")[0].strip().lower()
        if media_type == b"text/event-stream":
            self._events = EventFilter(self._choose)
            await self._send({**message, "headers": _without_length(headers)})
        elif media_type.endswith(b"json"):
            self._start = {**message, "headers": _without_length(headers)}
        else:
            self._passes = True
            await self._send(message)

    async def _continue(self, message: Message) -> None:
        body, more = message.get("body", b""), message.get("more_body", False)
        if self._events is not None:
            body = self._events.feed(body)
            if not more:
                body += self._events.finish()
            if body or not more:
                await self._send({**message, "body": body})
            return
        self._body += body
        if len(self._body) > MAX_LIST_SIZE:
            raise UnreadableList
        if more or self._start is None:
            return
        whole = filter_json(bytes(self._body), self._choose)
        length = (b"content-length", str(len(whole)).encode())
        await self._send({**self._start, "headers": [*self._start["headers"], length]})
        await self._send({"type": "http.response.body", "body": whole})


def _split(events: bytes) -> list[bytes]:
    ends = [match.end() for match in _END_OF_EVENT.finditer(events)]
    return [events[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _value(headers: list[Header], name: bytes) -> bytes:
    return next((value for key, value in headers if key.lower() == name), b"")


def _without_length(headers: list[Header]) -> list[Header]:
    return [header for header in headers if header[0].lower() != b"content-length"]


def _dump(message: Any) -> str:
    return json.dumps(message, separators=(",", ":"))
