"""Tokens bound to a key at a protected server: nobody comes in with one who does not prove possession of the key.

Spec: RS-13, RS-16, DPOP-02, DPOP-06, DPOP-07, I11; threat T33
"""

import secrets
import time
from typing import Any

import httpx2
import pytest

from doorward.oauth.dpop import PROOF_ALGORITHMS
from doorward.oauth.jwt import InvalidToken
from doorward.resource import PRINCIPAL, DpopProof, Principal
from tests.resource.possession import BEARER, INVALID, Holder, get, refusal
from tests.resource.world import ISSUER, RESOURCE, Echo, Mint, bind, browse, serve

NONCE_KEY = secrets.token_bytes(32)


@pytest.mark.parametrize("alg", PROOF_ALGORITHMS)
async def test_a_bound_token_with_a_proof_of_its_key_gets_through_dpop_07(alg: str) -> None:
    mint, app = Mint(), Echo()
    holder = Holder(mint, alg)
    assert (await get(mint, holder.headers(), app)).status_code == 200
    principal = app.scope[PRINCIPAL]
    assert isinstance(principal, Principal)
    assert (principal.identity, principal.jkt) == ((ISSUER, "alice", "app"), holder.jkt)


@pytest.mark.parametrize("scheme", ["dpop", "DPOP", "DPoP"])
async def test_the_scheme_has_no_case(scheme: str) -> None:
    mint = Mint()
    holder = Holder(mint)
    headers = holder.headers() | {"Authorization": f"{scheme} {holder.token}"}
    assert (await get(mint, headers)).status_code == 200


async def test_a_bound_token_is_no_bearer_token_with_a_proof_or_without_rs_13_dpop_07() -> None:
    mint, app = Mint(), Echo()
    holder = Holder(mint)
    bearer = {"Authorization": f"Bearer {holder.token}"}
    async with browse(mint.protect(app)) as client:
        for headers in (bearer, holder.headers() | bearer):
            response = await client.get("/mcp", headers=headers)
            assert (response.status_code, response.json()["error"]) == (401, "invalid_token")
            assert response.headers["www-authenticate"] == (
                f'Bearer error="invalid_token", error_description="{INVALID}", {BEARER.removeprefix("Bearer ")}'
            )
        assert app.calls == 0
        assert (await client.get("/mcp", headers=holder.headers())).status_code == 200


async def test_a_bearer_token_is_no_bound_token_dpop_07() -> None:
    mint, app = Mint(), Echo()
    response = await get(mint, Holder(mint, cnf=None).headers(), app)
    assert (response.status_code, app.calls) == (401, 0)
    assert response.headers["www-authenticate"] == refusal("invalid_token", INVALID)


async def test_a_proof_header_beside_a_bearer_token_changes_nothing() -> None:
    mint = Mint()
    assert (await get(mint, mint.header() | {"DPoP": "whatever"})).status_code == 200


async def test_a_stolen_token_is_worth_nothing_without_its_key_dpop_07() -> None:
    mint, app = Mint(), Echo()
    victim, thief = Holder(mint), Holder(mint)
    thief.token = victim.token
    response = await get(mint, thief.headers(), app)
    assert (response.status_code, app.calls) == (401, 0)
    assert response.headers["www-authenticate"] == refusal("invalid_token", INVALID)


