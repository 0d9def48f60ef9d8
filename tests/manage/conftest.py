"""An operator over a data folder, and everything they can act on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.inside import Door, open_door
from tests.manage.ground import Ground, lay_ground


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with open_door(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
async def ground(door: Door) -> Ground:
    """A project with one of each thing."""
    return await lay_ground(door)
