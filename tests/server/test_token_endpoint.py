"""What holds for every grant: the form of requests and answers, and which grants there are (TOK-01 … TOK-11)."""

import pytest

from doorward.storage.grants import find_live_grant
from tests.inside import ISSUER, LOOPBACK, RESOURCE, Door
from tests.server.steps import TOKEN, add_neighbour, bearer, claims_of, project_key, refusal, success

FORM = "application/x-www-form-urlencoded"


async def test_a_token_answer_is_complete_and_holds_nothing_else_tok_03_08(door: Door) -> None:
    _, tokens = await door.tokens()
    assert tokens == {
        "access_token": tokens["access_token"],
        "token_type": "Bearer",
        "expires_in": 900,
        "scope": "tools:read",
        "refresh_token": tokens["refresh_token"],
    }
    assert type(tokens["expires_in"]) is int
    assert tokens["refresh_token"].startswith("mrt_")


async def test_an_access_token_holds_the_claims_of_rfc_9068_and_one_more_at_01_02(door: Door) -> None:
    client_id, tokens = await door.tokens(scope="tools:write")
    claims = claims_of(tokens["access_token"])
    now = door.clock() // 1000
    assert claims == {
        "iss": ISSUER,
        "sub": claims["sub"],
        "aud": RESOURCE,
        "client_id": client_id,
        "scope": "tools:write",
        "jti": claims["jti"],
        "iat": now,
        "exp": now + 900,
        "auth_time": now,
        "grant_id": claims["grant_id"],
    }
    assert claims["sub"].startswith("usr_")


async def test_every_token_has_a_grant_that_covers_it_i5(door: Door) -> None:
    acme = await add_neighbour(door)
    client_id, first = await door.tokens(scope="tools:read tools:write")
    narrowed = success(await door.refresh(client_id, first["refresh_token"], scope="tools:read"))
    asked = {"client_id": client_id, "subject": "user-1", "scopes": ["tools:read"]}
    minted = success(await door.post_json(f"{TOKEN}/exchange", asked, bearer(await project_key(door, "mint"))))
    for tokens in (first, narrowed, minted):
        claims = claims_of(tokens["access_token"])
        grant = await door.context.database.read(find_live_grant, door.project.project_id, claims["grant_id"])
        assert grant is not None
        assert (grant.user_id, grant.client_id) == (claims["sub"], claims["client_id"])
        assert (grant.resource_id, claims["aud"]) == (door.resource.resource_id, RESOURCE)
        assert set(claims["scope"].split()) <= set(grant.scope)
        assert await door.context.database.read(find_live_grant, acme.project_id, claims["grant_id"]) is None


async def test_no_two_tokens_share_an_id(door: Door) -> None:
    client_id, tokens = await door.tokens()
    ids = set()
    for _ in range(10):
        tokens = success(await door.refresh(client_id, tokens["refresh_token"]))
        ids.add(claims_of(tokens["access_token"])["jti"])
    assert len(ids) == 10


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "", "multipart/form-data; boundary=x"])
async def test_a_token_request_is_a_form_tok_01(door: Door, content_type: str) -> None:
    answer = await door.call("POST", TOKEN, b"grant_type=refresh_token", {"content-type": content_type})
    assert refusal(answer) == (400, "invalid_request")


@pytest.mark.parametrize("content_type", [f"{FORM}; charset=UTF-8", FORM.title(), f" {FORM} "])
async def test_parameters_and_case_of_the_media_type_do_not_matter(door: Door, content_type: str) -> None:
    answer = await door.call("POST", TOKEN, b"grant_type=x&client_id=y", {"content-type": content_type})
    assert refusal(answer) == (401, "invalid_client")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
async def test_tokens_are_only_posted_for_tok_01_t27(door: Door, method: str) -> None:
    client_id, tokens = await door.tokens()
    query = f"grant_type=refresh_token&client_id={client_id}&refresh_token={tokens['refresh_token']}"
    answer = await door.call(method, f"{TOKEN}?{query}")
    assert answer.status == 405
    assert answer.header("allow") == "POST, OPTIONS"
    assert tokens["refresh_token"].encode() not in answer.body


