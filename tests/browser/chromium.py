"""A person at a real browser."""

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from playwright.async_api import BrowserContext, ConsoleMessage, Page, Response

from tests.person import answer_parameters
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD

LAUNCH = ["--no-sandbox", "--headless", "--disable-quic", "--no-first-run", "--disable-background-networking"]
PATIENCE_MS = 20_000


@dataclass
class Chromium:
    """One profile of the browser: its own cookies. Its console's complaints about our pages are in `complaints`."""

    context: BrowserContext
    issuer: str
    decision: Literal["allow", "deny"] = "allow"
    visits: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context.set_default_timeout(PATIENCE_MS)
        self.context.on("console", self._hear)

    def _hear(self, message: ConsoleMessage) -> None:
        where = urlsplit(message.location["url"])
        if f"{where.scheme}://{where.netloc}" != self.issuer or message.type not in {"error", "warning"}:
            return
        # A page that is meant to answer 4xx is reported as a failed load of itself; a missing style sheet is not meant.
        is_status = message.text.startswith("Failed to load resource: the server responded with a status of")
        if not is_status or where.path.startswith("/static/"):
            self.complaints.append(f"{where.path}: {message.text}")

    async def page(self) -> Page:
        """A new tab."""
        return await self.context.new_page()

    async def visit(self, url: str) -> None:
        """Through sign-in and consent; the answer goes to the client by itself, and this waits until it is there."""
        self.visits.append(url)
        page = await self.page()
        await page.goto(url)
        await sign_in_if_asked(page)
        back = answer_parameters(url)["redirect_uri"]
        await decide(page, self.decision)
        await page.wait_for_url(f"{back}?**")
        await page.close()


async def sign_in_if_asked(page: Page) -> None:
    """Fill in the sign-in form when this is its page."""
    if urlsplit(page.url).path == "/login":
        await sign_in(page)


async def sign_in(page: Page, email: str = ADMIN_EMAIL, password: str = ADMIN_PASSWORD) -> None:
    await page.get_by_label("Email").fill(email)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in", exact=True).click()


async def decide(page: Page, decision: Literal["allow", "deny"]) -> None:
    """Press the button; the page that follows may be gone again at once."""
    await page.get_by_role("button", name=decision.capitalize(), exact=True).click(no_wait_after=True)


async def has_no_horizontal_scroll(page: Page) -> bool:
    # The title is there before the style sheet, without which long words do stick out.
    await page.wait_for_load_state("load")
    return bool(await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def header(response: Response | None, name: str) -> str:
    assert response is not None
    return response.headers.get(name, "")
