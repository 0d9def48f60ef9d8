"""Whatever arrives, what goes out is a documented status and code: never a fault, a trace or a secret.

The requests hold real clients, codes, tokens and cookies, so that the search gets past the first check (T47, T48, I11).
"""

import gc
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from doorward.asgi import BODY_LIMIT
from doorward.manage import projects
from doorward.routes import ROUTES
from doorward.storage.executor_sqlite import SqliteDatabase
from tests.inside import Door
from tests.property.wire import (
    FORM,
    Ground,
    Headers,
    Pairs,
    Sent,
    assert_documented,
    bodies,
    fields,
    headers,
    lay_ground,
    nearly_right,
    nearly_right_registrations,
    queries,
    quoted,
    requests,
    send,
)
from tests.server.steps import add_neighbour

POSTS = sorted(
    path
    for path, route in ROUTES.items()  # the admin API is searched along its own document, in tests/admin
    if "POST" in route.methods and not path.endswith("register") and not route.problems
)
MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
async def ground(door: Door) -> Ground:
    # Nothing here may reach out to what a hostile client id names.
    door.project = await projects.change_project(door.operator, door.project, {"documents": False})
    await add_neighbour(door)
    door.clock.advance(seconds=1)
    return await lay_ground(door)


async def check(ground: Ground, request: Sent) -> None:
    answer = await send(ground, request)
    assert_documented(ground, request, answer)
    event(f"answered {answer.status}")
    if answer.status == 429:
        # A spent limit would end the search here.
        assert isinstance(ground.door.context.database, SqliteDatabase)
        ground.door.context.database.execute_script("DELETE FROM throttles")


@given(request=requests)
async def test_any_request_to_any_address(ground: Ground, request: Sent) -> None:
    await check(ground, request)


@given(path=st.sampled_from(POSTS), given_headers=headers, form=fields)
async def test_any_form_to_any_endpoint(ground: Ground, path: str, given_headers: Headers, form: Pairs) -> None:
    body = "&".join(f"{quoted(name)}={quoted(value)}" for name, value in form).encode()
    kept = [header for header in given_headers if header[0] not in (b"content-type", b"host", b"transfer-encoding")]
    await check(ground, Sent("POST", path, headers=[FORM, *kept], body=(body,)))


@given(query=queries, given_headers=headers)
async def test_any_authorization_request(ground: Ground, query: bytes, given_headers: Headers) -> None:
    await check(ground, Sent("GET", "/oauth/authorize", b"client_id=$client&" + query, given_headers))


@given(body=bodies, given_headers=headers)
async def test_any_registration(ground: Ground, body: tuple[bytes, ...], given_headers: Headers) -> None:
    kept = [header for header in given_headers if header[0] != b"content-type"]
    media = (b"content-type", b"application/json")
    await check(ground, Sent("POST", "/api/oauth/register", headers=[media, *kept], body=body))


@given(request=nearly_right())
async def test_any_request_that_is_nearly_right(ground: Ground, request: Sent) -> None:
    await check(ground, request)


@given(request=nearly_right_registrations())
async def test_any_registration_that_is_nearly_right(ground: Ground, request: Sent) -> None:
    await check(ground, request)


@pytest.mark.parametrize("path", [*POSTS, "/api/oauth/register"])
async def test_a_body_without_end_is_read_to_the_limit_and_no_further_t48(ground: Ground, path: str) -> None:
    read = 0

    async def receive() -> dict[str, Any]:
        nonlocal read
        read += 4096
        return {"type": "http.request", "body": b"x" * 4096, "more_body": True}

    statuses: list[int] = []

    async def reply(message: Any) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [FORM],
        "client": ("203.0.113.9", 1),
        "scheme": "https",
    }
    await ground.door.app(scope, receive, reply)
    assert statuses == [413]
    assert read <= BODY_LIMIT + 4096


async def test_memory_does_not_grow_with_what_was_asked_i13(ground: Ground) -> None:
    def odd(number: int) -> list[Sent]:
        token = f"mrt_{number:060d}".encode()
        return [
            Sent("GET", f"/p/nobody-{number}/login"),
            Sent("GET", f"/.well-known/oauth-authorization-server/p/x{number}"),
            Sent("GET", "/login", f"next=/account?{number}".encode()),
            Sent("GET", "/static/favicon.svg"),
            Sent("GET", "/oauth/authorize", f"client_id=mcl_{number}".encode()),
            Sent(
                "POST",
                "/api/oauth/token",
                headers=[FORM],
                body=(b"grant_type=refresh_token&client_id=$client&refresh_token=" + token,),
            ),
            replace(Sent("GET", "/account"), headers=[(b"cookie", b"__Host-mcpas=mss_%d" % number)]),
        ]

    async def ask(numbers: range) -> None:
        for number in numbers:
            for request in odd(number):
                await send(ground, request)

    await ask(range(50))
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        await ask(range(50, 350))
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < MEGABYTE
