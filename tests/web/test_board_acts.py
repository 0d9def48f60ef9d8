"""What is done on the dashboard happens, is told, and is asked for again with what was typed where it cannot be."""

import pytest

from doorward.manage import admission, clients, keys, projects, resources, signing_keys, users
from tests.inside import RESOURCE, Door
from tests.person import Page, Person
from tests.running import ADMIN_EMAIL
from tests.server.steps import is_active
from tests.web.boards import PASSWORD, do, look, send, staff

OTHER = "https://files.example.com/mcp"
WEB = "https://app.example.com/cb"


async def server_id(door: Door, uri: str = RESOURCE) -> str:
    return (await resources.get(door.operator, door.project, uri)).resource_id


def fields_of(page: Page, act: str) -> dict[str, str]:
    """The hidden and typed fields of the form of an act; selects and text areas are left to the caller."""
    return next(form for form in page.forms if form.get("act") == act)


async def connected(door: Door, person: Person) -> tuple[str, str]:
    """(client_id, access token) of an app that the person let in."""
    client_id, tokens = await door.tokens(person)
    return client_id, tokens["access_token"]


async def test_a_server_is_added_with_its_scopes(door: Door, person: Person) -> None:
    page = await send(
        person, "/servers", "add", uri=OTHER, name="Files", scopes="files:read read See files\r\nfiles:drop destructive"
    )
    assert (page.status, "The server is added" in page.text) == (200, True)
    added = await resources.get(door.operator, door.project, OTHER)
    assert [(s.name, s.kind, s.title) for s in added.scopes] == [
        ("files:read", "read", "See files"),
        ("files:drop", "destructive", "files:drop"),
    ]
    assert added.default_scopes == ("files:read",)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"uri": "no address"}, "uri"),
        ({"uri": RESOURCE}, "uri"),
        ({"uri": OTHER, "scopes": "files:read See files"}, "scopes"),
        ({"uri": OTHER, "name": "<b>Name"}, ""),
    ],
)
async def test_a_server_that_cannot_be_added_is_told_beside_its_field_and_what_was_typed_stays(
    person: Person, fields: dict[str, str], field: str
) -> None:
    page = await send(person, "/servers", "add", **fields)
    if not field:
        assert "&lt;b&gt;Name" in page.html
        return
    assert page.status == 400
    assert f'id="{field}-help"' in page.html
    assert 'aria-invalid="true"' in page.html
    for value in fields.values():
        assert value in page.html


async def test_the_settings_of_a_server_are_changed_and_its_tools_stay(door: Door, person: Person) -> None:
    page = await look(person, "/server", id=await server_id(door))
    given = {
        **{name: value for name, value in fields_of(page, "change").items() if name not in ("action", "csrf", "act")},
        "scopes": "tools:read read Look\ntools:write write Book flights",
        "aliases": "https://old.example.com/mcp",
        "access_token_seconds": "120",
        "token_format": "opaque",
        "token_alg": "ES256",
        "name": "New name",
    }
    assert "dpop_required" not in given  # a box without a tick sends nothing
    page = await send(person, "/server", "change", **given)
    assert (page.status, "The server is changed" in page.text) == (200, True)
    changed = await resources.get(door.operator, door.project, RESOURCE)
    assert (changed.name, changed.settings.access_token_seconds, changed.settings.token_format) == (
        "New name",
        120,
        "opaque",
    )
    assert changed.settings.aliases == ("https://old.example.com/mcp",)
    assert changed.scopes[0].title == "Look"
    assert [tool.name for tool in changed.tools] == ["weather_forecast", "book_flight"]
    assert changed.settings.dpop_required is False


async def test_a_setting_that_is_refused_is_asked_for_again(door: Door, person: Person) -> None:
    page = await send(
        person, "/server", "change", id=await server_id(door), access_token_seconds="soon", scopes="a read A"
    )
    assert page.status == 400
    assert 'id="access_token_seconds-help"' in page.html
    assert (await resources.get(door.operator, door.project, RESOURCE)).scope_names == ("tools:read", "tools:write")


@pytest.mark.parametrize("path", ["/server", "/stop"])
async def test_a_server_is_stopped_and_resumed_rev_03(door: Door, person: Person, path: str) -> None:
    _, token = await connected(door, person)
    stop, resume = ("stop", "resume") if path == "/server" else ("stop_server", "resume_server")
    page = await do(person, path, stop, id=await server_id(door))
    assert "is stopped" in page.text
    assert not await is_active(door, token)
    assert "Stopped: Example server" in (await look(person, "")).text
    await send(person, path, resume, id=await server_id(door))
    assert await is_active(door, token)


async def test_every_connection_to_a_server_is_ended_and_the_server_removed(door: Door, person: Person) -> None:
    _, token = await connected(door, person)
    page = await do(person, "/server", "revoke", id=await server_id(door))
    assert "is over" in page.text
    assert not await is_active(door, token)
    page = await do(person, "/server", "remove", id=await server_id(door))
    assert "No server yet" in page.text
    assert await resources.list_all(door.operator, door.project) == []


