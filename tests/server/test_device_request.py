"""The device authorization endpoint: who may ask, what is answered, how much may wait.

Spec: DEV-01, DEV-02, DEV-04; CAU-01, TOK-09; ASM-15; T39, T42
"""

import re

import pytest

from doorward.core.limits import DEVICE_CLIENT, DEVICE_PROJECT, DEVICE_SOURCE, Limit
from doorward.core.models import DEVICE_CODE, ResourceSettings
from doorward.core.secrets import hash_secret
from doorward.core.user_codes import ALPHABET
from doorward.manage import admission, clients, resources
from doorward.storage.device_codes import find_device_code
from doorward.storage.throttles import spend
from tests.inside import ISSUER, LOOPBACK, Door
from tests.server.devices import DEVICE, GRANTS, add_device, ask, offer, poll, request
from tests.server.steps import add_neighbour, basic, confidential, refusal, set_project
from tests.storage.rows import dump

ALIAS = "https://old.example.com/mcp"


@pytest.fixture
async def offering(door: Door) -> Door:
    """The server with the device grant switched on."""
    return await offer(door)


async def test_a_device_is_told_what_to_ask_with_and_what_to_show_dev_02(offering: Door) -> None:
    client_id = (await add_device(offering))["client_id"]
    answer = await ask(offering, client_id)
    user_code = answer["user_code"]
    assert re.fullmatch(f"[{ALPHABET}]{{4}}-[{ALPHABET}]{{4}}", user_code)
    assert re.fullmatch(r"mdc_[A-Za-z0-9_-]{49}", answer["device_code"])
    assert {**answer, "device_code": ""} == {
        "device_code": "",
        "user_code": user_code,
        "verification_uri": f"{ISSUER}/device",
        "verification_uri_complete": f"{ISSUER}/device?user_code={user_code}",
        "expires_in": 600,
        "interval": 5,
    }


async def test_neither_code_is_stored_as_it_is_dev_04_t49(offering: Door) -> None:
    answer = await ask(offering, (await add_device(offering))["client_id"])
    rows = repr(await dump(offering.context.database, offering.project.project_id))
    for secret in (answer["device_code"], answer["user_code"], answer["user_code"].replace("-", "")):
        assert secret not in rows
        assert repr(hash_secret(answer["user_code"].replace("-", "")))[2:-1] not in rows


async def test_what_was_asked_for_is_narrowed_as_at_the_authorization_endpoint(offering: Door) -> None:
    await resources.change(offering.operator, offering.resource, settings=ResourceSettings(aliases=(ALIAS,)))
    offering.clock.advance(seconds=1)
    client_id = (await add_device(offering))["client_id"]
    for asked, kept in [({}, ("tools:read",)), ({"scope": "tools:write nonsense"}, ("tools:write",))]:
        answer = await ask(offering, client_id, resource=ALIAS, **asked)
        stored = await offering.context.database.read(
            find_device_code, offering.project.project_id, hash_secret(answer["device_code"])
        )
        assert stored is not None
        assert (stored.scope, stored.alias, stored.source, stored.agent) == (kept, ALIAS, "198.51.100.7", "station/1.0")
        assert (stored.client_id, stored.resource_id) == (client_id, offering.resource.resource_id)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"scope": "nonsense"}, "invalid_scope"),
        ({"scope": 'a"b'}, "invalid_scope"),
        ({"resource": "https://elsewhere.example.com/mcp"}, "invalid_target"),
        ({"resource": "nonsense"}, "invalid_target"),
    ],
)
async def test_what_cannot_be_had_is_refused_at_once(offering: Door, fields: dict[str, str], code: str) -> None:
    client_id = (await add_device(offering))["client_id"]
    assert refusal(await request(offering, client_id, None, **fields)) == (400, code)


async def test_unknown_parameters_are_ignored_and_repeated_ones_refused_dev_01(offering: Door) -> None:
    client_id = (await add_device(offering))["client_id"]
    assert (await request(offering, client_id, nonsense="x", prompt="none")).status == 200
    twice = f"client_id={client_id}&scope=tools:read&scope=tools:read".encode()
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert refusal(await offering.call("POST", DEVICE, twice, form)) == (400, "invalid_request")
    json = {"content-type": "application/json"}
    assert refusal(await offering.call("POST", DEVICE, b"{}", json)) == (400, "invalid_request")
    assert (await offering.call("GET", DEVICE)).status == 405


async def test_browsers_of_any_origin_may_ask_as_at_the_token_endpoint(offering: Door) -> None:
    headers = {"origin": "https://client.example", "access-control-request-method": "POST"}
    preflight = await offering.call("OPTIONS", DEVICE, headers=headers)
    assert (preflight.status, preflight.header("access-control-allow-methods")) == (204, "POST")
    answer = await request(offering, "mcl_unknown", {"origin": "https://client.example"})
    assert (answer.status, answer.header("access-control-allow-origin")) == (401, "*")


async def test_a_client_with_a_secret_has_to_show_it_cau_01(offering: Door) -> None:
    client = await confidential(offering, grant_types=GRANTS)
    client_id, secret = client["client_id"], client["client_secret"]
    assert refusal(await request(offering, client_id)) == (401, "invalid_client")
    assert refusal(await request(offering, None, basic(client_id, "wrong"))) == (401, "invalid_client")
    assert (await request(offering, None, basic(client_id, secret))).status == 200


@pytest.mark.parametrize("client_id", [None, "mcl_unknown", "mcx_AAAA", "nonsense"])
async def test_an_unknown_client_is_refused_dev_01(offering: Door, client_id: str | None) -> None:
    assert refusal(await request(offering, client_id)) == (401, "invalid_client")


