"""Whom an ID-JAG speaks for, and the connection it makes: seen by its person, ended by them, and then ended for good.

Spec: JAG-13, T37, T43, CON-05, I3, I5, I7, I13
"""

from dataclasses import replace
from typing import Any

import pytest

from doorward.core.models import User
from doorward.manage import admission, clients, connections, trust, users
from doorward.server.jobs import ASSERTED_IDLE_MS, sweep
from doorward.storage.users import find_user
from tests.inside import Door
from tests.running import ADMIN_EMAIL
from tests.server.issuers import (
    ABSENT,
    IDP,
    SUBJECT,
    Agent,
    Issuer,
    ada,
    agent,
    present,
    reasons,
    trust_idp,
)
from tests.server.steps import claims_of, is_active, refusal, success
from tests.web.people import EMAIL as BOB_EMAIL
from tests.web.people import PASSWORD

REFUSED = (400, "invalid_grant")
UNKNOWN = "nobody here is known to be its subject"


@pytest.fixture
def idp() -> Issuer:
    return Issuer(IDP)


async def bob(door: Door) -> User:
    return await users.add(door.operator, door.project, BOB_EMAIL, PASSWORD, name="Bob")


async def subject(door: Door, idp: Issuer, caller: Agent, **claims: Any) -> str | None:
    """Whom the token speaks for, or None where there was none."""
    answer = await present(door, idp.id_jag(door, caller.client_id, **claims), caller)
    if answer.status != 200:
        assert refusal(answer) == REFUSED
        door.clock.advance(seconds=3)
        return None
    return str(claims_of(answer.json()["access_token"])["sub"])


async def token(door: Door, idp: Issuer, caller: Agent, **claims: Any) -> str:
    return str(success(await present(door, idp.id_jag(door, caller.client_id, **claims), caller))["access_token"])


async def grants(door: Door) -> list[tuple[str, str]]:
    """(id, scopes) of Ada's connections."""
    apps = await connections.list_apps(door.operator, door.project, await ada(door))
    return [(app.grant.grant_id, " ".join(app.grant.scope)) for app in apps]


async def end_connection(door: Door) -> str:
    """Ada revokes her one connection."""
    ((grant_id, _),) = await grants(door)
    assert await connections.revoke(door.operator, door.project, await ada(door), grant_id)
    return grant_id


async def test_a_subject_that_was_linked_is_its_person_whatever_else_is_said_jag_13(door: Door, idp: Issuer) -> None:
    await trust_idp(door, idp, subject_by="sub")
    caller, other = await agent(door), await bob(door)
    assert await subject(door, idp, caller) is None
    assert (await reasons(door))[-1] == UNKNOWN
    await trust.link(door.operator, other, IDP, SUBJECT)
    assert await subject(door, idp, caller, email=ADMIN_EMAIL) == other.user_id
    assert await subject(door, idp, caller, email=ABSENT) == other.user_id
    assert await subject(door, idp, caller, email_verified=False) == other.user_id
    assert await subject(door, idp, caller, aud_sub=(await ada(door)).user_id) == other.user_id
    assert await subject(door, idp, caller, sub=SUBJECT.lower()) is None
    assert await subject(door, idp, caller, sub=f"{SUBJECT} ") is None
    await trust.unlink(door.operator, door.project, IDP, SUBJECT)
    assert await subject(door, idp, caller) is None


async def test_an_issuer_names_nobody_by_address_unless_it_may_t37(door: Door, idp: Issuer) -> None:
    await trust_idp(door, idp, subject_by="sub")
    caller = await agent(door)
    assert await subject(door, idp, caller, email=ADMIN_EMAIL) is None
    assert await subject(door, idp, caller, aud_sub=(await ada(door)).user_id) is None


async def test_an_address_links_a_subject_once_and_counts_for_nothing_after_that_t37(door: Door, idp: Issuer) -> None:
    await trust_idp(door, idp)
    caller, person, other = await agent(door), await ada(door), await bob(door)
    assert await subject(door, idp, caller, email=ADMIN_EMAIL.upper()) == person.user_id
    (link,) = await trust.list_links(door.operator, door.project)
    assert (link.issuer, link.subject, link.email) == (IDP, SUBJECT, ADMIN_EMAIL)
    # The address moves on to somebody else there: the subject is who it was, and the newcomer is not Ada.
    assert await subject(door, idp, caller, email=BOB_EMAIL) == person.user_id
    assert await subject(door, idp, caller, sub="newcomer", email=ADMIN_EMAIL) is None
    assert (await reasons(door))[-1] == "the person is another subject of its issuer already"
    assert await subject(door, idp, caller, sub="bob", email=BOB_EMAIL) == other.user_id


