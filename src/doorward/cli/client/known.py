"""The servers that this person gave names to: a file of its own, readable and without any secret."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from filelock import FileLock, Timeout

from doorward.client.addresses import check_server_url
from doorward.client.errors import ClientError, StoreUnavailable
from doorward.client.store_folder import default_folder, prepare_folder, read_private, replace_private
from doorward.oauth.client_documents import check_document_url
from doorward.oauth.errors import OAuthError
from doorward.oauth.resources import match_key

Way = Literal["browser", "device", "paste"]
"""How the person is asked."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LOCK_SECONDS = 10


class UnknownServer(ClientError):  # noqa: N818  # as the errors it is one of
    """There is no server of that name."""


@dataclass(frozen=True, slots=True)
class KnownServer:
    """A server, and what it takes to get in; `name` is empty for one that is given by its address alone."""

    name: str
    url: str
    scopes: tuple[str, ...] | None = None
    client_id: str | None = None
    has_secret: bool = False
    issuer: str | None = None
    metadata_url: str | None = None
    signing_key: str | None = None
    port: int | None = None
    way: Way = "browser"
    account: str = ""
    dpop: bool = False

    @property
    def called(self) -> str:
        """What the person calls it."""
        return self.name or self.url

    @property
    def secret_name(self) -> str:
        """What the store keeps its client secret under."""
        return f"secret {self.name} {self.client_id}"


class ServersFile:
    """The file, for its owner alone, written as a whole. Raises `StoreUnavailable` where it is unsafe or broken."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_folder()
        self._path = self.folder / "servers.json"

    def read(self) -> dict[str, KnownServer]:
        """Every server by its name, in the order in which they were added."""
        content = read_private(self._path)
        if content is None:
            return {}
        try:
            servers = json.loads(content)["servers"]
            return {name: _parse(name, members) for name, members in servers.items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            message = f"{self._path} does not hold a list of servers. Mend it, or remove it and add them anew."
            raise StoreUnavailable(message) from None

    def add(self, server: KnownServer) -> None:
        """Write a new one down. Raises `ClientError` where its name is taken."""
        with self._changing() as servers:
            if server.name in servers:
                raise ClientError(
                    f"There is a server called {server.name} already, at {servers[server.name].url}."
                    f" Choose another name, or remove that one: doorward client remove {server.name}"
                )
            servers[server.name] = server

    def remove(self, name: str) -> None:
        """Forget one."""
        with self._changing() as servers:
            servers.pop(name, None)

    def resolve(self, name_or_url: str) -> KnownServer:
        """The server of a name, or at an address, which nobody needs to have added. Raises `ClientError`."""
        servers = self.read()
        if "://" not in name_or_url:
            if name_or_url in servers:
                return servers[name_or_url]
            if not _NAME.fullmatch(name_or_url):
                raise UnknownServer(
                    f"{name_or_url} is neither the name of a server nor an address: one begins with https://, or with"
                    " http:// on this machine."
                )
            known = f" Known are: {', '.join(servers)}." if servers else ""
            raise UnknownServer(
                f"There is no server called {name_or_url}.{known} Add it: doorward client add {name_or_url} URL"
            )
        check_server_url(name_or_url)
        found = [server for server in servers.values() if match_key(server.url) == match_key(name_or_url)]
        if len(found) > 1:
            names = ", ".join(server.name for server in found)
            raise UnknownServer(f"Several servers are at that address: {names}. Say which by its name.")
        return found[0] if found else KnownServer("", name_or_url)

    @contextmanager
    def _changing(self) -> Iterator[dict[str, KnownServer]]:
        """The servers, written back when nothing was raised; commands that run side by side wait for each other."""
        prepare_folder(self.folder)
        try:
            with FileLock(self.folder / "servers.lock", timeout=_LOCK_SECONDS, mode=0o600):
                servers = self.read()
                yield servers
                document = {"servers": {name: _dump(server) for name, server in servers.items()}}
                replace_private(self._path, (json.dumps(document, indent=2) + "\n").encode())
        except Timeout:
            raise StoreUnavailable(f"Another program goes on writing to {self._path}. Try again.") from None


def check_server(server: KnownServer) -> None:
    """Accept a server that could be used. Raises `ValueError`, and `AddressRefused` for its address."""
    if not _NAME.fullmatch(server.name):
        raise ValueError("a name is made of letters, digits, dots, hyphens and underscores")
    check_server_url(server.url)
    if server.has_secret and not server.client_id:
        raise ValueError("--client-secret-file needs --client-id")
    if server.signing_key and not (server.client_id or server.metadata_url):
        raise ValueError("--signing-key needs --client-id or --metadata-url: whom the key is of")
    if server.signing_key and server.has_secret:
        raise ValueError("a client has --client-secret-file or --signing-key, not both")
    if server.client_id and server.metadata_url:
        raise ValueError("a client has --client-id or --metadata-url, not both")
    if server.metadata_url:
        try:
            check_document_url(server.metadata_url)
        except OAuthError as error:
            raise ValueError(f"--metadata-url: {error.description}") from None


def _dump(server: KnownServer) -> dict[str, Any]:
    members = asdict(server)
    del members["name"]
    return {name: value for name, value in members.items() if value not in (None, "", False)}


def _parse(name: str, members: Mapping[str, Any]) -> KnownServer:
    """Raises `TypeError`, `KeyError` and `ValueError` for what this program did not write."""
    scopes = members.get("scopes")
    server = KnownServer(**{**members, "name": name, "scopes": None if scopes is None else tuple(scopes)})
    if server.way not in get_args(Way) or not isinstance(server.url, str):
        raise ValueError(name)
    return server
