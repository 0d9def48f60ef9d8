"""An MCP server on standard streams that does what it is told to, with nothing but Python's own library.

Run with `--older` it answers no request before `initialize` but ends, as some do.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from typing import Any

held: dict[Any, asyncio.Event] = {}
cancelled: list[Any] = []
notes: list[str] = []
answers: dict[Any, asyncio.Future[Any]] = {}


def say(**message: Any) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


async def ask(method: str, **params: Any) -> Any:
    """A question to the client; its whole answer."""
    request_id = f"question-{len(answers)}"
    answers[request_id] = asyncio.get_running_loop().create_future()
    say(id=request_id, method=method, params=params)
    return await answers[request_id]


def sleep_in_child() -> int:
    """A child that holds our pipes open and outlives us, if it is let."""
    return subprocess.Popen(["sleep", "600"]).pid


async def call(request_id: Any, name: str, given: dict[str, Any], token: Any) -> Any:
    if name == "crash":
        os._exit(3)
    if name == "crash_with_child":
        say(method="notifications/message", params={"level": "info", "data": sleep_in_child()})
        os._exit(3)
    if name == "hold":
        held[given["as"]] = asyncio.Event()
        say(method="notifications/message", params={"level": "info", "data": "held"})
        if token is not None:
            say(method="notifications/progress", params={"progressToken": token, "progress": 0})
        await held[given["as"]].wait()
    if name == "release":
        held[given["as"]].set()
    if name == "progress":
        for step in range(given["steps"]):
            say(method="notifications/progress", params={"progressToken": token, "progress": step})
    if name == "garbage":
        sys.stdout.write('Listening!\n\n[1, 2]\n{"jsonrpc": "2.0", "id": 99999, "result": {}}\n')
        sys.stdout.write('{"jsonrpc": "2.0", "id": [1], "result": {}}\n{"method": 7}\n')
    if name == "say":
        for line in given["lines"]:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()
    if name == "tell":
        say(method=given["method"], params=given.get("params", {}))
    if name == "ignore_sigterm":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        held["end of input"] = asyncio.Event()
    tools: dict[str, Any] = {
        "ask": lambda: ask(given["method"], **given.get("params", {})),
        "big": lambda: "x" * given["size"],
        "child": sleep_in_child,
        "environment": lambda: dict(os.environ),
        "seen": lambda: {"cancelled": cancelled, "notes": notes},
        "number": lambda: float("nan"),
    }
    result = tools.get(name, lambda: given)()
    return await result if asyncio.iscoroutine(result) else result


async def answer(message: dict[str, Any]) -> None:
    request_id, method, params = message["id"], message["method"], message.get("params", {})
    if method == "initialize":
        capabilities = {"tools": {"listChanged": True}, "logging": {}, "resources": {"subscribe": True}}
        info = {"name": f"told-{os.getpid()}", "version": "1"}
        version = params["protocolVersion"]
        say(id=request_id, result={"protocolVersion": version, "capabilities": capabilities, "serverInfo": info})
    elif method == "tools/list":
        say(id=request_id, result={"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]})
    elif method == "tools/call":
        token = params.get("_meta", {}).get("progressToken")
        told = await call(request_id, params["name"], params.get("arguments", {}), token)
        text = json.dumps({"pid": os.getpid(), "told": told})
        say(id=request_id, result={"content": [{"type": "text", "text": text}]})
    elif method in {"ping", "resources/subscribe", "resources/unsubscribe", "logging/setLevel"}:
        notes.append(method)
        say(id=request_id, result={})
    else:
        say(id=request_id, error={"code": -32601, "message": "Method not found"})


def take(message: dict[str, Any], tasks: dict[Any, asyncio.Task[None]]) -> None:
    if "method" not in message:
        answers[message["id"]].set_result(message.get("result", message.get("error")))
    elif "id" in message:
        tasks[message["id"]] = asyncio.create_task(answer(message))
    else:
        notes.append(message["method"])
        if message["method"] == "notifications/cancelled":
            cancelled.append(message["params"]["requestId"])
            tasks[message["params"]["requestId"]].cancel()


async def main() -> None:
    tasks: dict[Any, asyncio.Task[None]] = {}
    lines = asyncio.StreamReader(limit=1 << 26)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        message = json.loads(line)
        if "--older" in sys.argv and not tasks and message["method"] != "initialize":
            sys.exit(1)
        take(message, tasks)
    if held.get("end of input"):
        await held["end of input"].wait()


if __name__ == "__main__":
    asyncio.run(main())
