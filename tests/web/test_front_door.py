"""The front door: what this is, and where to go."""

from tests.inside import Door
from tests.person import Person
from tests.server.steps import add_neighbour


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
