"""A Doorward on real sockets with servers that verify its tokens offline, and an issuer whose feed says anything."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doorward.oauth.jwt import InvalidToken, SigningKey
from doorward.oauth.revocations import RevocationDocument, sign_revocations
from doorward.resource import JWKSKeys, JWTVerifier, RevocationFeed
from tests.inside import RESOURCE, Clock, Door, open_door
from tests.resource.world import TinyIssuer, bind, serve
from tests.waiting import until

FEED = "/api/oauth/revocations"


@dataclass
class Offline:
    """A protected server: its verifier, and the feed it follows."""

    verifier: JWTVerifier
    feed: RevocationFeed

    async def accepts(self, token: str) -> bool:
        try:
            await self.verifier.verify(token)
        except InvalidToken:
            return False
        return True

    async def refuses(self, token: str) -> bool:
        return not await self.accepts(token)

    async def until_refused(self, token: str) -> None:
        await until(lambda: self.refuses(token))

    async def until_accepted(self, token: str) -> None:
        await until(lambda: self.accepts(token))


@asynccontextmanager
async def offline(door: Door, resource: str = RESOURCE, **options: Any) -> AsyncIterator[Offline]:
    """A server that follows the feed of this Doorward, once it has its first document."""
    issuer, clock = door.context.settings.public_url, lambda: door.clock() / 1000
    async with RevocationFeed(issuer=issuer, clock=clock, **options) as feed:
        verifier = JWTVerifier(issuer=issuer, resource=resource, keys=JWKSKeys(issuer), revocations=feed, clock=clock)
        yield Offline(verifier, feed)


@asynccontextmanager
async def real_door(folder: Path, clock: Clock | None = None, port: int = 0) -> AsyncIterator[Door]:
    """A Doorward on real sockets, on a port of its own or on the one it had before."""
    if port:
        listener, url = socket.create_server(("127.0.0.1", port), reuse_port=False), f"http://127.0.0.1:{port}"
    else:
        listener, url = bind()
    async with open_door(folder, clock, issuer=url) as door, serve(door.app, listener, lifespan="off"):
        try:
            yield door
        finally:
            door.context.feed.close()


def say(issuer: TinyIssuer, document: RevocationDocument, *, key: SigningKey | None = None, name: str = "") -> None:
    """Let the issuer's feed answer with this document from now on, whatever it is asked."""
    text = sign_revocations(document, name or issuer.url, key or issuer.mint.key)
    issuer.overrides[FEED] = (200, {"content-type": "application/jwt"}, text.encode())
