"""What a client keeps is its owner's alone, unreadable without the key, and no other's; and which store there is."""

import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keyring.core
import pytest
from keyring.backends import chainer

from doorward.client.auth import DoorwardAuth
from doorward.client.errors import StoreUnavailable
from doorward.client.records import dump_connection
from doorward.client.store_folder import FolderUnwritable, default_folder
from doorward.client.store_keyring import SERVICE
from doorward.client.stores import (
    DefaultStore,
    FileStore,
    KeyringStore,
    MemoryStore,
    NoKeyring,
    describe_store,
    open_store,
)
from tests.client.conftest import activate
from tests.client.keyrings import FolderKeyring, ReadableKeyring, StuckKeyring
from tests.client.store_programs import NAME
from tests.client.stored import LASTING, SECRET, make_connection, make_store, sealed_files

pytestmark = pytest.mark.usefixtures("ring")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("kind", LASTING)
def test_files_are_their_owners_alone_and_hold_nothing_readable_cli_03_t17(
    kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, int]] = []
    opened = os.open

    def watch(path: Any, flags: int, given: int = 0o777, **more: Any) -> int:
        if flags & os.O_CREAT:
            made.append((str(path), given))
        return opened(path, flags, given, **more)

    monkeypatch.setattr(os, "open", watch)
    former = os.umask(0)
    try:
        store = make_store(kind, folder / "deeper")
        store.save(NAME, dump_connection(make_connection("https://issuer.example")))
        unlock = store.try_lock(NAME)
    finally:
        os.umask(former)
    assert unlock is not None
    assert made
    assert {given for path, given in made if str(folder) in path} == {0o600}, "open to others for a moment"
    inside = [folder, *folder.rglob("*")]
    assert {path.name: mode(path) for path in inside if path.is_dir()} == {
        "kept": 0o700,
        "deeper": 0o700,
        "locks": 0o700,
    }
    files = [path for path in inside if path.is_file()]
    assert {mode(path) for path in files} == {0o600}
    everything = b"".join(path.name.encode() + path.read_bytes() for path in files)
    for readable in (SECRET, "issuer.example", "client", "Bearer"):
        assert readable.encode() not in everything.replace(b"doorward client store", b"")
    assert (folder / "deeper" / "key").exists() == (kind == "file")


