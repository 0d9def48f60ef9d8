"""What keeps connections: a folder with its key in the keyring, a folder with its key beside it, or memory.

Spec: CLI-03, T17
"""

import json
import threading
from pathlib import Path
from typing import Any, ClassVar

from .storage import Store, Unlock
from .store_file import FileStore
from .store_folder import FolderUnwritable, default_folder
from .store_keyring import ANSWERS_WITHIN_SECONDS, KeyringStore, NoKeyring

__all__ = ["DefaultStore", "FileStore", "KeyringStore", "MemoryStore", "NoKeyring", "describe_store", "open_store"]


class MemoryStore:
    """Keeps everything until the program ends, for it alone. What is loaded is a copy of what was saved."""

    def __init__(self, *, because: str = "") -> None:
        self._documents: dict[str, str] = {}
        self._held: set[str] = set()
        self._guard = threading.RLock()  # an unlock that was dropped may be collected while the guard is held
        self.kept_in = "in memory, until this program ends" + (f": {because}" if because else "")
        """In words, for the person whose tokens these are."""

    def load(self, name: str) -> dict[str, Any] | None:
        with self._guard:
            kept = self._documents.get(name)
        return None if kept is None else json.loads(kept)

    def save(self, name: str, document: dict[str, Any]) -> None:
        kept = json.dumps(document)
        with self._guard:
            self._documents[name] = kept

    def delete(self, name: str) -> None:
        with self._guard:
            self._documents.pop(name, None)

    def names(self) -> list[str]:
        with self._guard:
            return list(self._documents)

    def try_lock(self, name: str) -> Unlock | None:
        with self._guard:
            if name in self._held:
                return None
            self._held.add(name)
        return _Once(lambda: self._held.discard(name), self._guard)


class _Once:
    """Calls `work` the first time only: a second unlock must not take the lock from who has it by then.

    Dropping it calls, too, as with the locks of files: whoever was cancelled while they got the lock never sees it.
    """

    def __init__(self, work: Unlock, guard: threading.RLock) -> None:
        self._work: Unlock | None = work
        self._guard = guard

    def __call__(self) -> None:
        with self._guard:
            work, self._work = self._work, None
            if work is not None:
                work()

    __del__ = __call__


class DefaultStore:
    """What `open_store` finds, opened when it is first used and then shared by all of this process.

    A keyring may ask the person for a password, which must neither hold up an event loop nor happen once for every
    object that keeps something. What could not be opened is tried anew at the next use.
    """

    _opened: ClassVar[dict[Path | None, Store]] = {}
    _opening: ClassVar[threading.Lock] = threading.Lock()

    @property
    def kept_in(self) -> str:
        """In words, for the person whose tokens these are."""
        return describe_store(self._store())

    def load(self, name: str) -> dict[str, Any] | None:
        return self._store().load(name)

    def save(self, name: str, document: dict[str, Any]) -> None:
        self._store().save(name, document)

    def delete(self, name: str) -> None:
        self._store().delete(name)

    def names(self) -> list[str]:
        return self._store().names()

    def try_lock(self, name: str) -> Unlock | None:
        return self._store().try_lock(name)

    def _store(self) -> Store:
        try:
            place = default_folder()
        except FolderUnwritable:
            place = None
        with self._opening:
            if place not in self._opened:
                self._opened[place] = open_store()
            return self._opened[place]


def open_store(folder: Path | None = None, *, keyring_seconds: float = ANSWERS_WITHIN_SECONDS) -> Store:
    """The safest store there is here: the keyring, else an encrypted file, else memory; `describe_store` says which.

    The two that write have folders of their own inside `folder`, since a program without the keyring (over SSH, by a
    timer) could not read what one with it wrote. A folder that is unsafe is refused rather than passed over: raises
    `StoreUnavailable` saying what to do. Memory is for where nothing can be written at all. Spec: CLI-03, T17
    """
    try:
        folder = folder or default_folder()
        try:
            return KeyringStore(folder / "keyring", seconds=keyring_seconds)
        except NoKeyring:
            return FileStore(folder / "files")
    except FolderUnwritable as error:
        return MemoryStore(because=str(error).removesuffix("."))


def describe_store(store: Store) -> str:
    """Where a store keeps things, in words that follow “kept”."""
    return getattr(store, "kept_in", "in a store of this program's own")
