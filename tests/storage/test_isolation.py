"""The same ids in two projects never meet: whatever a verb does in one, the other neither changes nor shows (I10)."""

import inspect
import pkgutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
from sqlalchemy import select

import doorward.storage
from doorward.core.models import AuditEvent
from doorward.core.vault import Vault
from doorward.oauth.ids import ClientId, TokenHash
from doorward.oauth.jwt import generate_signing_key
from doorward.storage import (
    access_tokens,
    asserted_grants,
    audit,
    clients,
    codes,
    device_codes,
    encryption,
    exchange_rules,
    grants,
    interactions,
    key_rotation,
    keys,
    projects,
    pushed_requests,
    registrations,
    resources,
    revocations,
    signing_keys,
    spent_ids,
    superseding,
    throttles,
    timeline,
    tokens,
    tools,
    trusted_issuers,
    users,
)
from doorward.storage.access_tokens import Standing
from doorward.storage.codes import Unknown
from doorward.storage.database import Database, Transaction
from doorward.storage.device_codes import NotWaiting
from doorward.storage.schema import GLOBAL_TABLES, metadata
from doorward.storage.schema import revocations as revoked
from tests.storage import admin_verbs, upstream_cases
from tests.storage.factor_verbs import FACTOR_CHANGES, FACTOR_LOOKS
from tests.storage.filled import ALLOWED_HASH, ENDED_GRANT, HELD_USER_CODE, LIMIT, fill, make_step
from tests.storage.rows import (
    BROWSER_HASH,
    CLIENT,
    CODE_HASH,
    DAY,
    DEVICE_HASH,
    EXCHANGE_RULE,
    FAMILY,
    FLOW_HASH,
    GRANT,
    IDP,
    INITIAL_HASH,
    KEY,
    KEY_HASH,
    NOW,
    PUSHED_HASH,
    RESOURCE,
    SESSION_HASH,
    SETUP_HASH,
    SOFTWARE_ISSUER,
    TRUST,
    USER,
    USER_CODE_HASH,
    Tenant,
    add_tenant,
    dump,
    make_client,
    make_code,
    make_device_code,
    make_exchange_rule,
    make_family,
    make_grant,
    make_held_client,
    make_initial_access_token,
    make_interaction,
    make_key,
    make_project,
    make_pushed_request,
    make_resource,
    make_session,
    make_signing_key,
    make_trust,
    make_user,
    unlisted,
)

_NEWEST_MARK = unlisted(select(revoked.c.seq, revoked.c.mark).order_by(revoked.c.seq))
VAULT = Vault([bytes(range(32))])
IDLE = 3_600_000
Act = Callable[[Transaction, Tenant], Awaitable[Any]]


async def resume_project(tx: Transaction, tenant: Tenant) -> bool:
    await projects.stop_project(tx, tenant.project_id, NOW)
    return await projects.resume_project(tx, tenant.project_id, NOW)


async def resume_resource(tx: Transaction, tenant: Tenant) -> bool:
    await resources.stop_resource(tx, tenant.project_id, RESOURCE, NOW)
    return await resources.resume_resource(tx, tenant.project_id, RESOURCE, NOW)


