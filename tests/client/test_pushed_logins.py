"""Logins at servers that insist on pushed requests, each of which can be used once.

Spec: RFC 9126 §2, §4; CRED-01
"""

from collections.abc import AsyncIterator

import pytest

from doorward.client.errors import AuthorizationFailed
from doorward.client.stores import MemoryStore
from tests.client.hostile_server import Stage, check_nothing_leaked, is_refused, open_stage, program
from tests.client.listening import Reply


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as opened:
        opened.good.metadata |= {
            "pushed_authorization_request_endpoint": f"{opened.good.origin}/par",
            "require_pushed_authorization_requests": True,
        }
        yield opened


async def test_a_pushed_request_is_used_once_by_the_person_alone(stage: Stage) -> None:
    store = MemoryStore()
    for _ in range(2):  # the second program finds the registration of the first
        client = program(stage, store=store)
        assert (await client.request()).status_code == 200
        assert len(client.person.visited) == 1
        assert "code_challenge" not in client.person.visited[0]
        stage.good.tokens.clear()
        stage.good.faults["/token"] = lambda asked, reply: (
            Reply(b'{"error": "invalid_grant"}', 400) if b"refresh_token" in asked.body else reply
        )
    assert stage.good.count == 1
    assert stage.good.listener.paths().count("/authorize") == 2
    check_nothing_leaked(stage)


async def test_a_client_that_was_forgotten_registers_anew_where_requests_are_pushed(stage: Stage) -> None:
    store = MemoryStore()
    await program(stage, store=store).request()
    stage.good.forgotten.add("good-client-1")
    client = program(stage, store=store)
    await client.auth.session.login()
    assert stage.good.count == 2
    assert len(client.person.visited) == 1


async def test_a_server_that_forgets_every_client_is_given_up(stage: Stage) -> None:
    stage.good.forgotten |= {f"good-client-{number}" for number in range(10)}
    for _ in range(2):
        client = program(stage)
        await is_refused(client, AuthorizationFailed)
        assert client.person.visited == []
    assert stage.good.count <= 4


@pytest.mark.parametrize("answer", [b"{}", b'{"request_uri": 7}', b'{"request_uri": null}', b"[]", b""])
async def test_an_answer_that_names_no_request_opens_no_page(stage: Stage, answer: bytes) -> None:
    stage.good.faults["/par"] = Reply(answer, 201)
    client = program(stage)
    await is_refused(client, AuthorizationFailed)
    assert client.person.visited == []
