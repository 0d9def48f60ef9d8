"""Who may register and who has to wait: the modes of a project, its tokens, and software that somebody vouches for.

Spec: DCR-01, DCR-02, DCR-06, DCR-07; T16; complaint 23
"""

import asyncio
import json
from typing import Any

import pytest
from joserfc import jws

from doorward.manage import admission, clients, registrations
from doorward.oauth.jwt import SigningKey, generate_signing_key
from doorward.server import admission as server_admission
from doorward.server import registration
from tests.inside import LOOPBACK, START, Answer, Door
from tests.person import Person
from tests.registration.steps import WEB, audited, authorize, consent_page, is_accepted, stored, tokens_of, told
from tests.server.steps import REGISTER, bearer, project_key, refusal, set_project

ISSUER = "https://software.example"
NOW = START // 1000
CONFIDENTIAL = {"token_endpoint_auth_method": "client_secret_post"}


async def register(door: Door, secret: str = "", **members: Any) -> Answer:
    return await door.post_json(REGISTER, {"redirect_uris": [WEB], **members}, bearer(secret) if secret else {})


def statement(key: SigningKey, **claims: Any) -> str:
    header = {"alg": key.alg, "kid": key.kid}
    payload = json.dumps({"iss": ISSUER, "client_name": "Vouched app", "software_id": "sw-1", **claims})
    return jws.serialize_compact(header, payload, key.key, algorithms=[key.alg])


async def trusted(door: Door) -> SigningKey:
    key = generate_signing_key("ES256")
    await registrations.trust_issuer(door.operator, door.project, ISSUER, json.dumps({"keys": [key.public_jwk()]}))
    return key


APPROVED = ("https://apps.example/cb", "https://team.example/*", "loopback", "cursor:")


@pytest.mark.parametrize("method", ["none", "client_secret_post"])
async def test_only_approved_places_are_registered(door: Door, method: str) -> None:
    await set_project(door, registration_mode="approved_redirects", approved_redirects=APPROVED)
    good = ["https://apps.example/cb", "https://team.example/a/b", LOOPBACK, "http://localhost:1/x", "cursor://a/b"]
    bad = [
        "https://apps.example/cb/",
        "https://apps.example/cb2",
        "https://team.example",
        "https://team.example.evil.example/a",
        "https://team.example/../a",
        "https://team.example/%2e%2E/a",
        "https://evil.example/team.example/",
        "cursors://a/b",
        "vscode://a/b",
    ]
    assert (await register(door, redirect_uris=good, token_endpoint_auth_method=method)).status == 201
    for uri in bad:
        answer = await register(door, redirect_uris=[uri], token_endpoint_auth_method=method)
        assert refusal(answer) == (400, "invalid_redirect_uri"), uri
        assert uri in answer.json()["error_description"]
    made = (await register(door, redirect_uris=[bad[0], *good, *bad[5:]], token_endpoint_auth_method=method)).json()
    assert made["redirect_uris"] == good
    assert [refused["uri"] for refused in made["refused_redirect_uris"]] == [bad[0], *bad[5:]]
    assert all("operator approved" in refused["reason"] for refused in made["refused_redirect_uris"])


async def test_a_place_that_is_not_approved_is_dropped_with_one_that_cannot_be_used(door: Door) -> None:
    await set_project(door, registration_mode="approved_redirects", approved_redirects=APPROVED)
    made = (await register(door, redirect_uris=["javascript:x", WEB, LOOPBACK], client_name="Both")).json()
    assert (made["redirect_uris"], made["token_endpoint_auth_method"]) == ([LOOPBACK], "none")
    assert [refused["uri"] for refused in made["refused_redirect_uris"]] == ["javascript:x", WEB]
    assert "access_token" in await tokens_of(door, made["client_id"], LOOPBACK)


