"""Servers of other people behind the guard: each one forwarded to or run, its tools known, its callers let in.

Needs the `proxy` extra.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from doorward.app import CLOSE_SECONDS, Mounted
from doorward.asgi import Lifespan, Receive, Response, Scope, Send, json_response
from doorward.core.tools import GROUPS
from doorward.local_tools import WithTools, build_catalogue, protect_with_tools
from doorward.manage import resources
from doorward.mounting import COUNTERS_FILE, WithLifespan
from doorward.oauth.budgets import parse_budgets
from doorward.oauth.metadata import PROTECTED_RESOURCE
from doorward.oauth.scopes import READ_TOOLS, WRITE_TOOLS
from doorward.resource import (
    Budgets,
    IntrospectionVerifier,
    JWKSKeys,
    JWTVerifier,
    ProtectMCP,
    RevocationFeed,
    TimelineReporter,
    Verifier,
)
from doorward.resource.asgi import ASGIApp
from doorward.resource.catalogue import CatalogueStore, FileStore
from doorward.resource.counters_sqlite import SQLiteCounters
from doorward.resource.forward import Forwarder
from doorward.resource.identity import IdentitySigner
from doorward.resource.issuer import new_http_client
from doorward.resource.legacy import LegacyShim
from doorward.resource.remote_tools import RemoteTools
from doorward.resource.stdio import StdioBridge
from doorward.starting import Opened, register

IDENTITY_PATH = "/.well-known/doorward-identity"
"""Where a server behind finds the keys that the identity header is signed with."""
_METADATA_PATH = f"/.well-known/{PROTECTED_RESOURCE}"
"""Before the path of each server; alone it is the address of the first server's."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """A server to protect: at a URL, or started by a command.

    `path` is where it appears, `headers` are for it alone, `environment` is for the command beside a few harmless
    names.
    """

    path: str
    url: str = ""
    command: tuple[str, ...] = ()
    name: str = ""
    shared: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    budgets: tuple[str, ...] = ()
    """How much may be called in how long; empty leaves what the operator set, as an empty `name` does."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further options of its guard, a `ProtectMCP`."""

    @property
    def described(self) -> str:
        """What is behind the door, for the terminal."""
        return self.url.partition("?")[0] or " ".join(self.command)  # a query may hold a credential


class _Document:
    """A public JSON document."""

    def __init__(self, body: bytes) -> None:
        self._response = Response(200, body, [("content-type", "application/json"), ("cache-control", "max-age=300")])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # ASGI
        """Serve one connection."""
        await self._response.send(send, head=scope["method"] == "HEAD")

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Needs nothing."""
        yield


class Standing:
    """Guards alone, for tokens of an issuer elsewhere: the mounted apps, and whether all of it works.

    `beside` is what runs as long as they do. With a `legacy_issuer`, clients of 2025-03-26 are led to it from
    `origin`, for the first of the apps.
    """

    def __init__(
        self,
        mounts: Mapping[str, Mounted],
        *,
        beside: Sequence[AbstractAsyncContextManager[Any]] = (),
        legacy_issuer: str | None = None,
        origin: str = "",
    ) -> None:
        self._mounts = dict(sorted(mounts.items(), reverse=True))
        self._beside = tuple(beside)
        self._lifespan = Lifespan(self.running)
        self._app: ASGIApp = self._serve
        first = next(path for path in mounts if path != IDENTITY_PATH)
        self._documents = {"": mounts[first], **{path: app for path, app in mounts.items() if path != IDENTITY_PATH}}
        if legacy_issuer is not None:
            self._app = LegacyShim(self._serve, issuer=legacy_issuer, resource=f"{origin}{first}")

    @property
    def is_busy(self) -> bool:
        """Whether a call is being answered."""
        return any(getattr(mounted, "is_busy", False) for mounted in self._mounts.values())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._lifespan.run(receive, send)
        else:
            await self._app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope["path"])
        is_document = path.startswith(_METADATA_PATH)
        named = self._documents.get(path.removeprefix(_METADATA_PATH).rstrip("/")) if is_document else None
        if named is not None:
            await named(scope, receive, send)
            return
        for mount, mounted in self._mounts.items():
            if path == mount or path.startswith(f"{mount}/"):
                await mounted(scope, receive, send)
                return
        if scope["type"] == "http":
            await (await self._answer(path)).send(send, head=scope["method"] == "HEAD")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the mounted apps, and what they have beside them."""
        async with AsyncExitStack() as stack:
            for running in self._beside:
                await stack.enter_async_context(running)
            for mounted in self._mounts.values():
                await stack.enter_async_context(mounted.lifespan())
            yield

    async def _answer(self, path: str) -> Response:
        if path == "/livez":
            return json_response({"status": "ok"})
        if path == "/readyz":
            ready = all([await mounted.check() for mounted in self._mounts.values() if isinstance(mounted, WithTools)])
            return json_response({"status": "ok" if ready else "unavailable"}, status=200 if ready else 503)
        return json_response({"error": "not_found"}, status=404)

    def wind_down(self) -> None:
        """Nothing waits here for news."""

    async def close(self) -> None:
        """End the mounted apps."""
        await self._lifespan.end(within=CLOSE_SECONDS)


