"""One encrypted file for each name, in a folder of its owner's alone.

What that protects from: a copy of the files without their key (one attached to a report, synchronized, found by a
search for tokens over the disk), other users of the machine, and files that were changed, swapped or put there by
somebody who has no key. What it does not protect from: a program that runs as the same user, which can get the key as
this one does; and, where the key is a file beside the others, a copy of the whole folder. Nor does it tell when a file
is replaced by an older one of the same name.

Spec: CLI-03, CRED-01, CRED-02, T17
"""

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from filelock import FileLock, Timeout

from .errors import StoreUnavailable
from .storage import Unlock
from .store_folder import prepare_folder, read_private, remove_private, replace_private

KEY_BYTES = 32
_NONCE_BYTES = 12
_FORMAT = b"doorward client store 1\n"
_SEALED = ".sealed"
_WRITE_WITHIN_SECONDS = 30.0


class KeyHolder(Protocol):
    """Where the key of a folder is. Methods raise `StoreUnavailable`."""

    where: str
    """In words, as the end of the sentence that begins “in encrypted files in (folder), ”."""

    def read(self) -> bytes | None:
        """The key, or None while there is none."""
        ...

    def write(self, key: bytes) -> None:
        """Keep the key. The caller is the only one that does."""
        ...


class KeyFile:
    """The key in a file beside what it opens, for machines without a keyring."""

    where = "with the key in a file beside them"

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> bytes | None:
        content = read_private(self._path)
        if content is None or len(content) == KEY_BYTES:
            return content
        raise StoreUnavailable(f"{self._path} is not a key. Put the right one back, or move the whole folder away.")

    def write(self, key: bytes) -> None:
        replace_private(self._path, key)


class FileStore:
    """Keeps each name in a file of its own, encrypted with AES-256-GCM; folder 0700, files 0600.

    A file is named by the hash of its name, which is authenticated with the content: no file is taken for another's, so
    what one issuer gave is never found under another. A file that cannot be opened is never deleted nor overlooked: the
    error names it. Locks are files that the system locks, for threads and processes alike.

    Spec: CLI-03, CRED-01, CRED-02
    """

    def __init__(self, folder: Path, *, key: KeyHolder | None = None) -> None:
        self._folder = folder.absolute()
        self._locks = self._folder / "locks"
        prepare_folder(self._folder)
        prepare_folder(self._locks)
        holder = key or KeyFile(self._folder / "key")
        self._cipher = AESGCM(self._resolve_key(holder))
        self.kept_in = f"in encrypted files in {self._folder}, {holder.where}"
        """In words, for the person whose tokens these are."""

    def load(self, name: str) -> dict[str, Any] | None:
        path = self._path(name)
        content = read_private(path)
        return None if content is None else self._open(path, content)[1]

    def save(self, name: str, document: dict[str, Any]) -> None:
        path = self._path(name)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        plain = json.dumps({"name": name, "document": document}, separators=(",", ":")).encode()
        content = _FORMAT + nonce + self._cipher.encrypt(nonce, plain, _bound_to(path))
        with self._writing():
            replace_private(path, content)

    def delete(self, name: str) -> None:
        with self._writing():
            remove_private(self._path(name))

    def names(self) -> list[str]:
        try:
            paths = sorted(self._folder.glob(f"*{_SEALED}"))
        except OSError as error:
            raise StoreUnavailable(f"{self._folder} cannot be read: {error.strerror}.") from None
        contents = [(path, read_private(path)) for path in paths]
        return [self._open(path, content)[0] for path, content in contents if content is not None]

    def try_lock(self, name: str) -> Unlock | None:
        lock = self._lock(self._path(name).stem)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return None
        except OSError as error:
            raise StoreUnavailable(f"{lock.lock_file} cannot be locked: {error.strerror}.") from None
        return lock.release

    def _resolve_key(self, holder: KeyHolder) -> bytes:
        """The key of this folder; whoever comes first makes it, and everybody else has the same.

        There is no second key beside files of a first one: the first may be back tomorrow.
        """
        if key := holder.read():
            return key
        with self._writing():
            if key := holder.read():
                return key
            if any(self._folder.glob(f"*{_SEALED}")):
                raise StoreUnavailable(
                    f"{self._folder} should be encrypted {holder.where}, but there is no key. "
                    "Put it back, or move the folder away and sign in again."
                )
            key = secrets.token_bytes(KEY_BYTES)
            holder.write(key)
            return key

    def _path(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()}{_SEALED}"

    def _open(self, path: Path, content: bytes) -> tuple[str, dict[str, Any]]:
        """(name, document) of a file that this store wrote under its name. Raises `StoreUnavailable`."""
        start = len(_FORMAT)
        nonce, sealed = content[start : start + _NONCE_BYTES], content[start + _NONCE_BYTES :]
        if not content.startswith(_FORMAT) or len(nonce) < _NONCE_BYTES:
            raise _not_ours(path)
        try:
            plain = self._cipher.decrypt(nonce, sealed, _bound_to(path))
        except InvalidTag:
            raise _not_ours(path) from None
        kept = json.loads(plain)  # ours: nobody else has the key
        return kept["name"], kept["document"]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Be the only one that changes files of the folder, for the moment it takes."""
        lock = self._lock("writing")
        try:
            lock.acquire(timeout=_WRITE_WITHIN_SECONDS, poll_interval=0.005)
        except Timeout:
            raise StoreUnavailable(
                f"Another program has been writing into {self._folder} for {_WRITE_WITHIN_SECONDS:.0f} seconds. "
                "Is one suspended?"
            ) from None
        except OSError as error:
            raise StoreUnavailable(f"{lock.lock_file} cannot be locked: {error.strerror}.") from None
        try:
            yield
        finally:
            lock.release()

    def _lock(self, stem: str) -> FileLock:
        """A lock that any thread may release, and only of the kind that dies with its process.

        The library would make the folders again that somebody removed, open to others and without their key.
        """
        if not self._locks.is_dir():
            raise StoreUnavailable(f"{self._folder} was removed while this program was running. Start it again.")
        return FileLock(self._locks / f"{stem}.lock", mode=0o600, thread_local=False, fallback_to_soft=False)


def _bound_to(path: Path) -> bytes:
    """What is authenticated with the content: the format, and the hash of the name."""
    return _FORMAT + path.stem.encode()


def _not_ours(path: Path) -> StoreUnavailable:
    return StoreUnavailable(
        f"{path} cannot be opened: it was changed, or written with another key. It was left as it is. "
        "Put it or the key back as it was, or move the file away and sign in again."
    )
