"""What a test may need from the machine, and what happens when it is not there.

A missing browser or database is a skip with a reason on a developer's machine, and a failure in CI: a suite that is
green because half of it was skipped proves nothing.
"""

import os
import shutil
import socket
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

_CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

_REDIS_NAMES = ("redis-server", "valkey-server")


def require(what: str, *, available: bool, reason: str) -> None:
    """Skip the calling test when `what` is not available here; under CI=true, fail it."""
    if available:
        return
    message = f"needs {what}: {reason}"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def find_chromium() -> str:
    """The path of an installed Chromium or Chrome; skips (in CI: fails) when there is none."""
    path = next(filter(None, map(shutil.which, _CHROMIUM_NAMES)), None)
    require("Chromium", available=path is not None, reason="install the chromium package")
    return str(path)


def find_redis() -> str:
    """The path of an installed Redis or Valkey server; skips (in CI: fails) when there is none."""
    path = next(filter(None, map(shutil.which, _REDIS_NAMES)), None)
    require("Redis", available=path is not None, reason="install the redis-server package")
    return str(path)


def find_free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago.

    Two tests could be told the same port between the look and the bind, so prefer port 0 where the server can report
    what it got.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
