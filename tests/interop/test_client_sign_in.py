"""`doorward.client` with a person, against a running server: tokens bound to a key, and somebody who is slow."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import mcp.client.session
import pytest

from doorward.client import DoorwardAuth, DoorwardClient, MemoryStore, ShowUserCode
from tests.interop.browsers import FormBrowser
from tests.interop.tools import book, use_tools
from tests.running import RunningDoorward


class AtTheDesk:
    """An `Interaction` with a person who consents, and a browser whose last redirect is read rather than followed."""

    uses_device_grant = False
    redirect_uri = "http://127.0.0.1:8765/callback"

    def __init__(self, browser: FormBrowser) -> None:
        self.browser = browser
        self.visits = 0

    @asynccontextmanager
    async def open(self, *, registered: tuple[str, ...] = ()) -> AsyncIterator["AtTheDesk"]:
        yield self

    async def visit(self, url: str, *, state: str) -> str:
        self.visits += 1
        return str(httpx2.URL(await self.browser.person.consent(url)).query, "ascii")

    async def show_user_code(self, shown: ShowUserCode) -> None:
        raise NotImplementedError


async def test_tokens_are_bound_to_the_key_and_worth_nothing_without_it_dpop_11(
    doorward: RunningDoorward, browser: FormBrowser
) -> None:
    auth = DoorwardAuth(doorward.demo, dpop=True, interaction=AtTheDesk(browser), store=MemoryStore())
    async with DoorwardClient(doorward.demo, auth=auth) as client:
        await use_tools(client)
        tokens = await auth.session.token()
        assert tokens is not None
        assert tokens.token_type == "DPoP"
        assert await book(client) == "DW101"
    async with httpx2.AsyncClient() as thief:
        for scheme in ("Bearer", "DPoP"):
            stolen = await thief.post(
                doorward.demo, json={}, headers={"authorization": f"{scheme} {tokens.access_token}"}
            )
            assert stolen.status_code == 401


async def test_a_server_does_not_pass_for_an_old_one_while_its_person_signs_in(
    doorward: RunningDoorward, browser: FormBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    class WithoutHurry(AtTheDesk):
        async def visit(self, url: str, *, state: str) -> str:
            monkeypatch.undo()  # once they are here, what they keep waiting has lost its patience
            return await super().visit(url, state=state)

    # The SDK's own patience is ten seconds, and no person is that fast.
    monkeypatch.setattr(mcp.client.session, "DISCOVER_TIMEOUT_SECONDS", 0.01)
    sign_in = WithoutHurry(browser)
    async with DoorwardClient(doorward.demo, interaction=sign_in, store=MemoryStore()) as client:
        welcome = await client.initialize()
        assert welcome.protocol_version == "2026-07-28"
        await use_tools(client)
    assert sign_in.visits == 1
