"""A person may give single tools: what is ticked, of what was on the page, and nothing else (T14, T41)."""

import anyio
import pytest

from doorward.core.choices import MAX_CHOSEN
from doorward.core.models import DEVICE_CODE, Scope, Tool
from doorward.core.tools import GROUPS
from doorward.local_tools import LocalTools
from doorward.manage import resources
from doorward.oauth.tools import MAX_TOOLS, ListedTool
from tests.inside import RESOURCE, Door
from tests.person import Person, answer_parameters
from tests.server import devices
from tests.server.choosing import (
    ALL,
    BOOK,
    DROP,
    FIND,
    LOOK,
    ask,
    assert_undecided,
    choose,
    decisions,
    keep_tools,
    learn,
    redeemed,
)
from tests.server.steps import TOKEN, VERIFIER, WEB_REDIRECT, claims_of, success

CHOOSING = ("decision", "allow_chosen")


@pytest.fixture
async def store(door: Door) -> LocalTools:
    return await keep_tools(door, LOOK, FIND, BOOK, DROP)


@pytest.fixture
async def client_id(door: Door) -> str:
    return str((await door.register())["client_id"])


@pytest.mark.parametrize(
    ("asked", "ticked", "given"),
    [
        (f"{ALL} offline_access", ["drop", "look"], "tool:look tool:drop offline_access"),
        ("tool:*", ["book"], "tool:book"),
        ("tool:look tool:drop", ["look"], "tool:look"),
        (ALL, ["look", "find", "book", "drop"], "tool:look tool:find tool:book tool:drop"),
        (ALL, ["look", "look", "look"], "tool:look"),
    ],
)
async def test_the_app_gets_the_tools_that_were_ticked_and_is_told(
    door: Door, store: LocalTools, person: Person, client_id: str, asked: str, ticked: list[str], given: str
) -> None:
    page = await choose(person, await ask(door, person, client_id, asked), *ticked)
    answer = await redeemed(door, client_id, page)
    assert answer["scope"] == given
    refreshed = success(await door.refresh(client_id, str(answer["refresh_token"])))
    in_token = given.removesuffix(" offline_access")
    tokens = (str(answer["access_token"]), refreshed["access_token"])
    assert [claims_of(token)["scope"] for token in tokens] == [in_token] * 2
    (event,) = await decisions(door)
    assert event.detail["scope"] == given
    assert set(str(event.detail["not_allowed"]).split()) == set(asked.split()) - set(given.split())


async def test_what_only_looks_is_ticked_and_what_changes_or_deletes_is_not(
    door: Door, store: LocalTools, person: Person, client_id: str
) -> None:
    page = await ask(door, person, client_id)
    assert page.boxes == [("look", True), ("find", True), ("book", False), ("drop", False)]
    assert CHOOSING in page.buttons


async def test_the_next_time_what_was_given_is_ticked_and_never_what_deletes(
    door: Door, store: LocalTools, person: Person, client_id: str
) -> None:
    await choose(person, await ask(door, person, client_id), "look", "book", "drop")
    changed = ListedTool("look", "Have a look", "read", "2")
    await learn(door, store, changed, FIND, BOOK, DROP)
    page = await ask(door, person, client_id)
    assert dict(page.boxes) == {"look": False, "find": False, "book": True, "drop": False}


async def test_a_later_request_for_one_more_tool_shows_what_is_new_beside_what_is_kept_step_08(
    door: Door, store: LocalTools, person: Person, client_id: str
) -> None:
    await choose(person, await ask(door, person, client_id), "look", "book")
    door.clock.advance(seconds=1)
    page = await ask(door, person, client_id, "tool:look tool:book tool:drop")
    told = "More than you last allowed: Delete or overwrite: Drop everything Kept from last time: 2 of the tools below."
    assert told in page.text
    assert all(f'data-tool="{tool}"' in page.html for tool in ("look", "book", "drop"))
    answer = await redeemed(door, client_id, await person.submit(page, decision="allow"))
    assert answer["scope"] == "tool:look tool:book tool:drop"
    door.clock.advance(seconds=1)
    assert "More than you last allowed" not in (await ask(door, person, client_id, "tool:look tool:drop")).text


