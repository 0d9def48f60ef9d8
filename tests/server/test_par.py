"""Pushed authorization requests: taken in exactly as a link would be, from clients that prove themselves
(PAR-01 … PAR-11)."""

from typing import Any
from urllib.parse import urlencode

import pytest

from doorward.core.limits import PUSH_CLIENT, PUSH_PROJECT, PUSH_SOURCE
from doorward.core.secrets import PUSHED_REQUEST, derive_secret
from doorward.manage import admission, clients
from doorward.oauth.assertions import ASSERTION_TYPE
from doorward.oauth.jwt import generate_signing_key
from doorward.server.pushed import PUSHED_LIFE_MS
from tests.inside import ISSUER, LOOPBACK, RESOURCE, Answer, Door
from tests.person import answer_parameters
from tests.server.pushing import PAR, URN, fields, link, public, push, pushed, signed_in, taken
from tests.server.steps import (
    TOKEN,
    VERIFIER,
    WEB_REDIRECT,
    basic,
    claims_of,
    confidential,
    refusal,
    set_project,
    sign_assertion,
    stop,
    success,
)
from tests.server.test_authorize_errors import WRONG
from tests.server.test_dpop import Prover

NEVER_GIVEN = derive_secret(b"x", PUSHED_REQUEST, "x")
"""A name that could be one, and is none."""


async def test_a_pushed_request_becomes_a_code_par_05(door: Door) -> None:
    client_id, person = await public(door), door.person()
    answer = await push(door, client_id, state="zoë 🚪", scope="tools:write")
    request_uri = taken(answer)
    assert request_uri.startswith(URN)
    assert len(request_uri) > len(URN) + 43
    assert answer.header("content-type") == "application/json"
    assert (answer.header("cache-control"), answer.header("pragma")) == ("no-store", "no-cache")
    answered = answer_parameters(await person.consent(link(client_id, request_uri)))
    assert answered == {"code": answered["code"], "state": "zoë 🚪", "iss": ISSUER}
    tokens = success(await door.redeem(client_id, answered["code"], VERIFIER))
    assert (tokens["scope"], claims_of(tokens["access_token"])["aud"]) == ("tools:write", RESOURCE)


async def test_the_metadata_says_where_to_push_and_that_nobody_has_to_par_10(door: Door) -> None:
    metadata = (await door.call("GET", "/.well-known/oauth-authorization-server")).json()
    assert metadata["pushed_authorization_request_endpoint"] == f"{ISSUER}{PAR}"
    assert metadata["require_pushed_authorization_requests"] is False


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_a_request_is_posted_par_01(door: Door, method: str) -> None:
    answer = await door.call(method, PAR)
    assert (answer.status, answer.header("allow")) == (405, "POST, OPTIONS")


async def test_browsers_of_any_origin_may_push_par_01(door: Door) -> None:
    answer = await door.call("OPTIONS", PAR, headers={"origin": "https://a.example"})
    assert (answer.status, answer.header("access-control-allow-origin")) == (204, "*")
    assert (await push(door, await public(door))).header("access-control-allow-origin") == "*"


@pytest.mark.parametrize("media", ["application/json", "multipart/form-data", ""])
async def test_a_request_is_a_form_par_01(door: Door, media: str) -> None:
    body = urlencode(fields(await public(door))).encode()
    assert refusal(await door.call("POST", PAR, body, {"content-type": media})) == (400, "invalid_request")


async def test_a_request_that_is_too_large_is_413_par_01(door: Door) -> None:
    client_id = await public(door)
    assert refusal(await push(door, client_id, x="x" * 70_000)) == (413, "invalid_request")
    assert refusal(await push(door, client_id, login_hint="x" * 20_000)) == (413, "invalid_request")
    taken(await push(door, client_id, unknown="x" * 20_000, state="🚪" * 1024))


