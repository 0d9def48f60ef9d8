"""What all operations share: strict bodies, pages, creations that happen once, problem details, and the document."""

import asyncio
import json
import socket
from typing import Any

import pytest

from doorward.admin.openapi import build_openapi
from doorward.admin.operations import OPERATIONS
from doorward.admin.problems import PROBLEMS
from doorward.admin.table import PREFIX, Operation
from doorward.core.models import AuditEvent
from doorward.fetch import GuardedFetcher
from doorward.manage import clients, connections, keys
from doorward.manage.idempotency import LIFE_MS, OnceDatabase
from doorward.storage.audit import record
from tests.admin.api import BY_NAME, Api, make_api
from tests.admin.conftest import World
from tests.inside import LOOPBACK, Door
from tests.manage.ground import dump

WITH_BODY = tuple(operation for operation in OPERATIONS if operation.body)
CREATIONS: dict[str, dict[str, Any]] = {
    "addProject": {"slug": "once"},
    "addResource": {"uri": "https://once.example.com/mcp"},
    "addClient": {"redirect_uris": [LOOPBACK], "confidential": True},
    "addUser": {"email": "once@example.com", "password": "a harbour at the end of time"},
    "addKey": {"capabilities": ["mint"]},
    "addAdminToken": {"name": "once", "role": "auditor"},
    "addInitialToken": {"name": "once"},
    "trustIssuer": {"issuer": "https://once.example.com", "kind": "id-jag", "jwks_uri": "https://once.example.com/j"},
    "addRule": {"client_id": "$client", "to": "$resource", "scope": "a"},
}
SECRETS = {"client_secret", "secret", "token"}


def by_name(operation: Operation) -> str:
    return operation.name


@pytest.mark.parametrize("operation", WITH_BODY, ids=by_name)
async def test_a_body_says_what_is_known_once_and_in_json_t44(world: World, operation: Operation) -> None:
    ask = world.owner.ask
    unknown = await ask(operation.name, {"skip_consent": True})
    assert (unknown.status, unknown.json()["code"]) == (422, "invalid_request")
    assert {"member": "skip_consent", "message": "Not known here."} in unknown.json()["errors"]
    for raw in (b'{"name": "a", "name": "b"}', b"{", b"[]", b'"x"', b'{"a": NaN}', b"\xff", b'{"a":"\\ud800"}'):
        malformed = await ask(operation.name, raw)
        assert (malformed.status, malformed.json()["code"]) == (400, "malformed_request"), raw
    deep = b'{"a":' * 40 + b"1" + b"}" * 40
    assert (await ask(operation.name, deep)).status == 400
    form = await ask(operation.name, b"name=a", headers={"content-type": "application/x-www-form-urlencoded"})
    assert (form.status, form.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each.method == "POST" and not each.body], ids=by_name
)
async def test_what_takes_nothing_is_told_nothing(world: World, operation: Operation) -> None:
    refused = await world.owner.ask(operation.name, {"force": True})
    assert (refused.status, refused.json()["errors"][0]["member"]) == (422, "force")


async def test_a_wrong_type_or_value_is_named_and_not_repeated(owner: Api) -> None:
    wrong = {"email": 7, "password": ["hunter2 of the harbour"], "role": "emperor"}
    refused = (await owner.ask("addUser", wrong)).json()
    assert {each["member"] for each in refused["errors"]} == {"email", "password", "role"}
    assert "hunter2" not in json.dumps(refused)
    assert "emperor" not in json.dumps(refused)
    weak = (await owner.ask("addUser", {"email": "bob@example.com", "password": "short"})).json()
    assert (weak["code"], weak["errors"][0]["member"]) == ("refused", "password")
    assert (await owner.ask("changeProject", {"name": None})).status == 422
    assert (await owner.ask("changeProject", {"signing_key_days": 1.5})).status == 422
    assert (await owner.ask("changeProject", {"signing_key_days": 9999})).json()["code"] == "refused"
    patch = {"content-type": "application/merge-patch+json"}
    assert (await owner.ask("changeProject", b'{"name":"P"}', headers=patch)).json()["name"] == "P"


