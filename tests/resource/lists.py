"""Lists of two tools, one of them hidden, told in the ways that one reader or another might take for a list."""

import json
from typing import Any

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
"""Bodies that name tools and that readers understand differently, or not at all."""
