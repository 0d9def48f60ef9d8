"""Signing keys in time and in an emergency, with traffic all the while (AT-06, I8, T34; threats, finding 17).

Spec: AT-06, RS-08
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from doorward.core.models import ResourceSettings
from doorward.core.rotation import DAY_MS, PUBLISH_BEFORE_SIGNING_MS, VERIFY_AFTER_SIGNING_MS
from doorward.manage import connections, projects, resources, signing_keys
from doorward.manage.operator import ActionRefused
from doorward.oauth.jwt import InvalidToken, read_kid
from doorward.resource import JWKSKeys, JWTVerifier
from doorward.server.jobs import sweep
from doorward.server.key_rotation import rotate_due_keys
from doorward.storage.opening import open_store
from doorward.storage.signing_keys import StoredSigningKey, list_signing_keys
from tests.inside import ISSUER, RESOURCE, SCOPES, Door
from tests.server.steps import claims_of, is_active, set_project, success

JWKS = "/.well-known/jwks.json"
SECOND = "https://second.example.com/mcp"


async def stored_keys(door: Door, now: int | None = None) -> list[StoredSigningKey]:
    now = door.clock() if now is None else now
    return await door.context.database.read(list_signing_keys, door.project.project_id, now)


async def published(door: Door) -> list[str]:
    return [key["kid"] for key in (await door.call("GET", JWKS)).json()["keys"]]


async def add_second(door: Door, alg: str, **settings: Any) -> None:
    """A second resource, whose key signs by now."""
    chosen = ResourceSettings(token_alg=alg, **settings)
    await resources.add(door.operator, door.project, SECOND, scopes=SCOPES, settings=chosen)
    door.clock.advance(seconds=PUBLISH_BEFORE_SIGNING_MS / 1000)


@pytest.fixture
async def verifier(door: Door) -> AsyncIterator[JWTVerifier]:
    """A protected server that reads the keys over HTTP, and lives in the server's time."""
    async with door.http as http:
        keys = JWKSKeys(ISSUER, http_client=http, clock=lambda: door.clock() / 1000)
        yield JWTVerifier(issuer=ISSUER, resource=RESOURCE, keys=keys, leeway=0, clock=lambda: door.clock() / 1000)


async def test_the_next_key_comes_when_the_newest_has_grown_old_at_06(door: Door) -> None:
    (old,) = await stored_keys(door)
    door.clock.now = old.created_at + 90 * DAY_MS - 1
    assert await rotate_due_keys(door.context) == 0
    door.clock.advance(seconds=0.001)
    assert await rotate_due_keys(door.context) == 1
    assert await rotate_due_keys(door.context) == 0
    leaving, new = await stored_keys(door)
    assert (leaving.kid, leaving.removed_at) == (old.kid, new.signs_from + VERIFY_AFTER_SIGNING_MS)
    assert new.signs_from == door.clock() + PUBLISH_BEFORE_SIGNING_MS
    (event, *_) = await connections.recent_events(door.operator, door.project)
    assert (event.action, event.actor, event.target) == ("signing_key.added", "system", new.kid)


@pytest.mark.parametrize(("days", "count"), [(0, 0), (1, 1), (3650, 0)])
async def test_a_project_chooses_how_old_its_keys_grow(door: Door, days: int, count: int) -> None:
    await set_project(door, signing_key_days=days)
    door.clock.advance(seconds=1000 * 86_400)
    assert await rotate_due_keys(door.context) == count


async def test_every_algorithm_in_use_is_replaced_in_every_project(door: Door) -> None:
    await add_second(door, "RS256")
    neighbour = await projects.create_project(door.operator, "acme", "Acme")
    door.clock.advance(seconds=91 * 86_400)
    assert await rotate_due_keys(door.context) == 3
    assert sorted(key.alg for key in await stored_keys(door) if key.removed_at is None) == ["ES256", "RS256"]
    theirs = await door.context.database.read(list_signing_keys, neighbour.project_id, door.clock())
    assert len(theirs) == 2


