"""Signing keys: published before they sign, there as long as a token of theirs can live (AT-06, I8, T34)."""

import json
from typing import Any

import pytest

from doorward.core.models import ResourceSettings
from doorward.core.rotation import PUBLISH_BEFORE_SIGNING_MS, VERIFY_AFTER_SIGNING_MS, signing_key_purpose
from doorward.manage import resources, signing_keys
from doorward.oauth.jwt import parse_jwks, read_kid, verify_access_token
from doorward.server.jobs import sweep
from doorward.storage.signing_keys import StoredSigningKey, list_signing_keys
from tests.inside import ISSUER, RESOURCE, SCOPES, Door
from tests.server.steps import add_neighbour, claims_of, is_active, success

JWKS = "/.well-known/jwks.json"


async def published(door: Door, path: str = JWKS) -> list[dict[str, Any]]:
    answer = await door.call("GET", path)
    assert answer.status == 200
    keys: list[dict[str, Any]] = answer.json()["keys"]
    return keys


async def add_algorithm(door: Door, alg: str) -> None:
    """A resource whose tokens are signed by it, and the time until they are."""
    uri = f"https://{alg.lower()}.example.com/mcp"
    settings = ResourceSettings(token_alg=alg)
    await resources.add(door.operator, door.project, uri, scopes=SCOPES, settings=settings)
    door.clock.advance(seconds=PUBLISH_BEFORE_SIGNING_MS / 1000)


async def kids(door: Door) -> list[str]:
    return [key["kid"] for key in await published(door)]


async def rotate(door: Door) -> StoredSigningKey:
    (key,) = await signing_keys.rotate(door.operator, door.project)
    door.clock.advance(seconds=1)
    return key


async def test_the_key_set_holds_public_members_only_at_06(door: Door) -> None:
    (key,) = await published(door)
    assert key == {
        "kty": "EC",
        "crv": "P-256",
        "x": key["x"],
        "y": key["y"],
        "kid": key["kid"],
        "alg": "ES256",
        "use": "sig",
    }


async def test_a_token_verifies_with_the_published_keys_at_01(door: Door) -> None:
    _, tokens = await door.tokens()
    token = tokens["access_token"]
    keys = parse_jwks({"keys": await published(door)})
    claims = verify_access_token(
        token,
        keys[read_kid(token)],
        issuer=ISSUER,
        accepts_audience=RESOURCE.__eq__,
        now=door.clock() // 1000,
        leeway=0,
    )
    assert claims == claims_of(token)


async def test_the_private_part_is_sealed_at_rest_at_06_t49(door: Door) -> None:
    (stored,) = await door.context.database.read(list_signing_keys, door.project.project_id, door.clock())
    purpose = signing_key_purpose(door.project.project_id, stored.kid)
    private = json.loads(door.context.vault.decrypt(stored.private_ciphertext, purpose))
    assert private["d"].encode() not in stored.private_ciphertext
    assert "d" not in json.loads(stored.public_jwk)


async def test_a_new_key_is_published_at_once_and_signs_once_every_cache_has_it_at_06(door: Door) -> None:
    (old,) = await kids(door)
    new = await rotate(door)
    assert await kids(door) == [old, new.kid]
    client_id, tokens = await door.tokens()
    assert read_kid(tokens["access_token"]) == old
    door.clock.advance(seconds=PUBLISH_BEFORE_SIGNING_MS / 1000 - 2)
    early = success(await door.refresh(client_id, tokens["refresh_token"]))
    assert read_kid(early["access_token"]) == old
    door.clock.advance(seconds=2)
    late = success(await door.refresh(client_id, early["refresh_token"]))
    assert read_kid(late["access_token"]) == new.kid


async def test_a_token_of_the_old_key_is_good_until_it_expires_i8(door: Door) -> None:
    (old,) = await kids(door)
    client_id, tokens = await door.tokens()
    await rotate(door)
    door.clock.advance(seconds=PUBLISH_BEFORE_SIGNING_MS / 1000 - 3)
    last_of_old = success(await door.refresh(client_id, tokens["refresh_token"]))["access_token"]
    assert read_kid(last_of_old) == old
    door.clock.advance(seconds=890)
    assert await is_active(door, last_of_old)
    assert old in await kids(door)


async def test_the_old_key_leaves_after_the_longest_life_of_a_token_and_is_destroyed_at_06(door: Door) -> None:
    (old,) = await kids(door)
    new = await rotate(door)
    door.clock.now = new.signs_from + VERIFY_AFTER_SIGNING_MS - 1
    assert await kids(door) == [old, new.kid]
    door.clock.advance(seconds=1)
    assert await kids(door) == [new.kid]
    await sweep(door.context)
    stored = await door.context.database.read(list_signing_keys, door.project.project_id, 0)
    assert [key.kid for key in stored] == [new.kid]


async def test_two_rotations_in_a_row_leave_a_signer_at_every_moment(door: Door) -> None:
    first, second = await rotate(door), await rotate(door)
    client_id, tokens = await door.tokens()
    for _ in range(12):
        door.clock.advance(seconds=600)
        tokens = success(await door.refresh(client_id, tokens["refresh_token"]))
        assert read_kid(tokens["access_token"]) in await kids(door)
    assert read_kid(tokens["access_token"]) == second.kid
    assert first.kid not in await kids(door)


async def test_documents_are_cached_for_half_as_long_as_a_key_waits_t34(door: Door) -> None:
    cache = (await door.call("GET", JWKS)).header("cache-control")
    assert cache == "public, max-age=300"
    assert PUBLISH_BEFORE_SIGNING_MS >= 2 * 300 * 1000


@pytest.mark.parametrize("alg", ["EdDSA", "RS256"])
async def test_keys_of_one_algorithm_are_replaced_without_the_others(door: Door, alg: str) -> None:
    await add_algorithm(door, alg)
    before = await kids(door)
    (new,) = await signing_keys.rotate(door.operator, door.project, alg)
    stored = await door.context.database.read(list_signing_keys, door.project.project_id, door.clock())
    assert [(key.alg, key.removed_at is None) for key in stored] == [("ES256", True), (alg, False), (alg, True)]
    assert [key.kid for key in stored] == [*before, new.kid]


async def test_without_an_algorithm_each_that_the_project_has_is_replaced(door: Door) -> None:
    await add_algorithm(door, "EdDSA")
    published_keys = await signing_keys.rotate(door.operator, door.project)
    assert [key.alg for key in published_keys] == ["ES256", "EdDSA"]
    door.clock.advance(seconds=1)
    assert len(await kids(door)) == 4


async def test_an_algorithm_can_be_published_before_any_resource_asks_for_it(door: Door) -> None:
    (first,) = await signing_keys.rotate(door.operator, door.project, "RS256")
    assert first.signs_from == door.clock() + PUBLISH_BEFORE_SIGNING_MS
    door.clock.advance(seconds=1)
    assert {key["alg"] for key in await published(door)} == {"ES256", "RS256"}


async def test_a_token_of_a_key_that_left_is_no_token(door: Door) -> None:
    _, tokens = await door.tokens()
    new = await rotate(door)
    door.clock.now = new.signs_from + VERIFY_AFTER_SIGNING_MS
    assert not await is_active(door, tokens["access_token"])


async def test_projects_have_keys_of_their_own_i10(door: Door) -> None:
    await add_neighbour(door)
    ours = await kids(door)
    theirs = [key["kid"] for key in await published(door, "/p/acme/.well-known/jwks.json")]
    assert len(ours) == len(theirs) == 1
    assert ours != theirs
