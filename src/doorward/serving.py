"""One server process: listen, serve until it is asked to stop, let what is in flight end."""

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from doorward.asgi import Receive, Scope, Send
from doorward.resource.stdio_process import kill_groups
from doorward.settings import EX_CONFIG, Settings
from doorward.starting import Stopped

GRACE_SECONDS = 20
"""How long requests in flight may take after SIGTERM."""
MOMENT_SECONDS = 1
"""How long a stop waits for what is on its way in or out; streams and connections that only wait are cut then."""
HEAD_BYTES = 24 * 1024
"""How much of a request line and headers is always read; more than twice as much never is."""
IDLE_MS = 75_000
"""How long a connection may wait for its next whole request: longer than the 60 s after which common proxies let an
idle one go, so that none is closed under a request. The HTTP runtime has no other timer for slow headers."""
MAX_CONNECTIONS = 2048
_SPARE_FILES = 256


class Served(Protocol):
    """An ASGI app that a server process can end in good order."""

    @property
    def is_busy(self) -> bool:
        """Whether an answer is on its way that is worth waiting for."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        ...

    def wind_down(self) -> None:
        """Answer now whoever only waits."""
        ...

    async def close(self) -> None:
        """End what runs within it, within seconds, and close what was opened for it."""
        ...


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files of a certificate chain and its key, in PEM; the key as PKCS #8."""

    chain: Path
    key: Path


async def run_server(
    app: Served, settings: Settings, announce: Callable[[], None], *, certificate: Certificate | None = None
) -> int:
    """Serve until SIGTERM or Ctrl-C, and close the app; the exit code. `announce` is called once it answers."""
    server = Server(
        app,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
        backpressure=_count_connections(),
        ssl_cert=certificate.chain if certificate else None,
        ssl_key=certificate.key if certificate else None,
        http1_settings=HTTP1Settings(header_read_timeout=IDLE_MS, max_buffer_size=HEAD_BYTES),
    )
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    serving = asyncio.create_task(server.serve())
    if await _until_listening(settings, serving):
        gc.freeze()  # what is here now stays: it need not be walked through at every collection
        gc.enable()
        announce()
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        waiting.cancel()
        await app.close()
        return 1
    app.wind_down()
    server.stop()  # type: ignore[no-untyped-call]
    await _finish(app, serving)
    if not serving.done():
        await app.close()
    return 0


def leave(code: int) -> NoReturn:
    """End the process here and now, once the database is closed, and whatever command of ours outlived its hints.

    The HTTP runtime's threads may still be busy with connections that outlived the grace, and must meet neither an
    event loop nor an interpreter that is taken apart.
    """
    kill_groups()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def check_port(settings: Settings) -> None:
    """Say plainly that the port is taken, before anything is made. Raises `Stopped`."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            problem = f"DOORWARD_PORT: cannot listen on {settings.host}:{settings.port}: {error.strerror}"
            raise Stopped(problem, EX_CONFIG) from None


async def _finish(app: Served, serving: asyncio.Task[None]) -> None:
    """Let requests in flight end and their answers leave, within the grace."""
    deadline = time.monotonic() + GRACE_SECONDS
    is_busy = True
    while not serving.done() and is_busy and time.monotonic() < deadline:
        is_busy = app.is_busy
        await asyncio.wait({serving}, timeout=MOMENT_SECONDS)
        is_busy = is_busy or app.is_busy


def _count_connections() -> int:
    """How many connections may be open at once: as many as there are files for, so that accepting never fails."""
    wanted = MAX_CONNECTIONS + _SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY != soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(64, min(MAX_CONNECTIONS, soft - _SPARE_FILES))


async def _until_listening(settings: Settings, serving: asyncio.Task[None]) -> bool:
    """Wait until a connection is accepted; False when the server ended instead."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104  # a look-up, not a bind
    while not serving.done():
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(host, settings.port)
            writer.write(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            writer.close()
            return True
        await asyncio.sleep(0.01)
    return False