async def test_new_and_changed_tools_and_those_held_back_before_are_told_apart(
    door: Door, store: LocalTools, person: Person, client_id: str
) -> None:
    await choose(person, await ask(door, person, client_id), "look", "book")
    await learn(door, store, LOOK, FIND, ListedTool("book", "Book it", "write", "2"), DROP)
    text = (await ask(door, person, client_id)).text
    assert "New or changed since you last allowed this: Make changes: Book it More than you last allowed:" in text
    assert "Look things up: Find it Delete or overwrite: Drop everything Kept from last time: 1 of" in text


@pytest.mark.parametrize(
    ("asked", "ticked"),
    [
        (ALL, []),
        (ALL, ["nothing"]),
        (ALL, ["look", "nothing"]),
        (ALL, ["*"]),
        (ALL, ["tool:look"]),
        (ALL, ["look ", "tools:write"]),
        ("tools:read", ["look", "book"]),
        ("tool:look tool:find", ["drop"]),
        (ALL, [f"t{number}" for number in range(MAX_CHOSEN + 1)]),
    ],
)
async def test_what_was_not_on_the_page_cannot_be_ticked_t41(
    door: Door, store: LocalTools, person: Person, client_id: str, asked: str, ticked: list[str]
) -> None:
    page = await ask(door, person, client_id, asked)
    assert_undecided(await choose(person, page, *ticked))
    assert await decisions(door) == []
    assert "continue" in (await person.submit(page, decision="allow")).links


async def test_a_tool_of_another_request_is_none_of_this_one_t2(
    door: Door, store: LocalTools, person: Person, client_id: str
) -> None:
    reading, writing = [await ask(door, person, client_id, scope) for scope in ("tools:read", "tools:write")]
    swapped = {**writing.forms[0], "flow": reading.forms[0]["flow"]}
    assert_undecided(await person.submit(writing, swapped, decision="allow_chosen", tool="drop"))
    answer = await redeemed(door, client_id, await choose(person, writing, "drop"))
    assert answer["scope"] == "tool:drop"


@pytest.mark.parametrize("change", ["changed", "gone", "older page"])
async def test_a_tool_that_is_not_as_it_was_shown_is_not_given_t14(
    door: Door, store: LocalTools, person: Person, client_id: str, change: str
) -> None:
    page = await ask(door, person, client_id)
    others = {"changed": [ListedTool("book", "Book it", "destructive", "2")], "gone": [], "older page": [BOOK]}[change]
    await learn(door, store, LOOK, FIND, *others, DROP)
    fields = {"tools_at": "1"} if change == "older page" else {}
    assert_undecided(await choose(person, page, "look", "book", **fields))
    if change != "older page":
        answer = await redeemed(door, client_id, await choose(person, page, "look"))
        assert claims_of(str(answer["access_token"]))["tools_at"] == int(page.forms[0]["tools_at"])


async def test_a_server_that_lists_less_for_a_while_ends_no_connection_of_those_who_chose(
    door: Door, store: LocalTools, person: Person, client_id: str
) -> None:
    answer = await redeemed(door, client_id, await choose(person, await ask(door, person, client_id), "look"))
    token = str(answer["refresh_token"])
    for listed in ([FIND], [], [LOOK, FIND]):
        await learn(door, store, *listed)
        refreshed = success(await door.refresh(client_id, token))
        assert refreshed["scope"] == "tool:look"
        token = refreshed["refresh_token"]
    await resources.change(door.operator, await resources.get(door.operator, door.project, RESOURCE), scopes=GROUPS)
    door.clock.advance(seconds=1)
    assert (await door.refresh(client_id, token)).json()["error"] == "invalid_grant"


async def test_what_was_chosen_once_is_asked_again_t3(
    door: Door, store: LocalTools, person: Person, client_id: str
) -> None:
    await choose(person, await ask(door, person, client_id), "look", "drop")
    page = await ask(door, person, client_id, "tool:look tool:drop")
    assert CHOOSING in page.buttons
    url = door.authorization_url(client_id, "v" * 64, scope="tool:look", prompt="none")
    refused = await person.http.get(url)
    assert "error=consent_required" in refused.headers["location"]


