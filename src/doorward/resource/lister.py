"""Asking the server behind the guard for its tools, as a client of whichever revision it speaks."""

import json
import math
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

import anyio

from .asgi import ASGIApp, Header, Message, Scope, build_header
from .catalogue import ListRefused
from .legacy_lister import NoLegacyServer, list_legacy_tools
from .listing import MAX_LIST_SIZE
from .principal import OURSELVES

HANDSHAKE_VERSION = "2025-11-25"
STATELESS_VERSION = "2026-07-28"
MAX_PAGES = 50
MAX_QUESTIONS = 20
"""How many questions of the server are answered while it lists its tools."""
PATIENCE_SECONDS = 5
"""How long a server may take to list its tools to a client that can do everything: it may wait for that client."""
METHOD_NOT_FOUND = -32601
_CLIENT = {"name": "doorward", "version": "1"}
_CAPABILITIES: dict[str, Any] = {
    "roots": {},
    "sampling": {"context": {}, "tools": {}},
    "elicitation": {"form": {}, "url": {}},
}
"""All that a client can do: servers may keep tools from clients that could not answer what they ask."""
_TASKS: dict[str, Any] = {
    "list": {},
    "cancel": {},
    "requests": {"sampling": {"createMessage": {}}, "elicitation": {"create": {}}},
}
_META = "io.modelcontextprotocol"