async def test_the_secret_does_not_make_a_dangerous_place_good(door: Door) -> None:
    await set_project(door, registration_mode="approved_redirects", approved_redirects=APPROVED)
    secret = await project_key(door, "register")
    made = (await register(door, secret, redirect_uris=["javascript:x", WEB])).json()
    assert made["redirect_uris"] == [WEB]
    assert [refused["uri"] for refused in made["refused_redirect_uris"]] == ["javascript:x"]


async def test_the_secret_registers_other_places_too_and_they_work(door: Door) -> None:
    await set_project(door, registration_mode="approved_redirects", approved_redirects=APPROVED)
    secret = await project_key(door, "register")
    client_id = (await register(door, secret, token_endpoint_auth_method="none")).json()["client_id"]
    assert "access_token" in await tokens_of(door, client_id, WEB)


async def test_an_id_sealed_before_is_held_to_the_places_too(door: Door, person: Person) -> None:
    client_id = (await register(door, token_endpoint_auth_method="none")).json()["client_id"]
    await set_project(door, registration_mode="approved_redirects", approved_redirects=APPROVED)
    page = await consent_page(door, person, client_id, WEB)
    assert (page.status, "has not approved" in page.text) == (403, True)


async def test_an_update_does_not_get_around_the_approved_places(door: Door) -> None:
    await set_project(door, registration_mode="approved_redirects", approved_redirects=APPROVED)
    made = (await register(door, redirect_uris=["https://team.example/a"], **CONFIDENTIAL)).json()
    answer = await put(door, made, redirect_uris=["https://team.example/a", WEB], **CONFIDENTIAL)
    assert refusal(answer) == (400, "invalid_redirect_uri")
    assert (await put(door, made, redirect_uris=["https://team.example/b"], **CONFIDENTIAL)).status == 200


async def put(door: Door, made: dict[str, Any], **members: Any) -> Answer:
    body = json.dumps({"client_id": made["client_id"], **members}).encode()
    headers = {**bearer(made["registration_access_token"]), "content-type": "application/json"}
    return await door.call("PUT", f"{REGISTER}/{made['client_id']}", body, headers)


@pytest.mark.parametrize("method", ["none", "client_secret_post"])
async def test_where_clients_are_approved_the_first_person_who_is_asked_waits(
    door: Door, person: Person, method: str
) -> None:
    await set_project(door, registration_mode="approval")
    client_id = (await register(door, token_endpoint_auth_method=method, client_name="New")).json()["client_id"]
    assert [q.client.client_id for q in await queue(door)] == ([] if method == "none" else [client_id])
    assert await is_accepted(door, client_id, WEB)
    for _ in range(2):
        page = await consent_page(door, person, client_id, WEB)
        assert page.status == 403
        assert "Waiting for approval" in page.text
        assert client_id[:120] in page.text
    (queued,) = await queue(door)
    described = admission.describe_queued(queued)
    assert (described["client_id"], described["waits_as"]) == (client_id, "new")
    assert described["changes"]["redirect_uris"] == {"before": None, "after": [WEB]}
    await admission.approve(door.operator, queued.client)
    assert await queue(door) == []
    page = await consent_page(door, person, client_id, WEB)
    assert ("decision", "allow") in page.buttons


async def queue(door: Door) -> list[admission.QueuedClient]:
    return await admission.list_queue(door.operator, door.project)


async def waiting(door: Door, person: Person) -> str:
    """The sealed id of a client in the queue."""
    await set_project(door, registration_mode="approval")
    client_id: str = (await register(door, token_endpoint_auth_method="none")).json()["client_id"]
    await consent_page(door, person, client_id, WEB)
    return client_id


async def test_a_denied_client_is_told_so_and_stays_out(door: Door, person: Person) -> None:
    client_id = await waiting(door, person)
    await admission.deny(door.operator, (await queue(door))[0].client)
    assert "was not approved by an administrator" in told(await authorize(door, client_id, WEB))
    assert refusal(await door.redeem(client_id, "mac_x", "v" * 43)) == (401, "invalid_client")
    assert await queue(door) == []


