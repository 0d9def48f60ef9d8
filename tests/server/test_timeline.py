"""The timeline: one story for each attempt to connect, with the real reason of what went wrong (complaints 7, 36)."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from doorward.core.models import Capability
from doorward.core.timeline import Story
from doorward.manage import timeline
from doorward.manage.operator import ActionRefused
from doorward.server.jobs import sweep
from doorward.server.timeline import SOURCE_BURST
from tests.inside import LOOPBACK, Answer, Door
from tests.person import answer_parameters
from tests.server.pushing import PAR, fields, link, push, taken
from tests.server.steps import TOKEN, WEB_REDIRECT, bearer, project_key, refusal, success

AGENT = "claude-code/2.1"
BROWSER = "Mozilla/5.0"
DAY = 86_400
FORM = {"content-type": "application/x-www-form-urlencoded"}


async def as_client(door: Door, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    """A request of the app itself, from the person's machine."""
    given = {"user-agent": AGENT, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await door.call(method, path, body, given, source="198.51.100.7")


async def stories(door: Door, **chosen: Any) -> list[Story]:
    await door.context.timeline.flush()
    return await timeline.list_stories(door.operator, door.project, **chosen)


def told(story: Story) -> list[tuple[str, str]]:
    return [(event.step, event.outcome) for event in story.events]


async def connect(door: Door) -> tuple[str, Answer]:
    """(client_id, token answer) of an app that does everything right, as real ones do."""
    await as_client(door, "GET", "/.well-known/oauth-authorization-server")
    body = json.dumps({"redirect_uris": [LOOPBACK], "token_endpoint_auth_method": "none"}).encode()
    registered = await as_client(door, "POST", "/api/oauth/register", body, content_type="application/json")
    client_id = registered.json()["client_id"]
    code, verifier = await door.obtain_code(client_id, door.person())
    form = f"grant_type=authorization_code&client_id={client_id}&code={code}&code_verifier={verifier}"
    return client_id, await as_client(door, "POST", TOKEN, form.encode(), content_type=FORM["content-type"])


async def test_a_connection_is_one_story_from_first_look_to_token(door: Door) -> None:
    client_id, tokens = await connect(door)
    success(tokens)
    (story,) = await stories(door)
    assert told(story) == [
        ("metadata", "ok"),
        ("register", "ok"),
        ("authorize", "ok"),
        ("sign_in", "ok"),
        ("authorize", "ok"),
        ("consent", "ok"),
        ("token", "ok"),
    ]
    assert (story.client_id, story.verdict) == (client_id, "connected")
    assert story.user_id is not None
    consent, token = story.events[-2:]
    assert consent.grant_id == token.grant_id is not None
    assert {event.agent for event in story.events if event.step in ("metadata", "register", "token")} == {AGENT}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"code_verifier": "x" * 43}, "the code_verifier does not match the code_challenge"),
        ({"redirect_uri": "http://127.0.0.1/other"}, "the redirect_uri is not the one of the authorization request"),
        ({"resource": "https://other.example.com/mcp"}, "invalid_target"),
    ],
)
async def test_the_operator_is_told_the_reason_that_the_client_is_not(
    door: Door, changes: dict[str, str], reason: str
) -> None:
    client_id = (await door.register())["client_id"]
    code, verifier = await door.obtain_code(client_id, door.person())
    form = {"code_verifier": verifier, "grant_type": "authorization_code", "client_id": client_id, "code": code}
    answer = await door.post_form(TOKEN, {**form, **changes})
    refusal(answer)
    reference = answer.header("x-request-id")
    assert f"(reference {reference})" in answer.json()["error_description"]
    await door.context.timeline.flush()
    story = await timeline.find_story(door.operator, door.project, reference)
    assert story.events[-1].reference == reference
    assert reason in story.events[-1].reason
    assert story.verdict.startswith("stopped at the token: ")
    assert ("consent", "ok") in told(story)


async def test_a_code_that_comes_twice_is_told_as_such(door: Door) -> None:
    client_id = (await door.register())["client_id"]
    code, verifier = await door.obtain_code(client_id, door.person())
    success(await door.redeem(client_id, code, verifier))
    await door.redeem(client_id, code, verifier)
    (story,) = await stories(door)
    assert "redeemed before" in story.events[-1].reason


async def test_a_page_for_a_person_quotes_a_reference_that_finds_its_story(door: Door) -> None:
    answer = await door.call("GET", door.authorization_url("mcl_unknown", "v" * 43))
    reference = answer.header("x-request-id")
    assert answer.status == 400
    assert reference.encode() in answer.body
    await door.context.timeline.flush()
    story = await timeline.find_story(door.operator, door.project, reference)
    assert story.verdict.startswith("stopped at the authorization request: This app is not known here.")


