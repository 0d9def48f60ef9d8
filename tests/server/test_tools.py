"""Tools have versions: what a person was shown is what their tokens open, and every tool has a scope of its own."""

from dataclasses import replace
from typing import Any

import pytest

from doorward.core.models import CLIENT_CREDENTIALS, DEVICE_CODE, TOKEN_EXCHANGE, Resource
from doorward.core.tools import GROUPS
from doorward.local_tools import LocalTools
from doorward.manage import clients, exchange, resources, users
from doorward.manage.operator import ActionRefused
from doorward.oauth.ids import GrantId
from doorward.oauth.tools import ListedTool
from doorward.storage.audit import list_events
from doorward.storage.grants import revoke_grant
from tests.inside import RESOURCE, Door
from tests.person import Page, Person
from tests.running import ADMIN_EMAIL
from tests.server import devices, minting
from tests.server.steps import TOKEN, basic, claims_of, introspect, project_key, success

LOOK = ListedTool("look", "Have a look", "read", "1")
BOOK = ListedTool("book", "Book it", "write", "1")
DROP = ListedTool("drop", "Drop everything", "destructive", "1")
BOTH = "tools:read tools:write"


@pytest.fixture
async def store(door: Door) -> LocalTools:
    """The resource of the door as `doorward protect` keeps it, with two tools."""
    door.clock.advance(seconds=1)
    await resources.change(door.operator, door.resource, scopes=GROUPS, default_scopes=("tools:read",))
    store = LocalTools(door.context, door.resource)
    await list_tools(door, store, LOOK, BOOK)
    return store


async def list_tools(door: Door, store: LocalTools, *listed: ListedTool) -> int:
    """The server lists these, and every node sees it; the version of the list."""
    known = await store.learn(listed, door.clock())
    door.clock.advance(seconds=1)
    await door.context.tenancy.find()
    return max(entry.since for entry in known)


async def stored(door: Door) -> Resource:
    return await resources.get(door.operator, door.project, RESOURCE)


async def claims_after_consent(door: Door, person: Person | None = None, scope: str = BOTH) -> dict[str, Any]:
    return claims_of((await door.tokens(person, scope=scope))[1]["access_token"])


async def test_a_token_carries_the_version_of_the_list_that_was_on_the_page(door: Door, store: LocalTools) -> None:
    first = (await claims_after_consent(door))["tools_at"]
    version = await list_tools(door, store, LOOK, BOOK, DROP)
    client_id, answer = await door.tokens(scope=BOTH)
    assert claims_of(answer["access_token"])["tools_at"] == version > first

    later = await list_tools(door, store, LOOK, replace(BOOK, digest="2"), DROP)
    assert later > version
    refreshed = success(await door.refresh(client_id, answer["refresh_token"]))
    assert claims_of(refreshed["access_token"])["tools_at"] == version
    assert (await claims_after_consent(door))["tools_at"] == later


async def test_a_list_that_changes_between_page_and_decision_is_not_what_was_seen(
    door: Door, store: LocalTools, person: Person
) -> None:
    before = await list_tools(door, store, LOOK, BOOK, DROP)
    client_id, verifier = (await door.register())["client_id"], "v" * 64
    page = await person.sign_in(await person.open(door.authorization_url(client_id, verifier, scope=BOTH)))
    await list_tools(door, store, LOOK, replace(BOOK, digest="2"), DROP)
    page = await person.submit(page, decision="allow")
    code = page.links["continue"].partition("code=")[2].partition("&")[0]
    tokens = success(await door.redeem(client_id, code, verifier))
    assert claims_of(tokens["access_token"])["tools_at"] == before


