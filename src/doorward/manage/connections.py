"""A person's own connections and sessions: what they let in, and how they take it back.

Each consent is a connection of one app on one server from one browser. Several installations may share a client id
(metadata documents), so the browser tells them apart, and revoking one leaves the others (complaint 24).
"""

import json
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from doorward.core import audit
from doorward.core.models import AuditEvent, Grant, Project, Session, User
from doorward.core.tools import all_scopes
from doorward.oauth.ids import TokenHash
from doorward.oauth.metadata import ClientMetadata, load_client_metadata
from doorward.oauth.scopes import union
from doorward.storage.asserted_grants import list_ended_connections, reopen_connection
from doorward.storage.audit import RecordedEvent, find_events, list_events, record
from doorward.storage.database import Transaction
from doorward.storage.grants import (
    ConnectionsOf,
    PersonsConnection,
    list_connections,
    list_everybodys_connections,
    revoke_own_grant,
)
from doorward.storage.resources import load_scopes, load_settings
from doorward.storage.trusted_issuers import list_trusted_issuers
from doorward.storage.users import end_other_sessions, end_own_session, list_sessions

from .operator import Operator


@dataclass(frozen=True, slots=True)
class ConnectedApp:
    """An app on a server in the words its owner knows it by.

    `grant` is the newest of all it was given there from one browser, `last_used_at` when any of them was used;
    `let_in_by` is the issuer whose word was enough, where it was not the person's own.
    """

    grant: Grant
    client: ClientMetadata
    resource_name: str
    scope_titles: tuple[str, ...]
    last_used_at: int | None
    let_in_by: str = ""
    budgets: tuple[str, ...] = ()
    """What calls to the server are limited to."""
    expires_at: int | None = None
    """When the last of what it was given ends by itself; None where some of it does not."""


@dataclass(frozen=True, slots=True)
class EndedApp:
    """An app that a trusted issuer had let in, on a server where it may not come back."""

    grant_id: str
    client_id: str
    client: ClientMetadata
    resource_name: str
    ended_at: int


async def list_apps(operator: Operator, project: Project, user: User) -> list[ConnectedApp]:
    """The apps a person has let in, newest first; one that asked for more later on is there once, with all of it."""
    connections = await operator.database.read(list_connections, project.project_id, user.user_id, operator.clock())
    trusts = await operator.database.read(list_trusted_issuers, project.project_id)
    issuers = {trust.trust_id: trust.issuer for trust in trusts}
    apps: dict[Hashable, ConnectedApp] = {}
    for connection in connections:
        grant = connection.grant
        titles = {scope.name: scope.title for scope in all_scopes(load_scopes(connection.resource_scopes))}
        newer = apps.get(_line_of(grant))
        granted = tuple(titles[name] for name in grant.scope if name in titles)
        ends = (grant.expires_at, newer.expires_at if newer else 0)
        uses = (grant.last_used_at, newer.last_used_at if newer else None)
        apps[_line_of(grant)] = ConnectedApp(
            grant=newer.grant if newer else grant,
            client=load_client_metadata(json.loads(connection.client_metadata)),
            resource_name=connection.resource_name,
            scope_titles=union(newer.scope_titles if newer else (), granted),
            last_used_at=max((used for used in uses if used is not None), default=None),
            let_in_by=issuers.get(grant.granted_by or "", ""),
            budgets=load_settings(connection.resource_settings).budgets,
            expires_at=_last_end(ends),
        )
    return list(apps.values())


async def revoke(operator: Operator, project: Project, user: User, grant_id: str) -> bool:
    """End one of the person's own connections, with all that its app was given on the same server from there.

    Every token of it is void at once; the same app elsewhere stays connected. False when it was not theirs.
    """
    return await operator.database.write(_revoke, project, user, grant_id, operator.actor, operator.clock())


def describe(app: ConnectedApp) -> dict[str, Any]:
    """A connection as operators see it."""
    return {
        "connection_id": app.grant.grant_id,
        "client_id": app.grant.client_id,
        "client_name": app.client.client_name,
        "resource": app.resource_name,
        "scope": list(app.grant.scope),
        **({"budgets": list(app.budgets)} if app.budgets else {}),
        "device": app.grant.device_label,
        **({"let_in_by": app.let_in_by} if app.let_in_by else {}),
        "created_at": app.grant.created_at,
        "last_used_at": app.last_used_at,
        **({"expires_at": app.expires_at} if app.expires_at is not None else {}),
    }


@dataclass(frozen=True, slots=True)
class PersonsApp:
    """A connected app with the person who let it in, for those who see everybody's."""

    app: ConnectedApp
    person: str
    grants: tuple[Grant, ...]


async def list_everybodys(
    operator: Operator, project: Project, *, of: tuple[ConnectionsOf, str] = ("", ""), at_most: int = 1000
) -> list[PersonsApp]:
    """The newest connections of a project, or of one client, person or server; each app once, with all it was given."""
    found = await operator.database.read(
        list_everybodys_connections, project.project_id, of, now=operator.clock(), at_most=at_most
    )
    lines: dict[Hashable, list[PersonsConnection]] = {}
    for each in found:
        lines.setdefault((each.connection.grant.user_id, _line_of(each.connection.grant)), []).append(each)
    return [_join(line) for line in lines.values()]


