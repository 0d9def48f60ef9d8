"""What our client keeps, and how a test makes it believe otherwise."""

from dataclasses import replace
from typing import Any

from doorward.client.records import Connection, dump_connection, load_connection
from doorward.client.storage import Store
from doorward.client.stores import MemoryStore


def kept(store: Store) -> tuple[str, Connection]:
    """The one connection in the store, and its name."""
    (name,) = [name for name in store.names() if name.startswith("connection ")]
    document = store.load(name)
    assert document is not None
    return name, load_connection(document)


def change_tokens(store: Store, **members: Any) -> Connection:
    """What was kept before other tokens were put in its place."""
    name, connection = kept(store)
    assert connection.tokens is not None
    store.save(name, dump_connection(connection.with_tokens(replace(connection.tokens, **members))))
    return connection


def copy(store: Store) -> MemoryStore:
    """All that is kept, as somebody else may have it."""
    copied = MemoryStore()
    for name in store.names():
        document = store.load(name)
        assert document is not None
        copied.save(name, document)
    return copied
