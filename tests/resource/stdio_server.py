"""An MCP server on standard streams that does what it is told to, with nothing but Python's own library.

Run with `--older` it answers no request before `initialize` but ends, as some do; with `--newer` it knows the revision
that needs none.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
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


async def hold(given: dict[str, Any], token: Any) -> None:
    """Answer when a call of `release` comes, or never."""
    held[given["hold"]] = asyncio.Event()
    say(method="notifications/message", params={"level": "info", "data": "held"})
    if token is not None:
        say(method="notifications/progress", params={"progressToken": token, "progress": 0})
    await held[given["hold"]].wait()


def crash(given: dict[str, Any], _: Any) -> None:
    if given.get("child"):
        say(method="notifications/message", params={"level": "info", "data": sleep_in_child()})
    os._exit(3)


def progress(given: dict[str, Any], token: Any) -> None:
    for step in range(given["steps"]):
        say(method="notifications/progress", params={"progressToken": token, "progress": step})


def garbage(*_: Any) -> None:
    sys.stdout.write('Listening!\n\n[1, 2]\n{"jsonrpc": "2.0", "id": 99999, "result": {}}\n')
    sys.stdout.write('{"jsonrpc": "2.0", "id": [1], "result": {}}\n{"method": 7}\n')


def write_errors(given: dict[str, Any], _: Any) -> None:
    sys.stderr.write("".join(f"{line}\n" for line in given["lines"]))
    sys.stderr.flush()


def ignore_hints(*_: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    held["end of input"] = asyncio.Event()


async def read(given: dict[str, Any], _: Any) -> str:
    return await asyncio.to_thread(Path(given["path"]).read_text)


def tell(given: dict[str, Any], _: Any) -> None:
    say(method=given["method"], params=given.get("params", {}))


TOOLS: dict[str, Callable[[dict[str, Any], Any], Any]] = {
    "ask": lambda given, _: ask(given["method"], **given.get("params", {})),
    "big": lambda given, _: "x" * given["size"],
    "child": lambda *_: sleep_in_child(),
    "crash": crash,
    "echo": lambda given, _: given,
    "environment": lambda *_: dict(os.environ),
    "garbage": garbage,
    "hold": hold,
    "ignore_hints": ignore_hints,
    "not_a_number": lambda *_: "NaN",
    "progress": progress,
    "read": read,
    "release": lambda given, _: held[given["hold"]].set(),
    "say": write_errors,
    "seen": lambda *_: {"cancelled": cancelled, "notes": notes},
    "tell": tell,
}


async def answer(message: dict[str, Any]) -> None:
    request_id, method, params = message["id"], message["method"], message.get("params", {})
    if method == "initialize":
        capabilities = {"tools": {"listChanged": True}, "logging": {}, "resources": {"subscribe": True}}
        info = {"name": f"told-{os.getpid()}", "version": "1"}
        version = params["protocolVersion"]
        say(id=request_id, result={"protocolVersion": version, "capabilities": capabilities, "serverInfo": info})
    elif method == "server/discover" and "--newer" in sys.argv:
        info = {"name": "told", "version": "1"}
        say(id=request_id, result={"supportedVersions": ["2026-07-28"], "capabilities": {}, "serverInfo": info})
    elif method == "tools/list":
        say(id=request_id, result={"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]})
    elif method == "tools/call":
        token = params.get("_meta", {}).get("progressToken")
        told = TOOLS[params["name"]](params.get("arguments", {}), token)
        if asyncio.iscoroutine(told):
            told = await told
        text = json.dumps({"pid": os.getpid(), "told": told})
        number = float("nan") if told == "NaN" else 1
        say(id=request_id, result={"content": [{"type": "text", "text": text}], "number": number})
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
