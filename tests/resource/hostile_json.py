"""Bodies that readers of JSON do not agree on, and bodies that look as if they did not (T14).

Each calls `book`, which the token does not open, for somebody; or could be taken for two things; or is no JSON.
"""

from collections.abc import Callable, Iterator

CALL = '"method":"tools/call"'
BOOK = '"params":{"name":"book"}'
WEATHER = '"params":{"name":"weather"}'
START = '{"jsonrpc":"2.0","id":1,'
GOOD = f"{START}{CALL},{WEATHER}}}"
_SPELLED_METHODS = {
    "in upper case": "TOOLS/CALL",
    "in mixed case": "tools/Call",
    "with a space": "tools/call ",
    "behind a space": " tools/call",
    "with a Kelvin sign's kin": "tool\u017f/call",
    "in full width": "\uff54ools/call",
    "of the list, in mixed case": "Tools/List",
    "of a prompt, in mixed case": "prompts/Get",
    "of a resource, in mixed case": "resources/READ",
    "with a NUL": "tools/call\\u0000",
    "with a zero-width space": "tools/call\u200b",
    "with a line break": "tools/call\\n",
    "with a byte order mark": "\ufefftools/call",
}
_SPELLED_MEMBERS: dict[str, Callable[[str], str]] = {
    "in upper case": str.upper,
    "with a capital": str.capitalize,
    "with a space": "{} ".format,
    "behind a space": " {}".format,
    "with a NUL": "{}\\u0000".format,
    "with a NUL and more": "{}\\u0000x".format,
    "with a zero-width space": "{}\u200b".format,
    "behind a byte order mark": "\ufeff{}".format,
    "with a line break": "{}\\n".format,
    "with an escape and a capital": lambda name: f"\\u00{ord(name[0].upper()):02x}{name[1:]}",
    "in full width": lambda name: chr(ord(name[0]) + 0xFEE0) + name[1:],
}
_VERSION = "io.modelcontextprotocol/protocolVersion"


def _members() -> Iterator[tuple[str, str]]:
    for how, spell in _SPELLED_MEMBERS.items():
        yield f"method {how}, instead", f'{START}"{spell("method")}":"tools/call",{BOOK}}}'
        yield f"method {how}, beside", f'{START}"method":"ping","{spell("method")}":"tools/call",{BOOK}}}'
        yield f"params {how}, beside", f'{START}{CALL},{WEATHER},"{spell("params")}":{{"name":"book"}}}}'
        yield f"name {how}, beside", f'{START}{CALL},"params":{{"name":"weather","{spell("name")}":"book"}}}}'
        yield f"name {how}, first", f'{START}{CALL},"params":{{"{spell("name")}":"book","name":"weather"}}}}'
        yield f"name {how}, instead", f'{START}{CALL},"params":{{"{spell("name")}":"book"}}}}'
        yield f"id {how}, beside", f'{START}{CALL},{WEATHER},"{spell("id")}":2}}'
        yield f"jsonrpc {how}, beside", f'{START}{CALL},{WEATHER},"{spell("jsonrpc")}":"1.0"}}'
        yield (
            f"arguments {how}, beside",
            f'{START}{CALL},"params":{{"name":"weather","arguments":{{}},"{spell("arguments")}":{{}}}}}}',
        )
        yield (
            f"uri {how}, beside",
            f'{START}"method":"resources/read","params":{{"uri":"a:b","{spell("uri")}":"c:d"}}}}',
        )
        meta = f'"_meta":{{"{_VERSION}":"2025-11-25","{spell(_VERSION)}":"2026-07-28"}}'
        yield f"the revision {how}, beside", f'{START}"method":"ping","params":{{{meta}}}}}'
        yield (
            f"in a batch: name {how}",
            f'[{GOOD},{START}{CALL},"params":{{"name":"weather","{spell("name")}":"book"}}}}]',
        )
    for member in ("param\u017f", "param\\u017f", "j\u017fonrpc"):
        yield f"a long s in {member!a}", f'{START}{CALL},{WEATHER},"{member}":{{"name":"book"}}}}'
    yield "a long s in arguments", f'{START}{CALL},"params":{{"name":"weather","argument\u017f":{{}}}}}}'


