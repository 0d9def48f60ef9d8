"""A person's own connections and sessions: what they let in, and how they take it back."""

import json
from dataclasses import dataclass

from doorward.core import audit
from doorward.core.models import AuditEvent, Grant, Project, Session, User
from doorward.oauth.metadata import ClientMetadata, load_client_metadata
from doorward.storage.audit import RecordedEvent, list_events, record
from doorward.storage.database import Transaction
from doorward.storage.grants import list_connections, revoke_own_grant
from doorward.storage.resources import load_scopes
from doorward.storage.users import end_other_sessions, list_sessions

from .operator import Operator


@dataclass(frozen=True, slots=True)
class ConnectedApp:
    """A live grant in the words its owner knows it by."""

    grant: Grant
    client: ClientMetadata
    resource_name: str
    scope_titles: tuple[str, ...]


async def list_apps(operator: Operator, project: Project, user: User) -> list[ConnectedApp]:
    """The apps a person has let in, newest first."""
    connections = await operator.database.read(list_connections, project.project_id, user.user_id)
    apps: list[ConnectedApp] = []
    for connection in connections:
        titles = {scope.name: scope.title for scope in load_scopes(connection.resource_scopes)}
        apps.append(
            ConnectedApp(
                grant=connection.grant,
                client=load_client_metadata(json.loads(connection.client_metadata)),
                resource_name=connection.resource_name,
                scope_titles=tuple(titles[name] for name in connection.grant.scope if name in titles),
            )
        )
    return apps


async def revoke(operator: Operator, project: Project, user: User, grant_id: str) -> bool:
    """End one of the person's own connections; every token of it is void at once. False when it was not theirs."""
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
    client_id = await revoke_own_grant(tx, project.project_id, user.user_id, grant_id, now)
    if client_id is None:
        return False
    event = AuditEvent(audit.GRANT_REVOKED, actor, grant_id, {"client": client_id})
    await record(tx, project.project_id, event, now)
    return True


async def _end_others(tx: Transaction, current: Session, actor: str, now: int) -> int:
    ended = await end_other_sessions(tx, current.project_id, current.user_id, current.session_hash)
    if ended:
        event = AuditEvent(audit.SIGNED_OUT, actor, audit.user_actor(current.user_id), {"sessions": ended})
        await record(tx, current.project_id, event, now)
    return ended
