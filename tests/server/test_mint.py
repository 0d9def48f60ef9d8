"""A backend gets tokens for the users it knows: with its key, for known clients, and for nobody else's name (TX-10).

Spec: TX-10, REG-07, T16, T18, T44, T37, I7; threats, finding 7
"""

import asyncio

import pytest

from doorward.core.limits import Limit
from doorward.core.models import TOKEN_EXCHANGE, Capability, ResourceSettings
from doorward.manage import admission, clients, connections, keys, resources, users
from doorward.server.jobs import sweep
from tests.inside import ISSUER, LOOPBACK, RESOURCE, SCOPES, Door
from tests.running import ADMIN_EMAIL
from tests.server.exchanges import BOTH, SECOND, lay_out
from tests.server.minting import MINT, mint, public_client
from tests.server.steps import (
    TOKEN,
    WEB_REDIRECT,
    add_neighbour,
    basic,
    bearer,
    claims_of,
    introspect,
    is_active,
    project_key,
    refusal,
    set_project,
    stop,
    success,
)
from tests.storage.rows import dump

DAY = 86_400


async def test_a_backend_gets_tokens_that_are_called_what_it_calls_its_user_tx_10(door: Door) -> None:
    client_id, secret = await public_client(door), await project_key(door, "mint")
    tokens = success(await mint(door, secret, client_id=client_id, resource=RESOURCE))
    access_token, refresh_token = tokens.pop("access_token"), tokens.pop("refresh_token")
    assert tokens == {"token_type": "Bearer", "expires_in": 900, "scope": "tools:read"}
    claims = claims_of(access_token)
    assert claims == {
        "iss": ISSUER,
        "sub": "user-1",
        "aud": RESOURCE,
        "client_id": client_id,
        "scope": "tools:read",
        "jti": claims["jti"],
        "iat": door.clock() // 1000,
        "exp": door.clock() // 1000 + 900,
        "grant_id": claims["grant_id"],
    }
    told = await introspect(door, access_token, await project_key(door, "introspect"))
    assert (told["active"], told["sub"], told["username"]) == (True, "user-1", "user-1")
    refreshed = success(await door.refresh(client_id, refresh_token))
    assert claims_of(refreshed["access_token"])["sub"] == "user-1"
    assert claims_of(refreshed["access_token"])["grant_id"] == claims["grant_id"]


async def test_the_same_name_is_the_same_person_and_each_mint_a_connection_of_its_own(door: Door) -> None:
    client_id, secret = await public_client(door), await project_key(door, "mint")
    first = success(await mint(door, secret, client_id=client_id))
    second = success(await mint(door, secret, client_id=client_id))
    people = [user for user in await users.list_all(door.operator, door.project) if user.user_id == "user-1"]
    assert [(user.email, user.role, user.enabled) for user in people] == [("", "member", True)]
    await door.post_form("/api/oauth/revoke", {"client_id": client_id, "token": first["refresh_token"]})
    assert not await is_active(door, first["access_token"])
    assert await is_active(door, second["access_token"])
    other = success(await mint(door, secret, client_id=client_id, subject="User-1"))
    assert claims_of(other["access_token"])["sub"] == "User-1"  # another person: names are compared as they are


async def test_many_at_once_make_one_person_and_a_connection_each(door: Door) -> None:
    client_id, secret = await public_client(door), await project_key(door, "mint")
    answers = await asyncio.gather(*(mint(door, secret, client_id=client_id) for _ in range(20)))
    grants = {claims_of(success(answer)["access_token"])["grant_id"] for answer in answers}
    rows = await dump(door.context.database, door.project.project_id)
    assert len(grants) == len(rows["grants"]) == 20
    assert len(rows["identities"]) == 1
    events = await connections.recent_events(door.operator, door.project)
    assert [event.action for event in events if event.target == "user:user-1"] == ["user.added"]


