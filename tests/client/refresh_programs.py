"""Programs that use one sign-in, run as processes: `python -m tests.client.refresh_programs WORD URL FOLDER`."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from doorward.client.auth import DoorwardAuth
from doorward.client.devices import NoInteraction
from doorward.client.errors import ClientError
from doorward.client.stores import FileStore
from tests.needs import ROOT

CALLERS = 8
_PRINTING = threading.Lock()
PATIENCE_SECONDS = 240
LIST_TOOLS = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
ACCEPT = {"accept": "application/json, text/event-stream"}


class Program:
    """One such process. `ready` once it could begin, `go` lets it."""

    def __init__(self, word: str, url: str, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.client.refresh_programs", word, url, str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def expect(self, line: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == line + "\n"

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def outcomes(self) -> list[Any]:
        """What each caller got: the status, or the name of an error. For a program that is not killed."""
        printed = self._end()
        assert self.process.returncode == 0
        return json.loads(printed)

    def is_killed(self) -> bool:
        """Whether it ended by a signal that nothing can answer."""
        self._end()
        return self.process.returncode == -signal.SIGKILL

    def close(self) -> None:
        """End it, should it still run."""
        if self.process.poll() is None:
            self.process.kill()
            self._end()

    def _end(self) -> str:
        return self.process.communicate(timeout=PATIENCE_SECONDS)[0]


class DyingStore(FileStore):
    """Is killed with its process in the moment in which refreshed tokens are to be kept."""

    def save(self, name: str, document: dict[str, Any]) -> None:
        if "tokens" in document:
            os.kill(os.getpid(), signal.SIGKILL)
        super().save(name, document)


def _begin() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


def _say_asking() -> None:
    with _PRINTING:  # of several threads; a print is more than one write
        print("asking", flush=True)


def _call(auth: DoorwardAuth, url: str) -> int | str:
    _say_asking()
    try:
        with httpx2.Client(auth=auth, timeout=PATIENCE_SECONDS) as http:
            return http.post(url, json=LIST_TOOLS, headers=ACCEPT).status_code
    except ClientError as error:
        return type(error).__name__


def run_threads(url: str, make_auth: Callable[[], DoorwardAuth]) -> list[Any]:
    together, outcomes = threading.Barrier(CALLERS, timeout=PATIENCE_SECONDS), list[Any]()

    def work() -> None:
        auth = make_auth()
        together.wait()
        outcomes.append(_call(auth, url))

    threads = [threading.Thread(target=work) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    return outcomes


async def run_tasks(url: str, make_auth: Callable[[], DoorwardAuth]) -> list[Any]:
    async def work() -> int | str:
        _say_asking()
        try:
            async with httpx2.AsyncClient(auth=make_auth(), timeout=PATIENCE_SECONDS) as http:
                return (await http.post(url, json=LIST_TOOLS, headers=ACCEPT)).status_code
        except ClientError as error:
            return type(error).__name__

    return list(await asyncio.gather(*(work() for _ in range(CALLERS))))


def main(word: str, url: str, folder: str) -> None:
    kind = DyingStore if word == "die" else FileStore

    def make_auth() -> DoorwardAuth:
        return DoorwardAuth(url, store=kind(Path(folder)), interaction=NoInteraction())

    _begin()
    if word == "tasks":
        outcomes = asyncio.run(run_tasks(url, make_auth))
    elif word == "threads":
        outcomes = run_threads(url, make_auth)
    else:
        outcomes = [_call(make_auth(), url)]
    print(json.dumps(outcomes), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
