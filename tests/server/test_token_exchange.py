"""A server calls another one for a person: within rules, scopes and times, by no other token (TX-01 … TX-09).

Spec: TX-01, TX-02, TX-03, TX-04, TX-05, TX-06, TX-07, TX-09, T30, T31, TOK-11, CAU-01
"""

from typing import Any

import pytest

from doorward.core.models import CLIENT_CREDENTIALS, TOKEN_EXCHANGE, ResourceSettings
from doorward.manage import clients, connections, exchange, resources
from doorward.oauth.token_exchange import ACCESS_TOKEN_TYPE, JWT_TYPE
from tests.inside import ISSUER, RESOURCE, SCOPES, Door
from tests.server.exchanges import BOTH, SECOND, THIRD, Field, lay_out
from tests.server.steps import (
    TOKEN,
    add_neighbour,
    basic,
    claims_of,
    confidential,
    confidential_tokens,
    introspect,
    is_active,
    project_key,
    refusal,
    set_project,
    stop,
    success,
)
from tests.server.test_dpop import Prover, bound_tokens

TYPES = "urn:ietf:params:oauth:token-type:"


@pytest.fixture
async def field(door: Door) -> Field:
    return await lay_out(door)


async def test_a_delegated_token_speaks_for_the_person_and_says_who_acts_tx_05_07_rs_04_int_05(field: Field) -> None:
    gateway, door = await field.machine(), field.door
    await field.rule(gateway)
    subject_token = await field.persons_token()
    subject = claims_of(subject_token)
    answer = success(await gateway.ask(subject_token, scope="tools:read"))
    token = answer.pop("access_token")
    assert answer == {
        "token_type": "Bearer",
        "expires_in": 900,
        "scope": "tools:read",
        "issued_token_type": ACCESS_TOKEN_TYPE,
    }
    claims = claims_of(token)
    assert claims == {
        "iss": ISSUER,
        "sub": subject["sub"],
        "aud": SECOND,
        "client_id": gateway.client_id,
        "scope": "tools:read",
        "jti": claims["jti"],
        "iat": door.clock() // 1000,
        "exp": subject["exp"],
        "auth_time": subject["auth_time"],
        "grant_id": subject["grant_id"],
        "act": {"sub": gateway.client_id},
        "came_from": [subject["jti"]],
        "came_through": [{"client_id": subject["client_id"], "aud": RESOURCE}],
    }
    told = await introspect(door, token, await project_key(door, "introspect", resource=field.servers[SECOND]))
    assert (told["active"], told["sub"], told["act"]) == (True, subject["sub"], {"sub": gateway.client_id})


async def test_an_impersonating_token_does_not_say_who_acts(field: Field) -> None:
    gateway = await field.machine()
    await field.rule(gateway, mode="impersonation")
    claims = claims_of(await gateway.exchange(await field.persons_token()))
    assert "act" not in claims
    assert claims["client_id"] == gateway.client_id


async def test_each_exchange_is_told_inside_the_next_and_there_is_an_end_to_it_tx_07(field: Field) -> None:
    first, second = await field.machine("First"), await field.machine("Second")
    for machine in (first, second):
        for target in (SECOND, THIRD):
            await field.rule(machine, target, source=None)
    token = await field.persons_token()
    person, app = claims_of(token)["sub"], claims_of(token)["client_id"]
    passed: list[dict[str, str]] = []
    for number in range(4):
        passed.append({"client_id": claims_of(token)["client_id"], "aud": claims_of(token)["aud"]})
        token = await (first, second)[number % 2].exchange(token, resource=(SECOND, THIRD)[number % 2])
    claims = claims_of(token)
    nested = {"sub": first.client_id, "act": {"sub": second.client_id, "act": {"sub": first.client_id}}}
    assert claims["act"] == {"sub": second.client_id, "act": nested}
    assert (claims["sub"], passed[0]["client_id"]) == (person, app)
    assert claims["came_through"] == passed
    assert len(claims["came_from"]) == 4
    assert await is_active(field.door, token)
    assert refusal(await first.ask(token)) == (400, "invalid_request")


async def test_what_no_rule_names_is_refused_tx_04_06_t30(field: Field) -> None:
    gateway, stranger = await field.machine(), await field.machine("Stranger")
    await field.rule(gateway)
    await field.rule(stranger, THIRD)
    ours, theirs = await field.persons_token(), await field.persons_token(THIRD)
    success(await gateway.ask(ours))
    assert refusal(await stranger.ask(ours)) == (400, "invalid_target")  # of another client
    assert refusal(await gateway.ask(ours, resource=THIRD)) == (400, "invalid_target")  # for another server
    assert refusal(await gateway.ask(theirs)) == (400, "invalid_target")  # from another server
    assert refusal(await gateway.ask(ours, resource=RESOURCE)) == (400, "invalid_target")  # not even for its own


