"""Our client gets into Doorward in every way that Doorward knows a client, on real sockets."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest

from doorward.client.auth import DoorwardAuth
from doorward.client.connect import DoorwardClient
from doorward.client.devices import NoInteraction
from doorward.client.errors import LoginRequired
from doorward.client.interaction import Interaction
from doorward.client.storage import Store
from doorward.client.stores import FileStore
from tests.interop.browsers import FormBrowser
from tests.interop.foreign.people import PATIENCE_SECONDS, told, told_a_code
from tests.interop.kept import change_tokens, copy, kept
from tests.interop.node.documents import Authority, make_authority, serve_document
from tests.interop.tools import book, price_of_door, use_tools
from tests.person import answer_parameters
from tests.running import RunningDoorward, start_doorward

Method = Literal["given", "given with a secret", "document", "registered"]
LOOPBACK = "http://127.0.0.1/callback"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def open_to_all(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[RunningDoorward]:
    """A server that takes documents from this machine, and lets in devices."""
    environment = {
        "DOORWARD_CIMD__ALLOW_CIDRS": '["127.0.0.0/8", "::1/128"]',
        "DOORWARD_CIMD__CA_FILE": str(authority.trust),
    }
    server = start_doorward(tmp_path_factory.mktemp("doorward") / "data", "--demo", environment=environment)
    server.admin("project", "set", "device_flow=true")
    yield server
    assert server.stop() == 0


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "kept")


@pytest.fixture(autouse=True)
def no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing opens a browser on the machine that runs the tests."""
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"):
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def known_as(method: Method, server: RunningDoorward, authority: Authority) -> AsyncIterator[dict[str, Any]]:
    """The options of a client that is known that way."""
    async with AsyncExitStack() as stack:
        if method == "document":
            document = await stack.enter_async_context(serve_document(authority, [LOOPBACK]))
            yield {"client_metadata_url": document.url}
        elif method == "registered":
            yield {"client_name": "An app that registers"}
        else:
            words = ["--confidential"] if method == "given with a secret" else []
            added = server.admin("client", "add", "--redirect-uri", LOOPBACK, "--name", "Known", *words)
            yield {name: added[name] for name in ("client_id", "client_secret") if name in added}


@asynccontextmanager
async def connect(
    server: RunningDoorward, store: Store, interaction: Interaction, **options: Any
) -> AsyncIterator[DoorwardClient]:
    with anyio.fail_after(PATIENCE_SECONDS):
        async with DoorwardClient(server.demo, store=store, interaction=interaction, **options) as client:
            yield client


@pytest.mark.parametrize("method", ["given", "given with a secret", "document", "registered"])
async def test_a_client_signs_in_refreshes_steps_up_and_signs_out_rt_09_step_05(
    open_to_all: RunningDoorward, browser: FormBrowser, store: FileStore, authority: Authority, method: Method
) -> None:
    async with known_as(method, open_to_all, authority) as options:
        async with told(browser.visit) as interaction, connect(open_to_all, store, interaction, **options) as client:
            await use_tools(client)
            assert await book(client) == "DW101"
        change_tokens(store, expires_at=1.0)
        async with connect(open_to_all, store, NoInteraction(), **options) as client:
            assert await book(client) == "DW101"
        copied = copy(store)
        async with connect(open_to_all, store, NoInteraction(), **options) as client:
            assert isinstance(client.auth, DoorwardAuth)
            assert await client.auth.session.logout()
        async with connect(open_to_all, copied, NoInteraction(), **options) as client:
            with pytest.raises(LoginRequired):
                await client.list_tools()
    first, second = (answer_parameters(visit) for visit in browser.visits)
    assert first["client_id"] == second["client_id"]
    assert "tools:write" not in first["scope"]
    assert set(second["scope"].split()) > set(first["scope"].split())
    assert "tools:write" in second["scope"]


async def test_a_client_without_a_browser_is_let_in_by_a_code(
    open_to_all: RunningDoorward, browser: FormBrowser, store: FileStore
) -> None:
    async def let_in(link: str) -> None:
        page = await browser.person.let_in_device(link)
        assert "Device connected" in page.text

    async with told_a_code(let_in) as interaction, connect(open_to_all, store, interaction) as client:
        await use_tools(client)
    before = change_tokens(store, expires_at=1.0).tokens
    async with connect(open_to_all, store, NoInteraction()) as client:
        assert await price_of_door(client) > 0
    after = kept(store)[1].tokens
    assert before is not None
    assert after is not None
    assert before.refresh_token != after.refresh_token
