"""The demo MCP server on its own, in front of any Doorward: weather, stocks, flights and a booking, all sample data.

    pip install '.[server,mcp]'                     # in a checkout, where ./dev has done it
    doorward up                                     # the issuer, http://127.0.0.1:8400
    doorward admin resource add http://127.0.0.1:8500/mcp --scope tools:read --scope tools:write
    python examples/demo_server.py --issuer http://127.0.0.1:8400
    python -m doorward.demo.connect http://127.0.0.1:8500/mcp

Tokens are verified here with the issuer's published keys, and what the issuer revokes is refused within a second. With
a project key that may introspect in INTROSPECT_KEY, each token is also looked up at the issuer:

    doorward admin key create --capability introspect
"""

import argparse
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

from doorward.demo import build_demo
from doorward.resource import IntrospectionVerifier, JWKSKeys, JWTVerifier, Principal, RevocationFeed, Verifier


class BothVerifiers:
    """A token must be well signed, which costs nothing to find out, before the issuer is asked about it."""

    def __init__(self, *verifiers: Verifier) -> None:
        self._verifiers = verifiers

    async def verify(self, token: str) -> Principal:
        """The principal as the last verifier sees it."""
        principals = [await verifier.verify(token) for verifier in self._verifiers]
        return principals[-1]


@asynccontextmanager
async def open_verifier(issuer: str, resource: str, key: str | None) -> AsyncIterator[Verifier]:
    """Local verification, with introspection on top when there is a key for it."""
    async with RevocationFeed(issuer=issuer) as feed:
        local = JWTVerifier(issuer=issuer, resource=resource, keys=JWKSKeys(issuer), revocations=feed)
        if key is None:
            yield local
            return
        async with IntrospectionVerifier(issuer=issuer, resource=resource, key=key) as remote:
            yield BothVerifiers(local, remote)


async def serve(issuer: str, port: int) -> None:
    """Serve until stopped."""
    resource = f"http://127.0.0.1:{port}/mcp"
    async with open_verifier(issuer, resource, os.environ.get("INTROSPECT_KEY")) as verifier:
        app = build_demo(resource, issuer, verifier)
        print(f"ready {resource}", flush=True)
        await uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning")).serve()


if __name__ == "__main__":
    import asyncio

    parser = argparse.ArgumentParser(description="The Doorward demo MCP server")
    parser.add_argument("--issuer", default="http://127.0.0.1:8400")
    parser.add_argument("--port", type=int, default=8500)
    options = parser.parse_args()
    asyncio.run(serve(options.issuer, options.port))
