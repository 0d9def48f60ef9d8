"""People of a project, where they are signed in, and the apps that they let in."""

from typing import Annotated

from pydantic import Field

from doorward.core.models import Role, User
from doorward.manage import connections, revocations, users
from doorward.manage.operator import NotFound

from .paging import page_of
from .shapes import Answer, Body, Line, Name, Page, Paging, Patch, Time
from .table import Call, Operation, check_may_handle

Password = Annotated[str, Field(max_length=1024, json_schema_extra={"writeOnly": True})]


class UserAnswer(Answer):
    """A person."""

    user_id: str
    email: str
    name: str
    role: Role
    enabled: bool
    created_at: Time
    last_login_at: Time | None


class UserPage(Page[UserAnswer]):
    """People, oldest first."""


class EndedSessions(Answer):
    """How many sessions ended."""

    sessions: int


class ConnectionAnswer(Answer):
    """An app that a person let in to an MCP server."""

    connection_id: str
    client_id: str
    client_name: str | None
    resource: str
    scope: list[str]
    budgets: list[str] = []
    device: str
    let_in_by: str = Field(default="", description="The issuer whose word was enough, where it was not the person's.")
    created_at: Time
    last_used_at: Time | None
    expires_at: Time | None = Field(default=None, description="When it ends by itself; null where it does not.")


class ConnectionPage(Page[ConnectionAnswer]):
    """Apps of a person, newest first."""


class EndedAnswer(Answer):
    """An app that a trusted issuer had let in, and that may not come back."""

    connection: str
    client_id: str
    client_name: str | None
    resource: str
    ended_at: Time


class EndedList(Answer):
    """Ended connections, last ended first."""

    items: list[EndedAnswer]


class RevokedToken(Answer):
    """What ended."""

    revoked: str


class UserBody(Body):
    """A person to add."""

    email: Line
    password: Password
    role: Role = "member"
    name: Name = ""


class UserPatch(Patch):
    """What of a person is to change."""

    name: Name = ""
    role: Role = "member"
    enabled: Annotated[bool, Field(description="False ends every session and token of theirs.")] = True


class PasswordBody(Body):
    """A new password; every session ends."""

    password: Password


class TokenBody(Body):
    """A token that came into wrong hands."""

    token: Annotated[str, Field(min_length=1, max_length=8192, json_schema_extra={"writeOnly": True})]


def _answer(user: User) -> UserAnswer:
    return UserAnswer(**users.describe(user))


async def _find(call: Call) -> User:
    """The person that the address names by id, whom the token may see."""
    user = await users.get(call.operator, call.project, call.named["user_id"])
    if user.user_id != call.named["user_id"]:
        raise NotFound(f"There is nobody with the id {call.named['user_id']}.")
    return user


async def _find_to_change(call: Call) -> User:
    user = await _find(call)
    check_may_handle(call, user.role)
    return user


async def list_users(call: Call, paging: Paging) -> UserPage:
    found = await users.list_all(call.operator, call.project)
    items, cursor = page_of(found, paging, lambda user: (user.created_at, user.user_id))
    return UserPage(items=[_answer(user) for user in items], next_cursor=cursor)


async def add_user(call: Call, body: UserBody) -> UserAnswer:
    check_may_handle(call, body.role)
    added = await users.add(call.operator, call.project, body.email, body.password, role=body.role, name=body.name)
    return _answer(added)


async def show_user(call: Call) -> UserAnswer:
    return _answer(await _find(call))


async def change_user(call: Call, body: UserPatch) -> UserAnswer:
    user = await _find_to_change(call)
    if "role" in body.model_fields_set:
        check_may_handle(call, body.role)
    changes = body.chosen()
    return _answer(await users.change(call.operator, user, **changes) if changes else user)


async def set_password(call: Call, body: PasswordBody) -> None:
    await users.change_password(call.operator, await _find_to_change(call), body.password)