async def test_what_a_server_calls_its_tools_is_text_in_the_boxes_too_authz_10_t4(
    door: Door, person: Person, client_id: str
) -> None:
    hostile = ListedTool("x'><script>y", '<script>alert(1)</script> & "Allow"', "read", "1")
    await keep_tools(door, LOOK, hostile)
    page = await ask(door, person, client_id, "tools:read")
    assert page.boxes == [("look", True), (hostile.name, True)]
    assert "<script" not in page.html
    answer = await redeemed(door, client_id, await choose(person, page, hostile.name))
    assert answer["scope"] == f"tool:{hostile.name}"


@pytest.mark.parametrize(("decision", "moves"), [("allow_chosen", True), ("deny", False)])
async def test_a_choice_leads_to_a_strangers_place_as_an_allow_does_and_a_mistake_nowhere_t50(
    door: Door, store: LocalTools, person: Person, decision: str, *, moves: bool
) -> None:
    client_id = (await door.register(redirect_uris=[WEB_REDIRECT]))["client_id"]
    page = await person.open(door.authorization_url(client_id, VERIFIER, scope=ALL, redirect_uri=WEB_REDIRECT))
    page = await person.sign_in(page)
    mistaken = await choose(person, page, "nothing")
    assert_undecided(mistaken)
    assert WEB_REDIRECT not in mistaken.html
    decided = await person.submit(page, decision=decision, tool="look")
    assert ('http-equiv="refresh"' in decided.html) is moves


async def test_ticks_say_nothing_with_another_button(
    door: Door, store: LocalTools, person: Person, client_id: str
) -> None:
    for decision, scope in (("allow", ALL), ("allow_reading", "tools:read")):
        page = await person.submit(await ask(door, person, client_id), decision=decision, tool=["nothing", "look"])
        assert (await redeemed(door, client_id, page))["scope"] == scope
    page = await person.submit(await ask(door, person, client_id), decision="deny", tool=["look", "book"], lasts="x")
    assert answer_parameters(page.links["continue"])["error"] == "access_denied"


@pytest.mark.parametrize("name", ["decision", "flow", "tools_at", "lasts", "csrf"])
async def test_nothing_but_tools_is_said_twice_t41(
    door: Door, store: LocalTools, person: Person, client_id: str, name: str
) -> None:
    page = await ask(door, person, client_id)
    fields: dict[str, str | list[str]] = {**page.forms[0], "decision": "allow_chosen", "tool": ["look", "drop"]}
    fields.pop("action")
    refused = await person.submit(page, page.forms[0], **{**fields, name: [str(fields[name])] * 2})
    assert refused.status == 400
    assert await decisions(door) == []


async def test_a_double_click_is_one_choice_and_another_choice_is_none_i1(
    door: Door, store: LocalTools, person: Person, client_id: str
) -> None:
    page = await ask(door, person, client_id)
    answers: list[str] = []

    async def press(*tools: str) -> None:
        answers.append((await choose(person, page, *tools)).links["continue"])

    async with anyio.create_task_group() as clicks:
        clicks.start_soon(press, "look", "drop")
        clicks.start_soon(press, "drop", "look")
    await press("look", "drop", "look")
    assert answers == [answers[0]] * 3
    for tools, fields in ((["look"], {}), (["look", "drop"], {"lasts": "day"}), (["look", "drop", "book"], {})):
        late = await choose(person, page, *tools, **fields)
        assert (late.status, "This request is over" in late.text) == (400, True)
    assert len(await decisions(door)) == 1


async def test_one_tool_is_allowed_or_denied_and_needs_no_list_to_tick(
    door: Door, store: LocalTools, person: Person, client_id: str
) -> None:
    page = await ask(door, person, client_id, "tool:drop")
    assert (page.boxes, CHOOSING in page.buttons) == ([], False)
    page = await ask(door, person, client_id, "offline_access tools:read")
    assert [name for name, _ in page.boxes] == ["look", "find"]


async def test_a_tool_that_has_no_scope_of_its_own_is_given_with_its_group_only(
    door: Door, person: Person, client_id: str
) -> None:
    odd, star = ListedTool("näh", "Sew", "read", "1"), ListedTool("*", "Star", "read", "1")
    await keep_tools(door, LOOK, FIND, odd, star)
    page = await ask(door, person, client_id, "tools:read")
    assert [name for name, _ in page.boxes] == ["look", "find"]
    assert "Given with all the others only: Sew; Star." in page.text
    for name in (odd.name, star.name):
        assert_undecided(await choose(person, page, "look", name))


