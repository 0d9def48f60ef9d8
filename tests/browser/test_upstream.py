"""Signing in by an identity provider with a real browser, on the way to a client's consent."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.apps import register
from tests.browser.chromium import decide, has_no_horizontal_scroll
from tests.browser.conftest import OpenProfile
from tests.interop.node.programs import FOLDER as NODE
from tests.interop.upstreams.running import running
from tests.registration.site import make_authority
from tests.running import RunningDoorward, start_doorward

pytestmark = pytest.mark.browser
SECRET = "a-secret-of-a-test-and-of-nothing-else"


@pytest.fixture
def door(tmp_path: Path, chromium_path: str) -> Iterator[RunningDoorward]:
    """A server with its demo, and oidc-provider beside it that anybody may join by."""
    authority = make_authority(tmp_path)
    with running(NODE / "upstream_provider.mjs", tmp_path / "log", TLS=authority.certificate) as node:
        environment = {
            "DOORWARD_UPSTREAM__ALLOW_CIDRS": "127.0.0.0/8",
            "DOORWARD_UPSTREAM__CA_FILE": authority.trust,
        }
        server = start_doorward(tmp_path / "data", "--demo", environment=environment)
        secret = tmp_path / "secret"
        secret.write_text(SECRET)
        server.admin(
            *("provider", "add", "acme", "--issuer", f"https://127.0.0.1:{node.port}", "--client-id", "beside"),
            *("--secret-file", str(secret), "--name", "Acme", "--sign-up", "open"),
        )
        yield server
        assert server.stop() == 0


async def test_a_person_signs_in_elsewhere_and_decides_here(door: RunningDoorward, open_profile: OpenProfile) -> None:
    browser = await open_profile(issuer=door.issuer, ignore_https_errors=True, viewport={"width": 360, "height": 740})
    app = await register(door)
    await app.serve(browser.context)
    page = await browser.page()
    await page.goto(app.url())
    assert await has_no_horizontal_scroll(page)
    await page.get_by_role("button", name="Continue with Acme").press("Enter")
    await page.locator("input[name=login]").fill("carol")
    await page.locator("input[name=password]").fill("any password does there")
    await page.get_by_role("button").first.click()
    await page.get_by_role("button", name="Continue").click()
    await page.get_by_role("heading", name="Travel planner").wait_for()
    assert await has_no_horizontal_scroll(page)
    await decide(page, "allow")
    await page.wait_for_url(f"{app.redirect_uri}?**")
    assert "code" in app.answers[0]
    await page.goto(f"{door.issuer}/account")
    await page.get_by_role("heading", name="Sign in with").wait_for()
    await page.get_by_role("main").get_by_text("carol@people.example").wait_for()
    assert await has_no_horizontal_scroll(page)