async def test_a_source_that_pushes_too_much_waits_par_01(door: Door) -> None:
    client_id, other = await public(door), await confidential(door)
    known, _ = await clients.add(door.operator, door.project, (LOOPBACK,))
    for _ in range(PUSH_SOURCE.burst):
        taken(await push(door, client_id))
    answer = await push(door, client_id)
    assert (*refusal(answer), answer.header("retry-after")) == (429, "temporarily_unavailable", "1")
    held = basic(other["client_id"], other["client_secret"])
    registered = await push(door, other["client_id"], held, redirect_uri=WEB_REDIRECT)
    assert registered.status == 429, "a secret that anybody gets by registering is no way around"
    taken(await push(door, known.client_id))
    door.clock.advance(seconds=1)
    taken(await push(door, client_id))


async def test_what_everybody_pushes_together_is_bounded_i13(door: Door) -> None:
    kept_ms = PUSHED_LIFE_MS + 60_000
    for limit in (PUSH_PROJECT, PUSH_CLIENT):
        assert limit.burst + kept_ms / limit.period_ms < 12_000


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_a_client_proves_itself_as_at_the_token_endpoint_par_02_cau_01(door: Door, method: str) -> None:
    client = await confidential(door, token_endpoint_auth_method=method)
    client_id, secret = client["client_id"], client["client_secret"]

    async def present(secret: str) -> Answer:
        if method == "client_secret_basic":
            return await push(door, client_id, basic(client_id, secret), redirect_uri=WEB_REDIRECT)
        return await push(door, client_id, redirect_uri=WEB_REDIRECT, client_secret=secret)

    for wrong in ("", secret[:-1], "mcs_other"):
        assert refusal(await present(wrong)) == (401, "invalid_client")
    url = link(client_id, taken(await present(secret)))
    code = answer_parameters(await door.person().consent(url))["code"]
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER}
    given = basic(client_id, secret) if method == "client_secret_basic" else None
    posted = {"client_id": client_id, "client_secret": secret} if given is None else {}
    success(await door.post_form(TOKEN, {**form, **posted}, given))


@pytest.mark.parametrize("client_id", ["", "mcl_nobody", "mcx_" + "x" * 60, "x" * 3000])
async def test_a_client_that_nobody_knows_pushes_nothing_par_02(door: Door, client_id: str) -> None:
    assert refusal(await push(door, client_id)) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("audience", "works"),
    [(ISSUER, True), ([ISSUER], True), (f"{ISSUER}{PAR}", False), (f"{ISSUER}{TOKEN}", False), ([ISSUER, PAR], False)],
)
async def test_a_client_may_prove_itself_with_a_key_for_the_issuer_alone_par_09_c19(
    door: Door, audience: Any, *, works: bool
) -> None:
    key = generate_signing_key()
    keys = {"jwks": {"keys": [key.public_jwk()]}}
    client, _ = await clients.add(door.operator, door.project, (LOOPBACK,), keys=keys)
    assertion = sign_assertion(door, client.client_id, key, aud=audience)
    proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
    answer = await push(door, client.client_id, **proof)
    if not works:
        assert refusal(answer) == (401, "invalid_client")
        return
    assert "code" in answer_parameters(await door.person().consent(link(client.client_id, taken(answer))))
    assert refusal(await push(door, client.client_id, **proof)) == (401, "invalid_client")


@pytest.mark.parametrize("name", [f"{URN}x", f"{URN}{NEVER_GIVEN}", "https://a.example/request"])
async def test_a_request_that_is_pushed_names_no_other_par_03(door: Door, name: str) -> None:
    assert refusal(await push(door, await public(door), request_uri=name)) == (400, "invalid_request")


@pytest.mark.parametrize(("parameters", "error"), WRONG, ids=str)
async def test_what_is_wrong_in_a_link_is_wrong_when_pushed_and_told_as_json_par_04_par_07(
    door: Door, parameters: dict[str, str], error: str
) -> None:
    for client_id in (await public(door), (await clients.add(door.operator, door.project, (LOOPBACK,)))[0].client_id):
        assert refusal(await push(door, client_id, **parameters)) == (400, error)


