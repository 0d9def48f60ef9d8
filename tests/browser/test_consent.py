"""What a person meets in a browser between an app that asks and the app that is answered."""

import pytest
from playwright.async_api import Page, Route, expect

from tests.browser.apps import App, register
from tests.browser.chromium import Chromium, decide, has_no_horizontal_scroll, sign_in, sign_in_if_asked
from tests.browser.conftest import OpenProfile
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD, RunningDoorward

pytestmark = pytest.mark.browser


@pytest.fixture
async def app(doorward: RunningDoorward, browser: Chromium) -> App:
    """An app on this machine."""
    registered = await register(doorward)
    await registered.serve(browser.context)
    return registered


async def ask(browser: Chromium, url: str) -> Page:
    """The consent page of a person who is signed in by now."""
    page = await browser.page()
    await page.goto(url)
    await sign_in_if_asked(page)
    await expect(page).to_have_title("Allow access? · Doorward")
    return page


async def test_allowing_takes_the_person_back_to_the_app_without_another_click(browser: Chromium, app: App) -> None:
    page = await ask(browser, app.url())
    await expect(page.get_by_role("heading", level=1)).to_have_text("Let Travel planner use Doorward demo?")
    await decide(page, "allow")
    await expect(page).to_have_title("The app")
    assert app.answers[0].keys() == {"code", "state", "iss"}
    assert (app.answers[0]["state"], app.answers[0]["iss"]) == ("state-1", app.server.issuer)


async def test_denying_tells_the_app_so(browser: Chromium, app: App) -> None:
    page = await ask(browser, app.url())
    await decide(page, "deny")
    await expect(page).to_have_title("The app")
    assert app.answers[0].keys() == {"error", "error_description", "state", "iss"}
    assert app.answers[0]["error"] == "access_denied"


async def test_a_wrong_password_keeps_the_person_on_the_way(fresh_browser: Chromium, doorward: RunningDoorward) -> None:
    app = await register(doorward)
    await app.serve(fresh_browser.context)
    page = await fresh_browser.page()
    await page.goto(app.url())
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in to continue to Travel planner")
    await sign_in(page, password="not the password")
    await expect(page.get_by_role("alert")).to_contain_text("do not match")
    await expect(page.get_by_label("Email")).to_have_value(ADMIN_EMAIL)
    await expect(page.get_by_label("Password")).to_be_focused()
    await sign_in(page)
    await expect(page).to_have_title("Allow access? · Doorward")


async def test_sending_the_decision_again_gets_no_second_code(doorward: RunningDoorward, browser: Chromium) -> None:
    app = await register(doorward)
    await app.serve(browser.context, status=204)  # the browser stays where it is, as when an app has gone
    page = await ask(browser, app.url())
    async with page.expect_event("requestfailed", lambda request: request.url.startswith(app.redirect_uri)):
        await decide(page, "allow")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Access allowed")
    sent_again = await page.reload()
    assert sent_again is not None
    assert sent_again.request.method == "POST"
    # Within seconds it may be a double click, and is answered as before; later the request is over.
    assert {answer["code"] for answer in app.answers} == {app.answers[0]["code"]}


async def test_going_back_from_the_app_asks_anew_and_sends_nothing(browser: Chromium, app: App) -> None:
    page = await ask(browser, app.url())
    first = await page.locator("input[name=flow]").get_attribute("value")
    await decide(page, "allow")
    await expect(page).to_have_title("The app")
    await page.go_back()
    await expect(page).to_have_title("Allow access? · Doorward")
    assert await page.locator("input[name=flow]").get_attribute("value") != first
    assert len(app.answers) == 1


async def test_a_double_click_on_allow_is_one_decision(browser: Chromium, app: App) -> None:
    page = await ask(browser, app.url())
    await page.get_by_role("button", name="Allow", exact=True).dblclick(no_wait_after=True)
    await expect(page).to_have_title("The app")
    assert len(app.answers) == 1


async def test_everything_works_without_javascript(doorward: RunningDoorward, open_profile: OpenProfile) -> None:
    browser = await open_profile(java_script_enabled=False)
    app = await register(doorward)
    await app.serve(browser.context)
    page = await ask(browser, app.url())
    await decide(page, "allow")
    await page.wait_for_url(f"{app.redirect_uri}?**")
    assert app.answers[0].keys() == {"code", "state", "iss"}


async def test_a_person_with_a_keyboard_only_gets_through(fresh_browser: Chromium, doorward: RunningDoorward) -> None:
    app = await register(doorward)
    await app.serve(fresh_browser.context)
    page = await fresh_browser.page()
    await page.goto(app.url())
    await expect(page.get_by_label("Email")).to_be_focused()
    await page.keyboard.type(ADMIN_EMAIL)
    await page.keyboard.press("Tab")
    await page.keyboard.type(ADMIN_PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page).to_have_title("Allow access? · Doorward")

    reached: list[str] = []
    while not reached or reached[-1] != "Allow":
        await page.keyboard.press("Tab")
        focused = page.locator(":focus")
        assert await focused.evaluate("shown => getComputedStyle(shown).outlineStyle") != "none"
        reached.append((await focused.inner_text()).strip())
        assert len(reached) < 10, reached
    # Of the three times only the one that is picked is a stop; it has no words of its own.
    assert reached == ["Skip to content", "Not you? Switch account", "", "Choose single tools…", "Deny", "Allow"]
    await page.keyboard.press("Enter")
    await expect(page).to_have_title("The app")
    assert "code" in app.answers[0]


