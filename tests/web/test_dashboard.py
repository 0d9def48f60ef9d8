"""The operator's page and the front door: for staff, and telling no secret."""

import pytest

from doorward.core.models import Role
from doorward.manage import clients, keys, users
from tests.inside import ISSUER, RESOURCE, Door
from tests.person import Person
from tests.server.steps import add_neighbour
from tests.web.people import EMAIL, PASSWORD, add_bob


async def test_the_dashboard_shows_servers_apps_events_and_how_to_connect(door: Door, person: Person) -> None:
    await clients.add(door.operator, door.project, ("https://known.example.com/cb",), name="Known app")
    await door.tokens(person)
    page = await person.open("/dashboard")
    for words in (
        ISSUER,
        "Example server",
        "tools:read",
        "Known app",
        "Added by an administrator",
        "token.code_redeemed",
        f"claude mcp add --transport http example-server {RESOURCE}",
    ):
        assert words.replace(" ", "") in page.text.replace(" ", ""), words


@pytest.mark.parametrize(("role", "status"), [("owner", 200), ("admin", 200), ("auditor", 200), ("member", 403)])
async def test_the_dashboard_is_for_staff(door: Door, role: Role, status: int) -> None:
    await add_bob(door, role=role)
    visitor = door.person(EMAIL, PASSWORD)
    await visitor.sign_in(await visitor.open("/login"))
    page = await visitor.open("/dashboard")
    assert page.status == status
    assert (RESOURCE in page.html) is (status == 200)


async def test_the_dashboard_of_one_project_shows_nothing_of_another_i10(door: Door, person: Person) -> None:
    acme = await add_neighbour(door)
    await clients.add(door.operator, acme, ("https://acme.example.com/cb",), name="Acme app")
    html = (await person.open("/dashboard")).html
    assert "acme" not in html.lower()


async def test_the_dashboard_tells_no_secret_t49(door: Door, person: Person) -> None:
    _, key = await keys.create(door.operator, door.project, ("register",))
    _, secret = await clients.add(door.operator, door.project, ("https://a.example/cb",), confidential=True)
    _, tokens = await door.tokens(person)
    html = (await person.open("/dashboard")).html
    for told in (key, secret, tokens["access_token"], tokens["refresh_token"]):
        assert str(told) not in html


async def test_names_from_outside_are_text(door: Door, person: Person) -> None:
    await clients.add(door.operator, door.project, ("https://a.example/cb",), name="<script>alert(1)</script>")
    user = await add_bob(door)
    await users.change(door.operator, user, name="<b>Bob</b>")
    html = (await person.open("/dashboard")).html
    assert "<script" not in html
    assert "<b>" not in html


async def test_the_front_door_says_what_this_is_and_where_to_go(door: Door, person: Person) -> None:
    stranger = await door.person().open("/")
    assert (stranger.status, "/login" in stranger.links) == (200, True)
    assert "/.well-known/oauth-authorization-server" in stranger.links
    known = await person.open("/")
    assert {"/account", "/dashboard"} <= known.links.keys()


async def test_every_link_of_a_project_stays_in_it(door: Door) -> None:
    await add_neighbour(door)
    page = await door.person().open("/p/acme/")
    own = [link for link in page.links if link.startswith("/")]
    assert own
    assert all(link.startswith("/p/acme/") for link in own)
