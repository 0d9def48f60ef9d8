"""Programs that share a store, run as processes: `python -m tests.client.store_programs WORD …`."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from doorward.client.storage import Store
from doorward.client.stores import FileStore, KeyringStore
from tests.needs import ROOT

NAME = "connection https://issuer.example https://server.example/mcp client"
WITHIN_SECONDS = 120
ROUNDS = 6
THREADS = 8


def start(*words: object, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.client.store_programs", *map(str, words)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def open_kind(kind: str, folder: Path) -> FileStore:
    return KeyringStore(folder) if kind == "keyring" else FileStore(folder)


@contextmanager
def locked(store: Store, name: str) -> Iterator[None]:
    """The lock, waited for as a caller does."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while (unlock := store.try_lock(name)) is None:
        assert time.monotonic() < deadline, "nobody let go of the lock"
        time.sleep(0.002)
    try:
        yield
    finally:
        unlock()


def count(kind: str, folder: str, counter: str) -> None:
    """Count up in a file that only the lock protects, and in the store, in threads with stores of their own."""
    failures: list[BaseException] = []

    def work(store: Store) -> None:
        path = Path(counter)
        try:
            for _ in range(ROUNDS):
                with locked(store, NAME):
                    path.write_text(str(int(path.read_text()) + 1))
                    kept = store.load(NAME) or {"count": 0}
                    store.save(NAME, {"count": kept["count"] + 1})
        except BaseException as error:
            failures.append(error)
            raise

    run_together([lambda: work(open_kind(kind, Path(folder)))] * THREADS)
    sys.exit(bool(failures))


def run_together(works: list[Callable[[], Any]]) -> None:
    together = threading.Barrier(len(works), timeout=WITHIN_SECONDS)

    def run(work: Callable[[], Any]) -> None:
        together.wait()
        work()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WITHIN_SECONDS)


def hold(kind: str, folder: str) -> None:
    """Hold the lock until somebody ends this process."""
    unlock = open_kind(kind, Path(folder)).try_lock(NAME)
    print("held" if unlock else "refused", flush=True)
    sys.stdin.read()


def die(folder: str, call: str) -> None:
    """Save, and be killed in the middle: right before the call of `os` of that name."""
    store = FileStore(Path(folder))

    def killed(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(os, call, killed)
    store.save(NAME, {"value": "second"})


if __name__ == "__main__":
    programs: dict[str, Callable[..., None]] = {"count": count, "hold": hold, "die": die}
    programs[sys.argv[1]](*sys.argv[2:])
