"""The keyring of the operating system holds one key for each folder; the files of the folder are encrypted with it.

The tokens themselves are not put there: keyrings limit the size of an entry (2560 bytes on Windows), cannot list what
they hold, have no lock for several processes, and some ask the person at every reading. One key is read once for
each process. The files are worth nothing without it, wherever they are copied to.

Spec: CLI-03, T17
"""

import base64
import binascii
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from .errors import StoreUnavailable
from .store_file import KEY_BYTES, FileStore
from .store_folder import default_folder

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE = "doorward client"
ANSWERS_WITHIN_SECONDS = 20.0
"""A person may have to type the password of the keyring; a bus that is stuck never answers."""

T = TypeVar("T")


class NoKeyring(StoreUnavailable):
    """There is no keyring that can be used here, or it does not answer."""


class KeyringKey:
    """The key of one folder in the keyring. Each call is bounded in time. Raises `NoKeyring`."""

    def __init__(self, folder: Path, *, seconds: float) -> None:
        self._entry = str(folder.parent.resolve() / folder.name)  # one entry, by whichever link it is reached
        self._seconds = seconds
        self._backend = _call_bounded(_find_backend, seconds)
        self.where = f"with the key in the keyring ({self._backend.name})"

    def read(self) -> bytes | None:
        text = _call_bounded(lambda: self._backend.get_password(SERVICE, self._entry), self._seconds)
        if text is None:
            return None
        try:
            key = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) == KEY_BYTES:
            return key
        raise StoreUnavailable(
            f"The keyring entry “{SERVICE}” of {self._entry} is not a key. "
            "Put the right one back, or remove it, move the folder away and sign in again."
        )

    def write(self, key: bytes) -> None:
        text = base64.b64encode(key).decode()
        _call_bounded(lambda: self._backend.set_password(SERVICE, self._entry, text), self._seconds)
        if self.read() != key:
            raise NoKeyring("The keyring did not keep what was put into it.")


class KeyringStore(FileStore):
    """Encrypted files as in `FileStore`, with their key in the keyring: the place to keep tokens where there is one.

    Raises `NoKeyring` where no real keyring is active: the ones that keep nothing, or keep it readable, are not used.
    Spec: CLI-03
    """

    def __init__(self, folder: Path | None = None, *, seconds: float = ANSWERS_WITHIN_SECONDS) -> None:
        folder = (folder or default_folder() / "keyring").absolute()
        super().__init__(folder, key=KeyringKey(folder, seconds=seconds))


def _find_backend() -> "KeyringBackend":
    """The keyring that is active. Its library is an extra, and looks around the whole system when it is imported."""
    try:
        import keyring  # noqa: PLC0415  # see above
        from keyring.backends.chainer import ChainerBackend  # noqa: PLC0415  # see above
    except ImportError:
        raise NoKeyring("The keyring library is not installed: pip install 'doorward[client]'") from None
    backend = keyring.get_keyring()
    if isinstance(backend, ChainerBackend):
        backend = backend.backends[0]  # the best one alone: the others may keep what they are given readable
    if backend.priority < 1:  # what keeps nothing, keeps it readable, or only fails
        raise NoKeyring("No keyring is active here.")
    return backend


def _call_bounded(work: Callable[[], T], seconds: float) -> T:
    """The result of `work`, done in a thread that is left behind when it hangs. Raises `NoKeyring`."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001  # every keyring and every bus has errors of its own
            future.set_exception(error)

    threading.Thread(target=run, name="doorward keyring", daemon=True).start()
    try:
        return future.result(seconds)
    except StoreUnavailable:
        raise
    except TimeoutError:
        raise NoKeyring(f"The keyring did not answer within {seconds:g} seconds.") from None
    except Exception as error:  # noqa: BLE001  # as above; its text could hold anything
        raise NoKeyring(f"The keyring cannot be used ({type(error).__name__}).") from None