def test_the_key_in_the_keyring_opens_what_is_worth_nothing_without_it_cli_03_t17(
    folder: Path, ring: FolderKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = KeyringStore(folder)
    store.save(NAME, {"token": SECRET})
    assert ring.get_password(SERVICE, str(folder)) is not None
    assert "keyring" in describe_store(store)
    assert str(folder) in describe_store(store)
    activate(monkeypatch, make_empty_ring(folder.parent / "another ring"))
    with pytest.raises(StoreUnavailable, match="there is no key") as refused:
        KeyringStore(folder)
    assert str(folder) in str(refused.value)
    assert make_store("file", folder.parent / "elsewhere").names() == []
    assert len(sealed_files(folder)) == 1, "what cannot be opened is never deleted"


def make_empty_ring(folder: Path) -> FolderKeyring:
    folder.mkdir()
    return FolderKeyring(str(folder))


def test_a_key_file_that_is_gone_is_not_replaced_beside_what_it_opened(folder: Path) -> None:
    FileStore(folder).save(NAME, {"token": SECRET})
    key = (folder / "key").read_bytes()
    (folder / "key").unlink()
    with pytest.raises(StoreUnavailable, match="there is no key"):
        FileStore(folder)
    (folder / "key").write_bytes(key)
    (folder / "key").chmod(0o600)
    assert FileStore(folder).load(NAME) == {"token": SECRET}


@pytest.mark.parametrize("wrong", [b"", b"short", b"x" * 33])
def test_what_is_not_a_key_is_refused_by_its_name(folder: Path, wrong: bytes) -> None:
    FileStore(folder)
    (folder / "key").write_bytes(wrong)
    with pytest.raises(StoreUnavailable, match=r"key is not a key") as refused:
        FileStore(folder)
    assert str(folder / "key") in str(refused.value)


def test_an_entry_of_the_keyring_that_is_not_a_key_is_refused(folder: Path, ring: FolderKeyring) -> None:
    ring.set_password(SERVICE, str(folder), "not a key")
    with pytest.raises(StoreUnavailable, match="is not a key") as refused:
        KeyringStore(folder)
    assert not isinstance(refused.value, NoKeyring), "another store would hide it"


@pytest.mark.parametrize("forged", ["empty", "torn", "changed", "headless", "foreign", "swapped"])
def test_a_file_that_this_store_did_not_write_so_is_refused_and_left_as_it_is_cred_02_t17(
    folder: Path, forged: str
) -> None:
    store = FileStore(folder)
    store.save(NAME, {"token": SECRET})
    path = sealed_files(folder)[0]
    whole = path.read_bytes()
    contents: dict[str, Callable[[], bytes]] = {
        "empty": lambda: b"",
        "torn": lambda: whole[:-9],
        "changed": lambda: whole[:-1] + bytes([whole[-1] ^ 1]),
        "headless": lambda: json.dumps({"name": NAME, "document": {"token": "evil"}}).encode(),
        "foreign": lambda: sealed_by_another_key(folder.parent / "foreign"),
        "swapped": lambda: sealed_under_another_name(store, folder),
    }
    content = contents[forged]()
    path.write_bytes(content)
    looks: tuple[Callable[[], object], ...] = (lambda: store.load(NAME), store.names)
    for look in looks:
        with pytest.raises(StoreUnavailable, match="cannot be opened") as refused:
            look()
        assert str(path) in str(refused.value)
        assert SECRET not in str(refused.value)
    assert path.read_bytes() == content
    store.delete(NAME)
    assert store.load(NAME) is None


def sealed_by_another_key(folder: Path) -> bytes:
    FileStore(folder).save(NAME, {"token": "evil"})
    return sealed_files(folder)[0].read_bytes()


def sealed_under_another_name(store: FileStore, folder: Path) -> bytes:
    before = set(sealed_files(folder))
    store.save("connection https://evil.example", {"token": "evil"})
    (fresh,) = set(sealed_files(folder)) - before
    content = fresh.read_bytes()
    fresh.unlink()
    return content


def test_a_folder_that_others_may_enter_is_refused_with_what_to_do_t17(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    with pytest.raises(StoreUnavailable, match="chmod 700") as refused:
        FileStore(folder)
    assert str(folder) in str(refused.value)
    assert list(folder.iterdir()) == []
    folder.chmod(0o700)
    FileStore(folder).save(NAME, {})


def test_a_folder_that_is_a_link_is_refused_t17(folder: Path) -> None:
    folder.with_name("real").mkdir(mode=0o700)
    folder.symlink_to(folder.with_name("real"))
    with pytest.raises(StoreUnavailable, match="a link"):
        FileStore(folder)


def test_a_folder_of_somebody_else_is_refused_t17(folder: Path) -> None:
    foreign = Path("/")
    if os.geteuid() == 0:
        folder.mkdir(mode=0o700)
        os.chown(folder, 12345, 12345)
        foreign = folder
    with pytest.raises(StoreUnavailable, match="belongs to another user"):
        FileStore(foreign)


@pytest.mark.parametrize("name", ["sealed", "key", "lock"])
def test_a_link_in_place_of_a_file_is_refused_t17(folder: Path, name: str) -> None:
    store = FileStore(folder)
    store.save(NAME, {"token": SECRET})
    path = {
        "sealed": sealed_files(folder)[0],
        "key": folder / "key",
        "lock": folder / "locks" / f"{sealed_files(folder)[0].stem}.lock",
    }[name]
    target = folder.with_name("target")
    target.write_bytes(path.read_bytes() if path.exists() else b"")
    target.chmod(0o600)
    path.unlink(missing_ok=True)
    path.symlink_to(target)
    acts: dict[str, Callable[[], object]] = {
        "sealed": lambda: store.load(NAME),
        "key": lambda: FileStore(folder),
        "lock": lambda: store.try_lock(NAME),
    }
    with pytest.raises(StoreUnavailable) as refused:
        acts[name]()
    assert str(path) in str(refused.value)


def test_a_file_that_others_can_read_is_refused_with_what_to_do_t17(folder: Path) -> None:
    store = FileStore(folder)
    store.save(NAME, {"token": SECRET})
    sealed_files(folder)[0].chmod(0o640)
    with pytest.raises(StoreUnavailable, match="chmod 600"):
        store.load(NAME)


def test_a_folder_that_is_removed_in_use_is_not_made_again_without_its_key(folder: Path) -> None:
    store = FileStore(folder)
    folder.rename(folder.with_name("gone"))
    assert store.load(NAME) is None
    acts: tuple[Callable[[], object], ...] = (
        lambda: store.save(NAME, {}),
        lambda: store.delete(NAME),
        lambda: store.try_lock(NAME),
    )
    for act in acts:
        with pytest.raises(StoreUnavailable, match="was removed"):
            act()
    assert not folder.exists()


def test_the_keyring_is_taken_where_there_is_one_and_the_tokens_stay_out_of_it_cli_03(
    folder: Path, ring: FolderKeyring
) -> None:
    store = open_store(folder)
    store.save(NAME, {"token": SECRET})
    assert isinstance(store, KeyringStore)
    assert list(folder.iterdir()) == [folder / "keyring"]
    assert SECRET not in Path(ring.folder, "entries.json").read_text()
    assert open_store(folder).load(NAME) == {"token": SECRET}


@pytest.mark.parametrize(
    "backend",
    [
        "keyring.backends.fail.Keyring",
        "keyring.backends.null.Keyring",
        "tests.client.keyrings.ReadableKeyring",
        "tests.client.keyrings.ForgetfulKeyring",
        "tests.client.keyrings.LockedKeyring",
        "tests.client.keyrings.StuckKeyring",
    ],
)
def test_a_keyring_that_keeps_nothing_secret_or_never_answers_is_passed_over_for_files_cli_03(
    folder: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    active = keyring.core.load_keyring(backend)
    activate(monkeypatch, active)
    seconds = 0.05 if isinstance(active, StuckKeyring) else 20
    with pytest.raises(NoKeyring) as refused:
        KeyringStore(folder / "alone", seconds=seconds)
    assert "hunter2" not in str(refused.value)
    store = open_store(folder, keyring_seconds=seconds)
    if isinstance(active, StuckKeyring):
        active.answered.set()
    store.save(NAME, {"token": SECRET})
    assert (type(store), FileStore(folder / "files").load(NAME)) == (FileStore, {"token": SECRET})
    assert "with the key in a file beside them" in describe_store(store)


def test_of_several_keyrings_only_the_best_is_used_cli_03(
    folder: Path, ring: FolderKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    readable = ReadableKeyring(str(folder.parent))

    class Chain(chainer.ChainerBackend):
        viable = False
        backends = (ring, readable)

    activate(monkeypatch, Chain())  # type: ignore[no-untyped-call]  # the library's
    assert "FolderKeyring" in describe_store(KeyringStore(folder))
    assert not Path(readable.folder, "entries.json").exists()


def test_a_program_that_names_no_store_asks_the_keyring_once_and_only_when_it_keeps_something_cli_03(
    own_home: Path, ring: FolderKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    get_password = ring.get_password

    def count(service: str, username: str) -> str | None:
        asked.append(username)
        return get_password(service, username)

    monkeypatch.setattr(ring, "get_password", count)
    KeyringStore(own_home / "keyring")
    asked.clear()
    first, second = DefaultStore(), DefaultStore()
    DoorwardAuth("http://127.0.0.1:1/mcp")
    assert asked == []
    first.save(NAME, {"token": SECRET})
    assert second.load(NAME) == {"token": SECRET}
    unlock = first.try_lock(NAME)
    assert unlock is not None
    assert second.try_lock(NAME) is None
    unlock()
    assert asked == [str(own_home / "keyring")]
    assert (second.names(), describe_store(second)) == ([NAME], describe_store(open_store()))
    second.delete(NAME)
    assert first.load(NAME) is None


def test_a_default_store_that_could_not_be_opened_is_tried_anew(own_home: Path) -> None:
    store = DefaultStore()
    (own_home / "keyring").mkdir(parents=True)
    (own_home / "keyring").chmod(0o777)
    with pytest.raises(StoreUnavailable, match="chmod 700"):
        store.names()
    (own_home / "keyring").chmod(0o700)
    assert store.names() == []


def test_a_program_without_the_keyring_library_keeps_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert type(open_store(folder)) is FileStore


def test_without_a_folder_things_are_kept_in_memory_and_it_says_why(folder: Path) -> None:
    folder.write_text("a file where the folder should be")
    store = open_store(folder / "client")
    store.save(NAME, {"token": SECRET})
    assert isinstance(store, MemoryStore)
    assert store.load(NAME) == {"token": SECRET}
    assert str(folder) in describe_store(store)
    assert describe_store(MemoryStore()) == "in memory, until this program ends"


def test_an_unsafe_folder_is_refused_rather_than_passed_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    activate(monkeypatch, keyring.core.load_keyring("keyring.backends.fail.Keyring"))
    open_store(folder)
    (folder / "files").chmod(0o777)
    with pytest.raises(StoreUnavailable, match="chmod 700"):
        open_store(folder)


def test_the_folder_is_named_by_its_variable_else_by_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_folder({"DOORWARD_CLIENT_HOME": "/given", "XDG_DATA_HOME": "/data"}) == Path("/given")
    assert default_folder({"DOORWARD_CLIENT_HOME": "given"}) == Path.cwd() / "given"
    home = Path("/srv/ada")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr("sys.platform", "linux")
    assert default_folder({"DOORWARD_CLIENT_HOME": "", "XDG_DATA_HOME": "/data"}) == Path("/data/doorward/client")
    assert default_folder({"XDG_DATA_HOME": "relative"}) == home / ".local/share/doorward/client"
    monkeypatch.setattr("sys.platform", "darwin")
    assert default_folder({"XDG_DATA_HOME": "/data"}) == home / "Library/Application Support/doorward/client"


def test_a_program_without_a_home_keeps_things_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOORWARD_CLIENT_HOME", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(FolderUnwritable):
        default_folder({})
    assert "DOORWARD_CLIENT_HOME" in describe_store(open_store())
