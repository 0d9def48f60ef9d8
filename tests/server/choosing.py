"""A server with a tool of each kind, and a person who chooses among them."""

from doorward.core.tools import GROUPS
from doorward.local_tools import LocalTools
from doorward.manage import connections, resources
from doorward.oauth.tools import ListedTool
from doorward.storage.audit import RecordedEvent
from tests.inside import Door
from tests.person import Page, Person, answer_parameters
from tests.server.steps import VERIFIER, success

LOOK = ListedTool("look", "Have a look", "read", "1")
FIND = ListedTool("find", "Find it", "read", "1")
BOOK = ListedTool("book", "Book it", "write", "1")
DROP = ListedTool("drop", "Drop everything", "destructive", "1")
ALL = "tools:read tools:write"


async def keep_tools(door: Door, *listed: ListedTool) -> LocalTools:
    """The resource of the door as `doorward protect` keeps it, with these tools."""
    door.clock.advance(seconds=1)
    await resources.change(door.operator, door.resource, scopes=GROUPS, default_scopes=("tools:read",))
    store = LocalTools(door.context, door.resource)
    await learn(door, store, *listed)
    return store


async def learn(door: Door, store: LocalTools, *listed: ListedTool) -> None:
    """The server lists these from now on, and every node sees it."""
    await store.learn(listed, door.clock())
    door.clock.advance(seconds=1)
    await door.context.tenancy.find()


async def ask(door: Door, person: Person, client_id: str, scope: str = ALL) -> Page:
    """The consent page of a request."""
    page = await person.open(door.authorization_url(client_id, VERIFIER, scope=scope))
    return await person.sign_in(page) if "password" in page.forms[0] else page


async def choose(person: Person, page: Page, *tools: str, **fields: str) -> Page:
    """The answer to just these tools being ticked."""
    return await person.submit(page, None, decision="allow_chosen", tool=list(tools), **fields)


async def redeemed(door: Door, client_id: str, page: Page) -> dict[str, object]:
    """The token answer for the code that a decision was answered with."""
    code = answer_parameters(page.links["continue"])["code"]
    return success(await door.redeem(client_id, code, VERIFIER))


async def decisions(door: Door) -> list[RecordedEvent]:
    events = await connections.recent_events(door.operator, door.project)
    return [event for event in events if event.action.startswith("consent.")]


def assert_undecided(page: Page) -> None:
    """Nothing was given, and the person may still decide."""
    assert (page.status, "Nothing was decided" in page.text) == (400, True)
    assert "continue" not in page.links
