"""Rich authorization requests: no type of them is offered, so each one is refused wherever it comes.

Spec: RAR-01, RAR-02, RAR-07
"""

import pytest

from tests.inside import LOOPBACK, Door
from tests.person import answer_parameters
from tests.server.pushing import public, push, signed_in
from tests.server.steps import VERIFIER, WEB_REDIRECT, refusal, success

DETAILS = [
    '[{"type":"payment_initiation","locations":["https://api.example.com/mcp"],"actions":["read"]}]',
    '[{"type":"payment_initiation","unknown":1}]',
    '[{"type":7}]',
    '[{"type":"payment_initiation","actions":"all"}]',
    '[{"actions":["read"]}]',
    "[]",
    "{}",
    "null",
    "not JSON",
]
EVERY = pytest.mark.parametrize("details", DETAILS)
REFUSED = (400, "invalid_authorization_details")


@EVERY
async def test_a_link_with_details_is_refused_rar_01_02(door: Door, details: str) -> None:
    client_id = await public(door)
    for http in (door.http, (await signed_in(door)).http):
        response = await http.get(door.authorization_url(client_id, VERIFIER, authorization_details=details))
        assert response.status_code == 302
        assert response.headers["location"].startswith(f"{LOOPBACK}?")
        assert answer_parameters(response.headers["location"])["error"] == "invalid_authorization_details"


async def test_and_leads_nobody_to_a_strangers_site_t50(door: Door) -> None:
    client_id = await public(door, redirect_uris=[WEB_REDIRECT])
    url = door.authorization_url(client_id, VERIFIER, redirect_uri=WEB_REDIRECT, authorization_details=DETAILS[0])
    response = await door.http.get(url)
    assert (response.status_code, "location" in response.headers) == (400, False)


@EVERY
async def test_a_pushed_request_with_details_is_refused_rar_01_02(door: Door, details: str) -> None:
    assert refusal(await push(door, await public(door), authorization_details=details)) == REFUSED


@EVERY
async def test_a_token_request_with_details_is_refused_and_burns_nothing_rar_01_02(door: Door, details: str) -> None:
    client_id = await public(door)
    code, verifier = await door.obtain_code(client_id, door.person())
    assert refusal(await door.redeem(client_id, code, verifier, authorization_details=details)) == REFUSED
    tokens = success(await door.redeem(client_id, code, verifier))
    assert refusal(await door.refresh(client_id, tokens["refresh_token"], authorization_details=details)) == REFUSED
    success(await door.refresh(client_id, tokens["refresh_token"]))


async def test_an_empty_parameter_is_as_good_as_none_authz_02(door: Door) -> None:
    client_id = await public(door)
    url = door.authorization_url(client_id, VERIFIER)
    answer = await door.call("GET", f"{url}&authorization_details=")
    assert answer.header("location").startswith("/login?")


async def test_the_metadata_offers_no_type_rar_07(door: Door) -> None:
    metadata = (await door.call("GET", "/.well-known/oauth-authorization-server")).json()
    assert "authorization_details_types_supported" not in metadata
