"""`doorward up`: one machine, embedded defaults, everything in one process."""

import asyncio
import contextlib
import gc
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any, NoReturn

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from doorward.app import Doorward, LocalKeys, LocalReporter, LocalRevocations, Mounted, build_context
from doorward.core.models import Project, Scope, Tool
from doorward.logs import configure_logs
from doorward.manage import resources, users
from doorward.manage.operator import ActionRefused, Operator, get_project
from doorward.server.context import Context
from doorward.settings import EX_CONFIG, Settings

from .later import Later
from .opening import Stopped, open_for, read_settings

DEMO_PATH = "/demo/mcp"
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


def run_up(options: Mapping[str, Any], *, demo: bool, as_json: bool) -> int:
    """Serve until SIGTERM or Ctrl-C, and end the process; only a start that was refused returns its exit code."""
    try:
        uvloop.run(_serve(read_settings(options), demo=demo, as_json=as_json))
    except Stopped as stopped:
        print(f"doorward: {stopped}", file=sys.stderr)
        return stopped.code


async def _serve(settings: Settings, *, demo: bool, as_json: bool) -> NoReturn:
    configure_logs(settings.log)
    _check_port(settings)
    store, operator = await open_for(settings)
    try:
        context = build_context(settings, store)
        project = await get_project(operator)
        setup_link = await _prepare_first_admin(settings, operator, project)
        demo_url = await _prepare_demo(settings, operator, project) if demo else None
        mounts: dict[str, Mounted] = {}
        if demo_url is not None:
            mounts[DEMO_PATH] = Later(partial(_build_demo, context, demo_url))
    except BaseException:
        await store.database.close()
        raise
    facts = {"issuer": settings.public_url, "setup_link": setup_link, "demo": demo_url, "data": str(settings.data)}
    _leave(await _run_server(Doorward(context, mounts), settings, facts, as_json=as_json))


def _leave(code: int) -> NoReturn:
    """End the process here and now, once the database is closed.

    The HTTP runtime's threads may still be busy with connections that outlived the grace, and must meet neither an
    event loop nor an interpreter that is taken apart.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


async def _run_server(app: Doorward, settings: Settings, facts: dict[str, Any], *, as_json: bool) -> int:
    server = Server(
        app,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
        backpressure=_count_connections(),
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
        _announce(facts, as_json=as_json)
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        waiting.cancel()
        await app.context.database.close()
        return 1
    app.context.feed.close()  # whoever waits for news is answered now
    server.stop()  # type: ignore[no-untyped-call]
    await _finish(app, serving)
    if not serving.done():
        await app.context.database.close()
    return 0


async def _finish(app: Doorward, serving: asyncio.Task[None]) -> None:
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


def _check_port(settings: Settings) -> None:
    """Say plainly that the port is taken, before anything is made."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            problem = f"DOORWARD_PORT: cannot listen on {settings.host}:{settings.port}: {error.strerror}"
            raise Stopped(problem, EX_CONFIG) from None


async def _prepare_first_admin(settings: Settings, operator: Operator, project: Project) -> str | None:
    """Make the administrator that the settings name, or a one-time link to make one; None when there is one."""
    token = await users.create_setup_link(operator, project)
    if token is None:
        return None
    if settings.admin_email:
        try:
            await users.add_first_admin(operator, project, token, settings.admin_email, settings.admin_password)
        except ActionRefused as refused:
            raise Stopped(f"DOORWARD_ADMIN_EMAIL: {refused}", EX_CONFIG) from None
        return None
    return f"{settings.public_url}/setup?token={token}"


async def _prepare_demo(settings: Settings, operator: Operator, project: Project) -> str:
    """Register the demo as a resource, once; its URL."""
    from doorward.demo import DEMO_SCOPES

    if find_spec("mcp") is None:
        raise Stopped("--demo needs the package mcp: pip install 'doorward[mcp]'", 1)
    uri = f"{settings.public_url}{DEMO_PATH}"
    scopes = tuple(Scope(**{**scope, "tools": tuple(Tool(**tool) for tool in scope["tools"])}) for scope in DEMO_SCOPES)
    try:
        resource = await resources.get(operator, project, uri)
    except ActionRefused:
        await resources.add(operator, project, uri, name="Doorward demo", scopes=scopes)
    else:
        if resource.scopes != scopes:
            await resources.change(operator, resource, scopes=scopes)
    return uri


def _build_demo(context: Context, demo_url: str) -> Mounted:
    from doorward.demo import build_demo  # needs the mcp extra
    from doorward.resource import JWTVerifier

    issuer = context.settings.public_url
    verifier = JWTVerifier(
        issuer=issuer,
        resource=demo_url,
        keys=LocalKeys(context),
        revocations=LocalRevocations(context),
        clock=lambda: context.clock() / 1000,
    )
    return build_demo(demo_url, issuer, verifier, LocalReporter(context))


def _announce(facts: dict[str, Any], *, as_json: bool) -> None:
    """Tell the terminal what is there; scripts wait for the line `ready <issuer>`."""
    if as_json:
        print(json.dumps({"ready": facts["issuer"], **facts}), flush=True)
        print(f"ready {facts['issuer']}", flush=True)
        return
    lines = ["", "  Doorward is up.", "", f"  issuer       {facts['issuer']}", f"  data         {facts['data']}"]
    if facts["setup_link"]:
        lines.append(f"  dashboard    {facts['setup_link']}")
        lines.append("               Open it once to make the first administrator.")
    else:
        lines.append(f"  dashboard    {facts['issuer']}/dashboard")
    if facts["demo"]:
        lines += [
            f"  demo server  {facts['demo']}",
            "",
            "  Connect a client to the demo:",
            f"    {_python()} -m doorward.demo.connect {facts['demo']}",
        ]
    print("\n".join([*lines, ""]), flush=True)
    print(f"ready {facts['issuer']}", flush=True)


def _python() -> str:
    """The interpreter as a person can type it: short when it is below this folder."""
    relative = os.path.relpath(sys.executable)
    return sys.executable if relative.startswith("..") else relative
