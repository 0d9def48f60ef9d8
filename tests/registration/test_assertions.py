"""Clients that prove themselves with their own key: what an assertion must be, once only.

Spec: T32; CIMD-18, CIMD-20, CIMD-27, CIMD-28, CAU-04, DCR-20
"""

import asyncio
import json
from base64 import urlsafe_b64encode
from typing import Any
from uuid import uuid4

import pytest
from joserfc import jws

from doorward.oauth.assertions import ASSERTION_TYPE
from doorward.oauth.jwt import SigningKey, generate_signing_key
from tests.inside import ISSUER, Answer, Door, open_door
from tests.registration.conftest import with_documents
from tests.registration.site import Authority, Page, Site
from tests.registration.steps import APP_REDIRECT, audited, let_in
from tests.server.steps import REVOKE, TOKEN, basic, refusal, success

KEYS = {"ES256": generate_signing_key("ES256"), "RS256": generate_signing_key("RS256")}
EC = KEYS["ES256"]
STRANGER = generate_signing_key("ES256")
CHATGPT = "https://chatgpt.com/oauth/client.json"


def jwks(*keys: SigningKey) -> dict[str, Any]:
    return {"keys": [key.public_jwk() for key in keys]}


def sign(door: Door, client_id: str, key: SigningKey = EC, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """An assertion as it should be, but for the given header members and claims; None leaves one out."""
    now = door.clock() // 1000
    given = {
        "iss": client_id,
        "sub": client_id,
        "aud": ISSUER,
        "iat": now,
        "exp": now + 60,
        "jti": str(uuid4()),
        **claims,
    }
    members = {"alg": key.alg, "kid": key.kid, **(header or {})}
    payload = json.dumps({name: value for name, value in given.items() if value is not None})
    return jws.serialize_compact(
        {name: value for name, value in members.items() if value is not None}, payload, key.key, algorithms=[key.alg]
    )


def publish(site: Site, key: SigningKey = EC, path: str = "/client.json", **members: Any) -> str:
    """A client that has no proof but its key."""
    return site.publish(path, **{"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks(key), **members})


def publish_keys(site: Site, *keys: SigningKey) -> str:
    site.pages["/jwks.json"] = Page(json.dumps(jwks(*keys)).encode(), media="application/jwk-set+json")
    return site.url("/jwks.json", "keys.example")


async def known(door: Door, client_id: str, redirect_uri: str = APP_REDIRECT) -> str:
    """The client, let in by somebody: only then can it authenticate at all."""
    await let_in(door, client_id, redirect_uri)
    return client_id


async def present(door: Door, assertion: str, headers: dict[str, str] | None = None, **fields: str) -> Answer:
    """Revoke a token nobody knows: 200 for everybody who authenticates, whatever the token."""
    form = {"token": "x", "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion, **fields}
    return await door.post_form(REVOKE, {name: value for name, value in form.items() if value}, headers)


async def is_refused(door: Door, assertion: str, headers: dict[str, str] | None = None, **fields: str) -> bool:
    answer = await present(door, assertion, headers, **fields)
    if answer.status == 200:
        return False
    assert refusal(answer) == (401, "invalid_client"), answer.body
    return True


@pytest.mark.parametrize("alg", ["ES256", "RS256"])
@pytest.mark.parametrize("by_uri", [False, True], ids=["jwks", "jwks_uri"])
async def test_a_client_gets_and_refreshes_tokens_with_its_key_cimd_20_cau_07(
    door: Door, site: Site, alg: str, *, by_uri: bool
) -> None:
    key = KEYS[alg]
    source = {"jwks": None, "jwks_uri": publish_keys(site, key)} if by_uri else {"jwks": jwks(key)}
    client_id = publish(site, key, **source)
    code, verifier = await let_in(door, client_id)
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier, "redirect_uri": APP_REDIRECT}
    proof = {"client_assertion_type": ASSERTION_TYPE}
    answer = await door.post_form(TOKEN, {**form, **proof, "client_assertion": sign(door, client_id, key)})
    tokens = success(answer)
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": client_id}
    assert refusal(await door.post_form(TOKEN, form)) == (401, "invalid_client")
    success(await door.post_form(TOKEN, {**form, **proof, "client_assertion": sign(door, client_id, key)}))
    assert site.requests.count("/jwks.json") == (1 if by_uri else 0)


async def test_an_assertion_is_taken_in_every_form_clients_send_it_cau_07_09_11(door: Door, site: Site) -> None:
    client_id = await known(door, publish(site))
    now = door.clock() // 1000
    good: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({}, {"aud": [ISSUER]}),
        ({"kid": None}, {}),
        ({"typ": "JWT"}, {}),
        ({"typ": "client-authentication+jwt"}, {}),
        ({}, {"iat": None}),
        ({}, {"exp": now + 300}),
        ({}, {"exp": now + 1}),
        ({}, {"nbf": now}),
        ({}, {"extra": {"a": 1}}),
    ]
    for header, claims in good:
        assert not await is_refused(door, sign(door, client_id, header=header, **claims)), (header, claims)
    assert not await is_refused(door, sign(door, client_id), client_id=client_id)


async def test_an_assertion_that_is_not_quite_right_is_refused_cau_07_08_12(door: Door, site: Site) -> None:
    client_id = await known(door, publish(site))
    now = door.clock() // 1000
    wrong: list[dict[str, Any]] = [
        {"aud": f"{ISSUER}{TOKEN}"},
        {"aud": [ISSUER, f"{ISSUER}{TOKEN}"]},
        {"aud": [ISSUER, ISSUER]},
        {"aud": f"{ISSUER}/"},
        {"aud": []},
        {"aud": [[ISSUER]]},
        {"aud": None},
        {"aud": {"a": ISSUER}},
        {"iss": "https://other.example/client.json"},
        {"sub": "https://other.example/client.json"},
        {"iss": None},
        {"sub": None},
        {"sub": [client_id]},
        {"exp": now},
        {"exp": now - 1},
        {"exp": now + 3600},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": 1e300},
        {"iat": now + 600},
        {"nbf": now + 600},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"jti": "x" * 257},
    ]
    for claims in wrong:
        assert await is_refused(door, sign(door, client_id, **claims)), claims
        door.clock.advance(seconds=3)
    assert not await is_refused(door, sign(door, client_id))


async def test_another_kind_of_token_or_of_key_is_refused_at_08_cau_07_12_t27(door: Door, site: Site) -> None:
    client_id = await known(door, publish(site))
    right = sign(door, client_id)
    head, body, signature = right.split(".")
    for header in (
        {"typ": "at+jwt"},
        {"typ": "dpop+jwt"},
        {"typ": "application/at+jwt"},
        {"typ": 7},
        {"kid": "unknown"},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "ES384"},
        {"jwk": STRANGER.public_jwk()},
        {"jku": "https://evil.example/jwks"},
        {"crit": ["x"], "x": 1},
    ):
        members = json.dumps({"alg": "ES256", "kid": EC.kid, **header}).encode()
        assertion = f"{urlsafe_b64encode(members).rstrip(b'=').decode()}.{body}.{signature}"
        if isinstance(header.get("typ"), str):
            assertion = sign(door, client_id, header=header)  # even with the right signature
        assert await is_refused(door, assertion), header
        door.clock.advance(seconds=3)
    assert await is_refused(door, sign(door, client_id, STRANGER))
    assert await is_refused(door, sign(door, client_id, SigningKey(EC.kid, "ES256", STRANGER.key)))
    assert await is_refused(door, sign(door, client_id, STRANGER, {"kid": None}))
    broken = [f"{head}.{body}.", f"{head}.{body}", f"{right}x", f"{right}.x", "x" * 9000, "a.b.c", f"{right[:-4]}AAAA"]
    for assertion in broken:
        assert await is_refused(door, assertion), assertion[:40]


