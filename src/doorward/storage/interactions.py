"""Requests that wait for a person's decision."""

import json
from dataclasses import asdict

from sqlalchemy import bindparam, delete, select, update

from doorward.core.models import AuthorizationRequest, Interaction
from doorward.oauth.ids import ProjectId, TokenHash, UserId

from .database import Row, Transaction
from .schema import interactions
from .statements import Statement, insert_row

_COLUMNS = (
    interactions.c.project_id,
    interactions.c.interaction_hash,
    interactions.c.session_hash,
    interactions.c.user_id,
    interactions.c.request,
    interactions.c.expires_at,
)
_INSERT = Statement(insert_row(interactions))
_FIND = Statement(
    select(*_COLUMNS).where(
        interactions.c.project_id == bindparam("project_id"),
        interactions.c.interaction_hash == bindparam("interaction_hash"),
        interactions.c.session_hash == bindparam("session_hash"),
        interactions.c.used_at.is_(None),
        interactions.c.expires_at > bindparam("now"),
    )
)
_CONSUME = Statement(
    update(interactions)
    .where(
        interactions.c.project_id == bindparam("of_project"),
        interactions.c.interaction_hash == bindparam("of_interaction"),
        interactions.c.session_hash == bindparam("of_session"),
        interactions.c.used_at.is_(None),
        interactions.c.expires_at > bindparam("now"),
    )
    .values(used_at=bindparam("now"))
    .returning(*_COLUMNS)
)
_SWEEP = Statement(delete(interactions).where(interactions.c.expires_at <= bindparam("now")))


async def add_interaction(tx: Transaction, interaction: Interaction, now: int) -> None:
    """Store a request that waits for a decision."""
    await tx.run(
        _INSERT,
        project_id=interaction.project_id,
        interaction_hash=interaction.interaction_hash,
        session_hash=interaction.session_hash,
        user_id=interaction.user_id,
        request=json.dumps(asdict(interaction.request), ensure_ascii=False),
        created_at=now,
        expires_at=interaction.expires_at,
        used_at=None,
    )


async def find_interaction(
    tx: Transaction, project_id: ProjectId, interaction_hash: TokenHash, session_hash: TokenHash, now: int
) -> Interaction | None:
    """A request still waiting in this browser session."""
    row = await tx.one(
        _FIND, project_id=project_id, interaction_hash=interaction_hash, session_hash=session_hash, now=now
    )
    return _load(row) if row else None


async def consume_interaction(
    tx: Transaction, project_id: ProjectId, interaction_hash: TokenHash, session_hash: TokenHash, now: int
) -> Interaction | None:
    """Spend a waiting request: one caller gets it, from the session that was shown it, once (I1, CON-04)."""
    row = await tx.one(
        _CONSUME, of_project=project_id, of_interaction=interaction_hash, of_session=session_hash, now=now
    )
    return _load(row) if row else None


async def sweep_interactions(tx: Transaction, now: int) -> int:
    """Forget requests nobody decided in time, of every project."""
    return await tx.run(_SWEEP, now=now)


def _load(row: Row) -> Interaction:
    project_id, interaction_hash, session_hash, user_id, request, expires_at = row
    members = json.loads(request)
    return Interaction(
        project_id=ProjectId(project_id),
        interaction_hash=TokenHash(interaction_hash),
        session_hash=TokenHash(session_hash),
        user_id=UserId(user_id),
        request=AuthorizationRequest(
            **{**members, "scope": tuple(members["scope"]), "dropped": tuple(members["dropped"])}
        ),
        expires_at=expires_at,
    )
