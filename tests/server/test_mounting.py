"""Apps beside the authorization server: started, served and stopped with it, whatever they know of lifespans."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from doorward.app import Doorward, check_mount
from doorward.core.models import Scope as ResourceScope
from doorward.manage import resources
from doorward.mounting import Later, WithLifespan, protect_in_process
from doorward.resource.asgi import Message, Receive, Scope, Send
from doorward.settings import load_settings
from doorward.starting import opened, register
from tests.resource.world import browse


class Noted:
    """An ASGI app that keeps what happened to it, and may fail at a stage of its life."""

    def __init__(self, *, fails: str = "") -> None:
        self.fails = fails
        self.events: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.events.append(scope["type"])
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"{scope['path']} {scope['state'].get('kept')}".encode()})

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.fails == "at once":
            raise ValueError("lifespan? what is that")
        if self.fails == "silently":
            return
        assert (await receive())["type"] == "lifespan.startup"
        if self.fails == "startup":
            await send({"type": "lifespan.startup.failed", "message": "no database"})
            return
        scope["state"]["kept"] = "state"
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        self.events.append("stopped")
        if self.fails == "shutdown":
            raise ValueError("cannot stop")
        failed = self.fails == "to stop"
        await send({"type": "lifespan.shutdown.failed" if failed else "lifespan.shutdown.complete"})


@asynccontextmanager
async def asked(app: WithLifespan | Later, path: str = "/mcp") -> AsyncIterator[Callable[[], str]]:
    """The app while it runs, asked once."""
    said: list[str] = []
    async with app.lifespan():
        async with browse(app) as client:
            said.append((await client.get(path)).text)
        yield said.pop


@pytest.mark.parametrize("fails", ["", "shutdown", "to stop"])
async def test_an_app_lives_as_long_as_the_server_and_its_requests_see_its_state(fails: str) -> None:
    app = Noted(fails=fails)
    async with asked(WithLifespan(app)) as answer:
        assert answer() == "/mcp state"
        assert app.events == ["lifespan", "http"]
    assert app.events == ["lifespan", "http", "stopped"]


@pytest.mark.parametrize("fails", ["at once", "silently"])
async def test_an_app_that_knows_no_lifespan_is_served_all_the_same(fails: str) -> None:
    async with asked(WithLifespan(Noted(fails=fails))) as answer:
        assert answer() == "/mcp None"


async def test_an_app_that_says_it_cannot_start_stops_the_start() -> None:
    with pytest.raises(RuntimeError, match="no database"):
        async with WithLifespan(Noted(fails="startup")).lifespan():
            pass


async def test_who_asks_for_an_app_that_is_loaded_later_waits_for_it() -> None:
    async with asked(Later(lambda: WithLifespan(Noted()))) as answer:
        assert answer() == "/mcp state"


@pytest.mark.parametrize("fails", ["startup", "to be built"])
async def test_an_app_that_cannot_be_loaded_fails_those_who_ask_for_it_and_nobody_waits(fails: str) -> None:
    def build() -> WithLifespan:
        if fails == "to be built":
            raise RuntimeError("did not start")
        return WithLifespan(Noted(fails=fails))

    later = Later(build)
    with anyio.fail_after(10):
        async with later.lifespan():
            with pytest.raises(RuntimeError, match="did not start"):
                async with browse(later) as client:
                    await client.get("/mcp")
    with pytest.raises(RuntimeError, match="not running"):
        await Later(build)({"type": "http"}, _never, _nowhere)


async def _never() -> Message:
    raise AssertionError("nothing is read")


async def _nowhere(_: Message) -> None:
    raise AssertionError("nothing is sent")


async def test_a_server_is_guarded_at_its_path_and_everywhere_below_it(tmp_path: Path) -> None:
    settings = load_settings({"data": tmp_path / "data", "issuer": "https://door.test"}, environ={})
    app = Noted()
    async with opened(settings) as parts:
        uri = f"{settings.public_url}/a/mcp"
        await register(parts.operator, parts.project, uri, name="A", scopes=(ResourceScope("read", "Read"),))
        guarded = protect_in_process(parts.context, uri, app, challenge_scopes=["read"])
        door = Doorward(parts.context, {"/a": WithLifespan(Noted()), "/a/mcp": guarded})
        async with door.running(), browse(door, settings.public_url) as client:
            refused = [(await client.get(path)).status_code for path in ("/a/mcp", "/a/mcp/", "/a/mcp/deep")]
            open_to_all = [(await client.get(path)).status_code for path in ("/a", "/a/m", "/livez")]
            beside = (await client.get("/a/mcpx")).text, (await client.get("/ab")).status_code
            document = (await client.get("/.well-known/oauth-protected-resource/a/mcp")).json()
    assert (refused, open_to_all, beside) == ([401] * 3, [200] * 3, ("/a/mcpx state", 404))
    assert (document["resource"], document["authorization_servers"]) == (uri, ["https://door.test"])
    assert app.events == ["lifespan", "stopped"]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "mcp",
        "/mcp/",
        "/oauth",
        "/oauth/authorize",
        "/api",
        "/p",
        "/livez",
        "/.well-known",
        "/.well-known/jwks.json",
    ],
)
def test_no_app_takes_an_address_of_the_authorization_server_away(path: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        check_mount(path)


async def test_a_resource_that_is_registered_again_keeps_what_operators_said_of_it(tmp_path: Path) -> None:
    settings = load_settings({"data": tmp_path / "data", "issuer": "https://door.test"}, environ={})
    read, write = ResourceScope("read", "read"), ResourceScope("write", "write", kind="write")
    async with opened(settings) as parts:
        operator, project, uri = parts.operator, parts.project, f"{settings.public_url}/mcp"
        first = await register(operator, project, uri, name="A", scopes=(read,))
        described = ResourceScope("read", "Read your notes")
        await resources.change(operator, first, name="Notes", scopes=(described, ResourceScope("more", "More")))
        again = await register(operator, project, uri, name="A", scopes=(read, write))
        assert (again.name, [scope.title for scope in again.scopes]) == ("Notes", ["Read your notes", "More", "write"])
        assert await register(operator, project, uri, name="A", scopes=(read, write)) == again
        plain = await register(operator, project, uri, name="A", scopes=(read,), keep=False)
        assert (plain.name, plain.scopes) == ("Notes", (read,))
        await parts.context.database.close()
