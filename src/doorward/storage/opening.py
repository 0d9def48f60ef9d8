"""Opening a data folder: its permissions, its master key, its database at this release's schema, its own secrets.

Everything that makes a folder unsafe to start from is refused here, before anything is written to it.
"""

import secrets as random
import stat
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from doorward.core.sealing import SECRET_PREFIX, Sealer
from doorward.core.secrets import RefreshTokens
from doorward.core.vault import UnknownMasterKey, Vault, parse_master_keys
from doorward.logs import log

from .database import Transaction
from .encryption import encrypt_at_rest
from .executor_sqlite import SqliteDatabase
from .master_keys import KeyFile, UnsafeKeyFile
from .migrate import migrate
from .projects import add_server_secret, list_server_secrets

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
    key_file: KeyFile | None
    """Where the master keys are kept; None when the settings give them."""


async def open_store(folder: Path, master_key: str = "", *, now: int, create: bool = True) -> Store:
    """Open a data folder, making what is missing.

    `master_key` is hexadecimal, or several of them with the newest first; empty means the folder's own file.

    Raises `UnsafeFolder`, `migrate.UnknownSchema`, and `StorageUnavailable`.
    """
    database_path = folder / "doorward.db"
    if not create and not database_path.exists():
        raise UnsafeFolder(f"There is no Doorward database in {folder}. Start “doorward up” there first.")
    _prepare_folder(folder)
    is_new = not database_path.exists()
    key_file = None if master_key else KeyFile(folder)
    vault = _open_vault(key_file, is_new=is_new) if key_file else Vault(parse_master_keys(master_key))
    database = SqliteDatabase(database_path)
    try:
        migrate(database)
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
        key_file=key_file,
    )


def _prepare_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        raise UnsafeFolder(f"DOORWARD_DATA: others can read {folder}. Make it private: chmod 700 {folder}")
    kind = _file_system(folder)
    if kind in _NETWORK_FILE_SYSTEMS:
        raise UnsafeFolder(f"DOORWARD_DATA: {folder} is on a network file system ({kind}), where SQLite loses data.")


def _open_vault(file: KeyFile, *, is_new: bool) -> Vault:
    """A vault of the folder's own keys, which reads them again when another process has changed them."""
    path = file.path
    if is_new and path.exists() and not path.stat().st_size:
        path.unlink()  # left by a first start that was killed right here; nothing was encrypted with it yet
    if not path.exists():
        if not is_new:
            raise UnsafeFolder(f"DOORWARD_MASTER_KEY: {path} is missing; the database was encrypted with it.")
        file.create(random.token_bytes(32))
    try:
        return Vault(file.read(), partial(_reread, file))
    except UnsafeKeyFile as error:
        raise UnsafeFolder(f"DOORWARD_MASTER_KEY: {error}") from None


def _reread(file: KeyFile) -> tuple[bytes, ...]:
    """The keys that are in the file now; none when it cannot be read, which leaves those that are known."""
    try:
        return file.read()
    except (UnsafeKeyFile, OSError) as error:
        log.error("the master keys cannot be read again", reason=str(error))
        return ()


async def _load_secrets(database: SqliteDatabase, vault: Vault, now: int) -> dict[str, bytes]:
    try:
        stored = await database.write(_ensure_secrets, vault, now)
        return {purpose: vault.decrypt(ciphertext, purpose) for purpose, ciphertext in stored.items()}
    except UnknownMasterKey as error:
        raise UnsafeFolder(f"DOORWARD_MASTER_KEY: {error}") from None


async def _ensure_secrets(tx: Transaction, vault: Vault, now: int) -> dict[str, bytes]:
    stored = await list_server_secrets(tx)
    seals = any(purpose.startswith(SECRET_PREFIX) for purpose in stored)
    for purpose in _PURPOSES:
        if purpose not in stored and not (seals and purpose.startswith(SECRET_PREFIX)):
            stored[purpose] = await encrypt_at_rest(tx, vault, random.token_bytes(32), purpose)
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
