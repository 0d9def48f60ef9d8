"""A data folder is private, opens only with its own key, and keeps everything over a restart (I2, T49, T51)."""

import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from doorward.core.models import AuditEvent
from doorward.storage import opening
from doorward.storage.audit import record
from doorward.storage.opening import Store, UnsafeFolder, open_store
from tests.storage.rows import NOW, add_tenant, dump


@asynccontextmanager
async def opened(folder: Path, master_key: str = "", *, create: bool = True) -> AsyncIterator[Store]:
    store = await open_store(folder, master_key, now=NOW, create=create)
    try:
        yield store
    finally:
        await store.database.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def generous_umask() -> Iterator[None]:
    """A process whose files everybody may read unless it says otherwise."""
    previous = os.umask(0)
    yield
    os.umask(previous)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("generous_umask")
async def test_nobody_else_can_read_what_is_made(folder: Path) -> None:
    async with opened(folder) as store:
        tenant = await add_tenant(store.database)
        await store.database.write(record, tenant.project_id, AuditEvent("test", "system", ""), NOW)
        modes = {path.name: mode(path) for path in folder.iterdir()}
    assert mode(folder) == 0o700
    assert modes == dict.fromkeys(["doorward.db", "doorward.db-shm", "doorward.db-wal", "master.key"], 0o600)


async def test_a_master_key_is_256_random_bits(tmp_path: Path) -> None:
    keys = set()
    for name in ("one", "two"):
        async with opened(tmp_path / name):
            keys.add(bytes.fromhex((tmp_path / name / "master.key").read_text()))
    assert {len(key) for key in keys} == {32}
    assert len(keys) == 2


async def test_a_restart_keeps_everything(folder: Path) -> None:
    async with opened(folder) as first:
        tenant = await add_tenant(first.database)
        before = await dump(first.database, tenant.project_id)
        sealed = first.vault.encrypt(b"private", "purpose")
    async with opened(folder) as second:
        assert await dump(second.database, tenant.project_id) == before
        assert second.vault.decrypt(sealed, "purpose") == b"private"
        assert (second.refresh_tokens, second.form_key) == (first.refresh_tokens, first.form_key)


async def test_the_servers_secrets_are_random_apart_and_sealed_at_rest_t49(folder: Path) -> None:
    async with opened(folder) as store:
        secrets = {store.refresh_tokens.key, store.form_key}
    assert {len(secret) for secret in secrets} == {32}
    assert len(secrets) == 2
    for path in folder.iterdir():
        assert not any(secret in path.read_bytes() for secret in secrets)


async def test_a_key_given_in_the_settings_is_never_written(folder: Path) -> None:
    async with opened(folder, "ab" * 31 + "cd"):
        assert not (folder / "master.key").exists()
    async with opened(folder, "ab" * 31 + "cd"):
        pass
    assert not (folder / "master.key").exists()


@pytest.mark.parametrize("permissions", [0o750, 0o710, 0o705, 0o777])
async def test_a_folder_that_others_can_read_is_refused(folder: Path, permissions: int) -> None:
    folder.mkdir()
    folder.chmod(permissions)
    with pytest.raises(UnsafeFolder, match=r"^DOORWARD_DATA: others can read .* chmod 700 "):
        await open_store(folder, now=NOW)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("permissions", [0o640, 0o604, 0o660, 0o644])
async def test_a_master_key_that_others_can_read_is_refused(folder: Path, permissions: int) -> None:
    async with opened(folder):
        pass
    (folder / "master.key").chmod(permissions)
    with pytest.raises(UnsafeFolder, match=r"^DOORWARD_MASTER_KEY: others can read .* chmod 600 "):
        await open_store(folder, now=NOW)


async def test_a_database_without_its_key_is_refused_and_gets_no_new_one(folder: Path) -> None:
    async with opened(folder):
        pass
    (folder / "master.key").unlink()
    with pytest.raises(UnsafeFolder, match=r"^DOORWARD_MASTER_KEY: .*master\.key is missing"):
        await open_store(folder, now=NOW)
    assert not (folder / "master.key").exists()


@pytest.mark.parametrize("content", ["", "zz" * 32, "ab" * 31, "ab" * 33])
async def test_a_broken_key_file_is_refused(folder: Path, content: str) -> None:
    async with opened(folder):
        pass
    (folder / "master.key").write_text(content)
    with pytest.raises(UnsafeFolder, match=r"^DOORWARD_MASTER_KEY: .* must hold 64 hex digits"):
        await open_store(folder, now=NOW)


async def test_the_key_of_another_folder_is_refused_and_changes_nothing(folder: Path) -> None:
    async with opened(folder):
        kept = (folder / "master.key").read_text()
    with pytest.raises(UnsafeFolder, match=r"^DOORWARD_MASTER_KEY: "):
        await open_store(folder, "ab" * 32, now=NOW)
    (folder / "master.key").write_text("cd" * 32)
    with pytest.raises(UnsafeFolder, match=r"^DOORWARD_MASTER_KEY: "):
        await open_store(folder, now=NOW)
    (folder / "master.key").write_text(kept)
    async with opened(folder):
        pass


async def test_a_start_that_broke_off_after_making_the_key_goes_on_with_it(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    (folder / "master.key").write_text("ab" * 32)
    (folder / "master.key").chmod(0o600)
    async with opened(folder):
        pass
    assert (folder / "master.key").read_text() == "ab" * 32


async def test_a_command_that_only_looks_makes_no_folder(folder: Path) -> None:
    with pytest.raises(UnsafeFolder, match="There is no Doorward database"):
        await open_store(folder, now=NOW, create=False)
    assert not folder.exists()
    async with opened(folder):
        pass
    async with opened(folder, create=False):
        pass


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
async def test_a_network_file_system_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(opening, "_file_system", lambda _: kind)
    with pytest.raises(UnsafeFolder, match=rf"^DOORWARD_DATA: .* network file system \({kind}\)"):
        await open_store(folder, now=NOW)


async def test_a_folder_can_be_opened_by_two_processes_at_once(folder: Path) -> None:
    async with opened(folder) as first, opened(folder) as second:
        tenant = await add_tenant(first.database)
        assert await dump(second.database, tenant.project_id) == await dump(first.database, tenant.project_id)
