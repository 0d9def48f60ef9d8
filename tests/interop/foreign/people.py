"""Somebody at the pages of each of the authorization servers, over HTTP, who signs in and lets a client in."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import anyio
import httpx2

from doorward.client.browser import BrowserInteraction
from doorward.client.devices import DeviceInteraction
from tests.person import read_page

EMAIL, NAME, PASSWORD = "ada@example.com", "ada", "a quiet harbour at dawn"
LONGEST_WAY = 12
ALLOW = {("action", "approve")}
Visit = Callable[[str], Coroutine[Any, Any, None]]
PATIENCE_SECONDS = 60
Answer = Callable[[httpx2.AsyncClient, httpx2.Response], Awaitable[httpx2.Response]]


@dataclass
class Somebody:
    """A person who goes where a client sends them, and back to the client with the answer.

    Their cookies last for as long as they do; `visits` are the addresses that clients sent them to.
    """

    answer: Answer
    visits: list[str] = field(default_factory=list)
    cookies: httpx2.Cookies = field(default_factory=httpx2.Cookies)

    async def visit(self, url: str) -> None:
        """Sign in, allow, and follow the answer to where the client waits for it."""
        self.visits.append(url)
        async with httpx2.AsyncClient(cookies=self.cookies, timeout=PATIENCE_SECONDS) as http:
            response = await self._settle(http, await http.get(url), url)
            for _ in range(LONGEST_WAY):
                if _is_back(response):
                    break
                response = await self._settle(http, await self.answer(http, response), url)
            assert _is_back(response), response.text
            self.cookies.update(http.cookies)

    async def enter_code(self, url: str) -> None:
        """Sign in and allow, for a client on another device: until a page asks nothing any more."""
        self.visits.append(url)
        async with httpx2.AsyncClient(cookies=self.cookies, timeout=PATIENCE_SECONDS) as http:
            response = await self._settle(http, await http.get(url), url)
            for _ in range(LONGEST_WAY):
                if not read_page(response).forms:
                    break
                response = await self._settle(http, await self.answer(http, response), url)
            assert response.status_code == 200, response.text

    async def _settle(self, http: httpx2.AsyncClient, response: httpx2.Response, url: str) -> httpx2.Response:
        """Through redirects, wherever they lead."""
        for _ in range(LONGEST_WAY):
            if not response.has_redirect_location:
                return response
            response = await http.get(urljoin(str(response.url), response.headers["location"]))
        raise AssertionError(f"redirected in circles from {url}")


def _is_back(response: httpx2.Response) -> bool:
    """At our client's own listener, which says so."""
    return response.url.path == "/callback" and "Back to your program" in response.text


async def fill_in(http: httpx2.AsyncClient, response: httpx2.Response) -> httpx2.Response:
    """Whatever the page asks: a name and a password, or a click."""
    page = read_page(response)
    assert page.forms, page.text
    form = dict(page.forms[0])
    action = urljoin(page.url, form.pop("action"))
    known = {"username": NAME, "login": NAME, "password": PASSWORD}
    pressed = dict([button for button in page.buttons if button in ALLOW])
    return await http.post(action, data={**form, **{name: known[name] for name in form if name in known}, **pressed})


async def post_as_better_auth_pages_do(http: httpx2.AsyncClient, response: httpx2.Response) -> httpx2.Response:
    """What the script of a sign-in page and of a consent page sends, and where it goes then."""
    origin = f"{response.url.scheme}://{response.url.netloc.decode()}"
    query = response.url.query.decode()
    said = (
        {"email": EMAIL, "password": PASSWORD, "oauth_query": query}
        if response.url.path == "/login"
        else {"accept": True, "oauth_query": query}
    )
    path = "/api/auth/sign-in/email" if response.url.path == "/login" else "/api/auth/oauth2/consent"
    answer = await http.post(origin + path, json=said, headers={"origin": origin})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    return await http.get(urljoin(origin, told.get("url") or told["redirect_uri"]))


@asynccontextmanager
async def told(visit: Visit, port: int | None = None) -> AsyncIterator[BrowserInteraction]:
    """A client's way to ask a person who opens by hand what it tells them to open, and who comes back to `port`."""
    async with anyio.create_task_group() as visits:

        def announce(text: str) -> None:
            if found := re.search(r"https?://\S+", text):
                visits.start_soon(visit, found[0])

        yield BrowserInteraction(port, announce=announce, timeout_seconds=PATIENCE_SECONDS)


@asynccontextmanager
async def told_a_code(visit: Visit) -> AsyncIterator[DeviceInteraction]:
    """A client's way to ask a person who goes where it says, with the code it shows."""
    async with anyio.create_task_group() as visits:

        def announce(text: str) -> None:
            found = re.search(r"Or open (\S+)", text)
            assert found, text
            visits.start_soon(visit, found[1])

        yield DeviceInteraction(announce=announce)