async def test_an_app_with_a_link_of_its_own_is_opened_and_linked_to(
    doorward: RunningDoorward, browser: Chromium
) -> None:
    app = await register(doorward, "cursor://anysphere.cursor-mcp/oauth/callback")
    page = await ask(browser, app.url())
    await expect(page.get_by_text("an app on this device")).to_be_visible()
    async with page.expect_event("requestfailed", lambda request: request.url.startswith(app.redirect_uri)):
        await decide(page, "allow")  # the browser tries by itself; here nothing is installed that could open
    await expect(page.get_by_role("heading", level=1)).to_have_text("Access allowed")
    link = page.get_by_role("link", name="Open Travel planner")
    assert str(await link.get_attribute("href")).startswith(f"{app.redirect_uri}?code=")


async def test_a_refusal_leads_to_a_strangers_site_by_a_click_only(
    doorward: RunningDoorward, browser: Chromium
) -> None:
    app = await register(doorward, "https://planner.example/callback")
    await app.serve(browser.context)
    page = await ask(browser, app.url())
    await expect(page.get_by_text("planner.example", exact=True)).to_be_visible()
    await decide(page, "deny")
    await expect(page).to_have_title("Access denied · Doorward")
    assert app.answers == []
    await page.get_by_role("link", name="Continue to planner.example").click()
    await expect(page).to_have_title("The app")
    assert app.answers[0]["error"] == "access_denied"


async def test_a_web_app_keeps_hold_of_its_popup_through_every_page(
    doorward: RunningDoorward, fresh_browser: Chromium
) -> None:
    app = await register(doorward, "https://planner.example/callback")
    await app.serve(fresh_browser.context)
    await fresh_browser.context.route(
        "https://planner.example/", lambda route: route.fulfill(content_type="text/html", body="<title>Planner</title>")
    )
    opener = await fresh_browser.page()
    await opener.goto("https://planner.example/")
    async with opener.expect_popup() as opening:
        await opener.evaluate("url => { window.popup = window.open(url) }", app.url())
    popup = await opening.value
    await expect(popup).to_have_title("Sign in · Doorward")
    assert await popup.evaluate("window.opener !== null")
    await sign_in(popup, password="not the password")
    await expect(popup.get_by_role("alert")).to_be_visible()
    await sign_in(popup)
    await expect(popup).to_have_title("Allow access? · Doorward")
    assert await popup.evaluate("window.opener !== null")
    await decide(popup, "allow")
    await expect(popup).to_have_title("The app")
    assert await popup.evaluate("window.opener !== null")
    assert not await opener.evaluate("window.popup.closed")


@pytest.mark.parametrize("path", ["/login", "/oauth/authorize", "/"])
async def test_no_page_shows_itself_in_a_frame_authz_08(
    doorward: RunningDoorward, browser: Chromium, path: str
) -> None:
    frame = f'<title>Trap</title><iframe src="{doorward.issuer}{path}"></iframe>'
    await browser.context.route(
        "http://trap.localhost/", lambda route: route.fulfill(content_type="text/html", body=frame)
    )
    page = await browser.page()
    await page.goto("http://trap.localhost/")
    assert [frame.url for frame in page.frames] == ["http://trap.localhost/", "chrome-error://chromewebdata/"]
    browser.complaints.clear()  # the browser may tell of the refusal, and shall