class AppLister:
    """Lists the tools of an ASGI app that serves MCP at `path`: a server in this process, or a way to one elsewhere.

    It asks as a client with a session first, which nearly every server knows, then as one without, and last as one of
    2024-11-05. It says that it can do whatever a client can, since some servers list less to others; what they ask
    meanwhile is answered with an error. `principal_key` is the key of the ASGI scope under which the app looks for
    who calls. Calling it raises `ListRefused`.

    Spec: MCP Lifecycle; MCP Tools, Listing Tools; MCP Transports
    """

    def __init__(self, app: ASGIApp, *, path: str, principal_key: str) -> None:
        self._app = app
        self._path = path
        self._principal_key = principal_key

    async def __call__(self) -> list[Any]:
        """The members of `tools/list`, all pages of it."""
        reasons = []
        for ask in (self._list_in_session, self._list_stateless, self._list_legacy):
            try:
                return await ask()
            except (ListRefused, NoLegacyServer) as refusal:
                reasons.append(str(refusal))
        is_cut = reasons[0] == reasons[1]  # whatever is asked, the same is said
        raise ListRefused(reasons[0] if is_cut else "; ".join(reason.rstrip(".") for reason in reasons))

    async def _list_in_session(self) -> list[Any]:
        able = {**_CAPABILITIES, "tasks": _TASKS}
        try:
            return await self._list_as(able, patience=PATIENCE_SECONDS)
        except TimeoutError:
            return await self._list_as({}, patience=math.inf)

    async def _list_as(self, capabilities: Mapping[str, Any], *, patience: float) -> list[Any]:
        """What the server lists to a client that can do this. Raises `TimeoutError` when it does not for so long."""
        parameters = {"protocolVersion": HANDSHAKE_VERSION, "capabilities": capabilities, "clientInfo": _CLIENT}
        result, headers = await self._ask(1, "initialize", parameters, {})
        version = result.get("protocolVersion")
        own = {"MCP-Protocol-Version": version if isinstance(version, str) else HANDSHAKE_VERSION}
        if session_id := headers.get("mcp-session-id"):
            own["Mcp-Session-Id"] = session_id
        try:
            await self._post({"jsonrpc": "2.0", "method": "notifications/initialized"}, own)
            offered = result.get("capabilities")
            if isinstance(offered, Mapping) and "tools" not in offered:
                return []
            with anyio.fail_after(patience):
                return await self._read_pages({}, own)
        finally:
            if session_id:
                await self._send("DELETE", b"", own)

    async def _list_stateless(self) -> list[Any]:
        own = {"MCP-Protocol-Version": STATELESS_VERSION, "Mcp-Method": "tools/list"}
        meta = {
            f"{_META}/protocolVersion": STATELESS_VERSION,
            f"{_META}/clientInfo": _CLIENT,
            f"{_META}/clientCapabilities": _CAPABILITIES,
        }
        return await self._read_pages({"_meta": meta}, own)

    async def _list_legacy(self) -> list[Any]:
        return await list_legacy_tools(self._app, self._build_scope, _CLIENT)

    async def _read_pages(self, parameters: dict[str, Any], headers: Mapping[str, str]) -> list[Any]:
        tools: list[Any] = []
        cursor: dict[str, Any] = {}
        for page in range(MAX_PAGES):
            result, _ = await self._ask(page + 2, "tools/list", {**parameters, **cursor}, headers)
            members = result.get("tools")
            if not isinstance(members, list):
                raise ListRefused("tools/list was answered without a list of tools")
            tools += members
            if not result.get("nextCursor"):
                return tools
            cursor = {"cursor": result["nextCursor"]}
        raise ListRefused(f"the list of tools has more than {MAX_PAGES} pages")

    async def _ask(
        self, request_id: int, method: str, parameters: dict[str, Any], headers: Mapping[str, str]
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """The result of a request, and the headers it came with."""
        message = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": parameters}
        answered, body = await self._post(message, headers)
        for answer in _read_messages(answered.get("content-type", ""), body):
            if isinstance(answer, dict) and answer.get("id") == request_id and "method" not in answer:
                if isinstance(result := answer.get("result"), dict):
                    return result, answered
                raise ListRefused(f"{method}: {_describe(answer.get('error'))}")
        if told := _read_problem(body):
            raise ListRefused(told)
        raise ListRefused(f"{method} was answered with status {answered[':status']} and no result")

    async def _post(self, message: dict[str, Any], headers: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
        return await self._send("POST", json.dumps(message).encode(), headers)

    async def _send(self, method: str, body: bytes, headers: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
        """One request to the app; its answer's headers, with the status among them, and its body."""
        answer = _Answer(body, partial(self._decline, headers))
        await self._app(self._build_scope(method, body, headers), answer.receive, answer.send)
        return answer.headers, bytes(answer.body)

    async def _decline(self, headers: Mapping[str, str], question_id: Any) -> None:
        """Answer a question of the server, which may wait for that before it goes on."""
        error = {"code": METHOD_NOT_FOUND, "message": "Nobody is here to answer."}
        await self._post({"jsonrpc": "2.0", "id": question_id, "error": error}, headers)

    def _build_scope(self, method: str, body: bytes, headers: Mapping[str, str]) -> Scope:
        fixed: list[Header] = [
            (b"host", b"localhost"),
            (b"accept", b"application/json, text/event-stream"),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": self._path,
            "raw_path": quote(self._path).encode("ascii"),
            "query_string": b"",
            "root_path": "",
            "headers": [*fixed, *(build_header(name, value) for name, value in headers.items())],
            "client": None,
            "server": None,
            self._principal_key: OURSELVES,
        }


class _Answer:
    """Takes the app's answer to one request, and has the server's own questions in it declined."""

    def __init__(self, body: bytes, decline: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        self._asked: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self._decline = decline
        self._questions = 0
        self._seen = 0
        self.headers: dict[str, str] = {":status": "0"}
        self.body = bytearray()

    async def receive(self) -> Message:
        if not self._asked:
            await anyio.sleep_forever()  # nobody leaves before the answer is there
        return self._asked.pop()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: Iterable[Header] = message.get("headers", ())
            self.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
            self.headers[":status"] = str(message["status"])
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")
            if len(self.body) > MAX_LIST_SIZE:
                raise ListRefused("the answer is too long")
            if message.get("more_body", False):
                await self._look_for_questions()

    async def _look_for_questions(self) -> None:
        end = max(self.body.rfind(b"\n\n"), self.body.rfind(b"\r\n\r\n"))
        if end <= self._seen:
            return
        whole, self._seen = bytes(self.body[self._seen : end]), end
        async with anyio.create_task_group() as answering:  # each is a request of its own, and apps count by task
            for one in _read_messages(self.headers.get("content-type", ""), whole):
                if isinstance(one, dict) and "method" in one and "id" in one and self._questions < MAX_QUESTIONS:
                    self._questions += 1
                    answering.start_soon(self._decline, one["id"])


def _read_messages(content_type: str, body: bytes) -> list[Any]:
    """The JSON-RPC messages of an answer, be it one document or a stream that has ended."""
    text = body.decode("utf-8", "replace")
    if content_type.lower().startswith("text/event-stream"):
        events = text.replace("\r\n", "\n").replace("\r", "\n").split("\n\n")
        documents = ["\n".join(_data_of(event)) for event in events]
    else:
        documents = [text]
    messages: list[Any] = []
    for document in documents:
        try:
            message = json.loads(document) if document else []
        except (ValueError, RecursionError):
            continue
        messages += message if isinstance(message, list) else [message]
    return messages


def _read_problem(body: bytes) -> str:
    """What an HTTP error says in the words of OAuth's, as a `Forwarder` does; empty if nothing."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    told = document.get("error_description") if isinstance(document, dict) else None
    return told[:200] if isinstance(told, str) else ""


def _data_of(event: str) -> list[str]:
    return [line[5:].removeprefix(" ") for line in event.split("\n") if line.startswith("data:")]


def _describe(error: Any) -> str:
    message = error.get("message") if isinstance(error, dict) else None
    return str(message)[:200] if message else "no result"
