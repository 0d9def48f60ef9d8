"""A client that an operator added speaks for itself: with its secret or key, within what was written down for it, and
no longer than it is let in (CC-01 … CC-06, TOK-11, CAU-01, CAU-02, CAU-05, CAU-07 … CAU-12, T25, T32).

Spec: CC-01, CC-02, CC-03, CC-04, CC-06, TOK-11, CAU-01, CAU-02, CAU-04, CAU-05, CAU-07, CAU-08, CAU-10, CAU-11, CAU-12
"""

from base64 import b64decode
from dataclasses import replace
from typing import Any

import pytest

from doorward.core.models import CLIENT_CREDENTIALS, Client, ClientKind
from doorward.manage import admission, clients, connections, resources
from doorward.oauth.assertions import ASSERTION_TYPE
from doorward.oauth.ids import ClientId
from doorward.oauth.jwt import generate_signing_key
from doorward.storage.clients import add_client
from tests.inside import ISSUER, RESOURCE, SCOPES, Answer, Door
from tests.server.steps import (
    TOKEN,
    basic,
    claims_of,
    confidential,
    introspect,
    is_active,
    project_key,
    refusal,
    set_project,
    sign_assertion,
    stop,
    success,
)

SECOND = "https://second.example.com/mcp"
KEY = generate_signing_key()
INACTIVE = {"active": False}


async def add_machine(door: Door, scope: str = "", **options: Any) -> tuple[Client, dict[str, str]]:
    """A client without a browser, and the header that authenticates it."""
    client, secret = await clients.add(
        door.operator, door.project, (), name="Nightly", scope=scope, grants=(CLIENT_CREDENTIALS,), **options
    )
    return client, basic(client.client_id, secret or "")


async def ask(door: Door, headers: dict[str, str], **fields: str) -> Answer:
    return await door.post_form(TOKEN, {"grant_type": CLIENT_CREDENTIALS, **fields}, headers)


async def test_a_client_gets_a_token_that_says_it_speaks_for_itself_cc_04(door: Door) -> None:
    client, secret = await add_machine(door)
    tokens = success(await ask(door, secret, scope="tools:read", resource=RESOURCE))
    access_token = tokens.pop("access_token")
    assert tokens == {"token_type": "Bearer", "expires_in": 900, "scope": "tools:read"}
    claims = claims_of(access_token)
    assert claims == {
        "iss": ISSUER,
        "sub": client.client_id,
        "aud": RESOURCE,
        "client_id": client.client_id,
        "scope": "tools:read",
        "jti": claims["jti"],
        "iat": door.clock() // 1000,
        "exp": door.clock() // 1000 + 900,
    }
    told = await introspect(door, access_token, await project_key(door, "introspect"))
    assert (told["active"], told["sub"], told["client_id"]) == (True, client.client_id, client.client_id)


async def test_it_authenticates_by_its_secret_in_the_header_or_the_body_cau_02(door: Door) -> None:
    client, secret = await clients.add(door.operator, door.project, (), grants=(CLIENT_CREDENTIALS,))
    assert secret is not None
    success(await ask(door, basic(client.client_id, secret)))
    success(await ask(door, {}, client_id=client.client_id, client_secret=secret))
    for wrong in ({}, {"client_secret": secret[:-1]}):  # an id alone, and a secret that is nearly right
        assert refusal(await ask(door, {}, client_id=client.client_id, **wrong)) == (401, "invalid_client")
    both = await ask(door, basic(client.client_id, secret), client_secret=secret)
    assert refusal(both) == (400, "invalid_request")


async def test_it_authenticates_by_an_assertion_that_works_once_cc_03_cc_06(door: Door) -> None:
    client, _ = await add_machine(door, keys={"jwks": {"keys": [KEY.public_jwk()]}})
    assertion = sign_assertion(door, client.client_id, KEY)
    proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
    assert claims_of(success(await ask(door, {}, **proof))["access_token"])["sub"] == client.client_id
    assert refusal(await ask(door, {}, **proof)) == (401, "invalid_client")
    fresh = {**proof, "client_assertion": sign_assertion(door, client.client_id, KEY)}
    success(await ask(door, {}, client_id=client.client_id, **fresh))


