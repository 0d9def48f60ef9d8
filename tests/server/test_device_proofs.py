"""A device that proves a key when it asks first is the only one that can come for the tokens.

Spec: DPOP-01, DPOP-02, DPOP-03, DPOP-05, DPOP-10; RFC 9449 §10; T35
"""

import pytest

from doorward.oauth.dpop import build_nonce
from tests.inside import ISSUER, Door
from tests.person import Person
from tests.server.devices import DEVICE, GONE, PENDING, add_device, ask, let_in, offer, poll, request
from tests.server.steps import claims_of, refusal, set_project, success
from tests.server.test_dpop import Prover

DEVICE_URL = f"{ISSUER}{DEVICE}"
INVALID = (400, "invalid_dpop_proof")


@pytest.fixture
async def offering(door: Door) -> Door:
    """The server with the device grant switched on."""
    return await offer(door)


@pytest.fixture
async def client_id(offering: Door) -> str:
    """A public client with the device grant."""
    return str((await add_device(offering))["client_id"])


async def test_a_code_asked_for_with_a_key_is_redeemed_with_that_key_only(
    offering: Door, client_id: str, person: Person
) -> None:
    prover, thief = Prover(), Prover()
    device = success(await request(offering, client_id, prover.proof(offering, url=DEVICE_URL)))
    code = device["device_code"]
    assert refusal(await poll(offering, client_id, code, prover.proof(offering))) == PENDING
    await let_in(person, device["user_code"])
    assert refusal(await poll(offering, client_id, code)) == GONE
    assert refusal(await poll(offering, client_id, code, thief.proof(offering))) == GONE
    answer = success(await poll(offering, client_id, code, prover.proof(offering)))
    assert answer["token_type"] == "DPoP"
    assert claims_of(answer["access_token"])["cnf"] == {"jkt": prover.jkt}
    form = {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": answer["refresh_token"]}
    assert refusal(await offering.post_form("/api/oauth/token", form, thief.proof(offering))) == GONE
    assert (await offering.post_form("/api/oauth/token", form, prover.proof(offering))).status == 200


async def test_a_key_proved_only_at_the_end_binds_the_tokens_too(
    offering: Door, client_id: str, person: Person
) -> None:
    prover, device = Prover(), await ask(offering, client_id)
    await let_in(person, device["user_code"])
    answer = success(await poll(offering, client_id, device["device_code"], prover.proof(offering)))
    assert claims_of(answer["access_token"])["cnf"] == {"jkt": prover.jkt}


async def test_a_proof_for_another_address_or_used_before_is_refused_t35(offering: Door, client_id: str) -> None:
    prover = Prover()
    assert refusal(await request(offering, client_id, prover.proof(offering))) == INVALID
    proof = prover.proof(offering, url=DEVICE_URL)
    assert (await request(offering, client_id, proof)).status == 200
    assert refusal(await request(offering, client_id, proof)) == INVALID
    assert refusal(await request(offering, client_id, {"dpop": "nonsense"})) == INVALID


async def test_where_nonces_are_asked_for_a_device_is_given_one_dpop_05(offering: Door, client_id: str) -> None:
    await set_project(offering, dpop_nonces=True)
    prover = Prover()
    told = await request(offering, client_id, prover.proof(offering, url=DEVICE_URL))
    assert refusal(told) == (400, "use_dpop_nonce")
    nonce = told.header("dpop-nonce")
    assert nonce == build_nonce(offering.context.form_key, offering.clock() // 1000)
    answer = await request(offering, client_id, prover.proof(offering, url=DEVICE_URL, nonce=nonce))
    assert success(answer)["user_code"]
    assert answer.header("dpop-nonce") == nonce
