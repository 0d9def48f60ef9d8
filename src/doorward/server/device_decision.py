"""What a person does about a device: enter its code, look at who asks, allow or deny.

A device that is let in by mistake is somebody else's session with this person's rights, and whoever wants one sends
the code by mail or chat. So nothing is decided by opening a link; the code belongs to the first person who enters it;
wrong ones are counted; and the page shows where the request came from.

Spec: RFC 8628 §3.3, §5.1, §5.3, §5.4 (DEV-03, DEV-04, DEV-05); T39, T42
"""

from dataclasses import dataclass, replace

from doorward.core import audit
from doorward.core.agents import describe_agent
from doorward.core.limits import USER_CODE_PERSON, USER_CODE_SOURCE
from doorward.core.models import DEVICE_CODE as DEVICE_GRANT
from doorward.core.models import AuditEvent, Client, DeviceCode, Grant, Resource, Session, User
from doorward.core.secrets import new_id
from doorward.core.user_codes import format_user_code, hash_user_code, parse_user_code
from doorward.oauth.ids import GrantId, TokenHash, UserId
from doorward.oauth.scopes import Scopes, missing
from doorward.storage.audit import record
from doorward.storage.database import Transaction
from doorward.storage.device_codes import (
    Claimed,
    ClaimedByAnother,
    ClaimOutcome,
    NotWaiting,
    claim_user_code,
    decide_device_code,
    find_waiting_device,
)
from doorward.storage.grants import add_grant, find_last_decided
from doorward.storage.throttles import refund, spend

from .admission import check_admission, check_device_client
from .choice import Choice, scope_allowed
from .clients import DocumentRefused, UnknownClient, discover_client
from .context import Context
from .decision import is_still_admitted
from .page_error import PageError
from .tenancy import ProjectView
from .too_many import TooManyRequests

_AGAIN = ("Start again on the device: it then shows a new code.",)


@dataclass(frozen=True, slots=True)
class WaitingDevice:
    """A device with everything that its person decides on. `user_code` is as the device shows it."""

    user_code: str
    code: DeviceCode
    client: Client
    resource: Resource
    before: Grant | None
    """What the person last allowed this client on this server, where they did."""


@dataclass(frozen=True, slots=True)
class DecidedDevice:
    """A device that was let in, with its connection, or denied."""

    code: DeviceCode
    client: Client


@dataclass(frozen=True, slots=True)
class _Allowed:
    """The connection that is opened and when it ends, and the version of the list of tools that the person saw."""

    grant_id: GrantId
    scope: Scopes
    tools_at: int
    expires_at: int | None


def check_offered(view: ProjectView) -> None:
    """Refuse the pages of devices where they are not offered. Raises `PageError`."""
    if DEVICE_GRANT not in view.grant_types:
        raise PageError("Nothing is here", "Apps cannot be let in by a code on another device here.", status=404)


async def enter_user_code(
    context: Context, view: ProjectView, typed: str, user: User, *, source: str, now: int
) -> WaitingDevice | None:
    """The device that waits with this code, bound to this person from now on; None when there is none.

    Each code that opens nothing is counted, on the person and on the source. Raises `TooManyRequests`, and `PageError`
    for a code that somebody else has entered, or an app that may not ask.
    """
    check_offered(view)
    code = parse_user_code(typed)
    user_code_hash = hash_user_code(context.form_key, view.project.project_id, code) if code else None
    outcome = await context.database.write(_try_code, view, user_code_hash, user.user_id, source, now)
    if isinstance(outcome, int):
        raise TooManyRequests(outcome)
    if isinstance(outcome, ClaimedByAnother):
        raise _of_another()
    if isinstance(outcome, NotWaiting) or code is None:
        return None
    client = await _find_client(context, view, outcome.code)
    check_device_client(view, client)
    await check_admission(context, view, client, user, now=now)
    resource = view.resource(outcome.code.resource_id)
    if resource is None:
        raise _gone()
    before = await context.database.read(
        find_last_decided, view.project.project_id, user.user_id, client.client_id, resource.resource_id, now
    )
    return WaitingDevice(format_user_code(code), outcome.code, client, resource, before)


