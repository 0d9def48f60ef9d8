"""The device code grant: a device asks until its person has decided, and is answered once.

Spec: DEV-06, DEV-07; TOK-11; DPOP-03; RES-07; I1, T42
"""

import pytest

from doorward.core.models import DEVICE_CODE, ResourceSettings
from doorward.core.secrets import hash_secret
from doorward.core.timeline import Story
from doorward.manage import admission, clients, connections, resources, revocations, timeline, users
from doorward.server.device import CODE_LIFE_MS
from doorward.server.jobs import sweep
from doorward.storage.database import Transaction
from doorward.storage.device_codes import MEMORY_MS, find_device_code
from doorward.storage.grants import Connection, list_connections
from tests.inside import RESOURCE, SCOPES, Door
from tests.person import Person
from tests.running import ADMIN_EMAIL
from tests.server.devices import GONE, GRANTS, PENDING, SLOW_DOWN, add_device, ask, let_in, offer, poll, request
from tests.server.steps import TOKEN, basic, claims_of, confidential, is_active, refusal, set_project, success

EXPIRED = (400, "expired_token")
DENIED = (400, "access_denied")
LIFE = CODE_LIFE_MS / 1000


@pytest.fixture
async def offering(door: Door) -> Door:
    """The server with the device grant switched on."""
    return await offer(door)


@pytest.fixture
async def client_id(offering: Door) -> str:
    """A public client with the device grant."""
    return str((await add_device(offering))["client_id"])


async def grants(door: Door) -> list[Connection]:
    """The connections of the person."""
    ada = await users.get(door.operator, door.project, ADMIN_EMAIL)

    async def read(tx: Transaction) -> list[Connection]:
        return await list_connections(tx, door.project.project_id, ada.user_id, door.clock())

    return await door.context.database.read(read)


async def only_story(door: Door) -> Story:
    """The one attempt that the timeline knows of."""
    await door.context.timeline.flush()
    (story,) = await timeline.list_stories(door.operator, door.project)
    return story


async def test_the_whole_job_of_a_device_dev_06(offering: Door, client_id: str, person: Person) -> None:
    door = offering
    device = await ask(door, client_id, scope="tools:read tools:write")
    assert refusal(await poll(door, client_id, device["device_code"])) == PENDING
    await let_in(person, device["user_code"])
    door.clock.advance(seconds=5)
    answer = success(await poll(door, client_id, device["device_code"]))
    assert answer.keys() == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 900)
    assert answer["scope"] == "tools:read tools:write"
    claims = claims_of(answer["access_token"])
    ada = await users.get(door.operator, door.project, ADMIN_EMAIL)
    assert (claims["sub"], claims["aud"], claims["client_id"]) == (ada.user_id, RESOURCE, client_id)
    assert claims["auth_time"] == (door.clock() - 5_000) // 1000
    assert await is_active(door, answer["access_token"])
    refreshed = success(await door.refresh(client_id, answer["refresh_token"]))
    assert claims_of(refreshed["access_token"])["grant_id"] == claims["grant_id"]


async def test_the_connection_tells_what_let_it_in_and_ends_like_any_other(
    offering: Door, client_id: str, person: Person
) -> None:
    device = await ask(offering, client_id)
    await let_in(person, device["user_code"])
    assert await grants(offering) == []  # nothing is connected until the device came for its tokens
    answer = success(await poll(offering, client_id, device["device_code"]))
    (connection,) = await grants(offering)
    grant = connection.grant
    assert (grant.kind, grant.device_label, grant.redirect_uri) == ("device", "station/1.0", "")
    assert (grant.scope, grant.auth_time) == (("tools:read",), offering.clock())
    page = await person.open("/account")
    assert "Weather station" in page.text
    revoke = next(form for form in page.forms if "grant_id" in form)
    await person.submit(page, revoke)
    assert not await is_active(offering, answer["access_token"])
    assert refusal(await offering.refresh(client_id, answer["refresh_token"])) == GONE


