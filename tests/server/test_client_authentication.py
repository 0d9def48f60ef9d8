"""Client authentication: as registered, in every form real clients send it, and nothing is spent when it fails
(CAU-01 … CAU-06, T25; clients.md no. 41)."""

from base64 import b64encode
from dataclasses import replace

import pytest

from doorward.core.limits import CLIENT_AUTH
from doorward.core.secrets import hash_secret
from doorward.manage import clients
from doorward.oauth.ids import ClientId
from doorward.storage.clients import add_client
from tests.inside import LOOPBACK, Answer, Door
from tests.server.steps import REVOKE, TOKEN, WEB_REDIRECT, add_neighbour, basic, confidential, refusal, success

URL_ID = "https://client.example.com:8443/metadata.json"


async def authenticated(door: Door, fields: dict[str, str], headers: dict[str, str] | None = None) -> Answer:
    """A request that does nothing but authenticate: revoking what was never issued is answered 200."""
    return await door.post_form(REVOKE, {"token": "nothing", **fields}, headers)


async def works(door: Door, fields: dict[str, str], headers: dict[str, str] | None = None) -> bool:
    answer = await authenticated(door, fields, headers)
    if answer.status == 200:
        return True
    assert refusal(answer) == (401, "invalid_client")
    return False


async def store(door: Door, client_id: str, secret: str | None) -> None:
    """A client whose id and secret no server would make up, as an older one may have."""
    made, _ = await clients.add(door.operator, door.project, (WEB_REDIRECT,), confidential=secret is not None)
    client = replace(made, client_id=ClientId(client_id), secret_hash=hash_secret(secret) if secret else None)
    await door.context.database.write(add_client, client)


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_a_client_authenticates_by_the_method_it_registered_and_no_other_cau_05(door: Door, method: str) -> None:
    client = await confidential(door, token_endpoint_auth_method=method)
    client_id, secret = client["client_id"], client["client_secret"]
    by_header = await works(door, {}, basic(client_id, secret))
    by_body = await works(door, {"client_id": client_id, "client_secret": secret})
    assert (by_header, by_body) == (method == "client_secret_basic", method == "client_secret_post")
    assert not await works(door, {"client_id": client_id})


async def test_for_a_client_of_an_operator_both_ways_to_send_the_secret_are_one_cau_02_05(door: Door) -> None:
    client, secret = await clients.add(door.operator, door.project, (WEB_REDIRECT,), confidential=True)
    assert secret is not None
    assert await works(door, {}, basic(client.client_id, secret))
    assert await works(door, {"client_id": client.client_id, "client_secret": secret})
    assert not await works(door, {"client_id": client.client_id})


async def test_a_secret_that_is_nearly_right_is_wrong(door: Door) -> None:
    client = await confidential(door)
    secret = client["client_secret"]
    for wrong in (secret[:-1], f"{secret}x", f" {secret}", secret.swapcase(), "x"):
        assert not await works(door, {}, basic(client["client_id"], wrong))


async def test_the_challenge_is_of_the_scheme_that_was_used_tok_06(door: Door) -> None:
    client = await confidential(door, token_endpoint_auth_method="client_secret_post")
    by_header = await authenticated(door, {}, basic(client["client_id"], "wrong"))
    assert by_header.headers["www-authenticate"] == ['Basic realm="Doorward"']
    by_body = await authenticated(door, {"client_id": client["client_id"], "client_secret": "wrong"})
    assert "www-authenticate" not in by_body.headers
    assert by_header.status == by_body.status == 401


@pytest.mark.parametrize("in_body", [True, False])
@pytest.mark.parametrize("in_header", ["absent", "empty secret"])
async def test_a_public_client_is_known_by_its_id_and_an_empty_secret_is_none(
    door: Door, in_header: str, *, in_body: bool
) -> None:
    client_id = (await door.register())["client_id"]
    headers = basic(client_id, "") if in_header == "empty secret" else {}
    fields = {"client_id": client_id, "client_secret": ""} if in_body else {}
    if not headers and not fields:
        fields = {"client_id": client_id}
    assert await works(door, fields, headers)