@pytest.mark.parametrize("name", ["state", "scope", "redirect_uri", "client_id", "x"])
async def test_a_repeated_parameter_is_refused_authz_02(door: Door, name: str) -> None:
    pairs = [*fields(await public(door)).items(), (name, "1"), (name, "2")]
    assert refusal(await door.post_form(PAR, pairs)) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("registered", "requested"),
    [
        ([LOOPBACK, WEB_REDIRECT], ""),
        ([LOOPBACK], f"{LOOPBACK}/x"),
        ([WEB_REDIRECT], "https://evil.test/callback"),
        ([WEB_REDIRECT], f"{WEB_REDIRECT}?x=1"),
    ],
)
async def test_a_redirect_uri_is_a_registered_one_whoever_asks_par_07_par_08(
    door: Door, registered: list[str], requested: str
) -> None:
    client = await confidential(door, redirect_uris=registered)
    held = basic(client["client_id"], client["client_secret"])
    answer = await push(door, client["client_id"], held, redirect_uri=requested)
    assert refusal(answer) == (400, "invalid_request")
    assert "redirect_uri" in answer.json()["error_description"]
    assert refusal(await push(door, await public(door, redirect_uris=registered), redirect_uri=requested)) == (
        400,
        "invalid_request",
    )


async def test_the_only_registered_redirect_uri_need_not_be_named_rdu_07(door: Door) -> None:
    client_id = await public(door)
    url = await pushed(door, client_id, redirect_uri="")
    code = answer_parameters(await door.person().consent(url))["code"]
    success(await door.redeem(client_id, code, VERIFIER, redirect_uri=""))


@pytest.mark.parametrize("what", ["resource", "project"])
async def test_while_a_server_is_stopped_nothing_is_taken_in(door: Door, what: str) -> None:
    client_id = await public(door)
    await stop(door, what)
    answer = await push(door, client_id)
    assert (*refusal(answer), answer.header("retry-after")) == (503, "temporarily_unavailable", "60")


async def test_a_suspended_client_pushes_nothing(door: Door) -> None:
    client, _ = await clients.add(door.operator, door.project, (LOOPBACK,))
    url = await pushed(door, client.client_id)
    await admission.suspend(door.operator, client)
    assert refusal(await push(door, client.client_id)) == (400, "unauthorized_client")
    page = await (await signed_in(door)).open(url)
    assert (page.status, "was suspended" in page.text) == (403, True)


# Clients that push or nothing


async def test_a_client_that_registered_to_push_sends_nothing_else_par_10(door: Door) -> None:
    registered = await door.register(require_pushed_authorization_requests=True)
    assert registered["require_pushed_authorization_requests"] is True
    client_id = registered["client_id"]
    answer = await door.call("GET", door.authorization_url(client_id, VERIFIER))
    told = answer_parameters(answer.header("location"))
    assert told.pop("error_description").startswith("The client is registered to push its requests first.")
    assert told == {"error": "invalid_request", "state": "state-1", "iss": ISSUER}
    assert "code" in answer_parameters(await door.person().consent(await pushed(door, client_id)))


async def test_so_is_one_that_is_stored_and_reads_its_registration_par_10(door: Door) -> None:
    client = await confidential(door, require_pushed_authorization_requests=True)
    bearer = {"authorization": f"Bearer {client['registration_access_token']}"}
    path = client["registration_client_uri"].removeprefix(ISSUER)
    assert success(await door.call("GET", path, headers=bearer))["require_pushed_authorization_requests"] is True
    answer = await door.call("GET", door.authorization_url(client["client_id"], VERIFIER, redirect_uri=WEB_REDIRECT))
    assert (answer.status, "location" in answer.headers) == (400, False)


@pytest.mark.parametrize("value", [False, None, "true", 1, [True]])
async def test_only_a_plain_true_makes_a_client_push(door: Door, value: Any) -> None:
    registered = await door.register(require_pushed_authorization_requests=value)
    assert "require_pushed_authorization_requests" not in registered
    answer = await door.call("GET", door.authorization_url(registered["client_id"], VERIFIER))
    assert answer.header("location").startswith("/login?")