async def test_parameters_are_known_and_given_once(door: Door, owner: Api) -> None:
    for query, status in (("limit=0", 422), ("limit=x", 422), ("page=2", 422), ("limit=1&limit=2", 400)):
        answer = await door.call("GET", f"{PREFIX}/users?{query}", headers=owner.bearer)
        assert answer.status == status, query
    for query in ("limit=%ff", "cursor=%00"):
        assert (await door.call("GET", f"{PREFIX}/users?{query}", headers=owner.bearer)).status == 400
    assert (await owner.ask("showProject", query={"limit": 1})).status == 422


@pytest.mark.parametrize(
    "cursor", ["x", "W10", "WzFd", "bnVsbA", "eyJhIjoxfQ", "WyJhIiwxXQ", "WzEsW11d", "W3RydWUsMV0"]
)
async def test_a_made_up_cursor_is_refused_or_leads_nowhere(owner: Api, cursor: str) -> None:
    for name in ("listUsers", "listClients", "listAudit", "listKeys"):
        answer = await owner.ask(name, query={"cursor": cursor})
        assert answer.status == 422 or answer.json()["next_cursor"] is None


async def test_pages_neither_skip_nor_repeat_while_things_come_and_go(door: Door, owner: Api) -> None:
    async def add(number: int) -> str:
        client, _ = await clients.add(door.operator, door.project, (LOOPBACK,), name=f"c{number}")
        await keys.create(door.operator, door.project, ("mint",), name=f"k{number}")
        return client.client_id

    there = []
    for number in range(7):
        there.append(await add(number))  # several in one millisecond
        door.clock.now += number % 2
    for name, key in (("listClients", "client_id"), ("listKeys", "key_id"), ("listAudit", "event_id")):
        wanted = [each[key] for each in (await owner.ask(name)).json()["items"]]
        seen: list[str] = []
        cursor = ""
        while True:
            page = (await owner.ask(name, query={"limit": 2, "cursor": cursor})).json()
            seen += [each[key] for each in page["items"]]
            door.clock.now += 1
            await add(99)
            cursor = page["next_cursor"] or ""
            if not cursor or len(seen) > len(wanted) + 5:
                break
        assert seen[: len(wanted)] == wanted
        assert len(set(seen)) == len(seen)


async def test_the_trail_is_searched_by_action_actor_and_target(door: Door, owner: Api) -> None:
    for action, actor, target in (("a", "x", "1"), ("a", "y", "2"), ("b", "x", "1")):
        await door.operator.database.write(
            record, door.project.project_id, AuditEvent(action, actor, target), door.clock()
        )

    async def search(**only: str) -> int:
        return len((await owner.ask("listAudit", query=only)).json()["items"])

    assert [await search(action="a"), await search(actor="x"), await search(target="2")] == [2, 2, 1]
    assert [await search(action="a", actor="x"), await search(action="b", target="2")] == [1, 0]


def test_every_creation_is_tried_twice() -> None:
    assert {operation.name for operation in OPERATIONS if operation.once} == CREATIONS.keys()


@pytest.mark.parametrize("name", CREATIONS)
async def test_a_creation_with_a_key_happens_once_and_shows_its_secret_once_i1(world: World, name: str) -> None:
    names = {"$client": world.ground.client.client_id, "$resource": world.ground.stopped.resource_id}
    body = {member: names.get(str(value), value) for member, value in CREATIONS[name].items()}
    if name == "addRule":
        scopes = {"scopes": [{"name": "a"}]}
        await world.owner.ask("changeResource", scopes, named={"resource_id": names["$resource"]})
    key = {"idempotency-key": f"key of {name}".replace(" ", "-")}
    first = await world.owner.ask(name, body, headers=key)
    assert (first.status, first.header("idempotency-replayed")) == (201, "")
    before = await dump(world.door.operator)
    again = await world.owner.ask(name, body, headers=key)
    assert (again.status, again.header("idempotency-replayed")) == (201, "true")
    hidden = dict.fromkeys(first.json().keys() & SECRETS)
    assert again.json() == {**first.json(), **hidden}
    other = await world.owner.ask(name, json.dumps(body).encode() + b" ", headers=key)
    assert (other.status, other.json()["code"]) == (422, "idempotency_key_reused")
    assert await dump(world.door.operator) == before
    for member in hidden:
        assert first.json()[member] not in str(before)