async def remove_user(call: Call) -> None:
    await users.remove(call.operator, await _find_to_change(call))


async def end_sessions(call: Call) -> EndedSessions:
    return EndedSessions(sessions=await users.end_sessions(call.operator, await _find_to_change(call)))


async def revoke_user(call: Call) -> None:
    await revocations.revoke_user(call.operator, await _find_to_change(call))


async def list_connections(call: Call, paging: Paging) -> ConnectionPage:
    found = await connections.list_apps(call.operator, call.project, await _find(call))
    items, cursor = page_of(found, paging, lambda app: (-app.grant.created_at, app.grant.grant_id))
    return ConnectionPage(items=[ConnectionAnswer(**connections.describe(app)) for app in items], next_cursor=cursor)


async def revoke_connection(call: Call) -> None:
    user, connection_id = await _find(call), call.named["connection_id"]
    if not await connections.revoke(call.operator, call.project, user, connection_id):
        raise NotFound(f"There is no connection {connection_id}.")


async def list_ended(call: Call) -> EndedList:
    found = await connections.list_ended(call.operator, call.project, await _find(call))
    return EndedList(items=[EndedAnswer(**connections.describe_ended(app)) for app in found])


async def reopen_connection(call: Call) -> None:
    user, connection_id = await _find(call), call.named["connection_id"]
    if not await connections.reopen(call.operator, call.project, user, connection_id):
        raise NotFound(f"There is no ended connection {connection_id}.")


async def revoke_token(call: Call, body: TokenBody) -> RevokedToken:
    return RevokedToken(revoked=await revocations.revoke_token(call.operator, call.project, body.token))


_ONE = "/users/{user_id}"
OPERATIONS = (
    Operation("GET", "/users", "listUsers", "The people of this project", "users", list_users, UserPage, query=Paging),
    Operation("POST", "/users", "addUser", "Add a person", "users", add_user, UserAnswer, UserBody, once=True),
    Operation("GET", _ONE, "showUser", "One person", "users", show_user, UserAnswer),
    Operation(
        "PATCH",
        _ONE,
        "changeUser",
        "Change a person's name or role, or whether they may sign in",
        "users",
        change_user,
        UserAnswer,
        UserPatch,
    ),
    Operation("DELETE", _ONE, "removeUser", "Remove a person with sessions and grants", "users", remove_user),
    Operation(
        "POST",
        f"{_ONE}/password",
        "setPassword",
        "Set a person's password and end their sessions",
        "users",
        set_password,
        body=PasswordBody,
    ),
    Operation(
        "POST",
        f"{_ONE}/end-sessions",
        "endSessions",
        "Sign a person out everywhere; their apps stay connected",
        "users",
        end_sessions,
        EndedSessions,
    ),
    Operation(
        "POST", f"{_ONE}/revoke", "revokeUser", "End every connection and session of a person", "users", revoke_user
    ),
    Operation(
        "GET",
        f"{_ONE}/connections",
        "listConnections",
        "The apps that a person let in",
        "connections",
        list_connections,
        ConnectionPage,
        query=Paging,
    ),
    Operation(
        "DELETE",
        f"{_ONE}/connections/{{connection_id}}",
        "revokeConnection",
        "End one connection of a person at once",
        "connections",
        revoke_connection,
    ),
    Operation(
        "GET",
        f"{_ONE}/ended-connections",
        "listEndedConnections",
        "Connections of a trusted issuer that were ended, and that no assertion brings back",
        "connections",
        list_ended,
        EndedList,
    ),
    Operation(
        "POST",
        f"{_ONE}/ended-connections/{{connection_id}}/reopen",
        "reopenConnection",
        "Let a trusted issuer make an ended connection anew",
        "connections",
        reopen_connection,
    ),
    Operation(
        "POST",
        "/revoke-token",
        "revokeToken",
        "End an access token alone, or a refresh token with its connection",
        "connections",
        revoke_token,
        RevokedToken,
        TokenBody,
    ),
)
