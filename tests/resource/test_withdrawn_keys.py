"""A signing key in other hands: servers that verify offline refuse all it signs, and take what its successor signs.

Spec: AT-06, RS-08, I3; threats, T34
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from doorward.core.models import ResourceSettings
from doorward.manage import resources, revocations, signing_keys
from doorward.oauth.jwt import SigningKey, sign_access_token
from tests.inside import RESOURCE, Door
from tests.resource.feed_world import offline, real_door
from tests.server.steps import claims_of, success

ALIAS = "https://old.example.com/mcp"


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with real_door(tmp_path / "data") as opened:
        yield opened


async def steal_key(door: Door) -> SigningKey:
    """The key that signs now, as somebody has it who read database and master key."""
    view = await door.context.tenancy.find()
    assert view is not None
    return view.signer("ES256")


def forge(door: Door, like: str, key: SigningKey, **claims: Any) -> str:
    """A token as this moment would have it, with the ids of one that lives."""
    now = door.clock() // 1000
    return sign_access_token({**claims_of(like), "iat": now, "exp": now + 3600, **claims}, key)


async def test_nothing_a_withdrawn_key_signs_is_accepted_whenever_it_says_it_was_at_06_i3(door: Door) -> None:
    _, tokens = await door.tokens()
    stolen = await steal_key(door)
    async with offline(door) as server:
        forged = forge(door, tokens["access_token"], stolen, scope="tools:read tools:write")
        assert await server.accepts(tokens["access_token"])
        assert await server.accepts(forged)
        await signing_keys.replace_at_once(door.operator, door.project)
        door.clock.advance(seconds=1)
        await server.until_refused(tokens["access_token"])
        assert await server.refuses(forged)
        for _ in range(5):
            door.clock.advance(seconds=20)  # before the server reads the keys again by itself
            assert await server.refuses(forge(door, tokens["access_token"], stolen))
            assert await server.refuses(forge(door, tokens["access_token"], stolen, iat=door.clock() // 1000 + 20))


async def test_the_next_token_of_a_client_is_good_at_once_after_an_emergency_rs_08(door: Door) -> None:
    client_id, tokens = await door.tokens()
    async with offline(door) as server:
        for _ in range(3):
            assert await server.accepts(tokens["access_token"])
            await signing_keys.replace_at_once(door.operator, door.project)
            door.clock.advance(seconds=1)
            await server.until_refused(tokens["access_token"])
            tokens = success(await door.refresh(client_id, tokens["refresh_token"]))
        assert await server.accepts(tokens["access_token"])


@pytest.mark.parametrize("uri", [RESOURCE, ALIAS])
async def test_a_token_for_an_alias_ends_with_its_server_t43(door: Door, uri: str) -> None:
    changed = await resources.change(door.operator, door.resource, settings=ResourceSettings(aliases=(ALIAS,)))
    door.clock.advance(seconds=1)
    _, tokens = await door.tokens(resource=ALIAS)
    assert claims_of(tokens["access_token"])["aud"] == [RESOURCE, ALIAS]
    async with offline(door, uri) as server:
        assert await server.accepts(tokens["access_token"])
        await revocations.revoke_resource(door.operator, changed)
        await server.until_refused(tokens["access_token"])
