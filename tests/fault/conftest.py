"""No test of this folder leaves a server behind, however it ends."""

from collections.abc import Iterator

import pytest

from tests.fault.ground import STARTED


@pytest.fixture(autouse=True)
def _nothing_is_left_running() -> Iterator[None]:
    yield
    while STARTED:
        server = STARTED.pop()
        if server.process.poll() is None:
            server.kill()
        server.stop()
