"""How soon a revocation counts: at introspection, and at a server that verifies offline and follows the feed."""

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

from doorward.oauth.jwt import InvalidToken
from doorward.resource import JWKSKeys, JWTVerifier, RevocationFeed
from tests.fault.ground import RESOURCE, FreshToken
from tests.fault.wire import Wire

WITHIN_SECONDS = 10
PAUSE_SECONDS = 0.0005
Row = dict[str, Any]


async def measure_revocations(issuer: str, port: int, introspection_key: str, tokens: list[FreshToken]) -> list[Row]:
    """Revoke connections one by one; the quantiles of what passes from the answer until it is felt, in milliseconds."""
    asked: list[float] = []
    offline: list[float] = []
    async with RevocationFeed(issuer=issuer) as feed, Wire(port) as wire:
        verifier = JWTVerifier(issuer=issuer, resource=RESOURCE, keys=JWKSKeys(issuer), revocations=feed)
        for fresh in tokens:
            form = {"grant_type": "refresh_token", "client_id": fresh.client_id, "refresh_token": fresh.token}
            given = json.loads((await wire.post_form("/api/oauth/token", form)).body)
            token = given["access_token"]
            await verifier.verify(token)
            bearer = {"authorization": f"Bearer {introspection_key}"}

            async def is_inactive(token: str = token, bearer: dict[str, str] = bearer) -> bool:
                told = await wire.post_form("/api/oauth/introspect", {"token": token}, bearer)
                return not json.loads(told.body)["active"]

            async def is_refused(token: str = token) -> bool:
                try:
                    await verifier.verify(token)
                except InvalidToken:
                    return True
                return False

            await wire.post_form("/api/oauth/revoke", {"token": given["refresh_token"], "client_id": fresh.client_id})
            answered = time.perf_counter()
            asked.append(await _until(is_inactive, answered))
            offline.append(await _until(is_refused, answered))
    return [describe("introspection", asked), describe("offline, by the feed", offline)]


def describe(where: str, seconds: list[float]) -> Row:
    cuts = statistics.quantiles(seconds, n=100)
    quantiles = {f"p{n}_ms": round(cuts[n - 1] * 1e3, 1) for n in (50, 95, 99)}
    return {"felt_at": where, "revocations": len(seconds), **quantiles, "worst_ms": round(max(seconds) * 1e3, 1)}


def show(row: Row) -> Row:
    print(
        f"{row['felt_at']:<22}{row['revocations']:>6} revocations   p50 {row['p50_ms']} ms   p95 {row['p95_ms']} ms"
        f"   p99 {row['p99_ms']} ms   worst {row['worst_ms']} ms",
        flush=True,
    )
    return row


async def _until(holds: Callable[[], Awaitable[bool]], since: float) -> float:
    async with asyncio.timeout(WITHIN_SECONDS):
        while True:
            if await holds():
                return time.perf_counter() - since
            await asyncio.sleep(PAUSE_SECONDS)
