"""Lists of tools on their way to a client: nothing that it may not call, however the list is told."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from doorward.resource import listing
from doorward.resource.listing import MAX_LIST_SIZE, EventFilter, UnreadableList, filter_json
from tests.resource.lists import BOTH, HIDDEN, ONE, SHOWN, UNREADABLE, answer, choose, encode


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
