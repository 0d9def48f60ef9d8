"""Headers that repeat the body: never a ground for a decision, and never at odds with it (T14, T46)."""

import json
from base64 import b64encode
from typing import Any

import anyio
import httpx2
import pytest
from mcp.server import MCPServer

from doorward.resource.mcp import protect
from doorward.resource.mirrored_headers import HeaderMismatch, check_mirrored_headers
from doorward.resource.policy import parse_calls
from tests.resource.test_mcp_adapter import ask_who, build_server, connect
from tests.resource.world import ISSUER, Echo, Mint, bind, browse, serve

NEW, OLD = "2026-07-28", "2025-11-25"
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
ENVELOPE = {VERSION_KEY: NEW, "io.modelcontextprotocol/clientCapabilities": {}}
Lines = list[tuple[str, str]]


def message(method: str = "tools/call", version: Any = None, **params: Any) -> dict[str, Any]:
    meta = {} if version is None else {"_meta": {VERSION_KEY: version}}
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": {**params, **meta}}


def accepts(lines: Lines, body: Any) -> bool:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in lines]
    try:
        check_mirrored_headers(raw, parse_calls(json.dumps(body).encode()))
    except HeaderMismatch:
        return False
    return True


def said(version: str | None, method: str | None = None, name: str | None = None) -> Lines:
    given = {"MCP-Protocol-Version": version, "Mcp-Method": method, "Mcp-Name": name}
    return [(header, value) for header, value in given.items() if value is not None]


CALL = message(name="weather", version=NEW)
NAMED = [
    ("tools/call", {"name": "weather"}, "weather"),
    ("prompts/get", {"name": "greet"}, "greet"),
    ("resources/read", {"uri": "file:///a%20b?c#d"}, "file:///a%20b?c#d"),
]


@pytest.mark.parametrize(("method", "params", "name"), NAMED)
def test_a_new_message_repeats_version_method_and_name_trn_04(method: str, params: dict[str, Any], name: str) -> None:
    body = message(method, NEW, **params)
    assert accepts(said(NEW, method, name), body)
    for lines in (
        said(None, method, name),
        said(OLD, method, name),
        said("2026-07-29", method, name),
        said(NEW, None, name),
        said(NEW, "tools/list", name),
        said(NEW, method.upper(), name),
        said(NEW, method, None),
        said(NEW, method, ""),
        said(NEW, method, "other"),
        said(NEW, method, name.upper()),
        said(NEW, method, f"{name}/"),
        said(NEW, f"{method}, {method}", name),
        said(NEW, method, f"{name}, {name}"),
        said("", method, name),
    ):
        assert not accepts(lines, body), lines


def test_a_method_that_is_about_nothing_by_name_repeats_none_trn_04() -> None:
    assert accepts(said(NEW, "tools/list"), message("tools/list", NEW))
    assert accepts(said(NEW, "tools/list", "anything"), message("tools/list", NEW))
    assert accepts(said(NEW, "tasks/get", "task-1"), message("tasks/get", NEW, taskId="task-1"))
    assert not accepts(said(NEW), message("tools/list", NEW))


def test_a_revision_that_is_not_known_here_is_taken_for_a_new_one_trn_04() -> None:
    for version in ("2027-01-01", "DRAFT-2026-v1", "zzz", "2025-11-2", "\u00b2025-11-25"):
        assert not accepts(said(version), message(name="weather", version=None))
    assert accepts(said("2027-01-01", "tools/call", "weather"), message(name="weather", version="2027-01-01"))


@pytest.mark.parametrize("version", [None, "2024-11-05", "2025-03-26", "2025-06-18", OLD, "1999-01-01"])
def test_an_old_message_need_not_repeat_but_must_not_contradict_trn_06_07_13(version: str | None) -> None:
    body = message(name="weather")
    assert accepts(said(version), body)
    assert accepts(said(version, "tools/call", "weather"), body)
    assert accepts(said(version, "tools/call"), body)
    assert not accepts(said(version, "tools/list"), body)
    assert not accepts(said(version, "tools/call", "book"), body)
    assert not accepts(said(version, None, "book"), body)


@pytest.mark.parametrize("version", [OLD, NEW, 20260728, None, ["2026-07-28"], {}, ""])
def test_a_body_that_names_its_revision_names_that_of_the_header_trn_04_13(version: Any) -> None:
    body = message("tools/list", version)
    assert accepts(said(OLD, "tools/list"), body) == (version in (OLD, None))
    assert accepts(said(NEW, "tools/list"), body) == (version in (NEW, None))
    assert accepts(said(None, "tools/list"), body) == (version is None)