async def test_every_step_is_audited_without_a_secret(offering: Door, client_id: str, person: Person) -> None:
    device = await ask(offering, client_id)
    await let_in(person, device["user_code"])
    success(await poll(offering, client_id, device["device_code"]))
    events = await connections.recent_events(offering.operator, offering.project)
    allowed = next(event for event in events if event.action == "consent.allowed")
    redeemed = next(event for event in events if event.action == "token.device_code_redeemed")
    ada = await users.get(offering.operator, offering.project, ADMIN_EMAIL)
    assert (allowed.actor, allowed.target) == (f"user:{ada.user_id}", f"client:{client_id}")
    assert allowed.detail == {
        "kind": "device",
        "resource": offering.resource.resource_id,
        "scope": "tools:read",
        "not_allowed": "",
        "grant": redeemed.target,
        "source": "198.51.100.7",
        "agent": "station/1.0",
    }
    assert device["device_code"] not in repr(events)
    assert device["user_code"] not in repr(events)


async def test_asking_too_early_is_told_to_slow_down_and_the_interval_has_grown_for_good_dev_06(
    offering: Door, client_id: str
) -> None:
    code = (await ask(offering, client_id))["device_code"]
    told = []
    for pause in (0, 5, 4, 10, 9, 14, 20, 15):
        offering.clock.advance(seconds=pause)
        told.append(refusal(await poll(offering, client_id, code)))
    # 4 s is too early for 5; then 10 are enough; 9 are too early for 10; 14 for 15; then 20 it is, and 15 are not.
    assert told == [PENDING, PENDING, SLOW_DOWN, PENDING, SLOW_DOWN, SLOW_DOWN, PENDING, SLOW_DOWN]


async def test_a_decision_is_told_however_early_the_device_asks(offering: Door, client_id: str, person: Person) -> None:
    allowed, denied = await ask(offering, client_id), await ask(offering, client_id)
    for device in (allowed, denied):
        for expected in (PENDING, SLOW_DOWN):
            assert refusal(await poll(offering, client_id, device["device_code"])) == expected
    await let_in(person, allowed["user_code"])
    await let_in(person, denied["user_code"], "deny")
    success(await poll(offering, client_id, allowed["device_code"]))
    assert refusal(await poll(offering, client_id, denied["device_code"])) == DENIED


async def test_a_denial_is_told_each_time_and_gives_nothing_dev_06(
    offering: Door, client_id: str, person: Person
) -> None:
    device = await ask(offering, client_id)
    page = await let_in(person, device["user_code"], "deny")
    assert "Access denied" in page.text
    for _ in range(3):
        assert refusal(await poll(offering, client_id, device["device_code"])) == DENIED
    assert await grants(offering) == []
    events = await connections.recent_events(offering.operator, offering.project)
    assert [event.detail["grant"] for event in events if event.action == "consent.denied"] == [None]


@pytest.mark.parametrize("decision", ["", "allow", "deny"])
async def test_a_code_that_ran_out_says_so_whatever_was_decided_dev_06(
    offering: Door, client_id: str, person: Person, decision: str
) -> None:
    device = await ask(offering, client_id)
    if decision:
        await let_in(person, device["user_code"], decision)
    offering.clock.advance(seconds=LIFE - 0.001)
    expected = {"": PENDING, "deny": DENIED}
    if decision in expected:
        assert refusal(await poll(offering, client_id, device["device_code"])) == expected[decision]
    offering.clock.advance(seconds=0.001)
    for _ in range(2):
        assert refusal(await poll(offering, client_id, device["device_code"])) == EXPIRED
        await sweep(offering.context)
    offering.clock.advance(seconds=MEMORY_MS / 1000)
    await sweep(offering.context)
    assert refusal(await poll(offering, client_id, device["device_code"])) == GONE


async def test_a_code_that_ran_out_can_no_longer_be_allowed(offering: Door, client_id: str, person: Person) -> None:
    device = await ask(offering, client_id)
    await person.sign_in(await person.open("/login"))
    offering.clock.advance(seconds=LIFE)
    page = await person.submit(await person.open("/device"), user_code=device["user_code"])
    assert (page.status, "No device waits with this code" in page.text) == (400, True)