async def test_a_rule_that_names_a_server_goes_before_the_one_for_any(field: Field) -> None:
    gateway = await field.machine()
    await field.rule(gateway, source=None, scope="tools:read", mode="impersonation")
    await field.rule(gateway, source=RESOURCE, scope="tools:write")
    named = claims_of(await gateway.exchange(await field.persons_token(RESOURCE)))
    assert (named["scope"], named["act"]) == ("tools:write", {"sub": gateway.client_id})
    other = claims_of(await gateway.exchange(await field.persons_token(THIRD)))
    assert (other["scope"], "act" in other) == ("tools:read", False)


async def test_it_is_offered_only_while_there_is_a_rule(field: Field) -> None:
    door, gateway = field.door, await field.machine()
    token = await field.persons_token()

    async def told() -> list[str]:
        metadata = await door.call("GET", "/.well-known/oauth-authorization-server")
        return list(metadata.json()["grant_types_supported"])

    acme = await add_neighbour(door)
    (theirs,) = await resources.list_all(door.operator, acme)
    client, _ = await clients.add(door.operator, acme, (), grants=(TOKEN_EXCHANGE,))
    await exchange.add(door.operator, client, source=None, target=theirs, scope="tools:read")
    door.clock.advance(seconds=1)
    assert TOKEN_EXCHANGE not in await told()
    assert refusal(await gateway.ask(token)) == (400, "unsupported_grant_type")
    rule = await field.rule(gateway)
    assert TOKEN_EXCHANGE in await told()
    success(await gateway.ask(token))
    await exchange.remove(door.operator, door.project, rule.rule_id)
    door.clock.advance(seconds=1)
    assert TOKEN_EXCHANGE not in await told()
    assert refusal(await gateway.ask(token)) == (400, "unsupported_grant_type")


async def test_only_a_client_that_authenticates_and_was_added_for_it_exchanges_tx_06_tok_11(field: Field) -> None:
    door, gateway = field.door, await field.machine()
    await field.rule(gateway)
    client_id, tokens = await door.tokens(scope=BOTH)
    form = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": tokens["access_token"],
        "subject_token_type": ACCESS_TOKEN_TYPE,
        "resource": SECOND,
    }
    assert refusal(await door.post_form(TOKEN, form)) == (401, "invalid_client")
    assert refusal(await door.post_form(TOKEN, {**form, "client_id": gateway.client_id})) == (401, "invalid_client")
    wrong = basic(gateway.client_id, "mcs_wrong")
    assert refusal(await door.post_form(TOKEN, form, wrong)) == (401, "invalid_client")
    assert refusal(await door.post_form(TOKEN, {**form, "client_id": client_id})) == (400, "unauthorized_client")
    registered = await confidential(door, grant_types=["authorization_code", TOKEN_EXCHANGE])
    assert registered["grant_types"] == ["authorization_code"]
    secret = basic(registered["client_id"], registered["client_secret"])
    assert refusal(await door.post_form(TOKEN, form, secret)) == (400, "unauthorized_client")
    machine = await field.machine("Nightly", CLIENT_CREDENTIALS)
    assert refusal(await machine.ask(tokens["access_token"])) == (400, "unauthorized_client")


@pytest.mark.parametrize(
    "fields",
    [
        {"subject_token": ""},
        {"subject_token_type": ""},
        *(
            {"subject_token_type": f"{TYPES}{name}"}
            for name in ("refresh_token", "id_token", "saml1", "saml2", "id-jag")
        ),
        {"subject_token_type": "access_token"},
        *({"requested_token_type": f"{TYPES}{name}"} for name in ("refresh_token", "id_token", "saml2", "id-jag")),
        {"requested_token_type": "jwt"},
        {"actor_token": "x"},
        {"actor_token_type": ACCESS_TOKEN_TYPE},
        {"actor_token": "x", "actor_token_type": f"{TYPES}id_token"},
        {"actor_token": "x", "actor_token_type": ACCESS_TOKEN_TYPE},
        {"actor_token": "x", "actor_token_type": JWT_TYPE},
    ],
)
async def test_what_is_missing_or_of_another_type_is_refused_tx_01_tx_02_tx_09(
    field: Field, fields: dict[str, str]
) -> None:
    gateway = await field.machine()
    await field.rule(gateway)
    answer = await gateway.ask(await field.persons_token(), **fields)
    assert refusal(answer) == (400, "invalid_request")