async def test_what_was_minted_is_written_down_with_who_made_it_tx_10_i7(door: Door) -> None:
    client_id = await public_client(door)
    key, secret = await keys.create(door.operator, door.project, ("mint",), name="shop backend")
    token = success(await mint(door, secret, client_id=client_id))["access_token"]
    rows = await dump(door.context.database, door.project.project_id)
    (grant,) = rows["grants"]
    assert {"user-1", client_id, "mint", "shop backend", key.key_id} <= set(grant)
    assert [row[1:4] for row in rows["identities"]] == [(ISSUER, "user-1", "user-1")]
    events = await connections.recent_events(door.operator, door.project)
    ours = [event for event in events if event.actor == f"key:{key.key_id}"]
    assert {event.action for event in ours} == {"user.added", "token.minted"}
    (minted,) = [event for event in ours if event.action == "token.minted"]
    assert minted.target == claims_of(token)["grant_id"]
    assert minted.detail == {
        "source": "203.0.113.9",
        "agent": "",
        "client": client_id,
        "subject": "user-1",
        "resource": door.resource.resource_id,
        "scope": "tools:read",
    }
    success(await mint(door, secret, client_id=client_id))
    events = await connections.recent_events(door.operator, door.project)
    assert [event.action for event in events].count("user.added") == 1 + 1  # and the owner, at the beginning


@pytest.mark.parametrize("capabilities", [(), ("register",), ("introspect",), ("register", "introspect")])
async def test_a_key_that_may_not_mint_mints_nothing_t16(door: Door, capabilities: tuple[Capability, ...]) -> None:
    client_id = await public_client(door)
    secret = await project_key(door, *capabilities) if capabilities else "mrs_unknown"
    refused = await mint(door, secret, client_id=client_id)
    assert refusal(refused) == (401, "invalid_token")
    assert 'error="invalid_token"' in refused.header("www-authenticate")
    assert "identities" not in await dump(door.context.database, door.project.project_id)


async def test_nobody_mints_without_a_live_key_of_the_project_tx_10_t16_t18(door: Door) -> None:
    client_id = await public_client(door)
    anonymous = await mint(door, None, client_id=client_id)
    assert refusal(anonymous) == (401, "invalid_token")
    assert anonymous.header("www-authenticate").startswith("Bearer ")
    assert "error=" not in anonymous.header("www-authenticate")
    key, revoked = await keys.create(door.operator, door.project, ("mint",))
    await keys.revoke(door.operator, door.project, key.key_id)
    _, theirs = await keys.create(door.operator, await add_neighbour(door), ("mint",))
    _, tokens = await door.tokens()
    for secret in (revoked, theirs, tokens["access_token"], tokens["refresh_token"]):
        assert refusal(await mint(door, secret, client_id=client_id)) == (401, "invalid_token")
    machine, client_secret = await clients.add(door.operator, door.project, (WEB_REDIRECT,), confidential=True)
    asked = {"client_id": client_id, "subject": "user-1", "scopes": ["tools:read"]}
    refused = await door.post_json(MINT, asked, basic(machine.client_id, client_secret or ""))
    assert refusal(refused) == (401, "invalid_token")


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS"])
async def test_it_is_posted_and_not_by_browsers(door: Door, method: str) -> None:
    headers = {**bearer(await project_key(door, "mint")), "origin": "https://a.example"}
    answer = await door.call(method, MINT, headers=headers)
    assert refusal(answer) == (405, "invalid_request")
    posted = await door.post_json(MINT, {}, headers)
    for response in (answer, posted):
        assert not [name for name in response.headers if name.startswith("access-control-")]


async def test_a_name_that_is_a_persons_id_is_that_person_and_an_address_is_not_t37(door: Door) -> None:
    client_id, secret = await public_client(door), await project_key(door, "mint")
    owner = await users.get(door.operator, door.project, ADMIN_EMAIL)
    known = success(await mint(door, secret, client_id=client_id, subject=owner.user_id))
    assert claims_of(known["access_token"])["sub"] == owner.user_id
    stranger = success(await mint(door, secret, client_id=client_id, subject=ADMIN_EMAIL))
    assert claims_of(stranger["access_token"])["sub"] == ADMIN_EMAIL
    rows = await dump(door.context.database, door.project.project_id)
    assert {row[2] for row in rows["grants"]} == {owner.user_id, ADMIN_EMAIL}
    person = door.person()
    page = await person.sign_in(await person.open("/login?next=/account"))
    assert (page.status, page.url.endswith("/account")) == (200, True)
    assert (await users.get(door.operator, door.project, ADMIN_EMAIL)).user_id == owner.user_id