# What each verb is called with to change something of a project that `fill` filled.
CHANGES: dict[Callable[..., Any], Act] = {
    **FACTOR_CHANGES,
    tools.change_tools: lambda tx, t: tools.change_tools(
        tx, t.project_id, RESOURCE, lambda stored: replace(stored, scopes=()), actor="a", now=NOW
    ),
    audit.record: lambda tx, t: audit.record(tx, t.project_id, AuditEvent("a", "b", "c"), NOW),
    clients.add_client: lambda tx, t: clients.add_client(tx, make_client(t.project, "mcl_new")),
    clients.ensure_client: lambda tx, t: clients.ensure_client(tx, make_client(t.project, "mcl_new")),
    clients.set_client_status: lambda tx, t: clients.set_client_status(tx, t.project_id, CLIENT, "suspended", NOW),
    clients.void_client_grants: lambda tx, t: clients.void_client_grants(tx, t.project_id, CLIENT, NOW),
    clients.update_client_metadata: lambda tx, t: clients.update_client_metadata(
        tx, t.client, replace(t.client.metadata, client_name="New")
    ),
    clients.rotate_client_secret: lambda tx, t: clients.rotate_client_secret(
        tx, make_held_client(t.project), TokenHash(b"new"), expires_at=None, overlap_until=NOW + DAY
    ),
    clients.rotate_registration_token: lambda tx, t: clients.rotate_registration_token(
        tx, make_held_client(t.project), TokenHash(b"new")
    ),
    registrations.add_initial_access_token: lambda tx, t: registrations.add_initial_access_token(
        tx, t.project_id, TokenHash(b"new"), make_initial_access_token()
    ),
    registrations.consume_initial_access_token: lambda tx, t: registrations.consume_initial_access_token(
        tx, t.project_id, INITIAL_HASH, NOW
    ),
    registrations.bury_client: lambda tx, t: registrations.bury_client(
        tx, t.project_id, ClientId("mcl_new"), "removed", NOW
    ),
    registrations.lift_tombstone: lambda tx, t: registrations.lift_tombstone(tx, t.project_id, "mcl_gone"),
    registrations.trust_software_issuer: lambda tx, t: registrations.trust_software_issuer(
        tx, t.project_id, "https://new.example.com", "{}", NOW
    ),
    registrations.distrust_software_issuer: lambda tx, t: registrations.distrust_software_issuer(
        tx, t.project_id, SOFTWARE_ISSUER
    ),
    access_tokens.add_access_token: lambda tx, t: access_tokens.add_access_token(
        tx, t.project_id, TokenHash(b"new"), "{}", NOW + DAY
    ),
    timeline.add_timeline_events: lambda tx, t: timeline.add_timeline_events(tx, t.project_id, [make_step()]),
    exchange_rules.add_exchange_rule: lambda tx, t: exchange_rules.add_exchange_rule(
        tx, make_exchange_rule(t.project, "exr_new")
    ),
    exchange_rules.remove_exchange_rule: lambda tx, t: exchange_rules.remove_exchange_rule(
        tx, t.project_id, EXCHANGE_RULE
    ),
    spent_ids.claim_id: lambda tx, t: spent_ids.claim_id(
        tx, t.project_id, f"client:{CLIENT}", TokenHash(b"new"), NOW + DAY
    ),
    asserted_grants.widen_grant: lambda tx, t: asserted_grants.widen_grant(tx, t.project_id, GRANT, ("a",), NOW),
    asserted_grants.reopen_connection: lambda tx, t: asserted_grants.reopen_connection(
        tx, t.project_id, USER, ENDED_GRANT
    ),
    trusted_issuers.add_trusted_issuer: lambda tx, t: trusted_issuers.add_trusted_issuer(
        tx, make_trust(t.project, "tru_new")
    ),
    trusted_issuers.remove_trusted_issuer: lambda tx, t: trusted_issuers.remove_trusted_issuer(
        tx, t.project_id, TRUST, NOW
    ),
    trusted_issuers.void_trusted_issuer: lambda tx, t: trusted_issuers.void_trusted_issuer(
        tx, t.project_id, TRUST, NOW
    ),
    **upstream_cases.CHANGES,
    clients.touch_client: lambda tx, t: clients.touch_client(tx, t.project_id, CLIENT, NOW, NOW + 1),
    superseding.supersede_clients: lambda tx, t: superseding.supersede_clients(tx, t.project_id, "same", NOW),
    clients.remove_client: lambda tx, t: clients.remove_client(tx, t.project_id, CLIENT, NOW),
    codes.add_code: lambda tx, t: codes.add_code(tx, make_code(t.project, TokenHash(b"new"))),
    codes.consume_code: lambda tx, t: codes.consume_code(tx, t.project_id, CODE_HASH, CLIENT, NOW),
    codes.count_failed_try: lambda tx, t: codes.count_failed_try(tx, t.project_id, CODE_HASH),
    device_codes.add_device_code: lambda tx, t: device_codes.add_device_code(
        tx, make_device_code(t.project, TokenHash(b"new"), user_code_hash=TokenHash(b"new"))
    ),
    device_codes.claim_user_code: lambda tx, t: device_codes.claim_user_code(
        tx, t.project_id, USER_CODE_HASH, USER, NOW
    ),
    device_codes.decide_device_code: lambda tx, t: device_codes.decide_device_code(
        tx, t.project_id, HELD_USER_CODE, USER, "denied", None, NOW
    ),
    device_codes.poll_device_code: lambda tx, t: device_codes.poll_device_code(
        tx, t.project_id, DEVICE_HASH, CLIENT, NOW
    ),
    device_codes.consume_device_code: lambda tx, t: device_codes.consume_device_code(
        tx, t.project_id, ALLOWED_HASH, CLIENT, NOW
    ),
    grants.add_grant: lambda tx, t: grants.add_grant(tx, make_grant(t.project, "grt_new")),
    grants.touch_grant: lambda tx, t: grants.touch_grant(tx, t.project_id, GRANT, NOW + 1),
    grants.revoke_grant: lambda tx, t: grants.revoke_grant(tx, t.project_id, GRANT, NOW),
    grants.revoke_own_grant: lambda tx, t: grants.revoke_own_grant(tx, t.project_id, USER, GRANT, NOW),
    interactions.add_interaction: lambda tx, t: interactions.add_interaction(
        tx, make_interaction(t.project, TokenHash(b"new")), NOW
    ),
    interactions.consume_interaction: lambda tx, t: interactions.consume_interaction(
        tx, t.project_id, FLOW_HASH, SESSION_HASH, NOW
    ),
    signing_keys.add_signing_key: lambda tx, t: signing_keys.add_signing_key(
        tx, t.project_id, make_signing_key("kid-new")
    ),
    signing_keys.add_first_signing_key: lambda tx, t: signing_keys.add_first_signing_key(
        tx, t.project_id, make_signing_key("kid-new", alg="RS256")
    ),
    signing_keys.retire_signing_keys: lambda tx, t: signing_keys.retire_signing_keys(
        tx, t.project_id, "ES256", NOW + DAY, made_before=NOW
    ),
    signing_keys.remove_signing_keys: lambda tx, t: signing_keys.remove_signing_keys(tx, t.project_id, "ES256", NOW),
    signing_keys.replace_private_part: lambda tx, t: signing_keys.replace_private_part(
        tx, t.project_id, "kid-one", b"anew"
    ),
    key_rotation.publish_first_key: lambda tx, t: key_rotation.publish_first_key(
        tx, VAULT, t.project_id, generate_signing_key("EdDSA"), NOW
    ),
    key_rotation.publish_next_key: lambda tx, t: key_rotation.publish_next_key(
        tx, VAULT, t.project_id, generate_signing_key(), now=NOW
    ),
    key_rotation.publish_key_at_once: lambda tx, t: key_rotation.publish_key_at_once(
        tx, VAULT, t.project_id, generate_signing_key(), NOW
    ),
    pushed_requests.add_pushed_request: lambda tx, t: pushed_requests.add_pushed_request(
        tx, make_pushed_request(t.project, TokenHash(b"new")), NOW
    ),
    pushed_requests.bind_pushed_request: lambda tx, t: pushed_requests.bind_pushed_request(
        tx, t.project_id, PUSHED_HASH, CLIENT, BROWSER_HASH, now=NOW, until=NOW + DAY
    ),
    pushed_requests.consume_pushed_request: lambda tx, t: pushed_requests.consume_pushed_request(
        tx, t.project_id, PUSHED_HASH, NOW
    ),
    keys.add_project_key: lambda tx, t: keys.add_project_key(tx, make_key(t.project, "key_new"), TokenHash(b"new")),
    keys.revoke_project_key: lambda tx, t: keys.revoke_project_key(tx, t.project_id, KEY, NOW),
    projects.void_project_grants: lambda tx, t: projects.void_project_grants(tx, t.project_id, NOW),
    projects.stop_project: lambda tx, t: projects.stop_project(tx, t.project_id, NOW),
    projects.resume_project: resume_project,
    projects.update_project: lambda tx, t: projects.update_project(tx, replace(t.project, name="New")),
    resources.add_resource: lambda tx, t: resources.add_resource(
        tx, make_resource(t.project, "rsc_new", uri="https://new.example.com")
    ),
    resources.update_resource: lambda tx, t: resources.update_resource(tx, make_resource(t.project, name="New")),
    resources.void_resource_grants: lambda tx, t: resources.void_resource_grants(tx, t.project_id, RESOURCE, NOW),
    resources.stop_resource: lambda tx, t: resources.stop_resource(tx, t.project_id, RESOURCE, NOW),
    resources.resume_resource: resume_resource,
    resources.remove_resource: lambda tx, t: resources.remove_resource(tx, t.project_id, RESOURCE, NOW),
    revocations.announce: lambda tx, t: revocations.announce(tx, t.project_id, "key", "kid", "void", NOW, NOW),
    throttles.spend: lambda tx, t: throttles.spend(tx, t.project_id, LIMIT, "new", NOW),
    throttles.refund: lambda tx, t: throttles.refund(tx, t.project_id, LIMIT, "somebody"),
    throttles.reset: lambda tx, t: throttles.reset(tx, t.project_id, LIMIT, "somebody"),
    tokens.start_family: lambda tx, t: tokens.start_family(tx, make_family(t.project, "family-new")),
    tokens.rotate_family: lambda tx, t: tokens.rotate_family(tx, t.project_id, FAMILY, 0, now=NOW, idle_expires_at=NOW),
    tokens.revoke_family: lambda tx, t: tokens.revoke_family(tx, t.project_id, FAMILY, NOW),
    tokens.revoke_access_token: lambda tx, t: tokens.revoke_access_token(tx, t.project_id, "mat_new", NOW, NOW),
    users.add_user: lambda tx, t: users.add_user(tx, make_user(t.project, "usr_new"), "new@example.com", "hash"),
    users.update_user: lambda tx, t: users.update_user(tx, make_user(t.project, enabled=False), NOW),
    users.void_user_grants: lambda tx, t: users.void_user_grants(tx, t.project_id, USER, NOW),
    users.set_password: lambda tx, t: users.set_password(tx, t.project_id, USER, "new hash"),
    users.remove_user: lambda tx, t: users.remove_user(tx, t.project_id, USER, NOW),
    users.start_session: lambda tx, t: users.start_session(tx, make_session(t.project, TokenHash(b"new"))),
    users.touch_session: lambda tx, t: users.touch_session(tx, t.project_id, SESSION_HASH, NOW + 1),
    users.end_session: lambda tx, t: users.end_session(tx, t.project_id, SESSION_HASH),
    users.end_other_sessions: lambda tx, t: users.end_other_sessions(tx, t.project_id, USER, TokenHash(b"")),
    users.replace_setup_link: lambda tx, t: users.replace_setup_link(tx, t.project_id, TokenHash(b"new"), NOW, NOW),
    users.consume_setup_link: lambda tx, t: users.consume_setup_link(tx, t.project_id, SETUP_HASH, NOW),
    **admin_verbs.CHANGES,
}


