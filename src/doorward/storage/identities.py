"""Who a person is elsewhere: (issuer, subject) → person. An address is never an identity (T37)."""

from dataclasses import dataclass

from sqlalchemy import bindparam, delete, select

from doorward.core.models import User
from doorward.oauth.ids import ProjectId, UserId

from .database import Transaction
from .schema import identities, users
from .statements import Statement
from .users import find_user

_OF_PROJECT = identities.c.project_id == bindparam("project_id")
_OF_SUBJECT = (
    _OF_PROJECT,
    identities.c.issuer == bindparam("issuer"),
    identities.c.subject == bindparam("subject"),
)
_LINK = Statement(
    lambda insert: (
        insert(identities)
        .values({column.name: bindparam(column.name) for column in identities.columns})
        .on_conflict_do_nothing()
        .returning(identities.c.user_id)
    )
)
_FIND = Statement(select(identities.c.user_id).where(*_OF_SUBJECT))
_OF_USER_AT = Statement(
    select(identities.c.subject).where(
        _OF_PROJECT, identities.c.user_id == bindparam("user_id"), identities.c.issuer == bindparam("issuer")
    )
)
_LIST = Statement(
    select(identities.c.issuer, identities.c.subject, users.c.email, identities.c.created_at)
    .join(users, (users.c.project_id == identities.c.project_id) & (users.c.user_id == identities.c.user_id))
    .where(_OF_PROJECT)
    .order_by(identities.c.created_at, identities.c.issuer, identities.c.subject)
    .limit(bindparam("at_most"))
)
_OF_USER = Statement(
    select(identities.c.issuer, identities.c.subject, users.c.email, identities.c.created_at)
    .join(users, (users.c.project_id == identities.c.project_id) & (users.c.user_id == identities.c.user_id))
    .where(_OF_PROJECT, identities.c.user_id == bindparam("user_id"))
    .order_by(identities.c.created_at, identities.c.issuer, identities.c.subject)
)
_UNLINK = Statement(delete(identities).where(*_OF_SUBJECT).returning(identities.c.user_id))


@dataclass(frozen=True, slots=True)
class LinkedIdentity:
    """A subject of an issuer with the address of the person it stands for."""

    issuer: str
    subject: str
    email: str
    created_at: int


async def link_identity(
    tx: Transaction, project_id: ProjectId, issuer: str, subject: str, user_id: UserId, now: int
) -> bool:
    """Make a subject stand for a person from now on; False when it stands for somebody already."""
    row = await tx.one(_LINK, project_id=project_id, issuer=issuer, subject=subject, user_id=user_id, created_at=now)
    return row is not None


async def find_linked_user(tx: Transaction, project_id: ProjectId, issuer: str, subject: str) -> User | None:
    """The person that a subject stands for."""
    row = await tx.one(_FIND, project_id=project_id, issuer=issuer, subject=subject)
    return await find_user(tx, project_id, row[0]) if row else None


async def has_identity_at(tx: Transaction, project_id: ProjectId, issuer: str, user_id: UserId) -> bool:
    """Whether a person stands behind any subject of an issuer already."""
    return await tx.one(_OF_USER_AT, project_id=project_id, issuer=issuer, user_id=user_id) is not None


async def list_identities(tx: Transaction, project_id: ProjectId, *, at_most: int = 10_000) -> list[LinkedIdentity]:
    """Every link of a project, oldest first."""
    return [LinkedIdentity(*row) for row in await tx.all(_LIST, project_id=project_id, at_most=at_most)]


async def list_identities_of(tx: Transaction, project_id: ProjectId, user_id: UserId) -> list[LinkedIdentity]:
    """Every subject that stands for a person, oldest link first."""
    return [LinkedIdentity(*row) for row in await tx.all(_OF_USER, project_id=project_id, user_id=user_id)]


async def unlink_identity(tx: Transaction, project_id: ProjectId, issuer: str, subject: str) -> UserId | None:
    """Forget a link; whose it was, or None when there was none."""
    row = await tx.one(_UNLINK, project_id=project_id, issuer=issuer, subject=subject)
    return UserId(row[0]) if row else None