@pytest.mark.parametrize(
    "claims",
    [{"aud": f"{ISSUER}{TOKEN}"}, {"aud": [ISSUER, RESOURCE]}, {"iss": "mcl_other"}, {"exp": 1}, {"jti": None}],
)
async def test_an_assertion_that_is_not_quite_right_gets_nothing_cau_08(door: Door, claims: dict[str, Any]) -> None:
    client, _ = await add_machine(door, keys={"jwks": {"keys": [KEY.public_jwk()]}})
    assertion = sign_assertion(door, client.client_id, KEY, **claims)
    proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
    assert refusal(await ask(door, {}, **proof)) == (401, "invalid_client")


async def test_a_key_of_somebody_else_or_no_proof_at_all_gets_nothing_cau_07(door: Door) -> None:
    client, _ = await add_machine(door, keys={"jwks": {"keys": [KEY.public_jwk()]}})
    forged = sign_assertion(door, client.client_id, generate_signing_key())
    proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": forged}
    assert refusal(await ask(door, {}, **proof)) == (401, "invalid_client")
    assert refusal(await ask(door, {}, client_id=client.client_id)) == (401, "invalid_client")
    assert refusal(await ask(door, basic(client.client_id, "mcs_guess"))) == (401, "invalid_client")


async def test_public_and_self_registered_clients_are_refused_cc_01_tok_11(door: Door) -> None:
    public = await door.register()
    refused = await ask(door, {}, client_id=public["client_id"])
    assert refusal(refused) == (400, "unauthorized_client")
    registered = await confidential(door, grant_types=["authorization_code", CLIENT_CREDENTIALS])
    assert registered["grant_types"] == ["authorization_code"]
    refused = await ask(door, basic(registered["client_id"], registered["client_secret"]))
    assert refusal(refused) == (400, "unauthorized_client")
    alone = {"redirect_uris": ["https://client.example.com/callback"], "grant_types": [CLIENT_CREDENTIALS]}
    assert refusal(await door.post_json("/api/oauth/register", alone)) == (400, "invalid_client_metadata")


@pytest.mark.parametrize("kind", ["registered", "document"])
async def test_a_client_that_no_operator_added_is_refused_whatever_its_row_says_cc_01(
    door: Door, kind: ClientKind
) -> None:
    machine, secret = await add_machine(door)
    made = replace(machine, client_id=ClientId("mcl_made_up"), kind=kind)
    await door.context.database.write(add_client, made)
    pair = b64decode(secret["authorization"].split()[1]).decode().partition(":")
    refused = await ask(door, basic("mcl_made_up", pair[2]))
    assert refusal(refused) == (400, "unauthorized_client")


async def test_a_client_that_was_added_for_people_does_not_speak_for_itself_tok_11(door: Door) -> None:
    client, secret = await clients.add(
        door.operator, door.project, ("https://client.example.com/callback",), confidential=True
    )
    assert refusal(await ask(door, basic(client.client_id, secret or ""))) == (400, "unauthorized_client")
    machine, secret_header = await add_machine(door)
    code = {"grant_type": "authorization_code", "code": "x", "code_verifier": "x" * 43}
    assert refusal(await door.post_form(TOKEN, code, secret_header)) == (400, "unauthorized_client")
    page = await door.person().open(door.authorization_url(machine.client_id, "x" * 43, redirect_uri=""))
    assert page.status == 400


@pytest.mark.parametrize(
    ("listed", "asked", "granted"),
    [
        ("", "", "tools:read"),
        ("", "tools:read tools:write", "tools:read"),
        ("", "tools:write", None),
        ("tools:write", "", "tools:write"),
        ("tools:read tools:write", "tools:write", "tools:write"),
        ("tools:read tools:write offline_access", "tools:read offline_access", "tools:read"),
        ("tools:read", "tools:read tools:write", "tools:read"),
        ("tools:read", "nonsense", None),
        ("elsewhere:read", "", None),
        ("elsewhere:read", "tools:read", None),
    ],
)
async def test_it_may_have_what_the_operator_listed_or_else_the_defaults(
    door: Door, listed: str, asked: str, granted: str | None
) -> None:
    _, secret = await add_machine(door, listed)
    answer = await ask(door, secret, **({"scope": asked} if asked else {}))
    if granted is None:
        assert refusal(answer) == (400, "invalid_scope")
    else:
        tokens = success(answer)
        assert (tokens["scope"], claims_of(tokens["access_token"])["scope"]) == (granted, granted)