async def test_an_operators_words_count_more_than_the_servers_and_their_scopes_are_not_taken_for_tools(
    door: Door, person: Person, client_id: str
) -> None:
    look, book = Tool("look", "Have a look"), Tool("book", "Book it", "write")
    scopes = (
        Scope("danger", "Danger", "", "destructive", (look,)),
        Scope("tool:book", "More than it says", "", "write", (book, Tool("pay", "Pay", "write"))),
        Scope("profile", "Your name", "", "read"),
        *GROUPS,
    )
    await resources.change(door.operator, door.resource, scopes=scopes, default_scopes=("danger",))
    door.clock.advance(seconds=1)
    await door.context.tenancy.find()
    page = await ask(door, person, client_id, "danger tool:book profile")
    assert page.boxes == [("look", False), ("pay", False)][::-1]
    assert "Given with all the others only: Book it." in page.text
    assert "What opens no tool is given as asked: Your name." in page.text
    assert_undecided(await choose(person, page, "book"))
    assert (await redeemed(door, client_id, await choose(person, page, "look")))["scope"] == "tool:look profile"


@pytest.mark.parametrize(("count", "at_most_kb"), [(3, 20), (40, 40), (100, 60), (400, 200)])
async def test_a_long_list_is_a_page_of_a_bearable_size(
    door: Door, person: Person, client_id: str, count: int, at_most_kb: int
) -> None:
    tools = [ListedTool(f"list_things_{n}", f"List the things of kind {n}", "read", "1") for n in range(count)]
    await keep_tools(door, *tools)
    page = await ask(door, person, client_id, "tools:read")
    assert len(page.html) < at_most_kb * 1000
    assert {ticked for _, ticked in page.boxes} == {count <= MAX_CHOSEN}
    assert ("You can tick 80 at most." in page.text) is (count > MAX_CHOSEN)
    chosen = [tool.name for tool in tools[-MAX_CHOSEN:]]
    answer = await redeemed(door, client_id, await choose(person, page, *chosen))
    assert answer["scope"] == " ".join(f"tool:{name}" for name in chosen)
    assert len(str(answer["access_token"])) < 7000
    success(await door.refresh(client_id, str(answer["refresh_token"]), scope=str(answer["scope"])))


async def test_very_long_names_are_not_given_one_by_one(door: Door, person: Person, client_id: str) -> None:
    tools = [ListedTool(f"{n:03}{'x' * 117}", f"Tool {n}", "read", "1") for n in range(40)]
    await keep_tools(door, *tools)
    page = await ask(door, person, client_id, "tools:read")
    assert_undecided(await choose(person, page, *(tool.name for tool in tools)))
    assert "continue" in (await choose(person, page, tools[0].name)).links


async def test_a_form_with_more_ticks_than_there_can_be_tools_is_refused(
    door: Door, store: LocalTools, person: Person, client_id: str
) -> None:
    page = await ask(door, person, client_id)
    assert_undecided(await choose(person, page, *(f"{n}" for n in range(MAX_TOOLS))))
    assert (await choose(person, page, *(f"{n}" for n in range(MAX_TOOLS + 200)))).status == 400
    assert await decisions(door) == []


async def test_a_device_is_let_in_for_single_tools(door: Door, store: LocalTools) -> None:
    await devices.offer(door)
    client_id = (await devices.add_device(door))["client_id"]
    asked = await devices.ask(door, client_id, scope="tools:write", resource=RESOURCE)
    person = door.person()
    page = await devices.enter(person, asked["user_code"])
    assert page.boxes == [("book", False), ("drop", False)]
    for tools in ([], ["look"], ["book", "nothing"]):
        assert_undecided(await choose(person, page, *tools))
    assert "Device connected" in (await choose(person, page, "drop")).text
    form = {"grant_type": DEVICE_CODE, "device_code": asked["device_code"], "client_id": client_id}
    assert success(await door.post_form(TOKEN, form))["scope"] == "tool:drop"
