"""People of a project, their passwords and their browser sessions."""

from typing import NamedTuple

from sqlalchemy import bindparam, delete, func, or_, select, update

from doorward.core.models import Session, User
from doorward.oauth.ids import ProjectId, TokenHash, UserId
from doorward.oauth.revocations import RevocationState

from .database import Row, Transaction
from .pending_sign_ins import end_pending_sign_ins
from .revocations import announce
from .schema import projects, sessions, setup_links, users
from .statements import Statement, insert_row, later_of

_COLUMNS = (
    users.c.project_id,
    users.c.user_id,
    users.c.email,
    users.c.name,
    users.c.role,
    users.c.enabled,
    users.c.created_at,
    users.c.last_login_at,
)
_SESSION_COLUMNS = (
    sessions.c.project_id,
    sessions.c.session_hash,
    sessions.c.user_id,
    sessions.c.created_at,
    sessions.c.last_seen_at,
    sessions.c.expires_at,
    sessions.c.agent,
)
_OF_PROJECT = users.c.project_id == bindparam("project_id")
_INSERT = Statement(
    lambda insert: (
        insert(users)
        .values({column.name: bindparam(column.name) for column in users.columns})
        .on_conflict_do_nothing()
        .returning(users.c.user_id)
    )
)
_BY_EMAIL = Statement(
    select(*_COLUMNS, users.c.password_hash).where(_OF_PROJECT, users.c.email_key == bindparam("email_key"))
)
_BY_ID = Statement(select(*_COLUMNS).where(_OF_PROJECT, users.c.user_id == bindparam("user_id")))
_LIST = Statement(select(*_COLUMNS).where(_OF_PROJECT).order_by(users.c.created_at, users.c.user_id))
_COUNT_STAFF = Statement(
    select(func.count()).where(_OF_PROJECT, or_(users.c.role == "owner", users.c.role == "admin"), users.c.enabled == 1)
)
_UPDATE = Statement(
    update(users)
    .where(users.c.project_id == bindparam("of_project"), users.c.user_id == bindparam("of_user"))
    .values(name=bindparam("new_name"), role=bindparam("new_role"))
)
_SET_ENABLED = Statement(
    update(users)
    .where(
        users.c.project_id == bindparam("of_project"),
        users.c.user_id == bindparam("of_user"),
        users.c.enabled != bindparam("new_enabled"),
    )
    .values(enabled=bindparam("new_enabled"))
    .returning(users.c.user_id)
)
_VOID = Statement(
    update(users)
    .where(users.c.project_id == bindparam("of_project"), users.c.user_id == bindparam("of_user"))
    .values(void_before=later_of(users.c.void_before, "now"))
    .returning(users.c.user_id)
)
_SET_PASSWORD = Statement(
    update(users)
    .where(users.c.project_id == bindparam("of_project"), users.c.user_id == bindparam("of_user"))
    .values(password_hash=bindparam("new_hash"))
)
_HAS_PASSWORD = Statement(
    select(users.c.password_hash != "").where(_OF_PROJECT, users.c.user_id == bindparam("user_id"))
)
_SET_LOGIN = Statement(
    update(users)
    .where(users.c.project_id == bindparam("of_project"), users.c.user_id == bindparam("of_user"))
    .values(last_login_at=bindparam("now"))
)
_DELETE = Statement(
    delete(users).where(_OF_PROJECT, users.c.user_id == bindparam("user_id")).returning(users.c.enabled)
)
_INSERT_SESSION = Statement(insert_row(sessions))
# "Everything of a person", or of a project, includes where they are signed in.
_NOT_VOID = (sessions.c.created_at > users.c.void_before, sessions.c.created_at > projects.c.void_before)
_SAME_PERSON = (users.c.project_id == sessions.c.project_id) & (users.c.user_id == sessions.c.user_id)
_FIND_SESSION = Statement(
    select(*_SESSION_COLUMNS, *_COLUMNS)
    .join(users, _SAME_PERSON)
    .join(projects, projects.c.project_id == sessions.c.project_id)
    .where(
        sessions.c.project_id == bindparam("project_id"),
        sessions.c.session_hash == bindparam("session_hash"),
        sessions.c.expires_at > bindparam("now"),
        sessions.c.last_seen_at > bindparam("seen_after"),
        *_NOT_VOID,
        users.c.enabled == 1,
    )
)
_TOUCH_SESSION = Statement(
    update(sessions)
    .where(sessions.c.project_id == bindparam("of_project"), sessions.c.session_hash == bindparam("of_session"))
    .values(last_seen_at=bindparam("now"))
)
_LIST_SESSIONS = Statement(
    select(*_SESSION_COLUMNS)
    .join(users, _SAME_PERSON)
    .join(projects, projects.c.project_id == sessions.c.project_id)
    .where(sessions.c.project_id == bindparam("project_id"), sessions.c.user_id == bindparam("user_id"), *_NOT_VOID)
    .order_by(sessions.c.last_seen_at.desc())
)
_END_SESSION = Statement(
    delete(sessions)
    .where(sessions.c.project_id == bindparam("project_id"), sessions.c.session_hash == bindparam("session_hash"))
    .returning(sessions.c.user_id)
)
_END_OWN = Statement(
    delete(sessions)
    .where(
        sessions.c.project_id == bindparam("project_id"),
        sessions.c.user_id == bindparam("user_id"),
        sessions.c.session_hash == bindparam("session_hash"),
    )
    .returning(sessions.c.user_id)
)
_END_OTHERS = Statement(
    delete(sessions).where(
        sessions.c.project_id == bindparam("project_id"),
        sessions.c.user_id == bindparam("user_id"),
        sessions.c.session_hash != bindparam("except_session"),
    )
)
_SWEEP_SESSIONS = Statement(delete(sessions).where(sessions.c.expires_at <= bindparam("now")))
_CLEAR_SETUP = Statement(delete(setup_links).where(setup_links.c.project_id == bindparam("project_id")))
_INSERT_SETUP = Statement(insert_row(setup_links))
_FIND_SETUP = Statement(
    select(setup_links.c.created_at).where(
        setup_links.c.project_id == bindparam("project_id"),
        setup_links.c.token_hash == bindparam("token_hash"),
        setup_links.c.used_at.is_(None),
        setup_links.c.expires_at > bindparam("now"),
    )
)
_CONSUME_SETUP = Statement(
    update(setup_links)
    .where(
        setup_links.c.project_id == bindparam("of_project"),
        setup_links.c.token_hash == bindparam("of_token"),
        setup_links.c.used_at.is_(None),
        setup_links.c.expires_at > bindparam("now"),
    )
    .values(used_at=bindparam("now"))
    .returning(setup_links.c.created_at)
)


