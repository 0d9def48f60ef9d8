"""The file of the master keys: one a line, the newest first, replaced as a whole or not at all."""

import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from doorward.core.vault import parse_master_keys

MASTER_KEY_FILE = "master.key"


class UnsafeKeyFile(Exception):  # noqa: N818  # names what is wrong, and stops the start
    """The key file must not be used as it is; the message says what to change."""


class Held(Exception):  # noqa: N818  # a state of the folder, which the caller gives its meaning
    """Another process is changing the master keys."""


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The key file of a data folder."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / MASTER_KEY_FILE

    def read(self) -> tuple[bytes, ...]:
        """The master keys, the newest first. Raises `UnsafeKeyFile`, and `OSError` when there is no file."""
        if stat.S_IMODE(self.path.stat().st_mode) & 0o077:
            raise UnsafeKeyFile(f"others can read {self.path}. Make it private: chmod 600 {self.path}")
        try:
            return parse_master_keys(self.path.read_text())
        except ValueError:
            raise UnsafeKeyFile(f"{self.path} must hold 64 hex digits, or several lines of them.") from None

    def create(self, key: bytes) -> None:
        """Make the file. Raises `FileExistsError` when another process made it first."""
        _write(self.path, (key,))

    def replace(self, keys: Sequence[bytes]) -> None:
        """Put other keys in their place: whoever reads finds the old ones or the new ones, also after a power loss."""
        fresh = self.path.with_name(f"{MASTER_KEY_FILE}.new")
        fresh.unlink(missing_ok=True)  # of a replacement that broke off
        _write(fresh, keys)
        fresh.replace(self.path)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only process that changes the file. Raises `Held`. A process that ends lets go, however it ends."""
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            _lock(folder)
            yield
        finally:
            os.close(folder)


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Held from None


def _write(path: Path, keys: Sequence[bytes]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write("\n".join(key.hex() for key in keys))
        file.flush()
        os.fsync(file.fileno())
