"""`doorward up`: one machine, embedded defaults, everything in one process."""

import json
import os
import sys
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any, NoReturn

import uvloop

from doorward.app import Doorward, LocalReporter, Mounted
from doorward.core.models import Scope, Tool
from doorward.logs import configure_logs
from doorward.mounting import Later, build_local_verifier
from doorward.server.context import Context
from doorward.serving import check_port, leave, run_server
from doorward.settings import Settings
from doorward.starting import Opened, Stopped, opened, read_settings, register

from .opening import name_options

DEMO_PATH = "/demo/mcp"
_OPTIONS = {"data": "--data", "host": "--host", "port": "--port", "issuer": "--issuer"}
"""The option that each setting is given by."""


def run_up(options: Mapping[str, Any], *, demo: bool, as_json: bool) -> int:
    """Serve until SIGTERM or Ctrl-C, and end the process; only a start that was refused returns its exit code."""
    try:
        uvloop.run(_serve(read_settings(options), demo=demo, as_json=as_json))
    except Stopped as stopped:
        print(f"doorward: {name_options(str(stopped), options, _OPTIONS)}", file=sys.stderr)
        return stopped.code


async def _serve(settings: Settings, *, demo: bool, as_json: bool) -> NoReturn:
    configure_logs(settings.log)
    check_port(settings)
    mounts: dict[str, Mounted] = {}
    async with opened(settings) as parts:
        demo_url = await _register_demo(parts) if demo else None
        if demo_url is not None:
            mounts[DEMO_PATH] = Later(partial(_build_demo, parts.context, demo_url))
    facts = {
        "issuer": settings.public_url,
        "setup_link": parts.setup_link,
        "demo": demo_url,
        "data": str(settings.data),
    }
    app = Doorward(parts.context, mounts)
    leave(await run_server(app, settings, partial(_announce, facts, as_json=as_json)))


async def _register_demo(parts: Opened) -> str:
    """Register the demo as a resource, once; its URL."""
    from doorward.demo import DEMO_SCOPES

    if find_spec("mcp") is None:
        raise Stopped("--demo needs the package mcp: pip install 'doorward[mcp]'", 1)
    uri = f"{parts.context.settings.public_url}{DEMO_PATH}"
    scopes = tuple(Scope(**{**scope, "tools": tuple(Tool(**tool) for tool in scope["tools"])}) for scope in DEMO_SCOPES)
    await register(parts.operator, parts.project, uri, name="Doorward demo", scopes=scopes, keep=False)
    return uri


def _build_demo(context: Context, demo_url: str) -> Mounted:
    from doorward.demo import build_demo  # needs the mcp extra

    verifier = build_local_verifier(context, demo_url)
    return build_demo(demo_url, context.settings.public_url, verifier, LocalReporter(context))


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