async def is_newest_known(tx: Transaction, tenant: Tenant) -> bool:
    """Whether the newest announcement of the project called alpha is known in this one."""
    rows = await tx.all(_NEWEST_MARK)
    seq, mark = rows[-1]
    return await revocations.is_revocation_known(tx, tenant.project_id, seq, mark)


# What each verb is called with to see something of a filled project, and what an empty project answers.
LOOKS: dict[Callable[..., Any], tuple[Act, Any]] = {
    **FACTOR_LOOKS,
    timeline.list_timeline_events: (
        lambda tx, t: timeline.list_timeline_events(tx, t.project_id, after=0),
        [],
    ),
    timeline.find_reference_time: (lambda tx, t: timeline.find_reference_time(tx, t.project_id, "ref"), None),
    audit.list_events: (lambda tx, t: audit.list_events(tx, t.project_id), []),
    audit.list_incidents: (lambda tx, t: audit.list_incidents(tx, t.project_id), []),
    clients.find_client: (lambda tx, t: clients.find_client(tx, t.project_id, CLIENT), None),
    clients.list_clients: (lambda tx, t: clients.list_clients(tx, t.project_id), []),
    clients.count_clients: (lambda tx, t: clients.count_clients(tx, t.project_id), 0),
    registrations.consume_initial_access_token: (
        lambda tx, t: registrations.consume_initial_access_token(tx, t.project_id, INITIAL_HASH, NOW),
        None,
    ),
    registrations.list_initial_access_tokens: (
        lambda tx, t: registrations.list_initial_access_tokens(tx, t.project_id),
        [],
    ),
    registrations.find_tombstone: (lambda tx, t: registrations.find_tombstone(tx, t.project_id, "mcl_gone"), None),
    registrations.find_software_issuer: (
        lambda tx, t: registrations.find_software_issuer(tx, t.project_id, SOFTWARE_ISSUER),
        None,
    ),
    registrations.list_software_issuers: (lambda tx, t: registrations.list_software_issuers(tx, t.project_id), []),
    access_tokens.find_access_token_claims: (
        lambda tx, t: access_tokens.find_access_token_claims(tx, t.project_id, TokenHash(b"opaque"), NOW),
        None,
    ),
    access_tokens.is_token_live: (
        lambda tx, t: access_tokens.is_token_live(
            tx, t.project_id, Standing("mat_new", CLIENT, NOW + DAY, GRANT, RESOURCE)
        ),
        False,
    ),
    exchange_rules.list_exchange_rules: (lambda tx, t: exchange_rules.list_exchange_rules(tx, t.project_id), []),
    exchange_rules.has_exchange_rules: (lambda tx, t: exchange_rules.has_exchange_rules(tx, t.project_id), False),
    exchange_rules.find_exchange_rule: (
        lambda tx, t: exchange_rules.find_exchange_rule(
            tx, t.project_id, CLIENT, from_resource_id=RESOURCE, to_resource_id=RESOURCE
        ),
        None,
    ),
    asserted_grants.list_asserted_grants: (
        lambda tx, t: asserted_grants.list_asserted_grants(tx, t.project_id, USER, CLIENT, RESOURCE),
        [],
    ),
    asserted_grants.list_ended_connections: (
        lambda tx, t: asserted_grants.list_ended_connections(tx, t.project_id, USER),
        [],
    ),
    **upstream_cases.LOOKS,
    trusted_issuers.find_trusted_issuer: (
        lambda tx, t: trusted_issuers.find_trusted_issuer(tx, t.project_id, TRUST),
        None,
    ),
    trusted_issuers.find_trusts_in: (
        lambda tx, t: trusted_issuers.find_trusts_in(tx, t.project_id, IDP, "id-jag"),
        [],
    ),
    trusted_issuers.list_trusted_issuers: (
        lambda tx, t: trusted_issuers.list_trusted_issuers(tx, t.project_id),
        [],
    ),
    trusted_issuers.list_trusted_kinds: (
        lambda tx, t: trusted_issuers.list_trusted_kinds(tx, t.project_id),
        frozenset(),
    ),
    codes.find_code: (lambda tx, t: codes.find_code(tx, t.project_id, CODE_HASH), None),
    codes.consume_code: (lambda tx, t: codes.consume_code(tx, t.project_id, CODE_HASH, CLIENT, NOW), Unknown()),
    device_codes.find_device_code: (
        lambda tx, t: device_codes.find_device_code(tx, t.project_id, DEVICE_HASH),
        None,
    ),
    device_codes.find_waiting_device: (
        lambda tx, t: device_codes.find_waiting_device(tx, t.project_id, USER_CODE_HASH, NOW),
        None,
    ),
    device_codes.claim_user_code: (
        lambda tx, t: device_codes.claim_user_code(tx, t.project_id, USER_CODE_HASH, USER, NOW),
        NotWaiting(),
    ),
    device_codes.is_client_awaited: (
        lambda tx, t: device_codes.is_client_awaited(tx, t.project_id, CLIENT, NOW),
        False,
    ),
    grants.find_live_grant: (lambda tx, t: grants.find_live_grant(tx, t.project_id, GRANT), None),
    grants.find_last_decided: (
        lambda tx, t: grants.find_last_decided(tx, t.project_id, USER, CLIENT, RESOURCE, NOW),
        None,
    ),
    grants.count_live_grants: (lambda tx, t: grants.count_live_grants(tx, t.project_id, NOW), []),
    grants.list_connections: (lambda tx, t: grants.list_connections(tx, t.project_id, USER, NOW), []),
    interactions.find_interaction: (
        lambda tx, t: interactions.find_interaction(tx, t.project_id, FLOW_HASH, SESSION_HASH, NOW),
        None,
    ),
    signing_keys.list_signing_keys: (lambda tx, t: signing_keys.list_signing_keys(tx, t.project_id, NOW), []),
    pushed_requests.find_pushed_request: (
        lambda tx, t: pushed_requests.find_pushed_request(tx, t.project_id, PUSHED_HASH, CLIENT, NOW),
        None,
    ),
    pushed_requests.bind_pushed_request: (
        lambda tx, t: pushed_requests.bind_pushed_request(
            tx, t.project_id, PUSHED_HASH, CLIENT, BROWSER_HASH, now=NOW, until=NOW + DAY
        ),
        None,
    ),
    pushed_requests.consume_pushed_request: (
        lambda tx, t: pushed_requests.consume_pushed_request(tx, t.project_id, PUSHED_HASH, NOW),
        False,
    ),
    keys.find_project_key: (lambda tx, t: keys.find_project_key(tx, t.project_id, KEY_HASH, NOW), None),
    keys.list_project_keys: (lambda tx, t: keys.list_project_keys(tx, t.project_id), []),
    resources.list_resources: (lambda tx, t: resources.list_resources(tx, t.project_id), []),
    revocations.find_newest_revocation: (
        lambda tx, t: revocations.find_newest_revocation(tx, t.project_id),
        0,
    ),
    revocations.is_revocation_known: (is_newest_known, False),
    revocations.list_revocations: (
        lambda tx, t: revocations.list_revocations(tx, t.project_id, 0, at_most=10),
        [],
    ),
    throttles.is_spent: (lambda tx, t: throttles.is_spent(tx, t.project_id, LIMIT, "somebody", NOW), 0),
    tokens.find_family: (lambda tx, t: tokens.find_family(tx, t.project_id, FAMILY), None),
    tokens.is_access_token_revoked: (lambda tx, t: tokens.is_access_token_revoked(tx, t.project_id, "mat_one"), False),
    users.find_credentials: (lambda tx, t: users.find_credentials(tx, t.project_id, t.user.email), None),
    users.find_user: (lambda tx, t: users.find_user(tx, t.project_id, USER), None),
    users.list_users: (lambda tx, t: users.list_users(tx, t.project_id), []),
    users.count_staff: (lambda tx, t: users.count_staff(tx, t.project_id), 0),
    users.find_session: (
        lambda tx, t: users.find_session(tx, t.project_id, SESSION_HASH, now=NOW, idle_ms=IDLE),
        None,
    ),
    users.list_sessions: (lambda tx, t: users.list_sessions(tx, t.project_id, USER), []),
    users.is_setup_link_live: (lambda tx, t: users.is_setup_link_live(tx, t.project_id, SETUP_HASH, NOW), False),
    **admin_verbs.LOOKS,
}