async def test_one_assertion_authenticates_once_however_often_it_is_sent_cau_10_t32_i1(door: Door, site: Site) -> None:
    client_id = await known(door, publish(site))
    assertion = sign(door, client_id)
    answers = await asyncio.gather(*(present(door, assertion) for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [200] + [401] * 19


async def test_an_assertion_stays_used_after_a_restart_cau_10_t32(door: Door, site: Site, authority: Authority) -> None:
    client_id = await known(door, publish(site))
    assertion = sign(door, client_id)
    assert not await is_refused(door, assertion)
    async with open_door(door.context.settings.data, door.clock) as restarted:
        again = with_documents(restarted, authority)
        assert await is_refused(again, assertion)
        assert not await is_refused(again, sign(again, client_id))


async def test_an_id_that_another_client_used_is_free(door: Door, site: Site) -> None:
    first, second = await known(door, publish(site)), await known(door, publish(site, path="/second.json"))
    assert not await is_refused(door, sign(door, first, jti="one"))
    assert not await is_refused(door, sign(door, second, jti="one"))
    assert await is_refused(door, sign(door, first, jti="one"))


async def test_an_assertion_that_was_refused_did_not_use_up_its_id(door: Door, site: Site) -> None:
    client_id = await known(door, publish(site))
    assert await is_refused(door, sign(door, client_id, STRANGER, {"kid": EC.kid}, jti="one"))
    assert not await is_refused(door, sign(door, client_id, jti="one"))


async def test_one_method_at_a_time_cau_04_11(door: Door, site: Site) -> None:
    client_id = await known(door, publish(site))
    assert await is_refused(door, sign(door, client_id), basic(client_id, "secret"))
    assert await is_refused(door, sign(door, client_id), client_secret="secret")
    assert await is_refused(door, sign(door, client_id), client_id="https://other.example/client.json")
    assert await is_refused(door, sign(door, client_id), client_assertion_type="urn:other")
    assert await is_refused(door, sign(door, client_id), client_assertion_type="")
    assert await is_refused(door, "")


async def test_a_client_without_keys_and_one_nobody_knows_are_refused(door: Door, site: Site) -> None:
    client_id = (await door.register())["client_id"]
    assert await is_refused(door, sign(door, client_id))
    requests = len(site.requests)
    assert await is_refused(door, sign(door, publish(site)))
    assert len(site.requests) == requests


async def test_keys_that_rotate_are_looked_for_again_and_the_old_ones_are_over(door: Door, site: Site) -> None:
    client_id = await known(door, publish(site, jwks=None, jwks_uri=publish_keys(site, EC)))
    assert not await is_refused(door, sign(door, client_id))
    publish_keys(site, STRANGER)
    assert not await is_refused(door, sign(door, client_id))
    assert not await is_refused(door, sign(door, client_id, STRANGER))
    assert await is_refused(door, sign(door, client_id))
    assert site.requests.count("/jwks.json") == 3


async def test_an_unknown_key_does_not_make_us_ask_without_end(door: Door, site: Site) -> None:
    client_id = await known(door, publish(site, jwks=None, jwks_uri=publish_keys(site, EC)))
    for number in range(15):
        assert await is_refused(door, sign(door, client_id, header={"kid": f"k{number}"}))
    assert site.requests.count("/jwks.json") <= 10
    assert not await is_refused(door, sign(door, client_id))


async def test_keys_that_cannot_be_had_now_are_503_and_spend_nothing(door: Door, site: Site) -> None:
    client_id = await known(door, publish(site, jwks=None, jwks_uri=site.url("/jwks.json", "keys.example")))
    assertion = sign(door, client_id)
    answer = await present(door, assertion)
    assert refusal(answer) == (503, "temporarily_unavailable")
    assert answer.header("retry-after") == "10"
    publish_keys(site, EC)
    assert not await is_refused(door, assertion)


async def test_keys_at_an_address_inside_are_refused_for_good_dcr_20_cimd_11_c6(door: Door, site: Site) -> None:
    for number, uri in enumerate(("https://private.example/jwks", "https://10.0.0.1/jwks", "https://[::1]/jwks")):
        client_id = await known(door, publish(site, jwks=None, jwks_uri=uri, path=f"/{number}.json"))
        assert await is_refused(door, sign(door, client_id))


@pytest.mark.parametrize("body", [b"[]", b"{}", b"not JSON", b'{"keys": 7}'])
async def test_what_is_no_key_set_is_refused_and_not_kept(door: Door, site: Site, body: bytes) -> None:
    site.pages["/jwks.json"] = Page(body)
    client_id = await known(door, publish(site, jwks=None, jwks_uri=site.url("/jwks.json", "keys.example")))
    assert await is_refused(door, sign(door, client_id))
    publish_keys(site, EC)
    assert not await is_refused(door, sign(door, client_id))


async def test_a_key_set_larger_than_a_document_is_read(door: Door, site: Site) -> None:
    keys = [generate_signing_key("RS256") for _ in range(2)]
    many = {"keys": [*({**key.public_jwk(), "x5c": ["A" * 2000]} for key in keys), *jwks(EC)["keys"]]}
    site.pages["/jwks.json"] = Page(json.dumps(many).encode())
    client_id = await known(door, publish(site, jwks=None, jwks_uri=site.url("/jwks.json", "keys.example")))
    assert not await is_refused(door, sign(door, client_id))


async def test_guessing_is_slowed_down_and_audits_nothing_cau_06(door: Door, site: Site) -> None:
    client_id = await known(door, publish(site))
    before = await audited(door)
    answers = [await present(door, sign(door, client_id, STRANGER, {"kid": EC.kid})) for _ in range(21)]
    assert [answer.status for answer in answers] == [401] * 20 + [429]
    assert await audited(door) == before