async def test_a_public_client_with_a_secret_is_refused(door: Door) -> None:
    client_id = (await door.register())["client_id"]
    assert not await works(door, {"client_id": client_id, "client_secret": "made up"})
    assert not await works(door, {}, basic(client_id, "made up"))


async def test_neither_an_empty_secret_nor_an_id_alone_opens_a_confidential_client_reg_06(door: Door) -> None:
    client = await confidential(door)
    assert not await works(door, {}, basic(client["client_id"], ""))
    assert not await works(door, {"client_id": client["client_id"], "client_secret": ""})
    assert not await works(door, {"client_id": client["client_id"]})


@pytest.mark.parametrize("encoded", [True, False])
@pytest.mark.parametrize(
    ("client_id", "secret"),
    [
        ("plain", "plain"),
        ("with:colon", "s"),
        ("plus+and%20percent", "p+l%u s:colon"),
        ("zoë", "schlüssel 🔑"),
        (URL_ID, "s3cret"),
    ],
)
async def test_basic_credentials_are_read_encoded_and_raw_cau_03(
    door: Door, client_id: str, secret: str, *, encoded: bool
) -> None:
    if ":" in client_id and not encoded and client_id != URL_ID:
        client_id = client_id.replace(":", "-")  # RFC 7617 leaves no way to send it raw
    if client_id == URL_ID and not encoded:
        secret = secret.replace(":", "-")
    await store(door, client_id, secret)
    assert await works(door, {}, basic(client_id, secret, encoded=encoded))
    assert not await works(door, {}, basic(client_id, f"{secret}x", encoded=encoded))


@pytest.mark.parametrize("encoded", [True, False])
async def test_a_client_known_by_a_url_sends_it_in_basic_with_an_empty_secret(door: Door, *, encoded: bool) -> None:
    await store(door, URL_ID, None)
    assert await works(door, {}, basic(URL_ID, "", encoded=encoded))
    assert await works(door, {"client_id": URL_ID})


async def test_the_id_may_stand_in_the_body_beside_basic_when_it_is_the_same_cau_03(door: Door) -> None:
    client = await confidential(door)
    header = basic(client["client_id"], client["client_secret"])
    assert await works(door, {"client_id": client["client_id"]}, header)
    other = await authenticated(door, {"client_id": "mcl_other"}, header)
    assert refusal(other) == (400, "invalid_request")


async def test_two_methods_in_one_request_are_refused_cau_04(door: Door) -> None:
    client = await confidential(door)
    fields = {"client_id": client["client_id"], "client_secret": client["client_secret"]}
    answer = await authenticated(door, fields, basic(client["client_id"], client["client_secret"]))
    assert refusal(answer) == (400, "invalid_request")


async def test_an_empty_secret_in_the_header_leaves_the_one_in_the_body(door: Door) -> None:
    client = await confidential(door, token_endpoint_auth_method="client_secret_post")
    fields = {"client_id": client["client_id"], "client_secret": client["client_secret"]}
    assert await works(door, fields, basic(client["client_id"], ""))


@pytest.mark.parametrize("credentials", ["", "!!!", "bm9jb2xvbg==", b64encode(b"\xff:\xff").decode(), "Og", "AAA="])
async def test_basic_that_cannot_be_read_is_refused(door: Door, credentials: str) -> None:
    answer = await authenticated(door, {}, {"authorization": f"Basic {credentials}"})
    assert refusal(answer) in {(401, "invalid_client"), (400, "invalid_request")}


async def test_a_scheme_that_is_not_for_clients_counts_as_none(door: Door) -> None:
    client_id = (await door.register())["client_id"]
    assert await works(door, {"client_id": client_id}, {"authorization": "Bearer eyJ"})
    assert not await works(door, {}, {"authorization": "Bearer eyJ"})


