"""Opening a data folder: its permissions, its master key, its database at this release's schema, its own secrets.

Everything that makes a folder unsafe to start from is refused here, before anything is written to it.
"""

import os
import secrets as random
import stat
from dataclasses import dataclass
from pathlib import Path

from doorward.core.sealing import SECRET_PREFIX, Sealer
from doorward.core.secrets import RefreshTokens, Vault

from .database import Transaction
from .executor_sqlite import SqliteDatabase
from .migrate import migrate
from .projects import add_server_secret, list_server_secrets

MASTER_KEY_FILE = "master.key"
_PURPOSES = ("refresh-tokens", "forms", "sealing/0")
_NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "glusterfs"})


class UnsafeFolder(Exception):  # noqa: N818  # names what is wrong, and stops the start
    """The data folder must not be used as it is; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Store:
    """An open data folder."""

    database: SqliteDatabase
    vault: Vault
    refresh_tokens: RefreshTokens
    sealer: Sealer
    form_key: bytes


async def open_store(folder: Path, master_key: str = "", *, now: int, create: bool = True) -> Store:
    """Open a data folder, making what is missing. `master_key` is hexadecimal; empty means the folder's own file.

    Raises `UnsafeFolder`, `migrate.UnknownSchema`, and `StorageUnavailable`.
    """
    database_path = folder / "doorward.db"
    if not create and not database_path.exists():
        raise UnsafeFolder(f"There is no Doorward database in {folder}. Start “doorward up” there first.")
    _prepare_folder(folder)
    is_new = not database_path.exists()
    key = bytes.fromhex(master_key) if master_key else _read_master_key(folder, is_new=is_new)
    database = SqliteDatabase(database_path)
    try:
        migrate(database)
        vault = Vault(key)
        secrets = await _load_secrets(database, vault, now)
    except BaseException:
        await database.close()
        raise
    return Store(
        database=database,
        vault=vault,
        refresh_tokens=RefreshTokens(secrets["refresh-tokens"]),
        sealer=Sealer(
            {
                int(name.removeprefix(SECRET_PREFIX)): key
                for name, key in secrets.items()
                if name.startswith(SECRET_PREFIX)
            }
        ),
        form_key=secrets["forms"],
    )


def _prepare_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        raise UnsafeFolder(f"DOORWARD_DATA: others can read {folder}. Make it private: chmod 700 {folder}")
    kind = _file_system(folder)
    if kind in _NETWORK_FILE_SYSTEMS:
        raise UnsafeFolder(f"DOORWARD_DATA: {folder} is on a network file system ({kind}), where SQLite loses data.")


def _read_master_key(folder: Path, *, is_new: bool) -> bytes:
    path = folder / MASTER_KEY_FILE
    if is_new and path.exists() and not path.stat().st_size:
        path.unlink()  # left by a first start that was killed right here; nothing was encrypted with it yet
    if not path.exists():
        if not is_new:
            raise UnsafeFolder(f"DOORWARD_MASTER_KEY: {path} is missing; the database was encrypted with it.")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(random.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UnsafeFolder(f"DOORWARD_MASTER_KEY: others can read {path}. Make it private: chmod 600 {path}")
    try:
        key = bytes.fromhex(path.read_text().strip())
    except ValueError:
        key = b""
    if len(key) != 32:  # AES-256
        raise UnsafeFolder(f"DOORWARD_MASTER_KEY: {path} must hold 64 hex digits.")
    return key


async def _load_secrets(database: SqliteDatabase, vault: Vault, now: int) -> dict[str, bytes]:
    stored = await database.write(_ensure_secrets, vault, now)
    try:
        return {purpose: vault.decrypt(ciphertext, purpose) for purpose, ciphertext in stored.items()}
    except ValueError as error:
        raise UnsafeFolder(f"DOORWARD_MASTER_KEY: {error}") from None


async def _ensure_secrets(tx: Transaction, vault: Vault, now: int) -> dict[str, bytes]:
    stored = await list_server_secrets(tx)
    seals = any(purpose.startswith(SECRET_PREFIX) for purpose in stored)
    for purpose in _PURPOSES:
        if purpose not in stored and not (seals and purpose.startswith(SECRET_PREFIX)):
            stored[purpose] = vault.encrypt(random.token_bytes(32), purpose)
            await add_server_secret(tx, purpose, stored[purpose], now)
    return stored


def _file_system(folder: Path) -> str:
    """The type of the file system a folder is on, where the system tells; an empty string elsewhere."""
    try:
        mounts = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return ""
    path = str(folder.resolve())
    best, kind = "", ""
    for line in mounts:
        _, point, system, *_ = line.split(" ")
        inside = path == point or path.startswith(f"{point.rstrip('/')}/")
        if inside and len(point) >= len(best):
            best, kind = point, system
    return kind
