"""Which clients may come as far as a person: known ones, let in by the project's rules, and not kept out since.

Spec: CIMD-16, CIMD-23; DCR-02; complaints 2, 3, 9, 23; product.md, feature 5
"""

from dataclasses import replace
from datetime import UTC, datetime

from doorward.core import audit
from doorward.core.limits import QUEUE_USER
from doorward.core.models import AuditEvent, Client, User
from doorward.core.policy import is_approved_redirect
from doorward.oauth.forms import Form
from doorward.oauth.redirects import display_host
from doorward.storage.audit import record
from doorward.storage.clients import count_clients, ensure_client, find_client
from doorward.storage.database import Transaction
from doorward.storage.throttles import spend

from .clients import DocumentRefused, UnknownClient, discover_client
from .context import Context
from .page_error import START_AGAIN, PageError
from .tenancy import ProjectView
from .too_many import TooManyRequests

MAX_CLIENTS = 10_000
WAITING_LIFE_MS = 30 * 86_400_000
_AGAIN = (
    "In the app, remove this server and add it again; it then registers itself afresh.",
    "Claude Code: run “claude mcp logout”, then connect again. mcp-remote: delete ~/.mcp-auth.",
)


async def find_requesting_client(context: Context, view: ProjectView, form: Form, *, source: str) -> Client:
    """The client that an authorization request names. Raises `PageError` saying what to do in that client."""
    client_id = form.get("client_id")
    if client_id is None or "client_id" in form.repeated:
        raise PageError("This link is incomplete", "It does not say which app it is for.", START_AGAIN)
    try:
        return await discover_client(context, view, client_id, source=source)
    except UnknownClient as unknown:
        raise _tell_unknown(unknown) from None
    except DocumentRefused as refused:
        raise PageError(
            f"This app's description could not be {'used' if refused.is_final else 'fetched'}",
            f"The app is known by the document at {client_id[:300]}. {refused}",
            ("Tell the makers of the app.",)
            if refused.is_final
            else ("Try again in a minute.", "If it stays so, tell the makers of the app."),
        ) from None


async def check_admission(context: Context, view: ProjectView, client: Client, user: User, *, now: int) -> None:
    """Whether the project lets this client ask its people. Raises `PageError`.

    In a project that approves clients, the first person who is asked puts a new one into the operator's queue, so
    that nothing is queued for registrations that nobody ever used.
    """
    check_kept_out(view, client)
    mode = view.project.settings.registration_mode
    is_new = client.kind in ("sealed", "document") and client.activated_at is None and not client.is_verified
    if mode == "approval" and is_new and client.status == "active" and client.last_used_at is None:
        queued = await context.database.write(_queue, client, user, now)
        if isinstance(queued, int):
            raise TooManyRequests(queued)
        client = queued
    check_kept_out(view, client)


def check_kept_out(view: ProjectView, client: Client) -> None:
    """Refuse a client that nobody is to be asked about, whoever it is. Raises `PageError`."""
    if client.status == "suspended":
        raise PageError(
            "This app was suspended", "An administrator of this server does not let it in any more.", status=403
        )
    mode = view.project.settings.registration_mode
    if mode == "approved_redirects" and client.kind in ("sealed", "document") and not client.is_verified:
        approved = view.project.settings.approved_redirects
        if not all(is_approved_redirect(uri, approved) for uri in client.metadata.redirect_uris):
            raise PageError(
                "This app may not be used here", "It returns to a place that the operator has not approved.", status=403
            )
    if client.status == "pending":
        raise PageError(
            "Waiting for approval",
            "An administrator of this server has to approve this app before anybody can use it.",
            (f"Ask an administrator to approve {client.client_id[:120]}", "Then connect again in the app."),
            status=403,
        )


def check_device_client(view: ProjectView, client: Client) -> None:
    """Refuse a client that nobody is to be asked about by a code on another device. Raises `PageError`.

    Where the operator approves the places that apps return to, one that returns nowhere would go past that: it takes
    somebody who vouches for the app.
    """
    check_kept_out(view, client)
    if view.project.settings.registration_mode == "approved_redirects" and not client.is_verified:
        raise PageError(
            "This app may not be used by a code", "An administrator of this server has to add it for that.", status=403
        )


async def _queue(tx: Transaction, client: Client, user: User, now: int) -> Client | int:
    """Put a client that has no row yet into the queue; one that has a row keeps what was decided about it.

    Gives the milliseconds to wait when the person has queued too many. One that nobody decides about is forgotten;
    when the project is full, it waits without a place in the queue: fullness lets nobody in.
    """
    stored = await find_client(tx, client.project_id, client.client_id)
    if stored is not None:
        return stored
    if wait := await spend(tx, client.project_id, QUEUE_USER, user.user_id, now):
        return wait
    pending = replace(client, status="pending", expires_at=now + WAITING_LIFE_MS)
    if await count_clients(tx, client.project_id) >= MAX_CLIENTS:
        return pending
    await ensure_client(tx, pending)
    detail = {
        "name": client.metadata.client_name,
        "redirects": [display_host(uri) for uri in client.metadata.redirect_uris],
    }
    event = AuditEvent(
        audit.CLIENT_QUEUED, audit.user_actor(user.user_id), audit.client_actor(client.client_id), detail
    )
    await record(tx, client.project_id, event, now)
    return pending


def _tell_unknown(unknown: UnknownClient) -> PageError:
    if unknown.tombstone is not None:
        when = datetime.fromtimestamp(unknown.tombstone.removed_at / 1000, UTC)
        why = {
            "expired": "was not used for a long time and has expired",
            "deleted": "was deleted by the app",
            "denied": "was not approved by an administrator",
        }.get(unknown.tombstone.reason, "was removed by an administrator")
        return PageError("This app is not known here any more", f"Its registration {why}, on {when:%d %B %Y}.", _AGAIN)
    if unknown.is_foreign_seal:
        return PageError(
            "This app has to register again",
            "Its registration was made by another server, or with a key that is no longer accepted here.",
            _AGAIN,
        )
    return PageError(
        "This app is not known here", "It was never registered with this server, or registered again since.", _AGAIN
    )