@pytest.mark.parametrize(
    "cnf",
    [
        {},
        [],
        "",
        0,
        False,
        {"jkt": ""},
        {"jkt": None},
        {"jkt": ["@"]},
        {"x5t#S256": "@"},
        {"jkt": "@", "x5t#S256": "x"},
        {"jwk": {"kty": "EC"}},
        "@",
        ["@"],
    ],
)
@pytest.mark.parametrize("scheme", ["DPoP", "Bearer"])
async def test_what_is_bound_otherwise_is_refused_either_way_rs_13(cnf: Any, scheme: str) -> None:
    mint, app = Mint(), Echo()
    holder = Holder(mint, cnf=cnf)
    if isinstance(cnf, dict) and cnf.get("jkt") == "@":
        holder.token = mint.token(cnf={**cnf, "jkt": holder.jkt})
    response = await get(mint, holder.headers() | {"Authorization": f"{scheme} {holder.token}"}, app)
    assert (response.status_code, response.json()["error"], app.calls) == (401, "invalid_token", 0)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"method": "POST"}, "htm of the DPoP proof is not the method of this request."),
        ({"url": f"{RESOURCE}/admin"}, "htu of the DPoP proof is not the URL of this request."),
        ({"url": "https://evil.test/mcp"}, "htu of the DPoP proof is not the URL of this request."),
        ({"access_token": "another"}, "ath of the DPoP proof is not the hash of the access token."),
        ({"access_token": None}, "ath of the DPoP proof is not the hash of the access token."),
        ({"age": 62}, "iat of the DPoP proof is not now; check the clock."),
        ({"age": -15}, "iat of the DPoP proof is not now; check the clock."),
        ({"jti": ""}, "jti of the DPoP proof is missing or too long."),
    ],
)
async def test_a_proof_of_something_else_is_none_dpop_02_dpop_06(claims: dict[str, Any], reason: str) -> None:
    mint, app = Mint(), Echo()
    response = await get(mint, Holder(mint).headers(**claims), app)
    assert (response.status_code, app.calls) == (401, 0)
    assert response.json() == {"error": "invalid_dpop_proof", "error_description": reason}
    assert response.headers["www-authenticate"] == refusal("invalid_dpop_proof", reason)
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("count", [0, 2])
async def test_there_is_one_proof_dpop_02_dpop_06(count: int) -> None:
    mint, app = Mint(), Echo()
    holder = Holder(mint)
    headers = [("Authorization", f"DPoP {holder.token}"), *[("DPoP", holder.proof()) for _ in range(count)]]
    response = await get(mint, headers, app)
    assert (response.status_code, response.json()["error"], app.calls) == (401, "invalid_dpop_proof", 0)


@pytest.mark.parametrize("credentials", ["DPoP", "DPoP ", "DPoP a b", "DPoP " + "a" * 10_000])
async def test_malformed_credentials_are_400_rs_16(credentials: str) -> None:
    response = await get(Mint(), {"Authorization": credentials})
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


async def test_nothing_of_token_or_proof_is_logged_rs_12(caplog: pytest.LogCaptureFixture) -> None:
    mint = Mint()
    caplog.set_level("DEBUG", logger="doorward")
    holder = Holder(mint)
    headers = holder.headers(jti="a-telling-jti")
    async with browse(mint.protect(Echo())) as client:
        for _ in range(2):
            await client.get("/mcp", headers=headers)
        await client.get("/mcp", headers=holder.headers("POST"))
    assert "sent twice" in caplog.text
    assert "htm" in caplog.text
    for secret in (holder.token, headers["DPoP"], "a-telling-jti", holder.jkt):
        assert secret not in caplog.text


# The URL of the request.


@pytest.mark.parametrize(
    ("resource", "asked", "url", "app_path"),
    [
        (RESOURCE, "/mcp", RESOURCE, None),
        (RESOURCE, "/mcp/", f"{RESOURCE}/", None),
        (RESOURCE, "/mcp/", RESOURCE, None),
        (f"{RESOURCE}/", "/mcp", RESOURCE, None),
        (RESOURCE, "/mcp?cursor=1", f"{RESOURCE}?cursor=2", None),
        (RESOURCE, "/mcp/messages/a%2Fb%20c", f"{RESOURCE}/messages/a%2fb%20c", None),
        (RESOURCE, "/m%63p", f"{RESOURCE}", None),
        ("https://api.test", "/", "https://api.test", None),
        ("https://api.test/", "/", "https://API.test:443/", None),
        ("https://api.test/deep/mcp", "/mcp", "https://api.test/deep/mcp", "/mcp"),
        ("https://api.test/deep/mcp", "/", "https://api.test/deep/mcp", "/"),
    ],
)
async def test_a_proof_is_for_the_public_url_of_the_request_dpop_02(
    resource: str, asked: str, url: str, app_path: str | None
) -> None:
    mint = Mint(resource=resource)
    async with browse(mint.protect(Echo(), app_path=app_path)) as client:
        assert (await client.get(asked, headers=Holder(mint).headers(url=url))).status_code == 200