# Keys


@pytest.mark.parametrize("how", ["dpop_jkt", "proof", "both"])
async def test_a_code_is_for_the_key_that_was_named_or_proven_par_11(door: Door, how: str) -> None:
    prover, thief = Prover(), Prover()
    client_id = await public(door)
    headers = prover.proof(door, url=f"{ISSUER}{PAR}") if how != "dpop_jkt" else {}
    named = {"dpop_jkt": prover.jkt} if how != "proof" else {}
    request_uri = taken(await push(door, client_id, headers, **named))
    code = answer_parameters(await door.person().consent(link(client_id, request_uri)))["code"]
    form = {"grant_type": "authorization_code", "client_id": client_id, "code": code, "code_verifier": VERIFIER}
    for given in ({}, thief.proof(door)):
        assert refusal(await door.post_form(TOKEN, form, given)) == (400, "invalid_grant")
    tokens = success(await door.post_form(TOKEN, form, prover.proof(door)))
    assert claims_of(tokens["access_token"])["cnf"] == {"jkt": prover.jkt}


async def test_a_proof_and_a_name_that_disagree_are_refused_par_11(door: Door) -> None:
    prover = Prover()
    headers = prover.proof(door, url=f"{ISSUER}{PAR}")
    answer = await push(door, await public(door), headers, dpop_jkt=Prover().jkt)
    assert refusal(answer) == (400, "invalid_dpop_proof")


async def test_a_proof_at_the_pushed_endpoint_is_for_it_and_good_once_par_11_dpop_09(door: Door) -> None:
    prover, client_id = Prover(), await public(door)
    assert refusal(await push(door, client_id, prover.proof(door))) == (400, "invalid_dpop_proof")
    headers = prover.proof(door, url=f"{ISSUER}{PAR}")
    taken(await push(door, client_id, headers))
    assert refusal(await push(door, client_id, headers)) == (400, "invalid_dpop_proof")


async def test_where_nonces_are_asked_for_a_push_gets_one_dpop_05(door: Door) -> None:
    await set_project(door, dpop_nonces=True)
    prover, client_id = Prover(), await public(door)
    refused = await push(door, client_id, prover.proof(door, url=f"{ISSUER}{PAR}"))
    assert refusal(refused) == (400, "use_dpop_nonce")
    nonce = refused.header("dpop-nonce")
    answer = await push(door, client_id, prover.proof(door, url=f"{ISSUER}{PAR}", nonce=nonce))
    taken(answer)
    assert answer.header("dpop-nonce") == nonce


@pytest.mark.parametrize("jkt", ["x", "x" * 42, "x" * 44, "x" * 42 + "=", "x" * 42 + "\n"])
async def test_a_name_of_a_key_is_a_thumbprint_wherever_it_comes(door: Door, jkt: str) -> None:
    client_id = await public(door)
    assert refusal(await push(door, client_id, dpop_jkt=jkt)) == (400, "invalid_request")
    answer = await door.call("GET", door.authorization_url(client_id, VERIFIER, dpop_jkt=jkt))
    assert answer_parameters(answer.header("location"))["error"] == "invalid_request"


# What is kept


async def test_no_credential_of_the_client_is_kept_with_its_request_t49(door: Door) -> None:
    client = await confidential(door, token_endpoint_auth_method="client_secret_post")
    secret, request_uri = client["client_secret"], ""
    request_uri = taken(
        await push(door, client["client_id"], redirect_uri=WEB_REDIRECT, client_secret=secret, password="hunter2")
    )
    kept = b"".join(
        path.read_bytes() for path in door.context.settings.data.iterdir() if path.name.startswith("doorward.db")
    )
    assert WEB_REDIRECT.encode() in kept
    for hidden in (secret, "hunter2", request_uri.removeprefix(URN)):
        assert hidden.encode() not in kept
