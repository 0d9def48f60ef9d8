"""Our client, with a real browser: its own listener, the opener of the system, and Chromium between them."""

from pathlib import Path

import anyio
import pytest
from playwright.async_api import expect

from doorward.client.browser import BrowserInteraction
from doorward.client.connect import DoorwardClient
from doorward.client.stores import FileStore
from tests.browser.chromium import Chromium, decide, sign_in_if_asked
from tests.client.openers import Openers
from tests.interop.kept import change_tokens
from tests.interop.tools import book, price_of_door, use_tools
from tests.person import answer_parameters
from tests.running import RunningDoorward
from tests.waiting import until

pytestmark = pytest.mark.browser


async def test_our_client_opens_chromium_and_the_person_is_told_that_they_can_go_back_authz_18(
    doorward: RunningDoorward, fresh_browser: Chromium, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openers = Openers(tmp_path)
    monkeypatch.setenv("BROWSER", str(openers.add("chromium")))
    told: list[str] = []

    async def be_the_person() -> None:
        """Go where the system was told to lead the person, twice."""
        for count in (1, 2):

            async def is_opened(count: int = count) -> bool:
                return len(openers.started()) == count

            await until(is_opened, seconds=60)
            (url,) = openers.started()[-1][1]
            page = await fresh_browser.page()
            await page.goto(url)
            await sign_in_if_asked(page)
            await decide(page, "allow")
            await page.wait_for_url(f"{answer_parameters(url)['redirect_uri']}?**")
            await expect(page.get_by_text("You can close this page.")).to_be_visible()
            await page.close()

    store = FileStore(tmp_path / "kept")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(be_the_person)
        interaction = BrowserInteraction(announce=told.append)
        async with DoorwardClient(doorward.demo, store=store, interaction=interaction) as client:
            await use_tools(client)
            assert await book(client) == "DW101"
    change_tokens(store, expires_at=1.0)
    async with DoorwardClient(doorward.demo, store=store, interaction=interaction) as client:
        assert await price_of_door(client) > 0
    assert len(openers.started()) == 2
    assert all(openers.started()[count][1][0] in said for count, said in enumerate(told))
