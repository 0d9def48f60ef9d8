"""What a person gives for an hour or a day ends by itself, on every way that a token is given."""

import pytest

from doorward.core.choices import LIFE_MS
from doorward.core.models import DEVICE_CODE, TOKEN_EXCHANGE
from doorward.local_tools import LocalTools
from doorward.manage import clients, connections, exchange, resources, timeline, users
from tests.inside import RESOURCE, Door
from tests.person import Person
from tests.running import ADMIN_EMAIL
from tests.server import devices
from tests.server.choosing import BOOK, DROP, FIND, LOOK, ask, assert_undecided, choose, decisions, keep_tools, redeemed
from tests.server.steps import (
    TOKEN,
    VERIFIER,
    basic,
    claims_of,
    introspect,
    is_active,
    project_key,
    refusal,
    set_project,
    success,
)

GONE = (400, "invalid_grant")
LIVES = {"hour": 3600, "day": 86_400}


@pytest.fixture
async def store(door: Door) -> LocalTools:
    return await keep_tools(door, LOOK, FIND, BOOK, DROP)


@pytest.fixture
async def client_id(door: Door) -> str:
    return str((await door.register())["client_id"])


@pytest.mark.parametrize("lasts", LIVES)
@pytest.mark.parametrize("decision", ["allow", "allow_reading", "allow_chosen"])
async def test_no_token_outlives_the_time_that_was_given(
    door: Door, store: LocalTools, person: Person, client_id: str, lasts: str, decision: str
) -> None:
    page = await ask(door, person, client_id)
    given_at, seconds = door.clock(), LIVES[lasts]
    page = await person.submit(page, decision=decision, lasts=lasts, tool=["look", "drop"])
    answer = await redeemed(door, client_id, page)
    door.clock.advance(seconds=seconds - 300)
    refreshed = success(await door.refresh(client_id, str(answer["refresh_token"])))
    assert claims_of(refreshed["access_token"])["exp"] == given_at // 1000 + seconds
    assert refreshed["expires_in"] == 300
    door.clock.advance(seconds=299)
    assert await is_active(door, refreshed["access_token"])
    last = success(await door.refresh(client_id, refreshed["refresh_token"]))
    assert last["expires_in"] == 1
    door.clock.advance(seconds=1)
    assert refusal(await door.refresh(client_id, last["refresh_token"])) == GONE
    assert not await is_active(door, last["access_token"])
    (event,) = await decisions(door)
    assert event.detail["expires_at"] == given_at + seconds * 1000


async def test_the_operator_reads_in_the_timeline_why_a_refresh_was_refused(
    door: Door, store: LocalTools, person: Person, client_id: str
) -> None:
    answer = await redeemed(
        door, client_id, await choose(person, await ask(door, person, client_id), "look", lasts="hour")
    )
    door.clock.advance(seconds=3600)
    refused = await door.refresh(client_id, str(answer["refresh_token"]))
    assert refusal(refused) == GONE
    assert "time" not in refused.json()["error_description"]  # the client is told as for any end
    await door.context.timeline.flush()
    (story, *_) = await timeline.list_stories(door.operator, door.project)
    assert "the time that the person gave the connection for is up" in story.verdict


async def test_without_a_word_it_lasts_until_it_is_revoked(
    door: Door, store: LocalTools, person: Person, client_id: str
) -> None:
    page = await ask(door, person, client_id)
    assert page.forms[0]["lasts"] == "until_revoked"
    form = {name: value for name, value in page.forms[0].items() if name != "lasts"}
    answer = await redeemed(door, client_id, await person.submit(page, form, decision="allow"))
    door.clock.advance(seconds=86_400 * 10)
    assert success(await door.refresh(client_id, str(answer["refresh_token"])))["expires_in"] == 900
    assert "Ends by itself" not in (await person.open("/account")).text
    (event,) = await decisions(door)
    assert "expires_at" not in event.detail


@pytest.mark.parametrize("lasts", ["week", "HOUR", "3600", "0", "until_revoked day"])
async def test_another_time_than_those_on_the_page_decides_nothing(
    door: Door, store: LocalTools, person: Person, client_id: str, lasts: str
) -> None:
    page = await ask(door, person, client_id)
    assert_undecided(await person.submit(page, decision="allow", lasts=lasts))
    assert await decisions(door) == []