@pytest.mark.parametrize("email", ["user-1", "minted user-1", "", "user-1@localhost"])
@pytest.mark.parametrize("password", ["!", "", "a password that nobody has"])
async def test_nobody_signs_in_as_a_person_that_was_minted(door: Door, email: str, password: str) -> None:
    client_id, secret = await public_client(door), await project_key(door, "mint")
    for subject in ("user-1", "user-1@localhost"):
        success(await mint(door, secret, client_id=client_id, subject=subject))
    person = door.person(email, password)
    page = await person.sign_in(await person.open("/login?next=/account"))
    assert page.status == 401


async def test_a_disabled_person_gets_nothing_and_keeps_nothing_t43(door: Door) -> None:
    client_id, secret = await public_client(door), await project_key(door, "mint")
    token = success(await mint(door, secret, client_id=client_id))["access_token"]
    await users.change(door.operator, await users.get(door.operator, door.project, "user-1"), enabled=False)
    assert not await is_active(door, token)
    assert refusal(await mint(door, secret, client_id=client_id)) == (403, "access_denied")
    await users.remove(door.operator, await users.get(door.operator, door.project, "user-1"))
    fresh = success(await mint(door, secret, client_id=client_id))["access_token"]
    assert await is_active(door, fresh)
    assert not await is_active(door, token)


async def test_only_a_client_that_is_known_and_let_in_gets_tokens(door: Door) -> None:
    secret = await project_key(door, "mint")
    for unknown in ("mcl_nobody", "mcx_AAAA", "https://client.example.com/metadata.json", "\x00"):
        refused = await mint(door, secret, client_id=unknown)
        assert refusal(refused)[0] == 400
        assert refusal(refused)[1] == ("invalid_request" if unknown == "\x00" else "invalid_client")
    client_id = await public_client(door)
    token = success(await mint(door, secret, client_id=client_id))["access_token"]
    client = await clients.get(door.operator, door.project, client_id)
    assert (client.kind, client.activated_at) == ("sealed", door.clock())  # and has a row from now on
    await admission.suspend(door.operator, client)
    assert not await is_active(door, token)
    assert refusal(await mint(door, secret, client_id=client_id)) == (400, "unauthorized_client")
    await clients.remove(door.operator, client)
    assert refusal(await mint(door, secret, client_id=client_id)) == (400, "invalid_client")


async def test_a_key_vouches_for_its_users_and_not_for_programs_that_an_operator_approves(door: Door) -> None:
    client_id, secret = await public_client(door), await project_key(door, "mint")
    await set_project(door, registration_mode="approval")
    assert refusal(await mint(door, secret, client_id=client_id)) == (400, "unauthorized_client")
    await set_project(
        door, registration_mode="approved_redirects", approved_redirects=("https://client.example.com/*",)
    )
    assert refusal(await mint(door, secret, client_id=client_id)) == (400, "unauthorized_client")
    await set_project(door, approved_redirects=("loopback",))
    success(await mint(door, secret, client_id=client_id))
    await set_project(door, registration_mode="approval")
    success(await mint(door, secret, client_id=client_id))  # known by now
    await set_project(door, registration_mode="closed")
    success(await mint(door, secret, client_id=client_id))


@pytest.mark.parametrize(
    ("scopes", "granted"),
    [
        (["tools:read"], "tools:read"),
        (["tools:write", "tools:read"], BOTH),
        (["tools:read tools:write"], BOTH),
        (["tools:read", "tools:read"], "tools:read"),
        (["tools:read", "nonsense", "offline_access"], "tools:read"),
        (["nonsense"], None),
        (["offline_access"], None),
        ([], None),
        ([""], None),
        (['"'], None),
    ],
)
async def test_scopes_are_those_that_are_asked_for_and_exist(
    door: Door, scopes: list[str], granted: str | None
) -> None:
    client_id, secret = await public_client(door), await project_key(door, "mint")
    answer = await mint(door, secret, client_id=client_id, scopes=scopes)
    if granted is None:
        assert refusal(answer) == (400, "invalid_scope")
    else:
        tokens = success(answer)
        assert sorted(tokens["scope"].split()) == sorted(granted.split())
        assert claims_of(tokens["access_token"])["scope"] == tokens["scope"]


