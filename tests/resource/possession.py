"""Somebody with a key and a token that is bound to it, and what a server says to them."""

import secrets
import time
from collections.abc import Generator
from typing import Any

import httpx2

from doorward.oauth.dpop import build_proof
from doorward.oauth.jwt import generate_signing_key
from tests.resource.world import RESOURCE, Echo, Mint, browse

DOCUMENT = "https://api.test/.well-known/oauth-protected-resource/mcp"
BEARER = f'Bearer resource_metadata="{DOCUMENT}", scope="tools:read"'
ALGS = 'algs="ES256 EdDSA PS256 RS256 Ed25519"'
INVALID = "The access token is expired, revoked or not meant for this server."


class Holder(httpx2.Auth):
    """Somebody with a key and a token that is bound to it; as `auth` of a client, makes a proof for every request."""

    def __init__(self, mint: Mint, alg: str = "ES256", scope: str = "tools:read", **claims: Any) -> None:
        self.key = generate_signing_key(alg)
        self.jkt = self.key.kid
        self.token = mint.token(scope, **{"cnf": {"jkt": self.jkt}, **claims})

    def proof(self, method: str = "GET", url: str = RESOURCE, *, age: int = 0, **claims: Any) -> str:
        facts = {"jti": secrets.token_hex(8), "access_token": self.token, **claims}
        return build_proof(self.key, method=method, url=url, now=int(time.time()) - age, **facts)

    def headers(self, method: str = "GET", url: str = RESOURCE, **claims: Any) -> dict[str, str]:
        return {"Authorization": f"DPoP {self.token}", "DPoP": self.proof(method, url, **claims)}

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        request.headers.update(self.headers(request.method, str(request.url)))
        yield request


def refusal(error: str, description: str, *, scope: str = "tools:read") -> str:
    """The challenge to a request that came with DPoP: Bearer first, and the error where it belongs."""
    return (
        f'Bearer resource_metadata="{DOCUMENT}", scope="{scope}", '
        f'DPoP error="{error}", error_description="{description}", {ALGS}, '
        f'resource_metadata="{DOCUMENT}", scope="{scope}"'
    )


async def get(mint: Mint, headers: Any, app: Echo | None = None, **options: Any) -> httpx2.Response:
    async with browse(mint.protect(app or Echo(), **options)) as client:
        return await client.get("/mcp", headers=headers)
