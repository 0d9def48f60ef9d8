"""The tools of a server, asked for as by a client that can do everything: some list less to others."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import ListToolsResult, PaginatedRequestParams, Tool

from doorward.resource import PRINCIPAL, lister
from doorward.resource.catalogue import ListRefused
from doorward.resource.forward import Forwarder
from doorward.resource.lister import AppLister
from tests.resource.world import RESOURCE, bind, serve

ANYTHING = {"type": "object", "properties": {}}
Context = ServerRequestContext[Any]
ListTools = Callable[[Context, PaginatedRequestParams | None], Awaitable[ListToolsResult]]


def tell(*names: str, cursor: str | None = None) -> ListToolsResult:
    tools = [Tool(name=name, input_schema={"type": "object"}) for name in names]
    return ListToolsResult(tools=tools, next_cursor=cursor)


@asynccontextmanager
async def listing(list_tools: ListTools) -> AsyncIterator[AppLister]:
    """A lister of a server of the SDK that lists its tools as told, both for real."""
    server: Server[Any] = Server("test", on_list_tools=list_tools)
    listener, url = bind()
    with listener:
        forwarder = Forwarder(f"{url}/mcp", resource=RESOURCE)
        async with serve(server.streamable_http_app(), listener, lifespan="on"), forwarder.lifespan():
            yield AppLister(forwarder, path="/mcp", principal_key=PRINCIPAL)


async def list_names(asked: AppLister) -> list[str]:
    with anyio.fail_after(20):
        return [tool["name"] for tool in await asked()]


async def test_tools_for_clients_that_can_do_more_are_listed() -> None:
    async def list_tools(context: Context, params: PaginatedRequestParams | None) -> ListToolsResult:
        able = context.session.client_capabilities
        assert able is not None
        needed = {"elicit": able.elicitation, "sample": able.sampling, "roots": able.roots, "task": able.tasks}
        return tell("plain", *(name for name, ability in needed.items() if ability is not None))

    async with listing(list_tools) as asked:
        assert await list_names(asked) == ["plain", "elicit", "sample", "roots", "task"]


@pytest.mark.parametrize("questions", [1, 3])
async def test_a_server_that_asks_before_it_lists_is_answered_that_nobody_is_there(questions: int) -> None:
    answers: list[str] = []

    async def list_tools(context: Context, params: PaginatedRequestParams | None) -> ListToolsResult:
        for _ in range(questions):
            with pytest.raises(MCPError, match="Nobody is here") as refusal:
                await context.session.elicit("Who?", ANYTHING, related_request_id=context.request_id)
            answers.append(str(refusal.value))
        return tell("plain")

    async with listing(list_tools) as asked:
        assert await list_names(asked) == ["plain"]
    assert len(answers) == questions


async def test_a_server_that_waits_for_a_client_which_never_listens_is_asked_as_by_one_that_can_do_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lister, "PATIENCE_SECONDS", 0.5)

    async def list_tools(context: Context, params: PaginatedRequestParams | None) -> ListToolsResult:
        able = context.session.client_capabilities
        if able is not None and able.elicitation is not None:
            await context.session.elicit("Who?", ANYTHING)  # on the session's own stream
        return tell("plain")

    async with listing(list_tools) as asked:
        assert await list_names(asked) == ["plain"]


async def test_all_pages_are_read_and_a_list_without_end_is_refused() -> None:
    pages = {None: tell("a", cursor="1"), "1": tell("b", cursor="2"), "2": tell("c")}

    async def list_tools(context: Context, params: PaginatedRequestParams | None) -> ListToolsResult:
        return pages[params.cursor if params else None]

    async with listing(list_tools) as asked:
        assert await list_names(asked) == ["a", "b", "c"]
        pages["2"] = tell("d", cursor="2")
        with pytest.raises(ListRefused, match="pages"):
            await list_names(asked)