class Credentials(NamedTuple):
    """A person with the hash their password is checked against."""

    user: User
    password_hash: str


async def add_user(tx: Transaction, user: User, email_key: str, password_hash: str) -> bool:
    """Store a person; False when the address is taken."""
    row = await tx.one(
        _INSERT,
        project_id=user.project_id,
        user_id=user.user_id,
        email=user.email,
        email_key=email_key,
        name=user.name,
        role=user.role,
        password_hash=password_hash,
        enabled=int(user.enabled),
        created_at=user.created_at,
        last_login_at=user.last_login_at,
        void_before=0,
    )
    return row is not None


async def find_credentials(tx: Transaction, project_id: ProjectId, email_key: str) -> Credentials | None:
    """The person with this address, for a password check."""
    row = await tx.one(_BY_EMAIL, project_id=project_id, email_key=email_key)
    return Credentials(_load(row[:-1]), row[-1]) if row else None


async def find_user(tx: Transaction, project_id: ProjectId, user_id: str) -> User | None:
    """The person with this id."""
    row = await tx.one(_BY_ID, project_id=project_id, user_id=user_id)
    return _load(row) if row else None


async def list_users(tx: Transaction, project_id: ProjectId) -> list[User]:
    """The people of a project, oldest first."""
    return [_load(row) for row in await tx.all(_LIST, project_id=project_id)]


async def count_staff(tx: Transaction, project_id: ProjectId) -> int:
    """How many people can administer a project."""
    row = await tx.one(_COUNT_STAFF, project_id=project_id)
    return int(row[0]) if row else 0


async def update_user(tx: Transaction, user: User, now: int) -> bool:
    """Store a person's new name, role and whether they may sign in; the last is announced when it changes."""
    of_user = {"of_project": user.project_id, "of_user": user.user_id}
    if await tx.run(_UPDATE, **of_user, new_name=user.name, new_role=user.role) != 1:
        return False
    if await tx.one(_SET_ENABLED, **of_user, new_enabled=int(user.enabled)) is not None:
        state: RevocationState = "free" if user.enabled else "hold"
        await announce(tx, user.project_id, "user", user.user_id, state, now, now)
    return True


async def void_user_grants(tx: Transaction, project_id: ProjectId, user_id: UserId, now: int) -> bool:
    """End every grant and session of a person, however many there are, in one step, and announce it."""
    if await tx.one(_VOID, of_project=project_id, of_user=user_id, now=now) is None:
        return False
    await announce(tx, project_id, "user", user_id, "void", now, now)
    return True


async def set_password(tx: Transaction, project_id: ProjectId, user_id: UserId, password_hash: str) -> None:
    """Store a new password hash."""
    await tx.run(_SET_PASSWORD, of_project=project_id, of_user=user_id, new_hash=password_hash)


async def has_password(tx: Transaction, project_id: ProjectId, user_id: UserId) -> bool:
    """Whether a person has a password: one who signs in with passkeys alone has none."""
    row = await tx.one(_HAS_PASSWORD, project_id=project_id, user_id=user_id)
    return row is not None and bool(row[0])


