"""DPoP at the token endpoint: tokens bound to a key, and proofs that work once (DPOP-01 … DPOP-10, CODE-05, T35)."""

import itertools
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import pytest

from doorward.core.models import ResourceSettings
from doorward.manage import resources
from doorward.oauth.dpop import build_nonce, build_proof
from doorward.oauth.jwt import SigningKey, generate_signing_key
from doorward.server.jobs import sweep
from tests.inside import ISSUER, LOOPBACK, Answer, Door
from tests.server.steps import (
    TOKEN,
    WEB_REDIRECT,
    basic,
    claims_of,
    confidential,
    introspect,
    project_key,
    redirect_parameters,
    refusal,
    set_project,
    success,
)

TOKEN_URL = f"{ISSUER}{TOKEN}"
_numbers = itertools.count()


@dataclass
class Prover:
    """A client's key, and the proofs it makes."""

    key: SigningKey = field(default_factory=generate_signing_key)

    def proof(self, door: Door, **changes: Any) -> dict[str, str]:
        """The header for one token request."""
        claims = {"method": "POST", "url": TOKEN_URL, "now": door.clock() // 1000, "jti": f"jti-{next(_numbers)}"}
        return {"dpop": build_proof(self.key, **{**claims, **changes})}

    @property
    def jkt(self) -> str:
        return str(self.key.key.thumbprint())


async def redeem(door: Door, client_id: str, code: tuple[str, str], headers: dict[str, str]) -> Answer:
    form = {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "code": code[0],
        "code_verifier": code[1],
        "redirect_uri": LOOPBACK,
    }
    return await door.post_form(TOKEN, form, headers)


async def refresh(door: Door, client_id: str, token: str, headers: dict[str, str]) -> Answer:
    form = {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": token}
    return await door.post_form(TOKEN, form, headers)


async def bound_tokens(door: Door, prover: Prover) -> tuple[str, dict[str, Any]]:
    client_id = (await door.register())["client_id"]
    code = await door.obtain_code(client_id, door.person())
    return client_id, success(await redeem(door, client_id, code, prover.proof(door)))


async def test_a_proven_key_is_in_the_token_and_in_what_the_resource_is_told_dpop_03_int_05(door: Door) -> None:
    prover = Prover()
    _, tokens = await bound_tokens(door, prover)
    assert tokens["token_type"] == "DPoP"
    assert claims_of(tokens["access_token"])["cnf"] == {"jkt": prover.jkt}
    told = await introspect(door, tokens["access_token"], await project_key(door, "introspect"))
    assert (told["active"], told["token_type"], told["cnf"]) == (True, "DPoP", {"jkt": prover.jkt})


async def test_a_proof_is_good_once_whatever_becomes_of_its_request_dpop_09(door: Door) -> None:
    prover = Prover()
    client_id = (await door.register())["client_id"]
    code = await door.obtain_code(client_id, door.person())
    headers = prover.proof(door)
    assert refusal(await redeem(door, client_id, (code[0], "x" * 43), headers)) == (400, "invalid_grant")
    assert refusal(await redeem(door, client_id, code, headers)) == (400, "invalid_dpop_proof")
    success(await redeem(door, client_id, code, prover.proof(door)))


async def test_one_proof_sent_fifty_times_at_once_has_one_winner_dpop_09_i1(door: Door) -> None:
    prover = Prover()
    client_id, tokens = await bound_tokens(door, prover)
    headers = prover.proof(door)
    answers: list[Answer] = []

    async def send() -> None:
        answers.append(await refresh(door, client_id, tokens["refresh_token"], headers))

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(send)
    assert sorted(answer.status for answer in answers) == [200] + [400] * 49
    assert {answer.json().get("error") for answer in answers if answer.status == 400} == {"invalid_dpop_proof"}


async def test_a_sweep_forgets_no_proof_that_could_still_be_sent_t35(door: Door) -> None:
    prover = Prover()
    client_id, tokens = await bound_tokens(door, prover)
    headers = prover.proof(door)
    refreshed = success(await refresh(door, client_id, tokens["refresh_token"], headers))
    door.clock.advance(seconds=59)
    await sweep(door.context)
    answer = await refresh(door, client_id, refreshed["refresh_token"], headers)
    assert refusal(answer) == (400, "invalid_dpop_proof")


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "GET"},
        {"url": f"{ISSUER}/api/oauth/revoke"},
        {"url": "https://evil.example.com/api/oauth/token"},
        {"now": 0},
    ],
)
async def test_a_proof_for_something_else_spends_nothing_dpop_05(door: Door, changes: dict[str, Any]) -> None:
    prover = Prover()
    client_id = (await door.register())["client_id"]
    code = await door.obtain_code(client_id, door.person())
    assert refusal(await redeem(door, client_id, code, prover.proof(door, **changes))) == (400, "invalid_dpop_proof")
    success(await redeem(door, client_id, code, prover.proof(door)))


