"""Apps on sockets of their own while a module of tests runs: each in a thread, so that its tests can look inside."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import uvicorn
from starlette.types import ASGIApp

READY_WITHIN_SECONDS = 30
A = TypeVar("A", bound=ASGIApp)


class _Server(uvicorn.Server):
    """Says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@contextmanager
def serving(build: Callable[[str], ASGIApp], port: int = 0) -> Iterator[str]:
    """The app that `build` makes for its own origin, and that origin; at `port`, where it may have been before."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = _Server(uvicorn.Config(build(origin), log_level="error", ws="none", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name=f"serving {origin}")
        thread.start()
        try:
            assert server.ready.wait(READY_WITHIN_SECONDS), f"{origin} took too long"
            yield origin
        finally:
            server.should_exit = True
            thread.join(READY_WITHIN_SECONDS)