async def test_a_client_that_is_not_registered_for_the_grant_is_refused_tok_11(offering: Door) -> None:
    client_id = (await offering.register())["client_id"]
    assert refusal(await request(offering, client_id)) == (400, "unauthorized_client")


async def test_a_suspended_client_is_refused(offering: Door) -> None:
    client = await confidential(offering, grant_types=GRANTS)
    header = basic(client["client_id"], client["client_secret"])
    stored = await clients.get(offering.operator, offering.project, client["client_id"])
    await admission.suspend(offering.operator, stored)
    assert refusal(await request(offering, None, header)) == (400, "unauthorized_client")
    await admission.reactivate(
        offering.operator, await clients.get(offering.operator, offering.project, stored.client_id)
    )
    assert (await request(offering, None, header)).status == 200


async def test_a_client_that_waits_for_approval_is_refused(offering: Door) -> None:
    await set_project(offering, registration_mode="approval")
    client = await confidential(offering, grant_types=GRANTS)
    header = basic(client["client_id"], client["client_secret"])
    assert refusal(await request(offering, None, header)) == (400, "unauthorized_client")


async def test_where_places_are_approved_an_app_that_returns_nowhere_needs_somebody_who_vouches_for_it(
    offering: Door,
) -> None:
    registered = (await add_device(offering))["client_id"]
    added, _ = await clients.add(offering.operator, offering.project, (), name="Station", grants=("device_code",))
    await set_project(offering, registration_mode="approved_redirects", approved_redirects=("loopback",))
    assert refusal(await request(offering, registered)) == (400, "unauthorized_client")
    assert (await request(offering, added.client_id)).status == 200


async def test_a_client_of_this_grant_alone_needs_no_redirect_uri_and_keeps_those_it_names(offering: Door) -> None:
    alone = {"grant_types": [DEVICE_CODE, "refresh_token"], "token_endpoint_auth_method": "none"}
    bare = await offering.post_json("/api/oauth/register", alone)
    assert bare.status == 201
    assert "redirect_uris" not in bare.json()
    named = await add_device(offering, **alone)
    assert named["redirect_uris"] == [LOOPBACK]
    for registered in (bare.json(), named):
        assert registered["grant_types"] == alone["grant_types"]
        assert (await request(offering, registered["client_id"])).status == 200
    refused = await offering.post_json("/api/oauth/register", {**alone, "redirect_uris": ["http://evil.example/"]})
    assert refusal(refused) == (400, "invalid_redirect_uri")


async def test_nobody_asks_where_the_grant_is_not_offered_and_nothing_tells_of_it(door: Door) -> None:
    metadata = (await door.call("GET", "/.well-known/oauth-authorization-server")).json()
    assert DEVICE_CODE not in metadata["grant_types_supported"]
    assert "device_authorization_endpoint" not in metadata
    registered = await door.register(grant_types=GRANTS)
    assert registered["grant_types"] == ["authorization_code", "refresh_token"]
    assert refusal(await request(door, registered["client_id"])) == (403, "access_denied")
    assert refusal(await poll(door, registered["client_id"], "mdc_x")) == (400, "unsupported_grant_type")
    page = await door.person().open("/device")
    assert (page.status, "not" in page.text) == (404, True)


async def test_where_it_is_offered_the_metadata_says_so_asm_15(offering: Door) -> None:
    metadata = (await offering.call("GET", "/.well-known/oauth-authorization-server")).json()
    assert DEVICE_CODE in metadata["grant_types_supported"]
    assert metadata["device_authorization_endpoint"] == f"{ISSUER}{DEVICE}"
    assert (await offering.register(grant_types=GRANTS))["grant_types"] == GRANTS


async def test_each_project_has_devices_of_its_own_i10(offering: Door) -> None:
    await add_neighbour(offering)
    client_id = (await add_device(offering))["client_id"]
    body = f"client_id={client_id}".encode()
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert refusal(await offering.call("POST", f"/p/acme{DEVICE}", body, form)) == (403, "access_denied")


async def spend_up(door: Door, limit: Limit, subject: str) -> None:
    """All but the last event of a limit."""
    for _ in range(limit.burst - 1):
        assert await door.context.database.write(spend, door.project.project_id, limit, subject, door.clock()) == 0


@pytest.mark.parametrize("limit", [DEVICE_SOURCE, DEVICE_CLIENT, DEVICE_PROJECT], ids=lambda limit: limit.name)
async def test_what_waits_is_bounded_t42(offering: Door, limit: Limit) -> None:
    client_id = (await add_device(offering))["client_id"]
    subjects = {"device-source": "198.51.100.7", "device-client": client_id[:128], "device-project": ""}
    await spend_up(offering, limit, subjects[limit.name])
    assert (await request(offering, client_id)).status == 200
    answer = await request(offering, client_id)
    assert refusal(answer) == (429, "temporarily_unavailable")
    assert int(answer.header("retry-after")) == -(-limit.period_ms // 1000)
    offering.clock.advance(seconds=limit.period_ms / 1000)
    assert (await request(offering, client_id)).status == 200


async def test_one_source_cannot_use_up_what_others_may_ask(offering: Door) -> None:
    client_id = (await add_device(offering))["client_id"]
    for _ in range(DEVICE_SOURCE.burst):
        assert (await request(offering, client_id)).status == 200
    assert (await request(offering, client_id)).status == 429
    assert (await request(offering, client_id, source="192.0.2.1")).status == 200