@pytest.mark.parametrize("sent", ["9" * 15, "9" * 40, "-1", "1e9", "", "٣"])
async def test_a_form_cannot_claim_to_have_shown_more_than_there_is(
    door: Door, store: LocalTools, person: Person, sent: str
) -> None:
    version = await list_tools(door, store, LOOK, DROP)
    client_id, verifier = (await door.register())["client_id"], "v" * 64
    page = await person.sign_in(await person.open(door.authorization_url(client_id, verifier, scope=BOTH)))
    page = await person.submit(page, decision="allow", tools_at=sent)
    code = page.links["continue"].partition("code=")[2].partition("&")[0]
    claims = claims_of(success(await door.redeem(client_id, code, verifier))["access_token"])
    assert claims.get("tools_at", 0) == (version if sent == "9" * 15 else 0)


async def test_the_page_shows_the_tools_that_are_listed_in_groups_by_what_they_do(
    door: Door, store: LocalTools, person: Person
) -> None:
    await list_tools(door, store, LOOK, DROP)
    client_id = (await door.register())["client_id"]
    page = await person.sign_in(await person.open(door.authorization_url(client_id, "v" * 64, scope=BOTH)))
    assert all(title in page.text for title in ("Have a look", "Drop everything", "deletes"))
    assert "Book it" not in page.text


async def test_a_group_whose_tools_are_all_gone_is_not_asked_for(door: Door, store: LocalTools, person: Person) -> None:
    await list_tools(door, store, LOOK)
    client_id = (await door.register())["client_id"]
    page = await person.sign_in(await person.open(door.authorization_url(client_id, "v" * 64, scope=BOTH)))
    assert "Tools that change things" not in page.text


@pytest.mark.parametrize(
    ("asked", "given", "title"),
    [
        ("tool:book", "tool:book", "Book it"),
        ("tool:*", "tool:*", "Every tool"),
        ("tool:none tool:book", "tool:book", ""),
    ],
)
async def test_every_tool_has_a_scope_and_all_have_one(
    door: Door, store: LocalTools, person: Person, asked: str, given: str, title: str
) -> None:
    client_id = (await door.register())["client_id"]
    url = door.authorization_url(client_id, "v" * 64, scope=asked)
    assert title in (await person.sign_in(await person.open(url))).text
    assert (await claims_after_consent(door, person, asked))["scope"] == given
    (app, *_) = [line for line in (await person.open("/account")).text.splitlines() if "it may" in line] or [""]
    assert title in app


async def test_a_tool_that_is_gone_has_no_scope(door: Door, store: LocalTools) -> None:
    await list_tools(door, store, LOOK)
    resource = await stored(door)
    assert resource.known_scopes == ("tools:read", "tools:write", "tool:look", "tool:*")


async def test_a_device_is_given_the_list_that_its_person_saw(door: Door, store: LocalTools) -> None:
    version = await list_tools(door, store, LOOK, BOOK, DROP)
    await devices.offer(door)
    client_id = (await devices.add_device(door))["client_id"]
    asked = await devices.ask(door, client_id, scope="tools:read", resource=RESOURCE)
    await door.person().let_in_device(asked["verification_uri_complete"])
    form = {"grant_type": DEVICE_CODE, "device_code": asked["device_code"], "client_id": client_id}
    tokens = success(await door.post_form(TOKEN, form))
    assert claims_of(tokens["access_token"])["tools_at"] == version


async def test_where_an_operator_decided_the_list_is_the_one_there_is(door: Door, store: LocalTools) -> None:
    version = await list_tools(door, store, LOOK, BOOK, DROP)
    client, secret = await clients.add(door.operator, door.project, (), name="Nightly", grants=(CLIENT_CREDENTIALS,))
    form = {"grant_type": CLIENT_CREDENTIALS, "scope": "tools:read"}
    first = success(await door.post_form(TOKEN, form, basic(client.client_id, secret or "")))
    assert claims_of(first["access_token"])["tools_at"] == version
    key = await project_key(door, "mint")
    minted = success(await minting.mint(door, key, client_id=await minting.public_client(door)))
    assert claims_of(minted["access_token"])["tools_at"] == version


