"""An app that is loaded while the server already answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from doorward.app import Mounted
from doorward.asgi import Receive, Scope, Send
from doorward.logs import log


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
        except Exception as error:  # noqa: BLE001  # told to whoever asks for the app
            log.error("an app cannot be loaded", exc_info=error)
            built.set_exception(error)
            return
        async with app.lifespan():
            built.set_result(app)
            await over.wait()
