"""A person is told what an app's calls are limited to: when it is let in, and afterwards."""

from dataclasses import replace

import pytest

from doorward.manage import resources
from doorward.web.budgets import describe_budgets
from tests.inside import Door
from tests.server.devices import add_device, ask, offer


async def choose(door: Door, *budgets: str) -> None:
    changed = replace(door.resource.settings, budgets=budgets)
    await resources.change(door.operator, door.resource, settings=changed)
    door.clock.advance(seconds=1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("10/minute per user and client", "10 tool calls a minute"),
        ("1000/day per connection", "1,000 tool calls a day"),
        ("10/minute per user", "10 tool calls a minute by all your apps together"),
        ("10/minute per client", "10 tool calls a minute by everybody who uses this app, together"),
        ("10/minute per server", "10 tool calls a minute by everybody together"),
        ("5/hour per user and tool", "5 tool calls an hour with each of its tools by all your apps together"),
        ("5/hour per connection on book", "5 tool calls an hour with book"),
        ("5/hour per connection and tool on a, b, c", "5 tool calls an hour with each of a, b and c"),
        ("cost 500/day per connection", "500 units of use a day"),
    ],
)
def test_a_budget_is_told_with_whom_it_is_shared(text: str, told: str) -> None:
    assert describe_budgets([text]) == [told]


async def test_whoever_is_asked_is_told_the_budgets(door: Door) -> None:
    client_id = (await door.register())["client_id"]
    person = door.person()
    url = door.authorization_url(client_id, "v" * 43)
    assert "At most" not in (await person.sign_in(await person.open(url))).text
    await choose(door, "10/minute per connection", "1000/day per user")
    page = await person.open(url)
    assert "At most 10 tool calls a minute; 1,000 tool calls a day by all your apps together." in page.text


async def test_whoever_lets_a_device_in_is_told_them_too(door: Door) -> None:
    await offer(door)
    await choose(door, "10/minute per connection")
    answer = await ask(door, (await add_device(door))["client_id"])
    person = door.person()
    page = await person.sign_in(await person.open(answer["verification_uri_complete"]))
    page = await person.submit(page)
    assert "At most 10 tool calls a minute." in page.text


async def test_the_account_page_tells_the_budgets_of_each_app(door: Door) -> None:
    person = door.person()
    await door.tokens(person)
    assert "At most" not in (await person.open("/account")).text
    await choose(door, "10/minute per connection", "1000/day per connection")
    assert "At most 10 tool calls a minute; 1,000 tool calls a day Connected" in (await person.open("/account")).text


async def test_names_of_tools_are_text_on_the_page(door: Door) -> None:
    await choose(door, "1/day per connection on <b>bold</b>")
    client_id = (await door.register())["client_id"]
    person = door.person()
    page = await person.sign_in(await person.open(door.authorization_url(client_id, "v" * 43)))
    assert "with <b>bold</b>." in page.text
