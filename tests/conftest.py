"""What every test may ask for. Fixtures of one kind of test live in the conftest.py of its folder."""

import pytest

from tests.needs import find_chromium, find_free_port


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests marked long, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Doorward runs on asyncio alone: asyncpg and aiohttp know nothing else."""
    return "asyncio"


@pytest.fixture(scope="session")
def chromium_path() -> str:
    return find_chromium()


@pytest.fixture
def free_port() -> int:
    return find_free_port()
