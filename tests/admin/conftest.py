"""A server with one of each thing that operators act on, shared by the tests of a file."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.admin.api import Api, make_api
from tests.inside import Door, open_door
from tests.manage.ground import Ground, lay_ground


@dataclass(frozen=True)
class World:
    door: Door
    ground: Ground
    owner: Api


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with open_door(tmp_path_factory.mktemp("admin") / "data") as door:
        ground = await lay_ground(door)
        yield World(door, ground, await make_api(door))


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with open_door(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
async def owner(door: Door) -> Api:
    return await make_api(door)
