"""A folder that nobody else can look into, and files in it that are replaced as a whole.

Whoever may write into the folder could put another store there, and whoever may read could copy it. So a folder or file
of somebody else, one that others may enter, and symbolic links are refused, with what to do; nothing is repaired in
silence, for then it could already have been read. On Windows the folders of a person's profile are theirs alone by
their access lists, and modes mean nothing.

Spec: CLI-03, T17
"""

import os
import stat
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from .errors import StoreUnavailable

HOME_VARIABLE = "DOORWARD_CLIENT_HOME"
_OTHERS = 0o077
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_REPLACE_ATTEMPTS = 200
"""Windows refuses to replace a file in the moments in which somebody reads it."""


class FolderUnwritable(StoreUnavailable):
    """The system does not let this program keep anything in the folder: a read-only disk, no home, no room."""


def default_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where this person's programs keep what is theirs, unless `DOORWARD_CLIENT_HOME` says otherwise.

    Raises `FolderUnwritable` where the system knows no such place.
    """
    if given := environment.get(HOME_VARIABLE):
        return Path(given).absolute()
    data_home = _data_home(environment)
    return data_home / "doorward" / "client"


def _data_home(environment: Mapping[str, str]) -> Path:
    variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_DATA_HOME"
    given = Path(environment.get(variable) or "")
    if sys.platform != "darwin" and given.is_absolute():
        return given
    try:
        home = Path.home()
    except RuntimeError:
        raise FolderUnwritable(
            f"There is no home folder to keep anything in. Set {HOME_VARIABLE} to a folder."
        ) from None
    if sys.platform == "darwin":
        return home / "Library" / "Application Support"
    return home / ("AppData/Local" if sys.platform == "win32" else ".local/share")


def prepare_folder(folder: Path) -> None:
    """Make the folder where it is missing, for its owner alone from the first moment, and refuse one that is unsafe.

    Raises `StoreUnavailable`, and `FolderUnwritable` where the system does not let us write.
    """
    try:
        for missing in [part for part in reversed((folder, *folder.parents)) if not os.path.lexists(part)]:
            missing.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise FolderUnwritable(f"{folder} cannot be made: {_reason(error)}.") from None
    if not stat.S_ISDIR(found.st_mode):
        raise StoreUnavailable(
            f"{folder} is not a folder of its own, but a link or a file. Remove it, or name another."
        )
    _check_owner(folder, found, mode="700")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FolderUnwritable(f"{folder} cannot be written to.")


def read_private(path: Path) -> bytes | None:
    """The content of a file that is its owner's alone, or None where there is no file. Raises `StoreUnavailable`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _NO_LINK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be read: {_reason(error)}.") from None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise StoreUnavailable(f"{path} is not a file. Move it away.")
        _check_owner(path, found, mode="600")
        try:
            return file.read()
        except OSError as error:
            raise StoreUnavailable(f"{path} cannot be read: {_reason(error)}.") from None


def replace_private(path: Path, content: bytes) -> None:
    """Put `content` in place of the file: whoever reads finds the old or the new, also after a kill or a power loss.

    The caller is the only one that writes into this folder. Raises `StoreUnavailable`; then the old is still there.
    """
    fresh = unfinished(path)
    try:
        fresh.unlink(missing_ok=True)  # of a process that was killed here
        _write_new(fresh, content)
        _replace(fresh, path)
        _sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise StoreUnavailable(f"{path} cannot be written: {_reason(error)}.") from None


def create_private(path: Path, content: bytes) -> None:
    """Make a file that is its owner's alone. Raises `FileExistsError`, and `StoreUnavailable`; then there is none."""
    try:
        _write_new(path, content)
        _sync_folder(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise StoreUnavailable(f"{path} cannot be written: {_reason(error)}.") from None


def remove_private(path: Path) -> None:
    """Remove the file, and what a killed process left beside it. Raises `StoreUnavailable`."""
    try:
        unfinished(path).unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be removed: {_reason(error)}.") from None


def unfinished(path: Path) -> Path:
    """Where the next content of a file is written before it takes its place."""
    return path.with_name(f"{path.name}.new")


def _check_owner(path: Path, found: os.stat_result, *, mode: str) -> None:
    if sys.platform == "win32":
        return
    if found.st_uid != os.geteuid():
        raise StoreUnavailable(
            f"{path} belongs to another user. Use one of your own ({HOME_VARIABLE} names the folder)."
        )
    if found.st_mode & _OTHERS:
        raise StoreUnavailable(f"Others can look into {path}. Make it private: chmod {mode} '{path}'")


def _write_new(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _replace(fresh: Path, path: Path) -> None:
    if sys.platform == "win32":
        for _ in range(_REPLACE_ATTEMPTS):
            with suppress(PermissionError):
                fresh.replace(path)
                return
            time.sleep(0.01)
    fresh.replace(path)


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
