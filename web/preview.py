"""Draws every page with sample data, under the policy the server sends, into web/output/ (git-ignored): look at them.

Needs jinja2, playwright and a Chromium (CHROMIUM, or /usr/bin/chromium). `preview.py consent` draws only those.
Exits 1 when a page breaks the policy or scrolls sideways.
"""

import json
import os
import sys
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from playwright.sync_api import Browser, Route, sync_playwright
from preview_data import PAGES

WEB = Path(__file__).parent
SITE = WEB.parent / "src/doorward/web"
OUTPUT = WEB / "output"
ORIGIN = "https://preview.test"  # passkeys are for secure pages alone
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
ASSETS = json.loads((SITE / "static/assets.json").read_text())
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
SIZES = ((360, 800), (1280, 900))

pages = Environment(
    loader=FileSystemLoader(SITE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    extensions=["jinja2.ext.i18n"],
)
pages.install_null_translations(newstyle=True)  # type: ignore[attr-defined]
common = {
    "project_name": "Acme Travel",
    "css_href": f"/static/{ASSETS['css']}",
    "script_href": None,
    "base": "",
    "user": None,
    "csrf": "sample",
    "reference": None,
}


def answer(route: Route) -> None:
    """Serve pages and static files from here; anything else is a redirect target, which answers nothing."""
    path = route.request.url.removeprefix(ORIGIN)
    if path.startswith("/static/"):
        route.fulfill(path=SITE / path[1:])
    elif (name := path[1:]) in PAGES:
        template, context = PAGES[name]
        script = {"script_href": f"/static/{ASSETS['passkeys']}"} if context.get("passkey_options") else {}
        html = pages.get_template(template).render(common | context | script)
        policy = f"{POLICY}; script-src 'self'" if script else POLICY
        route.fulfill(body=html, content_type="text/html; charset=utf-8", headers={"Content-Security-Policy": policy})
    else:
        route.fulfill(status=204)


def draw(browser: Browser, name: str, scheme: Scheme, size: tuple[int, int]) -> list[str]:
    complaints: list[str] = []
    tab = browser.new_page(color_scheme=scheme, viewport={"width": size[0], "height": size[1]})
    tab.on("console", lambda line: complaints.append(line.text))
    tab.route("**/*", answer)
    tab.goto(f"{ORIGIN}/{name}", wait_until="load")
    if (wide := tab.evaluate("document.documentElement.scrollWidth")) > size[0]:
        complaints.append(f"scrolls sideways: {wide} px")
    target = str(OUTPUT / f"{name}-{size[0]}-{scheme}")
    tab.screenshot(path=f"{target}.png")
    # A window as high as the page, not full_page=True: that would leave the consent page's bar in mid-page.
    tab.set_viewport_size(
        {"width": size[0], "height": max(size[1], tab.evaluate("document.documentElement.scrollHeight"))}
    )
    tab.screenshot(path=f"{target}-full.png")
    tab.close()
    return [f"{name} {size[0]} {scheme}: {text}" for text in complaints]


def main() -> int:
    OUTPUT.mkdir(exist_ok=True)
    wanted = [name for name in PAGES if not sys.argv[1:] or any(word in name for word in sys.argv[1:])]
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
            args=["--no-sandbox", "--headless", "--disable-quic", "--no-first-run", "--disable-background-networking"],
        )
        complaints = [c for n in wanted for s in SCHEMES for z in SIZES for c in draw(browser, n, s, z)]
        browser.close()
    print("\n".join(complaints) or f"{len(wanted)} pages drawn")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
