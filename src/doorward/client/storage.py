"""The interface of what keeps connections; `stores` has the implementations."""

from collections.abc import Callable
from typing import Any, Protocol

Unlock = Callable[[], None]


class Store(Protocol):
    """Keeps JSON objects under names, safe for threads and processes.

    Methods block for as long as a small file or a keyring takes; callers run them in a worker thread. They raise
    `StoreUnavailable`. A write is whole or did not happen, whatever dies in between.
    """

    def load(self, name: str) -> dict[str, Any] | None:
        """What was kept under `name`, or None."""
        ...

    def save(self, name: str, document: dict[str, Any]) -> None:
        """Keep `document` under `name`, in place of what was there."""
        ...

    def delete(self, name: str) -> None:
        """Forget what was kept under `name`, if anything was."""
        ...

    def names(self) -> list[str]:
        """Every name that something is kept under."""
        ...

    def try_lock(self, name: str) -> Unlock | None:
        """Be the only one, of all threads and processes on this store, until the result is called.

        None when somebody else is. Never waits; a lock dies with its process.
        """
        ...


def connection_name(issuer: str, resource: str, client: str) -> str:
    """The name of a `Connection`: URLs cannot hold a space, so no two triples share one, and each can be
    read back. Spec: CRED-01, CRED-02
    """
    return f"connection {issuer} {resource} {client}"


def server_name(server_url: str, client: str) -> str:
    """The name of a `ServerRecord`."""
    return f"server {server_url} {client}"