async def test_an_address_that_nobody_proved_or_that_is_none_links_nothing_t37(door: Door, idp: Issuer) -> None:
    await trust_idp(door, idp)
    caller = await agent(door)
    for claims in (
        {"email_verified": False},
        {"email_verified": "true"},
        {"email_verified": None},
        {"email_verified": 0},
        {"email": ABSENT},
        {"email": "nobody@example.com"},
        {"email": f"{ADMIN_EMAIL}@evil.example"},
        {"email": f"evil@evil.example,{ADMIN_EMAIL}"},
        {"email": ADMIN_EMAIL.replace("a", "\u0430", 1)},
        {"email": "ada"},
        {"email": ""},
    ):
        assert await subject(door, idp, caller, **claims) is None, claims
    assert await trust.list_links(door.operator, door.project) == []
    assert await subject(door, idp, caller, email_verified=True) == (await ada(door)).user_id


async def test_our_own_id_of_a_person_goes_before_their_address_jag_13(door: Door, idp: Issuer) -> None:
    await trust_idp(door, idp)
    caller, other = await agent(door), await bob(door)
    assert await subject(door, idp, caller, aud_sub=other.user_id, email=ADMIN_EMAIL) == other.user_id
    assert (
        await subject(door, idp, caller, sub="b", aud_sub="usr_nobody", email=ADMIN_EMAIL) == (await ada(door)).user_id
    )
    assert await subject(door, idp, caller, sub="c", aud_sub=other.user_id, aud_tenant="x", email=ABSENT) is None


async def test_a_shared_issuer_speaks_for_the_customers_that_its_trust_names_and_apart_jag_06(
    door: Door, idp: Issuer
) -> None:
    first = await trust_idp(door, idp)
    caller, person, other = await agent(door), await ada(door), await bob(door)
    assert await subject(door, idp, caller, tenant="acme") is None
    assert (await reasons(door))[-1] == "it is of a customer of a shared issuer that the trust does not name"
    await trust.remove(door.operator, first)
    await trust_idp(door, idp, claims=(("tenant", "acme"),))
    assert await subject(door, idp, caller, tenant="acme") == person.user_id
    assert await subject(door, idp, caller, tenant="globex") is None
    assert await subject(door, idp, caller) is None
    await trust.link(door.operator, other, IDP, "acme U1", tenant="")
    assert await subject(door, idp, caller, sub="U1", tenant="acme", email=ABSENT) is None
    await trust.link(door.operator, other, IDP, "U1", tenant="acme")
    assert await subject(door, idp, caller, sub="U1", tenant="acme", email=ABSENT) == other.user_id


async def test_the_same_subject_of_another_issuer_is_somebody_else_t37(door: Door, idp: Issuer) -> None:
    second = Issuer("https://second.idp.example")
    await trust_idp(door, idp)
    await trust_idp(door, second)
    caller, other = await agent(door), await bob(door)
    assert await subject(door, idp, caller) == (await ada(door)).user_id
    assert await subject(door, second, caller, email=BOB_EMAIL) == other.user_id
    assert await subject(door, idp, caller, email=BOB_EMAIL) == (await ada(door)).user_id


async def test_people_are_made_only_where_a_trust_makes_them_and_never_out_of_somebody_elses_address(
    door: Door, idp: Issuer
) -> None:
    await trust_idp(door, idp, subject_by="sub", create_people=True)
    caller = await agent(door)
    assert await subject(door, idp, caller, email=ADMIN_EMAIL) is None
    assert (await reasons(door))[-1] == "somebody else has the address"
    for claims in ({"email": ABSENT}, {"email": "new@example.com", "email_verified": False}, {"email": "new"}):
        assert await subject(door, idp, caller, **claims) is None, claims
    made = await subject(door, idp, caller, sub="new", email="New@Example.com")
    assert made is not None
    person = await door.context.database.read(find_user, door.project.project_id, made)
    assert person is not None
    assert (person.email, person.role, person.enabled) == ("New@Example.com", "member", True)
    assert await subject(door, idp, caller, sub="new", email=ABSENT) == made
    actions = [event.action for event in await connections.recent_events(door.operator, door.project)]
    assert actions.count("user.added") == 2
    # Nobody signs in as them with a password: there is none.
    for password in ("", "a password that nobody has", "!"):
        browser = door.person("new@example.com", password)
        page = await browser.sign_in(await browser.open("/login"))
        assert not page.url.endswith("/account"), password


