"""Apps served beside the authorization server: what runs them, and the guard that needs no network to verify."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from doorward.app import LocalKeys, LocalReporter, LocalRevocations, Mounted
from doorward.asgi import Receive, Scope, Send
from doorward.logs import log
from doorward.resource import Budgets, JWTVerifier, ProtectMCP
from doorward.resource.asgi import ASGIApp
from doorward.resource.counters_sqlite import SQLiteCounters
from doorward.server.context import Context

COUNTERS_FILE = "counters.db"
"""Where in the data folder is counted what was used of budgets; nothing is lost with it but the counts."""
_ASGI = {"version": "3.0", "spec_version": "2.0"}


class WithLifespan:
    """Any ASGI app as one that can be mounted: its own lifespan, if it has one, runs as long as the server does.

    `budgets` that it counts with are let go of when it has stopped.
    """

    def __init__(self, app: ASGIApp, *, budgets: Budgets | None = None) -> None:
        self._app = app
        self._budgets = budgets
        self._state: dict[str, Any] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        await self._app({**scope, "state": dict(self._state)}, receive, send)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Start the app and stop it, in one task of its own as task groups inside it require.

        An app that knows no lifespan needs none. Raises `RuntimeError` when the app says that it cannot start.
        """
        started: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        over = asyncio.Event()
        running = asyncio.create_task(self._run(started, over))
        try:
            problem = await started
            if problem is not None:
                raise RuntimeError(f"The app did not start. {problem}".rstrip())
            yield
        finally:
            over.set()
            await running
            if self._budgets is not None:
                await self._budgets.aclose()

    async def _run(self, started: asyncio.Future[str | None], over: asyncio.Event) -> None:
        asked = [{"type": "lifespan.shutdown"}, {"type": "lifespan.startup"}]

        async def receive() -> dict[str, Any]:
            if len(asked) == 1:
                await over.wait()
            return asked.pop()

        async def send(message: Any) -> None:
            kind = message["type"]
            if kind == "lifespan.startup.complete":
                _settle(started, None)
            elif kind == "lifespan.startup.failed":
                _settle(started, message.get("message", ""))
            elif kind == "lifespan.shutdown.failed":
                log.error("an app did not stop well", reason=message.get("message", ""))

        try:
            await self._app({"type": "lifespan", "asgi": _ASGI, "state": self._state}, receive, send)
        except Exception as error:  # noqa: BLE001  # an app without a lifespan may fail in any way
            if started.done() and started.result() is None:
                log.error("an app failed while it ran or stopped", exc_info=error)
            else:
                log.debug("an app has no lifespan", reason=repr(error))
        finally:
            _settle(started, None)


class Later:
    """Stands in for a mounted app whose packages take about as long to load as everything else together.

    Requests that come before it is there wait for it; one that cannot be built fails them.
    """

    def __init__(self, build: Callable[[], Mounted]) -> None:
        self._build = build
        self._built: asyncio.Future[Mounted] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if self._built is None:
            raise RuntimeError("The app is not running.")
        app = await asyncio.shield(self._built)
        await app(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Load the app in the background, and run it as long as the server runs."""
        built = self._built = asyncio.get_running_loop().create_future()
        over = asyncio.Event()
        running = asyncio.create_task(self._run(built, over))
        try:
            yield
        finally:
            over.set()
            await running

    async def _run(self, built: asyncio.Future[Mounted], over: asyncio.Event) -> None:
        """One task enters and leaves the app's own lifespan, as task groups inside it require."""
        try:
            app = await asyncio.to_thread(self._build)
            async with app.lifespan():
                built.set_result(app)
                await over.wait()
        except Exception as error:  # noqa: BLE001  # told to whoever asks for the app
            log.error("an app cannot be loaded or run", exc_info=error)
            if not built.done():
                built.set_exception(error)


def build_local_verifier(context: Context, resource: str) -> JWTVerifier:
    """What accepts the tokens of this very server for `resource`: its keys and revocations, as they are right now."""
    return JWTVerifier(
        issuer=context.settings.public_url,
        resource=resource,
        keys=LocalKeys(context),
        revocations=LocalRevocations(context),
        clock=lambda: context.clock() / 1000,
    )


def protect_in_process(context: Context, resource: str, app: ASGIApp, **options: Any) -> Mounted:
    """`app` behind `ProtectMCP`, to be mounted beside its own authorization server at the path of `resource`.

    Nothing is asked over the network: a revocation counts with the next request, and what the guard does is told to
    the operator's timeline. What was used of a budget outlives a restart. `options` are those of `ProtectMCP`. The
    app's lifespan runs as long as the server does. Raises `ValueError` for settings that cannot be right.
    """
    counters = SQLiteCounters(context.settings.data / COUNTERS_FILE)
    budgets = Budgets(counters=counters, clock=lambda: context.clock() / 1000)
    guard = ProtectMCP(
        app,
        resource=resource,
        issuer=context.settings.public_url,
        **{
            "verifier": build_local_verifier(context, resource),
            "reporter": LocalReporter(context),
            "budgets": budgets,
            **options,
        },
    )
    return WithLifespan(guard, budgets=budgets)


def _settle(started: asyncio.Future[str | None], problem: str | None) -> None:
    if not started.done():
        started.set_result(problem)
