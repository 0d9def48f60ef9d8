"""The server in this process, fresh for every test, and a provider beside it that it is set up to sign people in by."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.inside import Door, open_door
from tests.registration.site import Authority, make_authority
from tests.upstream.identity_provider import IdentityProvider, open_provider
from tests.upstream.travellers import Traveller, add_provider


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def door(tmp_path: Path, authority: Authority) -> AsyncIterator[Door]:
    upstream = {"allow_cidrs": ("127.0.0.0/8",), "ca_file": authority.trust}
    async with open_door(tmp_path / "data", upstream=upstream) as opened:
        yield opened


@pytest.fixture
async def provider(door: Door, authority: Authority) -> AsyncIterator[IdentityProvider]:
    """One that the project is set up with, under the slug acme; nobody may join."""
    async with open_provider(authority, door.clock) as opened:
        await add_provider(door, opened)
        yield opened


@pytest.fixture
def carol(door: Door, provider: IdentityProvider) -> Traveller:
    """Somebody who has an account at the provider, and none here."""
    return Traveller(door.person(), provider)