@pytest.mark.parametrize(
    ("asked", "url"),
    [
        ("/mcp/admin", RESOURCE),
        ("/mcp", "https://api.test/"),
        ("/mcp/a%2Fb", f"{RESOURCE}/a/b"),
        ("/mcp", "https://127.0.0.1/mcp"),
    ],
)
async def test_the_host_and_path_of_a_request_cannot_choose_what_is_proved_dpop_02(asked: str, url: str) -> None:
    mint, app = Mint(), Echo()
    guard = mint.protect(app, allowed_hosts=["api.test", "127.0.0.1"])
    headers = Holder(mint).headers(url=url) | {"Host": "127.0.0.1"}
    async with browse(guard) as client:
        response = await client.get(asked, headers=headers)
    assert (response.status_code, response.json()["error"], app.calls) == (401, "invalid_dpop_proof", 0)


async def test_paths_on_a_socket_are_compared_as_they_were_sent() -> None:
    listener, url = bind()
    mint = Mint(resource=f"{url}/mcp")
    guard = mint.protect(Echo())
    async with serve(guard, listener, lifespan="off"), httpx2.AsyncClient(auth=Holder(mint)) as client:
        for path in ("/mcp", "/mcp/", "/mcp?a=b", "/mcp/a%2Fb", "/a%20b;c=d@e:f,g", "/%7Euser/~user/%C3%A9"):
            assert (await client.post(f"{url}{path}")).status_code == 200, path


# Other verifiers.


class Careless:
    """A verifier of somebody else's that looks at no binding, with or without a way to take proofs."""

    def __init__(self, mint: Mint, token: dict[str, Any], jkt: str | None = None) -> None:
        self._principal = Principal("alice", "app", mint.issuer, ("tools:read",), mint.resource, 2**40, token, jkt)

    async def verify(self, token: str) -> Principal:
        return self._principal


class MoreCareless(Careless):
    async def verify_bound(self, token: str, proof: DpopProof) -> Principal:
        return self._principal


async def test_a_careless_verifier_lets_no_bound_token_in_as_bearer_rs_13() -> None:
    mint, app = Mint(), Echo()
    for verifier in (Careless(mint, {"cnf": {"jkt": "x"}}), Careless(mint, {}, "x"), MoreCareless(mint, {}, "x")):
        assert (await get(mint, mint.header(), app, verifier=verifier)).status_code == 401
    assert app.calls == 0
    assert (await get(mint, mint.header(), app, verifier=Careless(mint, {}))).status_code == 200


async def test_a_careless_verifier_lets_nobody_in_with_a_proof_of_another_key_dpop_07() -> None:
    mint, app = Mint(), Echo()
    holder = Holder(mint)
    for jkt in (None, "another"):
        assert (await get(mint, holder.headers(), app, verifier=MoreCareless(mint, {}, jkt))).status_code == 401
    assert app.calls == 0
    assert (await get(mint, holder.headers(), app, verifier=MoreCareless(mint, {}, holder.jkt))).status_code == 200


async def test_a_verifier_that_takes_no_proofs_takes_bearer_tokens_only() -> None:
    mint, app = Mint(), Echo()
    verifier = Careless(mint, {})
    response = await get(mint, Holder(mint).headers(), app, verifier=verifier)
    assert (response.status_code, response.headers["www-authenticate"], app.calls) == (401, BEARER, 0)
    async with browse(mint.protect(app, verifier=verifier)) as client:
        document = (await client.get("/.well-known/oauth-protected-resource/mcp")).json()
    assert "dpop_signing_alg_values_supported" not in document


async def test_without_a_verifier_that_takes_proofs_nothing_can_be_required_of_it() -> None:
    mint = Mint()
    for options in ({"dpop": "required"}, {"dpop_nonce_key": NONCE_KEY}):
        with pytest.raises(ValueError, match="verify_bound"):
            mint.protect(Echo(), verifier=Careless(mint, {}), **options)
    for options in ({"dpop": "sometimes"}, {"dpop_nonce_key": b"short"}):
        with pytest.raises(ValueError, match="dpop"):
            mint.protect(Echo(), **options)


async def test_a_verifier_takes_no_proof_that_was_not_checked_against_the_token_dpop_02() -> None:
    mint = Mint()
    holder = Holder(mint)
    unchecked = DpopProof(jkt=holder.jkt, jti="1", iat=int(time.time()), nonce=None, alg="ES256")
    with pytest.raises(InvalidToken):
        await mint.verifier().verify_bound(holder.token, unchecked)
