"""A guard elsewhere tells its server's tools, and the next consent page shows them."""

import json
from dataclasses import replace
from typing import Any

import pytest

from doorward.core.limits import TOOLS_KEY
from doorward.core.models import Capability, Resource, Scope
from doorward.core.tools import GROUPS
from doorward.manage import keys, resources
from doorward.oauth.tools import MAX_TOOLS
from doorward.server.tools import TOOLS_BODY_LIMIT
from doorward.storage.audit import list_events
from tests.inside import RESOURCE, Answer, Door
from tests.person import Person
from tests.server.steps import add_neighbour, bearer, claims_of, project_key, refusal, success

TOOLS = "/api/oauth/tools"
LOOK = {"name": "look", "title": "Have a look", "kind": "read", "digest": "1"}
BOOK = {"name": "book", "title": "Book it", "kind": "write", "digest": "1"}
DROP = {"name": "drop", "title": "Drop everything", "kind": "destructive", "digest": "1"}
BOTH = "tools:read tools:write"


@pytest.fixture
async def key(door: Door) -> str:
    """Of a guard, for a resource whose operator wrote down no tools."""
    door.clock.advance(seconds=1)
    await resources.change(door.operator, door.resource, scopes=GROUPS, default_scopes=("tools:read",))
    return await project_key(door, "introspect")


async def put(door: Door, key: str | None, members: Any, *, prefix: str = "") -> Answer:
    headers = {"content-type": "application/json", **(bearer(key) if key else {})}
    return await door.call("PUT", f"{prefix}{TOOLS}", json.dumps(members).encode(), headers)


async def tell(door: Door, key: str, *listed: Any, **more: Any) -> dict[str, Any]:
    """What the guard is answered."""
    answer = success(await put(door, key, {"resource": RESOURCE, "tools": listed, **more}))
    door.clock.advance(seconds=1)
    return answer


async def stored(door: Door) -> Resource:
    return await resources.get(door.operator, door.project, RESOURCE)


def since(answer: dict[str, Any]) -> dict[str, int]:
    return {tool["name"]: tool["since"] for tool in answer["tools"]}


async def test_a_list_is_answered_with_the_version_of_each_tool(door: Door, key: str) -> None:
    first = door.clock()
    assert await tell(door, key, LOOK, BOOK) == {
        "version": first,
        "tools": [{**LOOK, "since": first, "is_listed": True}, {**BOOK, "since": first, "is_listed": True}],
    }
    second = door.clock()
    answer = await tell(door, key, LOOK, {**BOOK, "digest": "2"}, DROP)
    assert (answer["version"], since(answer)) == (second, {"look": first, "book": second, "drop": second})
    answer = await tell(door, key, LOOK)
    assert {tool["name"]: tool["is_listed"] for tool in answer["tools"]} == {"look": True, "book": False, "drop": False}
    assert answer["version"] == second


async def test_what_was_told_is_on_the_next_page_and_its_version_in_the_token(
    door: Door, key: str, person: Person
) -> None:
    before = claims_of((await door.tokens(scope=BOTH))[1]["access_token"])
    assert "tools_at" not in before
    answer = await tell(door, key, LOOK, DROP)
    client_id = (await door.register())["client_id"]
    page = await person.sign_in(await person.open(door.authorization_url(client_id, "v" * 64, scope=BOTH)))
    assert all(words in page.text for words in ("Have a look", "Drop everything", "deletes"))
    after = claims_of((await door.tokens(scope=f"{BOTH} tool:drop"))[1]["access_token"])
    assert (after["tools_at"], after["scope"].split()[-1]) == (answer["version"], "tool:drop")


