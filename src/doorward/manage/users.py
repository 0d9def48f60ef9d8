"""People of a project, as operators manage them, and the first of them."""

from dataclasses import replace
from typing import Any

from anyio import to_thread

from doorward.core import audit
from doorward.core.models import ROLES, AuditEvent, Project, Role, User
from doorward.core.passwords import WeakPassword, check_password, email_key, hash_password
from doorward.core.secrets import SETUP, hash_secret, is_well_formed, new_id, new_secret
from doorward.oauth.ids import TokenHash, UserId
from doorward.storage.audit import record
from doorward.storage.database import Transaction
from doorward.storage.projects import hold_project
from doorward.storage.users import (
    add_user,
    consume_setup_link,
    count_staff,
    end_other_sessions,
    find_credentials,
    find_user,
    is_setup_link_live,
    list_users,
    remove_user,
    replace_setup_link,
    set_password,
    update_user,
)

from .operator import ActionRefused, Operator

SETUP_LIFE_MS = 24 * 3_600_000
_NOBODY = TokenHash(b"")


async def add(
    operator: Operator, project: Project, email: str, password: str, *, role: Role = "member", name: str = ""
) -> User:
    """Add a person. Raises `ActionRefused` for a bad address, a weak password or a taken address."""
    user, key, password_hash = await _prepare(operator, project, email, password, role=role, name=name)
    if not await operator.database.write(_add, user, key, password_hash, operator.actor, None):
        raise ActionRefused(f"{user.email} is a person of this project already.")
    return user


async def create_setup_link(operator: Operator, project: Project) -> str | None:
    """A fresh one-time token for making the first administrator; None when there is one already."""
    if await operator.database.read(count_staff, project.project_id):
        return None
    token = new_secret(SETUP)
    now = operator.clock()
    await operator.database.write(_create_setup_link, project, hash_secret(token), operator.actor, now)
    return token


async def is_setup_token_live(operator: Operator, project: Project, token: str) -> bool:
    """Whether a set-up token could be used now: it is over as soon as there is somebody who can administer."""
    if not is_well_formed(token, SETUP):
        return False
    staff = await operator.database.read(count_staff, project.project_id)
    if staff:
        return False
    return await operator.database.read(is_setup_link_live, project.project_id, hash_secret(token), operator.clock())


async def add_first_admin(
    operator: Operator, project: Project, token: str, email: str, password: str, *, name: str = ""
) -> User:
    """Spend a set-up token and make the first owner, both or neither. Raises `ActionRefused`."""
    user, key, password_hash = await _prepare(operator, project, email, password, role="owner", name=name)
    if not await operator.database.write(_add, user, key, password_hash, operator.actor, hash_secret(token)):
        raise ActionRefused("This set-up link was used or has expired. Restart the server for a new one.")
    return user


async def list_all(operator: Operator, project: Project) -> list[User]:
    """The people of a project, oldest first."""
    return await operator.database.read(list_users, project.project_id)


async def get(operator: Operator, project: Project, reference: str) -> User:
    """A person by address, or by id, since those of a backend of yours have no address here. Raises `ActionRefused`."""
    found = await operator.database.read(find_credentials, project.project_id, email_key(reference) or "")
    user = found.user if found else await operator.database.read(find_user, project.project_id, reference)
    if user is None:
        raise ActionRefused(f"There is nobody with the address or id {reference}.")
    return user


async def change(operator: Operator, user: User, **changes: Any) -> User:
    """Change a person's name, role, or whether they may sign in; disabling ends every session and token."""
    if "role" in changes:
        _check_role(changes["role"])
    return await operator.database.write(_change, user, changes, operator)


async def change_password(operator: Operator, user: User, password: str) -> None:
    """Set a person's password and end their sessions. Raises `ActionRefused`."""
    password_hash = await _hash(password, user.email)
    await operator.database.write(_change_password, user, password_hash, operator.actor, operator.clock())


async def end_sessions(operator: Operator, user: User) -> int:
    """Sign a person out everywhere; what they let in stays. How many sessions ended."""
    return await operator.database.write(_end_sessions, user, operator.actor, operator.clock())


async def remove(operator: Operator, user: User) -> None:
    """Remove a person with sessions and grants."""
    await operator.database.write(_remove, user, operator)