def _duplicates() -> Iterator[tuple[str, str]]:
    yield "two methods", f'{START}"method":"ping",{CALL},{BOOK}}}'
    yield "two methods that agree", f"{START}{CALL},{CALL},{WEATHER}}}"
    yield "two methods, one escaped", f'{START}"method":"ping","m\\u0065thod":"tools/call",{BOOK}}}'
    yield "two methods, escaped both", f'{START}"\\u006dethod":"ping","m\\u0065thod":"tools/call",{BOOK}}}'
    yield "two params", f"{START}{CALL},{WEATHER},{BOOK}}}"
    yield "two names", f'{START}{CALL},"params":{{"name":"weather","name":"book"}}}}'
    yield "two names, one null", f'{START}{CALL},"params":{{"name":"book","name":null}}}}'
    yield "two ids", f'{START}"id":2,{CALL},{WEATHER}}}'
    yield "two revisions", f'{START}"method":"ping","params":{{"_meta":{{"{_VERSION}":"a","{_VERSION}":"b"}}}}}}'
    yield "two arguments", f'{START}{CALL},"params":{{"name":"weather","arguments":{{}},"arguments":{{}}}}}}'
    yield (
        "two members within the arguments",
        f'{START}{CALL},"params":{{"name":"weather","arguments":{{"a":[{{"b":1,"b":2}}]}}}}}}',
    )
    yield "two members in an answer", '{"jsonrpc":"2.0","id":1,"result":{"a":1,"a":2}}'
    yield "two members in a batch", f"[{GOOD},{START}{CALL},{CALL},{WEATHER}}}]"


def _shapes() -> Iterator[tuple[str, str]]:
    for how, method in _SPELLED_METHODS.items():
        yield f"a method {how}", f'{START}"method":"{method}",{BOOK}}}'
    for value in ("null", "1", "true", "[]", "{}", '["tools/call"]', '""', '"\\ud800"', f'"{"a" * 257}"'):
        yield f"a method that is {value[:20]}", f'{START}"method":{value},{BOOK}}}'
    for value in ("null", "1", "true", "[]", "{}", '["book"]', '{"name":"book"}', '""', '"\\ud800"', f'"{"a" * 257}"'):
        yield f"a tool that is {value[:20]}", f'{START}{CALL},"params":{{"name":{value}}}}}'
    for value in (
        '"book\\u0000"',
        '"book\\n"',
        '"\\tbook"',
        '"book\\u200b"',
        '"\\ufeffbook"',
        '"b\\u202eook"',
        '"bo\\u00adok"',
    ):
        yield f"a tool that is {value}", f'{START}{CALL},"params":{{"name":{value}}}}}'
    for value in ("null", "1", "true", '"book"', '["book"]', '[{"name":"book"}]', "[]", "{}"):
        yield f"params that are {value}", f'{START}{CALL},"params":{value}}}'
    yield "no params", f"{START}{CALL}}}"
    for value in ("true", "false", "1.5", "1e0", "[]", "{}", "[1]"):
        yield f"an id that is {value}", f'{{"jsonrpc":"2.0","id":{value},{CALL},{WEATHER}}}'
    yield "a call that is an answer, too", f'{START}{CALL},{WEATHER},"result":{{}}}}'
    yield "a call that is a failure, too", f'{START}{CALL},{WEATHER},"error":{{"code":1,"message":"x"}}}}'
    for value in (
        "null",
        "true",
        "1",
        '"tools/call"',
        "[[]]",
        f"[[{GOOD}]]",
        f"[{GOOD},null]",
        f"[{GOOD},[]]",
        "[1,2]",
    ):
        yield f"a body that is {value.replace(GOOD, '…')}", value
    yield "a call within a text", '"' + GOOD.replace('"', '\\"') + '"'
    yield "a batch with a call that is not allowed", f"[{START}{CALL}}},{GOOD}]"