async def test_several_nodes_never_make_two_at_06(door: Door) -> None:
    folder = door.context.settings.data
    stores = [await open_store(folder, now=door.clock()) for _ in range(3)]
    try:
        nodes = [door.context] + [replace_database(door, store) for store in stores]
        for _ in range(5):
            door.clock.advance(seconds=91 * 86_400)
            done = await asyncio.gather(*(rotate_due_keys(node) for node in nodes for _ in range(3)))
            assert sum(done) == 1
            assert len([key for key in await stored_keys(door) if key.removed_at is None]) == 1
    finally:
        for store in stores:
            await store.database.close()


def replace_database(door: Door, store: Any) -> Any:
    """The same server, over a connection and a vault of its own."""
    return replace(door.context, database=store.database, vault=store.vault)


async def test_an_algorithm_that_no_resource_asks_for_leaves_without_another(door: Door) -> None:
    await add_second(door, "RS256")
    second = await resources.get(door.operator, door.project, SECOND)
    await resources.change(door.operator, second, settings=ResourceSettings())
    door.clock.advance(seconds=91 * 86_400)
    assert await rotate_due_keys(door.context) == 2
    assert [(key.alg, key.removed_at is None) for key in await stored_keys(door)] == [
        ("ES256", False),
        ("RS256", False),
        ("ES256", True),
    ]
    await resources.change(door.operator, second, settings=ResourceSettings(token_alg="RS256"))
    (newest,) = [key for key in await stored_keys(door) if key.alg == "RS256" and key.removed_at is None]
    assert newest.signs_from == door.clock() + PUBLISH_BEFORE_SIGNING_MS


async def test_a_key_signs_nothing_that_would_outlive_it_i8(door: Door) -> None:
    """The key that leaves without another must not sign again when its algorithm is asked for meanwhile."""
    await add_second(door, "RS256", access_token_seconds=3600)
    second = await resources.get(door.operator, door.project, SECOND)
    client_id, tokens = await door.tokens(resource=SECOND)
    await resources.change(door.operator, second, settings=ResourceSettings())
    await set_project(door, signing_key_days=1)
    door.clock.advance(seconds=86_400)
    assert await rotate_due_keys(door.context) == 2
    await resources.change(
        door.operator, second, settings=ResourceSettings(token_alg="RS256", access_token_seconds=3600)
    )
    for _ in range(20):
        door.clock.advance(seconds=240)
        tokens = success(await door.refresh(client_id, tokens["refresh_token"]))
        claims = claims_of(tokens["access_token"])
        leaves_at = {key.kid: key.removed_at for key in await stored_keys(door)}[read_kid(tokens["access_token"])]
        assert leaves_at is None or claims["exp"] * 1000 < leaves_at