async def test_the_other_address_of_the_token_endpoint_has_proofs_of_its_own(door: Door) -> None:
    prover = Prover()
    client_id, tokens = await bound_tokens(door, prover)
    form = {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": tokens["refresh_token"]}
    assert refusal(await door.post_form("/token", form, prover.proof(door))) == (400, "invalid_dpop_proof")
    success(await door.post_form("/token", form, prover.proof(door, url=f"{ISSUER}/token")))


async def test_a_public_clients_refresh_token_needs_its_key_dpop_04(door: Door) -> None:
    prover, thief = Prover(), Prover()
    client_id, tokens = await bound_tokens(door, prover)
    token = tokens["refresh_token"]
    assert refusal(await refresh(door, client_id, token, {})) == (400, "invalid_grant")
    assert refusal(await refresh(door, client_id, token, thief.proof(door))) == (400, "invalid_grant")
    refreshed = success(await refresh(door, client_id, token, prover.proof(door)))
    assert refreshed["token_type"] == "DPoP"
    assert claims_of(refreshed["access_token"])["cnf"] == {"jkt": prover.jkt}


async def test_a_bound_refresh_token_is_held_to_single_use(door: Door) -> None:
    prover = Prover()
    client_id, tokens = await bound_tokens(door, prover)
    first = success(await refresh(door, client_id, tokens["refresh_token"], prover.proof(door)))
    again = await refresh(door, client_id, tokens["refresh_token"], prover.proof(door))
    assert refusal(again) == (400, "invalid_grant")
    ended = await refresh(door, client_id, first["refresh_token"], prover.proof(door))
    assert refusal(ended) == (400, "invalid_grant")


async def test_a_confidential_clients_refresh_token_is_not_bound_dpop_04(door: Door) -> None:
    client = await confidential(door)
    auth = basic(client["client_id"], client["client_secret"])
    code, verifier = await door.obtain_code(client["client_id"], door.person(), redirect_uri=WEB_REDIRECT)
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
    tokens = success(await door.post_form(TOKEN, form, {**auth, **Prover().proof(door)}))
    other = Prover()
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    refreshed = success(await door.post_form(TOKEN, form, {**auth, **other.proof(door)}))
    assert claims_of(refreshed["access_token"])["cnf"] == {"jkt": other.jkt}


async def test_a_code_asked_for_with_a_key_is_redeemed_by_that_key_alone_code_05(door: Door) -> None:
    prover, thief = Prover(), Prover()
    client_id = (await door.register())["client_id"]
    code = await door.obtain_code(client_id, door.person(), dpop_jkt=prover.jkt)
    assert refusal(await redeem(door, client_id, code, {})) == (400, "invalid_grant")
    assert refusal(await redeem(door, client_id, code, thief.proof(door))) == (400, "invalid_grant")
    success(await redeem(door, client_id, code, prover.proof(door)))


@pytest.mark.parametrize("jkt", ["short", "x" * 44, "A" * 42 + "="])
async def test_a_thumbprint_that_is_none_is_refused_at_once(door: Door, jkt: str) -> None:
    client_id = (await door.register())["client_id"]
    answer = await door.call("GET", door.authorization_url(client_id, "v" * 43, dpop_jkt=jkt))
    assert redirect_parameters(answer)["error"] == "invalid_request"


async def test_a_client_that_registered_for_bound_tokens_gets_no_other_dpop_08(door: Door) -> None:
    registered = await door.register(dpop_bound_access_tokens=True)
    assert registered["dpop_bound_access_tokens"] is True
    client_id = registered["client_id"]
    code = await door.obtain_code(client_id, door.person())
    assert refusal(await redeem(door, client_id, code, {})) == (400, "invalid_dpop_proof")
    success(await redeem(door, client_id, code, Prover().proof(door)))


async def test_a_server_that_asks_for_bound_tokens_is_given_no_other(door: Door) -> None:
    await resources.change(door.operator, door.resource, settings=ResourceSettings(dpop_required=True))
    door.clock.advance(seconds=1)
    client_id = (await door.register())["client_id"]
    code = await door.obtain_code(client_id, door.person())
    assert refusal(await redeem(door, client_id, code, {})) == (400, "invalid_dpop_proof")
    success(await redeem(door, client_id, code, Prover().proof(door)))


async def test_with_nonces_a_proof_without_a_current_one_is_answered_with_one_dpop_05_dpop_10(door: Door) -> None:
    await set_project(door, dpop_nonces=True)
    prover = Prover()
    client_id = (await door.register())["client_id"]
    code = await door.obtain_code(client_id, door.person())
    told = await redeem(door, client_id, code, prover.proof(door))
    assert refusal(told) == (400, "use_dpop_nonce")
    assert len(told.headers["dpop-nonce"]) == 1
    nonce = told.header("dpop-nonce")
    tokens = await redeem(door, client_id, code, prover.proof(door, nonce=nonce))
    success(tokens)
    assert tokens.header("dpop-nonce") == nonce
    door.clock.advance(seconds=601)
    late = await refresh(door, client_id, tokens.json()["refresh_token"], prover.proof(door, nonce=nonce))
    assert refusal(late) == (400, "use_dpop_nonce")
    fresh = prover.proof(door, nonce=late.header("dpop-nonce"))
    success(await refresh(door, client_id, tokens.json()["refresh_token"], fresh))


async def test_nobody_else_can_make_a_nonce_dpop_05(door: Door) -> None:
    await set_project(door, dpop_nonces=True)
    client_id = (await door.register())["client_id"]
    code = await door.obtain_code(client_id, door.person())
    forged = Prover().proof(door, nonce=build_nonce(b"another key", door.clock() // 1000))
    assert refusal(await redeem(door, client_id, code, forged)) == (400, "use_dpop_nonce")


async def test_a_browser_may_send_proofs_and_read_nonces_www_08(door: Door) -> None:
    answer = await door.call("OPTIONS", TOKEN, headers={"origin": "https://app.example.com"})
    assert "DPoP" in answer.header("access-control-allow-headers")
    told = await door.post_form(TOKEN, {"grant_type": "x"}, {"origin": "https://app.example.com"})
    assert "DPoP-Nonce" in told.header("access-control-expose-headers")


async def test_the_algorithms_of_proofs_are_told_dpop_01(door: Door) -> None:
    metadata = (await door.call("GET", "/.well-known/oauth-authorization-server")).json()
    told = metadata["dpop_signing_alg_values_supported"]
    assert told == ["ES256", "EdDSA", "PS256", "RS256", "Ed25519"]


async def test_two_proofs_in_one_request_are_refused(door: Door) -> None:
    prover = Prover()
    client_id = (await door.register())["client_id"]
    code = await door.obtain_code(client_id, door.person())
    proofs = [("dpop", prover.proof(door)["dpop"]) for _ in range(2)]
    body = f"grant_type=authorization_code&client_id={client_id}&code={code[0]}&code_verifier={code[1]}".encode()
    media = ("content-type", "application/x-www-form-urlencoded")
    assert refusal(await door.call("POST", TOKEN, body, [media, *proofs])) == (400, "invalid_dpop_proof")


@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "RS256"])
async def test_a_client_may_choose_among_the_algorithms(door: Door, alg: str) -> None:
    prover = Prover(replace(generate_signing_key(alg)))
    _, tokens = await bound_tokens(door, prover)
    assert claims_of(tokens["access_token"])["cnf"] == {"jkt": prover.jkt}
