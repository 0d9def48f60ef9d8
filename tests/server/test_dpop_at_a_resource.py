"""A token that this server binds to a key, taken to a server protected by the SDK (DPOP-03, DPOP-07, RS-13)."""

import itertools
import time

import httpx2
import pytest

from doorward.oauth.dpop import build_proof
from doorward.oauth.jwt import SigningKey, VerificationKey, generate_signing_key, parse_jwks
from doorward.resource import IntrospectionVerifier, JWTVerifier, ProtectMCP
from tests.inside import ISSUER, LOOPBACK, Door
from tests.resource.world import Echo, browse
from tests.server.steps import TOKEN, project_key, success

_numbers = itertools.count()


class PublishedKeys:
    """The keys as the server publishes them."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def find(self, kid: str) -> VerificationKey | None:
        return parse_jwks((await self._door.call("GET", "/.well-known/jwks.json")).json()).get(kid)


async def bound_token(door: Door, key: SigningKey) -> str:
    client_id = (await door.register())["client_id"]
    code, verifier = await door.obtain_code(client_id, door.person())
    form = {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "code": code,
        "code_verifier": verifier,
        "redirect_uri": LOOPBACK,
    }
    proof = prove(key, "POST", f"{ISSUER}{TOKEN}", door.clock() // 1000)
    return str(success(await door.post_form(TOKEN, form, {"dpop": proof}))["access_token"])


def prove(key: SigningKey, method: str, url: str, now: int, access_token: str | None = None) -> str:
    jti = f"jti-{next(_numbers)}"
    return build_proof(key, method=method, url=url, now=now, jti=jti, access_token=access_token)


async def protect(door: Door, kind: str, http_client: httpx2.AsyncClient) -> ProtectMCP:
    issuer, resource = ISSUER, door.resource.uri

    def clock() -> float:
        return door.clock() / 1000

    verifier: JWTVerifier | IntrospectionVerifier
    if kind == "jwt":
        verifier = JWTVerifier(issuer=issuer, resource=resource, keys=PublishedKeys(door), clock=clock)
    else:
        key = await project_key(door, "introspect")
        verifier = IntrospectionVerifier(
            issuer=issuer, resource=resource, key=key, http_client=http_client, cache_seconds=0, clock=clock
        )
    return ProtectMCP(Echo(), verifier=verifier, resource=resource, issuer=issuer, challenge_scopes=["tools:read"])


@pytest.mark.parametrize("kind", ["jwt", "introspection"])
async def test_only_the_holder_of_the_key_gets_through_and_only_with_a_proof_dpop_07_rs_13(
    door: Door, kind: str
) -> None:
    key, thief = generate_signing_key(), generate_signing_key()
    token = await bound_token(door, key)
    url = door.resource.uri
    now = int(time.time())
    async with door.http as http_client, browse(await protect(door, kind, http_client)) as client:
        asked = [
            {"Authorization": f"DPoP {token}", "DPoP": prove(key, "POST", url, now, token)},
            {"Authorization": f"Bearer {token}"},
            {"Authorization": f"DPoP {token}"},
            {"Authorization": f"DPoP {token}", "DPoP": prove(thief, "POST", url, now, token)},
            {"Authorization": f"DPoP {token}", "DPoP": prove(key, "POST", f"{ISSUER}{TOKEN}", now)},
        ]
        statuses = [(await client.post(url, headers=headers)).status_code for headers in asked]
    assert statuses == [200, 401, 401, 401, 401]
