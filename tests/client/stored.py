"""What the tests of stores keep, and how they look at it."""

import secrets
from collections.abc import Callable
from pathlib import Path

from doorward.client.records import Connection, Registration, Tokens
from doorward.client.storage import Store
from doorward.client.stores import FileStore, KeyringStore, MemoryStore

SECRET = "hush-" + secrets.token_hex(16)
KINDS = ("memory", "file", "keyring")
LASTING = ("file", "keyring")


def make_store(kind: str, folder: Path) -> Store:
    makers: dict[str, Callable[[], Store]] = {
        "memory": MemoryStore,
        "file": lambda: FileStore(folder),
        "keyring": lambda: KeyringStore(folder),
    }
    return makers[kind]()


def sealed_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.sealed"))


def make_connection(issuer: str, secret: str = SECRET) -> Connection:
    return Connection(
        Registration(
            issuer, "dynamic", f"client-of-{secret}", client_secret=secret, redirect_uris=("http://[::1]/cb",)
        ),
        Tokens(f"at-{secret}", "Bearer", issued_at=1.5, refresh_token=f"rt-{secret}", scope=("a", "b")),
        dpop_key={"kty": "EC", "d": secret},
    )
