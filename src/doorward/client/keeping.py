"""What a session keeps, in memory and in its store, and the locks it holds while it changes that.

Spec: CRED-01, CRED-02, CLI-09; issue of every client whose processes refreshed side by side (complaint 4)
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import anyio
from anyio.to_thread import run_sync

from .errors import LoginRequired, StoreUnavailable
from .records import (
    Connection,
    Registration,
    ServerRecord,
    dump_connection,
    dump_server,
    load_connection,
    load_server,
)
from .storage import Store, connection_name, server_name

LOCK_SECONDS = 330
"""Longer than a person has to sign in, since that is what another process may be waiting for."""
_POLL_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25)


@dataclass(frozen=True, slots=True)
class _Unsaved:
    """A connection that the store did not take, and what it holds in its place."""

    name: str
    connection: Connection
    instead: dict[str, Any] | None


class Keeping:
    """The records of one client at one server.

    `server_key` is the server's address in the form in which spellings are equal, `client_key` the client's.
    """

    def __init__(self, store: Store, server_key: str, client_key: str) -> None:
        self._store = store
        self._client_key = client_key
        self._place = server_name(server_key, client_key)
        self._locks: dict[str, AsyncExitStack] = {}
        self._mine: set[str] = set()
        """The connections whose locks are held by who is alone."""
        self.server: ServerRecord | None = None
        self.connection = Connection()
        self.is_read = False
        self._stored: dict[str, Any] | None = None
        """What the store holds of the connection."""
        self._unsaved: _Unsaved | None = None

    @asynccontextmanager
    async def alone(self, *, waits: bool = True) -> AsyncIterator[None]:
        """Be the only one at this server, and at the connection it uses, and know what was kept last.

        Tasks, threads and processes wait for each other here; a cancelled wait leaves nothing behind. Raises
        `LoginRequired` when somebody else holds on for longer than a login takes, or, unless it `waits`, at all.
        """
        async with AsyncExitStack() as held:
            await self._hold(held, self._place, waits=waits)
            await self.read()
            if self.server is not None:
                await self._hold(held, self._name(self.server), waits=waits)
                await self.read()
                await self._keep_unsaved(self._name(self.server))
            self._locks[self._place] = held
            self._mine = {self._name(self.server)} if self.server is not None else set()
            try:
                yield
            finally:
                del self._locks[self._place]

    async def read(self, *, first: bool = False) -> None:
        """Read what is kept. What another version wrote, or nobody, counts as nothing.

        Nobody sees half of it meanwhile. What is read `first` is read without being alone, and is nothing any more when
        somebody else was faster: they may have kept something since.
        """
        server = _parse_server(await run_sync(self._store.load, self._place))
        name = self._name(server) if server is not None else None
        stored = await run_sync(self._store.load, name) if name is not None else None
        if first and self.is_read:
            return
        self.server, self.connection = server, self._prefer_unsaved(name, stored)
        self.is_read = True

    async def move_to(self, record: ServerRecord) -> None:
        """Use the connection of another issuer or resource from now on, or the newer metadata of the same.

        To be called inside `alone`. Nothing of the former connection goes along. Spec: CRED-02, PRM-19
        """
        former = self.server
        name = self._name(record)
        if former is None or self._name(former) != name:
            if name not in self._mine:
                await self._hold(self._locks[self._place], name)
                self._mine.add(name)
            self.connection = self._prefer_unsaved(name, await run_sync(self._store.load, name))
        self.server = record
        await run_sync(self._store.save, self._place, dump_server(record))

    async def keep(self, connection: Connection) -> None:
        """Keep the connection. A secret that the program brings along each time is not written down.

        Raises `StoreUnavailable`. What could not be kept is used by this program all the same, and kept when it can be:
        what the store holds then is a refresh token that was used already.
        """
        if self.server is None:
            raise StoreUnavailable("A connection was to be kept before its issuer was known.")
        self.connection = connection
        registration = connection.registration
        if registration is not None and registration.kind == "preregistered":
            registration = replace(registration, client_secret=None)
        document = dump_connection(connection.with_registration(registration))
        name = self._name(self.server)
        self._unsaved = _Unsaved(name, connection, self._stored)
        if document:
            await run_sync(self._store.save, name, document)
        else:
            await run_sync(self._store.delete, name)
        self._stored, self._unsaved = document or None, None

    async def load_registration(self, issuer: str, resource: str) -> Registration | None:
        """How this client is known to that issuer, for that resource: none other's. Spec: CRED-01"""
        if self.server is None or (self.server.issuer, self.server.resource) != (issuer, resource):
            return None
        return self.connection.registration

    async def save_registration(self, resource: str, registration: Registration) -> None:
        """Keep a new registration at once. Tokens of the former one went with it."""
        if self.server is not None and (self.server.issuer, self.server.resource) == (registration.issuer, resource):
            await self.keep(replace(self.connection, registration=registration))

    async def find_former_issuers(self) -> list[str]:
        """Those whose connections for the same resource are kept beside the one that is used now."""
        if self.server is None:
            return []
        try:
            names = await run_sync(self._store.names)
        except StoreUnavailable:  # of something else that is kept, too
            return []
        kept = [parts for name in names if len(parts := name.split(" ")) == 4 and parts[0] == "connection"]
        here = [self.server.resource, self._client_key]
        return [issuer for _, issuer, *of_whom in kept if of_whom == here and issuer != self.server.issuer]

    def _prefer_unsaved(self, name: str | None, stored: dict[str, Any] | None) -> Connection:
        """What is `stored` under `name`; what could not be kept goes before it, unless somebody else kept something."""
        self._stored = stored
        unsaved, self._unsaved = self._unsaved, None
        if unsaved is None or (unsaved.name, unsaved.instead) != (name, stored):
            return _parse_connection(stored)
        self._unsaved = unsaved
        return unsaved.connection

    async def _keep_unsaved(self, name: str) -> None:
        if self._unsaved is not None and self._unsaved.name == name:
            with suppress(StoreUnavailable):
                await self.keep(self._unsaved.connection)

    def _name(self, record: ServerRecord) -> str:
        return connection_name(record.issuer, record.resource, self._client_key)

    async def _hold(self, held: AsyncExitStack, name: str, *, waits: bool = True) -> None:
        pauses = iter(_POLL_SECONDS)
        with anyio.move_on_after(LOCK_SECONDS):
            # Another process has no event to set.
            while (unlock := await run_sync(self._store.try_lock, name)) is None and waits:  # noqa: ASYNC110  # as said
                await anyio.sleep(next(pauses, _POLL_SECONDS[-1]))
            if unlock is not None:
                held.callback(unlock)
                return
        raise LoginRequired("Another program is signing in to this server and does not come to an end.")


def _parse_server(document: dict[str, Any] | None) -> ServerRecord | None:
    try:
        return load_server(document) if document else None
    except (KeyError, TypeError):
        return None


def _parse_connection(document: dict[str, Any] | None) -> Connection:
    try:
        return load_connection(document) if document else Connection()
    except (KeyError, TypeError):
        return Connection()