async def test_of_requests_at_one_moment_with_one_key_one_is_done_i1(door: Door, owner: Api) -> None:
    key = {"idempotency-key": "one"}
    asked = (owner.ask("addKey", {"capabilities": ["mint"]}, headers=key) for _ in range(8))
    answers = await asyncio.gather(*asked)
    assert {answer.status for answer in answers} <= {201, 409}
    assert {answer.json()["code"] for answer in answers if answer.status == 409} <= {"idempotency_unfinished"}
    assert len([answer for answer in answers if answer.status == 201 and answer.json()["secret"]]) == 1
    assert len(await keys.list_all(door.operator, door.project)) == 1


async def test_an_answer_that_was_lost_is_told_to_be_looked_for(
    door: Door, owner: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lose(_: OnceDatabase, __: str) -> None:
        raise RuntimeError("the process ended here")

    key = {"idempotency-key": "one"}
    with monkeypatch.context() as lost:
        lost.setattr(OnceDatabase, "keep", lose)
        assert (await owner.ask("addKey", {"capabilities": ["mint"]}, headers=key)).status == 500
    again = await owner.ask("addKey", {"capabilities": ["mint"]}, headers=key)
    assert (again.status, again.json()["code"]) == (409, "idempotency_unfinished")
    assert len(await keys.list_all(door.operator, door.project)) == 1


async def test_a_key_is_of_its_token_and_of_a_day_and_a_refusal_gives_it_back(door: Door, owner: Api) -> None:
    key, body = {"idempotency-key": "one"}, {"capabilities": ["mint"]}
    taken = {"uri": door.resource.uri}
    assert (await owner.ask("addResource", taken, headers=key)).json()["code"] == "conflict"
    first = await owner.ask("addKey", body, headers=key)
    another = await make_api(door)
    second = await another.ask("addKey", body, headers=key)
    door.clock.now += LIFE_MS
    third = await owner.ask("addKey", body, headers=key)
    assert len({answer.json()["key_id"] for answer in (first, second, third)}) == 3
    for bad in ("", "a" * 256, "ä"):
        assert (await owner.ask("addKey", body, headers={"idempotency-key": bad})).status == 400


async def test_a_refusal_has_a_code_a_type_and_the_reference_of_the_log(door: Door, owner: Api) -> None:
    answer = await owner.ask("showClient", named={"client_id": "mcl_nobody"})
    problem = answer.json()
    assert problem["type"] == "https://doorward.dev/problems/not_found"
    assert (problem["status"], problem["code"]) == (404, "not_found")
    assert problem["reference"] == answer.header("x-request-id")
    known = (await owner.ask("addResource", {"uri": door.resource.uri})).json()
    assert (known["status"], known["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/", 404),
        ("PUT", "/users", 405),
        ("DELETE", "/users", 405),
        ("POST", "/audit", 405),
        ("OPTIONS", "/users", 405),
        ("GET", "/users/\ud800", 404),
        ("GET", "/clients/a\x00b", 404),
        ("HEAD", "/users", 200),
    ],
)
async def test_other_addresses_and_methods_are_refused_in_the_same_words(
    door: Door, owner: Api, method: str, path: str, status: int
) -> None:
    answer = await door.call(method, f"{PREFIX}{path}", headers=owner.bearer)
    assert answer.status == status
    if status == 405:
        assert answer.header("allow")
    if status != 200:
        assert answer.header("content-type") == "application/problem+json"


