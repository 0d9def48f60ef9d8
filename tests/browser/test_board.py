"""The dashboard by hand: from the set-up link to a server, an app and its end, on a telephone and without a mouse."""

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.chromium import has_no_horizontal_scroll
from tests.browser.conftest import OpenProfile
from tests.interop.clients import call_with, connect_sdk
from tests.interop.tools import price_of_door
from tests.running import start_doorward

pytestmark = pytest.mark.browser

EVERY_PAGE = ("", "/servers", "/apps", "/people", "/connections", "/timeline", "/audit", "/charts", "/keys", "/stop")
FOCUSED = "element => element === document.activeElement"


async def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the target has the focus, and see that it is in sight then."""
    await expect(target).to_be_visible()
    for _ in range(120):
        if await target.evaluate(FOCUSED):
            await expect(target).to_be_in_viewport()
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"{target} cannot be reached by Tab")


async def press(page: Page, role: str, name: str) -> None:
    await tab_to(page, page.get_by_role(role, name=name, exact=True).first)  # type: ignore[arg-type]  # a role's name
    await page.keyboard.press("Enter")
    await page.wait_for_load_state("load")


async def write(page: Page, label: str, text: str) -> None:
    await tab_to(page, page.get_by_label(label, exact=True))
    await page.keyboard.type(text)


async def test_set_up_server_app_and_revocation_by_keyboard_on_a_telephone(
    tmp_path_factory: pytest.TempPathFactory, open_profile: OpenProfile
) -> None:
    server = start_doorward(tmp_path_factory.mktemp("doorward") / "data", "--demo", admin=False)
    try:
        browser = await open_profile(issuer=server.issuer, viewport={"width": 360, "height": 740})
        page = await browser.page()
        await page.goto(server.announced["setup_link"])
        await write(page, "Email", "grace@example.com")
        await write(page, "Password", "a ship in port is safe")
        await press(page, "button", "Create account")
        await expect(page.get_by_role("heading", name="What to do next")).to_be_visible()

        await press(page, "link", "Servers")
        await write(page, "Address", "https://files.example.com/mcp")
        await write(page, "Scopes (optional)", "files:read look See files")
        await press(page, "button", "Add the server")
        scopes = page.get_by_label("Scopes (optional)", exact=True)
        await expect(scopes).to_have_attribute("aria-invalid", "true")
        await expect(page.get_by_label("Address", exact=True)).to_have_value("https://files.example.com/mcp")
        await tab_to(page, scopes)
        await page.keyboard.press("ControlOrMeta+a")
        await page.keyboard.type("files:read read See files")
        await press(page, "button", "Add the server")
        await expect(page.get_by_role("status")).to_contain_text("The server is added")

        async with connect_sdk(server.demo, browser, name="Pocket app") as sdk:
            assert await price_of_door(sdk.client) > 0
            for path in EVERY_PAGE:
                await page.goto(f"{server.issuer}/dashboard{path}")
                assert await has_no_horizontal_scroll(page), path
            await press(page, "link", "Connections")
            await press(page, "button", "Revoke Pocket app")
            await expect(page.get_by_role("heading", level=1)).to_contain_text("Revoke Pocket app for")
            await press(page, "button", "Revoke")
            await expect(page.get_by_role("status")).to_contain_text("The connection is over")
            assert (await call_with(server.demo, sdk.tokens.access_token)).status_code == 401
    finally:
        assert server.stop() == 0