async def decide_device(
    context: Context, view: ProjectView, typed: str, session: Session, *, choice: Choice, now: int
) -> DecidedDevice:
    """Settle the device that the session's person was shown, once. Raises `PageError`."""
    check_offered(view)
    project_id = view.project.project_id
    code = parse_user_code(typed)
    user_code_hash = hash_user_code(context.form_key, project_id, code) if code else TokenHash(b"")
    waiting = await context.database.read(find_waiting_device, project_id, user_code_hash, now)
    if waiting is None or waiting.user_id is None:
        raise _over()
    if waiting.user_id != session.user_id:
        raise _of_another()
    client = await _find_client(context, view, waiting)
    allowed = None
    if not choice.is_denied:
        scope = scope_allowed(view.resource(waiting.resource_id), waiting.scope, choice)
        allowed = _Allowed(GrantId(new_id("grt")), scope, choice.tools_at, choice.ends_at(now))
    decided = await context.database.write(_decide, view, client, waiting, session, now, allowed)
    if decided is None:
        raise _over()
    return DecidedDevice(decided, client)


async def _find_client(context: Context, view: ProjectView, code: DeviceCode) -> Client:
    try:
        return await discover_client(context, view, code.client_id, source="")
    except (UnknownClient, DocumentRefused):
        raise _gone() from None


async def _try_code(
    tx: Transaction, view: ProjectView, user_code_hash: TokenHash | None, user_id: UserId, source: str, now: int
) -> ClaimOutcome | int:
    """Bind the device to the person; the milliseconds to wait when they, or their source, were wrong too often.

    A try is counted before it is judged and given back when it was right, so that tries at once are counted, too.
    """
    project_id = view.project.project_id
    for limit, subject in ((USER_CODE_PERSON, user_id), (USER_CODE_SOURCE, source)):
        if wait := await spend(tx, project_id, limit, subject, now):
            return wait
    if user_code_hash is None:
        return NotWaiting()
    outcome = await claim_user_code(tx, project_id, user_code_hash, user_id, now)
    if isinstance(outcome, Claimed):
        await refund(tx, project_id, USER_CODE_PERSON, user_id)
        await refund(tx, project_id, USER_CODE_SOURCE, source)
    return outcome


async def _decide(
    tx: Transaction,
    view: ProjectView,
    client: Client,
    waiting: DeviceCode,
    session: Session,
    now: int,
    allowed: _Allowed | None,
) -> DeviceCode | None:
    """Write the decision with the grant and the audit row; None when it is no longer this person's to take.

    `allowed` is None when they declined.
    """
    project_id, resource = view.project.project_id, view.resource(waiting.resource_id)
    if allowed and (resource is None or not await is_still_admitted(tx, view, client, allow=True, now=now)):
        return None  # removed or suspended while the person was deciding
    decided = await decide_device_code(
        tx,
        project_id,
        waiting.user_code_hash,
        session.user_id,
        "allowed" if allowed else "denied",
        allowed.grant_id if allowed else None,
        now,
    )
    if decided is None:
        return None
    if allowed is not None and resource is not None:
        seen = replace(allowed, tools_at=min(allowed.tools_at, resource.tools_version))
        await add_grant(tx, _build_grant(decided, seen, session, now))
    scope = decided.scope if allowed is None else allowed.scope
    detail = {
        "kind": "device",
        "resource": decided.resource_id,
        "scope": " ".join(scope),
        "not_allowed": " ".join(missing(decided.scope, scope)),
        "grant": allowed and allowed.grant_id,
        **({"expires_at": allowed.expires_at} if allowed and allowed.expires_at else {}),
        "source": decided.source,
        "agent": decided.agent,
    }
    action = audit.CONSENT_ALLOWED if allowed else audit.CONSENT_DENIED
    event = AuditEvent(action, audit.user_actor(session.user_id), audit.client_actor(decided.client_id), detail)
    await record(tx, project_id, event, now)
    return decided


def _build_grant(decided: DeviceCode, allowed: _Allowed, session: Session, now: int) -> Grant:
    return Grant(
        project_id=decided.project_id,
        grant_id=allowed.grant_id,
        user_id=session.user_id,
        client_id=decided.client_id,
        resource_id=decided.resource_id,
        scope=allowed.scope,
        redirect_uri="",
        created_at=now,
        kind="device",
        device_label=describe_agent(decided.agent) or decided.agent,
        auth_time=session.created_at,
        alias=decided.alias,
        tools_at=allowed.tools_at,
        expires_at=allowed.expires_at,
    )


def _of_another() -> PageError:
    return PageError(
        "This code was entered by somebody else",
        "The first person who enters a code decides about its device, and nobody else can.",
        ("If the device is yours, start again on it and keep its new code to yourself.",),
        status=403,
    )


def _over() -> PageError:
    return PageError("This request is over", "It was answered already, or its code has run out.", _AGAIN)


def _gone() -> PageError:
    return PageError("This request is over", "The app or the server it was for was removed meanwhile.", _AGAIN)
