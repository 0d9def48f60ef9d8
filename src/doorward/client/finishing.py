"""Work that is carried to its end although whoever asked for it is cancelled.

A refresh token works once. From the moment it is sent until its successor is kept, being cancelled would cost the
person their sign-in: the server would take the former one, sent again, for a stolen one.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


async def finish(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What `work` returns; a cancelled caller is cancelled when it has ended.

    `work` must be bounded in time by itself. The scopes of anyio can be shielded from; what asyncio itself cancels
    (`asyncio.timeout`, `wait_for`, Ctrl+C) cannot, so there the work is a task of its own.

    Spec: RT-09, CLI-07
    """
    with anyio.CancelScope(shield=True):
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # another library's loop, which has no other way to cancel
            return await work()
        return await _outlast(loop.create_task(work(), name="doorward-finish"))
    raise AssertionError("A shield that nobody cancels lets nothing end before its time.")


async def _outlast(task: "asyncio.Task[T]") -> T:
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # looked at: nobody is left to hear of it
    raise cancelled
