"""What every test of the client has: no way to what whoever runs it keeps, and a keyring where it asks for one."""

from pathlib import Path

import keyring.core
import pytest

from tests.client.keyrings import FolderKeyring


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
