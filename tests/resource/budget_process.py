"""One of several guards that share counters, as a program: `python -m tests.resource.budget_process JSON`.

Its clock is what stands in a file, so that a minute is over when the test says so.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from doorward.oauth.jwt import VerificationKey, parse_jwks
from doorward.resource import Budgets, JWTVerifier, ProtectMCP
from doorward.resource.asgi import Receive, Scope, Send
from doorward.resource.counters_redis import RedisCounters
from doorward.resource.counters_sqlite import SQLiteCounters


class Keys:
    """A `KeySource` of the keys that were given."""

    def __init__(self, jwks: dict[str, Any]) -> None:
        self._keys = parse_jwks(jwks)

    async def find(self, kid: str) -> VerificationKey | None:
        return self._keys.get(kid)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers every call."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


def build(given: dict[str, Any]) -> ProtectMCP:
    store = given["store"]
    counters = RedisCounters(store) if "://" in store else SQLiteCounters(store)
    clock = Path(given["clock"])
    budgets = Budgets(given["rules"], counters=counters, clock=lambda: float(clock.read_text()))
    verifier = JWTVerifier(issuer=given["issuer"], resource=given["resource"], keys=Keys({"keys": given["keys"]}))
    return ProtectMCP(
        app,
        verifier=verifier,
        resource=given["resource"],
        issuer=given["issuer"],
        allowed_hosts=[f"127.0.0.1:{given['port']}"],
        budgets=budgets,
    )


async def run(given: dict[str, Any]) -> None:
    server = Server(
        build(given),
        port=given["port"],
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
        backpressure=256,
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    await server.serve()


if __name__ == "__main__":
    uvloop.run(run(json.loads(sys.argv[1])))
