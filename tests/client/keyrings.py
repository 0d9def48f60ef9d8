"""Keyrings for tests: real backends of the `keyring` library, so that no test touches the one of whoever runs it.

None is `viable`, so the library never finds one by itself: a test or a variable of the environment names it.
"""

import fcntl
import json
import threading
from pathlib import Path

from keyring.backend import KeyringBackend


class FolderKeyring(KeyringBackend):
    """Keeps entries in a file, for several processes. `KEYRING_PROPERTY_FOLDER` says where, too."""

    priority = 5.0
    viable = False
    folder = ""

    def __init__(self, folder: str = "") -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the library's
        self.folder = folder or self.folder

    def get_password(self, service: str, username: str) -> str | None:
        path = Path(self.folder, "entries.json")
        return json.loads(path.read_text()).get(f"{service} {username}") if path.exists() else None

    def set_password(self, service: str, username: str, password: str) -> None:
        folder = Path(self.folder)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            path = folder / "entries.json"
            entries = json.loads(path.read_text()) if path.exists() else {}
            fresh = folder / "entries.new"
            fresh.write_text(json.dumps({**entries, f"{service} {username}": password}))
            fresh.replace(path)


class ReadableKeyring(FolderKeyring):
    """One that the library would use only when told to."""

    priority = 0.5


class ForgetfulKeyring(FolderKeyring):
    """Takes everything and keeps nothing."""

    def set_password(self, service: str, username: str, password: str) -> None:
        pass


class LockedKeyring(FolderKeyring):
    """Its person said no."""

    def get_password(self, service: str, username: str) -> str | None:
        raise RuntimeError("the secret is in this text: hunter2")


class StuckKeyring(FolderKeyring):
    """Asks somebody who never answers."""

    def __init__(self, folder: str = "") -> None:
        super().__init__(folder)
        self.answered = threading.Event()

    def get_password(self, service: str, username: str) -> str | None:
        self.answered.wait()
        return None
