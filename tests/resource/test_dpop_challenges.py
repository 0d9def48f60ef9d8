"""What a server says of DPoP, and to whom: challenges, metadata, nonces.

Spec: DPOP-05, DPOP-06, DPOP-10, WWW-01, WWW-04, WWW-08, PRM-12, STEP-01; clients.md no. 54
"""

import secrets
import time
from base64 import urlsafe_b64encode
from typing import Any

import pytest

from doorward.oauth.dpop import NONCE_SECONDS, PROOF_ALGORITHMS, build_nonce
from doorward.resource import ProtectMCP
from tests.resource.possession import ALGS, BEARER, Holder, get, refusal
from tests.resource.world import Clock, Echo, Mint, browse

NONCE_KEY = secrets.token_bytes(32)


async def test_who_knows_nothing_of_dpop_is_not_troubled_with_it_clients_54_gen_04() -> None:
    assert (await get(Mint(), {})).headers["www-authenticate"] == BEARER


async def test_where_it_is_required_every_challenge_says_so_after_bearer_in_one_field_dpop_06_www_01() -> None:
    mint, app = Mint(), Echo()
    invited = await get(mint, {}, app, dpop="required")
    assert (invited.status_code, "error=" in invited.text) == (401, False)
    assert invited.headers.get_list("www-authenticate") == [f"{BEARER}, DPoP {ALGS}"]
    refused = await get(mint, mint.header(), app, dpop="required")
    assert (refused.status_code, app.calls) == (401, 0)
    text = "This server takes access tokens that are bound by DPoP only."
    assert refused.json() == {"error": "invalid_token", "error_description": text}
    assert refused.headers.get_list("www-authenticate") == [
        f'Bearer error="invalid_token", error_description="{text}", {BEARER.removeprefix("Bearer ")}, DPoP {ALGS}'
    ]
    assert (await get(mint, Holder(mint).headers(), app, dpop="required")).status_code == 200


async def test_a_missing_scope_is_said_in_the_scheme_that_was_used_step_01_dpop_06() -> None:
    mint = Mint()
    holder = Holder(mint, scope="profile")
    response = await get(mint, holder.headers())
    text = "This needs scopes that the access token does not carry."
    assert response.status_code == 403
    assert response.headers["www-authenticate"] == refusal("insufficient_scope", text, scope="profile tools:read")


async def test_where_it_is_off_it_is_no_token() -> None:
    mint, app = Mint(), Echo()
    response = await get(mint, Holder(mint).headers(), app, dpop="off")
    assert (response.status_code, response.headers["www-authenticate"], app.calls) == (401, BEARER, 0)


@pytest.mark.parametrize(
    ("dpop", "members"),
    [
        ("off", {}),
        ("accepted", {"dpop_signing_alg_values_supported": list(PROOF_ALGORITHMS)}),
        (
            "required",
            {
                "dpop_signing_alg_values_supported": list(PROOF_ALGORITHMS),
                "dpop_bound_access_tokens_required": True,
            },
        ),
    ],
)
async def test_the_metadata_says_what_is_accepted_prm_12(dpop: str, members: dict[str, Any]) -> None:
    async with browse(Mint().protect(Echo(), dpop=dpop)) as client:
        document = (await client.get("/.well-known/oauth-protected-resource/mcp")).json()
    assert {name: value for name, value in document.items() if name.startswith("dpop")} == members


async def test_pages_may_send_proofs_and_read_nonces_www_08() -> None:
    mint = Mint()
    asked = {"Origin": "https://api.test", "Access-Control-Request-Headers": "authorization, dpop"}
    async with browse(mint.protect(Echo())) as client:
        preflight = await client.options("/mcp", headers=asked)
        answer = await client.get("/mcp", headers={"Origin": "https://api.test"})
    assert preflight.headers["access-control-allow-headers"] == "authorization, dpop"
    assert "DPoP-Nonce" in answer.headers["access-control-expose-headers"].split(", ")


# Nonces.


def protect_with_nonces(mint: Mint, app: Echo, now: int) -> ProtectMCP:
    """A guard whose time stands still, so that no nonce runs out on the way."""
    guard = mint.protect(app, dpop_nonce_key=NONCE_KEY)
    assert guard._dpop is not None
    guard._dpop._clock = Clock(now)
    return guard


async def test_a_proof_without_our_nonce_is_sent_back_for_it_dpop_06_dpop_10() -> None:
    mint, app = Mint(), Echo()
    holder = Holder(mint)
    async with browse(protect_with_nonces(mint, app, int(time.time()))) as client:
        refused = await client.get("/mcp", headers=holder.headers())
        text = "Make the proof with the nonce of this answer."
        assert (refused.status_code, app.calls) == (401, 0)
        assert refused.json() == {"error": "use_dpop_nonce", "error_description": text}
        assert refused.headers["www-authenticate"] == refusal("use_dpop_nonce", text)
        (nonce,) = refused.headers.get_list("dpop-nonce")
        for _ in range(2):
            answer = await client.get("/mcp", headers=holder.headers(nonce=nonce))
            assert (answer.status_code, "dpop-nonce" in answer.headers) == (200, False)
        assert (await client.get("/mcp", headers=holder.headers())).status_code == 401


@pytest.mark.parametrize(
    ("age", "status", "renewed"),
    [(0, 200, False), (1, 200, True), (2, 401, True), (-1, 401, True)],
)
async def test_a_nonce_holds_through_the_next_five_minutes_and_then_brings_a_new_one_dpop_10(
    *, age: int, status: int, renewed: bool
) -> None:
    mint, now = Mint(), int(time.time())
    nonce = build_nonce(NONCE_KEY, now - age * NONCE_SECONDS)
    async with browse(protect_with_nonces(mint, Echo(), now)) as client:
        answer = await client.get("/mcp", headers=Holder(mint).headers(nonce=nonce))
    assert answer.status_code == status
    assert answer.headers.get_list("dpop-nonce") == ([build_nonce(NONCE_KEY, now)] if renewed else [])


@pytest.mark.parametrize("nonce", ["", "x", urlsafe_b64encode(bytes(16)).rstrip(b"=").decode()])
async def test_a_made_up_nonce_does_not_hold_dpop_10(nonce: str) -> None:
    mint = Mint()
    async with browse(protect_with_nonces(mint, Echo(), int(time.time()))) as client:
        answer = await client.get("/mcp", headers=Holder(mint).headers(nonce=nonce))
    assert (answer.status_code, answer.json()["error"]) == (401, "use_dpop_nonce")