async def remove_user(tx: Transaction, project_id: ProjectId, user_id: UserId, now: int) -> bool:
    """Remove a person with sessions and grants, and announce it."""
    row = await tx.one(_DELETE, project_id=project_id, user_id=user_id)
    if row is None:
        return False
    await announce(tx, project_id, "user", user_id, "void", now, now)
    if not row[0]:  # whoever is minted under the same name is not held
        await announce(tx, project_id, "user", user_id, "free", now, now)
    return True


async def start_session(tx: Transaction, session: Session) -> None:
    """Store a new browser session and note the sign-in."""
    await tx.run(
        _INSERT_SESSION,
        project_id=session.project_id,
        session_hash=session.session_hash,
        user_id=session.user_id,
        created_at=session.created_at,
        last_seen_at=session.last_seen_at,
        expires_at=session.expires_at,
        agent=session.agent,
    )
    await tx.run(_SET_LOGIN, of_project=session.project_id, of_user=session.user_id, now=session.created_at)


async def find_session(
    tx: Transaction, project_id: ProjectId, session_hash: TokenHash, *, now: int, idle_ms: int
) -> tuple[Session, User] | None:
    """A live session and its person; None once it is idle, over, ended, or the person is disabled."""
    row = await tx.one(
        _FIND_SESSION, project_id=project_id, session_hash=session_hash, now=now, seen_after=now - idle_ms
    )
    split = len(_SESSION_COLUMNS)
    return (_load_session(row[:split]), _load(row[split:])) if row else None


async def touch_session(tx: Transaction, project_id: ProjectId, session_hash: TokenHash, now: int) -> None:
    """Record that the session was seen."""
    await tx.run(_TOUCH_SESSION, of_project=project_id, of_session=session_hash, now=now)


async def list_sessions(tx: Transaction, project_id: ProjectId, user_id: UserId) -> list[Session]:
    """A person's sessions, last seen first."""
    return [_load_session(row) for row in await tx.all(_LIST_SESSIONS, project_id=project_id, user_id=user_id)]


async def end_session(tx: Transaction, project_id: ProjectId, session_hash: TokenHash) -> UserId | None:
    """End one session; whose it was, or None when there was none."""
    row = await tx.one(_END_SESSION, project_id=project_id, session_hash=session_hash)
    return UserId(row[0]) if row else None


async def end_own_session(tx: Transaction, project_id: ProjectId, user_id: UserId, session_hash: TokenHash) -> bool:
    """End one session of this person; False when it is not theirs."""
    row = await tx.one(_END_OWN, project_id=project_id, user_id=user_id, session_hash=session_hash)
    return row is not None


async def end_other_sessions(tx: Transaction, project_id: ProjectId, user_id: UserId, except_session: TokenHash) -> int:
    """End a person's sessions but one, and what is half a sign-in; `b""` spares none. Returns how many ended."""
    await end_pending_sign_ins(tx, project_id, user_id)
    return await tx.run(_END_OTHERS, project_id=project_id, user_id=user_id, except_session=except_session)


async def sweep_sessions(tx: Transaction, now: int) -> int:
    """Forget sessions that are over, of every project."""
    return await tx.run(_SWEEP_SESSIONS, now=now)


async def replace_setup_link(
    tx: Transaction, project_id: ProjectId, token_hash: TokenHash, now: int, expires_at: int
) -> None:
    """Make this the only set-up link of the project."""
    await tx.run(_CLEAR_SETUP, project_id=project_id)
    await tx.run(
        _INSERT_SETUP,
        project_id=project_id,
        token_hash=token_hash,
        created_at=now,
        expires_at=expires_at,
        used_at=None,
    )


async def is_setup_link_live(tx: Transaction, project_id: ProjectId, token_hash: TokenHash, now: int) -> bool:
    """Whether a set-up link could still be used."""
    return await tx.one(_FIND_SETUP, project_id=project_id, token_hash=token_hash, now=now) is not None


async def consume_setup_link(tx: Transaction, project_id: ProjectId, token_hash: TokenHash, now: int) -> bool:
    """Spend a set-up link; exactly one caller ever gets True (I1)."""
    return await tx.one(_CONSUME_SETUP, of_project=project_id, of_token=token_hash, now=now) is not None


def _load(row: Row) -> User:
    project_id, user_id, email, name, role, enabled, created_at, last_login_at = row
    return User(ProjectId(project_id), UserId(user_id), email, name, role, bool(enabled), created_at, last_login_at)


def _load_session(row: Row) -> Session:
    project_id, session_hash, user_id, created_at, last_seen_at, expires_at, agent = row
    return Session(
        ProjectId(project_id), TokenHash(session_hash), UserId(user_id), created_at, last_seen_at, expires_at, agent
    )
