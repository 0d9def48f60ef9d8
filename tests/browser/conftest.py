"""One Chromium and one running demo for each worker, and a profile for each test."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Protocol

import pytest
from playwright.async_api import Browser, StorageState, async_playwright

from tests.browser.chromium import LAUNCH, Chromium
from tests.running import RunningDoorward, start_doorward


@pytest.fixture(scope="session")
async def chromium(chromium_path: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path, args=LAUNCH)
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def doorward(tmp_path_factory: pytest.TempPathFactory, chromium_path: str) -> Iterator[RunningDoorward]:
    server = start_doorward(tmp_path_factory.mktemp("doorward") / "data", "--demo")
    yield server
    assert server.stop() == 0


class OpenProfile(Protocol):
    """Opens a profile that nobody signed in with yet."""

    async def __call__(self, *, issuer: str = "", **options: Any) -> Chromium: ...


@pytest.fixture
async def open_profile(chromium: Browser, doorward: RunningDoorward) -> AsyncIterator[OpenProfile]:
    """More profiles; in the end no console may have had anything to complain about."""
    profiles: list[Chromium] = []

    async def open_one(*, issuer: str = "", **options: Any) -> Chromium:
        context = await chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        profiles.append(Chromium(context, issuer or doorward.issuer))
        return profiles[-1]

    yield open_one
    for profile in profiles:
        await profile.context.close()
    assert [profile.complaints for profile in profiles if profile.complaints] == []


@pytest.fixture(scope="session")
def memory() -> dict[str, StorageState]:
    """What the browser of a person who comes back keeps: signing in at every test would run into the limit."""
    return {}


@pytest.fixture
async def browser(open_profile: OpenProfile, memory: dict[str, StorageState]) -> AsyncIterator[Chromium]:
    """Of a person who may have signed in before."""
    opened = await open_profile(storage_state=memory.get("cookies"))
    yield opened
    memory["cookies"] = await opened.context.storage_state()


@pytest.fixture
async def fresh_browser(open_profile: OpenProfile) -> Chromium:
    """Of a person who has to sign in."""
    return await open_profile()
