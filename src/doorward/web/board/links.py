"""Connections: which app has access to which server for whom, and ending one."""

from doorward.asgi import Response
from doorward.manage import connections, users
from doorward.manage.operator import ActionRefused

from .desk import Act, BoardPage, Desk, Done, Question
from .rows import describe_connection

CONNECTIONS = "/dashboard/connections"
_MAX_SHOWN = 5000


async def show_connections(desk: Desk) -> Response:
    """The newest connections, found by words of person, app or server."""
    found = await connections.list_everybodys(desk.operator, desk.project, at_most=_MAX_SHOWN)
    rows = [describe_connection(each, desk.now) for each in found]
    wanted = {name: desk.given.get(name, "") for name in ("person", "app", "server")}
    chosen = [
        row
        for row in rows
        if all(
            words.casefold().strip() in f"{row[name]}\n{row[key]}".casefold()
            for (name, words), key in zip(wanted.items(), ("user_id", "client_id", "resource_id"), strict=True)
        )
    ]
    return desk.render("connections.html", "connections", rows=desk.slice(chosen), any_row=bool(rows), query=wanted)


async def _revoke(desk: Desk) -> Done:
    """End one connection with all that its app was given there."""
    user = await users.get(desk.operator, desk.project, desk.given.get("user_id", ""))
    if not await connections.revoke(desk.operator, desk.project, user, desk.given.get("grant_id", "")):
        raise ActionRefused("This connection is over already.")
    return Done("The connection is over. The app's next call is refused.", given={})


async def _ask_revoke(desk: Desk) -> Question:
    user = await users.get(desk.operator, desk.project, desk.given.get("user_id", ""))
    found = await connections.list_everybodys(desk.operator, desk.project, of=("user", user.user_id))
    each = next((e for e in found if any(g.grant_id == desk.given.get("grant_id", "") for g in e.grants)), None)
    if each is None:
        raise ActionRefused("This connection is over already.")
    row = describe_connection(each, desk.now)
    return Question(
        f"Revoke {row['app'][:64]} for {row['person'][:64]}?",
        (
            f"It loses its access to {row['server']} at once: its next call is refused.",
            "The person can let it in again. What ended cannot be taken back.",
        ),
        "Revoke",
        CONNECTIONS,
    )


CONNECTIONS_PAGE = BoardPage(show_connections, {"revoke": Act(_revoke, ask=_ask_revoke)})
