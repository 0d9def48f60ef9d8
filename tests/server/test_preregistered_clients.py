"""Clients that an operator added: the same rules, a name that is vouched for, and no expiry (PRE-01 … PRE-03)."""

import pytest

from doorward.manage import clients
from doorward.manage.operator import ActionRefused
from doorward.server.jobs import sweep
from tests.inside import LOOPBACK, Door
from tests.person import answer_parameters
from tests.server.steps import TOKEN, VERIFIER, WEB_REDIRECT, basic, set_project, success

YEAR = 365 * 86_400


async def test_a_public_client_gets_in_without_ever_registering_gen_01(door: Door) -> None:
    client, secret = await clients.add(door.operator, door.project, (LOOPBACK,), name="Known")
    assert secret is None
    code, verifier = await door.obtain_code(client.client_id, door.person())
    tokens = success(await door.redeem(client.client_id, code, verifier))
    success(await door.refresh(client.client_id, tokens["refresh_token"]))


async def test_a_confidential_client_gets_in_with_the_secret_that_was_shown_once_gen_01(door: Door) -> None:
    client, secret = await clients.add(door.operator, door.project, (WEB_REDIRECT,), confidential=True)
    assert secret is not None
    code, verifier = await door.obtain_code(client.client_id, door.person(), redirect_uri=WEB_REDIRECT)
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
    success(await door.post_form(TOKEN, form, basic(client.client_id, secret)))


@pytest.mark.parametrize("mode", ["open", "protected", "closed"])
async def test_it_works_whoever_else_may_register(door: Door, mode: str) -> None:
    client, _ = await clients.add(door.operator, door.project, (LOOPBACK,))
    await set_project(door, registration_mode=mode)
    code, verifier = await door.obtain_code(client.client_id, door.person())
    success(await door.redeem(client.client_id, code, verifier))


async def test_several_addresses_are_kept_whole_pre_01(door: Door) -> None:
    uris = (f"{WEB_REDIRECT}?tenant=1", LOOPBACK, "com.example.app:/callback")
    client, _ = await clients.add(door.operator, door.project, uris)
    assert client.metadata.redirect_uris == uris
    for uri in uris:
        url = door.authorization_url(client.client_id, VERIFIER, redirect_uri=uri)
        target = await door.person().consent(url)
        assert target.startswith(uri)
        assert "code" in answer_parameters(target)


@pytest.mark.parametrize("uri", ["http://client.example.com/cb", "javascript:alert(1)", f"{WEB_REDIRECT}#x", "", "*"])
async def test_the_rules_for_addresses_are_those_of_registration_pre_02(door: Door, uri: str) -> None:
    for uris in [(uri,), (WEB_REDIRECT, uri)]:
        with pytest.raises(ActionRefused, match="redirect URI") as refused:
            await clients.add(door.operator, door.project, uris)
        assert uri in str(refused.value)  # a person can correct it, and is told which
    assert await clients.list_all(door.operator, door.project) == []


async def test_it_is_not_forgotten_however_long_it_stays_away(door: Door) -> None:
    client, _ = await clients.add(door.operator, door.project, (LOOPBACK,))
    door.clock.advance(seconds=5 * YEAR)
    await sweep(door.context)
    code, verifier = await door.obtain_code(client.client_id, door.person())
    success(await door.redeem(client.client_id, code, verifier))
    door.clock.advance(seconds=5 * YEAR)
    await sweep(door.context)
    assert (await clients.get(door.operator, door.project, client.client_id)).expires_at is None