async def test_the_same_list_again_changes_nothing_and_is_audited_once(door: Door, key: str) -> None:
    answers = [await tell(door, key, LOOK, BOOK) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    await tell(door, key, {**LOOK, "digest": "2"}, DROP)
    events = await door.context.database.read(list_events, door.project.project_id)
    told = [event for event in events if event.action == "resource.tools_changed"]
    assert [event.detail for event in told] == [
        {"added": ["drop"], "changed": ["look"], "removed": ["book"]},
        {"added": ["book", "look"], "changed": [], "removed": []},
    ]
    (guard,) = await keys.list_all(door.operator, door.project)
    assert {(event.actor, event.target) for event in told} == {(f"key:{guard.key_id}", door.resource.resource_id)}


async def test_the_first_list_is_held_back_from_consents_before_it(door: Door, key: str) -> None:
    assert (await tell(door, key))["tools"] == []
    assert since(await tell(door, key, LOOK))["look"] > 0


async def test_a_resource_gets_the_groups_it_lacks_and_words_of_operators_stay(door: Door, key: str) -> None:
    ours = (Scope("tools:read", "Ours", "In our words", "read"), Scope("bookings", "Bookings", "", "write"))
    await resources.change(door.operator, await stored(door), scopes=ours, default_scopes=())
    door.clock.advance(seconds=1)
    await tell(door, key, LOOK, BOOK, DROP, scopes={"book": ["bookings"], "other": ["tools:read"]})
    scopes = (await stored(door)).scopes
    assert [replace(scope, tools=()) for scope in scopes] == [*ours, GROUPS[1]]
    assert [[tool.name for tool in scope.tools] for scope in scopes] == [["look"], ["book"], ["drop"]]
    assert (await stored(door)).default_scopes == ()


async def test_a_resource_without_any_scope_is_as_if_it_had_been_added_with_those_of_its_tools(
    door: Door, key: str
) -> None:
    await resources.change(door.operator, await stored(door), scopes=(), default_scopes=())
    door.clock.advance(seconds=1)
    await tell(door, key, LOOK, BOOK)
    resource = await stored(door)
    assert (resource.scope_names, resource.default_scopes) == (("tools:read", "tools:write"), ("tools:read",))


@pytest.mark.parametrize("capability", ["register", "mint", None])
async def test_telling_needs_a_key_that_may_introspect_t16(door: Door, key: str, capability: Capability | None) -> None:
    other = await project_key(door, capability) if capability else None
    answer = await put(door, other, {"resource": RESOURCE, "tools": [LOOK]})
    assert refusal(answer) == (401, "invalid_token")
    assert answer.header("www-authenticate").startswith("Bearer")
    assert (await stored(door)).tools == ()


async def test_a_key_that_was_revoked_or_is_another_projects_tells_nothing_t16(door: Door, key: str) -> None:
    neighbour = await add_neighbour(door, same_resource=RESOURCE)
    _, foreign = await keys.create(door.operator, neighbour, ("introspect",))
    members = {"resource": RESOURCE, "tools": [LOOK]}
    assert refusal(await put(door, foreign, members)) == (401, "invalid_token")
    assert refusal(await put(door, key, members, prefix="/p/acme")) == (401, "invalid_token")
    (guard,) = await keys.list_all(door.operator, door.project)
    await keys.revoke(door.operator, door.project, guard.key_id)
    assert refusal(await put(door, key, members)) == (401, "invalid_token")
    assert (await stored(door)).tools == ()
    assert success(await put(door, foreign, members, prefix="/p/acme"))["tools"][0]["name"] == "look"
    assert (await stored(door)).tools == ()


async def test_a_key_for_one_server_tells_of_no_other_and_none_makes_a_server(door: Door, key: str) -> None:
    uri = "https://other.example.com/mcp"
    other = await resources.add(door.operator, door.project, uri)
    door.clock.advance(seconds=1)
    own = await project_key(door, "introspect", resource=other)
    members = {"resource": RESOURCE, "tools": [LOOK]}
    foreign, unknown = await put(door, own, members), await put(door, own, {**members, "resource": f"{uri}/none"})
    assert refusal(foreign) == refusal(unknown) == (404, "invalid_target")
    assert success(await put(door, own, {**members, "resource": uri}))["tools"][0]["name"] == "look"
    assert refusal(await put(door, key, {**members, "resource": f"{uri}/none"})) == (404, "invalid_target")
    assert {resource.uri for resource in await resources.list_all(door.operator, door.project)} == {RESOURCE, uri}
    assert (await stored(door)).tools == ()


async def test_a_server_that_was_removed_a_moment_ago_is_not_known(door: Door, key: str) -> None:
    await tell(door, key, LOOK)
    await door.context.tenancy.find()
    await resources.remove(door.operator, door.resource)
    assert refusal(await put(door, key, {"resource": RESOURCE, "tools": [LOOK]})) == (404, "invalid_target")


async def test_a_server_may_be_told_of_by_an_alias(door: Door, key: str) -> None:
    alias = "https://old.example.com/mcp"
    settings = replace((await stored(door)).settings, aliases=(alias,))
    await resources.change(door.operator, await stored(door), settings=settings)
    door.clock.advance(seconds=1)
    success(await put(door, key, {"resource": alias, "tools": [LOOK]}))
    assert [tool.name for tool in (await stored(door)).tools] == ["look"]


NO_TOOLS: list[Any] = [
    None,
    "look",
    {"look": LOOK},
    [None],
    ["look"],
    [[]],
    [LOOK, LOOK],
    [LOOK, {**LOOK, "kind": "write"}],
    [{name: value for name, value in LOOK.items() if name != "digest"}],
    [{**LOOK, "name": ""}],
    [{**LOOK, "name": "lo\nok"}],
    [{**LOOK, "name": "look\u202e"}],
    [{**LOOK, "name": "x" * 257}],
    [{**LOOK, "name": 1}],
    [{**LOOK, "title": None}],
    [{**LOOK, "kind": "harmless"}],
    [{**LOOK, "kind": ["read"]}],
    [{**LOOK, "digest": ""}],
    [{**LOOK, "digest": "x" * 65}],
    [{**LOOK, "digest": "a b"}],
    [{**LOOK, "digest": "a\n"}],
    [{**LOOK, "digest": 1}],
    [{**LOOK, "name": f"tool-{number}"} for number in range(MAX_TOOLS + 1)],
]


@pytest.mark.parametrize("listed", NO_TOOLS)
async def test_a_list_that_is_none_is_refused_whole(door: Door, key: str, listed: Any) -> None:
    assert refusal(await put(door, key, {"resource": RESOURCE, "tools": listed})) == (400, "invalid_request")
    assert (await stored(door)).scopes == GROUPS


@pytest.mark.parametrize(
    ("scopes", "code"),
    [
        (None, "invalid_request"),
        (["tools:read"], "invalid_request"),
        ({"look": "tools:read"}, "invalid_request"),
        ({"look": [1]}, "invalid_request"),
        ({"look": [["tools:read"]]}, "invalid_request"),
        ({"look": ["everything"]}, "invalid_scope"),
        ({"look": ["offline_access"]}, "invalid_scope"),
        ({"look": ["tool:*"]}, "invalid_scope"),
        ({"look": ["tools:read", "a b"]}, "invalid_scope"),
    ],
)
async def test_a_guard_makes_no_scope_that_its_operator_has_not_made(
    door: Door, key: str, scopes: Any, code: str
) -> None:
    answer = await put(door, key, {"resource": RESOURCE, "tools": [LOOK], "scopes": scopes})
    assert refusal(answer) == (400, code)
    assert (await stored(door)).scopes == GROUPS


@pytest.mark.parametrize(
    ("body", "media", "status"),
    [
        (b"", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"{", "application/json", 400),
        (b"{}", "application/json", 400),
        (b"{}", "text/plain", 400),
        (b'{"resource": 1, "tools": []}', "application/json", 400),
        (b'{"resource": "", "tools": []}', "application/json", 400),
        (f'{{"resource": "{RESOURCE}", "tools": [], "tools": []}}'.encode(), "application/json", 400),
        (f'{{"resource": "{RESOURCE}", "tools": NaN}}'.encode(), "application/json", 400),
        (b'{"resource": ' + b"[" * 50_000, "application/json", 400),
        (b'{"resource": ' + b"[" * 50 + b"]" * 50 + b"}", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b" " * (TOOLS_BODY_LIMIT + 1), "application/json", 413),
    ],
)
async def test_a_body_that_cannot_be_read_one_way_only_is_refused(
    door: Door, key: str, body: bytes, media: str, status: int
) -> None:
    answer = await door.call("PUT", TOOLS, body, {"content-type": media, **bearer(key)})
    assert refusal(answer)[0] == status
    assert (await stored(door)).scopes == GROUPS


async def test_nobody_without_a_key_is_listened_to_for_long(door: Door) -> None:
    answer = await door.call("PUT", TOOLS, b" " * (TOOLS_BODY_LIMIT + 1), {"content-type": "application/json"})
    assert refusal(answer) == (401, "invalid_token")


async def test_the_longest_list_fits(door: Door, key: str) -> None:
    longest = [
        {**LOOK, "name": f"{number:04}" + "é" * 96, "title": "ü" * 128, "digest": "d" * 64} for number in range(1000)
    ]
    body = json.dumps({"resource": RESOURCE, "tools": longest}, ensure_ascii=False).encode()
    answer = success(await door.call("PUT", TOOLS, body, {"content-type": "application/json", **bearer(key)}))
    assert len(answer["tools"]) == MAX_TOOLS


async def test_a_title_cannot_turn_the_page_around(door: Door, key: str) -> None:
    (tool,) = (await tell(door, key, {**LOOK, "title": "Look\u202e me\n" + "x" * 500}))["tools"]
    assert tool["title"] == ("Look me" + "x" * 500)[:128]


async def test_a_key_that_tells_without_end_has_to_wait(door: Door, key: str) -> None:
    members = {"resource": RESOURCE, "tools": []}
    for _ in range(TOOLS_KEY.burst):
        assert (await put(door, key, members)).status == 200
    answer = await put(door, key, members)
    assert refusal(answer) == (429, "temporarily_unavailable")
    assert int(answer.header("retry-after")) > 0
    assert (await put(door, await project_key(door, "introspect"), members)).status == 200


async def test_no_page_of_another_origin_may_tell_of_tools(door: Door) -> None:
    asked = {"origin": "https://app.example.com", "access-control-request-method": "PUT"}
    answer = await door.call("OPTIONS", TOOLS, headers=asked)
    assert (answer.status, answer.header("access-control-allow-origin")) == (405, "")
