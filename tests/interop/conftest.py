"""One running demo for each file of tests, and a person with a browser."""

from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from tests.interop.browsers import FormBrowser
from tests.person import Person
from tests.running import RunningDoorward, start_doorward


@pytest.fixture(scope="module")
def doorward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDoorward]:
    server = start_doorward(tmp_path_factory.mktemp("doorward") / "data", "--demo")
    yield server
    assert server.stop() == 0


@pytest.fixture
async def browser() -> AsyncIterator[FormBrowser]:
    async with httpx2.AsyncClient() as http:
        yield FormBrowser(Person(http))
