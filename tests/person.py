"""A person with a browser that has no script: follows links, fills in forms, sees what a page says."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2

from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD


@dataclass
class Page:
    """A page as its reader has it: text, forms, links."""

    url: str
    status: int
    text: str
    headers: httpx2.Headers
    html: str
    forms: list[dict[str, str]] = field(default_factory=list)
    """One dict a form: its fields with their values, and its address under `action`."""
    buttons: list[tuple[str, str]] = field(default_factory=list)
    boxes: list[tuple[str, bool]] = field(default_factory=list)
    """What can be ticked, and whether it is."""
    links: dict[str, str] = field(default_factory=dict)
    """Targets by the id of the link, or by their own address."""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: list[dict[str, str]] = []
        self.buttons: list[tuple[str, str]] = []
        self.boxes: list[tuple[str, bool]] = []
        self.links: dict[str, str] = {}
        self.words: list[str] = []
        self._inside_form = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append({"action": given.get("action", "")})
            self._inside_form = True
        elif tag == "input" and self._inside_form and given.get("name"):
            # A box sends its value when it is ticked; who ticks others, or several, says so in `submit`.
            if given.get("type") not in {"radio", "checkbox"} or ("checked" in given and given["type"] == "radio"):
                self.forms[-1][given["name"]] = given.get("value", "")
            elif given["type"] == "checkbox":
                self.boxes.append((given["value"], "checked" in given))
        elif tag == "button" and given.get("name"):
            self.buttons.append((given["name"], given.get("value", "")))
        elif tag == "a" and given.get("href"):
            self.links[given.get("id") or given["href"]] = given["href"]

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside_form = False

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append(data.strip())


def read_page(response: httpx2.Response) -> Page:
    reader = _Reader()
    reader.feed(response.text)
    return Page(
        url=str(response.url),
        status=response.status_code,
        text=" ".join(" ".join(reader.words).split()),
        headers=response.headers,
        html=response.text,
        forms=reader.forms,
        buttons=reader.buttons,
        boxes=reader.boxes,
        links=reader.links,
    )


class Person:
    """One browser of one person. `http` must not follow redirects by itself."""

    def __init__(self, http: httpx2.AsyncClient, email: str = ADMIN_EMAIL, password: str = ADMIN_PASSWORD) -> None:
        self.http = http
        self.email = email
        self.password = password

    async def open(self, url: str) -> Page:
        """Go to an address, through redirects on the same server."""
        return await self._settle(await self.http.get(url))

    async def submit(self, page: Page, form: dict[str, str] | None = None, **fields: str | list[str]) -> Page:
        """Send a form of the page with some fields filled in."""
        values = dict(form or page.forms[0])
        action = urljoin(page.url, values.pop("action"))
        return await self._settle(await self.http.post(action, data={**values, **fields}))

    async def sign_in(self, page: Page) -> Page:
        """Fill in the sign-in form."""
        return await self.submit(page, email=self.email, password=self.password)

    async def consent(self, authorization_url: str, decision: str = "allow", **fields: str | list[str]) -> str:
        """Go through sign-in and consent; the address the client is answered at."""
        page = await self.open(authorization_url)
        if "password" in (page.forms[0] if page.forms else {}):
            page = await self.sign_in(page)
        assert ("decision", decision) in page.buttons, page.text
        page = await self.submit(page, None, decision=decision, **fields)
        assert page.status == 200, page.text
        return page.links["continue"]

    async def let_in_device(self, url: str, decision: str = "allow") -> Page:
        """Go through sign-in, the code and the decision for a program on another device; the last page."""
        page = await self.open(url)
        if "password" in (page.forms[0] if page.forms else {}):
            page = await self.sign_in(page)
        if ("decision", decision) not in page.buttons:
            page = await self.submit(page)
        assert ("decision", decision) in page.buttons, page.text
        return await self.submit(page, decision=decision)

    async def _settle(self, response: httpx2.Response) -> Page:
        for _ in range(10):
            if not response.has_redirect_location:
                return read_page(response)
            response = await self.http.get(urljoin(str(response.url), response.headers["location"]))
        raise AssertionError("redirected in circles")


def answer_parameters(url: str) -> dict[str, str]:
    """The parameters of an authorization response; each may be there once."""
    found = parse_qs(urlsplit(url).query, keep_blank_values=True)
    assert all(len(values) == 1 for values in found.values()), url
    return {name: values[0] for name, values in found.items()}