async def test_parameters_are_never_read_from_the_address_tok_01(door: Door) -> None:
    client_id, tokens = await door.tokens()
    query = f"grant_type=refresh_token&client_id={client_id}&refresh_token={tokens['refresh_token']}"
    answer = await door.call("POST", f"{TOKEN}?{query}", b"", {"content-type": FORM})
    assert refusal(answer) == (400, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"grant_type=",
        b"client_id=x",
        b"grant_type=refresh_token&grant_type=refresh_token",
        b"grant_type=refresh_token&client_id=x&client_id=x",
        b"grant_type=refresh_token&unknown=1&unknown=2",
        b"grant_type=%FF",
        b"grant_type=a%00b",
        b"grant_type=\xff",
        b"&".join(b"p%d=1" % number for number in range(101)),
    ],
    ids=lambda body: repr(body[:40]),
)
async def test_a_form_that_is_wrong_is_an_invalid_request_tok_02(door: Door, body: bytes) -> None:
    assert refusal(await door.call("POST", TOKEN, body, {"content-type": FORM})) == (400, "invalid_request")


async def test_a_form_over_64_kib_is_413_t48(door: Door) -> None:
    answer = await door.post_form(TOKEN, {"grant_type": "refresh_token", "x": "x" * 65_536})
    assert refusal(answer) == (413, "invalid_request")


@pytest.mark.parametrize(
    "grant_type",
    [
        "password",
        "implicit",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "Authorization_Code",
        "x" * 1000,
    ],
)
async def test_a_grant_that_is_not_offered_is_unsupported_tok_05_10(door: Door, grant_type: str) -> None:
    client_id = (await door.register())["client_id"]
    answer = await door.post_form(
        TOKEN, {"grant_type": grant_type, "client_id": client_id, "username": "ada", "password": "p"}
    )
    assert refusal(answer) == (400, "unsupported_grant_type")


async def test_a_grant_the_client_did_not_register_for_is_refused_tok_11_rt_01(door: Door) -> None:
    client_id = (await door.register(grant_types=["authorization_code"]))["client_id"]
    code, verifier = await door.obtain_code(client_id, door.person())
    tokens = success(await door.redeem(client_id, code, verifier))
    assert "refresh_token" not in tokens
    assert refusal(await door.refresh(client_id, "mrt_x")) == (400, "unauthorized_client")


async def test_who_the_client_is_comes_before_what_it_asks_for(door: Door) -> None:
    answer = await door.post_form(TOKEN, {"grant_type": "password", "client_id": "mcl_nobody"})
    assert refusal(answer) == (401, "invalid_client")


async def test_parameters_that_nobody_knows_and_empty_ones_are_ignored_tok_02(door: Door) -> None:
    client_id, tokens = await door.tokens()
    answer = await door.refresh(client_id, tokens["refresh_token"], audience="x", nonce="y", scope="", client_secret="")
    assert success(answer)["scope"] == "tools:read"


async def test_browsers_of_any_origin_may_call_without_credentials_tok_09(door: Door) -> None:
    preflight = await door.call("OPTIONS", TOKEN, headers={"origin": "https://a.example"})
    assert (preflight.status, preflight.headers["access-control-allow-origin"]) == (204, ["*"])
    assert "Authorization" in preflight.header("access-control-allow-headers")
    answer = await door.post_form(TOKEN, {"grant_type": "x"}, {"origin": "https://a.example"})
    assert answer.headers["access-control-allow-origin"] == ["*"]
    assert "access-control-allow-credentials" not in answer.headers
    assert "set-cookie" not in answer.headers


async def test_a_cookie_is_no_authentication_here(door: Door) -> None:
    client_id, person = (await door.register())["client_id"], door.person()
    await person.consent(door.authorization_url(client_id, "v" * 43))
    response = await person.http.post(TOKEN, data={"grant_type": "authorization_code"})
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("swapped", ["access token", "code", "truncated refresh token"])
async def test_one_kind_of_token_is_not_taken_for_another_t27(door: Door, swapped: str) -> None:
    client_id, tokens = await door.tokens()
    code, _ = await door.obtain_code(client_id, door.person())
    presented = {
        "access token": tokens["access_token"],
        "code": code,
        "truncated refresh token": tokens["refresh_token"][:-1],
    }[swapped]
    assert refusal(await door.refresh(client_id, presented)) == (400, "invalid_grant")
    success(await door.refresh(client_id, tokens["refresh_token"]))


async def test_the_refusal_of_an_unknown_client_does_not_depend_on_the_token_it_brings(door: Door) -> None:
    client_id, tokens = await door.tokens()
    answers = [await door.refresh("mcl_nobody", token) for token in (tokens["refresh_token"], "mrt_x", LOOPBACK)]
    assert {refusal(answer) for answer in answers} == {(401, "invalid_client")}
    success(await door.refresh(client_id, tokens["refresh_token"]))