async def test_the_server_is_the_default_or_the_one_that_is_named(door: Door) -> None:
    client_id, secret = await public_client(door), await project_key(door, "mint")
    second = await resources.add(door.operator, door.project, SECOND, scopes=SCOPES)
    old = "https://old.example.com/mcp"
    await resources.change(door.operator, second, settings=ResourceSettings(aliases=(old,)))
    door.clock.advance(seconds=1)
    for named, audience in ((None, RESOURCE), (f"{SECOND}/", SECOND), (old, [SECOND, old])):
        tokens = success(await mint(door, secret, client_id=client_id, resource=named))
        assert claims_of(tokens["access_token"])["aud"] == audience
    for wrong in ("https://unknown.example.com/mcp", "nonsense"):
        assert refusal(await mint(door, secret, client_id=client_id, resource=wrong)) == (400, "invalid_target")


async def test_a_key_for_one_server_mints_for_no_other(door: Door) -> None:
    client_id = await public_client(door)
    second = await resources.add(door.operator, door.project, SECOND, scopes=SCOPES)
    door.clock.advance(seconds=1)
    secret = await project_key(door, "mint", resource=second)
    for named in (None, SECOND):
        tokens = success(await mint(door, secret, client_id=client_id, resource=named))
        assert claims_of(tokens["access_token"])["aud"] == SECOND
    for wrong in (RESOURCE, "https://unknown.example.com/mcp"):
        assert refusal(await mint(door, secret, client_id=client_id, resource=wrong)) == (400, "invalid_target")
    await resources.remove(door.operator, second)
    door.clock.advance(seconds=1)
    assert refusal(await mint(door, secret, client_id=client_id)) == (400, "invalid_target")


async def test_a_confidential_client_refreshes_what_was_minted_with_its_secret_and_nobody_else_does(door: Door) -> None:
    secret = await project_key(door, "mint")
    client, client_secret = await clients.add(door.operator, door.project, (WEB_REDIRECT,), confidential=True)
    tokens = success(await mint(door, secret, client_id=client.client_id))
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert refusal(await door.post_form(TOKEN, {**form, "client_id": client.client_id})) == (401, "invalid_client")
    other = await public_client(door)
    assert refusal(await door.refresh(other, tokens["refresh_token"])) == (400, "invalid_grant")
    success(await door.post_form(TOKEN, form, basic(client.client_id, client_secret or "")))


async def test_a_client_that_does_not_refresh_gets_nothing_to_refresh_with(door: Door) -> None:
    secret = await project_key(door, "mint")
    client_id = (await door.register(grant_types=["authorization_code"]))["client_id"]
    tokens = success(await mint(door, secret, client_id=client_id))
    assert tokens.keys() == {"access_token", "token_type", "expires_in", "scope"}
    door.clock.advance(seconds=899)
    await sweep(door.context)
    assert await is_active(door, tokens["access_token"])


async def test_a_connection_that_was_minted_ends_like_every_other(door: Door) -> None:
    client_id, secret = await public_client(door), await project_key(door, "mint")
    owner = await users.get(door.operator, door.project, ADMIN_EMAIL)
    tokens = success(await mint(door, secret, client_id=client_id, subject=owner.user_id))
    person = door.person()
    page = await person.sign_in(await person.open("/login?next=/account"))
    assert "Test client" in page.text
    (form,) = [form for form in page.forms if form.get("grant_id")]
    await person.submit(page, form)
    assert not await is_active(door, tokens["access_token"])
    assert refusal(await door.refresh(client_id, tokens["refresh_token"])) == (400, "invalid_grant")


@pytest.mark.parametrize("what", ["project", "resource"])
async def test_while_it_is_stopped_the_answer_is_to_come_back_later(door: Door, what: str) -> None:
    client_id, secret = await public_client(door), await project_key(door, "mint")
    token = success(await mint(door, secret, client_id=client_id))["access_token"]
    await stop(door, what)
    refused = await mint(door, secret, client_id=client_id)
    assert refusal(refused) == (503, "temporarily_unavailable")
    assert refused.header("retry-after") == "60"
    assert not await is_active(door, token)


