"""One server under several addresses: whichever a client asks for, its token is good where the client then goes.

Spec: RES-04, RES-06, RES-07, RES-09, RS-03; product.md, complaint 5
"""

from dataclasses import replace
from typing import Any

import pytest

from doorward.core.models import Resource, ResourceSettings
from doorward.manage import resources
from doorward.oauth.jwt import InvalidToken
from doorward.resource import IntrospectionVerifier, JWKSKeys, JWTVerifier
from tests.inside import ISSUER, RESOURCE, SCOPES, Door
from tests.server.steps import claims_of, introspect, project_key, redirect_parameters, refusal, success

ALIAS = "https://old.example.com/mcp"
SECOND_ALIAS = "https://api.example.com/v1/mcp"
FORMATS = ["jwt", "opaque"]


async def give_aliases(door: Door, **settings: Any) -> Resource:
    chosen = replace(door.resource.settings, aliases=(ALIAS, SECOND_ALIAS), **settings)
    changed = await resources.change(door.operator, door.resource, settings=chosen)
    door.clock.advance(seconds=1)
    return changed


async def audience_of(door: Door, token: str) -> Any:
    return (await introspect(door, token, await project_key(door, "introspect")))["aud"]


@pytest.mark.parametrize("token_format", FORMATS)
@pytest.mark.parametrize(
    ("asked", "audience"),
    [
        (ALIAS, [RESOURCE, ALIAS]),
        (f"{ALIAS}/", [RESOURCE, ALIAS]),
        ("HTTPS://OLD.Example.com:443/mcp", [RESOURCE, ALIAS]),
        (SECOND_ALIAS, [RESOURCE, SECOND_ALIAS]),
        (RESOURCE, RESOURCE),
        (f"{RESOURCE}/", RESOURCE),
        ("", RESOURCE),
    ],
)
async def test_a_token_names_the_registered_address_and_the_alias_that_was_asked_for_res_06(
    door: Door, token_format: str, asked: str, audience: Any
) -> None:
    await give_aliases(door, token_format=token_format)
    client_id, tokens = await door.tokens(resource=asked)
    assert await audience_of(door, tokens["access_token"]) == audience
    for again in ("", asked, RESOURCE):
        fields = {"resource": again} if again else {}
        tokens = success(await door.refresh(client_id, tokens["refresh_token"], **fields))
        assert await audience_of(door, tokens["access_token"]) == audience


async def test_a_server_accepts_it_under_the_address_it_knows_itself_by_rs_03(door: Door) -> None:
    await give_aliases(door)
    client_id, tokens = await door.tokens(resource=ALIAS)
    _, direct = await door.tokens()
    assert claims_of(direct["access_token"])["aud"] == RESOURCE

    async with door.http as http:
        keys = JWKSKeys(ISSUER, http_client=http, clock=lambda: door.clock() / 1000)

        def server_at(uri: str) -> JWTVerifier:
            return JWTVerifier(issuer=ISSUER, resource=uri, keys=keys, clock=lambda: door.clock() / 1000)

        for uri in (RESOURCE, ALIAS):
            principal = await server_at(uri).verify(tokens["access_token"])
            assert (principal.client_id, principal.audience) == (client_id, uri)
        for uri in (SECOND_ALIAS, "https://old.example.com/mcp/more", "https://old.example.com"):
            with pytest.raises(InvalidToken):
                await server_at(uri).verify(tokens["access_token"])
        with pytest.raises(InvalidToken):
            await server_at(ALIAS).verify(direct["access_token"])


@pytest.mark.parametrize("token_format", FORMATS)
async def test_a_server_that_introspects_accepts_it_under_both_addresses(door: Door, token_format: str) -> None:
    resource = await give_aliases(door, token_format=token_format)
    client_id, tokens = await door.tokens(resource=ALIAS)
    key = await project_key(door, "introspect", resource=resource)
    async with door.http as http:
        for uri in (RESOURCE, ALIAS):
            verifier = IntrospectionVerifier(
                issuer=ISSUER, resource=uri, key=key, http_client=http, clock=lambda: door.clock() / 1000
            )
            assert (await verifier.verify(tokens["access_token"])).client_id == client_id


