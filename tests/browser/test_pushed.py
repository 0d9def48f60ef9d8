"""A pushed request in a real browser: which looks count as the browser's is for browsers to say (PAR-06)."""

import httpx2
import pytest
from playwright.async_api import expect

from tests.browser.apps import App, register
from tests.browser.chromium import Chromium, decide, sign_in
from tests.browser.conftest import OpenProfile
from tests.person import answer_parameters
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD, RunningDoorward
from tests.server.pushing import link

pytestmark = pytest.mark.browser


async def push(app: App, **parameters: str) -> str:
    """The link to what the app pushed."""
    form = {**answer_parameters(app.url()), **parameters}
    async with httpx2.AsyncClient(base_url=app.server.issuer) as http:
        answer = await http.post("/api/oauth/par", data=form)
    assert answer.status_code == 201, answer.text
    return app.server.issuer + link(form["client_id"], answer.json()["request_uri"])


async def test_the_first_browser_that_opens_it_has_it_whoever_fetched_the_link_before(
    doorward: RunningDoorward, fresh_browser: Chromium, open_profile: OpenProfile
) -> None:
    app = await register(doorward)
    await app.serve(fresh_browser.context)
    url = await push(app, prompt="login", login_hint=ADMIN_EMAIL)
    async with httpx2.AsyncClient() as program:
        assert (await program.get(url)).status_code == 303

    page = await fresh_browser.page()
    await page.goto(url)
    await expect(page.get_by_label("Email")).to_have_value(ADMIN_EMAIL)
    await expect(page.get_by_label("Password")).to_be_focused()

    another = await (await open_profile()).page()
    shown = await another.goto(url)
    assert shown is not None
    assert shown.status == 400
    await expect(another.get_by_role("heading", level=1)).to_have_text("This request is over")

    await page.get_by_label("Password").fill(ADMIN_PASSWORD)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page).to_have_title("Allow access? · Doorward")
    await page.reload()
    await expect(page).to_have_title("Allow access? · Doorward")
    await decide(page, "allow")
    await expect(page).to_have_title("The app")
    assert app.answers[0].keys() == {"code", "state", "iss"}


async def test_a_fresh_sign_in_is_asked_for_once(doorward: RunningDoorward, fresh_browser: Chromium) -> None:
    app = await register(doorward)
    await app.serve(fresh_browser.context)
    page = await fresh_browser.page()
    await page.goto(f"{app.url()}&prompt=login")
    await sign_in(page)
    await expect(page).to_have_title("Allow access? · Doorward")
    await page.goto(f"{app.url()}&prompt=login&max_age=3600")
    await expect(page).to_have_title("Sign in · Doorward")
    await sign_in(page)
    await expect(page).to_have_title("Allow access? · Doorward")
    await decide(page, "allow")
    await expect(page).to_have_title("The app")
    assert app.answers[0].keys() == {"code", "state", "iss"}