async def test_an_app_is_suspended_reactivated_revoked_and_removed(door: Door, person: Person) -> None:
    client_id, token = await connected(door, person)
    await do(person, "/app", "suspend", id=client_id)
    assert not await is_active(door, token)
    await send(person, "/app", "reactivate", id=client_id)
    assert await is_active(door, token)
    page = await send(person, "/app", "revoke", id=client_id)
    assert "1 connection and every token of this app end at once." in page.text
    assert await is_active(door, token)
    await do(person, "/app", "revoke", id=client_id)
    assert not await is_active(door, token)
    page = await do(person, "/app", "remove", id=client_id)
    assert "is removed" in page.text
    assert await clients.list_all(door.operator, door.project) == []


async def test_an_app_is_added_and_its_secret_shown_this_once_t49(door: Door, person: Person) -> None:
    page = await send(person, "/apps", "add", name="Backend", redirect_uris=f"{WEB}\n{WEB}2", confidential="yes")
    assert "Copy this secret now" in page.text
    (added,) = await clients.list_all(door.operator, door.project)
    assert (added.metadata.client_name, added.metadata.redirect_uris) == ("Backend", (WEB, f"{WEB}2"))
    again = await look(person, "/app", id=added.client_id)
    assert "Copy this secret" not in again.text
    rotated = await send(person, "/app", "rotate", id=added.client_id)
    assert "There is a new secret" in rotated.text


async def test_a_known_app_needs_no_address(door: Door, person: Person) -> None:
    page = await send(person, "/apps", "add", known="cursor")
    assert (page.status, len(await clients.list_all(door.operator, door.project))) == (200, 1)


@pytest.mark.parametrize("uris", ["", "javascript:alert(1)", "http://app.example.com/cb"])
async def test_an_app_with_a_bad_address_is_told_beside_the_field(person: Person, uris: str) -> None:
    page = await send(person, "/apps", "add", name="Typed <name>", redirect_uris=uris)
    assert page.status == 400
    assert 'id="redirect_uris-help"' in page.html
    assert "Typed &lt;name&gt;" in page.html


@pytest.fixture
async def waiting(door: Door) -> str:
    """The id of an app that waits for approval."""
    await projects.change_project(door.operator, door.project, {"registration_mode": "approval"})
    door.context.tenancy.forget()
    await door.register(
        client_name="Waiting app", redirect_uris=[WEB], token_endpoint_auth_method="client_secret_basic"
    )
    (queued,) = await admission.list_queue(door.operator, door.project)
    return queued.client.client_id


async def test_what_waits_is_told_with_what_is_new_and_let_in(door: Door, person: Person, waiting: str) -> None:
    assert "1 app waits for your approval" in (await look(person, "")).text
    page = await look(person, "/apps")
    assert "This is what it says of itself" in page.text
    assert WEB in page.text
    page = await send(person, "/apps", "approve", id=waiting)
    assert "Waiting app is let in" in page.text
    assert (await clients.get(door.operator, door.project, waiting)).status == "active"


async def test_what_waits_is_refused_and_gone(door: Door, person: Person, waiting: str) -> None:
    page = await do(person, "/app", "refuse", id=waiting)
    assert "is kept out" in page.text
    assert await clients.list_all(door.operator, door.project) == []


async def test_a_person_is_added_and_signs_in(door: Door, person: Person) -> None:
    fields = {"email": "eve@example.com", "name": "Eve", "role": "auditor", "password": PASSWORD}
    page = await send(person, "/people", "add", **{**fields, "password": "short"})
    assert (page.status, 'id="password-help"' in page.html, "eve@example.com" in page.html) == (400, True, True)
    page = await send(person, "/people", "add", **fields)
    assert "eve@example.com may sign in now" in page.text
    eve = door.person("eve@example.com", PASSWORD)
    assert (await eve.sign_in(await eve.open("/login"))).url.endswith("/dashboard")


async def test_a_person_is_disabled_and_enabled_and_signed_out(door: Door, person: Person) -> None:
    member = await staff(door, "member")
    _, token = await connected(door, member)
    user = await users.get(door.operator, door.project, member.email)
    await do(person, "/person", "disable", id=user.user_id)
    assert not await is_active(door, token)
    await send(person, "/person", "enable", id=user.user_id)
    assert await is_active(door, token)
    await member.sign_in(await member.open("/login"))
    page = await send(person, "/person", "end_sessions", id=user.user_id)
    assert "1 session ended" in page.text
    assert (await member.http.get("/account")).status_code == 303
    assert await is_active(door, token)
    await do(person, "/person", "revoke", id=user.user_id)
    assert not await is_active(door, token)
    await send(person, "/person", "password", id=user.user_id, password="a new harbour at dusk")
    again = door.person(member.email, "a new harbour at dusk")
    assert (await again.sign_in(await again.open("/login"))).url.endswith("/account")
    await do(person, "/person", "remove", id=user.user_id)
    assert [each.email for each in await users.list_all(door.operator, door.project)] == [ADMIN_EMAIL]


