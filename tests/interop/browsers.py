"""What stands at the other end of a client's sign-in address: a browser, and the system that opens it."""

import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol
from urllib.parse import urlsplit

import anyio
import pytest

from tests.person import Person, answer_parameters

LISTENING_WITHIN_SECONDS = 10


class Browser(Protocol):
    """Takes a person through sign-in and consent and back to the client."""

    visits: list[str]
    """Every sign-in address it was sent to."""

    async def visit(self, url: str) -> None:
        """Go there, decide, and follow the answer to the client."""


@dataclass
class FormBrowser:
    """A browser without script: posts forms, follows links. Its session outlives a visit."""

    person: Person
    decision: Literal["allow", "deny", "allow_chosen"] = "allow"
    visits: list[str] = field(default_factory=list)
    ticked: list[str] = field(default_factory=list)
    """The tools that the person ticks, for `allow_chosen`."""

    async def visit(self, url: str) -> None:
        self.visits.append(url)
        target = await self.person.consent(url, self.decision, tool=self.ticked)
        answer = await self.person.http.get(target)
        assert answer.status_code in {200, 400}, "the client's own listener did not answer"


@asynccontextmanager
async def opened_by_the_system(browser: Browser) -> AsyncIterator[None]:
    """`webbrowser.open` opens `browser`, at its own pace and beside the program, as a real one does."""
    async with anyio.create_task_group() as visits:

        async def visit(url: str) -> None:
            await _until_listening(answer_parameters(url)["redirect_uri"])
            await browser.visit(url)

        def open_url(url: str, new: int = 0, autoraise: bool = True) -> bool:  # noqa: FBT001, FBT002  # webbrowser's
            visits.start_soon(visit, url)
            return True

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(webbrowser, "open", open_url)
            yield


async def _until_listening(redirect_uri: str) -> None:
    """Some clients open the browser first and listen after; a person is slower than that, a test is not."""
    parts = urlsplit(redirect_uri)
    assert parts.hostname is not None
    assert parts.port is not None
    with anyio.fail_after(LISTENING_WITHIN_SECONDS):
        while True:
            try:
                stream = await anyio.connect_tcp(parts.hostname, parts.port)
            except OSError:
                await anyio.sleep(0.01)
            else:
                await stream.aclose()
                return