@pytest.mark.parametrize("kind", ["refresh", "garbage", "truncated", "forged", "code", "key", "expired", "revoked"])
async def test_what_is_no_live_access_token_is_invalid_request_and_not_invalid_grant_tx_03_c10(
    field: Field, kind: str
) -> None:
    gateway, door = await field.machine(), field.door
    await field.rule(gateway)
    client_id, tokens = await door.tokens(scope=BOTH)
    access = tokens["access_token"]
    head, body, signature = access.split(".")
    code, _ = await door.obtain_code(client_id, door.person())
    if kind == "expired":
        door.clock.advance(seconds=900)
    if kind == "revoked":
        await door.post_form("/api/oauth/revoke", {"client_id": client_id, "token": access})
    token = {
        "refresh": tokens["refresh_token"],
        "garbage": "garbage é \x7f",
        "truncated": access[:-1],
        "forged": f"{head}.{body}.{signature[::-1]}",
        "code": code,
        "key": await project_key(door, "mint"),
    }.get(kind, access)
    assert refusal(await gateway.ask(token)) == (400, "invalid_request")


async def test_a_token_of_another_project_is_none_here_i10(field: Field) -> None:
    door, gateway = field.door, await field.machine()
    await field.rule(gateway, source=None)
    acme = await add_neighbour(door, same_resource=RESOURCE)
    client, secret = await clients.add(door.operator, acme, (), grants=(CLIENT_CREDENTIALS,))
    form = {"grant_type": CLIENT_CREDENTIALS}
    answer = await door.post_form(f"/p/acme{TOKEN}", form, basic(client.client_id, secret or ""))
    token = success(answer)["access_token"]
    assert refusal(await gateway.ask(token)) == (400, "invalid_request")
    assert refusal(await door.post_form(f"/p/acme{TOKEN}", {**form, "resource": SECOND}, gateway.header))[0] == 401


async def test_the_server_is_named_and_is_one_that_is_known_tx_04_t31(field: Field) -> None:
    gateway = await field.machine()
    await field.rule(gateway)
    token = await field.persons_token()
    for named in ({"resource": f"{SECOND}/"}, {"resource": "", "audience": SECOND}, {"audience": f"{SECOND}/"}):
        assert claims_of(await gateway.exchange(token, **named))["aud"] == SECOND
    wrong: list[dict[str, str]] = [
        {"resource": ""},
        {"resource": "https://unknown.example.com/mcp"},
        {"resource": f"{SECOND}/deeper"},
        {"resource": "", "audience": "second"},
        {"audience": THIRD},
    ]
    for named in wrong:
        assert refusal(await gateway.ask(token, **named)) == (400, "invalid_target"), named


async def test_two_servers_at_once_are_refused_and_one_named_twice_is_one(field: Field) -> None:
    door, gateway = field.door, await field.machine()
    await field.rule(gateway)
    form = [
        ("grant_type", TOKEN_EXCHANGE),
        ("subject_token", await field.persons_token()),
        ("subject_token_type", ACCESS_TOKEN_TYPE),
    ]
    success(await door.post_form(TOKEN, [*form, ("audience", SECOND), ("audience", SECOND)], gateway.header))
    success(await door.post_form(TOKEN, [*form, ("audience", SECOND), ("resource", f"{SECOND}/")], gateway.header))
    for name in ("resource", "audience"):
        answer = await door.post_form(TOKEN, [*form, (name, SECOND), (name, THIRD)], gateway.header)
        assert refusal(answer) == (400, "invalid_target")


async def test_an_alias_that_was_asked_for_is_an_audience_too(field: Field) -> None:
    door, gateway = field.door, await field.machine()
    old = "https://old.example.com/mcp"
    await field.rule(gateway)
    await resources.change(door.operator, field.servers[SECOND], settings=ResourceSettings(aliases=(old,)))
    door.clock.advance(seconds=1)
    assert claims_of(await gateway.exchange(await field.persons_token(), resource=old))["aud"] == [SECOND, old]


