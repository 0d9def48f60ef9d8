"""A guard and a forwarder under the HTTP runtime, as a program: `python -m tests.resource.proxy_process JSON`."""

import asyncio
import gc
import json
import resource
import signal
import sys
from typing import Any

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from doorward.oauth.jwt import VerificationKey, parse_jwks
from doorward.resource import JWTVerifier, ProtectMCP
from doorward.resource.forward import Forwarder
from doorward.serving import HEAD_BYTES, IDLE_MS


class Keys:
    """A `KeySource` of the keys that were given."""

    def __init__(self, jwks: dict[str, Any]) -> None:
        self._keys = parse_jwks(jwks)

    async def find(self, kid: str) -> VerificationKey | None:
        return self._keys.get(kid)


def build(given: dict[str, Any]) -> ProtectMCP:
    forwarder = Forwarder(given["upstream"], resource=given["resource"], **given["options"])
    verifier = JWTVerifier(issuer=given["issuer"], resource=given["resource"], keys=Keys({"keys": given["keys"]}))
    settings = {"challenge_scopes": [], "required_scopes": [], "tools": {}, **given["guard"]}
    return ProtectMCP(
        forwarder, verifier=verifier, resource=given["resource"], issuer=given["issuer"], dpop="off", **settings
    )


async def run(given: dict[str, Any]) -> None:
    server = Server(
        build(given),
        port=given["port"],
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
        backpressure=4096,
        http1_settings=HTTP1Settings(header_read_timeout=IDLE_MS, max_buffer_size=HEAD_BYTES),
    )
    gc.freeze()  # as the server does when it is ready: what is here now need not be walked through
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, server.stop)
    await server.serve()


if __name__ == "__main__":
    # A stream takes two files: the client's connection and the one to the server behind.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(run(json.loads(sys.argv[1])))
