"""Our client at one of the servers, as a program that is started."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from doorward.client.connect import DoorwardClient
from doorward.client.interaction import Interaction
from doorward.client.storage import Store
from tests.interop.foreign.others import Other
from tests.interop.foreign.people import PATIENCE_SECONDS, Somebody, told


@asynccontextmanager
async def connect(
    other: Other, store: Store, interaction: Interaction, **options: Any
) -> AsyncIterator[DoorwardClient]:
    """A client of its own, for a bounded time."""
    with anyio.fail_after(PATIENCE_SECONDS):
        async with DoorwardClient(other.url, store=store, interaction=interaction, **options) as client:
            yield client


async def sign_in(other: Other, store: Store, *, port: int | None = None, **options: Any) -> Somebody:
    """Connect with a person at hand, and see that it is open; the person."""
    somebody = other.somebody()
    async with told(somebody.visit, port) as interaction, connect(other, store, interaction, **options) as client:
        assert [tool.name for tool in await client.list_tools()] == ["greet"]
        await assert_open(client)
    return somebody


async def assert_open(client: DoorwardClient) -> None:
    result = await client.call_tool("greet", {"name": "Ada"})
    assert not result.is_error
    assert [getattr(content, "text", None) for content in result.content] == ["Hello, Ada!"]