async def test_an_error_on_its_way_to_the_client_quotes_it_too(door: Door) -> None:
    client_id = (await door.register())["client_id"]
    answer = await door.call("GET", door.authorization_url(client_id, "v" * 43, scope="telepathy"))
    parameters = answer_parameters(answer.header("location"))
    reference = answer.header("x-request-id")
    assert parameters["error_description"].endswith(f"(reference {reference})")
    await door.context.timeline.flush()
    story = await timeline.find_story(door.operator, door.project, reference)
    assert "invalid_scope: None of the requested scopes exists here" in story.verdict


async def test_a_person_who_declines_is_the_end_of_the_story(door: Door) -> None:
    client_id = (await door.register())["client_id"]
    await door.person().consent(door.authorization_url(client_id, "v" * 43), "deny")
    (story,) = await stories(door)
    assert story.verdict == "stopped at consent: access_denied: The person declined."


async def test_two_installations_of_one_app_are_two_stories_and_two_people_of_a_shared_id_too(door: Door) -> None:
    await connect(door)
    door.clock.advance(seconds=5)
    await connect(door)
    found = await stories(door)
    assert [story.verdict for story in found] == ["connected", "connected"]
    assert len({story.client_id for story in found}) == 2
    newest = found[0].client_id
    assert newest is not None
    assert [story.client_id for story in await stories(door, client_id=newest)] == [newest]


async def test_an_open_registration_that_nobody_uses_leaves_no_row(door: Door) -> None:
    for number in range(50):
        body = json.dumps({"redirect_uris": [LOOPBACK], "client_name": f"Flood {number}"}).encode()
        await as_client(door, "POST", "/api/oauth/register", body, content_type="application/json")
        await as_client(door, "GET", "/.well-known/oauth-authorization-server")
    assert await stories(door) == []


async def test_a_registration_that_is_refused_is_told_with_what_led_to_it(door: Door) -> None:
    await as_client(door, "GET", "/.well-known/oauth-authorization-server")
    body = json.dumps({"redirect_uris": ["javascript:alert(1)"]}).encode()
    answer = await as_client(door, "POST", "/api/oauth/register", body, content_type="application/json")
    assert answer.status == 400
    (story,) = await stories(door)
    assert told(story) == [("metadata", "ok"), ("register", "refused")]
    assert "invalid_redirect_uri" in story.verdict


async def test_metadata_that_is_looked_for_in_the_wrong_place_is_told(door: Door) -> None:
    answer = await as_client(door, "GET", "/.well-known/oauth-protected-resource/nowhere")
    assert answer.status == 404
    (story,) = await stories(door)
    assert story.verdict == ("stopped at the server's metadata: 404 at /.well-known/oauth-protected-resource/nowhere")


async def test_no_secret_is_in_the_timeline_gen_06(door: Door) -> None:
    client_id, tokens = await connect(door)
    refreshed = await door.refresh(client_id, tokens.json()["refresh_token"])
    await door.redeem(client_id, "mac_not-a-code", "v" * 43)
    secrets = [
        *(tokens.json()[name] for name in ("access_token", "refresh_token")),
        *(refreshed.json()[name] for name in ("access_token", "refresh_token")),
        "mac_not-a-code",
        "state-1",
    ]
    text = json.dumps([timeline.describe(story) for story in await stories(door)])
    assert [secret for secret in secrets if secret in text] == []


async def test_a_flood_of_refusals_is_bounded_for_its_source_and_leaves_room_for_others_i13(door: Door) -> None:
    kept = door.context.timeline
    for _ in range(SOURCE_BURST + 50):
        await door.call("POST", TOKEN, b"grant_type=x&client_id=nobody", FORM, source="203.0.113.66")
    await door.call("POST", TOKEN, b"grant_type=x&client_id=nobody", FORM, source="198.51.100.9")
    await kept.flush()
    found = await timeline.list_stories(door.operator, door.project)
    events = [event for story in found for event in story.events]
    assert len([event for event in events if event.source == "203.0.113.66"]) <= SOURCE_BURST
    assert len([event for event in events if event.source == "198.51.100.9"]) == 1
    assert kept.dropped >= 50


async def test_events_that_cannot_be_written_are_counted_and_hold_nobody_up(door: Door) -> None:
    await door.call("POST", TOKEN, b"grant_type=x&client_id=nobody", FORM)
    await door.context.database.close()
    await door.context.timeline.flush()
    assert door.context.timeline.dropped == 1