async def test_a_code_that_comes_too_late_for_the_time_gets_nothing(
    door: Door, store: LocalTools, person: Person, client_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LIFE_MS, "hour", 30_000)  # no code lives for an hour
    page = await person.submit(await ask(door, person, client_id), decision="allow", lasts="hour")
    code = page.links["continue"].partition("code=")[2].partition("&")[0]
    door.clock.advance(seconds=29.5)
    assert refusal(await door.redeem(client_id, code, VERIFIER)) == GONE


@pytest.mark.parametrize("seconds", [3600, 30])
async def test_a_device_has_it_for_as_long(
    door: Door, store: LocalTools, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    monkeypatch.setitem(LIFE_MS, "hour", seconds * 1000)
    await devices.offer(door)
    client_id = (await devices.add_device(door))["client_id"]
    asked = await devices.ask(door, client_id, scope="tools:read", resource=RESOURCE)
    person = door.person()
    page = await devices.enter(person, asked["user_code"])
    await choose(person, page, "look", lasts="hour")
    (event,) = await decisions(door)
    assert event.detail["expires_at"] == door.clock() + seconds * 1000
    form = {"grant_type": DEVICE_CODE, "device_code": asked["device_code"], "client_id": client_id}
    if seconds < 60:
        door.clock.advance(seconds=seconds)
        assert refusal(await door.post_form(TOKEN, form)) == GONE
        return
    answer = success(await door.post_form(TOKEN, form))
    door.clock.advance(seconds=seconds)
    assert refusal(await door.refresh(client_id, answer["refresh_token"])) == GONE


async def test_an_exchanged_token_ends_with_the_time_too(door: Door, store: LocalTools, person: Person) -> None:
    await set_project(door, access_token_seconds=3000)
    client_id = (await door.register())["client_id"]
    page = await person.submit(await ask(door, person, client_id), decision="allow", lasts="hour")
    answer = await redeemed(door, client_id, page)
    door.clock.advance(seconds=3400)
    token = success(await door.refresh(client_id, str(answer["refresh_token"])))["access_token"]
    client, secret = await clients.add(door.operator, door.project, (), name="Server", grants=(TOKEN_EXCHANGE,))
    resource = await resources.get(door.operator, door.project, RESOURCE)
    await exchange.add(door.operator, client, source=resource, target=resource, scope="tools:read")
    door.clock.advance(seconds=1)
    form = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "resource": RESOURCE,
    }
    exchanged = success(await door.post_form(TOKEN, form, basic(client.client_id, secret or "")))
    assert exchanged["expires_in"] == 199
    door.clock.advance(seconds=199)
    key = await project_key(door, "introspect")
    assert (await introspect(door, exchanged["access_token"], key))["active"] is False


async def test_the_account_page_and_the_operator_see_when_it_ends_and_that_it_has(
    door: Door, store: LocalTools, person: Person, client_id: str
) -> None:
    await redeemed(door, client_id, await choose(person, await ask(door, person, client_id), "look", lasts="day"))
    assert "Ends by itself in 24 hours" in (await person.open("/account")).text
    ada = await users.get(door.operator, door.project, ADMIN_EMAIL)
    (app,) = await connections.list_apps(door.operator, door.project, ada)
    assert connections.describe(app)["expires_at"] == app.grant.created_at + 86_400_000
    door.clock.advance(seconds=86_400 - 100)
    page = await person.sign_in(await person.open("/login"))
    assert "Ends by itself in 1 minute" in (await person.open("/account")).text, page.text
    door.clock.advance(seconds=100)
    assert await connections.list_apps(door.operator, door.project, ada) == []
    assert "More than you last allowed" not in (await ask(door, person, client_id)).text


async def test_an_app_that_got_some_for_an_hour_and_some_for_good_is_shown_without_an_end(
    door: Door, store: LocalTools, person: Person, client_id: str
) -> None:
    for lasts, tool in (("hour", "look"), ("day", "find")):
        await redeemed(door, client_id, await choose(person, await ask(door, person, client_id), tool, lasts=lasts))
    assert "Ends by itself in 24 hours" in (await person.open("/account")).text
    await redeemed(door, client_id, await choose(person, await ask(door, person, client_id), "drop"))
    assert "Ends by itself" not in (await person.open("/account")).text


async def test_what_ends_with_its_first_token_is_not_asked_about(door: Door, store: LocalTools, person: Person) -> None:
    client_id = (await door.register(grant_types=["authorization_code"]))["client_id"]
    page = await ask(door, person, client_id)
    assert "lasts" not in page.forms[0]
    assert "15 minutes. After that the app has to ask you again." in page.text