async def test_an_exchanged_token_has_seen_no_more_than_the_one_it_came_from(door: Door, store: LocalTools) -> None:
    before = (await door.tokens(scope=BOTH))[1]["access_token"]
    seen = claims_of(before)["tools_at"]
    await list_tools(door, store, LOOK, BOOK, DROP)
    client, secret = await clients.add(door.operator, door.project, (), name="Gateway", grants=(TOKEN_EXCHANGE,))
    await exchange.add(door.operator, client, source=door.resource, target=door.resource, scope=BOTH, mode="delegation")
    door.clock.advance(seconds=1)
    form = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": before,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "resource": RESOURCE,
    }
    exchanged = success(await door.post_form(TOKEN, form, basic(client.client_id, secret or "")))
    assert claims_of(exchanged["access_token"])["tools_at"] == seen


async def test_introspection_tells_the_version_too(door: Door, store: LocalTools) -> None:
    version = await list_tools(door, store, LOOK, BOOK, DROP)
    token = (await door.tokens(scope=BOTH))[1]["access_token"]
    assert (await introspect(door, token, await project_key(door, "introspect")))["tools_at"] == version


async def test_what_was_read_is_there_after_a_restart_and_what_operators_wrote_is_left(
    door: Door, store: LocalTools
) -> None:
    first = (await stored(door)).tools_version
    version = await list_tools(door, store, LOOK, BOOK, DROP)
    known = await LocalTools(door.context, door.resource).load()
    assert {entry.tool: entry.since for entry in known} == {LOOK: first, BOOK: first, DROP: version}
    titled = tuple(replace(scope, title="Ours") for scope in (await stored(door)).scopes)
    await resources.change(door.operator, await stored(door), scopes=titled)
    await list_tools(door, store, LOOK)
    assert {scope.title for scope in (await stored(door)).scopes} == {"Ours"}


async def test_tools_with_scopes_of_their_own_stand_below_these(door: Door) -> None:
    await resources.change(door.operator, door.resource, scopes=GROUPS, default_scopes=())
    store = LocalTools(door.context, door.resource, {"book": ["bookings"], "look": []})
    await list_tools(door, store, LOOK, BOOK, DROP)
    placed = {scope.name: [tool.name for tool in scope.tools] for scope in (await stored(door)).scopes}
    assert placed == {"tools:read": ["look"], "tools:write": ["drop"], "bookings": ["book"]}


async def test_the_audit_trail_says_which_tools_came_changed_and_went(door: Door, store: LocalTools) -> None:
    await list_tools(door, store, replace(LOOK, digest="2"), DROP)
    owner = await users.get(door.operator, door.project, ADMIN_EMAIL)
    assert owner.role == "owner"
    events = await door.context.database.read(list_events, door.project.project_id)
    newest = next(event for event in events if event.action == "resource.tools_changed")
    assert newest.detail == {"added": ["drop"], "changed": ["look"], "removed": ["book"]}
    assert newest.actor == f"resource:{door.resource.resource_id}"


async def test_a_resource_that_was_removed_learns_nothing(door: Door, store: LocalTools) -> None:
    await resources.remove(door.operator, door.resource)
    with pytest.raises(ActionRefused):
        await store.learn((LOOK,), door.clock())


async def test_every_heading_is_true_of_the_tools_below_it(door: Door, store: LocalTools, person: Person) -> None:
    await list_tools(door, store, LOOK, BOOK, DROP)
    client_id = (await door.register())["client_id"]
    page = await person.sign_in(await person.open(door.authorization_url(client_id, "v" * 64, scope=BOTH)))
    shown = page.text.partition("What it may do")[2]
    order = ("Look things up", "Have a look", "Make changes", "Book it", "Delete or overwrite", "Drop everything")
    places = [shown.index(words) for words in order]
    assert places == sorted(places)


