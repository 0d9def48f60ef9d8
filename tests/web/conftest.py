"""The server in this process, fresh for every test, and people to visit it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.inside import Door, open_door
from tests.person import Person


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with open_door(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Door]:
    """A server on this machine over plain http, as `doorward up` starts it."""
    async with open_door(tmp_path / "local", issuer="http://127.0.0.1:8400") as opened:
        yield opened


@pytest.fixture
async def person(door: Door) -> Person:
    """A browser of the owner, signed in."""
    found = door.person()
    page = await found.sign_in(await found.open("/login"))
    assert page.url.endswith("/dashboard"), page.text
    return found
