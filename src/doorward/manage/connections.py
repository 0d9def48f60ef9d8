"""A person's own connections and sessions: what they let in, and how they take it back."""

import json
from dataclasses import dataclass

from doorward.core import audit
from doorward.core.models import AuditEvent, Grant, Project, Session, User
from doorward.oauth.metadata import ClientMetadata, load_client_metadata
from doorward.oauth.scopes import union
from doorward.storage.audit import RecordedEvent, list_events, record
from doorward.storage.database import Transaction
from doorward.storage.grants import list_connections, revoke_own_grant
from doorward.storage.resources import load_scopes
from doorward.storage.users import end_other_sessions, list_sessions

from .operator import Operator


@dataclass(frozen=True, slots=True)
class ConnectedApp:
    """An app on a server in the words its owner knows it by. `grant` is the newest of all it was given there."""

    grant: Grant
    client: ClientMetadata
    resource_name: str
    scope_titles: tuple[str, ...]


async def list_apps(operator: Operator, project: Project, user: User) -> list[ConnectedApp]:
    """The apps a person has let in, newest first; one that asked for more later on is there once, with all of it."""
    connections = await operator.database.read(list_connections, project.project_id, user.user_id)
    apps: dict[tuple[str, str], ConnectedApp] = {}
    for connection in connections:
        grant = connection.grant
        titles = {scope.name: scope.title for scope in load_scopes(connection.resource_scopes)}
        newer = apps.get((grant.client_id, grant.resource_id))
        granted = tuple(titles[name] for name in grant.scope if name in titles)
        apps[grant.client_id, grant.resource_id] = ConnectedApp(
            grant=newer.grant if newer else grant,
            client=load_client_metadata(json.loads(connection.client_metadata)),
            resource_name=connection.resource_name,
            scope_titles=union(newer.scope_titles if newer else (), granted),
        )
    return list(apps.values())


async def revoke(operator: Operator, project: Project, user: User, grant_id: str) -> bool:
    """End one of the person's own connections, and with it all that its app was given on the same server.

    Every token of it is void at once. False when it was not theirs.
    """
    return await operator.database.write(_revoke, project, user, grant_id, operator.actor, operator.clock())


async def sessions(operator: Operator, project: Project, user: User) -> list[Session]:
    """Where a person is signed in, last seen first."""
    return await operator.database.read(list_sessions, project.project_id, user.user_id)


async def end_others(operator: Operator, current: Session) -> int:
    """Sign a person out everywhere but here; returns how many sessions ended."""
    return await operator.database.write(_end_others, current, operator.actor, operator.clock())


async def recent_events(operator: Operator, project: Project, *, at_most: int = 50) -> list[RecordedEvent]:
    """The newest audit events of a project."""
    return await operator.database.read(list_events, project.project_id, at_most=at_most)


async def _revoke(tx: Transaction, project: Project, user: User, grant_id: str, actor: str, now: int) -> bool:
    grants = [connection.grant for connection in await list_connections(tx, project.project_id, user.user_id)]
    named = next((grant for grant in grants if grant.grant_id == grant_id), None)
    if named is None:
        return False
    for grant in grants:
        if (grant.client_id, grant.resource_id) != (named.client_id, named.resource_id):
            continue
        await revoke_own_grant(tx, project.project_id, user.user_id, grant.grant_id, now)
        event = AuditEvent(audit.GRANT_REVOKED, actor, grant.grant_id, {"client": grant.client_id})
        await record(tx, project.project_id, event, now)
    return True


async def _end_others(tx: Transaction, current: Session, actor: str, now: int) -> int:
    ended = await end_other_sessions(tx, current.project_id, current.user_id, current.session_hash)
    if ended:
        event = AuditEvent(audit.SIGNED_OUT, actor, audit.user_actor(current.user_id), {"sessions": ended})
        await record(tx, current.project_id, event, now)
    return ended
