"""Lists of tools on their way to a client: what it may not call is not on them.

Only what names `tools` is held until it is whole and read; every other event of a stream goes on the moment it is
complete. What a client could read and we cannot is not passed on.
"""

import json
import logging
import re
from collections.abc import Callable, Sequence
from typing import Any

from .asgi import Header, Message, Send, build_text, media_types
from .challenges import NO_STORE
from .policy import build_object

MAX_LIST_SIZE = 8 * 1024 * 1024
"""How long a list, or one event with a list, may be; what is longer goes on as long as it names no tools."""
_END_OF_LINE = re.compile(rb"\r\n|\r|\n")
# The member's name as JSON may spell it, with escapes, and as readers that ignore case may take it (T14).
_TOOLS = re.compile(
    rb'"(?:t|\\u00[57]4)(?:o|\\u00[46]f){2}(?:l|\\u00[46]c)(?:s|\\u00[57]3|\xc5\xbf|\\u017f)"', re.IGNORECASE
)
_TAIL = 40
"""More bytes than the longest spelling of that name has."""
_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")
_BOM = b"\xef\xbb\xbf"

Choose = Callable[[list[Any]], list[Any]]
"""The tools of a list that are shown, of all that the server listed."""

_log = logging.getLogger("doorward.resource")


class UnreadableList(Exception):  # noqa: N818  # the server's doing
    """What may be a list of tools is too long, compressed, or no JSON: it cannot be passed on unread."""


def filter_json(body: bytes, choose: Choose) -> bytes:
    """JSON-RPC in UTF-8 without the tools that are not shown; what holds no list is as it was.

    What remains is one person's list, so no cache may give it to another. Raises `UnreadableList` for what names
    tools and is not JSON that all readers read alike: they must not find a list where we find none.

    Spec: RS-11, STA-04, T14
    """
    if b"\0" in body:
        raise UnreadableList  # another encoding, which some readers guess
    if not _TOOLS.search(body):
        return body
    try:
        document = json.loads(body.decode("utf-8-sig"), object_pairs_hook=build_object)
        messages = document if isinstance(document, list) else [document]
        found = [_filter_message(message, choose) for message in messages]
        return json.dumps(document, separators=(",", ":")).encode() if any(found) else body
    except (ValueError, RecursionError):
        raise UnreadableList from None


def _filter_message(message: Any, choose: Choose) -> bool:
    """Whether it was a list of tools."""
    result = _get(message, "result")
    tools = _get(result, "tools")
    if not isinstance(tools, list):
        return False
    result["tools"] = choose(tools)
    if "cacheScope" in result:
        result["cacheScope"] = "private"
    return True


def _get(members: Any, name: str) -> Any:
    """A member that goes by no other spelling. Raises `UnreadableList`."""
    if not isinstance(members, dict):
        return None
    if any(key.casefold() == name and key != name for key in members):
        raise UnreadableList
    return members.get(name)


class EventFilter:
    """The same for an event stream: lines go on the moment they are complete, and data once its event is.

    Spec: HTML Standard, Server-sent events; TRN-11
    """

    def __init__(self, choose: Choose) -> None:
        self._choose = choose
        self._line = bytearray()
        self._event: list[bytes] = []
        self._event_size = 0
        self._sent = 0  # bytes of `_line` that went on already
        self._is_too_long = False
        self._is_broken = False
        self._is_first = True
        self._ends_in_cr = False

    def feed(self, chunk: bytes) -> bytes:
        """What can go on. Raises `UnreadableList`, and again whatever comes after it."""
        if self._is_broken:
            raise UnreadableList
        self._is_broken = True
        ready = self._feed(chunk)
        self._is_broken = False
        return ready

    def finish(self) -> bytes:
        """What is left at the end: an event that was not completed, which no client should dispatch."""
        rest = b"".join(self._event) + self._line
        self._event, self._line = [], bytearray()
        return b"" if self._is_broken or _TOOLS.search(rest) else rest[self._sent :]

    def _feed(self, chunk: bytes) -> bytes:
        ready: list[bytes] = []
        if self._ends_in_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._ends_in_cr = False
            ready.append(self._end_in_lf())
        if chunk:
            self._ends_in_cr = chunk.endswith(b"\r")
        is_between_lines = not self._line and not self._event and not self._is_too_long
        if is_between_lines and chunk.endswith(_ENDS) and not _TOOLS.search(chunk):
            self._is_first = False
            return b"".join([*ready, chunk])  # whole events, as most chunks are
        start, at = 0, len(self._line)
        self._line += chunk
        for match in _END_OF_LINE.finditer(self._line, at):
            ready.append(self._take(bytes(self._line[start : match.end()])))
            start = match.end()
        del self._line[:start]
        ready.append(self._bound())
        return b"".join(ready)

    def _end_in_lf(self) -> bytes:
        """The second half of the end of a line whose first half was taken for the whole."""
        if not self._event:
            return b"\n"
        self._event[-1] += b"\n"
        return b""

    def _take(self, line: bytes) -> bytes:
        """One line with its end; what can go on because of it."""
        text = line.rstrip(b"\r\n")
        if self._is_first:
            self._is_first = False
            text = text.removeprefix(_BOM)
        sent, self._sent = self._sent, 0
        if self._is_too_long:
            self._is_too_long = bool(text)
            return _unless_tools(line)[sent:]
        if not text:
            event, self._event, self._event_size = self._event, [], 0
            return self._filter([*event, line])
        if self._event or _is_data(text):
            self._event.append(line)
            self._event_size += len(line)
            return b""
        return _unless_tools(line)

    def _bound(self) -> bytes:
        """What goes on of an event that is too long to hold."""
        if not self._is_too_long and self._event_size + len(self._line) <= MAX_LIST_SIZE:
            return b""
        self._is_too_long = True
        ready = b"".join([*map(_unless_tools, self._event), _unless_tools(bytes(self._line))[self._sent :]])
        self._event, self._event_size = [], 0
        del self._line[:-_TAIL]
        self._sent = len(self._line)
        return ready

    def _filter(self, lines: Sequence[bytes]) -> bytes:
        whole = b"".join(lines)
        if not _TOOLS.search(whole):
            return whole
        texts = [line.rstrip(b"\r\n").removeprefix(_BOM) for line in lines]
        for text in texts:
            if not _is_data(text):
                _unless_tools(text)
        data = b"\n".join(text[5:].removeprefix(b" ") for text in texts if _is_data(text))
        shown = filter_json(data, self._choose)
        if shown == data:
            return whole
        first = next(at for at, text in enumerate(texts) if _is_data(text))
        end = lines[first][len(lines[first].rstrip(b"\r\n")) :]
        others = [line for line, text in zip(lines[first + 1 :], texts[first + 1 :], strict=True) if not _is_data(text)]
        return b"".join([b"data: ", shown, end, *others])