async def test_what_may_be_asked_for_is_said_where_something_else_is_res_04(door: Door) -> None:
    await give_aliases(door)
    client_id = (await door.register())["client_id"]
    url = door.authorization_url(client_id, "v" * 43, resource="https://old.example.com/other")
    person = door.person()
    await person.sign_in(await person.open("/login"))
    told = redirect_parameters(await door.call("GET", url))
    assert told["error"] == "invalid_target"
    assert told["error_description"].startswith(
        f"The resource is not known here. Known: {RESOURCE}, {ALIAS}, {SECOND_ALIAS}."
    )


async def test_a_token_request_for_another_resource_names_every_address_of_the_granted_one_res_07(door: Door) -> None:
    await give_aliases(door)
    other = "https://other.example.com/mcp"
    await resources.add(door.operator, door.project, other, scopes=SCOPES)
    client_id, tokens = await door.tokens(resource=ALIAS)
    answer = await door.refresh(client_id, tokens["refresh_token"], resource=other)
    assert refusal(answer) == (400, "invalid_target")
    said = answer.json()["error_description"]
    assert said.startswith(f"The grant is for {RESOURCE} or {ALIAS} or {SECOND_ALIAS} only.")
    success(await door.refresh(client_id, tokens["refresh_token"], resource=SECOND_ALIAS))


async def test_two_addresses_of_one_server_are_two_resources_to_a_request_res_08(door: Door) -> None:
    """Which one the client goes to is not known: it is asked to name one."""
    await give_aliases(door)
    client_id = (await door.register())["client_id"]
    url = door.authorization_url(client_id, "v" * 43) + f"&resource={ALIAS}"
    told = redirect_parameters(await door.call("GET", url))
    assert told["error"] == "invalid_target"


async def test_an_alias_that_was_taken_away_is_asked_for_in_vain_and_in_no_further_token_t9(door: Door) -> None:
    """It may be another server's by now, and a token for both would be good there."""
    await give_aliases(door)
    client_id, tokens = await door.tokens(resource=ALIAS)
    changed = replace(door.resource.settings, aliases=(SECOND_ALIAS,))
    await resources.change(door.operator, door.resource, settings=changed)
    await resources.add(door.operator, door.project, ALIAS, scopes=SCOPES)
    door.clock.advance(seconds=1)
    later = success(await door.refresh(client_id, tokens["refresh_token"]))
    assert await audience_of(door, later["access_token"]) == RESOURCE
    answer = await door.refresh(client_id, later["refresh_token"], resource=ALIAS)
    assert refusal(answer) == (400, "invalid_target")
    _, others = await door.tokens(resource=ALIAS)
    assert await audience_of(door, others["access_token"]) == ALIAS


async def test_a_respelled_alias_is_named_as_it_is_spelled_now(door: Door) -> None:
    await give_aliases(door)
    client_id, tokens = await door.tokens(resource=ALIAS)
    changed = replace(door.resource.settings, aliases=(f"{ALIAS}/",))
    await resources.change(door.operator, door.resource, settings=changed)
    door.clock.advance(seconds=1)
    later = success(await door.refresh(client_id, tokens["refresh_token"]))
    assert await audience_of(door, later["access_token"]) == [RESOURCE, f"{ALIAS}/"]


@pytest.mark.parametrize("path", ["/old/mcp", "/old/mcp/", "/mcp"])
async def test_an_alias_on_our_own_origin_is_described_by_the_name_it_was_asked_for_prm_06(
    door: Door, path: str
) -> None:
    settings = ResourceSettings(aliases=(f"{ISSUER}/old/mcp",))
    await resources.add(door.operator, door.project, f"{ISSUER}/mcp", settings=settings)
    door.clock.advance(seconds=1)
    answer = await door.call("GET", f"/.well-known/oauth-protected-resource{path}")
    assert answer.status == 200
    assert answer.json()["resource"] == f"{ISSUER}{path}"
