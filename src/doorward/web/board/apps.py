"""Apps: those that wait for approval with what changed, all others as the software they are, and one each."""

from collections.abc import Iterable
from typing import Any

from doorward.asgi import Response
from doorward.core.known_clients import known_clients
from doorward.core.models import Client
from doorward.manage import admission, clients, connections
from doorward.manage.admission import Family, QueuedClient
from doorward.manage.operator import ActionRefused
from doorward.web.pages import ago

from .desk import Act, BoardPage, Desk, Done, Question
from .rows import describe_connection
from .servers import count

APP, APPS = "/dashboard/app", "/dashboard/apps"
OVERLAP_MS = 86_400_000
STATES = ("active", "pending", "suspended")


async def show_apps(desk: Desk) -> Response:
    """What waits, then every app, found by words and state."""
    families = await admission.list_families(desk.operator, desk.project)
    words, state = desk.given.get("q", "").casefold().strip(), desk.given.get("state", "")
    found = [family for family in families if _matches(family, words, state)]
    waiting = await admission.list_queue(desk.operator, desk.project)
    chosen = desk.slice([_describe_family(family, desk.now) for family in found])
    return desk.render(
        "apps.html",
        "apps",
        apps=chosen,
        any_app=bool(families),
        queue=[_describe_queued(each, desk.now) for each in waiting[:20]],
        waiting=len(waiting),
        query={"q": desk.given.get("q", ""), "state": state if state in STATES else ""},
        states=STATES,
        known=[(each.key, each.name) for each in known_clients() if each.redirect_uris],
    )


async def show_app(desk: Desk) -> Response:
    """One app: what it says of itself, who vouches for it, and what it is connected to."""
    client = await _find(desk)
    found = await connections.list_everybodys(desk.operator, desk.project, of=("client", client.client_id))
    families = await admission.list_families(desk.operator, desk.project)
    family = next((each for each in families if any(c.client_id == client.client_id for c in each.clients)), None)
    others = [c for c in family.clients if c.client_id != client.client_id] if family else []
    waiting = [w for w in await admission.list_queue(desk.operator, desk.project) if w.client == client]
    return desk.render(
        "app.html",
        "apps",
        app=_describe(client, desk.now),
        metadata=_facts(client.metadata.document()),
        queued=_describe_queued(waiting[0], desk.now) if waiting else None,
        connections=[describe_connection(each, desk.now) for each in found[:50]],
        connected=len(found),
        others=[_describe(other, desk.now) for other in others[:20]],
        others_count=len(others),
    )


async def _add_app(desk: Desk) -> Done:
    """Add an app by hand; for one that proves itself by a secret, that is shown this once."""
    given = desk.given
    name, uris = given.get("name", "").strip(), tuple(given.get("redirect_uris", "").split())
    if key := given.get("known", ""):
        known_name, known_uris = clients.template(key)
        name, uris = name or known_name, uris or known_uris
    if not uris:
        raise ActionRefused("Give at least one address that people are sent back to.", about="redirect_uris")
    try:
        added, secret = await clients.add(
            desk.operator, desk.project, uris, name=name, confidential="confidential" in given
        )
    except ActionRefused as refused:
        raise ActionRefused(str(refused), about="redirect_uris") from None
    return Done("The app is added.", APP, {"id": added.client_id}, secret)


async def _approve(desk: Desk) -> Done:
    client = await _find(desk)
    await admission.approve(desk.operator, client)
    return Done(f"{_name(client)} is let in.")


async def _refuse(desk: Desk) -> Done:
    client = await _find(desk)
    await admission.deny(desk.operator, client)
    if client.status == "pending":
        return Done(f"{_name(client)} is kept out, and forgotten.", APPS, {})
    return Done(f"What changed is not taken over. {_name(client)} stays as it was.")


async def suspend(desk: Desk) -> Done:
    """Keep an app out until it is reactivated."""
    client = await _find(desk)
    await admission.suspend(desk.operator, client)
    return Done(f"{_name(client)} is suspended. Its calls are refused until you reactivate it.")


async def reactivate(desk: Desk) -> Done:
    """Let a suspended app in again."""
    client = await _find(desk)
    await admission.reactivate(desk.operator, client)
    return Done(f"{_name(client)} is let in again.")


async def _revoke(desk: Desk) -> Done:
    client = await _find(desk)
    await admission.revoke_everything(desk.operator, client)
    return Done(f"Every connection of {_name(client)} is over.")


async def _rotate(desk: Desk) -> Done:
    client = await _find(desk)
    secret, _ = await clients.rotate_secret(desk.operator, desk.project, client, overlap_ms=OVERLAP_MS)
    return Done("There is a new secret. The old one works for one more day.", secret=secret)


