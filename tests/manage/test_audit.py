"""Every change an operator makes is recorded once, in the very transaction that makes it (I7)."""

import inspect
import json
import pkgutil
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

import pytest

import doorward.manage
from doorward.core.models import Scope
from doorward.core.trust import TrustPolicy
from doorward.fetch import GuardedFetcher
from doorward.manage import (
    admin_tokens,
    admission,
    clients,
    connections,
    documents,
    exchange,
    factors,
    keys,
    master_key,
    projects,
    providers,
    registrations,
    resources,
    revocations,
    sealing,
    signing_keys,
    tools,
    trust,
    users,
)
from doorward.oauth.tools import ListedTool
from doorward.storage.executor_sqlite import SqliteDatabase
from tests.inside import LOOPBACK
from tests.manage.ground import IDP, ISSUER, PASSWORD, SUBJECT, Ground, add_provider, code_of, dump, make_passkey

Act = Callable[[Ground], Awaitable[Any]]
KNOWN_DOCUMENT = "https://claude.ai/oauth/mcp-oauth-client-metadata"


def nowhere() -> GuardedFetcher:
    """A fetcher for which no name leads anywhere."""

    async def resolve(host: str, port: int) -> list[str]:
        raise OSError(host, port)

    return GuardedFetcher(resolve=resolve)