@pytest.mark.parametrize("asked", [f"{BOTH} tool:book", "tool:* tools:write", "tool:book", "tool:book tool:look"])
async def test_no_tool_is_listed_twice(door: Door, store: LocalTools, person: Person, asked: str) -> None:
    client_id = (await door.register())["client_id"]
    page = await person.sign_in(await person.open(door.authorization_url(client_id, "v" * 64, scope=asked)))
    assert page.html.count('data-tool="book"') == 1
    assert [name for name, _ in page.boxes].count("book") <= 1


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("list_notes", "<code><bdi>list_notes</bdi></code>"),
        ("List Notes", "<bdi>List Notes</bdi></li>"),
        ("ListNotes", "<bdi>ListNotes</bdi></li>"),
        ("All my notes", '<bdi>All my notes</bdi> <code class="text-xs text-quiet"><bdi>list_notes</bdi></code>'),
    ],
)
async def test_a_tool_is_named_once_where_its_title_is_its_name(
    door: Door, store: LocalTools, person: Person, title: str, shown: str
) -> None:
    await list_tools(door, store, ListedTool("list_notes", title, "read", "1"))
    client_id = (await door.register())["client_id"]
    page = await person.sign_in(await person.open(door.authorization_url(client_id, "v" * 64, scope="tools:read")))
    assert shown in page.html
    assert page.text.count("list_notes") + page.text.count(title) == 1 + (title == "All my notes") + (
        title == "list_notes"
    )


NEWS = "New or changed since you last allowed this:"
ALL_NEW = "Everything below is new or changed since you last allowed this."


async def ask_again(door: Door, person: Person, client_id: str, scope: str = BOTH) -> Page:
    """The consent page as the app brings a person to it, once more."""
    page = await person.open(door.authorization_url(client_id, "v" * 64, scope=scope))
    return await person.sign_in(page) if "password" in page.forms[0] else page


async def test_the_page_says_first_what_is_new_since_the_person_last_allowed_the_app(
    door: Door, store: LocalTools, person: Person
) -> None:
    client_id = (await door.register())["client_id"]
    page = await ask_again(door, person, client_id)
    assert NEWS not in page.text
    await person.submit(page, decision="allow")
    assert NEWS not in (await ask_again(door, person, client_id)).text

    await list_tools(door, store, LOOK, replace(BOOK, digest="2"), DROP)
    page = await ask_again(door, person, client_id)
    told = (
        f"{NEWS} Make changes: Book it Delete or overwrite: Drop everything Kept from last time: 1 of the tools below."
    )
    assert told in page.text
    assert ALL_NEW in (await ask_again(door, person, client_id, "tool:drop")).text
    assert NEWS not in (await ask_again(door, person, client_id, "tools:read")).text

    await person.submit(page, decision="deny")
    page = await ask_again(door, person, client_id)
    assert NEWS in page.text  # nothing was allowed
    await person.submit(page, decision="allow_reading")
    assert NEWS not in (await ask_again(door, person, client_id)).text


async def test_another_app_a_new_one_and_one_that_was_ended_are_told_of_nothing_new(
    door: Door, store: LocalTools, person: Person
) -> None:
    client_id, other = [(await door.register())["client_id"] for _ in range(2)]
    await person.submit(await ask_again(door, person, client_id), decision="allow")
    await list_tools(door, store, LOOK, BOOK, DROP)
    assert NEWS not in (await ask_again(door, person, other)).text
    assert NEWS in (await ask_again(door, person, client_id)).text
    events = await door.context.database.read(list_events, door.project.project_id)
    (grant,) = {str(event.detail["grant"]) for event in events if event.action == "consent.allowed"}
    assert await door.context.database.write(revoke_grant, door.project.project_id, GrantId(grant), door.clock())
    assert NEWS not in (await ask_again(door, person, client_id)).text


async def test_a_device_that_asks_again_is_shown_with_what_is_new(door: Door, store: LocalTools) -> None:
    await devices.offer(door)
    client_id = (await devices.add_device(door))["client_id"]
    person = door.person()
    first = await devices.ask(door, client_id, scope=BOTH, resource=RESOURCE)
    await person.let_in_device(first["verification_uri_complete"])
    await list_tools(door, store, LOOK, BOOK, DROP)
    again = await devices.ask(door, client_id, scope=BOTH, resource=RESOURCE)
    page = await devices.enter(person, again["user_code"])
    assert f"{NEWS} Delete or overwrite: Drop everything" in page.text
