"""People: who may sign in, what they are here, and ending what hangs off them.

An administrator changes no owner, and nobody changes their own role or shuts themselves out: so an owner stays.
"""

from typing import Any

from doorward.asgi import Response
from doorward.core.models import ROLES, Role, User
from doorward.core.passwords import MIN_LENGTH
from doorward.manage import connections, revocations, users
from doorward.manage.operator import ActionRefused
from doorward.web.pages import ago

from .desk import Act, BoardPage, Desk, Done, Question
from .rows import describe_connection
from .servers import count

PEOPLE, PERSON = "/dashboard/people", "/dashboard/person"


async def show_people(desk: Desk) -> Response:
    """Everybody of the project, found by words and role."""
    people = await users.list_all(desk.operator, desk.project)
    words, role = desk.given.get("q", "").casefold().strip(), desk.given.get("role", "")
    found = [
        user
        for user in people
        if words in f"{user.name}\n{user.email}\n{user.user_id}".casefold() and (role not in ROLES or user.role == role)
    ]
    return desk.render(
        "people.html",
        "people",
        people=desk.slice([_describe(user, desk.now) for user in found]),
        query={"q": desk.given.get("q", ""), "role": role if role in ROLES else ""},
        roles=ROLES,
        grantable=_grantable(desk),
        min_password=MIN_LENGTH,
    )


async def show_person(desk: Desk) -> Response:
    """One person: role, sessions, connected apps."""
    user = await _find(desk)
    found = await connections.list_everybodys(desk.operator, desk.project, of=("user", user.user_id))
    sessions = await connections.sessions(desk.operator, desk.project, user)
    return desk.render(
        "person.html",
        "people",
        person=_describe(user, desk.now),
        is_self=user.user_id == desk.user.user_id,
        is_above=user.role == "owner" and desk.user.role != "owner",
        connections=[describe_connection(each, desk.now) for each in found[:50]],
        connected=len(found),
        sessions=len(sessions),
        grantable=_grantable(desk),
        min_password=MIN_LENGTH,
    )


async def _add_person(desk: Desk) -> Done:
    given = desk.given
    role = _read_role(desk)
    added = await users.add(
        desk.operator,
        desk.project,
        given.get("email", ""),
        given.get("password", ""),
        role=role,
        name=given.get("name", ""),
    )
    return Done(f"{added.email} may sign in now.", PERSON, {"id": added.user_id})


async def _change_role(desk: Desk) -> Done:
    user = await _find_below(desk)
    changed = await users.change(desk.operator, user, role=_read_role(desk))
    return Done(f"The role is {changed.role} now.")


async def disable(desk: Desk) -> Done:
    """Shut a person out, with the apps they let in, until they are enabled."""
    user = await _find_below(desk)
    await users.change(desk.operator, user, enabled=False)
    return Done(f"{_name(user)} is disabled. Their apps have no access until you enable them.")


async def enable(desk: Desk) -> Done:
    """Let a disabled person in again."""
    user = await _find_below(desk)
    await users.change(desk.operator, user, enabled=True)
    return Done(f"{_name(user)} may sign in again.")


async def _end_sessions(desk: Desk) -> Done:
    user = await _find_below(desk)
    ended = await users.end_sessions(desk.operator, user)
    return Done(f"{_name(user)} is signed out everywhere: {count(ended, 'session')} ended.")


async def _revoke(desk: Desk) -> Done:
    user = await _find_below(desk)
    await revocations.revoke_user(desk.operator, user)
    return Done(f"Every connection and session of {_name(user)} is over.")


async def _set_password(desk: Desk) -> Done:
    user = await _find_below(desk)
    await users.change_password(desk.operator, user, desk.given.get("password", ""))
    return Done("The password is set, and every session is over. Tell them the new one in a safe way.")


async def _remove(desk: Desk) -> Done:
    user = await _find_below(desk)
    await users.remove(desk.operator, user)
    return Done(f"{_name(user)} is removed.", PEOPLE, {})


async def ask_disable(desk: Desk) -> Question:
    """What disabling a person means."""
    user = await _find_below(desk)
    return Question(
        f"Disable {_name(user)}?",
        (
            "They are signed out everywhere, and cannot sign in.",
            "Every app that they let in is refused as long as they are disabled.",
        ),
        "Disable",
        f"{PERSON}?id={user.user_id}",
        "care",
    )


async def _ask_revoke(desk: Desk) -> Question:
    user = await _find_below(desk)
    found = await connections.list_everybodys(desk.operator, desk.project, of=("user", user.user_id))
    return Question(
        f"Revoke everything of {_name(user)}?",
        (
            f"{count(len(found), 'connection')} and every session of theirs end at once.",
            "They may sign in and let apps in again. What ended cannot be taken back.",
        ),
        "Revoke everything",
        f"{PERSON}?id={user.user_id}",
    )


async def _ask_remove(desk: Desk) -> Question:
    user = await _find_below(desk)
    return Question(
        f"Remove {_name(user)}?",
        ("Their connections and sessions end at once.", "The person is forgotten. This cannot be taken back."),
        "Remove the person",
        f"{PERSON}?id={user.user_id}",
    )


async def _find(desk: Desk) -> User:
    return await users.get(desk.operator, desk.project, desk.given.get("id", ""))


async def _find_below(desk: Desk) -> User:
    """Somebody that this administrator may change. Raises `ActionRefused`."""
    user = await _find(desk)
    if user.user_id == desk.user.user_id:
        raise ActionRefused("This is you. What is yours is on your account page; ask another owner for the rest.")
    if user.role == "owner" and desk.user.role != "owner":
        raise ActionRefused("Only an owner changes an owner.")
    return user


def _grantable(desk: Desk) -> tuple[Role, ...]:
    return ROLES if desk.user.role == "owner" else tuple(role for role in ROLES if role != "owner")


def _read_role(desk: Desk) -> Role:
    for role in _grantable(desk):
        if role == desk.given.get("role", ""):
            return role
    raise ActionRefused(f"You can give one of these roles: {', '.join(_grantable(desk))}.", about="role")


def _name(user: User) -> str:
    return (user.name or user.email or user.user_id)[:64]


def _describe(user: User, now: int) -> dict[str, Any]:
    return {
        "id": user.user_id,
        "name": _name(user),
        "email": user.email,
        "role": user.role,
        "enabled": user.enabled,
        "created": ago(user.created_at, now),
        "last_login": ago(user.last_login_at, now),
    }


PEOPLE_PAGE = BoardPage(show_people, {"add": Act(_add_person)})
PERSON_PAGE = BoardPage(
    show_person,
    {
        "role": Act(_change_role),
        "disable": Act(disable, ask=ask_disable),
        "enable": Act(enable),
        "end_sessions": Act(_end_sessions),
        "revoke": Act(_revoke, ask=_ask_revoke),
        "password": Act(_set_password),
        "remove": Act(_remove, ask=_ask_remove),
    },
)