@pytest.mark.parametrize("fields", [{}, {"client_id": ""}, {"client_secret": "s"}])
async def test_a_request_of_nobody_is_refused(door: Door, fields: dict[str, str]) -> None:
    assert not await works(door, fields)


@pytest.mark.parametrize("client_id", ["mcl_nobody", "x" * 5000, "é", "'; DROP TABLE clients; --"])
async def test_a_client_that_nobody_knows_is_told_to_register_again(door: Door, client_id: str) -> None:
    answer = await authenticated(door, {"client_id": client_id})
    assert refusal(answer) == (401, "invalid_client")
    assert "Register again" in answer.json()["error_description"]


async def test_a_client_of_another_project_is_nobody_here_i10(door: Door) -> None:
    await add_neighbour(door)
    client = await confidential(door)
    path = f"/p/acme{REVOKE}"
    answer = await door.post_form(path, {"token": "x"}, basic(client["client_id"], client["client_secret"]))
    assert refusal(answer) == (401, "invalid_client")


async def test_a_failed_authentication_spends_neither_code_nor_token_cau_01_t25(door: Door) -> None:
    client = await confidential(door)
    client_id, header = client["client_id"], basic(client["client_id"], client["client_secret"])
    code, verifier = await door.obtain_code(client_id, door.person(), redirect_uri=WEB_REDIRECT)
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
    for wrong in ({}, basic(client_id, "wrong"), basic(client_id, "")):
        refused = await door.post_form(TOKEN, {**form, "client_id": client_id}, wrong)
        assert refusal(refused) == (401, "invalid_client")
    tokens = success(await door.post_form(TOKEN, form, header))
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    for wrong in ({}, basic(client_id, "wrong")):
        refused = await door.post_form(TOKEN, {**refresh, "client_id": client_id}, wrong)
        assert refusal(refused) == (401, "invalid_client")
    success(await door.post_form(TOKEN, refresh, header))


async def test_guessing_is_slowed_down_for_the_guesser_alone_cau_06_rev_06(door: Door) -> None:
    client = await confidential(door)
    client_id, header = client["client_id"], basic(client["client_id"], client["client_secret"])
    for _ in range(CLIENT_AUTH.burst):
        assert not await works(door, {}, basic(client_id, "guess"))
    for guess in ("guess", client["client_secret"]):
        answer = await authenticated(door, {}, basic(client_id, guess))
        assert refusal(answer) == (429, "temporarily_unavailable")
        assert answer.header("retry-after") == "3"
    form = {"content-type": "application/x-www-form-urlencoded"}
    elsewhere = await door.call("POST", REVOKE, b"token=x", {**form, **header}, source="198.51.100.7")
    assert elsewhere.status == 200
    another = (await door.register())["client_id"]
    assert await works(door, {"client_id": another})
    door.clock.advance(seconds=CLIENT_AUTH.period_ms / 1000)
    assert await works(door, {}, header)


async def test_success_is_never_limited(door: Door) -> None:
    client = await confidential(door)
    header = basic(client["client_id"], client["client_secret"])
    assert all([await works(door, {}, header) for _ in range(CLIENT_AUTH.burst * 3)])


@pytest.mark.parametrize("where", ["header", "body"])
async def test_a_nul_in_an_id_is_no_fault(door: Door, where: str) -> None:
    headers = basic("a\x00b", "s") if where == "header" else {}
    fields = {"client_id": "a\x00b"} if where == "body" else {}
    assert (await authenticated(door, fields, headers)).status in (400, 401)


async def test_a_client_added_for_this_machine_may_be_public(door: Door) -> None:
    client, secret = await clients.add(door.operator, door.project, (LOOPBACK,))
    assert secret is None
    assert await works(door, {"client_id": client.client_id})