async def test_a_waiting_client_gets_nothing_at_the_token_endpoint(door: Door, person: Person) -> None:
    client_id = await waiting(door, person)
    assert refusal(await door.redeem(client_id, "mac_x", "v" * 43)) == (400, "unauthorized_client")


async def test_what_the_secret_registered_does_not_wait(door: Door) -> None:
    await set_project(door, registration_mode="approval")
    secret = await project_key(door, "register")
    client_id = (await register(door, secret, token_endpoint_auth_method="none")).json()["client_id"]
    assert "access_token" in await tokens_of(door, client_id, WEB)


async def test_clients_that_people_use_already_do_not_wait_when_the_mode_changes(door: Door) -> None:
    client_id = (await register(door, token_endpoint_auth_method="none")).json()["client_id"]
    await tokens_of(door, client_id, WEB)
    await set_project(door, registration_mode="approval")
    assert "access_token" in await tokens_of(door, client_id, WEB)


async def test_a_full_project_lets_nobody_in_unapproved(
    door: Door, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_admission, "MAX_CLIENTS", 0)
    client_id = await waiting(door, person)
    page = await consent_page(door, person, client_id, WEB)
    assert (page.status, "Waiting for approval" in page.text) == (403, True)
    assert await stored(door, client_id) is None


async def test_a_change_by_the_client_itself_waits_for_approval_too(door: Door) -> None:
    await set_project(door, registration_mode="approval")
    made = (await register(door, **CONFIDENTIAL)).json()
    await admission.approve(door.operator, (await queue(door))[0].client)
    answer = await put(door, made, redirect_uris=["https://evil.example/cb"], **CONFIDENTIAL)
    assert answer.status == 200
    assert answer.json()["redirect_uris"] == [WEB]
    assert not await is_accepted(door, made["client_id"], "https://evil.example/cb")
    (queued,) = await queue(door)
    assert admission.describe_queued(queued)["waits_as"] == "changed"
    await admission.approve(door.operator, queued.client)
    assert await is_accepted(door, made["client_id"], "https://evil.example/cb")


async def test_an_initial_access_token_registers_once_under_twenty_at_once(door: Door) -> None:
    await set_project(door, registration_mode="protected")
    for method in ("none", "client_secret_post"):
        _, secret = await registrations.create_initial_token(door.operator, door.project, name="CI")
        answers = await asyncio.gather(*(register(door, secret, token_endpoint_auth_method=method) for _ in range(20)))
        assert sorted(answer.status for answer in answers) == [201] + [401] * 19
        refused = next(answer for answer in answers if answer.status == 401)
        assert refusal(refused) == (401, "invalid_token")
        assert 'error="invalid_token"' in refused.header("www-authenticate")


async def test_a_token_registers_as_often_as_it_says(door: Door) -> None:
    await set_project(door, registration_mode="protected")
    _, secret = await registrations.create_initial_token(door.operator, door.project, uses=3)
    statuses = [(await register(door, secret, **CONFIDENTIAL)).status for _ in range(4)]
    assert statuses == [201, 201, 201, 401]


async def test_a_token_is_over_when_its_time_is(door: Door) -> None:
    _, secret = await registrations.create_initial_token(door.operator, door.project, uses=5, seconds=60)
    door.clock.advance(seconds=59)
    assert (await register(door, secret)).status == 201
    door.clock.advance(seconds=1)
    assert refusal(await register(door, secret)) == (401, "invalid_token")