async def test_what_somebody_slips_into_a_page_does_not_run_authz_10(
    doorward: RunningDoorward, browser: Chromium
) -> None:
    slipped = (
        '<script>document.title = "Mine"</script><style>h1 { display: none }</style>'
        '<img src="https://evil.example/pixel"><base href="https://evil.example/">'
        '<form action="https://evil.example/" id="theft"><button>Steal</button></form>'
    )

    async def slip(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(response=answer, body=await answer.text() + slipped)

    await browser.context.route(f"{doorward.issuer}/login", slip)
    page = await browser.page()
    await page.goto(f"{doorward.issuer}/login")
    await expect(page).to_have_title("Sign in · Doorward")
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    async with page.expect_console_message(lambda message: "form-action" in message.text):
        await page.get_by_role("button", name="Steal").click(no_wait_after=True)
    assert page.url == f"{doorward.issuer}/login"
    for directive in ("script-src", "style-src", "img-src", "base-uri", "form-action"):
        assert any(directive in complaint for complaint in browser.complaints), directive
    browser.complaints.clear()


async def test_pages_of_a_flow_fit_a_small_telephone(doorward: RunningDoorward, open_profile: OpenProfile) -> None:
    browser = await open_profile(viewport={"width": 360, "height": 740})
    long = "Wonderfully" * 20
    callback = f"https://{'very-long-name.' * 6}example/{'path-without-end' * 8}"
    app = await register(doorward, callback, client_name=long, redirect_uris=[callback, f"a.b.c:/{'d' * 200}"])
    await app.serve(browser.context)
    page = await browser.page()
    await page.goto(app.url(scope=f"tools:read tools:write {'unknown' * 9}", state="s" * 2000))
    assert await has_no_horizontal_scroll(page)
    await sign_in(page)
    await expect(page).to_have_title("Allow access? · Doorward")
    assert await has_no_horizontal_scroll(page)
    await decide(page, "deny")
    await expect(page).to_have_title("Access denied · Doorward")
    assert await has_no_horizontal_scroll(page)

    await page.goto(app.url(redirect_uri=f"https://elsewhere.example/{'x' * 300}"))
    await expect(page.get_by_role("heading", level=1)).to_contain_text("not registered for")
    assert await has_no_horizontal_scroll(page)


@pytest.mark.parametrize("width", [320, 360, 1280])
async def test_three_answers_stand_side_by_side_and_are_reached_in_their_order(
    doorward: RunningDoorward, open_profile: OpenProfile, width: int
) -> None:
    browser = await open_profile(viewport={"width": width, "height": 740})
    app = await register(doorward)
    await app.serve(browser.context)
    page = await ask(browser, app.url(scope="tools:read tools:write"))
    assert await has_no_horizontal_scroll(page)
    buttons = page.locator(".answer-bar button")
    boxes = [await button.bounding_box() for button in await buttons.all()]
    assert len({(box["y"], box["height"]) for box in boxes if box}) == 1
    assert not await page.evaluate(
        "[...document.querySelectorAll('.answer-bar button')].some(shown => shown.scrollWidth > shown.clientWidth)"
    )
    await buttons.first.focus()
    reached = []
    for _ in range(3):
        reached.append((await page.locator(":focus").inner_text()).strip())
        await page.keyboard.press("Tab")
    assert reached == ["Deny", "Allow reading", "Allow"]
    await page.get_by_role("button", name="Allow reading").click(no_wait_after=True)
    await expect(page).to_have_title("The app")
    assert "code" in app.answers[0]


async def test_single_tools_are_chosen_with_the_keyboard(
    doorward: RunningDoorward, browser: Chromium, app: App
) -> None:
    page = await ask(browser, app.url(scope="tools:read tools:write"))
    tick = page.get_by_role("button", name="Allow ticked")
    await expect(tick).to_be_hidden()
    await page.get_by_label("Until you take it back").focus()
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("group", name="For how long").get_by_label("One hour")).to_be_checked()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    looking = page.get_by_role("group", name="Look things up")
    await expect(looking.get_by_label("Weather forecast")).to_be_visible()
    await expect(page.get_by_role("button", name="Allow", exact=True)).to_be_hidden()
    await expect(page.get_by_role("button", name="Deny")).to_be_visible()
    changing = page.get_by_role("group", name="Make changes")
    await expect(changing.get_by_label("Book a flight")).not_to_be_checked()
    reached: list[str] = []
    while not reached or reached[-1] != "Allow ticked":
        await page.keyboard.press("Tab")
        focused = page.locator(":focus")
        assert await focused.evaluate("shown => getComputedStyle(shown).outlineStyle") != "none"
        value = await focused.get_attribute("value") or ""
        reached.append((await focused.inner_text()).strip() or value)
        if value in {"weather_forecast", "flight_search", "book_flight"}:
            await page.keyboard.press("Space")  # unticks the first two, ticks the third
    tools = ["weather_forecast", "stock_quotes", "flight_search", "book_flight"]
    assert reached == [*tools, "Deny", "Allow ticked"]
    await page.keyboard.press("Enter")
    await expect(page).to_have_title("The app")
    answer = await app.redeem()
    assert answer["scope"] == "tool:stock_quotes tool:book_flight"


async def test_single_tools_are_chosen_without_javascript_on_a_small_telephone(
    doorward: RunningDoorward, open_profile: OpenProfile
) -> None:
    browser = await open_profile(java_script_enabled=False, viewport={"width": 360, "height": 740})
    app = await register(doorward)
    await app.serve(browser.context)
    page = await ask(browser, app.url(scope="tools:read tools:write"))
    await page.get_by_text("Choose single tools…").click()
    await page.get_by_label("Book a flight").check()
    await page.get_by_label("One day").check()
    await page.get_by_role("button", name="Allow ticked").click(no_wait_after=True)
    await page.wait_for_url(f"{app.redirect_uri}?**")
    assert app.answers[0].keys() == {"code", "state", "iss"}