ACTIONS: dict[Callable[..., Any], tuple[str, Act]] = {
    providers.add: ("provider.added", lambda g: add_provider(g.operator, g.project, "other")),
    providers.change: (
        "provider.changed",
        lambda g: providers.change(g.operator, g.provider, secret="another secret of theirs"),
    ),
    providers.remove: ("provider.removed", lambda g: providers.remove(g.operator, g.provider)),
    providers.unlink_own: (
        "identity.unlinked",
        lambda g: providers.unlink_own(g.operator, g.owner, IDP, SUBJECT),
    ),
    factors.add_own_passkey: (
        "passkey.added",
        lambda g: factors.add_own_passkey(g.operator, g.keyed, make_passkey(b"second"), "Laptop"),
    ),
    factors.rename_own_passkey: (
        "passkey.renamed",
        lambda g: factors.rename_own_passkey(g.operator, g.keyed, g.passkey, "Key"),
    ),
    factors.remove_own_passkey: (
        "passkey.removed",
        lambda g: factors.remove_own_passkey(g.operator, g.keyed, g.passkey, g.session),
    ),
    factors.confirm_authenticator: (
        "authenticator.added",
        lambda g: factors.confirm_authenticator(g.operator, g.half, code_of(g.operator, g.secret)),
    ),
    factors.remove_authenticator: (
        "authenticator.removed",
        lambda g: factors.remove_authenticator(g.operator, g.keyed, g.session),
    ),
    factors.make_recovery_codes: (
        "recovery_codes.made",
        lambda g: factors.make_recovery_codes(g.operator, g.keyed),
    ),
    factors.remove_password: (
        "user.changed",
        lambda g: factors.remove_password(g.operator, g.keyed, g.session),
    ),
    connections.end_one: (
        "session.ended",
        lambda g: connections.end_one(g.operator, g.owner, g.session.session_hash),
    ),
    factors.reset: ("user.factors_reset", lambda g: factors.reset(g.operator, g.keyed)),
    projects.create_project: ("project.created", lambda g: projects.create_project(g.operator, "acme", "Acme")),
    projects.change_project: (
        "project.changed",
        lambda g: projects.change_project(g.operator, g.project, {"access_token_seconds": 60}),
    ),
    signing_keys.rotate: ("signing_key.added", lambda g: signing_keys.rotate(g.operator, g.project)),
    signing_keys.replace_at_once: (
        "signing_key.added",
        lambda g: signing_keys.replace_at_once(g.operator, g.project, "ES256"),
    ),
    master_key.rotate: ("master_key.changed", lambda g: master_key.rotate(g.operator, g.project, g.key_file)),
    master_key.rewrap: ("master_key.changed", lambda g: master_key.rewrap(g.operator, g.project, g.another_key())),
    resources.add: (
        "resource.added",
        lambda g: resources.add(g.operator, g.project, "https://new.example.com/mcp", scopes=(Scope("a", "A"),)),
    ),
    resources.change: ("resource.changed", lambda g: resources.change(g.operator, g.resource, name="New")),
    tools.learn: (
        "resource.tools_changed",
        lambda g: tools.learn(g.operator, g.resource, [ListedTool("b", "B", "read", "1")], {}, now=1),
    ),
    resources.remove: ("resource.removed", lambda g: resources.remove(g.operator, g.resource)),
    clients.add: ("client.added", lambda g: clients.add(g.operator, g.project, (LOOPBACK,), name="New")),
    documents.add_document: (
        "client.added",
        lambda g: documents.add_document(g.operator, g.project, KNOWN_DOCUMENT, nowhere(), max_bytes=5120),
    ),
    clients.change_scope: ("client.changed", lambda g: clients.change_scope(g.operator, g.client, "tools:read")),
    clients.rotate_secret: (
        "client.secret_rotated",
        lambda g: clients.rotate_secret(g.operator, g.project, g.client, overlap_ms=1000),
    ),
    clients.remove: ("client.removed", lambda g: clients.remove(g.operator, g.client)),
    admission.approve: ("client.approved", lambda g: admission.approve(g.operator, g.waiting)),
    admission.deny: ("client.denied", lambda g: admission.deny(g.operator, g.waiting)),
    admission.suspend: ("client.suspended", lambda g: admission.suspend(g.operator, g.client)),
    admission.reinstate: ("client.reinstated", lambda g: admission.reinstate(g.operator, g.project, "mcl_gone")),
    admission.reactivate: ("client.approved", lambda g: admission.reactivate(g.operator, g.suspended)),
    admission.revoke_everything: (
        "client.grants_revoked",
        lambda g: admission.revoke_everything(g.operator, g.client),
    ),
    users.add: ("user.added", lambda g: users.add(g.operator, g.project, "bob@example.com", PASSWORD)),
    users.add_first_admin: (
        "user.added",
        lambda g: users.add_first_admin(g.operator, g.fresh, g.setup_token, "bob@example.com", PASSWORD),
    ),
    users.create_setup_link: ("setup_link.created", lambda g: users.create_setup_link(g.operator, g.fresh)),
    users.change: ("user.changed", lambda g: users.change(g.operator, g.owner, role="member", enabled=False)),
    users.change_password: ("user.changed", lambda g: users.change_password(g.operator, g.owner, PASSWORD)),
    users.end_sessions: ("session.ended", lambda g: users.end_sessions(g.operator, g.owner)),
    users.remove: ("user.removed", lambda g: users.remove(g.operator, g.owner)),
    keys.create: ("key.created", lambda g: keys.create(g.operator, g.project, ("introspect",))),
    keys.revoke: ("key.revoked", lambda g: keys.revoke(g.operator, g.project, g.key.key_id)),
    admin_tokens.create: (
        "admin_token.created",
        lambda g: admin_tokens.create(g.operator, g.project, "ci", "admin", scopes=("clients:write",)),
    ),
    admin_tokens.revoke: (
        "admin_token.revoked",
        lambda g: admin_tokens.revoke(g.operator, g.project, g.admin_token.token_id),
    ),
    users.end_sessions: ("session.ended", lambda g: users.end_sessions(g.operator, g.owner)),
    registrations.create_initial_token: (
        "initial_token.created",
        lambda g: registrations.create_initial_token(g.operator, g.project, uses=3),
    ),
    registrations.trust_issuer: (
        "software.trusted",
        lambda g: registrations.trust_issuer(g.operator, g.project, "https://new.example.com", g.jwks),
    ),
    registrations.distrust_issuer: (
        "software.distrusted",
        lambda g: registrations.distrust_issuer(g.operator, g.project, ISSUER),
    ),
    exchange.add: (
        "exchange_rule.added",
        lambda g: exchange.add(g.operator, g.client, source=None, target=g.resource, scope="tools:read"),
    ),
    exchange.remove: ("exchange_rule.removed", lambda g: exchange.remove(g.operator, g.project, g.rule.rule_id)),
    trust.add: (
        "trust.added",
        lambda g: trust.add(
            g.operator, g.project, IDP, "workload", policy=TrustPolicy(claims=(("a", "b"),)), jwks=json.loads(g.jwks)
        ),
    ),
    trust.remove: ("trust.removed", lambda g: trust.remove(g.operator, g.trust)),
    trust.revoke_everything: ("trust.revoked", lambda g: trust.revoke_everything(g.operator, g.trust)),
    trust.link: ("identity.linked", lambda g: trust.link(g.operator, g.owner, IDP, "U2", tenant="acme")),
    trust.unlink: ("identity.unlinked", lambda g: trust.unlink(g.operator, g.project, IDP, SUBJECT)),
    connections.reopen: (
        "grant.reopened",
        lambda g: connections.reopen(g.operator, g.project, g.owner, g.ended.grant_id),
    ),
    sealing.rotate: ("sealing_key.added", lambda g: sealing.rotate(g.operator, g.project)),
    sealing.drop: ("sealing_key.dropped", lambda g: sealing.drop(g.operator, g.project, 0)),
    connections.revoke: (
        "grant.revoked",
        lambda g: connections.revoke(g.operator, g.project, g.owner, g.grant.grant_id),
    ),
    revocations.revoke_user: ("user.grants_revoked", lambda g: revocations.revoke_user(g.operator, g.owner)),
    revocations.revoke_resource: (
        "resource.grants_revoked",
        lambda g: revocations.revoke_resource(g.operator, g.resource),
    ),
    revocations.revoke_project: (
        "project.grants_revoked",
        lambda g: revocations.revoke_project(g.operator, g.project),
    ),
    revocations.stop_server: ("resource.stopped", lambda g: revocations.stop_server(g.operator, g.resource)),
    revocations.resume_server: ("resource.resumed", lambda g: revocations.resume_server(g.operator, g.stopped)),
    revocations.stop_everything: ("project.stopped", lambda g: revocations.stop_everything(g.operator, g.project)),
    revocations.resume_everything: ("project.resumed", lambda g: revocations.resume_everything(g.operator, g.halted)),
    revocations.revoke_token: (
        "token.revoked",
        lambda g: revocations.revoke_token(g.operator, g.project, g.token),
    ),
    connections.end_others: ("session.ended", lambda g: connections.end_others(g.operator, g.session)),
}