async def test_the_resource_is_the_default_or_the_one_that_is_named(door: Door) -> None:
    await resources.add(door.operator, door.project, SECOND, scopes=SCOPES)
    door.clock.advance(seconds=1)
    _, secret = await add_machine(door)
    for named, audience in (("", RESOURCE), (f"{SECOND}/", SECOND)):
        tokens = success(await ask(door, secret, **({"resource": named} if named else {})))
        assert claims_of(tokens["access_token"])["aud"] == audience
    for wrong in ("https://unknown.example.com/mcp", f"{SECOND}/deeper", "not a uri"):
        assert refusal(await ask(door, secret, resource=wrong)) == (400, "invalid_target")


async def test_a_suspended_client_is_out_at_once_and_its_tokens_with_it(door: Door) -> None:
    client, secret = await add_machine(door)
    token = success(await ask(door, secret))["access_token"]
    await admission.suspend(door.operator, client)
    assert not await is_active(door, token)
    assert refusal(await ask(door, secret)) == (400, "unauthorized_client")
    await admission.reactivate(door.operator, await clients.get(door.operator, door.project, client.client_id))
    assert await is_active(door, token)


async def test_revoking_everything_of_a_client_ends_what_it_holds_and_nothing_later(door: Door) -> None:
    client, secret = await add_machine(door)
    before = success(await ask(door, secret))["access_token"]
    door.clock.advance(seconds=1)
    await admission.revoke_everything(door.operator, client)
    assert not await is_active(door, before)
    door.clock.advance(seconds=1)
    assert await is_active(door, success(await ask(door, secret))["access_token"])
    await clients.remove(door.operator, client)
    assert not await is_active(door, before)
    assert refusal(await ask(door, secret)) == (401, "invalid_client")


@pytest.mark.parametrize("what", ["project", "resource"])
async def test_while_it_is_stopped_the_answer_is_to_come_back_later(door: Door, what: str) -> None:
    _, secret = await add_machine(door)
    token = success(await ask(door, secret))["access_token"]
    await stop(door, what)
    refused = await ask(door, secret)
    assert refusal(refused) == (503, "temporarily_unavailable")
    assert refused.header("retry-after") == "60"
    assert not await is_active(door, token)


async def test_the_metadata_says_how_such_a_client_proves_itself_cc_02(door: Door) -> None:
    told = (await door.call("GET", "/.well-known/oauth-authorization-server")).json()
    assert CLIENT_CREDENTIALS in told["grant_types_supported"]
    methods = told["token_endpoint_auth_methods_supported"]
    assert {"private_key_jwt", "client_secret_basic", "client_secret_post"} <= set(methods)
    assert {"ES256", "RS256"} <= set(told["token_endpoint_auth_signing_alg_values_supported"])


async def test_each_token_leaves_a_line_in_the_audit_trail(door: Door) -> None:
    client, secret = await add_machine(door)
    success(await ask(door, secret, scope="tools:read"))
    await set_project(door, name="Renamed")
    events = await connections.recent_events(door.operator, door.project)
    (event,) = [event for event in events if event.action == "token.client_issued"]
    actor = f"client:{client.client_id}"
    assert (event.actor, event.target) == (actor, actor)
    assert event.detail == {
        "source": "203.0.113.9",
        "agent": "",
        "resource": door.resource.resource_id,
        "scope": "tools:read",
    }


async def test_a_client_without_an_address_is_shown_wherever_clients_are(door: Door) -> None:
    client, _ = await add_machine(door)
    person = door.person()
    page = await person.sign_in(await person.open("/login?next=/dashboard/apps"))
    assert "Nightly" in page.text
    families = await admission.list_families(door.operator, door.project)
    assert [(family.name, family.redirects) for family in families] == [("Nightly", ())]
    page = await door.person().open(f"/login?next=%2Foauth%2Fauthorize%3Fclient_id%3D{client.client_id}")
    assert (page.status, "Nightly" in page.text) == (200, True)