async def _remove(desk: Desk) -> Done:
    client = await _find(desk)
    await clients.remove(desk.operator, client)
    return Done(f"{_name(client)} is removed.", APPS, {})


async def ask_suspend(desk: Desk) -> Question:
    """What suspending an app means."""
    client = await _find(desk)
    return Question(
        f"Suspend {_name(client)}?",
        (
            "Every call it makes is refused from now on, for everybody.",
            "Nothing is lost: once you reactivate it, its connections go on where they were.",
        ),
        "Suspend the app",
        f"{APP}?id={client.client_id}",
        "care",
    )


async def _ask_refuse(desk: Desk) -> Question:
    client = await _find(desk)
    effects = (
        ("It is removed, and cannot come back by itself under the same id.", "An operator can reinstate it later.")
        if client.status == "pending"
        else ("What its document says now is not taken over.", "The app goes on as it was approved before.")
    )
    return Question(f"Refuse {_name(client)}?", effects, "Refuse", f"{APP}?id={client.client_id}")


async def _ask_revoke(desk: Desk) -> Question:
    client = await _find(desk)
    found = await connections.list_everybodys(desk.operator, desk.project, of=("client", client.client_id))
    return Question(
        f"Revoke everything of {_name(client)}?",
        (
            f"{count(len(found), 'connection')} and every token of this app end at once.",
            "The app stays known, and people may let it in again. What ended cannot be taken back.",
        ),
        "Revoke everything",
        f"{APP}?id={client.client_id}",
    )


async def _ask_remove(desk: Desk) -> Question:
    client = await _find(desk)
    return Question(
        f"Remove {_name(client)}?",
        ("Every connection and token of it ends at once.", "It is forgotten, and its id does not come back."),
        "Remove the app",
        f"{APP}?id={client.client_id}",
    )


async def _find(desk: Desk) -> Client:
    return await clients.get(desk.operator, desk.project, desk.given.get("id", ""))


def _name(client: Client) -> str:
    return (client.metadata.client_name or client.metadata.host or client.client_id)[:64]


def _matches(family: Family, words: str, state: str) -> bool:
    """Whether the words are in any name, id or host of the software, and one of it is in the state."""
    if state in STATES and not any(_state(client) == state for client in family.clients):
        return False
    texts: Iterable[str] = (
        text
        for client in family.clients
        for text in (_name(client), client.client_id, client.metadata.host, client.verified_by or "")
    )
    return not words or any(words in text.casefold() for text in texts)


def _state(client: Client) -> str:
    return "pending" if client.proposed is not None and client.status == "active" else client.status


def _describe_family(family: Family, now: int) -> dict[str, Any]:
    used = [client.last_used_at for client in family.clients if client.last_used_at is not None]
    newest = max(family.clients, key=lambda client: (client.last_used_at or 0, client.created_at))
    states = {_state(client) for client in family.clients}
    return {
        "id": newest.client_id,
        "name": family.name,
        "redirects": list(family.redirects),
        "kinds": list(family.kinds),
        "is_verified": all(client.is_verified for client in family.clients),
        "installations": len(family.clients),
        "connections": family.connections,
        "states": [state for state in STATES if state in states],
        "last_used": ago(max(used, default=None), now),
    }


def _describe(client: Client, now: int) -> dict[str, Any]:
    return {
        "id": client.client_id,
        "name": _name(client),
        "kind": client.kind,
        "state": client.status,
        "is_verified": client.is_verified,
        "verified_by": client.verified_by,
        "is_public": client.is_public,
        "has_secret": client.secret_hash is not None,
        "hosts": client.metadata.host,
        "created": ago(client.created_at, now),
        "last_used": ago(client.last_used_at, now),
    }


def _describe_queued(queued: QueuedClient, now: int) -> dict[str, Any]:
    return {
        **_describe(queued.client, now),
        "is_new": queued.client.status == "pending",
        "changes": [
            {"member": member.replace("_", " "), "before": _text(before), "after": _text(after)}
            for member, (before, after) in queued.changes.items()
        ],
    }


def _facts(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(member.replace("_", " "), _text(value)) for member, value in document.items() if value not in ("", [])]


def _text(value: Any) -> str:
    """A member of a client's metadata, as it is read: lists one a line."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return "\n".join(str(each) for each in value)[:2000]
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)[:2000]


_DECISIONS = {"approve": Act(_approve), "refuse": Act(_refuse, ask=_ask_refuse)}
APPS_PAGE = BoardPage(show_apps, {"add": Act(_add_app), **_DECISIONS})
APP_PAGE = BoardPage(
    show_app,
    {
        **_DECISIONS,
        "suspend": Act(suspend, ask=ask_suspend),
        "reactivate": Act(reactivate),
        "revoke": Act(_revoke, ask=_ask_revoke),
        "rotate": Act(_rotate),
        "remove": Act(_remove, ask=_ask_remove),
    },
)
