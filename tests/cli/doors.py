"""`doorward protect` as a process, and what tests look at from outside."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import httpx2
import mcp

from tests.interop.browsers import FormBrowser
from tests.interop.clients import Storage, connect_sdk
from tests.person import Person
from tests.running import RunningDoorward

Start = Callable[..., RunningDoorward]


async def let_in(door: RunningDoorward) -> str:
    """The access token of a client that was let in, whatever the server behind says then."""
    storage = Storage()
    async with httpx2.AsyncClient() as http:
        with contextlib.suppress(BaseExceptionGroup, mcp.MCPError):
            async with connect_sdk(door.url, FormBrowser(Person(http)), storage=storage):
                pass
    assert storage.tokens is not None
    return storage.tokens.access_token


def children_of(pid: int) -> list[int]:
    """Every process below this one."""
    tasks = (Path("/proc") / str(pid) / "task").iterdir()
    direct = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return [*direct, *(below for child in direct for below in children_of(child))]


async def refuses_more(door: RunningDoorward) -> bool:
    """Whether the door has begun to end: it takes no connections any more."""
    try:
        async with httpx2.AsyncClient() as http:
            await http.get(f"{door.issuer}/livez")
    except httpx2.TransportError:
        return True
    return False