def test_a_header_that_is_sent_twice_is_refused_though_both_agree_trn_05() -> None:
    lines = [*said(NEW, "tools/call", "weather"), ("Mcp-Param-City", "Rome")]
    assert accepts(lines, CALL)
    for line in lines:
        assert not accepts([*lines, line], CALL)
        assert not accepts([*lines, (line[0].upper(), line[1])], CALL)


@pytest.mark.parametrize("name", ["Mcp_Name", "MCP_PROTOCOL_VERSION", "Mcp_Method", "Mcp_Param-City", "mcp-param_city"])
def test_a_header_that_some_reader_takes_for_a_mirror_is_refused_t46(name: str) -> None:
    assert not accepts([*said(NEW, "tools/call", "weather"), (name, "weather")], CALL)


def test_underscores_in_the_name_of_a_parameter_are_its_own_trn_08() -> None:
    lines = [*said(NEW, "tools/call", "weather"), ("Mcp-Param-user_id", "1"), ("Mcp-Param-user-id", "2")]
    assert accepts([*lines, ("Mcp-Parameter", "\xff"), ("X-Mcp-Name", "book"), ("Mcp-Namespace", "x")], CALL)


def encoded(text: str) -> str:
    return f"=?base64?{b64encode(text.encode()).decode()}?="


@pytest.mark.parametrize("name", ["Wetter für alle", " weather", "天気", "=?base64?eA==?=", "weather"])
def test_an_encoded_name_is_decoded_before_it_is_compared_trn_05(name: str) -> None:
    body = message(name=name, version=NEW)
    assert accepts(said(NEW, "tools/call", encoded(name)), body)
    assert not accepts(said(NEW, "tools/call", encoded(f"{name}!")), body)


@pytest.mark.parametrize(
    "value",
    [
        "=?base64?d2VhdGhlcg?=",  # no padding
        "=?base64?d2VhdGhlcg=?=",
        "=?base64?d2VhdGhlch==?=",  # spare bits
        "=?base64?d2Vh dGhlcg==?=",
        "=?base64?d2Vh!dGhlcg==?=",
        "=?base64?d2VhdGhlcg==?==?=",
        "=?BASE64?d2VhdGhlcg==?=",
        "=?Base64?d2VhdGhlcg==?=",
        "=?base64?/w==?=",  # not UTF-8
        "=?base64?7aCA?=",  # a surrogate
        "weath\xe9r",
        "weather\x00",
        "weather\x7f",
        "weather\tx",
        "weather\r\nX: y",
    ],
)
def test_what_cannot_be_read_in_one_way_is_refused_in_names_and_parameters_trn_05(value: str) -> None:
    for body in (message("resources/read", uri=value), message("resources/read", uri="weather")):
        assert not accepts(said(None, "resources/read", value), body)
        assert not accepts([("Mcp-Param-City", value)], body)


@pytest.mark.parametrize("value", ["=?base64?d2VhdGhlcg==", "d2VhdGhlcg==?=", "=?utf-8?B?d2VhdGhlcg==?=", "a  b"])
def test_what_is_not_encoded_is_meant_as_it_stands_trn_05(value: str) -> None:
    assert accepts([*said(NEW, "tools/call", value), ("Mcp-Param-City", value)], message(name=value, version=NEW))


def test_space_around_a_value_is_not_part_of_it() -> None:
    assert accepts(said(NEW, "\ttools/call", " weather  "), CALL)


def test_a_notification_and_an_answer_repeat_nothing_and_contradict_nothing() -> None:
    notification = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    assert accepts(said(NEW), notification)
    assert accepts(said(NEW, "notifications/cancelled"), notification)
    assert not accepts(said(NEW, "tools/list"), notification)
    answer = {"jsonrpc": "2.0", "id": 7, "result": {}}
    assert accepts(said(OLD), answer)
    with pytest.raises(HeaderMismatch):
        check_mirrored_headers([(b"mcp-method", b"tools/call")], ())


def test_headers_speak_for_every_call_of_a_batch_trn_06() -> None:
    batch = [message(name="weather"), message(name="book")]
    assert accepts(said("2025-03-26"), batch)
    assert accepts(said("2025-03-26", "tools/call"), batch)
    assert not accepts(said("2025-03-26", "tools/call", "weather"), batch)
    assert not accepts(said("2025-03-26", "tools/call"), [*batch, message("ping")])
    assert not accepts(said(NEW), batch)
    assert accepts(said("2025-03-26"), [])