async def test_a_key_mints_so_many_and_waits_while_other_keys_do_not(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doorward.server.mint.MINT_KEY", Limit("mint-key", burst=2, period_ms=60_000))
    client_id, secret, other = (
        await public_client(door),
        await project_key(door, "mint"),
        await project_key(door, "mint"),
    )
    for _ in range(2):
        success(await mint(door, secret, client_id=client_id))
    refused = await mint(door, secret, client_id=client_id)
    assert refusal(refused) == (429, "temporarily_unavailable")
    assert refused.header("retry-after") == "60"
    success(await mint(door, other, client_id=client_id))
    door.clock.advance(seconds=60)
    success(await mint(door, secret, client_id=client_id))


async def test_what_wants_a_proven_key_is_not_minted(door: Door) -> None:
    secret = await project_key(door, "mint")
    client_id = (await door.register(dpop_bound_access_tokens=True))["client_id"]
    assert refusal(await mint(door, secret, client_id=client_id)) == (400, "invalid_dpop_proof")
    client_id = await public_client(door)
    await resources.change(door.operator, door.resource, settings=ResourceSettings(dpop_required=True))
    door.clock.advance(seconds=1)
    assert refusal(await mint(door, secret, client_id=client_id)) == (400, "invalid_dpop_proof")


async def test_only_the_party_that_is_named_exchanges_what_was_minted_tx_07(door: Door) -> None:
    field = await lay_out(door)
    named, other = await field.machine("Named"), await field.machine("Other")
    for machine in (named, other):
        await field.rule(machine, source=None)
    client_id, secret = await public_client(door), await project_key(door, "mint")
    tokens = success(await mint(door, secret, client_id=client_id, may_act={"sub": named.client_id}))
    assert tokens.keys() == {"access_token", "token_type", "expires_in", "scope"}
    token = tokens["access_token"]
    assert claims_of(token)["may_act"] == {"sub": named.client_id}
    assert refusal(await other.ask(token)) == (400, "invalid_request")
    exchanged = await named.exchange(token)
    assert claims_of(exchanged)["may_act"] == {"sub": named.client_id}
    assert claims_of(exchanged)["sub"] == "user-1"
    assert refusal(await other.ask(exchanged)) == (400, "invalid_request")
    told = await introspect(door, exchanged, await project_key(door, "introspect"))
    assert (told["act"], told["may_act"]) == ({"sub": named.client_id}, {"sub": named.client_id})


async def test_the_token_endpoint_takes_no_key_in_place_of_a_client_t16(door: Door) -> None:
    field = await lay_out(door)
    await field.rule(await field.machine())
    secret = await project_key(door, "register", "introspect", "mint")
    form = {"grant_type": TOKEN_EXCHANGE, "subject_token": await field.persons_token(), "resource": SECOND}
    assert refusal(await door.post_form(TOKEN, form, bearer(secret))) == (401, "invalid_client")


async def test_another_project_has_people_of_the_same_name_and_nothing_in_common_i10(door: Door) -> None:
    acme = await add_neighbour(door, same_resource=RESOURCE)
    _, theirs = await keys.create(door.operator, acme, ("mint", "introspect"))
    client, _ = await clients.add(door.operator, acme, (LOOPBACK,))
    client_id, secret = await public_client(door), await project_key(door, "mint")
    ours = success(await mint(door, secret, client_id=client_id))["access_token"]
    asked = {"client_id": client.client_id, "subject": "user-1", "scopes": ["tools:read"]}
    answer = await door.post_json(f"/p/acme{MINT}", asked, bearer(theirs))
    token = success(answer)["access_token"]
    assert claims_of(token)["iss"] == f"{ISSUER}/p/acme"
    await users.change(door.operator, await users.get(door.operator, acme, "user-1"), enabled=False)
    assert await is_active(door, ours)
    assert refusal(await door.post_json(f"/p/acme{MINT}", asked, bearer(theirs))) == (403, "access_denied")
    asked["client_id"] = client_id
    assert refusal(await door.post_json(f"/p/acme{MINT}", asked, bearer(theirs)))[1] == "invalid_client"
