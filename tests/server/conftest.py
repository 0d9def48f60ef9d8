"""The server in this process, fresh for every test."""

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
def person(door: Door) -> Person:
    """A browser of somebody who has an account, not signed in yet."""
    return door.person()