def _is_data(text: bytes) -> bool:
    """Whether a line is part of what an event brings. Spec: HTML Standard §9.2.6"""
    return text == b"data" or text.startswith(b"data:")


def _unless_tools(line: bytes) -> bytes:
    """Bytes that may go on unread, because they name no tools. Raises `UnreadableList`."""
    if _TOOLS.search(line):
        raise UnreadableList
    return line


class ListingSend:
    """A `send` that keeps the tools that are not shown out of an answer.

    JSON is held until it is whole, streams pass through an `EventFilter`, and what no client takes for either goes on
    untouched. What cannot be read is answered with 502, or breaks off where the answer has begun.
    """

    def __init__(self, send: Send, choose: Choose) -> None:
        self._send = send
        self._choose = choose
        self._start: Message | None = None
        self._body = bytearray()
        self._take: Send = send

    async def __call__(self, message: Message) -> None:
        """Take one message of the app. Raises `UnreadableList`."""
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif message["type"] == "http.response.body":
            await self._take(message)
        else:
            await self._send(message)

    async def _begin(self, message: Message) -> None:
        headers: list[Header] = list(message.get("headers", ()))
        said = b"" if message["status"] in (204, 304) else media_types(headers)
        is_stream, is_json = b"event-stream" in said, b"application/json" in said
        is_compressed = any(
            name.lower() == b"content-encoding" and value.strip().lower() not in (b"", b"identity")
            for name, value in headers
        )
        if (is_stream and is_json) or (is_compressed and (is_stream or is_json)):
            await self._refuse()
        elif is_stream:
            self._events = EventFilter(self._choose)
            self._take = self._take_events
            await self._send({**message, "headers": _without_length(headers)})
        elif is_json:
            self._start = message
            self._take = self._take_json
        else:
            self._take = self._send
            await self._send(message)

    async def _take_events(self, message: Message) -> None:
        more = message.get("more_body", False)
        body = self._events.feed(message.get("body", b""))
        if not more:
            body += self._events.finish()
        if body or not more:
            await self._send({**message, "body": body})

    async def _take_json(self, message: Message) -> None:
        self._body += message.get("body", b"")
        if len(self._body) > MAX_LIST_SIZE:
            await self._pass_on_long(message.get("more_body", False))
        elif not message.get("more_body", False) and self._start is not None:
            try:
                whole = filter_json(bytes(self._body), self._choose)
            except UnreadableList:
                await self._refuse()
                return
            await self._send(_with_length(self._start, len(whole)))
            await self._send({"type": "http.response.body", "body": whole})

    async def _pass_on_long(self, more: bool) -> None:  # noqa: FBT001  # what ASGI calls it
        """An answer that is too long to be held goes on as it comes, for as long as it names no tools."""
        body = bytes(self._body)
        if _TOOLS.search(body) or b"\0" in body:
            await self._refuse()
            return
        if self._start is not None:
            await self._send(self._start)
        await self._send({"type": "http.response.body", "body": body, "more_body": more})
        tail = body[-_TAIL:]
        self._body = bytearray()

        async def watch(message: Message) -> None:
            nonlocal tail
            tail = _unless_tools(tail + message.get("body", b""))[-_TAIL:]
            await self._send(message)

        self._take = watch

    async def _refuse(self) -> None:
        """Answer in the app's stead, and hear no more of it."""
        _log.warning("An answer that may hold a list of tools cannot be read, so it is not passed on.")
        answer = build_text(502, "The server's answer cannot be read here.", NO_STORE)

        async def ignore(_: Message) -> None:
            pass

        self._take = ignore
        length = (b"content-length", str(len(answer.body)).encode())
        await self._send({"type": "http.response.start", "status": 502, "headers": [*answer.headers, length]})
        await self._send({"type": "http.response.body", "body": answer.body})


def _with_length(start: Message, length: int) -> Message:
    return {**start, "headers": [*_without_length(start.get("headers", ())), (b"content-length", b"%d" % length)]}


def _without_length(headers: Sequence[Header]) -> list[Header]:
    return [header for header in headers if header[0].lower() not in (b"content-length", b"transfer-encoding")]
