"""Waiting on a condition, with a bound, never on time."""

from collections.abc import Awaitable, Callable

import anyio


async def until(condition: Callable[[], Awaitable[bool]], *, seconds: float = 20) -> None:
    """Return once the condition holds; fails when it does not within the bound."""
    with anyio.fail_after(seconds):
        while not await condition():  # noqa: ASYNC110  # what it waits for happens elsewhere, and sets no event here
            await anyio.sleep(0.005)