async def test_an_admin_neither_makes_nor_changes_an_owner(door: Door) -> None:
    admin = await staff(door, "admin")
    owner = await users.get(door.operator, door.project, ADMIN_EMAIL)
    member = await users.add(door.operator, door.project, "m@example.com", PASSWORD)
    for act, fields in (("role", {"role": "member"}), ("password", {"password": PASSWORD}), ("end_sessions", {})):
        page = await send(admin, "/person", act, id=owner.user_id, **fields)
        assert (page.status, "Only an owner changes an owner" in page.text) == (400, True)
    for act in ("disable", "revoke", "remove"):
        page = await send(admin, "/person", act, id=owner.user_id, confirmed="yes")
        assert page.status == 400
    assert (await send(admin, "/person", "role", id=member.user_id, role="owner")).status == 400
    made = await send(admin, "/people", "add", email="o@example.com", role="owner", password=PASSWORD)
    assert made.status == 400
    assert {u.email: u.role for u in await users.list_all(door.operator, door.project)} == {
        ADMIN_EMAIL: "owner",
        "admin@staff.example": "admin",
        "m@example.com": "member",
    }
    assert (await send(admin, "/person", "role", id=member.user_id, role="auditor")).status == 200


async def test_nobody_shuts_themselves_out(door: Door, person: Person) -> None:
    owner = await users.get(door.operator, door.project, ADMIN_EMAIL)
    for act in ("disable", "remove", "revoke", "role"):
        page = await send(person, "/person", act, id=owner.user_id, role="member", confirmed="yes")
        assert (page.status, "This is you" in page.text) == (400, True)
    assert await users.get(door.operator, door.project, ADMIN_EMAIL) == owner


async def test_one_connection_is_revoked_and_others_stay(door: Door, person: Person) -> None:
    _, first = await connected(door, person)
    door.clock.advance(seconds=5)
    _, second = await connected(door, await staff(door, "member"))
    page = await look(person, "/connections", person="The member")
    (form,) = [form for form in page.forms if form.get("act") == "revoke"]
    asked = await person.submit(page, form)
    assert "Revoke Test client for The member?" in asked.text
    done = await person.submit(asked, next(f for f in asked.forms if f.get("confirmed")))
    assert "The connection is over" in done.text
    assert [await is_active(door, token) for token in (first, second)] == [True, False]
    assert (await person.submit(asked, next(f for f in asked.forms if f.get("confirmed")))).status == 400


async def test_a_project_key_is_shown_once_and_revoked_t49(door: Door, person: Person) -> None:
    page = await send(person, "/keys", "create", name="Guard", can_introspect="yes")
    assert "Copy this secret now" in page.text
    (key,) = await keys.list_all(door.operator, door.project)
    assert (key.name, key.capabilities) == ("Guard", ("introspect",))
    again = await look(person, "/keys")
    assert "Copy this secret" not in again.text
    await do(person, "/keys", "revoke", key_id=key.key_id)
    assert (await keys.list_all(door.operator, door.project))[0].revoked_at is not None
    refused = await send(person, "/keys", "create", name="Nothing")
    assert (refused.status, 'id="capabilities-help"' in refused.html) == (400, True)


async def test_signing_keys_are_rotated_by_admins_and_replaced_by_owners(door: Door, person: Person) -> None:
    before = await signing_keys.list_keys(door.operator, door.project)
    page = await send(person, "/keys", "rotate")
    assert "published, signs soon" in page.text
    await do(person, "/keys", "replace")
    after = await signing_keys.list_keys(door.operator, door.project)
    assert not {key.kid for key in before} & {key.kid for key in after}


async def test_the_whole_project_is_stopped_resumed_and_ended_rev_03_i3(door: Door, person: Person) -> None:
    _, token = await connected(door, person)
    page = await do(person, "/stop", "stop")
    assert "Everything is stopped" in page.text
    assert not await is_active(door, token)
    assert "Everything is stopped" in (await look(person, "")).text
    assert (await do(person, "/stop", "stop")).status == 400
    page = await send(person, "/stop", "resume")
    assert "open again" in page.text
    assert await is_active(door, token)
    door.clock.advance(seconds=1)
    await do(person, "/stop", "revoke")
    assert not await is_active(door, token)
    assert (await person.http.get("/dashboard")).status_code == 303


async def test_an_app_and_a_person_are_chosen_on_the_emergency_page(door: Door, person: Person) -> None:
    member = await staff(door, "member")
    client_id, token = await connected(door, member)
    user = await users.get(door.operator, door.project, member.email)
    for act, back, key in (("suspend", "reactivate", client_id), ("disable", "enable", user.user_id)):
        assert "Choose" in (await send(person, "/stop", act)).text
        await do(person, "/stop", act, id=key)
        assert not await is_active(door, token)
        await send(person, "/stop", back, id=key)
        assert await is_active(door, token)
