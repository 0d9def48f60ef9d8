"""Whole answers on their way to a client: held, cut and measured where they may hold a list, untouched otherwise."""

from typing import Any

import pytest

from doorward.resource import listing
from doorward.resource.listing import ListingSend, UnreadableList
from tests.resource.lists import BOTH, HIDDEN, ONE, UNREADABLE, choose


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
