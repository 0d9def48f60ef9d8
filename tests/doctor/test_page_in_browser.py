"""The doctor's page in a real browser: it fits a phone, can be read in light and dark, and nothing of it is refused."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Browser, ConsoleMessage, async_playwright

from doorward.doctor.page import build_page
from tests.browser.chromium import LAUNCH
from tests.doctor.samples import GOOD, MIXED

pytestmark = pytest.mark.browser
FAINT = """() => {
  const parse = (text) => text.match(/[0-9.]+/g).map(Number);
  const linear = (c) => c <= .03928 * 255 ? c / 255 / 12.92 : ((c / 255 + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b);
  const ground = (one) => {
    for (; one; one = one.parentElement) {
      const found = parse(getComputedStyle(one).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
  };
  const ratio = (one) => {
    const [a, b] = [light(parse(getComputedStyle(one).color)), light(ground(one))].sort((x, y) => y - x);
    return (a + .05) / (b + .05);
  };
  return [...document.body.querySelectorAll('*')]
    .filter((one) => [...one.childNodes].some((child) => child.nodeType === 3 && child.data.trim()))
    .filter((one) => ratio(one) < 4.5).map((one) => one.outerHTML.slice(0, 80));
}"""
"""Elements with text of less than 4.5:1 on what is behind it."""


@pytest.fixture(scope="module")
async def browser(chromium_path: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=chromium_path, args=LAUNCH)
        yield launched
        await launched.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
async def test_the_page_fits_and_can_be_read_on_a_screen_and_on_paper(
    browser: Browser, tmp_path: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    path = tmp_path / "doctor.html"
    path.write_text(build_page(MIXED), encoding="utf-8")
    context = await browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = await context.new_page()
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        complaints.append(message.text)

    page.on("console", hear)
    await page.goto(path.as_uri())
    assert await page.evaluate("document.documentElement.scrollWidth") == width
    assert await page.evaluate(FAINT) == []
    await page.emulate_media(media="print")
    assert await page.evaluate(FAINT) == []
    assert await page.get_by_text(GOOD[0].title).is_visible()
    await page.emulate_media(media="screen")
    await page.get_by_role("link", name="loopback-port").first.click()
    assert page.url.endswith("#loopback-port")
    table = page.get_by_role("table", name="Who has trouble")
    assert await table.get_by_role("row").count() == 1 + 2
    assert await page.get_by_role("heading", name="Who gets in").is_visible()
    assert complaints == []
    await context.close()
