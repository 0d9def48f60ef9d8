"""doorward.client.proofs: each request has a proof of its own, with the nonce of the server that it goes to."""

import json

import pytest

from doorward.client.effects import Answer
from doorward.client.errors import DiscoveryFailed
from doorward.client.proofs import ProofKey, challenges_for_nonce, wants_nonce
from doorward.oauth.dpop import DpopProof, verify_proof

NOW = 1_800_000_000.75
TOKEN_URL = "https://auth.example/token"
MCP_URL = "https://mcp.example/mcp"
ACCESS_TOKEN = "an.access.token"
DEMAND = json.dumps({"error": "use_dpop_nonce"}).encode()


def check(proof: str, method: str = "POST", url: str = TOKEN_URL, access_token: str | None = None) -> DpopProof:
    return verify_proof([proof], method=method, url=url, now=int(NOW), access_token=access_token)


def answer(status: int, body: bytes = DEMAND, nonces: tuple[str, ...] = ("n1",)) -> Answer:
    return Answer(status, tuple(("dpop-nonce", nonce) for nonce in nonces), body, NOW)


def test_each_proof_is_a_new_one_for_one_request_dpop_11() -> None:
    key = ProofKey.generate()
    first, second = (check(key.build("POST", TOKEN_URL, now=NOW)) for _ in range(2))
    assert first.jti != second.jti
    assert first.jkt == second.jkt == key.thumbprint
    assert (first.nonce, first.ath, first.alg) == (None, None, "ES256")


def test_a_proof_for_a_protected_server_names_the_token_and_leaves_the_query_out_dpop_11() -> None:
    proof = ProofKey.generate().build("GET", f"{MCP_URL}?a=b#c", now=NOW, access_token=ACCESS_TOKEN)
    assert check(proof, "GET", MCP_URL, ACCESS_TOKEN).is_for(ACCESS_TOKEN)


def test_a_key_that_was_kept_makes_proofs_of_the_same_thumbprint() -> None:
    key = ProofKey.generate()
    kept = ProofKey.load(json.loads(json.dumps(key.dump())))
    assert check(kept.build("POST", TOKEN_URL, now=NOW)).jkt == key.thumbprint


@pytest.mark.parametrize(
    ("supported", "chosen"),
    [((), "ES256"), (("RS256", "ES256"), "ES256"), (("RS256", "EdDSA"), "EdDSA"), (("Ed25519",), "Ed25519")],
)
def test_the_key_is_for_an_algorithm_the_server_takes(supported: tuple[str, ...], chosen: str) -> None:
    assert check(ProofKey.generate(supported).build("POST", TOKEN_URL, now=NOW)).alg == chosen


def test_without_a_common_algorithm_there_is_no_key() -> None:
    with pytest.raises(DiscoveryFailed, match="algorithms"):
        ProofKey.generate(("ES512", "none"))


def test_nonces_are_kept_apart_by_origin_and_by_what_answers_there_dpop_11() -> None:
    key, shared = ProofKey.generate(), "https://one.example"

    def nonce(url: str, access_token: str | None) -> str | None:
        return check(key.build("POST", url, now=NOW, access_token=access_token), "POST", url, access_token).nonce

    assert key.learn(f"{shared}/token", ["as"], at_resource=False)
    assert key.learn(f"{shared}/mcp", ["rs"], at_resource=True)
    assert key.learn(MCP_URL, ["other"], at_resource=True)
    assert nonce("https://ONE.example/revoke", None) == "as"
    assert nonce(f"{shared}/mcp?x=1", ACCESS_TOKEN) == "rs"
    assert nonce(MCP_URL, ACCESS_TOKEN) == "other"
    assert nonce(TOKEN_URL, None) is None


def test_a_newer_nonce_takes_the_place_of_the_old_one_dpop_11() -> None:
    key = ProofKey.generate()
    assert key.learn(TOKEN_URL, ["n1"], at_resource=False)
    assert not key.learn(TOKEN_URL, ["n1"], at_resource=False)
    assert key.learn(TOKEN_URL, ["n2"], at_resource=False)
    assert check(key.build("POST", TOKEN_URL, now=NOW)).nonce == "n2"


@pytest.mark.parametrize("fields", [[], ["n1", "n2"], [""], ["has space"], ['quo"te'], ["n" * 2049]])
def test_no_nonce_several_or_a_malformed_one_teach_nothing(fields: list[str]) -> None:
    key = ProofKey.generate()
    assert not key.learn(TOKEN_URL, fields, at_resource=False)
    assert check(key.build("POST", TOKEN_URL, now=NOW)).nonce is None


def test_only_a_demand_for_a_nonce_is_answered_with_one_dpop_11() -> None:
    assert wants_nonce(answer(400))
    assert wants_nonce(answer(401))
    refusals = [
        answer(200),
        answer(403),
        answer(400, nonces=()),
        answer(400, b"not json"),
        answer(400, b'["use_dpop_nonce"]'),
        answer(400, b'{"error": "invalid_grant"}'),
        answer(400, b'{"error": ["use_dpop_nonce"]}'),
    ]
    assert not any(map(wants_nonce, refusals))


def test_a_protected_server_demands_it_in_a_dpop_challenge_dpop_11() -> None:
    demand = 'DPoP algs="ES256", error="use_dpop_nonce"'
    assert challenges_for_nonce(401, ["Bearer", demand])
    assert challenges_for_nonce(401, [f"Bearer realm=x, {demand}"])
    assert not challenges_for_nonce(400, [demand])
    assert not challenges_for_nonce(401, ['Bearer error="use_dpop_nonce"'])
    assert not challenges_for_nonce(401, ['DPoP error="invalid_token"'])
