"""What the tests of the doctor share."""

from collections.abc import Iterator

import pytest

from tests.running import RunningDoorward, start_doorward


@pytest.fixture(scope="session")
def doorward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDoorward]:
    """A healthy Doorward with its demo; nothing that the doctor does there changes it for another visit."""
    server = start_doorward(tmp_path_factory.mktemp("doorward") / "data", "--demo")
    yield server
    assert server.stop() == 0
