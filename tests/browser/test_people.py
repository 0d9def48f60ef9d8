"""The pages that people come to by themselves: set-up, sign-in, dashboard, account."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.chromium import Chromium, has_no_horizontal_scroll, sign_in
from tests.browser.conftest import OpenProfile
from tests.interop.clients import call_with, connect_sdk
from tests.interop.tools import book, price_of_door
from tests.running import RunningDoorward, start_doorward

pytestmark = pytest.mark.browser


async def press(page: Page, button: str) -> None:
    await page.get_by_role("button", name=button).click()


async def test_the_setup_link_leads_to_the_dashboard_and_further(
    tmp_path_factory: pytest.TempPathFactory, open_profile: OpenProfile
) -> None:
    server = start_doorward(tmp_path_factory.mktemp("doorward") / "data", "--demo", admin=False)
    try:
        browser = await open_profile(issuer=server.issuer)
        page = await browser.page()
        link = server.announced["setup_link"]
        await page.goto(link)
        await page.get_by_label("Email").fill("grace@example.com")
        await page.get_by_label("Your name").fill("Grace")
        await page.get_by_label("Password").fill("passwordpassword")
        await press(page, "Create account")
        await expect(page.locator("[aria-invalid]")).to_have_attribute("name", "password")
        await page.get_by_label("Password").fill("a ship in port is safe")
        await press(page, "Create account")

        await expect(page).to_have_title("Dashboard · Doorward")
        await expect(page.get_by_text(server.demo, exact=True).first).to_be_visible()
        await press(page, "Sign out")
        await expect(page).to_have_title("Sign in · Doorward")
        await page.goto(f"{server.issuer}/account")
        await expect(page).to_have_title("Sign in · Doorward")
        await sign_in(page, "grace@example.com", "a ship in port is safe")
        await expect(page).to_have_title("Account · Doorward")
        await expect(page.get_by_text("Signed in as Grace")).to_be_visible()

        again = await page.goto(link)
        assert again is not None
        assert again.status == 400
        await expect(page.get_by_role("heading", level=1)).to_have_text("This set-up link is not valid")
    finally:
        assert server.stop() == 0


async def test_a_connection_that_is_revoked_on_the_account_page_is_over_at_once(
    doorward: RunningDoorward, browser: Chromium
) -> None:
    async with connect_sdk(doorward.demo, browser, name="Short visit") as sdk:
        assert await price_of_door(sdk.client) > 0
        page = await browser.page()
        await page.goto(f"{doorward.issuer}/account")
        heading = page.get_by_role("heading", name="Short visit")
        await expect(heading).to_be_visible()
        await expect(page.get_by_role("listitem").filter(has=heading)).to_contain_text(
            "On Doorward demo it may: Look things up"
        )
        await press(page, "Revoke Short visit")
        await expect(page.get_by_role("status")).to_contain_text("Access was taken back")
        await expect(heading).to_have_count(0)

        assert (await call_with(doorward.demo, sdk.tokens.access_token)).status_code == 401
        sdk.wire.take()
        assert await price_of_door(sdk.client) > 0
        assert sdk.wire.take()[0] == "POST /demo/mcp 401"
        assert len(browser.visits) == 2


async def test_an_app_that_asked_for_more_is_listed_and_revoked_as_one(
    doorward: RunningDoorward, browser: Chromium
) -> None:
    async with connect_sdk(doorward.demo, browser, name="Ever more") as sdk:
        before = sdk.tokens
        assert await book(sdk.client) == "DW101"
        page = await browser.page()
        await page.goto(f"{doorward.issuer}/account")
        entry = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="Ever more"))
        await expect(entry).to_contain_text("On Doorward demo it may: Look things up · Book flights")
        await press(page, "Revoke Ever more")
        await expect(entry).to_have_count(0)
        for tokens in (before, sdk.tokens):
            assert (await call_with(doorward.demo, tokens.access_token)).status_code == 401


async def test_signing_out_everywhere_else_ends_the_other_browser(
    doorward: RunningDoorward, fresh_browser: Chromium, open_profile: OpenProfile
) -> None:
    other = await (await open_profile()).page()
    page = await fresh_browser.page()
    for opened in (other, page):
        await opened.goto(f"{doorward.issuer}/account")
        await sign_in(opened)
        await expect(opened).to_have_title("Account · Doorward")
    await page.reload()
    await press(page, "Sign out everywhere else")
    await expect(page.get_by_role("status")).to_contain_text("signed out everywhere else")
    await other.reload()
    await expect(other).to_have_title("Sign in · Doorward")
    await page.reload()
    await expect(page).to_have_title("Account · Doorward")


async def test_the_dashboard_shows_what_has_happened(doorward: RunningDoorward, browser: Chromium) -> None:
    async with connect_sdk(doorward.demo, browser):
        page = await browser.page()
        await page.goto(f"{doorward.issuer}/dashboard/apps")
        apps = page.get_by_role("table", name="Apps").get_by_role("row", name="An app of the SDK")
        await expect(apps.first).to_contain_text("Registered itself")
        await page.goto(f"{doorward.issuer}/dashboard/audit")
        events = page.get_by_role("table", name="Events")
        await expect(events.get_by_role("row").nth(1)).to_be_visible()


async def test_pages_of_people_fit_a_small_telephone(doorward: RunningDoorward, open_profile: OpenProfile) -> None:
    browser = await open_profile(viewport={"width": 360, "height": 740})
    page = await browser.page()
    for path in ("/", "/login"):
        await page.goto(f"{doorward.issuer}{path}")
        assert await has_no_horizontal_scroll(page), path
    async with connect_sdk(doorward.demo, browser, name="Wonderfully" * 8):
        for path in ("/dashboard", "/account", "/", "/setup?token=none"):
            await page.goto(f"{doorward.issuer}{path}")
            assert await has_no_horizontal_scroll(page), path
