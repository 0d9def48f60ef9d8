"""Lists of tools on their way to a client: nothing that it may not call, however the list is told."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from doorward.resource import listing
from doorward.resource.listing import MAX_LIST_SIZE, EventFilter, ListingSend, UnreadableList, filter_json

HIDDEN = "burn"
SHOWN = "book"


def choose(members: list[Any]) -> list[Any]:
    return [member for member in members if member.get("name") != HIDDEN]


def answer(*names: str, **more: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": name} for name in names], **more}}


def encode(message: Any) -> bytes:
    return json.dumps(message).encode()


BOTH = encode(answer(SHOWN, HIDDEN))
ONE = json.dumps(answer(SHOWN), separators=(",", ":")).encode()


def feed(*chunks: bytes) -> bytes:
    events = EventFilter(choose)
    return b"".join(map(events.feed, chunks)) + events.finish()


def read_events(stream: bytes) -> list[tuple[str, str, str]]:
    """(event, data, last id) of each event that a client dispatches, read as the HTML Standard says, naively."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    events: list[tuple[str, str, str]] = []
    kind, data, last_id = "", None, ""
    *lines, _ = text.split("\n")
    for line in lines:
        if not line:
            if data is not None:
                events.append((kind, data, last_id))
            kind, data = "", None
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data = value if data is None else f"{data}\n{value}"
        elif name == "event":
            kind = value
        elif name == "id":
            last_id = value
    return events


# JSON


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b'{"jsonrpc":"2.0","id":1,"result":{}}',
        b'{"jsonrpc": "2.0",  "id": 1, "result": {"content": [{"type": "text", "text": "my tools"}]}}\n',
        b'{"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"tools":[{"name":"burn"}]}}}',
        b'{"jsonrpc":"2.0","id":1,"result":{"capabilities":{"tools":{}},  "x":1.50}}',
        b'{"jsonrpc":"2.0","id":1,"result":{"tools":{"name":"burn"}}}',
        b'{"jsonrpc":"2.0","id":1,"result":{"tools":null}}',
        b'{"jsonrpc":"2.0","id":1,"result":["tools",{"name":"burn"}]}',
        b'{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"tools":[{"name":"burn"}]}}',
        b'{"tools":[{"name":"burn"}]}',
        b'"tools"',
        b'["tools", 1, null, ["tools"]]',
    ],
)
def test_an_answer_without_a_list_passes_byte_for_byte(body: bytes) -> None:
    assert filter_json(body, choose) == body


def test_a_list_holds_what_is_shown_and_all_else_of_the_answer_rs_11() -> None:
    listed = answer(SHOWN, HIDDEN, nextCursor="x", _meta={"a": 1.5})
    assert json.loads(filter_json(encode(listed), choose)) == answer(SHOWN, nextCursor="x", _meta={"a": 1.5})
    assert json.loads(filter_json(encode(answer(HIDDEN)), choose)) == answer()


@pytest.mark.parametrize("scope", ["public", "private", "shared", None])
def test_a_list_that_was_cut_is_for_no_shared_cache_sta_04(scope: Any) -> None:
    for names in ((SHOWN, HIDDEN), (SHOWN,), ()):
        told = json.loads(filter_json(encode(answer(*names, cacheScope=scope, ttlMs=5)), choose))
        assert told["result"]["cacheScope"] == "private"
        assert told["result"]["ttlMs"] == 5
    assert "cacheScope" not in json.loads(filter_json(encode(answer(HIDDEN)), choose))["result"]


def test_every_list_of_a_batch_is_cut_rs_11() -> None:
    other = {"jsonrpc": "2.0", "id": 2, "result": {"content": []}}
    told = json.loads(filter_json(encode([answer(SHOWN, HIDDEN), other, None, answer(HIDDEN)]), choose))
    assert told == [answer(SHOWN), other, None, answer()]


