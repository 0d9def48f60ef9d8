"""Emergency stop: one page to shut a project, a server, an app or a person out at once, and to open again.

Spec: REV-03, REV-04; product.md, feature 7; complaint 22
"""

from doorward.asgi import Response
from doorward.manage import admission, clients, connections, revocations, users
from doorward.manage.operator import ActionRefused
from doorward.web.pages import ago

from . import apps, people, servers
from .desk import OWNERS, Act, BoardPage, Desk, Done, Question
from .servers import count

STOP = "/dashboard/stop"
_MAX_CHOICES = 200


async def show_stop(desk: Desk) -> Response:
    """What is stopped, and what can be."""
    families = await admission.list_families(desk.operator, desk.project)
    known = [client for family in families for client in family.clients]
    persons = await users.list_all(desk.operator, desk.project)
    return desk.render(
        "stop.html",
        "stop",
        stopped=ago(desk.project.stopped_at, desk.now),
        servers=[
            {"id": r.resource_id, "name": r.name, "uri": r.uri, "stopped": ago(r.stopped_at, desk.now)}
            for r in desk.view.resources
        ],
        apps=[
            (c.client_id, c.metadata.client_name or c.client_id, c.metadata.host) for c in known if c.status == "active"
        ][:_MAX_CHOICES],
        suspended=[(c.client_id, c.metadata.client_name or c.client_id) for c in known if c.status == "suspended"],
        people=[
            (u.user_id, u.name or u.user_id, u.email) for u in persons if u.enabled and u.user_id != desk.user.user_id
        ][:_MAX_CHOICES],
        disabled=[(u.user_id, u.name or u.email or u.user_id) for u in persons if not u.enabled],
    )


async def _stop_project(desk: Desk) -> Done:
    await revocations.stop_everything(desk.operator, desk.project)
    return Done("Everything is stopped. No call to any server is let in.")


async def _resume_project(desk: Desk) -> Done:
    await revocations.resume_everything(desk.operator, desk.project)
    return Done("The project is open again.")


async def _revoke_project(desk: Desk) -> Done:
    await revocations.revoke_project(desk.operator, desk.project)
    return Done("Every connection and session is over. Sign in again to go on.")


async def _ask_stop_project(desk: Desk) -> Question:
    found = await connections.list_everybodys(desk.operator, desk.project, at_most=5000)
    return Question(
        f"Stop everything in {desk.project.name}?",
        (
            f"Every call to {count(len(desk.view.resources), 'server')} is refused from now on.",
            f"{count(len(found), 'connection')} can do nothing meanwhile.",
            "No app can connect, and no token is given. People can still sign in to this dashboard.",
            "Nothing is lost: once you resume, what was connected goes on where it was.",
        ),
        "Stop everything",
        STOP,
    )


async def _ask_revoke_project(desk: Desk) -> Question:
    found = await connections.list_everybodys(desk.operator, desk.project, at_most=5000)
    return Question(
        f"End everything in {desk.project.name} for good?",
        (
            f"{count(len(found), 'connection')}, every token and every session end at once, yours too.",
            "People have to sign in and let every app in again. This cannot be taken back.",
        ),
        "End everything",
        STOP,
    )


async def _ask_suspend(desk: Desk) -> Question:
    await clients.get(desk.operator, desk.project, _chosen(desk, "Choose an app."))
    return await apps.ask_suspend(desk)


async def _ask_disable(desk: Desk) -> Question:
    _chosen(desk, "Choose a person.")
    return await people.ask_disable(desk)


def _chosen(desk: Desk, otherwise: str) -> str:
    if not desk.given.get("id", ""):
        raise ActionRefused(otherwise)
    return desk.given["id"]


STOP_PAGE = BoardPage(
    show_stop,
    {
        "stop": Act(_stop_project, ask=_ask_stop_project),
        "resume": Act(_resume_project),
        "revoke": Act(_revoke_project, roles=OWNERS, ask=_ask_revoke_project),
        "stop_server": Act(servers.stop, ask=servers.ask_stop),
        "resume_server": Act(servers.resume),
        "suspend": Act(apps.suspend, ask=_ask_suspend),
        "reactivate": Act(apps.reactivate),
        "disable": Act(people.disable, ask=_ask_disable),
        "enable": Act(people.enable),
    },
)
