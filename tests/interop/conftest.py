"""One running demo for each worker, and people with browsers."""

from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from tests.interop.browsers import FormBrowser
from tests.person import Person
from tests.running import RunningDoorward, start_doorward


@pytest.fixture(scope="session")
def doorward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDoorward]:
    server = start_doorward(tmp_path_factory.mktemp("doorward") / "data", "--demo")
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="session")
def cookies() -> httpx2.Cookies:
    """Of a person who comes back: signing in at every test would run into the limit for one address."""
    return httpx2.Cookies()


@pytest.fixture
async def browser(cookies: httpx2.Cookies) -> AsyncIterator[FormBrowser]:
    """Of a person who may have signed in before."""
    async with httpx2.AsyncClient(cookies=cookies) as http:
        yield FormBrowser(Person(http))
        cookies.update(http.cookies)


@pytest.fixture
async def fresh_browser() -> AsyncIterator[FormBrowser]:
    """Of a person who has to sign in."""
    async with httpx2.AsyncClient() as http:
        yield FormBrowser(Person(http))