# These are of no project, or find one.
OF_THE_SERVER = {
    projects.add_project,
    projects.find_project,
    projects.list_projects,
    projects.hold_project,
    projects.add_server_secret,
    projects.replace_server_secret,
    projects.list_server_secrets,
    projects.remove_server_secret,
    encryption.encrypt_at_rest,
    encryption.rewrap,
}


def name_of(value: Any) -> str:
    return f"{value.__module__.rpartition('.')[2]}.{value.__name__}" if callable(value) else ""


@pytest.mark.parametrize("verb", CHANGES, ids=name_of)
async def test_a_change_in_one_project_leaves_the_other_as_it_was_i10_t18(
    database: Database, verb: Callable[..., Any]
) -> None:
    alpha, beta = await add_tenant(database, "alpha"), await add_tenant(database, "beta")
    for tenant in (alpha, beta):
        await database.write(fill, tenant)
    before = [await dump(database, tenant.project_id) for tenant in (alpha, beta)]
    await database.write(CHANGES[verb], alpha)
    after = [await dump(database, tenant.project_id) for tenant in (alpha, beta)]
    assert after[0] != before[0], "the change did nothing"
    assert after[1] == before[1]


@pytest.mark.parametrize("verb", LOOKS, ids=name_of)
async def test_a_look_at_one_project_shows_nothing_of_the_other_i10_t18(
    database: Database, verb: Callable[..., Any]
) -> None:
    alpha = await add_tenant(database, "alpha")
    await database.write(fill, alpha)
    empty = Tenant(make_project("empty"), alpha.user, alpha.client, alpha.resource, alpha.grant)
    await database.write(projects.add_project, empty.project)
    look, nothing = LOOKS[verb]
    assert await database.write(look, empty) == nothing
    assert await database.write(look, alpha) != nothing


def test_every_verb_is_tried_in_two_projects() -> None:
    verbs = {
        function
        for found in pkgutil.iter_modules(doorward.storage.__path__, "doorward.storage.")
        for name, function in inspect.getmembers(import_module(found.name), inspect.iscoroutinefunction)
        if function.__module__ == found.name
        and not name.startswith(("_", "sweep_"))
        and next(iter(inspect.signature(function).parameters), "") == "tx"
    }
    assert verbs == {*CHANGES, *LOOKS} | OF_THE_SERVER


async def test_a_filled_project_has_a_row_in_every_table(database: Database, tenant: Tenant) -> None:
    await database.write(fill, tenant)
    held = await dump(database, tenant.project_id)
    assert held.keys() == metadata.tables.keys() - GLOBAL_TABLES
