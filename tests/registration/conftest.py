"""A server in this process that fetches documents from a site on loopback, fresh for every test."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from doorward.app import Doorward
from doorward.fetch import GuardedFetcher
from doorward.server.document_source import DocumentSource
from tests.inside import Door, open_door
from tests.person import Person
from tests.registration.site import HOSTS, Authority, Site, make_authority, open_site


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def site(authority: Authority) -> AsyncIterator[Site]:
    async with open_site(authority) as opened:
        yield opened


@pytest.fixture(scope="session")
async def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a project, made once: hashing a password for every test would cost more than the tests."""
    folder = tmp_path_factory.mktemp("prepared") / "data"
    async with open_door(folder):
        return folder


@pytest.fixture
def data(tmp_path: Path, prepared: Path) -> Path:
    """A data folder of this test's own."""
    return Path(shutil.copytree(prepared, tmp_path / "data"))


@pytest.fixture
async def door(data: Path, authority: Authority) -> AsyncIterator[Door]:
    async with open_door(data) as opened:
        yield with_documents(opened, authority)


@pytest.fixture
def person(door: Door) -> Person:
    return door.person()


def with_documents(door: Door, authority: Authority) -> Door:
    """The door with documents of its own, that may come from the site. Names other than the site's have an address
    on this machine, too, where nobody listens."""
    fetcher = GuardedFetcher(allow_cidrs=["127.0.0.0/8"], trust=authority.trust, resolve=resolve)
    source = DocumentSource(fetcher, door.clock, max_bytes=door.context.settings.cimd.max_bytes)
    door.context = replace(door.context, documents=source)
    door.app = Doorward(door.context)
    return door


async def resolve(host: str, port: int) -> list[str]:
    """Every name leads here, but for the ones that lead into somebody's private network."""
    del port
    if host.startswith("private."):
        return ["10.0.0.1"]
    return ["127.0.0.1"] if host in HOSTS else ["127.0.0.77"]
