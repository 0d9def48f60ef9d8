"""One server for all examples of a file: what a search needs is many requests, not a fresh server for each."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, settings

from tests.inside import Door, open_door

# No deadline: tests share the machine with others. The long run searches longer, and somewhere else each time.
settings.register_profile("fuzz", deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fuzz")


@pytest.fixture(scope="module")
async def door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    async with open_door(tmp_path_factory.mktemp("property") / "data") as opened:
        yield opened
