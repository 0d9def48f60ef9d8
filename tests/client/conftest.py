"""What every test of the client has: no way to what whoever runs it keeps, and a keyring where it asks for one.

And one running demo and one server that nothing protects for each worker.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import keyring.core
import pytest

from tests.client.keyrings import FolderKeyring
from tests.client.listening import Listener, Reply, listening
from tests.client.people import Visitor
from tests.client.sending import Pages
from tests.interop.upstreams.running import HTTP_SERVERS, Upstream, running
from tests.registration.site import Authority, make_authority
from tests.running import RunningDoorward, start_doorward


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The client's folder is of this test alone, and no keyring is active, in this process and those it starts."""
    home = tmp_path / "client home"
    monkeypatch.setenv("DOORWARD_CLIENT_HOME", str(home))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    activate(monkeypatch, keyring.core.load_keyring("keyring.backends.fail.Keyring"))
    return home


@pytest.fixture
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderKeyring:
    """The active keyring, in this process and those it starts."""
    folder = tmp_path / "ring"
    folder.mkdir()
    monkeypatch.setenv("KEYRING_PROPERTY_FOLDER", str(folder))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "tests.client.keyrings.FolderKeyring")
    backend = FolderKeyring()
    activate(monkeypatch, backend)
    return backend


def activate(monkeypatch: pytest.MonkeyPatch, backend: keyring.backend.KeyringBackend) -> None:
    monkeypatch.setattr(keyring.core, "_keyring_backend", backend)


@pytest.fixture(scope="session")
def doorward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDoorward]:
    server = start_doorward(tmp_path_factory.mktemp("doorward") / "data", "--demo")
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="session")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """A server that nothing protects."""
    with running(HTTP_SERVERS["MCP SDK 2 for Python"], tmp_path_factory.mktemp("notes") / "log") as upstream:
        yield upstream


@pytest.fixture(scope="session")
def cookies() -> httpx2.Cookies:
    """Of a person who comes back: signing in at every test would run into the limit for one address."""
    return httpx2.Cookies()


@pytest.fixture
def visitor(cookies: httpx2.Cookies) -> Visitor:
    return Visitor(cookies=cookies)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def pages() -> Pages:
    return Pages()


@pytest.fixture
async def server(pages: Pages) -> AsyncIterator[Listener]:
    """A server over http on loopback."""
    async with listening(pages) as listener:
        yield listener


@pytest.fixture
async def site(pages: Pages, authority: Authority) -> AsyncIterator[Listener]:
    """The same pages over TLS, under the names of the certificate."""
    async with listening(pages, certificate=authority.certificate) as listener:
        yield listener


@pytest.fixture
async def other() -> AsyncIterator[Listener]:
    """Another origin, that should hear nothing."""
    async with listening(lambda _: Reply(b'{"here": true}')) as listener:
        yield listener
