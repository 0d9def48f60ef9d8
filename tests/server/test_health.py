"""What a load balancer asks, and what everybody is told while the database cannot serve (I11, I14)."""

from collections.abc import Awaitable, Callable
from contextlib import closing

import apsw
import pytest

from doorward.storage.executor_sqlite import SqliteDatabase
from tests.inside import LOOPBACK, Answer, Door
from tests.server.steps import INTROSPECT, REGISTER, REVOKE, TOKEN, VERIFIER, basic, bearer, refusal, success

Ask = Callable[[Door], Awaitable[Answer]]
FORM = {"grant_type": "refresh_token", "client_id": "mcl_x", "refresh_token": "mrt_x"}
API: dict[str, Ask] = {
    "register": lambda door: door.post_json(REGISTER, {"redirect_uris": [LOOPBACK]}, bearer("mrs_x")),
    "token": lambda door: door.post_form(TOKEN, FORM),
    "token with a secret": lambda door: door.post_form(TOKEN, FORM, basic("mcl_x", "secret")),
    "revoke": lambda door: door.post_form(REVOKE, {"client_id": "mcl_x", "token": "x"}),
    "introspect": lambda door: door.post_form(INTROSPECT, {"token": "x"}, bearer("mrs_x")),
}
PAGES: dict[str, Ask] = {
    "authorize": lambda door: door.call("GET", door.authorization_url("mcl_x", VERIFIER)),
    "setup": lambda door: door.call("GET", "/setup?token=mst_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAbqmUQQ"),
}
DOCUMENTS = [
    "/.well-known/oauth-authorization-server",
    "/.well-known/jwks.json",
    "/.well-known/oauth-protected-resource",
]


async def warm(door: Door) -> None:
    """The project's view is there, as in a server that has served before."""
    assert (await door.call("GET", DOCUMENTS[0])).status == 200


async def break_database(door: Door) -> None:
    await door.context.database.close()


def assert_told_to_come_back(answer: Answer) -> None:
    assert refusal(answer) == (503, "temporarily_unavailable")
    assert answer.header("retry-after") == "2"


async def test_a_server_that_can_serve_says_so(door: Door) -> None:
    for path in ("/livez", "/readyz"):
        answer = await door.call("GET", path)
        assert (answer.status, answer.json()) == (200, {"status": "ok"})
        assert answer.header("cache-control") == "no-store"


async def test_a_server_without_its_database_lives_but_is_not_ready_i14(door: Door) -> None:
    await warm(door)
    await break_database(door)
    door.clock.advance(seconds=1)
    assert (await door.call("GET", "/livez")).status == 200
    answer = await door.call("GET", "/readyz")
    assert (answer.status, answer.json()) == (503, {"status": "unavailable"})


async def test_a_server_that_cannot_write_is_not_ready_i14(door: Door) -> None:
    await warm(door)
    assert isinstance(door.context.database, SqliteDatabase)
    door.context.database._writer.set_busy_timeout(0)
    with closing(apsw.Connection(str(door.context.settings.database_path))) as other:
        other.execute("BEGIN IMMEDIATE")
        assert (await door.call("GET", "/readyz")).status == 503
        other.execute("ROLLBACK")
    assert (await door.call("GET", "/readyz")).status == 200


@pytest.mark.parametrize("seconds", [0, 1])
@pytest.mark.parametrize("name", API)
async def test_a_fault_of_ours_is_503_and_never_makes_a_client_drop_its_tokens_rev_06_i11(
    door: Door, name: str, seconds: int
) -> None:
    await warm(door)
    await break_database(door)
    door.clock.advance(seconds=seconds)
    answer = await API[name](door)
    assert_told_to_come_back(answer)
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize("name", PAGES)
async def test_people_are_told_on_a_page(door: Door, name: str) -> None:
    await warm(door)
    await break_database(door)
    answer = await PAGES[name](door)
    assert (answer.status, answer.header("content-type")) == (503, "text/html; charset=utf-8")
    assert answer.header("retry-after") == "2"
    assert "Try again in a moment." in answer.body.decode()


@pytest.mark.parametrize("path", DOCUMENTS)
async def test_documents_are_503_at_worst(door: Door, path: str) -> None:
    await warm(door)
    await break_database(door)
    door.clock.advance(seconds=1)
    answer = await door.call("GET", path)
    assert_told_to_come_back(answer)
    assert answer.header("access-control-allow-origin") == "*"


async def test_a_refresh_that_could_not_be_written_did_not_happen_i12(door: Door) -> None:
    client_id, tokens = await door.tokens()
    database = door.context.database
    assert isinstance(database, SqliteDatabase)
    database._writer.set_busy_timeout(0)
    with closing(apsw.Connection(str(door.context.settings.database_path))) as other:
        other.execute("BEGIN IMMEDIATE")
        assert_told_to_come_back(await door.refresh(client_id, tokens["refresh_token"]))
        other.execute("ROLLBACK")
    refreshed = success(await door.refresh(client_id, tokens["refresh_token"]))
    success(await door.refresh(client_id, refreshed["refresh_token"]))


async def test_a_fault_nobody_thought_of_is_500_with_a_reference_and_nothing_else(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("doorward.server.token.authenticate_client", fail)
    answer = await door.post_form(TOKEN, FORM)
    assert refusal(answer) == (500, "server_error")
    assert answer.header("x-request-id") in answer.json()["error_description"]
    assert b"secret detail" not in answer.body
    assert b"Traceback" not in answer.body


@pytest.mark.parametrize(
    "path", ["/nothing", "/api/oauth/nothing", "/p/", "/p/nobody/login", "/p/default/login", "//", "/API/oauth/token"]
)
async def test_an_address_where_nothing_is_is_404_as_json(door: Door, path: str) -> None:
    answer = await door.call("GET", path)
    assert refusal(answer) == (404, "not_found")
    assert answer.header("x-request-id")