async def test_a_person_who_is_disabled_gets_no_token_and_keeps_none_t43(door: Door, idp: Issuer) -> None:
    await trust_idp(door, idp)
    caller, person = await agent(door), await bob(door)
    held = await token(door, idp, caller, sub="bob", email=BOB_EMAIL)
    await users.change(door.operator, person, enabled=False)
    assert not await is_active(door, held)
    assert await subject(door, idp, caller, sub="bob", email=BOB_EMAIL) is None
    assert (await reasons(door))[-1] == "the person is disabled"
    unlinked = await users.add(door.operator, door.project, "carol@example.com", PASSWORD)
    await users.change(door.operator, unlinked, enabled=False)
    assert await subject(door, idp, caller, sub="carol", email="carol@example.com") is None
    assert len(await trust.list_links(door.operator, door.project)) == 1
    await users.remove(door.operator, person)
    assert await subject(door, idp, caller, sub="bob", email=BOB_EMAIL) is None


async def test_however_many_assertions_there_is_one_connection_with_all_it_was_given_i5_i13(
    door: Door, idp: Issuer
) -> None:
    await trust_idp(door, idp)
    caller = await agent(door)
    first = await token(door, idp, caller, scope="tools:read")
    assert [scope for _, scope in await grants(door)] == ["tools:read"]
    second = await token(door, idp, caller, scope="tools:write")
    for _ in range(5):
        await token(door, idp, caller, scope="tools:read")
    ((grant_id, scope),) = await grants(door)
    assert scope == "tools:read tools:write"
    assert {claims_of(held)["grant_id"] for held in (first, second)} == {grant_id}
    other = await agent(door)
    await token(door, idp, other)
    assert len(await grants(door)) == 2


async def test_a_person_sees_the_connection_and_ends_it_and_no_assertion_brings_it_back_con_05(
    door: Door, idp: Issuer
) -> None:
    await trust_idp(door, idp)
    caller, other = await agent(door), await agent(door)
    held = await token(door, idp, caller)
    await end_connection(door)
    assert not await is_active(door, held)
    assert await subject(door, idp, caller) is None
    assert (await reasons(door))[-1] == "this connection was ended, and not reopened since"
    assert await is_active(door, await token(door, idp, other))  # another client is another connection


async def test_an_ended_connection_stays_ended_whatever_becomes_of_the_trust_and_its_time(
    door: Door, idp: Issuer
) -> None:
    first = await trust_idp(door, idp)
    caller = await agent(door)
    await token(door, idp, caller)
    await end_connection(door)
    await trust.remove(door.operator, first)
    second = Issuer("https://second.idp.example")
    await trust_idp(door, idp)
    await trust_idp(door, second)
    assert await subject(door, idp, caller) is None
    assert await subject(door, second, caller) is None
    for _ in range(3):
        door.clock.advance(seconds=ASSERTED_IDLE_MS / 1000)
        await sweep(door.context)
    assert await subject(door, idp, caller) is None


async def test_what_was_ended_is_let_in_again_by_its_person_and_its_old_tokens_are_not_i3(
    door: Door, idp: Issuer
) -> None:
    await trust_idp(door, idp)
    caller, person, other = await agent(door), await ada(door), await bob(door)
    held = await token(door, idp, caller)
    grant_id = await end_connection(door)
    (ended,) = await connections.list_ended(door.operator, door.project, person)
    assert (ended.grant_id, ended.client.client_name, ended.resource_name) == (grant_id, "Agent", "Example server")
    assert not await connections.reopen(door.operator, door.project, other, grant_id)
    assert not await connections.reopen(door.operator, door.project, person, "grt_nothing")
    assert await subject(door, idp, caller) is None
    assert await connections.reopen(door.operator, door.project, person, grant_id)
    assert not await connections.reopen(door.operator, door.project, person, grant_id)
    fresh = await token(door, idp, caller)
    assert await is_active(door, fresh)
    assert not await is_active(door, held)
    assert claims_of(fresh)["grant_id"] != grant_id
    assert await connections.list_ended(door.operator, door.project, person) == []


