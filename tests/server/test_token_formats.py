"""What a resource chooses of its tokens: opaque or JWT, the algorithm, their life. Clients never see it.

Spec: AT-01, AT-06, AT-07, TOK-07, T27, T49, INT-03, INT-04, REV-04
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import jwt
import pytest

from doorward.core.models import CLIENT_CREDENTIALS, Resource, ResourceSettings
from doorward.core.rotation import PUBLISH_BEFORE_SIGNING_MS
from doorward.core.secrets import ACCESS_TOKEN, hash_secret, is_well_formed, new_id, new_secret
from doorward.manage import admission, clients, connections, resources, users
from doorward.oauth.ids import ClientId
from doorward.oauth.jwt import InvalidToken, read_kid
from doorward.resource import IntrospectionVerifier, JWKSKeys, JWTVerifier
from doorward.server.jobs import sweep
from doorward.storage.access_tokens import find_access_token_claims
from doorward.storage.clients import add_client
from doorward.storage.signing_keys import list_signing_keys
from tests.inside import ISSUER, RESOURCE, SCOPES, Door
from tests.running import ADMIN_EMAIL
from tests.server.steps import (
    REVOKE,
    TOKEN,
    add_neighbour,
    bearer,
    introspect,
    is_active,
    project_key,
    refusal,
    set_project,
    success,
)

JWKS = "/.well-known/jwks.json"
DOCUMENTS = (
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-protected-resource/mcp",
)


async def choose(door: Door, **settings: Any) -> Resource:
    """Change what tokens of the resource are like, and let every node see it."""
    door.resource = await resources.change(
        door.operator, door.resource, settings=replace(door.resource.settings, **settings)
    )
    door.clock.advance(seconds=1)
    return door.resource


@pytest.fixture
async def opaque(door: Door) -> Door:
    await choose(door, token_format="opaque")
    return door


async def test_an_opaque_token_is_a_prefixed_secret_with_a_checksum_tok_07(opaque: Door) -> None:
    _, tokens = await opaque.tokens()
    token = tokens["access_token"]
    assert token.startswith("mat_")
    assert len(token) == len("mat_") + 43 + 6
    assert is_well_formed(token, ACCESS_TOKEN)
    _, others = await opaque.tokens()
    assert others["access_token"] != token


async def test_clients_cannot_tell_the_format_at_07(door: Door) -> None:
    documents = [(await door.call("GET", path)).body for path in DOCUMENTS]
    _, signed = await door.tokens()
    await choose(door, token_format="opaque")
    _, secret = await door.tokens()
    assert [(await door.call("GET", path)).body for path in DOCUMENTS] == documents
    assert secret.keys() == signed.keys()
    shown = ("token_type", "expires_in", "scope")
    assert [secret[name] for name in shown] == [signed[name] for name in shown]


async def test_introspection_tells_the_same_of_both_formats_at_07_int_05(door: Door) -> None:
    key = await project_key(door, "introspect")
    person = door.person()
    client_id, signed = await door.tokens(person)
    await choose(door, token_format="opaque")
    code, verifier = await door.obtain_code(client_id, person)
    secret = success(await door.redeem(client_id, code, verifier))
    told = [await introspect(door, tokens["access_token"], key) for tokens in (signed, secret)]
    own = {"jti", "iat", "exp", "auth_time", "grant_id"}
    assert told[0].keys() == told[1].keys() >= own
    assert {name: told[0][name] for name in told[0].keys() - own} == {
        name: told[1][name] for name in told[1].keys() - own
    }
    assert await is_active(door, signed["access_token"])


async def test_a_protected_server_accepts_it_by_introspection_rs_07(opaque: Door) -> None:
    client_id, tokens = await opaque.tokens()
    key = await project_key(opaque, "introspect", resource=opaque.resource)
    async with opaque.http as http:
        verifier = IntrospectionVerifier(
            issuer=ISSUER, resource=RESOURCE, key=key, http_client=http, clock=lambda: opaque.clock() / 1000
        )
        principal = await verifier.verify(tokens["access_token"])
        assert (principal.client_id, principal.audience) == (client_id, RESOURCE)
        assert principal.scopes == ("tools:read",)
        for wrong in (tokens["access_token"][:-1], tokens["refresh_token"], "mat_"):
            with pytest.raises(InvalidToken):
                await verifier.verify(wrong)


async def test_a_changed_or_shortened_token_is_inactive_t27(opaque: Door) -> None:
    _, tokens = await opaque.tokens()
    token, key = tokens["access_token"], await project_key(opaque, "introspect")
    other = "A" if token[20] != "A" else "B"
    for wrong in (token[:-1], token[:-6], f"{token}A", f"{token[:20]}{other}{token[21:]}", token.upper(), f" {token}"):
        assert await introspect(opaque, wrong, key) == {"active": False}
    assert (await introspect(opaque, token, key))["active"] is True


async def test_a_well_formed_token_that_nobody_made_is_inactive(opaque: Door) -> None:
    await opaque.tokens()
    assert not await is_active(opaque, new_secret(ACCESS_TOKEN))


async def test_no_kind_of_token_passes_for_another_t27(opaque: Door) -> None:
    client_id, tokens = await opaque.tokens()
    access, refresh = tokens["access_token"], tokens["refresh_token"]
    code, verifier = await opaque.obtain_code(client_id, opaque.person())
    key = await project_key(opaque, "introspect")
    assert refusal(await opaque.refresh(client_id, access)) == (400, "invalid_grant")
    assert refusal(await opaque.redeem(client_id, access, verifier)) == (400, "invalid_grant")
    for wrong in (refresh, code, f"mat{refresh[3:]}", f"mat{code[3:]}"):
        assert await introspect(opaque, wrong, key) == {"active": False}
    assert refusal(await opaque.post_form("/api/oauth/introspect", {"token": access}, bearer(access))) == (
        401,
        "invalid_token",
    )
    assert await is_active(opaque, access)
    success(await opaque.refresh(client_id, refresh))
    success(await opaque.redeem(client_id, code, verifier))


async def test_a_token_given_back_ends_alone_rev_04(opaque: Door) -> None:
    client_id, tokens = await opaque.tokens()
    later = success(await opaque.refresh(client_id, tokens["refresh_token"]))
    answer = await opaque.post_form(REVOKE, {"token": tokens["access_token"], "client_id": client_id})
    assert answer.status == 200
    assert not await is_active(opaque, tokens["access_token"])
    assert await is_active(opaque, later["access_token"])


async def test_a_token_is_given_back_by_its_own_client_only_t29(opaque: Door) -> None:
    _, tokens = await opaque.tokens()
    stranger = (await opaque.register())["client_id"]
    await opaque.post_form(REVOKE, {"token": tokens["access_token"], "client_id": stranger})
    assert await is_active(opaque, tokens["access_token"])


async def end_by_refresh_token(door: Door, client_id: str, tokens: dict[str, Any]) -> None:
    await door.post_form(REVOKE, {"token": tokens["refresh_token"], "client_id": client_id})


async def end_by_connection(door: Door, _: str, __: dict[str, Any]) -> None:
    owner = await users.get(door.operator, door.project, ADMIN_EMAIL)
    for app in await connections.list_apps(door.operator, door.project, owner):
        assert await connections.revoke(door.operator, door.project, owner, app.grant.grant_id)


async def end_by_client(door: Door, client_id: str, _: dict[str, Any]) -> None:
    await admission.revoke_everything(door.operator, await clients.get(door.operator, door.project, client_id))


async def end_by_suspension(door: Door, client_id: str, _: dict[str, Any]) -> None:
    await admission.suspend(door.operator, await clients.get(door.operator, door.project, client_id))


async def end_by_person(door: Door, _: str, __: dict[str, Any]) -> None:
    owner = await users.get(door.operator, door.project, ADMIN_EMAIL)
    await users.change(door.operator, owner, enabled=False)


async def end_by_resource(door: Door, _: str, __: dict[str, Any]) -> None:
    await resources.remove(door.operator, door.resource)


ENDS: list[Callable[[Door, str, dict[str, Any]], Awaitable[None]]] = [
    end_by_refresh_token,
    end_by_connection,
    end_by_client,
    end_by_suspension,
    end_by_person,
    end_by_resource,
]


@pytest.mark.parametrize("end", ENDS)
async def test_a_token_ends_with_what_it_hangs_off_at_07_int_04(
    opaque: Door, end: Callable[[Door, str, dict[str, Any]], Awaitable[None]]
) -> None:
    client_id, tokens = await opaque.tokens()
    key = await project_key(opaque, "introspect")
    assert (await introspect(opaque, tokens["access_token"], key))["active"] is True
    await end(opaque, client_id, tokens)
    assert await introspect(opaque, tokens["access_token"], key) == {"active": False}


async def test_a_token_is_inactive_from_the_second_it_expires_and_swept_then_int_04_i13(opaque: Door) -> None:
    _, tokens = await opaque.tokens()
    token_hash = hash_secret(tokens["access_token"])

    async def stored() -> str | None:
        return await opaque.context.database.read(
            find_access_token_claims, opaque.project.project_id, token_hash, opaque.clock() - 3_600_000
        )

    opaque.clock.advance(seconds=899)
    assert await is_active(opaque, tokens["access_token"])
    await sweep(opaque.context)
    assert await stored()
    opaque.clock.advance(seconds=1)
    assert not await is_active(opaque, tokens["access_token"])
    await sweep(opaque.context)
    assert await stored() is None


async def test_a_token_is_nowhere_in_the_data_folder_t49(opaque: Door) -> None:
    client_id, tokens = await opaque.tokens()
    later = success(await opaque.refresh(client_id, tokens["refresh_token"]))
    content = b"".join(path.read_bytes() for path in opaque.context.settings.data.iterdir())
    for answer in (tokens, later):
        assert bytes(hash_secret(answer["access_token"])) in content
        assert answer["access_token"].encode() not in content
        assert answer["access_token"][4:40].encode() not in content


async def test_a_token_is_nothing_in_another_project_i10(opaque: Door) -> None:
    _, tokens = await opaque.tokens()
    project = await add_neighbour(opaque)
    key = await project_key(replace(opaque, project=project), "introspect")
    answer = await opaque.post_form("/p/acme/api/oauth/introspect", {"token": tokens["access_token"]}, bearer(key))
    assert success(answer) == {"active": False}


async def test_tokens_of_before_a_change_of_format_stay_good(door: Door) -> None:
    client_id, tokens = await door.tokens()
    answers = [tokens]
    for settings in ({"token_format": "opaque"}, {"token_format": "jwt"}):
        await choose(door, **settings)
        answers.append(success(await door.refresh(client_id, answers[-1]["refresh_token"])))
    assert [answer["access_token"].startswith("mat_") for answer in answers] == [False, True, False]
    for answer in answers:
        assert await is_active(door, answer["access_token"])


@pytest.mark.parametrize("token_format", ["jwt", "opaque"])
async def test_a_resource_gives_its_tokens_a_life_of_their_own_tok_08(door: Door, token_format: str) -> None:
    await choose(door, token_format=token_format, access_token_seconds=60)
    client_id, tokens = await door.tokens()
    assert tokens["expires_in"] == 60
    door.clock.advance(seconds=60)
    assert not await is_active(door, tokens["access_token"])
    await choose(door, access_token_seconds=0)
    await set_project(door, access_token_seconds=120)
    assert success(await door.refresh(client_id, tokens["refresh_token"]))["expires_in"] == 120


async def test_a_client_that_speaks_for_itself_gets_them_too(opaque: Door) -> None:
    made, secret = await clients.add(
        opaque.operator, opaque.project, ("https://client.example.com/callback",), name="Nightly", confidential=True
    )
    metadata = replace(made.metadata, grant_types=(CLIENT_CREDENTIALS,))
    client = replace(made, client_id=ClientId(new_id("mcl")), metadata=metadata)
    await opaque.context.database.write(add_client, client)
    form = {
        "grant_type": "client_credentials",
        "client_id": client.client_id,
        "client_secret": secret or "",
        "resource": RESOURCE,
    }
    tokens = success(await opaque.post_form(TOKEN, form))
    assert tokens["access_token"].startswith("mat_")
    assert await is_active(opaque, tokens["access_token"])
    await admission.revoke_everything(opaque.operator, client)
    assert not await is_active(opaque, tokens["access_token"])


@pytest.mark.parametrize("alg", ["EdDSA", "RS256"])
async def test_tokens_are_signed_by_the_algorithm_a_resource_asks_for_at_01(door: Door, alg: str) -> None:
    """Verified by the SDK over the published keys, and by a library that shares no code with us."""
    await choose(door, token_alg=alg)
    door.clock.advance(seconds=PUBLISH_BEFORE_SIGNING_MS / 1000)
    client_id, tokens = await door.tokens()
    token = tokens["access_token"]
    assert jwt.get_unverified_header(token) == {"alg": alg, "typ": "at+jwt", "kid": read_kid(token)}
    async with door.http as http:
        keys = JWKSKeys(ISSUER, http_client=http, clock=lambda: door.clock() / 1000)
        verifier = JWTVerifier(issuer=ISSUER, resource=RESOURCE, keys=keys, clock=lambda: door.clock() / 1000)
        assert (await verifier.verify(token)).client_id == client_id
    published = jwt.PyJWKSet.from_dict((await door.call("GET", JWKS)).json())
    options: Any = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(token, published[read_kid(token)].key, [alg], audience=RESOURCE, issuer=ISSUER, options=options)
    assert claims["client_id"] == client_id
    for other in {"ES256", "EdDSA", "RS256"} - {alg}:
        with pytest.raises(jwt.InvalidTokenError):
            jwt.decode(token, published[read_kid(token)].key, [other], audience=RESOURCE, options=options)


async def test_a_new_algorithm_is_published_at_once_and_signs_once_every_cache_has_it_at_06(door: Door) -> None:
    await choose(door, token_alg="EdDSA")
    keys = (await door.call("GET", JWKS)).json()["keys"]
    assert [key["alg"] for key in keys] == ["ES256", "EdDSA"]
    client_id, tokens = await door.tokens()
    assert read_kid(tokens["access_token"]) == keys[0]["kid"]
    door.clock.advance(seconds=PUBLISH_BEFORE_SIGNING_MS / 1000 - 3)
    tokens = success(await door.refresh(client_id, tokens["refresh_token"]))
    assert read_kid(tokens["access_token"]) == keys[0]["kid"]
    door.clock.advance(seconds=3)
    tokens = success(await door.refresh(client_id, tokens["refresh_token"]))
    assert read_kid(tokens["access_token"]) == keys[1]["kid"]
    assert (await door.call("GET", JWKS)).json()["keys"] == keys


async def test_each_resource_has_its_algorithm_and_documents_stay_as_they_are(door: Door) -> None:
    documents = [(await door.call("GET", path)).body for path in DOCUMENTS]
    other = "https://other.example.com/mcp"
    settings = ResourceSettings(token_alg="RS256")
    await resources.add(door.operator, door.project, other, scopes=SCOPES, settings=settings)
    door.clock.advance(seconds=PUBLISH_BEFORE_SIGNING_MS / 1000)
    signed = [(await door.tokens(resource=uri))[1]["access_token"] for uri in (RESOURCE, other)]
    assert [jwt.get_unverified_header(token)["alg"] for token in signed] == ["ES256", "RS256"]
    described = json.loads(documents[0])
    assert described["id_token_signing_alg_values_supported"] == ["ES256"]
    await resources.remove(door.operator, await resources.get(door.operator, door.project, other))
    door.clock.advance(seconds=1)
    assert [(await door.call("GET", path)).body for path in DOCUMENTS] == documents


async def test_several_who_choose_an_algorithm_publish_one_key_at_06(door: Door) -> None:
    settings = ResourceSettings(token_alg="EdDSA")
    uris = [f"https://{number}.example.com/mcp" for number in range(8)]
    await asyncio.gather(*(resources.add(door.operator, door.project, uri, settings=settings) for uri in uris))
    stored = await door.context.database.read(list_signing_keys, door.project.project_id, door.clock())
    assert [key.alg for key in stored] == ["ES256", "EdDSA"]
    events = await connections.recent_events(door.operator, door.project)
    assert [event.target for event in events if event.action == "signing_key.added"] == [stored[1].kid]


async def test_an_opaque_resource_needs_no_key_of_its_own_until_it_is_a_jwt(door: Door) -> None:
    await choose(door, token_format="opaque", token_alg="EdDSA")
    assert len((await door.call("GET", JWKS)).json()["keys"]) == 1
    await choose(door, token_format="jwt")
    assert len((await door.call("GET", JWKS)).json()["keys"]) == 2
