"""Unmodified servers behind `doorward protect`, met by unmodified clients: real processes, sockets and consent."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import mcp
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from key_value.aio.stores.memory import MemoryStore

from tests.interop.browsers import FormBrowser
from tests.interop.clients import call_with, connect_fastmcp, connect_sdk
from tests.interop.conversation import NOTES, Answering, call, talk_of_notes
from tests.interop.node.programs import Step, find_node, run_app
from tests.interop.upstreams.running import HTTP_SERVERS, Upstream, running
from tests.person import Person, answer_parameters
from tests.running import RunningDoorward, start_protect

ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])
GETTING_IN = [
    "POST /mcp 401",
    "GET /.well-known/oauth-protected-resource/mcp 200",
    "GET /.well-known/oauth-authorization-server 200",
    "POST /api/oauth/register 201",
    "POST /api/oauth/token 200",
]


@dataclass
class Behind:
    """A server, the door in front of it, and a person who comes back: signing in often would run into the limit."""

    upstream: Upstream
    door: RunningDoorward
    cookies: httpx2.Cookies

    @asynccontextmanager
    async def browsing(self) -> AsyncIterator[FormBrowser]:
        async with httpx2.AsyncClient(cookies=self.cookies) as http:
            yield FormBrowser(Person(http))
            self.cookies.update(http.cookies)


@pytest.fixture(scope="module", params=HTTP_SERVERS)
def behind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    folder = tmp_path_factory.mktemp("behind")
    with running(HTTP_SERVERS[request.param], folder / "upstream.log") as upstream:
        door = start_protect(folder / "data", upstream.url)
        yield Behind(upstream, door, httpx2.Cookies())
        assert door.stop() == 0


@ERAS
async def test_a_server_says_the_same_through_the_door_as_without_it(behind: Behind, mode: str) -> None:
    without, through = Answering(), Answering()
    async with mcp.Client(behind.upstream.url, mode=mode, **without.options) as client:
        said = await talk_of_notes(client)
    async with behind.browsing() as browser, connect_sdk(behind.door.url, browser, mode=mode, **through.options) as sdk:
        assert sdk.wire.exchanges[: len(GETTING_IN)] == GETTING_IN
        assert answer_parameters(browser.visits[0])["resource"] == behind.door.url
        assert sdk.tokens.scope == "tools:read tools:write offline_access"
        assert await talk_of_notes(sdk.client) == said
        assert len(browser.visits) == 1
    assert sorted(tool.name for tool in said[3]) == NOTES
    assert through.asked == without.asked
    if not (mode == "auto" and behind.upstream.is_fastmcp):  # which asks nothing in that revision
        assert through.asked == ["elicitation: Who are you?"]


@ERAS
async def test_fastmcps_client_is_let_in_and_uses_tools(behind: Behind, mode: str) -> None:
    async with (
        behind.browsing() as browser,
        connect_fastmcp(behind.door.url, browser, mode=mode, store=MemoryStore()) as app,
    ):
        assert sorted(tool.name for tool in await app.client.list_tools()) == NOTES
        assert "1" in await call(app.client, "add_note", text="milk")
        assert "milk" in await call(app.client, "list_notes")
        await call(app.client, "clear_notes")
        assert "no notes" in str(await app.client.read_resource("notes://all"))
        assert len(browser.visits) == 1


@pytest.mark.parametrize(("program", "mode"), [("sdk1.mjs", "legacy"), ("sdk2.mjs", "legacy"), ("sdk2.mjs", "auto")])
async def test_the_typescript_sdk_is_let_in_and_uses_tools(behind: Behind, program: str, mode: str) -> None:
    find_node()
    steps: list[Step] = [
        ["tools"],
        ["call", "add_note", {"text": "milk"}],
        ["call", "list_notes", {}],
        ["call", "clear_notes", {}],
    ]
    async with behind.browsing() as browser:
        told = await run_app(program, browser, behind.door.url, *steps, mode=mode)
        assert len(browser.visits) == 1
    assert told.error is None
    assert (sorted(told.results[1]), told.results[2:4]) == (NOTES, [{"result": 1}, {"result": ["milk"]}])
    assert told.wires[0][: len(GETTING_IN)] == GETTING_IN


async def test_a_server_is_told_who_calls_and_gets_nothing_that_opens_anything(behind: Behind) -> None:
    async with behind.browsing() as browser, connect_sdk(behind.door.url, browser) as sdk:
        told = json.loads(await call(sdk.client, "headers"))
        token, client = sdk.tokens, sdk.storage.client
        assert client is not None
        public = (await browser.person.http.get(f"{behind.door.issuer}/.well-known/doorward-identity")).json()
    sent = told.get("result", told)
    identity = verify(sent.pop("doorward-identity"), public)
    assert (identity["iss"], identity["aud"]) == (behind.door.url, behind.upstream.url)
    assert (identity["client_id"], identity["scope"]) == (client.client_id, "tools:read tools:write")
    (ada,) = behind.door.admin("user", "list")
    assert identity["sub"] in ada.values()
    assert not {"authorization", "cookie"} & sent.keys()
    assert not [name for name, value in sent.items() if token.access_token in value]


def verify(token: str, jwks: Any) -> dict[str, Any]:
    """The claims of an identity, checked as the server behind would."""
    decoded = jwt.decode(token, KeySet.import_key_set(jwks), algorithms=["ES256"])
    assert decoded.header["typ"] == "doorward-identity+jwt"
    return dict(decoded.claims)


async def test_a_session_that_its_client_ended_is_over(behind: Behind) -> None:
    async with behind.browsing() as browser, connect_sdk(behind.door.url, browser, mode="legacy") as sdk:
        await call(sdk.client, "list_notes")
        token = sdk.tokens.access_token
    session_id = str(sdk.wire.session_id)
    assert sdk.wire.exchanges[-1] == "DELETE /mcp 200"
    assert (await call_with(behind.door.url, token, mcp_session_id=session_id)).status_code == 404