@pytest.mark.parametrize(
    "spelling",
    [
        b'"tools"',
        b'"to\\u006fls"',
        b'"\\u0074\\u006F\\u006f\\u006C\\u0073"',
        b'"tool\\u0073"',
    ],
)
def test_a_name_that_json_lets_be_spelled_otherwise_is_the_same_name_t14(spelling: bytes) -> None:
    assert json.loads(filter_json(BOTH.replace(b'"tools"', spelling), choose)) == answer(SHOWN)
    escaped = BOTH.replace(b'"tools"', spelling).replace(b'"result"', b'"resul\\u0074"')
    assert json.loads(filter_json(escaped, choose)) == answer(SHOWN)
    assert HIDDEN not in feed(b"data: " + escaped + b"\n\n").decode()


UNREADABLE = {
    "broken": BOTH[:-1],
    "two documents": BOTH + BOTH,
    "a result twice": BOTH[:-1] + b',"result":{}}',
    "a list twice": b'{"id":1,"result":{"tools":[{"name":"burn"}],"tools":[]}}',
    "a name twice": b'{"id":1,"result":{"tools":[{"name":"burn","name":"book"}]}}',
    "another case": BOTH.replace(b'"tools"', b'"Tools"'),
    "a long s": BOTH.replace(b'"tools"', '"tool\u017f"'.encode()),
    "an escaped long s": BOTH.replace(b'"tools"', b'"tool\\u017F"'),
    "a result in another case": BOTH.replace(b'"result"', b'"RESULT"'),
    "no UTF-8": BOTH.replace(b"book", b"b\xffok"),
    "an overlong letter": BOTH.replace(b"book", b"b\xc1\xafok"),
    "UTF-16": BOTH.decode().encode("utf-16-le"),
    "UTF-16 with a mark": BOTH.decode().encode("utf-16"),
    "UTF-32": BOTH.decode().encode("utf-32-be"),
    "a control character": BOTH.replace(b"book", b"bo\nok"),
    "a comment": b"/* */" + BOTH,
    "too deep": BOTH.replace(b"1", b'{"a":' * 200_000 + b"1" + b"}" * 200_000, 1),
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_what_another_reader_could_find_a_list_in_is_not_passed_on_t14(body: bytes) -> None:
    with pytest.raises(UnreadableList):
        filter_json(body, choose)


def test_a_byte_order_mark_hides_nothing() -> None:
    assert json.loads(filter_json(b"\xef\xbb\xbf" + BOTH, choose)) == answer(SHOWN)


# Event streams


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("space", [b"", b" "])
def test_a_list_on_a_stream_is_cut_and_the_rest_of_its_event_stays_rs_11(end: bytes, space: bytes) -> None:
    lines = [b": hello", b"event: message", b"id: 7", b"data:" + space + BOTH, b"retry: 10", b"", b""]
    expected = [b": hello", b"event: message", b"id: 7", b"data: " + ONE, b"retry: 10", b"", b""]
    stream = end.join(lines)
    assert feed(stream) == end.join(expected)
    for size in (1, 2, 7, 100):
        assert feed(*(stream[at : at + size] for at in range(0, len(stream), size))) == end.join(expected)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_data_of_many_lines_is_one_list(end: bytes) -> None:
    pretty = json.dumps(answer(SHOWN, HIDDEN), indent=2).encode().split(b"\n")
    stream = end.join([b"id: 1", *(b"data: " + line for line in pretty), b"id: 2", b"data", b"", b""])
    assert feed(stream) == end.join([b"id: 1", b"data: " + ONE, b"id: 2", b"", b""])
    assert feed(*(bytes([byte]) for byte in stream)) == feed(stream)


@pytest.mark.parametrize(
    "chunk",
    [
        b"data: one\n\n",
        b"data: one\r\n\r\n",
        b"data: one\r\r",
        b"data: one\n\r",
        b"data: one\r\n\r",
        b"data: one\r\n\n",
        b"data: one\n\ndata: two\n\n",
        b": keep-alive\n",
        b":\n\n",
        b"\n",
        b"\r",
        b"retry: 3000\n\n",
        b"id: 7\n",
        b"event: endpoint\ndata: /messages?session=tools\n\n",
        b'data: {"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"tools":[]}}}\n\n',
        b'data: {"jsonrpc":"2.0",  "id":1,"result":{"content":[{"type":"text","text":"all \\"tools\\""}]}}\n\n',
        'data: {"é":"\u2028 \U0001f525"}\n\n'.encode(),
    ],
)
def test_what_is_complete_and_no_list_goes_on_at_once_byte_for_byte_trn_11(chunk: bytes) -> None:
    events = EventFilter(choose)
    assert events.feed(chunk) == chunk
    assert events.feed(chunk) == chunk
    assert events.finish() == b""


def test_data_waits_for_the_end_of_its_event_and_lines_before_it_do_not() -> None:
    events = EventFilter(choose)
    assert events.feed(b"id: 1\nda") == b"id: 1\n"
    assert events.feed(b"ta: one\n") == b""
    assert events.feed(b": two\n") == b""
    assert events.feed(b"\n: th") == b"data: one\n: two\n\n"
    assert events.feed(b"ree\n") == b": three\n"


FRAMINGS = {
    "LF CR": b"data: x\n\r",
    "CR LF CR": b"data: x\r\n\r",
    "CR CR LF": b"data: x\r\r\n",
    "LF LF": b"data: x\n\n",
    "a bare field": b"data\n\n",
    "empty data": b"data:\n\n",
    "nothing": b"",
    "an end": b"\r",
    "ends": b"\r\n\n\r\n\r",
    "a mark": b"\xef\xbb\xbf",
    "a mark and an end": b"\xef\xbb\xbf\n",
    "a comment": b":\n",
    "another field": b"x: y\n",
    "bad UTF-8": b"data: \xff\xfe\n\n",
}


@pytest.mark.parametrize("before", FRAMINGS.values(), ids=FRAMINGS)
@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r", b"\r\n\r", b"\r\n\n"])
def test_no_framing_brings_a_list_past_the_filter_t14(before: bytes, end: bytes) -> None:
    stream = before + b"data: " + BOTH + end + b"data: after\n\n"
    whole = feed(stream)
    assert HIDDEN.encode() not in whole
    assert [json.loads(data) for _, data, _ in read_events(whole) if data.startswith("{")] == [answer(SHOWN)]
    assert read_events(whole)[-1][1] == "after"
    for size in (1, 3, 16):
        assert feed(*(stream[at : at + size] for at in range(0, len(stream), size))) == whole


HIDING_PLACES = {
    **{f"data, {name}": b"data: " + body.replace(b"\n", b"\ndata: ") for name, body in UNREADABLE.items()},
    "more data": b"data: x\ndata: " + BOTH,
    "a comment": b": " + BOTH,
    "a space after data": b"data : " + BOTH,
    "a space before data": b" data: " + BOTH,
    "Data": b"Data: " + BOTH,
    "id": b"id: " + BOTH,
    "event": b"data: 1\nevent: " + BOTH,
    "a mark in between": b"data: 1\n\n\xef\xbb\xbfdata: " + BOTH,
    "a line separator in a comment": ": \u2028data: ".encode() + BOTH + "\u2028\u2028".encode(),
    "line separators in data": "data: 1\u2028\u2028data: ".encode() + BOTH + "\u2028\u2028".encode(),
    "vertical tabs": b"data: 1\x0b\x0bdata: " + BOTH + b"\x0b\x0b",
    "next lines": "data: 1\u0085\u0085data: ".encode() + BOTH,
}
# A name in UTF-16 is none in a stream, which is UTF-8 by definition.
STREAMS = {name: stream + b"\n\n" for name, stream in HIDING_PLACES.items() if b"\0" not in stream}


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_what_another_reader_of_the_stream_could_take_for_a_list_breaks_it_off_t14(stream: bytes) -> None:
    events = EventFilter(choose)
    with pytest.raises(UnreadableList):
        events.feed(stream)
    for _ in range(2):
        with pytest.raises(UnreadableList):
            events.feed(b"data: more\n\n")
    assert events.finish() == b""


def test_an_event_that_was_never_completed_brings_no_list_either() -> None:
    assert feed(b"data: " + BOTH) == b""
    assert feed(b"data: " + BOTH + b"\n") == b""
    assert feed(b"data: one\n\ndata: tw") == b"data: one\n\ndata: tw"


def test_a_long_event_goes_on_as_it_comes_as_long_as_it_names_no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MAX_LIST_SIZE", 100)
    events = EventFilter(choose)
    assert events.feed(b'id: 1\ndata: {"a":"') == b"id: 1\n"
    assert events.feed(b"x" * 100) == b'data: {"a":"' + b"x" * 100
    assert events.feed(b"y") == b"y"
    assert events.feed(b"z\ndata: ") == b"z\ndata: "
    assert events.feed(b"1\n") == b"1\n"
    assert events.feed(b"\ndata: ") == b"\n"
    assert events.feed(BOTH + b"\n\n") == b"data: " + ONE + b"\n\n"


@pytest.mark.parametrize("split", range(1, 7))
def test_a_long_event_that_names_tools_after_all_breaks_off(split: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MAX_LIST_SIZE", 100)
    for padding in (b"x" * 100, b"x\ndata: " * 20):
        events = EventFilter(choose)
        sent = events.feed(b"data: " + padding)
        sent += events.feed(b"y" + b'"tools"'[:split])
        with pytest.raises(UnreadableList):
            events.feed(b'"tools"'[split:] + b":1")
        assert b'"tools"' not in sent
    with pytest.raises(UnreadableList):
        EventFilter(choose).feed(b"data: " + BOTH[:50] + b"x" * 100)


def test_the_longest_list_is_eight_mib() -> None:
    event = b"data: " + encode(answer(SHOWN, HIDDEN, x=""))
    fits = event.replace(b'"x": ""', b'"x": "' + b"x" * (MAX_LIST_SIZE - len(event) - 2) + b'"')
    assert len(fits) == MAX_LIST_SIZE - 2
    assert HIDDEN.encode() not in feed(fits + b"\n", b"\n")
    with pytest.raises(UnreadableList):
        feed(fits.replace(b"xx", b"x" * 20, 1), b"\n\n")


def test_a_list_that_comes_in_single_bytes_is_read_once() -> None:
    stream = b"data: " + encode(answer(SHOWN, HIDDEN, x="x" * 300_000)) + b"\n\n"
    events = EventFilter(choose)
    out = b"".join(events.feed(stream[at : at + 1]) for at in range(len(stream)))
    assert json.loads(out[6:])["result"]["tools"] == [{"name": SHOWN}]


lines = st.one_of(
    st.sampled_from(
        [
            b"data: " + BOTH,
            b"data:" + BOTH,
            b"data: " + encode(answer(HIDDEN, HIDDEN)),
            b"data: one",
            b"data:",
            b"data",
            b'data: {"jsonrpc":"2.0",',
            b'data: "result":{"tools":[{"name":"burn"}]}}',
            b"event: message",
            b"id: 7",
            b"id",
            b"retry: 5",
            b": a comment",
            b":",
            b"",
            b"",
            b"dat",
            b"\xef\xbb\xbfdata: x",
            b"data: \xff",
        ]
    ),
    st.binary(max_size=6),
)
ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
streams = st.lists(st.tuples(lines, ends), max_size=25).map(lambda parts: b"".join(line + end for line, end in parts))


@given(streams, st.lists(st.integers(1, 40), min_size=1, max_size=20), st.booleans())
@example(b"data: x\n\rdata: " + BOTH + b"\n\r", [1], False)
@example(b"data: " + BOTH + b"\r\n\r\n", [1], False)
def test_any_chunking_of_any_stream_gives_the_same_events_without_what_is_hidden(
    stream: bytes,
    sizes: list[int],
    is_marked: bool,  # noqa: FBT001  # what Hypothesis gives
) -> None:
    stream = b"\xef\xbb\xbf" * is_marked + stream
    expected = _read_all(lambda events: events.feed(stream))
    if expected is None:
        return

    def in_chunks(events: EventFilter) -> bytes:
        out, at, turn = b"", 0, 0
        while at < len(stream):
            size = sizes[turn % len(sizes)]
            out += events.feed(stream[at : at + size])
            at, turn = at + size, turn + 1
        return out

    assert _read_all(in_chunks) == expected
    assert f'"name":"{HIDDEN}"' not in expected.decode("utf-8", "replace").replace(" ", "")
    told, passed = read_events(stream), read_events(expected)
    assert [(kind, last_id) for kind, _, last_id in told] == [(kind, last_id) for kind, _, last_id in passed]
    for (_, before, _), (_, after, _) in zip(told, passed, strict=True):
        assert after == before or json.loads(after)["result"]["tools"] == choose(json.loads(before)["result"]["tools"])
    if b'"tools"' not in stream:
        assert expected == stream


def _read_all(pass_on: Callable[[EventFilter], bytes]) -> bytes | None:
    events = EventFilter(choose)
    try:
        return pass_on(events) + events.finish()
    except UnreadableList:
        return None


# Whole answers


class Answer:
    """What a client gets of an app's messages."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def __call__(self, message: Any) -> None:
        self.sent.append(message)

    async def pass_on(self, *bodies: bytes, status: int = 200, **headers: str) -> None:
        send = ListingSend(self, choose)
        said = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": said})
        for at, body in enumerate(bodies):
            await send({"type": "http.response.body", "body": body, "more_body": at < len(bodies) - 1})

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    @property
    def is_whole(self) -> bool:
        starts = [message["type"] for message in self.sent].count("http.response.start")
        ends = [message for message in self.sent[1:] if not message.get("more_body", False)]
        return starts == 1 and len(ends) == 1 and ends[0] is self.sent[-1]


JSON_TYPES = [
    "application/json",
    "application/json; charset=utf-8",
    "Application/JSON",
    "application/json-seq",
    "text/plain, application/json",
]


@pytest.mark.parametrize("content_type", JSON_TYPES)
async def test_an_answer_in_json_is_cut_and_has_its_right_length_rs_11(content_type: str) -> None:
    answered = Answer()
    length = str(len(BOTH))
    await answered.pass_on(BOTH[:10], BOTH[10:], b"", Content_Type=content_type, Content_Length=length, X="y")
    assert (answered.status, answered.body, answered.is_whole) == (200, ONE, True)
    assert answered.headers == {b"Content-Type": content_type.encode(), b"X": b"y", b"content-length": b"%d" % len(ONE)}


async def test_a_length_is_said_one_way_only() -> None:
    answered = Answer()
    await answered.pass_on(BOTH, Content_Type="application/json", Transfer_Encoding="chunked")
    assert (b"Transfer-Encoding" in answered.headers, answered.headers[b"content-length"]) == (False, b"%d" % len(ONE))


async def test_a_stream_has_no_length_and_passes_event_by_event() -> None:
    answered = Answer()
    event = b"data: " + BOTH + b"\n\n"
    await answered.pass_on(
        b"data: one\n\n", event[:9], event[9:], b"", Content_Type="text/event-stream; x", Content_Length="999"
    )
    assert answered.headers == {b"Content-Type": b"text/event-stream; x"}
    assert [message.get("body") for message in answered.sent[1:]] == [b"data: one\n\n", b"data: " + ONE + b"\n\n", b""]
    assert answered.is_whole


@pytest.mark.parametrize("content_type", ["text/plain", "text/html; charset=utf-8", "image/png", ""])
async def test_what_no_client_takes_for_a_message_passes_at_once_and_untouched(content_type: str) -> None:
    answered = Answer()
    await answered.pass_on(b"\x1f\x8b", BOTH, Content_Type=content_type, Content_Encoding="gzip", Content_Length="9")
    assert answered.body == b"\x1f\x8b" + BOTH
    assert (len(answered.sent), answered.headers[b"Content-Length"]) == (3, b"9")


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_that_has_no_body_gets_no_length(status: int) -> None:
    answered = Answer()
    await answered.pass_on(b"", status=status, Content_Type="application/json", ETag="x")
    assert answered.headers == {b"Content-Type": b"application/json", b"ETag": b"x"}


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "GZIP", "identity, gzip", "x"])
async def test_a_compressed_answer_is_refused(content_type: str, encoding: str) -> None:
    answered = Answer()
    await answered.pass_on(BOTH, b"", Content_Type=content_type, Content_Encoding=encoding)
    assert (answered.status, answered.body, answered.is_whole) == (
        502,
        b"The server's answer cannot be read here.\n",
        True,
    )


async def test_an_answer_that_says_it_is_not_compressed_passes() -> None:
    answered = Answer()
    await answered.pass_on(BOTH, Content_Type="application/json", Content_Encoding="identity")
    assert (answered.status, answered.body) == (200, ONE)


async def test_an_answer_of_two_types_is_refused() -> None:
    answered = Answer()
    await answered.pass_on(b"data: " + BOTH + b"\n\n", Content_Type="application/json, text/event-stream")
    assert (answered.status, answered.is_whole) == (502, True)


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
async def test_an_answer_that_cannot_be_read_is_refused_t14(body: bytes) -> None:
    answered = Answer()
    await answered.pass_on(body[:20], body[20:], Content_Type="application/json")
    assert (answered.status, answered.is_whole, HIDDEN.encode() in answered.body) == (502, True, False)


async def test_a_stream_that_cannot_be_read_breaks_off() -> None:
    answered = Answer()
    with pytest.raises(UnreadableList):
        await answered.pass_on(b"data: one\n\n", b": " + BOTH + b"\n\n", Content_Type="text/event-stream")
    assert (answered.body, answered.is_whole) == (b"data: one\n\n", False)


async def test_a_list_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MAX_LIST_SIZE", 100)
    answered = Answer()
    await answered.pass_on(BOTH[:60], b" " * 60, BOTH[60:], Content_Type="application/json")
    assert (answered.status, answered.is_whole) == (502, True)


async def test_a_long_answer_that_names_no_tools_goes_on_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MAX_LIST_SIZE", 100)
    answered = Answer()
    parts = [b'{"a":"' + b"x" * 60, b"y" * 60, b'"tool"', b"z" * 200, b'"}']
    length = str(sum(map(len, parts)))
    await answered.pass_on(*parts, Content_Type="application/json", Content_Length=length)
    assert [m["body"] for m in answered.sent[1:]] == [parts[0] + parts[1], *parts[2:]]
    assert (answered.headers[b"Content-Length"], answered.is_whole) == (length.encode(), True)


@pytest.mark.parametrize("split", range(1, 7))
async def test_a_long_answer_that_names_tools_after_all_breaks_off(split: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MAX_LIST_SIZE", 100)
    answered = Answer()
    parts = [b"[" + b" " * 120, b'"tools"'[:split], b'"tools"'[split:], b"]"]
    with pytest.raises(UnreadableList):
        await answered.pass_on(*parts, Content_Type="application/json")
    assert (b'"tools"' in answered.body, answered.is_whole) == (False, False)


async def test_a_body_that_was_never_ended_is_never_begun() -> None:
    answered = Answer()
    send = ListingSend(answered, choose)
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BOTH, "more_body": True})
    assert answered.sent == []
