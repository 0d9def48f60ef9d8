"""What an issuer's assertions gave ends with the trust in it, everywhere and a server further, offline too.

Spec: WIF-05, TX-05, I2, I3; T43
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from doorward.core.trust import TrustedIssuer
from doorward.manage import trust
from doorward.manage.operator import Operator
from tests.inside import RESOURCE, Door
from tests.resource.feed_world import offline, real_door
from tests.server.exchanges import SECOND, Machine, lay_out
from tests.server.issuers import IDP, PLATFORM, Issuer, agent, present, trust_idp, trust_platform
from tests.server.steps import claims_of, is_active, success
from tests.waiting import until

Tokens = dict[str, list[str]]
ENDS: dict[str, Callable[[Operator, TrustedIssuer], Awaitable[None]]] = {
    "everything of the trust is revoked": trust.revoke_everything,
    "the trust is removed": trust.remove,
}


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with real_door(tmp_path / "data") as opened:
        yield opened


async def given(door: Door, gateway: Machine) -> tuple[dict[str, TrustedIssuer], Tokens]:
    """Both kinds of trusts, and what each gave: a token for the first server, and one a server further."""
    idp, platform = Issuer(IDP), Issuer(PLATFORM)
    trusts = {"id-jag": await trust_idp(door, idp), "workload": await trust_platform(door, platform)}
    caller, here = await agent(door), door.context.settings.public_url
    id_jag = idp.id_jag(door, caller.client_id, aud=here)
    answers = {
        "id-jag": await present(door, id_jag, caller),
        "workload": await present(door, platform.workload(door, aud=here), resource=RESOURCE),
    }
    firsts = {kind: str(success(answer)["access_token"]) for kind, answer in answers.items()}
    return trusts, {kind: [token, await gateway.exchange(token)] for kind, token in firsts.items()}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", ["id-jag", "workload"])
async def test_what_a_trust_gave_ends_with_it_and_nothing_else_does_t43(door: Door, kind: str, end: str) -> None:
    field = await lay_out(door)
    gateway = await field.machine()
    await field.rule(gateway)
    trusts, tokens = await given(door, gateway)
    other = next(name for name in tokens if name != kind)
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(offline(door, uri)) for uri in (RESOURCE, SECOND)]

        async def verdicts(name: str) -> list[Any]:
            """Of introspection, then of the servers that verify offline."""
            told = [await is_active(door, token) for token in tokens[name]]
            return [*told, *[await server.accepts(token) for server, token in zip(servers, tokens[name], strict=True)]]

        assert [await verdicts(name) for name in tokens] == [[True] * 4] * 2
        door.clock.advance(seconds=1)
        await ENDS[end](door.operator, trusts[kind])

        async def is_over() -> bool:
            return await verdicts(kind) == [False] * 4

        await until(is_over)
        assert await verdicts(other) == [True] * 4


async def test_a_token_for_a_job_is_exchanged_as_the_jobs_wif_05_tx_05(door: Door) -> None:
    field = await lay_out(door)
    gateway = await field.machine()
    await field.rule(gateway)
    trusts, tokens = await given(door, gateway)
    first, exchanged = map(claims_of, tokens["workload"])
    assert first["sub"].startswith(f"workload:{trusts['workload'].trust_id}:")
    assert (exchanged["sub"], exchanged["act"]) == (first["sub"], {"sub": gateway.client_id})
    assert exchanged["came_through"] == [{"client_id": trusts["workload"].trust_id, "aud": RESOURCE}]
    assert "grant_id" not in exchanged