async def list_ended(operator: Operator, project: Project, user: User) -> list[EndedApp]:
    """The apps whose access ended for good, whatever the issuer that had let them in asserts; last ended first."""
    ended = await operator.database.read(list_ended_connections, project.project_id, user.user_id)
    apps: dict[tuple[str, str], EndedApp] = {}
    for connection in ended:
        client = load_client_metadata(json.loads(connection.client_metadata))
        app = EndedApp(connection.grant_id, connection.client_id, client, connection.resource_name, connection.ended_at)
        apps.setdefault((connection.client_id, connection.resource_id), app)
    return list(apps.values())


async def reopen(operator: Operator, project: Project, user: User, grant_id: str) -> bool:
    """Let a trusted issuer let an app in again that was ended; nothing that was revoked comes back to life (I3).

    False when it was not theirs, or not ended.
    """
    return await operator.database.write(_reopen, project, user, grant_id, operator.actor, operator.clock())


async def sessions(operator: Operator, project: Project, user: User) -> list[Session]:
    """Where a person is signed in, last seen first."""
    return await operator.database.read(list_sessions, project.project_id, user.user_id)


async def end_others(operator: Operator, current: Session) -> int:
    """Sign a person out everywhere but here; returns how many sessions ended."""
    return await operator.database.write(_end_others, current, operator.actor, operator.clock())


async def end_one(operator: Operator, user: User, session_hash: TokenHash) -> bool:
    """End one session of a person; False when it is not theirs."""
    return await operator.database.write(_end_one, user, session_hash, operator.actor, operator.clock())


def describe_ended(app: EndedApp) -> dict[str, Any]:
    """An ended connection as operators see it."""
    return {
        "connection": app.grant_id,
        "client_id": app.client_id,
        "client_name": app.client.client_name,
        "resource": app.resource_name,
        "ended_at": app.ended_at,
    }


async def recent_events(operator: Operator, project: Project, *, at_most: int = 50) -> list[RecordedEvent]:
    """The newest audit events of a project."""
    return await operator.database.read(list_events, project.project_id, at_most=at_most)


async def search_audit(
    operator: Operator,
    project: Project,
    only: Mapping[str, str],
    *,
    at_most: int,
    before: tuple[int, str] | None = None,
) -> list[RecordedEvent]:
    """The newest audit events of a project with this action, actor or target, older than `before`, a time and id."""
    return await operator.database.read(find_events, project.project_id, only=only, before=before, at_most=at_most)


def _join(line: list[PersonsConnection]) -> PersonsApp:
    """The grants of one connection, newest first, as one."""
    newest, grants = line[0].connection, tuple(each.connection.grant for each in line)
    titles = {scope.name: scope.title for scope in all_scopes(load_scopes(newest.resource_scopes))}
    app = ConnectedApp(
        grant=newest.grant,
        client=load_client_metadata(json.loads(newest.client_metadata)),
        resource_name=newest.resource_name,
        scope_titles=union(*(tuple(titles[name] for name in grant.scope if name in titles) for grant in grants)),
        last_used_at=max((grant.last_used_at for grant in grants if grant.last_used_at is not None), default=None),
        budgets=load_settings(newest.resource_settings).budgets,
        expires_at=_last_end(grant.expires_at for grant in grants),
    )
    return PersonsApp(app, line[0].person or line[0].email or newest.grant.user_id, grants)


def _last_end(ends: Iterable[int | None]) -> int | None:
    """When the last of several grants ends; None where one of them does not."""
    known = list(ends)
    return None if None in known else max(end for end in known if end is not None)


def _line_of(grant: Grant) -> Hashable:
    """What makes grants one connection. Two devices without a browser are two, whichever browser approved them."""
    device = grant.grant_id if grant.kind == "device" else grant.device_id
    return grant.client_id, grant.resource_id, grant.kind, device


async def _revoke(tx: Transaction, project: Project, user: User, grant_id: str, actor: str, now: int) -> bool:
    grants = [connection.grant for connection in await list_connections(tx, project.project_id, user.user_id, now)]
    named = next((grant for grant in grants if grant.grant_id == grant_id), None)
    if named is None:
        return False
    for grant in grants:
        if _line_of(grant) != _line_of(named):
            continue
        await revoke_own_grant(tx, project.project_id, user.user_id, grant.grant_id, now)
        event = AuditEvent(audit.GRANT_REVOKED, actor, grant.grant_id, {"client": grant.client_id})
        await record(tx, project.project_id, event, now)
    return True


async def _reopen(tx: Transaction, project: Project, user: User, grant_id: str, actor: str, now: int) -> bool:
    ended = await list_ended_connections(tx, project.project_id, user.user_id)
    named = next((connection for connection in ended if connection.grant_id == grant_id), None)
    if named is None:
        return False
    for connection in ended:
        if (connection.client_id, connection.resource_id) == (named.client_id, named.resource_id):
            await reopen_connection(tx, project.project_id, user.user_id, connection.grant_id)
    event = AuditEvent(audit.GRANT_REOPENED, actor, grant_id, {"client": named.client_id})
    await record(tx, project.project_id, event, now)
    return True


async def _end_one(tx: Transaction, user: User, session_hash: TokenHash, actor: str, now: int) -> bool:
    if not await end_own_session(tx, user.project_id, user.user_id, session_hash):
        return False
    event = AuditEvent(audit.SIGNED_OUT, actor, audit.user_actor(user.user_id), {"sessions": 1})
    await record(tx, user.project_id, event, now)
    return True


async def _end_others(tx: Transaction, current: Session, actor: str, now: int) -> int:
    ended = await end_other_sessions(tx, current.project_id, current.user_id, current.session_hash)
    if ended:
        event = AuditEvent(audit.SIGNED_OUT, actor, audit.user_actor(current.user_id), {"sessions": ended})
        await record(tx, current.project_id, event, now)
    return ended