def describe(user: User) -> dict[str, Any]:
    """A person as operators see them."""
    return {
        "user_id": user.user_id,
        "email": user.email,
        "name": user.name,
        "role": user.role,
        "enabled": user.enabled,
        "created_at": user.created_at,
        "last_login_at": user.last_login_at,
    }


async def _prepare(
    operator: Operator, project: Project, email: str, password: str, *, role: Role, name: str
) -> tuple[User, str, str]:
    key = email_key(email)
    if key is None:
        raise ActionRefused("This is not an e-mail address.", about="email")
    _check_role(role)
    password_hash = await _hash(password, email)
    user = User(
        project_id=project.project_id,
        user_id=UserId(new_id("usr")),
        email=email.strip(),
        name=name.strip()[:128],
        role=role,
        enabled=True,
        created_at=operator.clock(),
        last_login_at=None,
    )
    return user, key, password_hash


async def _hash(password: str, email: str) -> str:
    try:
        checked = check_password(password, context=(email.partition("@")[0],))
    except WeakPassword as error:
        raise ActionRefused(str(error), about="password") from None
    return await to_thread.run_sync(hash_password, checked)


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise ActionRefused(f"A role is one of {', '.join(ROLES)}.")


async def _add(
    tx: Transaction, user: User, key: str, password_hash: str, actor: str, setup_hash: TokenHash | None
) -> bool:
    if setup_hash is not None and not await _consume_setup(tx, user, setup_hash):
        return False
    if not await add_user(tx, user, key, password_hash):
        return False
    event = AuditEvent(audit.USER_ADDED, actor, audit.user_actor(user.user_id), {"role": user.role})
    await record(tx, user.project_id, event, user.created_at)
    return True


async def _create_setup_link(tx: Transaction, project: Project, setup_hash: TokenHash, actor: str, now: int) -> None:
    await replace_setup_link(tx, project.project_id, setup_hash, now, now + SETUP_LIFE_MS)
    await record(tx, project.project_id, AuditEvent(audit.SETUP_LINK_CREATED, actor, project.slug), now)


async def _consume_setup(tx: Transaction, user: User, setup_hash: TokenHash) -> bool:
    """Spend the link, unless somebody can administer by now: an old link must not make a second owner."""
    if await count_staff(tx, user.project_id):
        return False
    return await consume_setup_link(tx, user.project_id, setup_hash, user.created_at)


async def _change(tx: Transaction, user: User, changes: dict[str, Any], operator: Operator) -> User:
    """Change what is asked for of the person as they are by now: what somebody else changed meanwhile stays."""
    now = operator.clock()
    await hold_project(tx, user.project_id)
    found = await find_user(tx, user.project_id, user.user_id)
    if found is None:
        raise ActionRefused(f"{user.email or user.user_id} was removed meanwhile.")
    changed = replace(found, **changes)
    await update_user(tx, changed, now)
    if not changed.enabled:
        await end_other_sessions(tx, changed.project_id, changed.user_id, _NOBODY)
    event = AuditEvent(audit.USER_CHANGED, operator.actor, audit.user_actor(changed.user_id), changes)
    await record(tx, changed.project_id, event, now)
    return changed


async def _change_password(tx: Transaction, user: User, password_hash: str, actor: str, now: int) -> None:
    await set_password(tx, user.project_id, user.user_id, password_hash)
    await end_other_sessions(tx, user.project_id, user.user_id, _NOBODY)
    event = AuditEvent(audit.USER_CHANGED, actor, audit.user_actor(user.user_id), {"changed": ["password"]})
    await record(tx, user.project_id, event, now)


async def _end_sessions(tx: Transaction, user: User, actor: str, now: int) -> int:
    ended = await end_other_sessions(tx, user.project_id, user.user_id, _NOBODY)
    if ended:
        event = AuditEvent(audit.SIGNED_OUT, actor, audit.user_actor(user.user_id), {"sessions": ended})
        await record(tx, user.project_id, event, now)
    return ended


async def _remove(tx: Transaction, user: User, operator: Operator) -> None:
    now = operator.clock()  # inside: no token that was issued before is dated later than what ends it
    if await remove_user(tx, user.project_id, user.user_id, now):
        event = AuditEvent(audit.USER_REMOVED, operator.actor, audit.user_actor(user.user_id))
        await record(tx, user.project_id, event, now)