@pytest.mark.parametrize(
    ("held", "ceiling", "asked", "granted"),
    [
        (BOTH, BOTH, "", BOTH),
        (BOTH, BOTH, "tools:write", "tools:write"),
        (BOTH, "tools:read", "", "tools:read"),
        ("tools:read", BOTH, "", "tools:read"),
        (BOTH, "tools:read", "tools:write", None),
        (BOTH, "tools:read", BOTH, None),
        ("tools:read", BOTH, BOTH, None),
        ("tools:read", "tools:write", "", None),
        (BOTH, BOTH, "tools:read unknown", None),
        (BOTH, BOTH, "tools:read offline_access", None),
        (BOTH, BOTH, 'tools:"', None),
    ],
)
async def test_scopes_are_of_the_token_the_rule_and_the_server_and_more_is_refused_tx_06_t30(
    field: Field, held: str, ceiling: str, asked: str, granted: str | None
) -> None:
    gateway = await field.machine()
    await field.rule(gateway, scope=ceiling)
    answer = await gateway.ask(await field.persons_token(scope=held), scope=asked)
    if granted is None:
        assert refusal(answer) == (400, "invalid_scope")
    else:
        answered = success(answer)
        assert (answered["scope"], claims_of(answered["access_token"])["scope"]) == (granted, granted)


async def test_a_scope_that_the_server_lost_is_given_no_more(field: Field) -> None:
    door, gateway = field.door, await field.machine()
    await field.rule(gateway)
    token = await field.persons_token()
    await resources.change(door.operator, field.servers[SECOND], scopes=SCOPES[:1], default_scopes=(SCOPES[0].name,))
    door.clock.advance(seconds=1)
    assert claims_of(await gateway.exchange(token))["scope"] == "tools:read"
    assert refusal(await gateway.ask(token, scope="tools:write")) == (400, "invalid_scope")


async def test_a_server_without_scopes_gives_tokens_without_any(field: Field) -> None:
    door, gateway = field.door, await field.machine()
    uri = "https://bare.example.com/mcp"
    field.servers[uri] = await resources.add(door.operator, door.project, uri)
    door.clock.advance(seconds=1)
    await field.rule(gateway, uri, scope="")
    token = await field.persons_token()
    assert success(await gateway.ask(token, resource=uri))["scope"] == ""
    assert refusal(await gateway.ask(token, resource=uri, scope="tools:read")) == (400, "invalid_scope")


@pytest.mark.parametrize(("waited", "expires_in"), [(0, 900), (600, 300), (898, 2)])
async def test_it_ends_no_later_than_the_token_it_came_from(field: Field, waited: int, expires_in: int) -> None:
    gateway, door = await field.machine(), field.door
    await field.rule(gateway)
    subject_token = await field.persons_token()
    door.clock.advance(seconds=waited)
    answer = success(await gateway.ask(subject_token))
    assert answer["expires_in"] == expires_in
    assert claims_of(answer["access_token"])["exp"] == claims_of(subject_token)["exp"]
    door.clock.advance(seconds=expires_in)
    assert not await is_active(door, answer["access_token"])


async def test_it_lives_as_long_as_tokens_of_its_own_server_do_and_no_longer(field: Field) -> None:
    gateway, door = await field.machine(), field.door
    await field.rule(gateway)
    await set_project(door, access_token_seconds=3600)
    token = await field.persons_token()
    assert success(await gateway.ask(token))["expires_in"] == 3600
    await resources.change(door.operator, field.servers[SECOND], settings=ResourceSettings(access_token_seconds=60))
    door.clock.advance(seconds=1)
    assert success(await gateway.ask(token))["expires_in"] == 60


async def test_a_jwt_is_given_as_one_and_an_opaque_token_is_exchanged_too_tx_09(field: Field) -> None:
    gateway, door = await field.machine(), field.door
    await field.rule(gateway)
    await field.rule(gateway, THIRD)
    await resources.change(door.operator, field.servers[THIRD], settings=ResourceSettings(token_format="opaque"))
    door.clock.advance(seconds=1)
    token = await field.persons_token()
    answer = success(await gateway.ask(token, subject_token_type=JWT_TYPE, requested_token_type=JWT_TYPE))
    assert (answer["issued_token_type"], answer["token_type"]) == (JWT_TYPE, "Bearer")
    refused = await gateway.ask(token, resource=THIRD, requested_token_type=JWT_TYPE)
    assert refusal(refused) == (400, "invalid_request")
    opaque = success(await gateway.ask(token, resource=THIRD))
    assert opaque["issued_token_type"] == ACCESS_TOKEN_TYPE
    assert opaque["access_token"].startswith("mat_")
    assert await is_active(door, opaque["access_token"])
    await field.rule(gateway, SECOND, source=THIRD)
    refused = await gateway.ask(opaque["access_token"], subject_token_type=JWT_TYPE)
    assert refusal(refused) == (400, "invalid_request")
    onwards = claims_of(await gateway.exchange(opaque["access_token"]))
    assert onwards["act"] == {"sub": gateway.client_id, "act": {"sub": gateway.client_id}}