async def test_a_code_gives_tokens_once_dev_07(offering: Door, client_id: str, person: Person) -> None:
    device = await ask(offering, client_id)
    await let_in(person, device["user_code"])
    won = success(await poll(offering, client_id, device["device_code"]))
    for _ in range(2):
        assert refusal(await poll(offering, client_id, device["device_code"])) == GONE
    assert await is_active(offering, won["access_token"])  # a device that asks twice did not lose what it has


async def test_another_client_gets_nothing_and_spoils_nothing_dev_07(
    offering: Door, client_id: str, person: Person
) -> None:
    device = await ask(offering, client_id)
    thief = (await add_device(offering, client_name="Thief"))["client_id"]
    for _ in range(2):
        assert refusal(await poll(offering, thief, device["device_code"])) == GONE
    assert refusal(await poll(offering, client_id, device["device_code"])) == PENDING
    await let_in(person, device["user_code"])
    assert refusal(await poll(offering, thief, device["device_code"])) == GONE
    success(await poll(offering, client_id, device["device_code"]))


@pytest.mark.parametrize("code", ["x", "mdc_", f"mdc_{'A' * 49}", "mac_x", "é", "x" * 5000])
async def test_a_code_nobody_gave_out_is_refused(offering: Door, client_id: str, code: str) -> None:
    assert refusal(await poll(offering, client_id, code)) == GONE


async def test_the_users_code_is_no_device_code(offering: Door, client_id: str, person: Person) -> None:
    device = await ask(offering, client_id)
    await let_in(person, device["user_code"])
    assert refusal(await poll(offering, client_id, device["user_code"])) == GONE


async def test_the_code_has_to_be_there(offering: Door, client_id: str) -> None:
    form = {"grant_type": DEVICE_CODE, "client_id": client_id}
    assert refusal(await offering.post_form(TOKEN, form)) == (400, "invalid_request")


async def test_a_client_with_a_secret_shows_it_each_time_cau_01(offering: Door, person: Person) -> None:
    client = await confidential(offering, grant_types=GRANTS)
    secret = client["client_secret"]
    device = success(await request(offering, None, basic(client["client_id"], secret)))
    await let_in(person, device["user_code"])
    form = {"grant_type": DEVICE_CODE, "device_code": device["device_code"]}
    bare = {**form, "client_id": client["client_id"]}
    assert refusal(await offering.post_form(TOKEN, bare)) == (401, "invalid_client")
    success(await offering.post_form(TOKEN, form, basic(client["client_id"], secret)))


async def test_a_client_of_another_grant_cannot_ask_tok_11(offering: Door) -> None:
    client_id = (await offering.register())["client_id"]
    assert refusal(await poll(offering, client_id, "mdc_x")) == (400, "unauthorized_client")


async def test_a_token_for_another_server_is_refused_and_the_code_stays_res_07(
    offering: Door, client_id: str, person: Person
) -> None:
    await resources.add(offering.operator, offering.project, "https://b.example.com/mcp", name="B", scopes=SCOPES)
    offering.clock.advance(seconds=1)
    device = await ask(offering, client_id, resource=RESOURCE)
    await let_in(person, device["user_code"])
    code = device["device_code"]
    other = await poll(offering, client_id, code, resource="https://b.example.com/mcp")
    assert refusal(other) == (400, "invalid_target")
    assert success(await poll(offering, client_id, code, resource=RESOURCE))


async def test_a_stopped_server_keeps_the_device_waiting_and_its_code_good(
    offering: Door, client_id: str, person: Person
) -> None:
    device = await ask(offering, client_id)
    await let_in(person, device["user_code"])
    await revocations.stop_server(offering.operator, offering.resource)
    offering.clock.advance(seconds=1)
    for answer in (await poll(offering, client_id, device["device_code"]), await request(offering, client_id)):
        assert refusal(answer) == (503, "temporarily_unavailable")
        assert answer.header("retry-after")
    await revocations.resume_server(offering.operator, offering.resource)
    offering.clock.advance(seconds=1)
    success(await poll(offering, client_id, device["device_code"]))