_AROUND = {
    "a comment before": "/* */%s",
    "a comment after": "%s//x",
    "a hash before": "#x\n%s",
    "a comma after": "%s,",
    "a second document": "%s{}",
    "a second document on its own line": "%s\n%s",
    "a NUL after": "%s\x00",
    "a NUL before": "\x00%s",
    "a vertical tab before": "\x0b%s",
    "a no-break space before": "\xa0%s",
    "a line separator before": "\u2028%s",
    "a byte order mark": "\ufeff%s",
    "a prefix against scripts": ")]}'\n%s",
    "a name of JSONP": "x(%s)",
    "a record separator": "\x1e%s\n",
    "an event": "data: %s\n\n",
    "half a batch": "[%s",
    "a comma in a batch": "[%s,]",
    "no comma in a batch": "[%s %s]",
}
_WITHIN = {
    "a comma too many": '"x":1,',
    "a comment within": '"x":/* */1',
    "NaN": '"x":NaN',
    "infinity": '"x":Infinity',
    "less than infinity": '"x":[-Infinity]',
    "a number of 5,000 digits": f'"x":{"9" * 5000}',
    "a zero in front": '"x":01',
    "a plus": '"x":+1',
    "no whole part": '"x":.5',
    "no fraction": '"x":1.',
    "hexadecimal": '"x":0x1',
    "an underscore": '"x":1_0',
    "a bare word": '"x":undefined',
    "True": '"x":True',
    "single quotes": "'x':1",
    "no quotes": "x:1",
    "no colon": '"x" 1',
    "a raw tab in a text": '"x":"\t"',
    "a raw line break in a text": '"x":"\n"',
    "a raw NUL in a text": '"x":"\x00"',
    "an unknown escape": '"x":"\\x41"',
    "half an escape": '"x":"\\u00"',
    "an open text": '"x":"',
    "a number for a name": "1:1",
}


def _no_json() -> Iterator[tuple[str, str | bytes]]:
    for how, template in _AROUND.items():
        yield how, template.replace("%s", GOOD)
    for how, member in _WITHIN.items():
        yield how, f"{GOOD[:-1]},{member}}}"
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "cp037", "utf-8-sig"):
        yield f"in {encoding}", GOOD.encode(encoding)
    raw = GOOD.encode()
    yield "overlong UTF-8", raw.replace(b"weather", b"b\xc1\xafok")
    yield "a surrogate in UTF-8", raw.replace(b"weather", b"book\xed\xa0\x80")
    yield "UTF-8 cut short", raw[:-2] + b'\xc3"}'
    yield "UTF-8 beyond Unicode", raw.replace(b"weather", b"\xf4\x90\x80\x80")
    yield "Latin-1", raw.replace(b"weather", b"caf\xe9")
    yield "gzip", b"\x1f\x8b\x08" + bytes(20)
    yield "CBOR", b"\xa2\x66method\x6atools/call"
    yield "YAML", "jsonrpc: '2.0'\nmethod: tools/call\n"
    yield "XML", "<call>book</call>"
    yield "a form", "method=tools/call&name=book"
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        yield f"{opening!r} 100,000 deep", opening * 100_000
        yield f"{opening!r} 100,000 deep and closed", opening * 100_000 + "1" + closing * 100_000
        nested = opening * 100_000 + "1" + closing * 100_000
        yield (
            f"{opening!r} 100,000 deep in the arguments",
            GOOD.replace('"weather"', f'"weather","arguments":{{"x":{nested}}}'),
        )


def build() -> dict[str, bytes]:
    """Every hostile body, by what is wrong with it."""
    bodies: dict[str, bytes] = {}
    for name, text in (*_members(), *_duplicates(), *_shapes(), *_no_json()):
        assert name not in bodies, name
        bodies[name] = text if isinstance(text, bytes) else text.encode()
    return bodies


BODIES = build()
ODD_BUT_CLEAR: dict[str, str] = {
    "escapes in a name": f'{START}"m\\u0065thod":"tools\\/call","params":{{"n\\u0061me":"we\\u0061ther"}}}}',
    "space everywhere": f" \t\r\n{GOOD.replace(',', ' , ')}\r\n ",
    "members in another order": '{"params":{"name":"weather"},"method":"tools/call","id":1,"jsonrpc":"2.0"}',
    "members nobody knows": f'{GOOD[:-1]},"x":{{"method":"tools/call","params":{{"name":"book"}}}}}}',
    "the protocol's names in the arguments": GOOD.replace(
        '"weather"', '"weather","arguments":{"name":"book","Name":"book","method":"tools/call","METHOD":1}'
    ),
    "a lone surrogate in the arguments": GOOD.replace('"weather"', '"weather","arguments":{"x":"\\ud83d"}'),
    "great and small numbers": GOOD.replace(
        '"weather"', '"weather","arguments":{"x":[1e999,-0,0.1e-400,123456789012345678901]}'
    ),
    "an empty batch": "[]",
    "an answer": '{"jsonrpc":"2.0","id":1,"result":{"method":"tools/call","params":{"name":"book"}}}',
    "an id of text": GOOD.replace('"id":1', '"id":"\\ud800\\u0000"'),
    "nested 500 deep": GOOD.replace('"weather"', f'"weather","arguments":{{"x":{"[" * 500}{"]" * 500}}}'),
}
"""What is clear to every reader, however odd: the app gets it byte for byte."""