async def test_a_registration_that_fails_costs_no_use(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    _, secret = await registrations.create_initial_token(door.operator, door.project)
    assert refusal(await register(door, secret, redirect_uris=[])) == (400, "invalid_redirect_uri")
    with monkeypatch.context() as full:
        full.setattr(registration, "MAX_CLIENTS", 0)
        assert (await register(door, secret, **CONFIDENTIAL)).status == 429
    assert (await register(door, secret, **CONFIDENTIAL)).status == 201


async def test_a_token_is_for_registering_and_nothing_else_t16(door: Door) -> None:
    _, secret = await registrations.create_initial_token(door.operator, door.project)
    answer = await door.post_form("/api/oauth/introspect", {"token": "x"}, bearer(secret))
    assert refusal(answer)[0] == 401
    await set_project(door, registration_mode="closed")
    assert refusal(await register(door, secret)) == (403, "access_denied")


async def test_software_that_a_trusted_issuer_vouches_for_is_verified(door: Door, person: Person) -> None:
    token = statement(await trusted(door), redirect_uris=[WEB], exp=NOW + 60, iat=NOW)
    answer = await register(door, redirect_uris=[LOOPBACK], client_name="Mine", software_statement=token)
    made = answer.json()
    assert answer.status == 201
    assert (made["client_name"], made["redirect_uris"], made["software_id"]) == ("Vouched app", [WEB], "sw-1")
    assert made["software_statement"] == token
    page = await consent_page(door, person, made["client_id"], WEB)
    assert "Verified app" in page.text
    assert "vouched for by software.example" in page.text


async def test_a_statement_nobody_trusts_is_unapproved_and_a_wrong_one_invalid_dcr_06(door: Door) -> None:
    token = statement(generate_signing_key("ES256"))
    assert refusal(await register(door, software_statement=token)) == (400, "unapproved_software_statement")
    key = await trusted(door)
    other = generate_signing_key("ES256")
    wrong = [
        statement(other),
        statement(SigningKey(key.kid, other.alg, other.key)),
        statement(key)[:-6] + "AAAAAA",
        statement(key, exp=NOW - 61),
        statement(key, nbf=NOW + 120),
        statement(key, exp="soon"),
        "not.a.jwt",
        "",
        7,
    ]
    for value in wrong:
        answer = await register(door, software_statement=value)
        assert refusal(answer) == (400, "invalid_software_statement"), value
    await registrations.distrust_issuer(door.operator, door.project, ISSUER)
    answer = await register(door, software_statement=statement(key))
    assert refusal(answer) == (400, "unapproved_software_statement")


async def test_a_statement_cannot_make_what_no_client_may_be(door: Door) -> None:
    key = await trusted(door)
    token = statement(key, redirect_uris=["javascript:alert(1)"])
    assert refusal(await register(door, software_statement=token)) == (400, "invalid_redirect_uri")
    mixed = (await register(door, software_statement=statement(key, redirect_uris=[WEB, "javascript:x"]))).json()
    assert mixed["redirect_uris"] == [WEB]
    assert [refused["uri"] for refused in mixed["refused_redirect_uris"]] == ["javascript:x"]


async def test_what_was_vouched_for_cannot_be_changed_without_a_statement(door: Door) -> None:
    key = await trusted(door)
    made = (await register(door, software_statement=statement(key, redirect_uris=[WEB]))).json()
    evil = {"redirect_uris": ["https://evil.example/cb"], "token_endpoint_auth_method": "client_secret_basic"}
    assert refusal(await put(door, made, **evil)) == (400, "unapproved_software_statement")
    vouched = statement(key, redirect_uris=["https://client.example.com/new"])
    answer = await put(door, made, **evil, software_statement=vouched)
    assert answer.json()["redirect_uris"] == ["https://client.example.com/new"]


async def test_vouched_for_and_approved_is_one_row_of_audit_each(door: Door) -> None:
    before = len(await audited(door))
    key = await trusted(door)
    await registrations.create_initial_token(door.operator, door.project)
    await register(door, software_statement=statement(key))
    await registrations.distrust_issuer(door.operator, door.project, ISSUER)
    assert len(await audited(door)) == before + 4


async def test_a_template_adds_a_known_client_by_hand(door: Door, person: Person) -> None:
    name, uris = clients.template("claude")
    client, secret = await clients.add(door.operator, door.project, uris, name=name)
    assert secret is None
    page = await consent_page(door, person, client.client_id, uris[0])
    assert "Verified app" in page.text
    assert "Someone may be using its name" not in page.text