async def test_the_audience_has_the_alias_that_was_asked_for(offering: Door, client_id: str, person: Person) -> None:
    alias = "https://old.example.com/mcp"
    await resources.change(offering.operator, offering.resource, settings=ResourceSettings(aliases=(alias,)))
    offering.clock.advance(seconds=1)
    device = await ask(offering, client_id, resource=alias)
    await let_in(person, device["user_code"])
    answer = success(await poll(offering, client_id, device["device_code"]))
    assert claims_of(answer["access_token"])["aud"] == [RESOURCE, alias]
    refreshed = success(await offering.refresh(client_id, answer["refresh_token"]))
    assert claims_of(refreshed["access_token"])["aud"] == [RESOURCE, alias]


async def test_switching_the_grant_off_ends_what_waits(offering: Door, client_id: str, person: Person) -> None:
    device = await ask(offering, client_id)
    await let_in(person, device["user_code"])
    await set_project(offering, device_flow=False)
    answer = await poll(offering, client_id, device["device_code"])
    assert refusal(answer) == (400, "unsupported_grant_type")


@pytest.mark.parametrize("what", ["suspended", "voided", "removed", "user disabled", "server removed"])
async def test_what_was_allowed_is_judged_again_when_the_device_comes_for_it_t43(
    offering: Door, person: Person, what: str
) -> None:
    door = offering
    client_id = (await add_device(door))["client_id"]
    device = await ask(door, client_id)
    await let_in(person, device["user_code"])
    stored = await clients.get(door.operator, door.project, client_id)
    ada = await users.get(door.operator, door.project, ADMIN_EMAIL)
    expected = GONE
    if what == "suspended":
        await admission.suspend(door.operator, stored)
        expected = (400, "unauthorized_client")
    elif what == "voided":
        await admission.revoke_everything(door.operator, stored)
    elif what == "removed":
        await clients.remove(door.operator, stored)
        expected = (401, "invalid_client")
    elif what == "user disabled":
        await users.add(door.operator, door.project, "eve@example.com", "a lantern by the gate", role="owner")
        await users.change(door.operator, ada, enabled=False)
    else:
        await resources.remove(door.operator, door.resource)
        door.clock.advance(seconds=1)
    assert refusal(await poll(door, client_id, device["device_code"])) == expected


async def test_a_client_without_refresh_tokens_gets_none(offering: Door, person: Person) -> None:
    client_id = (await add_device(offering, grant_types=["authorization_code", DEVICE_CODE]))["client_id"]
    device = await ask(offering, client_id)
    await let_in(person, device["user_code"])
    assert "refresh_token" not in success(await poll(offering, client_id, device["device_code"]))


async def test_a_device_that_is_never_fetched_leaves_nothing_behind_i13(
    offering: Door, client_id: str, person: Person
) -> None:
    device = await ask(offering, client_id)
    await let_in(person, device["user_code"])
    offering.clock.advance(seconds=2 * 86_400)
    await sweep(offering.context)
    gone = await offering.context.database.read(
        find_device_code, offering.project.project_id, hash_secret(device["device_code"])
    )
    assert gone is None
    assert await grants(offering) == []


async def test_the_timeline_tells_the_device_its_person_and_its_tokens_as_one_story(
    offering: Door, client_id: str, person: Person
) -> None:
    device = await ask(offering, client_id)
    assert refusal(await poll(offering, client_id, device["device_code"])) == PENDING
    await let_in(person, device["user_code"])
    success(await poll(offering, client_id, device["device_code"]))
    story = await only_story(offering)
    steps = [(event.step, event.outcome) for event in story.events if event.step != "register"]
    assert steps == [("device", "ok"), ("sign_in", "ok"), ("device", "ok"), ("consent", "ok"), ("token", "ok")]
    assert (story.client_id, story.verdict) == (client_id, "connected")
    assert device["user_code"] not in repr(story)


async def test_the_timeline_tells_that_the_person_declined(offering: Door, client_id: str, person: Person) -> None:
    device = await ask(offering, client_id)
    await let_in(person, device["user_code"], "deny")
    assert refusal(await poll(offering, client_id, device["device_code"])) == DENIED
    assert "declined" in (await only_story(offering)).verdict
