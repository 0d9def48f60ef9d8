"""People who read before they decide, and what a token is good for after that."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import httpx2
import mcp
import pytest
from mcp.client.streamable_http import streamable_http_client

from doorward.demo.listener import SignInRefused
from doorward.oauth.scopes import parse_scope
from tests.interop.browsers import FormBrowser
from tests.interop.clients import SDKConnection, call_with
from tests.person import Person


@dataclass
class Reader(FormBrowser):
    """A person who reads before deciding, with a client that asks for `asks` alone, if that is given."""

    asks: str | None = None
    pages: list[str] = field(default_factory=list)

    async def visit(self, url: str) -> None:
        if self.asks is not None:
            parts = urlsplit(url)
            asked = {**{name: values[0] for name, values in parse_qs(parts.query).items()}, "scope": self.asks}
            url = urlunsplit(parts._replace(query=urlencode(asked)))
        page = await self.person.open(url)
        if "password" in page.forms[0]:
            page = await self.person.sign_in(page)
        self.pages.append(page.html)
        await super().visit(url)

    @property
    def shown(self) -> list[str]:
        """The names of the tools on the last page."""
        return sorted(re.findall(r"<li [^>]*data-tool=\"([^\"]+)\"", self.pages[-1]))


@asynccontextmanager
async def reading(*, asks: str | None = None) -> AsyncIterator[Reader]:
    async with httpx2.AsyncClient() as http:
        yield Reader(Person(http), asks=asks)


async def try_call(url: str, sdk: SDKConnection, tool: str) -> httpx2.Response:
    """A call with the client's token as it is now, by a client that takes a no."""
    return await call_with(url, sdk.tokens.access_token, "tools/call", {"name": tool, "arguments": {}})


async def list_names(url: str, token: str) -> list[str]:
    """The tools that a client with this token is told of, asked for anew."""
    async with (
        httpx2.AsyncClient(headers={"authorization": f"Bearer {token}"}) as http,
        mcp.Client(streamable_http_client(url, http_client=http)) as client,
    ):
        return sorted(tool.name for tool in (await client.list_tools()).tools)


async def check_refused(sdk: SDKConnection, url: str, tool: str, scope: set[str]) -> None:
    """A call is refused, and the door says that `scope` is needed or held."""
    refused = await try_call(url, sdk, tool)
    challenge = refused.headers["www-authenticate"]
    assert (refused.status_code, 'error="insufficient_scope"' in challenge) == (403, True)
    (named,) = re.findall(r'scope="([^"]*)"', challenge)
    assert set(parse_scope(named)) == scope


def is_declined() -> pytest.RaisesGroup[SignInRefused]:
    """The SDK ends with what its app was answered."""
    return pytest.RaisesGroup(pytest.RaisesExc(SignInRefused, match="not allowed"), flatten_subgroups=True)
