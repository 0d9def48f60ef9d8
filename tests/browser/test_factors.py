"""Passkeys and authenticator apps, with Chromium's own authenticator and its own rules for pages that use it."""

import time
from collections.abc import Iterator

import pyotp
import pytest
from playwright.async_api import CDPSession, Page, expect

from tests.browser.chromium import Chromium, decide, has_no_horizontal_scroll, sign_in
from tests.browser.conftest import OpenProfile
from tests.interop.clients import connect_sdk
from tests.interop.tools import price_of_door
from tests.needs import find_free_port
from tests.person import answer_parameters
from tests.running import RunningDoorward, start_doorward

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory, chromium_path: str) -> Iterator[RunningDoorward]:
    """A server that has a name: passkeys cannot be for an IP address."""
    port = find_free_port()
    issuer = {"DOORWARD_ISSUER": f"http://localhost:{port}"}
    server = start_doorward(tmp_path_factory.mktemp("named") / "data", "--demo", port=port, environment=issuer)
    yield server
    assert server.stop() == 0


def issuer_of(server: RunningDoorward) -> str:
    return f"http://localhost:{server.port}"


async def press(page: Page, button: str) -> None:
    await page.get_by_role("button", name=button, exact=True).click()


async def plug_in(page: Page) -> tuple[CDPSession, str]:
    """A telephone's authenticator, whose person is there and gives their finger."""
    session = await page.context.new_cdp_session(page)
    await session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    added = await session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return session, added["authenticatorId"]


async def test_a_passkey_is_added_and_signs_in_without_an_address(
    named: RunningDoorward, open_profile: OpenProfile
) -> None:
    issuer = issuer_of(named)
    browser = await open_profile(issuer=issuer, viewport={"width": 360, "height": 740})
    page = await browser.page()
    device, name = await plug_in(page)
    await page.goto(f"{issuer}/account/security")
    await sign_in(page)
    await expect(page).to_have_title("How you sign in · Doorward")
    await press(page, "Add a passkey")
    await expect(page.get_by_role("status")).to_contain_text("was added. You can sign in with it from now on.")
    assert await has_no_horizontal_scroll(page)
    await press(page, "Add a passkey")
    await expect(page.get_by_role("alert")).to_have_text("This device has a passkey for your account already.")

    await press(page, "Sign out")
    await expect(page).to_have_title("Sign in · Doorward")
    await device.send("WebAuthn.setUserVerified", {"authenticatorId": name, "isUserVerified": False})
    await press(page, "Sign in with a passkey")
    await expect(page.get_by_role("alert")).to_have_text("No passkey was used. Try again, or use your password.")
    await device.send("WebAuthn.setUserVerified", {"authenticatorId": name, "isUserVerified": True})
    await press(page, "Sign in with a passkey")
    await expect(page).to_have_title("Dashboard · Doorward")
    await page.goto(f"{issuer}/account/security")
    await page.get_by_role("button", name="Remove Chrome").click()
    await expect(page.get_by_role("status")).to_contain_text("The passkey opens nothing here any more")


class WithApp(Chromium):
    """A person who has an authenticator app at hand."""

    secret = ""

    async def visit(self, url: str) -> None:
        """As everybody, but with the code of the app after the password."""
        self.visits.append(url)
        page = await self.page()
        await page.goto(url)
        await sign_in(page)
        await expect(page).to_have_title("Enter your code · Doorward")
        await page.get_by_role("textbox", name="Code").fill(code_of(self.secret, later=1))
        await press(page, "Continue")
        await decide(page, "allow")
        await page.wait_for_url(f"{answer_parameters(url)['redirect_uri']}?**")
        await page.close()


def code_of(secret: str, *, later: int = 0) -> str:
    """What the app shows, or will show next: the server takes it a little early, and takes none twice."""
    return pyotp.TOTP(secret).generate_otp(int(time.time()) // 30 + later)


async def test_an_app_connects_after_password_and_code_t41(named: RunningDoorward, open_profile: OpenProfile) -> None:
    issuer = issuer_of(named)
    page = await (await open_profile(issuer=issuer)).page()
    await page.goto(f"{issuer}/account/security")
    await sign_in(page)
    await press(page, "Set up an authenticator app")
    await expect(page.get_by_role("img", name="QR code")).to_be_visible()
    secret = (await page.locator("#secret").inner_text()).replace(" ", "")
    await page.get_by_role("textbox", name="Code").fill(code_of(secret))
    await press(page, "Turn it on")
    await expect(page.get_by_role("list", name="Recovery codes").get_by_role("listitem")).to_have_count(10)
    await page.get_by_role("link", name="I have kept them").click()
    await expect(page.get_by_text("10 of 10 are left")).to_be_visible()

    fresh = await open_profile(issuer=issuer)
    person = WithApp(fresh.context, issuer)
    person.secret = secret
    async with connect_sdk(f"{issuer}/demo/mcp", person) as sdk:
        assert await price_of_door(sdk.client) > 0
    await press(page, "Remove the app")
    await expect(page.get_by_role("status")).to_contain_text("No code is asked for any more")