async def post(lines: Lines, body: Any, *, token: bool = True) -> tuple[httpx2.Response, Echo]:
    mint, app = Mint(), Echo()
    headers = [("Content-Type", "application/json"), *lines, *(mint.header("tools:write").items() if token else ())]
    guard = mint.protect(app, tools={"weather": [], "book": ["tools:write"]}, challenge_scopes=[])
    async with browse(guard) as client:
        return await client.post("/mcp", content=json.dumps(body), headers=headers), app


async def test_the_guard_refuses_what_contradicts_itself_trn_04_06() -> None:
    response, app = await post(said(NEW, "tools/call", "weather"), message(name="book", version=NEW))
    assert (response.status_code, app.calls) == (400, 0)
    text = "mcp-name header does not match the request body's 'name' parameter"
    assert response.json() == {"jsonrpc": "2.0", "id": 7, "error": {"code": -32020, "message": text}}
    response, app = await post(said(NEW), [message(name="book"), message(name="book")])
    assert (response.status_code, app.calls, response.json()["id"]) == (400, 0, None)
    response, app = await post(said(NEW, "tools/call", "book"), message(name="book", version=NEW))
    assert (response.status_code, app.calls) == (200, 1)


async def test_parameters_that_nobody_here_knows_reach_the_app_as_they_came_trn_08() -> None:
    lines = [*said(NEW, "tools/call", "weather"), ("Mcp-Param-City", encoded("Köln"))]
    response, app = await post(lines, CALL)
    assert response.status_code == 200
    assert (b"mcp-param-city", encoded("Köln").encode()) in app.scope["headers"]


async def test_who_has_no_token_is_told_so_before_anything_else_trn_15() -> None:
    for lines in (said(NEW, "tools/list"), said("zzz"), [("Mcp_Name", "x")], [("Mcp-Name", "a"), ("Mcp-Name", "b")]):
        response, app = await post(lines, CALL, token=False)
        assert (response.status_code, app.calls) == (401, 0)
        assert "jsonrpc" not in response.text


CASES: dict[str, tuple[Lines, dict[str, Any]]] = {
    "no method": (said(NEW, None, "whoami"), {}),
    "another method": (said(NEW, "tools/list", "whoami"), {}),
    "no name": (said(NEW, "tools/call"), {}),
    "another name": (said(NEW, "tools/call", "other"), {}),
    "an old version in the body": (said(NEW, "tools/call", "whoami"), {VERSION_KEY: OLD}),
    "no string for a version": (said(NEW, "tools/call", "whoami"), {VERSION_KEY: 7}),
    "another new version": (said("2027-01-01", "tools/call", "whoami"), {}),
    "two methods": ([*said(NEW, "tools/call", "whoami"), ("Mcp-Method", "tools/call")], {}),
    "two names": ([*said(NEW, "tools/call", "whoami"), ("mcp-name", "whoami")], {}),
    "two versions": ([*said(NEW, "tools/call", "whoami"), ("mcp-protocol-version", NEW)], {}),
}


async def test_the_guard_answers_word_for_word_what_the_sdks_own_server_does_trn_04() -> None:
    listener, url = bind()
    behind, bare_url = bind()
    mint = Mint(resource=f"{url}/mcp")
    server: MCPServer[Any] = build_server()
    guard = protect(
        server,
        issuer=ISSUER,
        resource=mint.resource,
        verifier=mint.verifier(),
        tools={"whoami": []},
        stateless_http=True,
    )
    bare = build_server().streamable_http_app(stateless_http=True)
    async with serve(guard, listener), serve(bare, behind), httpx2.AsyncClient() as client:
        for name, (lines, meta) in CASES.items():
            body = message(name="whoami", arguments={})
            body["params"]["_meta"] = ENVELOPE | meta
            headers = [("Accept", "application/json, text/event-stream"), *lines]
            told = [
                await client.post(f"{base}/mcp", json=body, headers=[*headers, *more])
                for base, more in ((bare_url, ()), (url, mint.header("").items()))
            ]
            assert [answer.status_code for answer in told] == [400, 400], name
            assert told[0].json() == told[1].json(), name
            assert told[1].json()["error"]["code"] == -32020


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_sdks_own_client_gets_through_in_every_revision_trn_04(mode: str) -> None:
    listener, url = bind()
    mint = Mint(resource=f"{url}/mcp")
    app = protect(build_server(), issuer=ISSUER, resource=mint.resource, verifier=mint.verifier(), tools={"whoami": []})
    async with serve(app, listener), connect(mint.resource, mint.header("x"), mode) as client:
        with anyio.fail_after(10):
            assert await ask_who(client) == f"alice app {ISSUER} {mint.resource} x"
