"""Registrations that change, end, and are kept out: by the client itself and by the operator.

Spec: RFC 7592, DCM-01 … DCM-08; PRE-03; complaint 23
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from doorward.cli.commands import app as cli
from doorward.manage import admission, clients
from doorward.manage.operator import ActionRefused
from doorward.server.jobs import sweep
from tests.inside import LOOPBACK, Answer, Door, open_door
from tests.registration.site import Site
from tests.registration.steps import WEB, audited, authorize, is_accepted, row_counts, tokens_of, told
from tests.server.steps import (
    REGISTER,
    VERIFIER,
    basic,
    bearer,
    confidential_tokens,
    is_active,
    plain_description,
    refusal,
    set_project,
    success,
)

DAY = 86_400
POST = {"token_endpoint_auth_method": "client_secret_post"}
BASIC = {"token_endpoint_auth_method": "client_secret_basic"}


async def made(door: Door, **members: Any) -> dict[str, Any]:
    """A stored registration."""
    return await door.register(redirect_uris=[WEB], **{**BASIC, **members})


async def manage(door: Door, method: str, client: dict[str, Any], token: str = "", **members: Any) -> Answer:
    headers = {**bearer(token or client["registration_access_token"]), "content-type": "application/json"}
    body = json.dumps(members).encode() if members else b""
    return await door.call(method, f"{REGISTER}/{client['client_id']}", body, headers)


async def put(door: Door, client: dict[str, Any], **members: Any) -> Answer:
    given = {"client_id": client["client_id"], "redirect_uris": [WEB], **BASIC, **members}
    return await manage(door, "PUT", client, **{name: value for name, value in given.items() if value != ()})


async def authenticates(door: Door, client: dict[str, Any], secret: str) -> bool:
    """Whether the token endpoint takes this secret: a wrong code is then the only thing wrong."""
    form = {"grant_type": "authorization_code", "code": "mac_x", "code_verifier": VERIFIER}
    status, error = refusal(await door.post_form("/api/oauth/token", form, basic(client["client_id"], secret)))
    assert (status, error) in ((400, "invalid_grant"), (401, "invalid_client"))
    return error == "invalid_grant"


async def get(door: Door, client_id: str) -> Any:
    return await clients.get(door.operator, door.project, client_id)


async def test_a_registration_is_read_without_its_secret_dcm_02(door: Door) -> None:
    client = await made(door)
    answer = await manage(door, "GET", client)
    assert (answer.status, answer.header("cache-control")) == (200, "no-store")
    assert answer.json() == {n: v for n, v in client.items() if not n.startswith("client_secret")}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_wrong_token_and_an_unknown_client_are_the_same_401_dcm_01_06(door: Door, method: str) -> None:
    client, other = await made(door), await made(door)
    answers = [
        await manage(door, method, client, "mra_wrong"),
        await manage(door, method, client, other["registration_access_token"]),
        await manage(door, method, {**client, "client_id": "mcl_unknown"}),
    ]
    assert {refusal(answer) for answer in answers} == {(401, "invalid_token")}
    assert {plain_description(answer) for answer in answers} == {plain_description(answers[0])}
    missing = await door.call(method, f"{REGISTER}/{client['client_id']}")
    assert refusal(missing)[0] == 401
    assert "error=" not in missing.header("www-authenticate")


async def test_a_client_of_an_operator_has_no_token_to_manage_it(door: Door) -> None:
    client, _ = await clients.add(door.operator, door.project, (WEB,), confidential=True)
    assert refusal(await manage(door, "GET", {"client_id": client.client_id}, "mra_x")) == (401, "invalid_token")


async def test_an_update_replaces_everything_and_the_token_dcm_03(door: Door) -> None:
    client = await made(door, client_name="Before", client_uri="https://client.example.com/", contacts=["a@b.example"])
    answer = await put(door, client, client_name=None, redirect_uris=["https://client.example.com/new"])
    changed = answer.json()
    assert answer.status == 200
    assert changed["client_id"] == client["client_id"]
    assert changed["redirect_uris"] == ["https://client.example.com/new"]
    assert not {"client_name", "client_uri", "contacts"} & changed.keys()
    assert changed["registration_access_token"] != client["registration_access_token"]
    assert refusal(await manage(door, "GET", client)) == (401, "invalid_token")
    assert (await manage(door, "GET", changed)).status == 200
    assert not await is_accepted(door, client["client_id"], WEB)


@pytest.mark.parametrize(
    "members",
    [
        {"client_id": ()},
        {"client_id": "mcl_other"},
        {"client_id": None},
        {"registration_access_token": "x"},
        {"registration_client_uri": "x"},
        {"client_secret_expires_at": 0},
        {"client_id_issued_at": 1},
        {"client_secret": "mcs_chosen"},
        {"client_secret": 7},
        {"redirect_uris": ()},
        {"redirect_uris": ["javascript:alert(1)"]},
        {"redirect_uris": [WEB, "javascript:alert(1)"]},
        {"token_endpoint_auth_method": "none"},
        {"token_endpoint_auth_method": "client_secret_jwt"},
        {"grant_types": ["client_credentials"]},
    ],
)
async def test_an_update_that_breaks_a_rule_changes_nothing_dcm_03_dcm_04(door: Door, members: dict[str, Any]) -> None:
    client = await made(door)
    status, error = refusal(await put(door, client, **members))
    assert status == 400
    assert error in ("invalid_request", "invalid_client_metadata", "invalid_redirect_uri")
    assert (await manage(door, "GET", client)).status == 200
    assert await authenticates(door, client, client["client_secret"])


async def test_the_current_secret_may_be_sent_along(door: Door) -> None:
    client = await made(door)
    assert (await put(door, client, client_secret=client["client_secret"])).status == 200


async def test_of_two_updates_at_once_one_wins(door: Door) -> None:
    client = await made(door)
    answers = await asyncio.gather(*(put(door, client, client_name=f"Name {number}") for number in range(10)))
    assert sorted(answer.status for answer in answers) == [200] + [401] * 9


async def test_the_token_that_manages_a_client_lives_as_long_as_the_client_dcm_07(door: Door) -> None:
    client = await made(door)
    await confidential_tokens(door, client)
    for _ in range(3):
        door.clock.advance(seconds=150 * DAY)
        await sweep(door.context)
        assert (await manage(door, "GET", client)).status == 200
        await confidential_tokens(door, client)


async def test_a_client_that_is_kept_out_may_read_its_registration_and_change_nothing_dcm_06(door: Door) -> None:
    client = await made(door)
    await admission.suspend(door.operator, await get(door, client["client_id"]))
    assert (await manage(door, "GET", client)).status == 200
    assert refusal(await put(door, client)) == (403, "access_denied")
    assert refusal(await manage(door, "DELETE", client)) == (403, "access_denied")


async def test_a_deleted_client_is_dead_with_all_it_held_dcm_05(door: Door) -> None:
    client = await made(door)
    tokens = await confidential_tokens(door, client)
    answer = await manage(door, "DELETE", client)
    assert (answer.status, answer.body, answer.header("cache-control")) == (204, b"", "no-store")
    assert not await is_active(door, tokens["access_token"])
    refused = await door.refresh(client["client_id"], tokens["refresh_token"], client_secret=client["client_secret"])
    assert refusal(refused) == (401, "invalid_client")
    assert refusal(await manage(door, "GET", client)) == (401, "invalid_token")
    assert "was deleted by the app" in told(await authorize(door, client["client_id"], WEB))


async def test_secrets_expire_as_the_project_says_and_are_renewed_with_an_overlap(door: Door) -> None:
    await set_project(door, client_secret_seconds=90 * DAY)
    client = await made(door)
    old = client["client_secret"]
    assert client["client_secret_expires_at"] == door.clock() // 1000 + 90 * DAY
    early = (await put(door, client)).json()
    assert "client_secret" not in early
    await confidential_tokens(door, client)  # so that it is none of those that nobody ever used
    door.clock.advance(seconds=61 * DAY)
    renewed = (await put(door, early)).json()
    new = renewed["client_secret"]
    assert renewed["client_secret_expires_at"] == door.clock() // 1000 + 90 * DAY
    assert await authenticates(door, client, old)
    assert await authenticates(door, client, new)
    door.clock.advance(seconds=DAY)
    assert not await authenticates(door, client, old)
    door.clock.advance(seconds=89 * DAY)
    assert not await authenticates(door, client, new)


async def test_a_renewed_secret_lives_for_ever_where_the_project_says_so_by_then(door: Door) -> None:
    await set_project(door, client_secret_seconds=10 * DAY)
    client = await made(door)
    await set_project(door, client_secret_seconds=0)
    renewed = (await put(door, client)).json()
    assert renewed["client_secret_expires_at"] == 0
    door.clock.advance(seconds=20 * DAY)
    assert await authenticates(door, client, renewed["client_secret"])


async def test_an_operator_rotates_a_secret_with_an_overlap_pre_03(door: Door) -> None:
    client, old = await clients.add(door.operator, door.project, (WEB,), confidential=True)
    assert old is not None
    shown = {"client_id": client.client_id}
    new, expires_at = await clients.rotate_secret(door.operator, door.project, client, overlap_ms=3_600_000)
    assert expires_at is None
    assert await authenticates(door, shown, old)
    assert await authenticates(door, shown, new)
    with pytest.raises(ActionRefused):
        await clients.rotate_secret(door.operator, door.project, client, overlap_ms=0)
    door.clock.advance(seconds=3600)
    assert not await authenticates(door, shown, old)
    stored = await get(door, client.client_id)
    last, _ = await clients.rotate_secret(door.operator, door.project, stored, overlap_ms=0)
    assert not await authenticates(door, shown, new)
    assert await authenticates(door, shown, last)


async def test_an_operator_s_new_secret_lives_as_long_as_the_project_gives_registered_clients(door: Door) -> None:
    await set_project(door, client_secret_seconds=10 * DAY)
    registered = await made(door)
    added, _ = await clients.add(door.operator, door.project, (WEB,), confidential=True)
    client = await get(door, registered["client_id"])
    secret, expires_at = await clients.rotate_secret(door.operator, door.project, client, overlap_ms=0)
    assert expires_at == door.clock() + 10 * DAY * 1000
    _, never = await clients.rotate_secret(door.operator, door.project, added, overlap_ms=0)
    assert never is None
    door.clock.advance(seconds=10 * DAY - 1)
    assert await authenticates(door, registered, secret)
    door.clock.advance(seconds=1)
    assert not await authenticates(door, registered, secret)


async def test_an_overlap_brings_no_expired_secret_back(door: Door) -> None:
    await set_project(door, client_secret_seconds=10 * DAY)
    registered = await made(door)
    door.clock.advance(seconds=10 * DAY - 3600)
    client = await get(door, registered["client_id"])
    secret, _ = await clients.rotate_secret(door.operator, door.project, client, overlap_ms=24 * 3_600_000)
    assert await authenticates(door, registered, registered["client_secret"])
    door.clock.advance(seconds=3600)
    assert not await authenticates(door, registered, registered["client_secret"])
    door.clock.advance(seconds=11 * DAY)
    client = await get(door, registered["client_id"])
    await clients.rotate_secret(door.operator, door.project, client, overlap_ms=24 * 3_600_000)
    assert not await authenticates(door, registered, secret)


async def test_revoking_everything_is_one_row_and_takes_effect_at_once_con_05_t19(door: Door) -> None:
    client_id = (await door.register())["client_id"]
    held = [await tokens_of(door, client_id, LOOPBACK) for _ in range(3)]
    before = await row_counts(door)
    door.clock.advance(seconds=1)
    await admission.revoke_everything(door.operator, await get(door, client_id))
    after = await row_counts(door)
    assert {name for name in after if after[name] != before[name]} == {"audit_events", "revocations"}
    for tokens in held:
        assert not await is_active(door, tokens["access_token"])
        assert refusal(await door.refresh(client_id, tokens["refresh_token"])) == (400, "invalid_grant")
    door.clock.advance(seconds=1)
    again = await tokens_of(door, client_id, LOOPBACK)
    assert await is_active(door, again["access_token"])


async def test_revoking_everything_ends_codes_that_were_not_redeemed(door: Door) -> None:
    client_id = (await door.register())["client_id"]
    code, verifier = await door.obtain_code(client_id, door.person())
    door.clock.advance(seconds=1)
    await admission.revoke_everything(door.operator, await get(door, client_id))
    assert refusal(await door.redeem(client_id, code, verifier)) == (400, "invalid_grant")


async def test_a_suspended_client_is_dead_at_once_and_alive_when_it_is_back(door: Door) -> None:
    client_id = (await door.register())["client_id"]
    tokens = await tokens_of(door, client_id, LOOPBACK)
    await admission.suspend(door.operator, await get(door, client_id))
    assert not await is_active(door, tokens["access_token"])
    assert refusal(await door.refresh(client_id, tokens["refresh_token"])) == (400, "unauthorized_client")
    with pytest.raises(ActionRefused):
        await admission.suspend(door.operator, await get(door, client_id))
    await admission.reactivate(door.operator, await get(door, client_id))
    assert await is_active(door, tokens["access_token"])
    success(await door.refresh(client_id, tokens["refresh_token"]))


async def test_the_same_software_is_one_family_however_it_is_known(door: Door, site: Site) -> None:
    for number in range(3):
        uri = f"http://localhost:{5000 + number}/callback"
        client_id = (await door.register(client_name=f"Claude Code (server {number})", redirect_uris=[uri]))[
            "client_id"
        ]
        await tokens_of(door, client_id, uri)
    await clients.add(door.operator, door.project, ("http://localhost/callback",), name="Claude Code")
    await tokens_of(door, site.publish(client_name="Claude Code"))
    other = (await door.register(client_name="Other"))["client_id"]
    await tokens_of(door, other, LOOPBACK)
    first, second = await admission.list_families(door.operator, door.project)
    assert (len(first.clients), first.connections, first.kinds) == (5, 4, ("document", "manual", "sealed"))
    assert (second.name, second.connections) == ("Other", 1)
    described = admission.describe_family(first)
    assert described["redirects"] == ["loopback"]


async def test_every_action_of_an_operator_leaves_one_row_of_audit_i7(door: Door) -> None:
    client, _ = await clients.add(door.operator, door.project, (WEB,), confidential=True)
    actions: list[Callable[[Any], Awaitable[Any]]] = [
        lambda c: clients.change_scope(door.operator, c, "tools:read"),
        lambda c: clients.rotate_secret(door.operator, door.project, c, overlap_ms=0),
        lambda c: admission.revoke_everything(door.operator, c),
        lambda c: admission.suspend(door.operator, c),
        lambda c: admission.reactivate(door.operator, c),
        lambda c: clients.remove(door.operator, c),
    ]
    for action in actions:
        before = len(await audited(door))
        await action(await get(door, client.client_id))
        assert len(await audited(door)) == before + 1


async def test_every_change_by_the_client_leaves_one_row_of_audit_i7(door: Door) -> None:
    client = await made(door)
    count = len(await audited(door))
    changed = (await put(door, client)).json()
    assert len(await audited(door)) == count + 1
    await manage(door, "DELETE", changed)
    assert len(await audited(door)) == count + 2


async def test_an_operator_does_it_all_from_the_command_line(door: Door) -> None:
    await set_project(door, registration_mode="approval")
    client = await made(door, client_name="Queued")
    other = await made(door, client_name="Unwanted")
    data = door.context.settings.data
    await door.context.database.close()

    async def run(*arguments: str) -> str:
        done = await asyncio.to_thread(CliRunner().invoke, cli, ["admin", *arguments, "--data", str(data)])
        assert done.exit_code == 0, done.output
        return done.output

    ids = [client["client_id"], other["client_id"]]
    queued = json.loads(await run("client", "queue", "--json"))
    assert {row["client_id"] for row in queued} == set(ids)
    await run("client", "approve", ids[0])
    await run("client", "deny", ids[1])
    assert json.loads(await run("client", "queue", "--json")) == []
    for verb, status in (("suspend", "suspended"), ("reactivate", "active"), ("revoke", "active")):
        await run("client", verb, ids[0])
        assert json.loads(await run("client", "show", ids[0], "--json"))["status"] == status
    rotated = json.loads(await run("client", "rotate-secret", ids[0], "--overlap-hours", "0", "--json"))
    assert rotated["client_secret"].startswith("mcs_")
    (family,) = json.loads(await run("client", "families", "--json"))
    assert family["name"] == "Queued"
    async with open_door(data, door.clock) as again:
        assert await authenticates(again, client, rotated["client_secret"])
