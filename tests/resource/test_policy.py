"""Scopes for tools: what is checked is what runs, and nothing that can be read two ways gets through (T14, T20)."""

import json
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.resource.policy import MAX_BODY_SIZE, AmbiguousMessage, Call, ToolPolicy, parse_calls
from tests.resource.world import Echo, Mint, browse

TOOLS = {"weather": [], "quotes": ["tools:read"], "book": ["tools:write"], "audit": ["tools:read", "audit:read"]}


def call(tool: Any, **more: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}, **more}


async def post(body: bytes | str, scope: str = "tools:read", **headers: str) -> tuple[httpx2.Response, Echo]:
    mint, app = Mint(), Echo()
    sent = {"Content-Type": "application/json", **mint.header(scope), **headers}
    async with browse(mint.protect(app, tools=TOOLS)) as client:
        return await client.post("/mcp", content=body, headers=sent), app


@pytest.mark.parametrize(
    ("tool", "scope", "status"),
    [
        ("weather", "", 200),
        ("quotes", "", 403),
        ("quotes", "tools:read", 200),
        ("book", "tools:read", 403),
        ("book", "tools:write", 200),
        ("book", "tools:read tools:write", 200),
        ("audit", "audit:read", 403),
        ("audit", "audit:read tools:read", 200),
        ("unlisted", "", 403),
        ("unlisted", "tools:read", 200),
        ("Book", "", 403),
        ("book ", "", 403),
        ("tools/book", "", 403),
    ],
)
async def test_a_call_needs_the_scopes_of_its_tool(tool: str, scope: str, status: int) -> None:
    response, app = await post(json.dumps(call(tool)), scope)
    assert (response.status_code, app.calls) == (status, int(status == 200))


async def test_the_challenge_names_what_is_needed_and_what_is_held_step_02_03_t20() -> None:
    response, _ = await post(json.dumps(call("book")), "tools:read")
    assert response.headers["www-authenticate"] == (
        'Bearer error="insufficient_scope", '
        'error_description="This needs scopes that the access token does not carry.", '
        'resource_metadata="https://api.test/.well-known/oauth-protected-resource/mcp", scope="tools:read tools:write"'
    )
    assert response.json()["error"] == "insufficient_scope"


@pytest.mark.parametrize("version", ["", "2025-11-25", "2026-07-28"])
async def test_what_the_headers_say_is_called_decides_nothing_trn_06_07(version: str) -> None:
    told = {"MCP-Protocol-Version": version} if version else {}
    said = {**told, "Mcp-Method": "tools/call", "Mcp-Name": "book"}
    response, app = await post(json.dumps(call("book")), "tools:read", **said)
    assert (response.status_code, app.calls) == (403, 0)
    response, app = await post(json.dumps(call("book")), "tools:read", **{**said, "Mcp-Name": "weather"})
    assert (response.status_code, app.calls) == (400, 0)
    response, app = await post(json.dumps(call("weather")), "tools:write", **said)
    assert (response.status_code, app.calls) == (400, 0)


@pytest.mark.parametrize("method", ["initialize", "tools/list", "ping", "server/discover", "tools/calls", "x"])
async def test_other_methods_need_a_token_and_no_scope(method: str) -> None:
    response, _ = await post(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method}), "")
    assert response.status_code == 200


async def test_one_denied_call_denies_the_batch_and_names_all_scopes_step_02_03() -> None:
    batch = [call("weather"), call("book"), call("audit")]
    response, app = await post(json.dumps(batch), "profile")
    assert (response.status_code, app.calls) == (403, 0)
    assert response.headers["www-authenticate"].endswith('scope="profile tools:write tools:read audit:read"')
    response, app = await post(json.dumps(batch), "tools:read tools:write audit:read")
    assert (response.status_code, app.calls) == (200, 1)


@pytest.mark.parametrize(
    "body",
    [
        b'{ "jsonrpc":"2.0",\n\t"id": 1, "method":"tools/call","params":{"name":"weather","arguments":{"x":1.50}} }\n',
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"weather","arguments":{"é":"\\u00e9"}}}'.encode(),
        b'{"jsonrpc":"2.0","id":1,"result":{"name":"book"}}',
        b"[]",
        b"",
    ],
)
async def test_the_app_gets_the_bytes_that_were_checked(body: bytes) -> None:
    response, app = await post(body, "")
    assert (response.status_code, app.bodies) == (200, [body])