async def test_the_timeline_is_kept_for_a_week(door: Door) -> None:
    await connect(door)
    await stories(door)
    door.clock.advance(seconds=7 * DAY - 60)
    await sweep(door.context)
    assert len(await stories(door)) == 1
    door.clock.advance(seconds=61)
    await sweep(door.context)
    assert await stories(door) == []


async def test_an_unknown_reference_is_said_to_be_unknown(door: Door) -> None:
    with pytest.raises(ActionRefused, match="There is no event nothing"):
        await timeline.find_story(door.operator, door.project, "nothing")


def report(door: Door, **changes: Any) -> dict[str, Any]:
    return {
        "at": door.clock(),
        "step": "challenge",
        "outcome": "ok",
        "source": "198.51.100.7",
        "agent": AGENT,
        **changes,
    }


async def test_a_protected_server_tells_its_side_of_the_story(door: Door) -> None:
    key = await project_key(door, "introspect")
    success(await door.post_json("/api/oauth/timeline", {"events": [report(door)]}, bearer(key)))
    client_id, tokens = await connect(door)
    grant_id = (await stories(door))[0].events[-1].grant_id
    refused = report(door, step="call", outcome="refused", reason="invalid_token: aud", grant_id=grant_id)
    success(await door.post_json("/api/oauth/timeline", {"events": [refused]}, bearer(key)))
    (story,) = await stories(door)
    assert (told(story)[0], told(story)[-1]) == (("challenge", "ok"), ("call", "refused"))
    assert story.verdict == "stopped at the first call: invalid_token: aud"
    assert story.client_id == client_id
    assert tokens.status == 200


@pytest.mark.parametrize(
    "events",
    [
        "nothing",
        [1],
        [{"step": "consent"}],
        [{"at": "now", "step": "call", "outcome": "ok"}],
        [{"at": -1, "step": "call", "outcome": "ok"}],
        [{"at": 1, "step": "call", "outcome": "wonderful"}],
        [{"at": 1, "step": "call", "outcome": "ok", "agent": "a\nb"}],
        [{"at": 1, "step": "call", "outcome": "ok", "reason": "x" * 3000}],
        [{"at": 1, "step": "call", "outcome": "ok"}] * 101,
    ],
)
async def test_a_report_that_is_none_is_refused_whole(door: Door, events: Any) -> None:
    key = await project_key(door, "introspect")
    answer = await door.post_json("/api/oauth/timeline", {"events": events}, bearer(key))
    assert refusal(answer)[0] == 400
    assert all("call" not in dict(told(story)) for story in await stories(door))


@pytest.mark.parametrize("capability", ["register", "mint", None])
async def test_reports_need_a_key_that_may_introspect_t16(door: Door, capability: Capability | None) -> None:
    headers = bearer(await project_key(door, capability)) if capability else {}
    answer = await door.post_json("/api/oauth/timeline", {"events": []}, headers)
    assert refusal(answer) == (401, "invalid_token")


async def test_a_report_from_the_future_is_dated_now(door: Door) -> None:
    key = await project_key(door, "introspect")
    late = report(door, at=door.clock() + 10**9, step="call", outcome="refused", reason="why")
    success(await door.post_json("/api/oauth/timeline", {"events": [late]}, bearer(key)))
    (story,) = await stories(door)
    assert story.events[-1].at == door.clock()


async def test_a_web_clients_error_page_quotes_the_same_reference(door: Door) -> None:
    client_id = (await door.register(redirect_uris=[WEB_REDIRECT]))["client_id"]
    url = door.authorization_url(client_id, "v" * 43, redirect_uri=WEB_REDIRECT, response_type="token")
    answer = await door.call("GET", url)
    assert answer.status == 400
    assert answer.header("x-request-id").encode() in answer.body


async def test_a_pushed_request_is_a_step_of_its_story_and_so_is_what_became_of_it(door: Door) -> None:
    client_id = (await door.register())["client_id"]
    refused = await as_client(
        door, "POST", PAR, urlencode(fields(client_id, scope="nothing")).encode(), content_type=FORM["content-type"]
    )
    assert refusal(refused) == (400, "invalid_scope")
    name = taken(await push(door, client_id, {"user-agent": AGENT}))
    await door.person().consent(link(client_id, name))
    again = await door.person().open(link(client_id, name))
    assert again.status == 400
    events = [event for story in await stories(door) for event in story.events if event.step in ("push", "authorize")]
    assert {(event.step, event.outcome) for event in events} == {
        ("push", "refused"),
        ("push", "ok"),
        ("authorize", "ok"),
        ("authorize", "refused"),
    }
    assert {event.client_id for event in events} == {client_id}
    (over,) = [event.reason for event in events if (event.step, event.outcome) == ("authorize", "refused")]
    assert "decided on" in over
    assert name.rpartition(":")[2] not in repr(events)
