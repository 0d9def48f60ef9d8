"""What an operator or a person ends is announced to whoever verifies offline, and nothing else is (T43; I2, I3)."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from doorward.core.secrets import RefreshTokens, new_family_id, new_salt
from doorward.manage import admission, clients, connections, resources, revocations, signing_keys, trust, users
from doorward.manage.operator import ActionRefused
from doorward.oauth.jwt import read_kid
from doorward.oauth.revocations import WHOLE_PROJECT
from doorward.storage.revocations import list_revocations
from tests.inside import Door
from tests.manage.ground import Ground
from tests.manage.test_audit import ACTIONS, name_of
from tests.server.steps import claims_of, is_active, refusal, success

Told = list[tuple[str, str, str]]
ENDINGS: dict[Callable[..., Any], Callable[[Ground], Told]] = {
    resources.remove: lambda g: [("resource", g.resource.uri, "void")],
    clients.remove: lambda g: [("client", g.client.client_id, "void")],
    admission.deny: lambda g: [("client", g.waiting.client_id, "void"), ("client", g.waiting.client_id, "free")],
    admission.suspend: lambda g: [("client", g.client.client_id, "hold")],
    admission.reactivate: lambda g: [("client", g.suspended.client_id, "free")],
    admission.revoke_everything: lambda g: [("client", g.client.client_id, "void")],
    users.change: lambda g: [("user", g.owner.user_id, "hold")],
    users.remove: lambda g: [("user", g.owner.user_id, "void")],
    connections.revoke: lambda g: [("grant", g.grant.grant_id, "void")],
    trust.remove: lambda g: [("client", g.trust.trust_id, "void")],
    trust.revoke_everything: lambda g: [("client", g.trust.trust_id, "void")],
    revocations.revoke_user: lambda g: [("user", g.owner.user_id, "void")],
    revocations.revoke_resource: lambda g: [("resource", g.resource.uri, "void")],
    revocations.revoke_project: lambda _: [("project", WHOLE_PROJECT, "void")],
    revocations.stop_server: lambda g: [("resource", g.resource.uri, "hold")],
    revocations.resume_server: lambda g: [("resource", g.stopped.uri, "free")],
    revocations.stop_everything: lambda _: [("project", WHOLE_PROJECT, "hold")],
    revocations.resume_everything: lambda _: [("project", WHOLE_PROJECT, "free")],
    signing_keys.replace_at_once: lambda g: [("key", read_kid(g.token), "void")],
    revocations.revoke_token: lambda g: [("jti", claims_of(g.token)["jti"], "void")],
}


async def list_told(ground: Ground) -> list[Any]:
    """Every announcement of the projects that are acted on, oldest first."""
    told = []
    for project in (ground.project, ground.fresh, ground.halted):
        told += await ground.operator.database.read(list_revocations, project.project_id, 0, at_most=1000)
    return told


@pytest.mark.parametrize("action", ACTIONS, ids=name_of)
async def test_an_action_announces_what_it_ends_and_no_more(ground: Ground, action: Callable[..., Any]) -> None:
    before = {revocation.mark for revocation in await list_told(ground)}
    await ACTIONS[action][1](ground)
    new = [revocation for revocation in await list_told(ground) if revocation.mark not in before]
    expected = ENDINGS.get(action)
    assert [(r.kind, r.subject, r.state) for r in new] == (expected(ground) if expected else [])
    now = ground.operator.clock()
    # Whoever has a key writes what time they like into its tokens.
    assert all(r.void_before >= r.expires_at if r.kind == "key" else r.void_before == now for r in new)


@pytest.mark.parametrize("action", ENDINGS, ids=name_of)
async def test_what_ended_is_over_for_introspection_at_once(
    door: Door, ground: Ground, action: Callable[..., Any]
) -> None:
    # Nothing of the ground but its token is asked about: what concerns other things must leave it alone.
    other = {
        clients.remove,
        admission.deny,
        admission.suspend,
        admission.reactivate,
        admission.revoke_everything,
        connections.revoke,
        revocations.resume_server,
        revocations.resume_everything,
        trust.remove,
        trust.revoke_everything,
    }
    assert await is_active(door, ground.token)
    await ACTIONS[action][1](ground)
    if action is signing_keys.replace_at_once:
        door.clock.advance(seconds=1)  # keys are read once a second
    assert await is_active(door, ground.token) is (action in other)


@pytest.mark.parametrize(
    ("stop", "resume"),
    [
        (revocations.stop_server, revocations.resume_server),
        (revocations.stop_everything, revocations.resume_everything),
    ],
)
async def test_a_stop_ends_nothing_and_is_taken_back(
    door: Door, stop: Callable[..., Any], resume: Callable[..., Any]
) -> None:
    client_id, tokens = await door.tokens()
    what = door.resource if stop is revocations.stop_server else door.project
    await stop(door.operator, what)
    assert not await is_active(door, tokens["access_token"])
    with pytest.raises(ActionRefused, match="stopped already"):
        await stop(door.operator, what)
    door.clock.advance(seconds=1)
    assert refusal(await door.refresh(client_id, tokens["refresh_token"])) == (503, "temporarily_unavailable")
    await resume(door.operator, what)
    assert await is_active(door, tokens["access_token"])
    with pytest.raises(ActionRefused, match="not stopped"):
        await resume(door.operator, what)
    door.clock.advance(seconds=1)
    success(await door.refresh(client_id, tokens["refresh_token"]))


@pytest.mark.parametrize("what", ["user", "resource", "project"])
async def test_everything_so_far_ends_and_what_comes_after_does_not(door: Door, ground: Ground, what: str) -> None:
    client_id, tokens = await door.tokens()
    act: dict[str, Callable[[], Any]] = {
        "user": lambda: revocations.revoke_user(door.operator, ground.owner),
        "resource": lambda: revocations.revoke_resource(door.operator, door.resource),
        "project": lambda: revocations.revoke_project(door.operator, door.project),
    }
    await act[what]()
    assert not await is_active(door, tokens["access_token"])
    assert refusal(await door.refresh(client_id, tokens["refresh_token"])) == (400, "invalid_grant")
    door.clock.advance(seconds=1)
    _, later = await door.tokens()
    assert await is_active(door, later["access_token"])


@pytest.mark.parametrize("act", [revocations.revoke_user, revocations.revoke_project])
async def test_everything_of_a_person_includes_where_they_are_signed_in(
    door: Door, ground: Ground, act: Callable[..., Any]
) -> None:
    person = door.person()
    await person.sign_in(await person.open("/login"))
    assert (await person.http.get("/account")).status_code == 200
    await act(door.operator, ground.owner if act is revocations.revoke_user else door.project)
    assert (await person.http.get("/account")).status_code == 303
    assert await connections.sessions(door.operator, door.project, ground.owner) == []
    door.clock.advance(seconds=1)
    await person.sign_in(await person.open("/login"))
    assert (await person.http.get("/account")).status_code == 200


EPOCHS: list[Callable[..., Any]] = [
    admission.revoke_everything,
    clients.remove,
    resources.remove,
    revocations.revoke_project,
    revocations.revoke_resource,
    revocations.revoke_user,
    trust.remove,
    trust.revoke_everything,
    users.remove,
]


@pytest.mark.parametrize("action", EPOCHS, ids=name_of)
async def test_an_end_is_not_dated_before_what_was_committed_before_it(
    ground: Ground, action: Callable[..., Any]
) -> None:
    # A command that waits for a busy server must not date the end back to when it began to wait: tokens that were
    # issued meanwhile would be younger than the end of everything.
    database, clock = ground.operator.database, ground.operator.clock
    is_queued = threading.Event()

    async def hold_up(_: Any) -> None:
        assert is_queued.wait(10)
        clock.advance(seconds=3)  # type: ignore[attr-defined]  # the clock of the test

    asked_at = clock()
    held_up = asyncio.ensure_future(database.write(hold_up))
    await asyncio.sleep(0)
    ending = asyncio.ensure_future(ACTIONS[action][1](ground))
    await asyncio.sleep(0)
    is_queued.set()
    await asyncio.gather(held_up, ending)
    told = await database.read(list_revocations, ground.project.project_id, 0, at_most=1000)
    newest = max(told, key=lambda revocation: revocation.seq)
    assert (newest.state, newest.void_before) == ("void", asked_at + 3000)


async def test_a_refresh_token_in_wrong_hands_ends_with_its_connection(door: Door, ground: Ground) -> None:
    client_id, tokens = await door.tokens()
    refreshed = success(await door.refresh(client_id, tokens["refresh_token"]))
    ended = await revocations.revoke_token(door.operator, door.project, tokens["refresh_token"])
    assert ended == claims_of(tokens["access_token"])["grant_id"]
    assert not await is_active(door, refreshed["access_token"])
    assert refusal(await door.refresh(client_id, refreshed["refresh_token"])) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "what", ["garbage", "truncated", "forged", "forged refresh", "of nobody", "twice", "expired", "of another"]
)
async def test_what_is_no_live_token_is_refused_and_ends_nothing(door: Door, ground: Ground, what: str) -> None:
    client_id, tokens = await door.tokens()
    head, body, signature = tokens["access_token"].split(".")
    stranger, claimed = RefreshTokens(bytes(32)), RefreshTokens.parse(tokens["refresh_token"])
    assert claimed is not None
    project = ground.fresh if what == "of another" else door.project
    token = {
        "garbage": "garbage",
        "truncated": tokens["refresh_token"][:-1],
        "forged": f"{head}.{body}.{signature[::-1]}",
        "forged refresh": stranger.derive(claimed[0], new_salt(), 0),
        "of nobody": stranger.derive(new_family_id(), new_salt(), 0),
    }.get(what, tokens["access_token"])
    if what == "twice":
        await revocations.revoke_token(door.operator, project, token)
    if what == "expired":
        door.clock.advance(seconds=900)
    with pytest.raises(ActionRefused, match="no live token"):
        await revocations.revoke_token(door.operator, project, token)
    success(await door.refresh(client_id, tokens["refresh_token"]))
