"""Clients that nobody here let in: an issuer that the project trusts vouches for them, and only then are they asked
for. And the keys of issuers that publish them: fetched from where an operator wrote, by the same guard.

Spec: JAG-02, JAG-03, JAG-06, JAG-17, WIF-03, CIMD-05, CIMD-20; T5, T34
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from doorward.core.trust import TrustPolicy
from doorward.manage import trust
from doorward.oauth.assertions import ASSERTION_TYPE
from doorward.oauth.jwt import SigningKey, generate_signing_key
from doorward.server.document_source import HOST_BURST
from tests.inside import RESOURCE, Answer, Door
from tests.registration.site import Page, Site
from tests.registration.steps import APP_REDIRECT, let_in, stored
from tests.registration.test_assertions import EC, STRANGER, jwks, publish, publish_keys, sign
from tests.server import issuers
from tests.server.issuers import ABSENT, IDP, JWT_BEARER, PLATFORM, Issuer, reasons, trust_idp
from tests.server.steps import TOKEN, claims_of, refusal, set_project, success

CLIENT, KEYS = "/client.json", "/jwks.json"
REFUSED = (400, "invalid_grant")
UNKNOWN = (401, "invalid_client")
NOW_OR_NEVER = (503, "temporarily_unavailable")
GRANTS = ["authorization_code", "refresh_token", JWT_BEARER]


@pytest.fixture
def idp() -> Issuer:
    return Issuer(IDP)


def publish_agent(site: Site, key: SigningKey = EC, **members: Any) -> str:
    """A client that is known by its document, proves itself with its key and asks for the grant."""
    return publish(site, key, **{"grant_types": GRANTS, **members})


async def present(door: Door, id_jag: str, client_id: str, key: SigningKey = EC, **fields: str) -> Answer:
    """The token request of a client that proves itself with its key."""
    proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": sign(door, client_id, key)}
    form = {"grant_type": JWT_BEARER, "assertion": id_jag, **proof, **fields}
    return await door.post_form(TOKEN, form)


async def test_a_client_that_nobody_let_in_gets_a_token_by_its_document_and_an_assertion_jag_02(
    door: Door, site: Site, idp: Issuer
) -> None:
    await trust_idp(door, idp)
    client_id = publish_agent(site)
    answer = success(await present(door, idp.id_jag(door, client_id), client_id))
    assert claims_of(answer["access_token"])["client_id"] == client_id
    row = await stored(door, client_id)
    assert row is not None
    assert (row.kind, row.activated_at) == ("document", door.clock())
    success(await present(door, idp.id_jag(door, client_id), client_id))
    assert site.requests == [CLIENT]


def of_another_key(door: Door, idp: Issuer, client_id: str) -> str:
    return Issuer(idp.url).id_jag(door, client_id)


def of_another_issuer(door: Door, idp: Issuer, client_id: str) -> str:
    return replace(idp, url="https://other.idp.example").id_jag(door, client_id)


def for_another_client(door: Door, idp: Issuer, client_id: str) -> str:
    return idp.id_jag(door, f"{client_id}?x")


def for_another_server(door: Door, idp: Issuer, client_id: str) -> str:
    return idp.id_jag(door, client_id, aud="https://auth.other.example")


def that_is_over(door: Door, idp: Issuer, client_id: str) -> str:
    now = door.clock() // 1000
    return idp.id_jag(door, client_id, iat=now - 301, exp=now - 1)


def for_a_workload(door: Door, idp: Issuer, client_id: str) -> str:
    del client_id
    return idp.workload(door)


def of_no_kind(door: Door, idp: Issuer, client_id: str) -> str:
    del door, idp, client_id
    return "not.a.jwt"


@pytest.mark.parametrize(
    "assertion",
    [
        of_another_key,
        of_another_issuer,
        for_another_client,
        for_another_server,
        that_is_over,
        for_a_workload,
        of_no_kind,
    ],
    ids=lambda value: value.__name__,
)
async def test_nothing_is_fetched_for_a_client_that_no_trusted_issuer_vouches_for_jag_02_t5(
    door: Door, site: Site, idp: Issuer, assertion: Callable[[Door, Issuer, str], str]
) -> None:
    await trust_idp(door, idp)
    client_id = publish_agent(site)
    answer = await present(door, assertion(door, idp, client_id), client_id)
    assert refusal(answer) in (UNKNOWN, REFUSED)
    assert site.connections == 0
    assert await stored(door, client_id) is None
    success(await present(door, idp.id_jag(door, client_id), client_id))


async def test_another_grant_fetches_nothing_for_a_client_that_is_vouched_for_cimd_05_t5(
    door: Door, site: Site, idp: Issuer
) -> None:
    await trust_idp(door, idp)
    client_id = publish_agent(site)
    answer = await present(door, idp.id_jag(door, client_id), client_id, grant_type="refresh_token", refresh_token="x")
    assert (refusal(answer), site.connections) == (UNKNOWN, 0)


async def test_the_vouched_client_still_proves_itself_jag_02(door: Door, site: Site, idp: Issuer) -> None:
    await trust_idp(door, idp)
    client_id = publish_agent(site)
    id_jag = idp.id_jag(door, client_id)
    assert refusal(await present(door, id_jag, client_id, STRANGER)) == UNKNOWN
    bare = {"grant_type": JWT_BEARER, "assertion": id_jag, "client_id": client_id}
    assert refusal(await door.post_form(TOKEN, bare)) == UNKNOWN
    assert await stored(door, client_id) is None
    success(await present(door, id_jag, client_id))


async def test_a_public_client_known_by_a_document_needs_a_trust_that_lets_it_jag_03(
    door: Door, site: Site, idp: Issuer
) -> None:
    await trust_idp(door, idp)
    client_id = site.publish(grant_types=GRANTS)
    form = {"grant_type": JWT_BEARER, "client_id": client_id}
    answer = await door.post_form(TOKEN, {**form, "assertion": idp.id_jag(door, client_id)})
    assert refusal(answer) == (400, "unauthorized_client")
    await trust_idp(door, idp, public_clients=True)
    success(await door.post_form(TOKEN, {**form, "assertion": idp.id_jag(door, client_id)}))


async def test_a_document_that_does_not_name_the_grant_is_not_for_it_jag_17(
    door: Door, site: Site, idp: Issuer
) -> None:
    await trust_idp(door, idp)
    client_id = publish(site)
    answer = await present(door, idp.id_jag(door, client_id), client_id)
    assert refusal(answer) == (400, "unauthorized_client")


async def test_a_document_that_ran_out_is_read_again_so_that_keys_can_change_cimd_20(
    door: Door, site: Site, idp: Issuer
) -> None:
    await trust_idp(door, idp)
    client_id = publish_agent(site, cache="max-age=300")
    success(await present(door, idp.id_jag(door, client_id), client_id))
    publish_agent(site, STRANGER, cache="max-age=300")
    success(await present(door, idp.id_jag(door, client_id), client_id))
    door.clock.advance(seconds=301)
    assert refusal(await present(door, idp.id_jag(door, client_id), client_id)) == UNKNOWN
    success(await present(door, idp.id_jag(door, client_id), client_id, STRANGER))
    assert site.requests == [CLIENT, CLIENT]


async def test_a_document_that_cannot_be_had_now_spends_no_assertion_and_one_that_cannot_be_used_is_no_client_jag_17(
    door: Door, site: Site, idp: Issuer
) -> None:
    await trust_idp(door, idp)
    client_id = publish_agent(site)
    document, id_jag = site.pages[CLIENT], idp.id_jag(door, client_id)
    site.pages[CLIENT] = Page(status=500)
    answer = await present(door, id_jag, client_id)
    assert refusal(answer) == NOW_OR_NEVER
    assert answer.header("retry-after") == "10"
    site.pages[CLIENT] = Page(b"[]")
    assert refusal(await present(door, id_jag, client_id)) == UNKNOWN
    site.pages[CLIENT] = document
    success(await present(door, id_jag, client_id))


async def test_an_address_inside_is_not_called_even_where_an_issuer_vouches_for_it_jag_02_t5(
    door: Door, site: Site, idp: Issuer
) -> None:
    await trust_idp(door, idp)
    client_id = site.url(CLIENT, "private.example")
    assert refusal(await present(door, idp.id_jag(door, client_id), client_id)) == UNKNOWN
    assert site.connections == 0


@pytest.mark.parametrize("mode", ["closed", "approval"])
async def test_where_not_everybody_is_let_in_a_trust_names_its_clients_jag_17(
    door: Door, site: Site, idp: Issuer, mode: str
) -> None:
    client_id = publish_agent(site)
    await set_project(door, registration_mode=mode)
    await trust_idp(door, idp)
    answer = await present(door, idp.id_jag(door, client_id), client_id)
    assert refusal(answer) == (UNKNOWN if mode == "closed" else (400, "unauthorized_client"))
    assert await stored(door, client_id) is None
    await trust_idp(door, idp, clients=(client_id,))
    success(await present(door, idp.id_jag(door, client_id), client_id))


async def test_a_client_that_people_let_in_needs_no_naming_jag_17(door: Door, site: Site, idp: Issuer) -> None:
    await trust_idp(door, idp)
    client_id = publish_agent(site)
    await let_in_once(door, client_id)
    await set_project(door, registration_mode="approval")
    success(await present(door, idp.id_jag(door, client_id), client_id))


async def let_in_once(door: Door, client_id: str) -> None:
    code, verifier = await let_in(door, client_id)
    proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": sign(door, client_id)}
    success(await door.redeem(client_id, code, verifier, redirect_uri=APP_REDIRECT, **proof))


async def test_a_host_that_the_project_blocks_is_not_asked_jag_02(door: Door, site: Site, idp: Issuer) -> None:
    await trust_idp(door, idp)
    client_id = publish_agent(site)
    await set_project(door, blocked_hosts=("app.example",))
    assert refusal(await present(door, idp.id_jag(door, client_id), client_id)) == UNKNOWN
    assert site.connections == 0


async def trust_platform_at(door: Door, jwks_uri: str) -> str:
    """Trust a platform for its jobs, by the keys that it publishes there."""
    policy = TrustPolicy(claims=(("repository", issuers.REPOSITORY),), resources=(RESOURCE,))
    added = await trust.add(door.operator, door.project, PLATFORM, "workload", policy=policy, jwks_uri=jwks_uri)
    door.clock.advance(seconds=1)
    return added.trust_id


async def test_an_issuers_keys_are_fetched_once_and_again_for_a_new_one_wif_03_jag_06(door: Door, site: Site) -> None:
    platform = Issuer(PLATFORM)
    await trust_platform_at(door, publish_keys(site, platform.key))
    for _ in range(3):
        success(await issuers.present(door, platform.workload(door)))
    assert site.requests == [KEYS]
    rotated = Issuer(PLATFORM)
    publish_keys(site, rotated.key)
    success(await issuers.present(door, rotated.workload(door)))
    assert site.requests == [KEYS, KEYS]
    assert refusal(await issuers.present(door, platform.workload(door))) == REFUSED


async def test_unknown_keys_make_no_more_fetches_than_a_host_is_asked_for_wif_03_t34(door: Door, site: Site) -> None:
    platform = Issuer(PLATFORM)
    await trust_platform_at(door, publish_keys(site, platform.key))
    success(await issuers.present(door, platform.workload(door)))
    for number in range(30):
        form = {"grant_type": JWT_BEARER, "assertion": Issuer(PLATFORM).workload(door)}
        media = {"content-type": "application/x-www-form-urlencoded"}
        answer = await door.call("POST", TOKEN, urlencode(form).encode(), media, source=f"198.51.100.{number}")
        assert refusal(answer) == REFUSED
    assert len(site.requests) <= 1 + HOST_BURST
    success(await issuers.present(door, platform.workload(door)))


async def test_keys_that_cannot_be_had_now_spend_no_assertion_wif_03_wif_07(door: Door, site: Site) -> None:
    platform = Issuer(PLATFORM)
    await trust_platform_at(door, publish_keys(site, platform.key))
    keys, assertion = site.pages[KEYS], platform.workload(door)
    site.pages[KEYS] = Page(status=503)
    answer = await issuers.present(door, assertion)
    assert refusal(answer) == NOW_OR_NEVER
    assert answer.header("retry-after") == "10"
    for page in (Page(b"nothing"), Page(b"[]"), Page(b'{"keys": 7}')):
        site.pages[KEYS] = page
        assert refusal(await issuers.present(door, assertion)) == REFUSED
    site.pages[KEYS] = keys
    success(await issuers.present(door, assertion))


async def test_keys_at_an_address_inside_are_not_asked_for_wif_03_t5(door: Door, site: Site) -> None:
    await trust_platform_at(door, site.url(KEYS, "private.example"))
    assert refusal(await issuers.present(door, Issuer(PLATFORM).workload(door))) == REFUSED
    assert site.connections == 0


@pytest.mark.parametrize("member", ["jku", "x5u", "jwk"])
async def test_where_keys_are_is_not_for_an_assertion_to_say_wif_03_t34(door: Door, site: Site, member: str) -> None:
    platform, stranger = Issuer(PLATFORM), generate_signing_key("ES256")
    await trust_platform_at(door, publish_keys(site, platform.key))
    success(await issuers.present(door, platform.workload(door)))
    site.pages["/evil.json"] = Page(json.dumps(jwks(stranger)).encode())
    told = stranger.public_jwk() if member == "jwk" else site.url("/evil.json")
    for issuer in (platform, Issuer(PLATFORM, stranger)):
        assert refusal(await issuers.present(door, issuer.workload(door, header={member: told}))) == REFUSED
    assert "/evil.json" not in site.requests


async def test_an_issuer_is_not_known_by_an_address_that_only_looks_like_it_jag_06_wif_03(
    door: Door, site: Site
) -> None:
    platform = Issuer(PLATFORM)
    await trust_platform_at(door, publish_keys(site, platform.key))
    for url in (f"{PLATFORM}/", f"{PLATFORM}:443", PLATFORM.upper(), f"{PLATFORM} ", [PLATFORM], ABSENT):
        assert refusal(await issuers.present(door, platform.workload(door, iss=url))) == REFUSED
    assert site.connections == 0
    assert await reasons(door) == []
    assert success(await issuers.present(door, platform.workload(door)))["token_type"] == "Bearer"