async def test_a_body_is_read_up_to_a_megabyte_t48(owner: Api) -> None:
    refused = await owner.ask("addUser", b'{"email":"' + b"a" * 1024 * 1024 + b'"}')
    assert (refused.status, refused.json()["code"]) == (413, "body_too_large")


async def test_nothing_of_a_body_is_read_before_the_token_is_known_and_no_more_than_allowed_after_t48(
    door: Door, owner: Api
) -> None:
    read = 0

    async def receive() -> dict[str, Any]:
        nonlocal read
        read += 65_536
        return {"type": "http.request", "body": b" " * 65_536, "more_body": True}

    async def post(headers: dict[str, str]) -> int:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        raw = [(name.encode(), value.encode()) for name, value in {"host": "auth.example.com", **headers}.items()]
        scope = {"type": "http", "method": "POST", "path": f"{PREFIX}/keys", "query_string": b"", "headers": raw}
        await door.app({**scope, "client": ("203.0.113.9", 1), "scheme": "https"}, receive, send)
        return int(sent[0]["status"])

    assert (await post({}), read) == (401, 0)
    assert await post({**owner.bearer, "content-type": "application/json"}) == 413
    assert read <= 1024 * 1024 + 65_536


async def test_what_an_operator_names_is_fetched_with_the_guard_or_not_at_all_t45(
    door: Door, owner: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["169.254.169.254"]

    def connect(*_: Any) -> None:
        raise AssertionError("a packet left")

    door.context.documents.fetcher = GuardedFetcher(resolve=resolve)
    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect)
    for url in ("http://169.254.169.254/", "https://169.254.169.254/a", "https://inside.example.com/client.json"):
        refused = await owner.ask("addClient", {"document": url})
        assert (refused.status, refused.json()["code"]) == (422, "refused"), url


async def test_no_text_is_a_template_t45(door: Door, owner: Api) -> None:
    text = "{{7*7}}${7*7}<%= 7*7 %>"
    made = (await owner.ask("addResource", {"uri": "https://t.example.com/mcp", "name": text})).json()
    assert made["name"] == text
    person = door.person()
    await person.sign_in(await person.open("/login"))
    page = (await person.http.get("/dashboard/servers")).text
    assert "{{7*7}}" in page
    assert "49<" not in page


async def test_the_document_is_published_to_anybody_and_says_what_is_routed(door: Door, owner: Api) -> None:
    answer = await door.call("GET", f"{PREFIX}/openapi.json")
    document = answer.json()
    assert (answer.status, document["openapi"]) == (200, "3.1.1")
    assert document == build_openapi()
    described = {
        (method.upper(), path.removeprefix(PREFIX)) for path, methods in document["paths"].items() for method in methods
    }
    assert described == {(operation.method, operation.path) for operation in OPERATIONS}
    assert len(described) == len(OPERATIONS) == len(BY_NAME)
    assert len(answer.body) < 160_000
    told = json.dumps(document["components"]["responses"])
    assert all(code in told for code in PROBLEMS)
    assert (await owner.ask("listProjects")).status == 200


async def test_changes_are_recorded_as_the_tokens_doing(door: Door, owner: Api) -> None:
    made = (await owner.ask("addAdminToken", {"name": "ci", "role": "admin"})).json()
    api = Api(door, made["secret"])
    door.clock.advance(seconds=1)
    await api.ask("addKey", {"capabilities": ["mint"]})
    event, *_ = await connections.recent_events(door.operator, door.project)
    assert (event.action, event.actor) == ("key.created", f"admin-token:{made['token_id']}")
    listed = (await owner.ask("listAdminTokens")).json()["items"]
    assert {token["token_id"]: token["last_used_at"] for token in listed}[made["token_id"]] == door.clock()