async def test_the_app_gets_a_body_in_many_pieces_whole() -> None:
    mint, app = Mint(), Echo()
    body = json.dumps(call("weather", pad="x" * 10_000)).encode()

    async def pieces() -> Any:
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    headers = {"Content-Type": "application/json", **mint.header("")}
    async with browse(mint.protect(app, tools=TOOLS)) as client:
        response = await client.post("/mcp", content=pieces(), headers=headers)
    assert (response.status_code, app.bodies) == (200, [body])


AMBIGUOUS = [
    '{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call","params":{"name":"book"}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/list","Method":"tools/call","params":{"name":"book"}}',
    '{"jsonrpc":"2.0","id":1,"METHOD":"tools/call","params":{"name":"book"}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"weather","name":"book"}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"weather","Name":"book"}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"weather"},"Params":{"name":"book"}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"weather"},"param\u017f":{"name":"book"}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"weather","argument\u017f":{}}}',
    '{"jsonrpc":"2.0","id":1,"ID":2,"method":"tools/list"}',
    '{"JSONRPC":"2.0","id":1,"method":"tools/list"}',
    '{"jsonrpc":"2.0","id":1,"m\\u0065thod":"tools/list","method":"tools/call","params":{"name":"book"}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"weather","arguments":{"a":1,"a":2}}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call"}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["book"]}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["book"]}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":null}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":""}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"book\\u0000"}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"weather\\n"}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"book\\ud800"}}',
    '{"jsonrpc":"2.0","id":1,"method":["tools/call"],"params":{"name":"book"}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call\\u0000","params":{"name":"book"}}',
    '{"jsonrpc":"2.0","id":1,"method":null}',
    '{"jsonrpc":"2.0","id":NaN,"method":"tools/list"}',
    '{"jsonrpc":"2.0","id":-Infinity,"method":"tools/list"}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/list",}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/list"} {"method":"tools/call"}',
    "{'jsonrpc':'2.0','id':1,'method':'tools/list'}",
    '/* */{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
    '\ufeff{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
    '{"jsonrpc":"2.0","id":' + "9" * 5000 + ',"method":"tools/list"}',
    '{"a":' * 100_000,
    "[" * 100_000,
    "null",
    '"tools/call"',
    "1",
    "[1]",
    '[{"jsonrpc":"2.0","method":"ping"},[]]',
    "not json",
]


@pytest.mark.parametrize("body", AMBIGUOUS, ids=range(len(AMBIGUOUS)))
async def test_a_body_that_can_be_read_two_ways_is_refused_t14(body: str) -> None:
    response, app = await post(body, "tools:read tools:write audit:read")
    assert (response.status_code, app.calls) == (400, 0)
    error = response.json()["error"]
    assert error["code"] in {-32700, -32600}
    assert response.json() == {"jsonrpc": "2.0", "id": None, "error": error}


@pytest.mark.parametrize(
    "body", [b'{"method":"\xff"}', b'{"method":"ping"}'.decode().encode("utf-16"), b"\x1f\x8b\x08\x00"]
)
async def test_a_body_that_is_not_utf_8_is_refused(body: bytes) -> None:
    response, app = await post(body)
    assert (response.status_code, app.calls) == (400, 0)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json; charset=utf-7"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/jsonp"},
        {"Content-Type": "multipart/form-data; boundary=application/json"},
        {"Content-Type": ""},
        {"Content-Encoding": "gzip"},
        {"Content-Encoding": "br"},
        {"Content-Encoding": "identity"},
    ],
)
async def test_a_body_that_the_app_could_decode_otherwise_is_refused(headers: dict[str, str]) -> None:
    response, app = await post(json.dumps(call("weather")), **headers)
    assert (response.status_code, app.calls) == (415, 0)


@pytest.mark.parametrize("content_type", ["application/json;charset=utf-8", 'Application/JSON; charset="UTF-8"'])
async def test_utf_8_may_be_said(content_type: str) -> None:
    response, _ = await post(json.dumps(call("weather")), **{"Content-Type": content_type})
    assert response.status_code == 200


