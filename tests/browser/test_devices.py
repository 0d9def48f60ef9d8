"""What a person meets between a device that shows a code and the device that is let in.

Spec: DEV-03, DEV-05; T42
"""

from typing import Any

import pytest
from playwright.async_api import Page, StorageState, expect

from tests.browser.chromium import Chromium, decide, has_no_horizontal_scroll, sign_in_if_asked
from tests.browser.conftest import OpenProfile
from tests.browser.devices import Device, start_device
from tests.interop.clients import call_with
from tests.running import RunningDoorward

pytestmark = pytest.mark.browser

PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}


@pytest.fixture(scope="module")
def offering(doorward: RunningDoorward) -> RunningDoorward:
    """The server, letting devices in."""
    doorward.admin("project", "set", "device_flow=true")
    return doorward


async def go(browser: Chromium, url: str) -> Page:
    """The page of a person who is signed in by now."""
    page = await browser.page()
    await page.goto(url)
    await sign_in_if_asked(page)
    await expect(page).to_have_title("Connect a device · Doorward")
    return page


async def press(page: Page, button: str) -> None:
    await page.get_by_role("button", name=button).click()


async def fits(page: Page) -> None:
    """Nothing hangs over the edge, and what is to be pressed is big enough for a thumb."""
    assert await has_no_horizontal_scroll(page)
    for button in await page.get_by_role("button").all():
        box = await button.bounding_box()
        assert box is not None
        assert box["height"] >= 44


async def assert_waits(device: Device) -> None:
    status, answer = await device.ask()
    assert (status, answer["error"] in {"authorization_pending", "slow_down"}) == (400, True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("options", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_a_person_types_the_code_sees_who_asks_and_lets_the_device_in(
    offering: RunningDoorward,
    open_profile: OpenProfile,
    memory: dict[str, StorageState],
    options: dict[str, Any],
    scheme: str,
) -> None:
    browser = await open_profile(storage_state=memory.get("cookies"), color_scheme=scheme, **options)
    device = await start_device(offering)
    page = await go(browser, device.page)
    memory["cookies"] = await browser.context.storage_state()
    await fits(page)
    field = page.get_by_label("Code")
    await expect(field).to_be_focused()
    await field.fill(device.user_code.lower().replace("-", " "))
    await press(page, "Continue")

    await expect(page).to_have_title("Let a device in? · Doorward")
    await expect(page.get_by_role("heading", level=1)).to_have_text(
        "Let Weather station on your device use Doorward demo?"
    )
    for words in (device.user_code, "weather-station/2.1", "127.0.0.1 · just now", "press Deny", "Book flights"):
        await expect(page.get_by_text(words).first).to_be_visible()
    await fits(page)
    allow, deny = [await page.get_by_role("button", name=name, exact=True).bounding_box() for name in ("Allow", "Deny")]
    assert allow is not None
    assert deny is not None
    assert (allow["height"], allow["y"]) == (deny["height"], deny["y"])
    assert abs(allow["width"] - deny["width"]) < 1
    await assert_waits(device)
    await decide(page, "allow")

    await expect(page.get_by_role("heading", level=1)).to_have_text("Device connected")
    await expect(page.get_by_role("status")).to_contain_text("Go back to your device")
    await fits(page)
    status, tokens = await device.ask()
    assert status == 200, tokens
    assert (await call_with(offering.demo, tokens["access_token"])).status_code == 200
    await page.get_by_role("link", name="connected apps").click()
    await expect(page.get_by_role("heading", name="Weather station").first).to_be_visible()


async def test_the_link_with_the_code_only_shows_it_and_a_keyboard_is_enough_to_deny(
    offering: RunningDoorward, browser: Chromium
) -> None:
    device = await start_device(offering)
    page = await go(browser, device.link)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Does your device show this code?")
    await expect(page.get_by_text(device.user_code, exact=True)).to_be_visible()
    await assert_waits(device)
    reached: list[str] = []
    for wanted in ("Yes, it shows this code", "Deny"):
        while not reached or reached[-1] != wanted:
            await page.keyboard.press("Tab")
            focused = page.locator(":focus")
            assert await focused.evaluate("shown => getComputedStyle(shown).outlineStyle") != "none"
            reached.append((await focused.inner_text()).strip())
            assert len(reached) < 10, reached
        await page.keyboard.press("Enter")
        if wanted != "Deny":
            await expect(page).to_have_title("Let a device in? · Doorward")
    assert reached == [
        *("Skip to content", "Yes, it shows this code"),
        *("Skip to content", "", "Choose single tools…", "Deny"),  # the second is the time that is picked
    ]
    await expect(page.get_by_role("heading", level=1)).to_have_text("Access denied")
    status, answer = await device.ask()
    assert (status, answer["error"]) == (400, "access_denied")


async def test_everything_works_without_javascript(
    offering: RunningDoorward, open_profile: OpenProfile, memory: dict[str, StorageState]
) -> None:
    browser = await open_profile(java_script_enabled=False, storage_state=memory.get("cookies"))
    device = await start_device(offering)
    page = await go(browser, device.page)
    await page.get_by_label("Code").fill(device.user_code)
    await press(page, "Continue")
    await decide(page, "allow")
    await expect(page).to_have_title("Device connected · Doorward")
    assert (await device.ask())[0] == 200


async def test_a_wrong_code_is_told_beside_the_field_and_can_be_mended(
    offering: RunningDoorward, browser: Chromium
) -> None:
    device = await start_device(offering)
    page = await go(browser, device.page)
    field = page.get_by_label("Code")
    await field.fill(device.user_code[:-1])
    await press(page, "Continue")
    await expect(page.get_by_text("No device waits with this code")).to_be_visible()
    await expect(field).to_have_attribute("aria-invalid", "true")
    await expect(field).to_have_value(device.user_code[:-1])
    await expect(field).to_be_focused()
    await field.press("End")
    await page.keyboard.type(device.user_code[-1])
    await page.keyboard.press("Enter")
    await expect(page).to_have_title("Let a device in? · Doorward")


async def test_long_names_fit_a_small_telephone(
    offering: RunningDoorward, open_profile: OpenProfile, memory: dict[str, StorageState]
) -> None:
    browser = await open_profile(storage_state=memory.get("cookies"), **PHONE)
    device = await start_device(offering, client_name="Wonderfully" * 20, agent="W" * 300)
    page = await go(browser, device.link)
    await fits(page)
    await press(page, "Yes, it shows this code")
    await expect(page).to_have_title("Let a device in? · Doorward")
    await fits(page)
    await decide(page, "deny")
    await expect(page).to_have_title("Access denied · Doorward")
    await fits(page)
