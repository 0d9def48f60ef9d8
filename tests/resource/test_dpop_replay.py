"""A proof opens once, whatever else is sent.

Spec: DPOP-09, I1, I11, I13; threat T35
"""

from collections import Counter

import anyio
import pytest

from doorward.oauth.dpop import FUTURE_LEEWAY_SECONDS, MAX_AGE_SECONDS
from doorward.resource import DpopProof, Principal, VerifierUnavailable
from doorward.resource.replays import MAX_PROOFS_OF_A_KEY, Claim, UsedProofs
from tests.resource.possession import Holder
from tests.resource.world import Clock, Echo, Mint, browse

NOW = 1_800_000_000
FORGOTTEN = 140


async def test_a_proof_opens_once_dpop_09_t35_i1() -> None:
    mint, app = Mint(), Echo()
    headers = Holder(mint).headers()
    async with browse(mint.protect(app)) as client:
        assert (await client.get("/mcp", headers=headers)).status_code == 200
        again = await client.get("/mcp", headers=headers)
    assert (again.status_code, app.calls) == (401, 1)
    assert again.json() == {
        "error": "invalid_dpop_proof",
        "error_description": "The DPoP proof was used before; make one for each request.",
    }


async def test_of_twenty_that_come_at_once_one_gets_through_i1() -> None:
    mint, app = Mint(), Echo()
    headers = Holder(mint).headers()
    statuses: list[int] = []
    async with browse(mint.protect(app)) as client, anyio.create_task_group() as tasks:

        async def send() -> None:
            statuses.append((await client.get("/mcp", headers=headers)).status_code)

        for _ in range(20):
            tasks.start_soon(send)
    assert (sorted(statuses), app.calls) == ([200] + [401] * 19, 1)


async def test_another_key_may_use_the_same_jti() -> None:
    mint = Mint()
    async with browse(mint.protect(Echo())) as client:
        for holder in (Holder(mint), Holder(mint)):
            assert (await client.get("/mcp", headers=holder.headers(jti="1"))).status_code == 200


async def test_who_has_no_good_token_leaves_nothing_in_memory_t35() -> None:
    mint = Mint()
    guard = mint.protect(Echo())
    used = UsedProofs()
    assert guard._dpop is not None
    guard._dpop._used = used
    async with browse(guard) as client:
        for holder in (Holder(mint, exp=1), Holder(mint, cnf={"jkt": "other"}), Holder(Mint())):
            assert (await client.get("/mcp", headers=holder.headers())).status_code == 401
        assert len(used) == 0
        assert (await client.get("/mcp", headers=Holder(mint).headers())).status_code == 200
    assert len(used) == 1


async def test_a_key_that_used_up_its_share_waits_and_nobody_else_does_t35() -> None:
    mint, app = Mint(), Echo()
    guard = mint.protect(app)
    assert guard._dpop is not None
    guard._dpop._used = UsedProofs(limit_of_a_key=3)
    greedy, other = Holder(mint), Holder(mint)
    used = greedy.headers()
    async with browse(guard) as client:
        for headers in (used, greedy.headers(), greedy.headers()):
            assert (await client.get("/mcp", headers=headers)).status_code == 200
        full = await client.get("/mcp", headers=greedy.headers())
        assert (full.status_code, full.headers["retry-after"], app.calls) == (503, "60", 3)
        assert full.json()["error"] == "temporarily_unavailable"
        assert "www-authenticate" not in full.headers
        assert (await client.get("/mcp", headers=used)).status_code == 401
        assert (await client.get("/mcp", headers=other.headers())).status_code == 200


class Failing:
    """A verifier that cannot reach its issuer, once."""

    def __init__(self, mint: Mint) -> None:
        self._verifier = mint.verifier()
        self._down = True

    async def verify(self, token: str) -> Principal:
        return await self._verifier.verify(token)

    async def verify_bound(self, token: str, proof: DpopProof) -> Principal:
        if self._down:
            self._down = False
            raise VerifierUnavailable("down")
        return await self._verifier.verify_bound(token, proof)


async def test_an_outage_is_503_and_uses_no_proof_up_i11() -> None:
    mint = Mint()
    headers = Holder(mint).headers()
    async with browse(mint.protect(Echo(), verifier=Failing(mint))) as client:
        assert [(await client.get("/mcp", headers=headers)).status_code for _ in range(3)] == [503, 200, 401]


# The memory itself.


def proof(jti: int | str, key: str = "k", iat: int = NOW) -> DpopProof:
    return DpopProof(jkt=key * 43, jti=str(jti), iat=iat, nonce=None, alg="ES256")


def test_a_flood_of_proofs_does_not_make_it_forget_one_t35() -> None:
    used = UsedProofs(clock=Clock(0))
    assert used.claim(proof("victim's", "v"), now=NOW) is Claim.CLAIMED
    outcomes = Counter(used.claim(proof(number), now=NOW) for number in range(200_000))
    assert outcomes == {Claim.CLAIMED: MAX_PROOFS_OF_A_KEY, Claim.FULL: 200_000 - MAX_PROOFS_OF_A_KEY}
    assert used.claim(proof("victim's", "v"), now=NOW) is Claim.REPLAYED
    assert used.claim(proof("victim's next", "v"), now=NOW) is Claim.CLAIMED


def test_with_many_keys_it_is_full_and_still_forgets_nothing_t35_i13() -> None:
    clock = Clock(0)
    used = UsedProofs(limit=100, limit_of_a_key=10, clock=clock)
    for key in range(10):
        assert {used.claim(proof(number, str(key)), now=NOW) for number in range(10)} == {Claim.CLAIMED}
    assert (used.claim(proof(1, "v"), now=NOW), len(used)) == (Claim.FULL, 100)
    assert used.claim(proof(0, "0"), now=NOW) is Claim.REPLAYED
    clock.now += FORGOTTEN
    assert (used.claim(proof(1, "v", NOW + FORGOTTEN), now=NOW + FORGOTTEN), len(used)) == (Claim.CLAIMED, 1)


@pytest.mark.parametrize("age", [MAX_AGE_SECONDS, 30, 0, -FUTURE_LEEWAY_SECONDS])
def test_a_proof_is_remembered_as_long_as_it_holds_and_a_minute_more_dpop_09(age: int) -> None:
    clock = Clock(1000.9)
    used = UsedProofs(clock=clock)
    made = proof("once", iat=NOW - age)
    assert used.claim(made, now=NOW) is Claim.CLAIMED
    for elapsed in range(MAX_AGE_SECONDS - age + 61):
        clock.now = 1000.9 + elapsed
        # The wall clock may stand still meanwhile, or go back: what counts is how long ago it was.
        assert used.claim(made, now=NOW) is Claim.REPLAYED, elapsed
    clock.now += 2
    assert used.claim(proof("other"), now=NOW) is Claim.CLAIMED
    assert len(used) == 1


def test_what_is_forgotten_gives_its_key_room_again() -> None:
    clock = Clock(0)
    used = UsedProofs(limit_of_a_key=1, clock=clock)
    for turn in range(5):
        now = NOW + turn * FORGOTTEN
        clock.now = turn * FORGOTTEN
        assert used.claim(proof(turn, iat=now), now=now) is Claim.CLAIMED
        assert used.claim(proof("more", iat=now), now=now) is Claim.FULL
    assert (len(used), len(used._seconds), used._of_key) == (1, 1, Counter({"k" * 43: 1}))