async def test_the_largest_body_is_four_mib_t48() -> None:
    empty = json.dumps(call("weather", pad=""))
    fits = json.dumps(call("weather", pad="x" * (MAX_BODY_SIZE - len(empty))))
    assert len(fits) == MAX_BODY_SIZE
    assert (await post(fits))[0].status_code == 200
    response, app = await post(fits + " ")
    assert (response.status_code, app.calls) == (413, 0)


async def test_a_body_without_a_declared_size_is_read_no_further_than_the_limit() -> None:
    mint, app, sent = Mint(), Echo(), []
    pieces = 0

    async def receive() -> Any:
        nonlocal pieces
        pieces += 1
        return {"type": "http.request", "body": b" " * 1024 * 1024, "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"api.test"), (b"authorization", mint.header()["Authorization"].encode())]
    scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": headers}
    await mint.protect(app, tools=TOOLS)(scope, receive, send)
    assert (sent[0]["status"], pieces, app.calls) == (413, 5, 0)


async def test_a_body_that_breaks_off_reaches_nobody() -> None:
    mint, app, sent = Mint(), Echo(), []

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def send_to_nobody(message: Any) -> None:
        raise OSError("disconnected")

    headers = [(b"host", b"api.test"), (b"authorization", mint.header()["Authorization"].encode())]
    scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": headers}
    await mint.protect(app, tools=TOOLS)(scope, receive, send)
    await mint.protect(app, tools=TOOLS)(scope, receive, send_to_nobody)
    assert (sent[0]["status"], app.calls) == (400, 0)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
async def test_a_method_without_a_body_brings_none_to_the_app(method: str) -> None:
    mint, app = Mint(), Echo()
    headers = {"Content-Type": "application/json", "X-HTTP-Method-Override": "POST", **mint.header("")}
    async with browse(mint.protect(app, tools=TOOLS)) as client:
        response = await client.request(method, "/mcp", content=json.dumps(call("book")), headers=headers)
    assert (response.status_code, app.bodies) == (200, [b""])


@pytest.mark.parametrize("method", ["PUT", "PATCH", "FOO", "post"])
async def test_a_body_is_checked_whatever_the_method_and_path(method: str) -> None:
    mint, app = Mint(), Echo()
    headers = {"Content-Type": "application/json", **mint.header("")}
    async with browse(mint.protect(app, tools=TOOLS)) as client:
        response = await client.request(method, "/messages", content=json.dumps(call("book")), headers=headers)
    assert (response.status_code, app.calls) == (403, 0)


async def test_required_scopes_are_part_of_what_a_tool_needs_step_02() -> None:
    mint = Mint()
    headers = {"Content-Type": "application/json", **mint.header("base")}
    async with browse(mint.protect(Echo(), tools=TOOLS, required_scopes=["base"])) as client:
        response = await client.post("/mcp", content=json.dumps(call("book")), headers=headers)
    assert response.headers["www-authenticate"].endswith('scope="base tools:write"')


async def test_without_tools_a_body_that_is_not_for_the_server_itself_is_the_apps_own_affair() -> None:
    mint, app = Mint(), Echo()
    async with browse(mint.protect(app)) as client:
        response = await client.post("/upload", content=b"not json", headers=mint.header())
        refused = await client.post("/mcp", content=b"not json", headers=mint.header())
    assert (response.status_code, refused.status_code, app.bodies) == (200, 415, [b"not json"])


json_like = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just("tools/call")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["jsonrpc", "method", "Method", "params", "name", "Name", "id"]), inner, max_size=5
        ),
    ),
    max_leaves=10,
)


@given(st.one_of(st.binary(max_size=100), json_like.map(lambda value: json.dumps(value).encode())))
def test_any_body_is_calls_or_ambiguous(body: bytes) -> None:
    try:
        calls = parse_calls(body)
    except AmbiguousMessage:
        return
    messages = json.loads(body)
    methods = [m["method"] for m in (messages if isinstance(messages, list) else [messages]) if "method" in m]
    assert [found.method for found in calls] == methods


def test_calls_of_tools_are_told_from_other_calls() -> None:
    body = json.dumps(
        [call("book"), {"jsonrpc": "2.0", "method": "notifications/initialized"}, {"id": 1, "result": {}}]
    )
    assert parse_calls(body.encode()) == (
        Call("tools/call", "book", 1, "book"),
        Call("notifications/initialized"),
    )
    assert ToolPolicy(TOOLS, otherwise=()).needed("book") == ("tools:write",)