def name_of(value: Any) -> str:
    return f"{value.__module__.rpartition('.')[2]}.{value.__name__}"


@pytest.mark.parametrize("action", ACTIONS, ids=name_of)
async def test_an_action_leaves_one_event_of_its_own_in_its_own_commit(
    ground: Ground, action: Callable[..., Any]
) -> None:
    name, act = ACTIONS[action]
    before = await dump(ground.operator)
    ground.operator.clock.advance(seconds=1)  # type: ignore[attr-defined]  # the clock of the test
    commits = count_commits(ground)
    await act(ground)
    after = await dump(ground.operator)
    (event,) = [row for row in after["audit_events"] if row not in before["audit_events"]]
    assert event[3:5] == (name, "operator:test")
    assert {table for table in after if after[table] != before[table]} > {"audit_events"}
    assert commits == [1]


def count_commits(ground: Ground) -> list[int]:
    """A count of the transactions that are committed from now on."""
    database = ground.operator.database
    assert isinstance(database, SqliteDatabase)
    seen = [0]

    def on_commit() -> bool:
        seen[0] += 1
        return False

    database._writer.set_commit_hook(on_commit)
    return seen


@pytest.mark.parametrize("action", ACTIONS, ids=name_of)
async def test_an_action_that_cannot_be_recorded_does_not_happen(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, action: Callable[..., Any]
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("the audit trail is full")

    before = await dump(ground.operator)
    recording = "doorward.storage.tools" if action is tools.learn else action.__module__
    monkeypatch.setattr(f"{recording}.record", fail)
    with pytest.raises(RuntimeError, match="the audit trail is full"):
        await ACTIONS[action][1](ground)
    assert await dump(ground.operator) == before


def test_every_action_that_writes_is_tried() -> None:
    writing = {
        function
        for found in pkgutil.iter_modules(doorward.manage.__path__, "doorward.manage.")
        for name, function in inspect.getmembers(import_module(found.name), inspect.iscoroutinefunction)
        if function.__module__ == found.name and not name.startswith("_") and is_writing(function)
    }
    unrecorded = {admin_tokens.authenticate, factors.propose_authenticator}
    assert writing == ACTIONS.keys() | unrecorded, "a use is no change, nor is what does not count yet"


def is_writing(function: Callable[..., Any]) -> bool:
    """Whether an action writes, by itself or through a part of its own module."""
    source = inspect.getsource(function)
    return ".write(" in source or "_set_status(" in source


async def test_an_event_says_who_did_what_to_what_and_holds_no_secret(ground: Ground) -> None:
    secrets = [
        (await keys.create(ground.operator, ground.project, ("register",)))[1],
        (await clients.add(ground.operator, ground.project, (LOOPBACK,), confidential=True))[1] or "",
        (await registrations.create_initial_token(ground.operator, ground.project))[1],
        (await clients.rotate_secret(ground.operator, ground.project, ground.client, overlap_ms=0))[0],
        ground.setup_token,
        PASSWORD,
    ]
    await users.change_password(ground.operator, ground.owner, PASSWORD)
    events = await connections.recent_events(ground.operator, ground.project, at_most=100)
    assert all(secret and secret not in str(events) for secret in secrets)
    assert all(event.actor and event.target for event in events)
