"""A person may allow less than was asked for: what only reads, by a third button where that is a choice."""

import pytest

from doorward.core.models import DEVICE_CODE, Scope
from doorward.core.tools import GROUPS
from doorward.local_tools import LocalTools
from doorward.manage import connections, resources
from doorward.oauth.tools import ListedTool
from tests.inside import RESOURCE, Door
from tests.person import Page, Person, answer_parameters
from tests.server import devices
from tests.server.steps import TOKEN, VERIFIER, claims_of, success

LOOK = ListedTool("look", "Have a look", "read", "1")
BOOK = ListedTool("book", "Book it", "write", "1")
DROP = ListedTool("drop", "Drop everything", "destructive", "1")
READING = ("decision", "allow_reading")
CHOOSING = ("decision", "allow_chosen")


@pytest.fixture
async def store(door: Door) -> LocalTools:
    """The resource of the door as `doorward protect` keeps it, with a tool of each kind."""
    door.clock.advance(seconds=1)
    await resources.change(door.operator, door.resource, scopes=GROUPS, default_scopes=("tools:read",))
    store = LocalTools(door.context, door.resource)
    await learn(door, store, LOOK, BOOK, DROP)
    return store


async def learn(door: Door, store: LocalTools, *listed: ListedTool) -> None:
    await store.learn(listed, door.clock())
    door.clock.advance(seconds=1)
    await door.context.tenancy.find()


async def ask(door: Door, person: Person, scope: str, client_id: str | None = None) -> Page:
    """The consent page of a request."""
    client_id = client_id or (await door.register())["client_id"]
    page = await person.open(door.authorization_url(client_id, VERIFIER, scope=scope))
    return await person.sign_in(page) if "password" in page.forms[0] else page


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("tools:read tools:write", "tools:read"),
        ("tools:write tool:look offline_access", "tool:look offline_access"),
        ("tool:* tools:read", "tools:read"),
        ("tool:look tool:book tool:drop", "tool:look"),
    ],
)
async def test_allowing_reading_gives_the_scopes_that_only_read_and_the_client_is_told(
    door: Door, store: LocalTools, person: Person, asked: str, given: str
) -> None:
    client_id = (await door.register())["client_id"]
    page = await person.submit(await ask(door, person, asked, client_id), decision="allow_reading")
    code = answer_parameters(page.links["continue"])["code"]
    answer = success(await door.redeem(client_id, code, VERIFIER))
    assert answer["scope"] == given
    refreshed = success(await door.refresh(client_id, answer["refresh_token"]))
    without_offline = given.removesuffix(" offline_access")
    assert [claims_of(each["access_token"])["scope"] for each in (answer, refreshed)] == [without_offline] * 2
    events = await connections.recent_events(door.operator, door.project)
    (event,) = [event for event in events if event.action == "consent.allowed"]
    assert event.detail["scope"] == given
    assert set(str(event.detail["not_allowed"]).split()) == set(asked.split()) - set(given.split())


@pytest.mark.parametrize(
    ("asked", "offered"),
    [
        ("tools:read tools:write", True),
        ("tool:look tool:drop", True),
        ("tools:read", False),
        ("tools:write tool:drop", False),
        ("tool:*", False),
        ("tools:read tool:look offline_access", False),
    ],
)
async def test_reading_alone_is_offered_where_it_is_less_than_all(
    door: Door, store: LocalTools, person: Person, asked: str, *, offered: bool
) -> None:
    page = await ask(door, person, asked)
    between = [READING] if offered else []
    assert [button for button in page.buttons if button != CHOOSING] == [
        ("decision", "deny"),
        *between,
        ("decision", "allow"),
    ]


async def test_every_tool_is_reading_where_all_of_them_only_read(door: Door, store: LocalTools, person: Person) -> None:
    await learn(door, store, LOOK)
    client_id = (await door.register())["client_id"]
    page = await person.submit(await ask(door, person, "tool:*", client_id), decision="allow_reading")
    code = answer_parameters(page.links["continue"])["code"]
    assert success(await door.redeem(client_id, code, VERIFIER))["scope"] == "tool:*"


async def test_a_scope_with_one_tool_that_changes_something_is_not_reading(door: Door, person: Person) -> None:
    mixed = Scope("mixed", "Mixed", kind="read")
    await resources.change(door.operator, door.resource, scopes=(*GROUPS, mixed), default_scopes=("tools:read",))
    await learn(door, LocalTools(door.context, door.resource, {"book": ["mixed"], "look": ["mixed"]}), LOOK, BOOK, DROP)
    assert READING not in (await ask(door, person, "mixed tools:write")).buttons
    page = await person.submit(await ask(door, person, "mixed tool:look"), decision="allow_reading")
    code = answer_parameters(page.links["continue"])
    assert "code" in code


@pytest.mark.parametrize("asked", ["tools:write", "tools:write offline_access"])
async def test_where_nothing_only_reads_allowing_reading_decides_nothing(
    door: Door, store: LocalTools, person: Person, asked: str
) -> None:
    page = await ask(door, person, asked)
    undecided = await person.submit(page, decision="allow_reading")
    assert (undecided.status, "Nothing was decided" in undecided.text) == (400, True)
    assert "continue" in (await person.submit(page, decision="allow")).links


async def test_a_tool_that_began_to_change_things_meanwhile_is_not_given_as_reading(
    door: Door, store: LocalTools, person: Person
) -> None:
    client_id = (await door.register())["client_id"]
    page = await ask(door, person, "tools:read tool:look tool:book", client_id)
    await learn(door, store, ListedTool("look", "Have a look", "write", "2"), BOOK, DROP)
    code = answer_parameters((await person.submit(page, decision="allow_reading")).links["continue"])["code"]
    assert success(await door.redeem(client_id, code, VERIFIER))["scope"] == "tools:read"


async def test_a_device_may_be_let_in_for_reading_alone(door: Door, store: LocalTools) -> None:
    await devices.offer(door)
    client_id = (await devices.add_device(door))["client_id"]
    asked = await devices.ask(door, client_id, scope="tools:read tools:write", resource=RESOURCE)
    page = await door.person().let_in_device(asked["verification_uri_complete"], "allow_reading")
    assert page.status == 200
    form = {"grant_type": DEVICE_CODE, "device_code": asked["device_code"], "client_id": client_id}
    assert success(await door.post_form(TOKEN, form))["scope"] == "tools:read"
    events = await connections.recent_events(door.operator, door.project)
    (event,) = [event for event in events if event.action == "consent.allowed"]
    assert (event.detail["scope"], event.detail["not_allowed"]) == ("tools:read", "tools:write")


async def test_where_nothing_only_reads_a_device_goes_on_waiting(door: Door, store: LocalTools) -> None:
    await devices.offer(door)
    client_id = (await devices.add_device(door))["client_id"]
    asked = await devices.ask(door, client_id, scope="tools:write", resource=RESOURCE)
    person = door.person()
    page = await devices.enter(person, asked["user_code"])
    assert READING not in page.buttons
    assert (await person.submit(page, decision="allow_reading")).status == 400
    answer = await devices.poll(door, client_id, asked["device_code"])
    assert (answer.status, answer.json()["error"]) == devices.PENDING