async def mount_all(parts: Opened, upstreams: Sequence[Upstream], signer: IdentitySigner) -> dict[str, Mounted]:
    """The servers beside their own authorization server, each a resource of its default project.

    Raises `ActionRefused` for an address that cannot be a resource, and `ValueError` for settings that cannot be right.
    """
    mounts: dict[str, Mounted] = {IDENTITY_PATH: _Document(signer.jwks)}
    for upstream in upstreams:
        uri = f"{parts.context.settings.public_url}{upstream.path}"
        resource = await register(parts.operator, parts.project, uri, name=upstream.name, scopes=GROUPS)
        changes: dict[str, Any] = {}
        if upstream.name and upstream.name != resource.name:
            changes["name"] = upstream.name
        if upstream.budgets:
            changes["settings"] = replace(resource.settings, budgets=upstream.budgets)
        if changes:
            resource = await resources.change(parts.operator, resource, **changes)
        app = build_way(upstream, uri, signer)
        mounts[upstream.path] = protect_with_tools(parts.context, resource, app, **_guard_options(upstream))
    return mounts


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """An authorization server elsewhere, of Doorward or any other that follows the standards.

    With a `key` of a Doorward that may introspect, it is told the tools of the servers and what clients met, and with
    `introspects` it is asked about each token, too.
    """

    issuer: str
    key: str | None = field(default=None, repr=False)
    introspects: bool = False
    legacy_clients: bool = False
    """Whether clients of 2025-03-26 are led to it, for the first server."""
    insecure_http: bool = False


def mount_for_issuer(
    elsewhere: Elsewhere, public_url: str, upstreams: Sequence[Upstream], signer: IdentitySigner, *, data: Path
) -> Standing:
    """The servers for tokens of an issuer elsewhere.

    What their tools were is kept below `data`. Raises `ValueError` for settings that cannot be right.
    """
    issuer, insecure_http = elsewhere.issuer, elsewhere.insecure_http
    parts = _Parts(elsewhere, data)
    mounts: dict[str, Mounted] = {IDENTITY_PATH: _Document(signer.jwks)}
    for upstream in upstreams:
        uri = f"{public_url}{upstream.path}"
        app = build_way(upstream, uri, signer)
        catalogue = build_catalogue(app, upstream.path, parts.build_store(uri, upstream.path))
        budgets = Budgets(parse_budgets(upstream.budgets), counters=SQLiteCounters(data / COUNTERS_FILE))
        guard = ProtectMCP(
            app,
            verifier=parts.build_verifier(uri),
            resource=uri,
            issuer=issuer,
            catalogue=catalogue,
            reporter=parts.reporter,
            insecure_http=insecure_http,
            **{"budgets": budgets, **_guard_options(upstream)},
        )
        mounts[upstream.path] = WithTools(WithLifespan(guard, budgets=budgets), app, catalogue)
    legacy_issuer = issuer if elsewhere.legacy_clients else None
    return Standing(mounts, beside=parts.beside, legacy_issuer=legacy_issuer, origin=public_url)


def tools_file(data: Path, path: str) -> Path:
    """Where a guard of an issuer elsewhere keeps the tools of the server at `path`."""
    return data / f"tools-{quote(path[1:], safe='')}.json"


class _Parts:
    """What the guards of one issuer elsewhere share, and what each of them has of its own."""

    def __init__(self, elsewhere: Elsewhere, data: Path) -> None:
        self._elsewhere = elsewhere
        self._data = data
        self._options: dict[str, Any] = {"issuer": elsewhere.issuer, "insecure_http": elsewhere.insecure_http}
        self._keys = JWKSKeys(elsewhere.issuer, insecure_http=elsewhere.insecure_http)
        self._revocations = RevocationFeed(**self._options)
        self.beside: tuple[AbstractAsyncContextManager[Any], ...] = ()
        self.reporter: TimelineReporter | None = None
        if elsewhere.key is not None:
            client = new_http_client()
            self._options |= {"key": elsewhere.key, "http_client": client}
            self.reporter = TimelineReporter(**self._options)
            self.beside = (client, self.reporter)

    def build_verifier(self, resource: str) -> Verifier:
        """What accepts the tokens for a server."""
        if self._elsewhere.introspects:
            return IntrospectionVerifier(resource=resource, **self._options)
        issuer = self._elsewhere.issuer
        return JWTVerifier(issuer=issuer, resource=resource, keys=self._keys, revocations=self._revocations)

    def build_store(self, resource: str, path: str) -> CatalogueStore:
        """Where the tools of a server are kept: at the issuer where it can be told of them, and here.

        Raises `ValueError` for a file that is no such list.
        """
        file = tools_file(self._data, path)
        store = FileStore(file)
        store.check()
        if self._elsewhere.key is None:
            return store
        return RemoteTools(resource=resource, file=file, **self._options)


def build_way(upstream: Upstream, resource: str, signer: IdentitySigner) -> Forwarder | StdioBridge:
    """The app that stands for a server behind. Raises `ValueError`."""
    if upstream.command:
        return StdioBridge(upstream.command, shared=upstream.shared, env=upstream.environment)
    return Forwarder(upstream.url, resource=resource, identity=signer, headers=upstream.headers)


def _guard_options(upstream: Upstream) -> dict[str, Any]:
    return {"challenge_scopes": [READ_TOOLS, WRITE_TOOLS], "name": upstream.name or None, **upstream.options}
