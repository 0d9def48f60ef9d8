"""One event loop on a thread of its own, for everything synchronous in this process.

So that a synchronous program runs the same flows as an asynchronous one, and a connection outlives the call that made
it.
"""

import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

import anyio
from anyio.from_thread import BlockingPortal

T = TypeVar("T")


@dataclass(slots=True)
class _Shared:
    lock: threading.Lock = field(default_factory=threading.Lock)
    thread: threading.Thread | None = None
    portal: BlockingPortal | None = None


_shared = _Shared()
_of_parents: list[_Shared] = []


def run(async_callable: Callable[..., Awaitable[T]], *args: object) -> T:
    """Run `async_callable(*args)` on the shared loop and wait for it, from any thread but the loop's own.

    A KeyboardInterrupt that ends the wait cancels what was waited for.
    """
    future: Future[T] = portal().start_task_soon(async_callable, *args)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def portal() -> BlockingPortal:
    """The portal of this process, started when there is none, or when its thread ended."""
    with _shared.lock:
        if _shared.portal is None or _shared.thread is None or not _shared.thread.is_alive():
            ready: Future[BlockingPortal] = Future()
            # A daemon: nobody has to end it for the program to end.
            _shared.thread = threading.Thread(
                target=anyio.run, args=(_serve, ready), name="doorward-client", daemon=True
            )
            _shared.thread.start()
            _shared.portal = ready.result()
        return _shared.portal


async def _serve(ready: "Future[BlockingPortal]") -> None:
    async with BlockingPortal() as serving:
        ready.set_result(serving)
        await serving.sleep_until_stopped()


def _start_over_in_a_child() -> None:
    global _shared  # noqa: PLW0603  # a fork copies the portal, but neither its thread nor whoever holds the lock
    _of_parents.append(_shared)  # its loop shares an epoll with the parent's: it must not be collected here
    _shared = _Shared()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_over_in_a_child)