async def test_the_actor_is_the_client_whether_or_not_it_proves_so_with_a_token_of_its_own(field: Field) -> None:
    gateway, other, door = await field.machine(), await field.machine("Other"), field.door
    await field.rule(gateway, mode="impersonation")
    token = await field.persons_token()
    actor = {"actor_token": await gateway.own_token(), "actor_token_type": ACCESS_TOKEN_TYPE}
    assert claims_of(await gateway.exchange(token, **actor))["act"] == {"sub": gateway.client_id}
    registered = await confidential(door)
    persons = (await confidential_tokens(door, registered))["access_token"]
    for wrong in (await other.own_token(), await field.persons_token(), persons, token):
        refused = await gateway.ask(token, **{**actor, "actor_token": wrong})
        assert refusal(refused) == (400, "invalid_request")
    await door.post_form("/api/oauth/revoke", {"token": actor["actor_token"]}, gateway.header)
    assert refusal(await gateway.ask(token, **actor)) == (400, "invalid_request")


async def test_a_token_that_is_bound_to_a_key_is_exchanged_by_who_proves_the_key_and_stays_bound(field: Field) -> None:
    gateway, door, prover = await field.machine(), field.door, Prover()
    await field.rule(gateway)
    _, tokens = await bound_tokens(door, prover)
    token = tokens["access_token"]
    assert refusal(await gateway.ask(token)) == (400, "invalid_request")
    assert refusal(await gateway.ask(token, Prover().proof(door))) == (400, "invalid_request")
    answer = success(await gateway.ask(token, prover.proof(door)))
    assert answer["token_type"] == "DPoP"
    assert claims_of(answer["access_token"])["cnf"] == {"jkt": prover.jkt}
    own = Prover()
    answer = success(await gateway.ask(await field.persons_token(), own.proof(door)))
    assert claims_of(answer["access_token"])["cnf"] == {"jkt": own.jkt}


@pytest.mark.parametrize("what", ["project", "resource"])
async def test_while_it_is_stopped_the_answer_is_to_come_back_later(field: Field, what: str) -> None:
    gateway, door = await field.machine(), field.door
    await field.rule(gateway)
    token = await field.persons_token()
    await stop(door, what)
    refused = await gateway.ask(token)
    assert refusal(refused) == (503, "temporarily_unavailable")
    assert refused.header("retry-after") == "60"


async def test_a_client_exchanges_a_token_of_its_own_for_itself(field: Field) -> None:
    gateway = await field.machine()
    await field.rule(gateway)
    own = await gateway.own_token()
    claims = claims_of(await gateway.exchange(own))
    assert (claims["sub"], claims["client_id"]) == (gateway.client_id, gateway.client_id)
    assert "grant_id" not in claims
    assert claims["came_from"] == [claims_of(own)["jti"]]


async def test_each_exchange_leaves_a_line_in_the_audit_trail(field: Field) -> None:
    gateway, door = await field.machine(), field.door
    rule = await field.rule(gateway)
    token = await field.persons_token()
    subject = claims_of(token)
    await gateway.exchange(token, scope="tools:read")
    events = await connections.recent_events(door.operator, door.project)
    (event,) = [event for event in events if event.action == "token.exchanged"]
    assert (event.actor, event.target) == (f"client:{gateway.client_id}", f"client:{gateway.client_id}")
    assert event.detail == {
        "source": "203.0.113.9",
        "agent": "",
        "rule": rule.rule_id,
        "subject": subject["sub"],
        "from": subject["jti"],
        "from_client": subject["client_id"],
        "grant": subject["grant_id"],
        "resource": field.servers[SECOND].resource_id,
        "scope": "tools:read",
        "acts": True,
    }
    assert token not in str(events)


async def test_a_refused_exchange_spends_nothing(field: Field) -> None:
    gateway = await field.machine()
    await field.rule(gateway)
    token = await field.persons_token()
    wrong: list[dict[str, Any]] = [{"scope": "more"}, {"resource": THIRD}, {"actor_token": "x"}]
    for fields in wrong:
        assert refusal(await gateway.ask(token, **fields))[0] == 400
    assert await is_active(field.door, await gateway.exchange(token))
    assert await is_active(field.door, token)