async def test_revoking_everything_of_an_issuer_ends_all_it_gave_at_once_and_nothing_else(
    door: Door, idp: Issuer
) -> None:
    second = Issuer("https://second.idp.example")
    first = await trust_idp(door, idp)
    await trust_idp(door, second)
    caller, other = await agent(door), await bob(door)
    held = [await token(door, idp, caller), await token(door, idp, caller, sub="bob", email=BOB_EMAIL)]
    kept = await token(door, second, caller, sub="bob", email=BOB_EMAIL)
    _, consented = await door.tokens()
    unused = idp.id_jag(door, caller.client_id)
    door.clock.advance(seconds=1)
    await trust.revoke_everything(door.operator, first)
    assert [await is_active(door, one) for one in held] == [False, False]
    assert await is_active(door, kept)
    assert await is_active(door, consented["access_token"])
    assert other.user_id == claims_of(kept)["sub"]
    # What was made by then is over as well; what is made later starts anew, in a connection of its own.
    assert refusal(await present(door, unused, caller)) == REFUSED
    door.clock.advance(seconds=1)
    fresh = await token(door, idp, caller)
    assert await is_active(door, fresh)
    assert claims_of(fresh)["grant_id"] != claims_of(held[0])["grant_id"]
    assert [await is_active(door, one) for one in held] == [False, False]


async def test_what_an_issuer_gave_ends_with_the_trust_in_it_and_does_not_come_back_with_it_i3(
    door: Door, idp: Issuer
) -> None:
    first = await trust_idp(door, idp)
    caller = await agent(door)
    held = await token(door, idp, caller)
    await trust.remove(door.operator, first)
    assert not await is_active(door, held)
    assert await grants(door) == []
    await trust_idp(door, idp)
    assert not await is_active(door, held)
    await token(door, idp, caller)
    assert not await is_active(door, held)


async def test_a_client_that_is_suspended_or_revoked_or_removed_loses_what_assertions_gave_it_t43(
    door: Door, idp: Issuer
) -> None:
    await trust_idp(door, idp)
    caller = await agent(door)
    stored = await clients.get(door.operator, door.project, caller.client_id)
    held = await token(door, idp, caller)
    await admission.suspend(door.operator, stored)
    assert not await is_active(door, held)
    refused = await present(door, idp.id_jag(door, caller.client_id), caller)
    assert refusal(refused) == (400, "unauthorized_client")
    await admission.reactivate(door.operator, replace(stored, status="suspended"))
    assert await is_active(door, held)
    door.clock.advance(seconds=1)
    await admission.revoke_everything(door.operator, stored)
    assert not await is_active(door, held)
    door.clock.advance(seconds=1)
    fresh = await token(door, idp, caller)
    assert (await is_active(door, fresh), await is_active(door, held)) == (True, False)
    await clients.remove(door.operator, stored)
    assert not await is_active(door, fresh)
    assert refusal(await present(door, idp.id_jag(door, caller.client_id), caller)) == (401, "invalid_client")


async def test_a_connection_that_is_not_used_for_long_is_forgotten_and_made_anew_i13(door: Door, idp: Issuer) -> None:
    await trust_idp(door, idp)
    caller = await agent(door)
    held = await token(door, idp, caller)
    for _ in range(89):
        door.clock.advance(seconds=86_400)
        await sweep(door.context)
    assert len(await grants(door)) == 1
    await token(door, idp, caller)
    door.clock.advance(seconds=ASSERTED_IDLE_MS / 1000 - 1)
    await sweep(door.context)
    ((grant_id, _),) = await grants(door)
    assert grant_id == claims_of(held)["grant_id"]
    door.clock.advance(seconds=1)
    await sweep(door.context)
    assert await grants(door) == []
    assert claims_of(await token(door, idp, caller))["grant_id"] != grant_id


async def test_a_token_by_assertion_leaves_one_row_in_the_audit_trail_i7(door: Door, idp: Issuer) -> None:
    added = await trust_idp(door, idp)
    caller = await agent(door)
    await token(door, idp, caller)
    before = {event.event_id for event in await connections.recent_events(door.operator, door.project)}
    held = await token(door, idp, caller)
    events = await connections.recent_events(door.operator, door.project)
    (event,) = [event for event in events if event.event_id not in before]
    assert (event.action, event.actor, event.target) == (
        "token.assertion_accepted",
        f"client:{caller.client_id}",
        claims_of(held)["grant_id"],
    )
    assert event.detail == {
        "source": "203.0.113.9",
        "agent": "",
        "trust": added.trust_id,
        "issuer": IDP,
        "subject": SUBJECT,
        "resource": door.resource.resource_id,
        "scope": "tools:read",
    }