def around_rotations(door: Door, *, seconds: int) -> Iterator[None]:
    """Three days on which keys are due, from shortly before until the old key has left, in steps."""
    for _ in range(3):
        for _ in range(9_000 // seconds):
            yield
            door.clock.advance(seconds=seconds)
        door.clock.advance(seconds=86_400 - 9_000)


async def test_a_rotation_under_traffic_fails_no_request_at_06_rs_08(door: Door, verifier: JWTVerifier) -> None:
    """Three rotations, a call every minute: each token is good from its first second to its last."""
    await set_project(door, signing_key_days=1)
    client_id, tokens = await door.tokens()
    alive: dict[str, int] = {}
    signers: set[str] = set()
    for minute, _ in enumerate(around_rotations(door, seconds=60)):
        if minute % 10 == 0:
            await sweep(door.context)
            await rotate_due_keys(door.context)
            tokens = success(await door.refresh(client_id, tokens["refresh_token"]))
            alive[tokens["access_token"]] = claims_of(tokens["access_token"])["exp"]
            signers.add(read_kid(tokens["access_token"]))
        for token, expires_at in list(alive.items()):
            if expires_at <= door.clock() // 1000:
                del alive[token]
            else:
                assert (await verifier.verify(token)).client_id == client_id
    assert len(signers) == 3


async def test_every_token_verifies_with_the_keys_that_were_cached_before_it_was_made_i8(door: Door) -> None:
    """Whoever read the keys 300 s ago knows what signs now, and what signed is still published when it expires."""
    await set_project(door, signing_key_days=1, access_token_seconds=3600)
    client_id, tokens = await door.tokens()
    cached: list[tuple[int, set[str]]] = []
    issued: list[tuple[int, str]] = []
    for step, _ in enumerate(around_rotations(door, seconds=300)):
        now = door.clock()
        cached.append((now, set(await published(door))))
        if step % 2 == 0:
            await rotate_due_keys(door.context)
        tokens = success(await door.refresh(client_id, tokens["refresh_token"]))
        kid = read_kid(tokens["access_token"])
        assert all(kid in kids for at, kids in cached if now - 300_000 <= at <= now)
        issued.append((claims_of(tokens["access_token"])["exp"] * 1000, kid))
        assert {kid for expires_at, kid in issued if expires_at > now} <= cached[-1][1]
    assert len({kid for _, kid in issued}) == 3


async def test_in_an_emergency_another_key_signs_at_once_and_the_old_ones_void_what_they_signed_at_06_int_04(
    door: Door, verifier: JWTVerifier
) -> None:
    client_id, tokens = await door.tokens()
    (leaving,) = await published(door)
    await signing_keys.rotate(door.operator, door.project)
    door.clock.advance(seconds=PUBLISH_BEFORE_SIGNING_MS / 1000)
    later = success(await door.refresh(client_id, tokens["refresh_token"]))
    assert read_kid(later["access_token"]) != leaving
    for token in (tokens["access_token"], later["access_token"]):
        assert await is_active(door, token)
        await verifier.verify(token)
    (new,) = await signing_keys.replace_at_once(door.operator, door.project)
    door.clock.advance(seconds=1)
    assert await published(door) == [new.kid]
    for token in (tokens["access_token"], later["access_token"]):
        assert not await is_active(door, token)
    fresh = success(await door.refresh(client_id, later["refresh_token"]))
    assert read_kid(fresh["access_token"]) == new.kid
    assert await is_active(door, fresh["access_token"])
    assert (await verifier.verify(fresh["access_token"])).client_id == client_id
    for token in (tokens["access_token"], later["access_token"]):
        with pytest.raises(InvalidToken):
            await verifier.verify(token)
    await sweep(door.context)
    assert [key.kid for key in await stored_keys(door, 0)] == [new.kid]


async def test_an_emergency_of_one_algorithm_leaves_the_others_and_opaque_tokens_alone(door: Door) -> None:
    await add_second(door, "EdDSA")
    third = "https://third.example.com/mcp"
    await resources.add(
        door.operator, door.project, third, scopes=SCOPES, settings=ResourceSettings(token_format="opaque")
    )
    door.clock.advance(seconds=1)
    (_, ours), (_, theirs), (_, opaque) = [await door.tokens(resource=uri) for uri in (RESOURCE, SECOND, third)]
    await signing_keys.replace_at_once(door.operator, door.project, "EdDSA")
    door.clock.advance(seconds=1)
    assert [await is_active(door, told["access_token"]) for told in (ours, theirs, opaque)] == [True, False, True]
    await signing_keys.replace_at_once(door.operator, door.project)
    door.clock.advance(seconds=1)
    assert [await is_active(door, told["access_token"]) for told in (ours, theirs, opaque)] == [False, False, True]
    assert len(await published(door)) == 2


async def test_an_emergency_takes_leaving_keys_along_and_gives_an_unused_algorithm_no_other(door: Door) -> None:
    await add_second(door, "RS256")
    second = await resources.get(door.operator, door.project, SECOND)
    await resources.change(door.operator, second, settings=ResourceSettings())
    door.clock.advance(seconds=91 * 86_400)
    await rotate_due_keys(door.context)
    (new,) = await signing_keys.replace_at_once(door.operator, door.project)
    assert [key.kid for key in await stored_keys(door)] == [new.kid]
    with pytest.raises(ActionRefused, match="no key of RS256"):
        await signing_keys.replace_at_once(door.operator, door.project, "RS256")


async def test_two_emergencies_at_one_moment_leave_keys_that_sign_and_none_of_before(door: Door) -> None:
    (old,) = await published(door)
    await asyncio.gather(*(signing_keys.replace_at_once(door.operator, door.project) for _ in range(5)))
    door.clock.advance(seconds=1)
    assert old not in await published(door)
    _, tokens = await door.tokens()
    assert read_kid(tokens["access_token"]) in await published(door)
    assert await is_active(door, tokens["access_token"])
